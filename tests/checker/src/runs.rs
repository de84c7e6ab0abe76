//! What is known of every run of an agent.

use std::collections::{BTreeMap, HashSet};

use rescind_core::digest::StateDigest;
use rescind_core::ids::RecordId;
use rescind_core::position::{Heads, LANES};

use crate::event::{Nanos, Run};

/// What decisions of a run read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Live {
    pub(crate) heads: Heads,
    pub(crate) digest: Option<StateDigest>,
    pub(crate) since: Nanos,
    pub(crate) fresh_until: Option<Nanos>,
}

#[derive(Debug)]
pub(crate) struct RunState {
    pub(crate) strict: bool,
    pub(crate) started_at: Nanos,
    pub(crate) stopped_at: Option<Nanos>,
    pub(crate) view: Option<Live>,
    pub(crate) stored: Heads,
    pub(crate) receipt: Option<(Nanos, Heads)>,
    pub(crate) has_standing_fault: bool,
    /// Leases that were asked for before this are void.
    pub(crate) void_before: Nanos,
    pub(crate) is_upset: bool,
    /// Connected, fresh and calm since.
    pub(crate) well_since: Option<Nanos>,
}

#[derive(Debug, Default)]
pub(crate) struct AgentState {
    pub(crate) durable: Heads,
    pub(crate) crashes: u32,
    /// Records that denied something.
    pub(crate) denied_by: HashSet<RecordId>,
}

#[derive(Debug, Default)]
pub(crate) struct Runs {
    pub(crate) runs: BTreeMap<Run, RunState>,
    pub(crate) agents: BTreeMap<u32, AgentState>,
}

impl RunState {
    pub(crate) fn new(strict: bool, started_at: Nanos, heads: Heads) -> Self {
        Self {
            strict,
            started_at,
            stopped_at: None,
            view: None,
            stored: heads,
            receipt: None,
            has_standing_fault: false,
            void_before: started_at,
            is_upset: false,
            well_since: None,
        }
    }

    pub(crate) fn is_live(&self) -> bool {
        self.stopped_at.is_none()
    }

    /// The view where it is fresh at `at`.
    pub(crate) fn fresh_at(&self, at: Nanos) -> Option<&Live> {
        self.view.as_ref().filter(|view| view.fresh_until.is_some_and(|until| at < until))
    }
}

impl Runs {
    pub(crate) fn get(&mut self, run: Run) -> Option<&mut RunState> {
        self.runs.get_mut(&run)
    }

    pub(crate) fn agent(&mut self, run: Run) -> &mut AgentState {
        self.agents.entry(run.agent).or_default()
    }

    pub(crate) fn live(&self) -> impl Iterator<Item = (Run, &RunState)> {
        self.runs.iter().filter(|(_, state)| state.is_live()).map(|(run, state)| (*run, state))
    }
}

/// Whether every lane of `a` is at or past that of `b`.
pub(crate) fn reaches(a: &Heads, b: &Heads) -> bool {
    LANES.into_iter().all(|lane| {
        let position = |heads: &Heads| heads.get(lane).map(|head| head.position);
        position(a) >= position(b)
    })
}

/// The later head of each lane.
pub(crate) fn later(a: Heads, b: Heads) -> Heads {
    let mut heads = a;
    for lane in LANES {
        if let (Some(mine), Some(other)) = (heads.get_mut(lane), b.get(lane))
            && other.position > mine.position
        {
            *mine = *other;
        }
    }
    heads
}
