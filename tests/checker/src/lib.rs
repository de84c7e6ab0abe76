//! The guarantees as code: fed with a trace of events, names what was broken.
