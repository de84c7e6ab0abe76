//! Breaks real processes on purpose and checks the guarantees.
//!
//! A [`fleet::Fleet`] is a realm of processes: brokers, controllers, agents, each behind a [`proxy::Link`]. A
//! [`workload::Workload`] takes access away and gives it back through the real API. [`faults`] hurt and heal. Agents
//! write down every answer with a clock that all processes share; [`check`] compares that with what was accepted.
//!
//! What it deliberately does not do: judge by the system's own word. Only the emitter's answers and the agents'
//! decisions count. Faults that need root are skipped by name where it is missing.

pub mod bound;
pub mod check;
pub mod clock;
pub mod crowd;
pub mod dice;
pub mod door;
pub mod evidence;
pub mod faults;
pub mod finale;
pub mod fleet;
pub mod judge;
pub mod lines;
pub mod mix;
pub mod people;
pub mod proc;
pub mod proxy;
pub mod report;
pub mod room;
pub mod workload;
