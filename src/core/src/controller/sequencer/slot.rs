//! One lane of a sequencer: its confirmed head, what is in flight, who waits.

use std::collections::VecDeque;

use crate::change::Directive;
use crate::controller::Ticket;
use crate::controller::quota::Class;
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
    /// Not ordered yet; goes first.
    urgent: VecDeque<Queued>,
    /// Not ordered yet.
    ordinary: VecDeque<Queued>,
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
    pub(super) class: Class,
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
        Self {
            head,
            in_flight: None,
            urgent: VecDeque::new(),
            ordinary: VecDeque::new(),
            waiters: Vec::new(),
        }
    }

    const fn queue_mut(&mut self, class: Class) -> &mut VecDeque<Queued> {
        match class {
            Class::Urgent => &mut self.urgent,
            Class::Ordinary => &mut self.ordinary,
        }
    }

    pub(super) fn waiting(&self, class: Class) -> usize {
        match class {
            Class::Urgent => self.urgent.len(),
            Class::Ordinary => self.ordinary.len(),
        }
    }

    pub(super) fn push(&mut self, queued: Queued) {
        self.queue_mut(queued.class).push_back(queued);
    }

    /// What is ordered next: what is urgent before the rest, each in order of arrival.
    pub(super) fn pop(&mut self) -> Option<Queued> {
        self.urgent.pop_front().or_else(|| self.ordinary.pop_front())
    }

    /// Gives back what [`Self::pop`] gave.
    pub(super) fn put_back(&mut self, queued: Queued) {
        self.queue_mut(queued.class).push_front(queued);
    }

    /// What waited for too long.
    pub(super) fn pop_late(&mut self, now: BootNs) -> Option<Queued> {
        let queues = [&mut self.urgent, &mut self.ordinary].into_iter();
        let mut late = queues.filter(|queue| queue.front().is_some_and(|queued| queued.deadline <= now));
        late.next()?.pop_front()
    }

    /// When the next one will have waited for too long.
    pub(super) fn next_deadline(&self) -> Option<BootNs> {
        [&self.urgent, &self.ordinary].into_iter().filter_map(|queue| Some(queue.front()?.deadline)).min()
    }

    pub(super) fn is_settling(&self) -> bool {
        self.in_flight.as_ref().is_some_and(|in_flight| in_flight.is_settling)
    }
}
