//! One lane of a sequencer: its confirmed head, what is in flight, who waits.

use std::collections::VecDeque;

use crate::change::Directive;
use crate::controller::Ticket;
use crate::controller::rights::Rights;
use crate::ids::RecordId;
use crate::position::{Head, Position};
use crate::time::BootNs;

#[derive(Debug)]
pub(super) struct Slot {
    /// Confirmed.
    pub(super) head: Head,
    /// At most one entry.
    pub(super) in_flight: Option<InFlight>,
    /// Not ordered yet.
    pub(super) queue: VecDeque<Queued>,
    /// Ordered in the entry in flight, or repeats of that.
    pub(super) waiters: Vec<Waiter>,
}

#[derive(Debug)]
pub(super) struct InFlight {
    pub(super) last: Position,
    /// What this entry adds to the digest. Lanes touch different items, so deltas add up in any order.
    pub(super) delta: u128,
    pub(super) is_settling: bool,
}

#[derive(Debug)]
pub(super) struct Queued {
    pub(super) ticket: Ticket,
    pub(super) directive: Directive,
    pub(super) rights: Rights,
    pub(super) deadline: BootNs,
}

#[derive(Debug)]
pub(super) struct Waiter {
    pub(super) ticket: Ticket,
    pub(super) id: RecordId,
    pub(super) existing: bool,
}

impl Slot {
    pub(super) const fn new(head: Head) -> Self {
        Self { head, in_flight: None, queue: VecDeque::new(), waiters: Vec::new() }
    }

    pub(super) fn is_settling(&self) -> bool {
        self.in_flight.as_ref().is_some_and(|in_flight| in_flight.is_settling)
    }
}
