//! What a sequencer wants done.

use crate::controller::Ticket;
use crate::controller::refusal::Refusal;
use crate::entry::{Entry, Tick};
use crate::ids::RecordId;
use crate::lease::LeaseRequest;
use crate::position::Position;
use crate::time::BootNs;

/// What the shell has to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ControllerOutput {
    /// Sign, hash, log durably, publish with compare-and-set; then `handle_committed`,
    /// `handle_commit_indeterminate` or `handle_deposed`.
    Commit {
        /// The entry.
        entry: Box<Entry>,
        /// Private reasons by change id: for the log only, never for the bus.
        reasons: Vec<(RecordId, Box<str>)>,
    },
    /// Build the tree over the requests in this order, set its root, sign, append to the deny lane with
    /// compare-and-set; then `handle_tick_appended`, `handle_tick_failed` or `handle_deposed`.
    AppendTick {
        /// The tick; its `nonce_root` is zero.
        tick: Box<Tick>,
        /// Leaves, in order.
        requests: Vec<(Ticket, LeaseRequest)>,
    },
    /// The tick is appended: send its grants and note each in the ledger.
    Granted {
        /// As in `AppendTick`.
        tick: Box<Tick>,
        /// As in `AppendTick`.
        requests: Vec<(Ticket, LeaseRequest)>,
        /// When the append was known.
        appended_at: BootNs,
    },
    /// These lease requests are not answered; their agents ask again.
    Unanswered(Vec<Ticket>),
    /// Answer a directive.
    Answer {
        /// Whose.
        ticket: Ticket,
        /// What became of it.
        outcome: Outcome,
    },
}

/// What became of a directive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// In the chain, appended and confirmed.
    Accepted {
        /// Name of the record, entitlement, or of the change where it ended something.
        id: RecordId,
        /// Where.
        position: Position,
        /// It was there before this directive: no second effect (D16).
        existing: bool,
    },
    /// Ordered, and not known to be appended yet. A repeat with the same key gets the same id.
    Indeterminate {
        /// The name that it will have.
        id: RecordId,
    },
    /// No effect, now or later.
    Refused(Refusal),
}
