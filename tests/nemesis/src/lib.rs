//! Breaks real processes on purpose and checks the guarantees.
