//! Store torture: the agent's store and the controller's log are written by a process that is killed at a random
//! point, damaged at random offsets, filled up, made read-only or put back from an older copy; then another process
//! opens them and says what it finds. Everything comes from a seed, except when exactly the kill falls.
//!
//! What must hold, whatever happened: no panic escapes, nothing that was acknowledged is lost by a kill, what comes
//! back is exactly what was written there once, it is never older than what was acknowledged, and afterwards the
//! store works again.
//!
//! | module | holds |
//! |---|---|
//! | [`writer`] | the processes that are tortured, and those that look afterwards |
//! | [`content`] | what they write: a function of seed and number, so that everybody can tell what must be there |
//! | [`damage`] | what is done to files |
//! | [`run`] | one run from its seed, and its verdict |

pub mod content;
pub mod damage;
pub mod dice;
pub mod process;
pub mod run;
pub mod writer;

pub use run::{Outcome, Tally, torture};
