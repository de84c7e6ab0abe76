//! Many agents and controllers in one thread and virtual time, with faults from a seed.
