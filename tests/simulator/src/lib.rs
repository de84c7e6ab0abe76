//! Many agents and controllers in one thread and virtual time, with faults from a seed.
//!
//! The machines of `rescind-core` run unchanged between a bus that loses, repeats, reorders and delays, a broker
//! whose store goes back, disappears or rots, stores that lie, clocks that drift, processes that stop. Everything
//! that happens is told to the checker. A seed decides everything: the same seed is the same run, to the last
//! message ([`Outcome::trace_hash`]).
//!
//! What the shells of controller and agent do around their machines (compare-and-set, settling, take-over,
//! persisting) is mirrored here in its thinnest form; signatures are taken as verified, because `codec` is tested
//! by itself.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "a test program: a broken assumption has to stop the run; numbers are small and made here"
)]

mod agent;
mod broker;
mod bus;
mod clock;
mod controller;
mod event;
mod faults;
mod plan;
mod random;
mod words;
mod workload;
mod world;

use rescind_checker::Violation;

pub use plan::Options;

/// What came of one seed.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The seed.
    pub seed: u64,
    /// Hash over everything that happened, in order.
    pub trace_hash: u64,
    /// Virtual time that passed, in nanoseconds.
    pub virtual_ns: u64,
    /// Messages, timers and faults that were handled.
    pub steps: u64,
    /// Changes that were accepted.
    pub accepted: u64,
    /// Decisions that were asked for, and how many of them allowed.
    pub decisions: (u64, u64),
    /// Times that a controller began to write.
    pub writers: u64,
    /// Faults that were put in.
    pub faults: u64,
    /// Where everybody stood at the end, for people.
    pub standing: Vec<String>,
    /// What was broken.
    pub violations: Vec<Violation>,
}

/// Runs one seed to its end.
#[must_use]
pub fn simulate(seed: u64, options: &Options) -> Outcome {
    world::World::new(seed, options).run()
}

#[cfg(test)]
mod tests;
