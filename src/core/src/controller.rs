//! The controller's rules without I/O: who may ask what, what state says to it, in which order changes are
//! committed, and what may be claimed about agents.
//!
//! [`rights`] and [`registry`] judge a directive; [`sequencer`] orders what passed into entries and ticks, one
//! in flight per lane; [`tenure`] tells a standby when to take over, [`roll_call`] what it asks before it
//! writes; [`ledger`] keeps what agents prove, and [`gate`] lets nobody be fresh of whom it knows
//! nothing. Signing, hashing, the write-ahead log and the broker
//! are the shell's.

pub mod gate;
pub mod ledger;
pub mod quota;
pub mod refusal;
pub mod registry;
pub mod rights;
pub mod roll_call;
pub mod sequencer;
pub mod tenure;

use crate::time::{BootNs, UnixMs};

/// Both clocks of the controller, read together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// For deadlines and pauses.
    pub boot: BootNs,
    /// For cutoffs and what people read.
    pub wall: UnixMs,
}

/// The shell's name for somebody who waits for an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);
