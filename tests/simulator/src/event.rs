//! What can happen next, and the order in which it does.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::rc::Rc;

use rescind_core::agent::{RangeFailure, RangeRest};
use rescind_core::change::Directive;
use rescind_core::entry::{ChainedEntry, Tick};
use rescind_core::lease::{LeaseGrant, LeaseRequest};
use rescind_core::position::{Lane, Revision};
use rescind_core::report::Report;
use rescind_core::snapshot::{Manifest, SnapshotItem};

use crate::broker::{Call, LogMessage, Reply};

/// A snapshot as it is kept.
#[derive(Debug)]
pub(crate) struct Snapshot {
    pub(crate) manifest: Manifest,
    pub(crate) items: Vec<SnapshotItem>,
}

/// For an agent. `run` 0 is a subscription: whoever is there hears it.
#[derive(Debug, Clone)]
pub(crate) enum ToAgent {
    Entry(Rc<ChainedEntry>),
    Tick(Rc<Tick>),
    Garbled(Lane),
    Grant(Box<LeaseGrant>),
    Range(Lane, Rc<Vec<Rc<ChainedEntry>>>, RangeRest),
    RangeFailed(Lane, RangeFailure),
    Snapshot(Rc<Snapshot>),
    SnapshotFailed,
    Persisted,
}

/// For a controller.
#[derive(Debug, Clone)]
pub(crate) enum ToController {
    Ask(u32, LeaseRequest),
    Range { agent: u32, run: u32, lane: Lane, after: Revision },
    Report(Rc<Report>),
    Reply(u64, Reply),
    Directive { ticket: u64, key: u64, directive: Box<Directive> },
    Logged(Lane, u64),
}

#[derive(Debug)]
pub(crate) enum Event {
    ToAgent { index: u32, run: u32, message: ToAgent },
    AgentWakes { index: u32, stamp: u64 },
    ToController { index: u32, run: u32, message: ToController },
    ControllerWakes { index: u32, stamp: u64 },
    AtBroker { index: u32, run: u32, id: u64, call: Call },
    FetchSnapshot { index: u32, run: u32, is_served: bool },
    Decide { index: u32 },
    Directive,
    Retry { key: u64 },
    Fault,
    Heal(Heal),
    Phase(Phase),
    Replay(LogMessage),
}

/// The end of a fault.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Heal {
    AgentLink(u32),
    AgentUp(u32),
    AgentGoesOn(u32),
    ControllerLink(u32),
    ControllerUp(u32),
    ControllerGoesOn(u32),
    BrokerUp,
    BrokerGoesOn,
}

/// Stages of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Everything works again; wait for a writer.
    Healing,
    /// Somebody writes and makes a snapshot.
    Settling,
    /// Agents have to become fresh.
    Reconnecting,
    /// Nothing is wrong.
    Calm,
    /// And nobody asks for anything.
    Still,
    Over,
}

struct Planned {
    at: u64,
    order: u64,
    event: Event,
}

impl PartialEq for Planned {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.order) == (other.at, other.order)
    }
}

impl Eq for Planned {}

impl PartialOrd for Planned {
    fn partial_cmp(&self, other: &Self) -> Option<core::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Planned {
    fn cmp(&self, other: &Self) -> core::cmp::Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}

/// Events by time; equal times in the order in which they were planned.
#[derive(Default)]
pub(crate) struct Queue {
    heap: BinaryHeap<Reverse<Planned>>,
    order: u64,
}

impl Queue {
    pub(crate) fn plan(&mut self, at: u64, event: Event) {
        self.order += 1;
        self.heap.push(Reverse(Planned { at, order: self.order, event }));
    }

    pub(crate) fn pop(&mut self) -> Option<(u64, Event)> {
        self.heap.pop().map(|Reverse(planned)| (planned.at, planned.event))
    }
}
