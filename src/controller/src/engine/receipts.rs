//! When receipts came: what boards show as `applied_at`. For people only; nothing is decided by it.

use std::collections::{BTreeMap, VecDeque};

use rescind_core::controller::ledger::{Placed, Row};
use rescind_core::ids::{AgentId, InstanceId};
use rescind_core::position::{Lane, Position};
use rescind_core::time::UnixMs;

/// Limit: advances of one run that are remembered.
const ADVANCES_MAX: usize = 64;
/// Limit: runs that are remembered; one more makes all forgotten.
const RUNS_MAX: usize = 65_536;

#[derive(Debug, Clone, Copy)]
struct Advance {
    deny: Position,
    grant: Position,
    at: UnixMs,
}

#[derive(Debug, Default)]
pub(super) struct Receipts {
    runs: BTreeMap<(AgentId, InstanceId), VecDeque<Advance>>,
}

impl Receipts {
    /// A run says that it applied up to here.
    pub(super) fn note(
        &mut self,
        agent: AgentId,
        instance: InstanceId,
        applied: (Position, Position),
        at: UnixMs,
    ) {
        let (deny, grant) = applied;
        let key = (agent, instance);
        if self.runs.len() >= RUNS_MAX && !self.runs.contains_key(&key) {
            self.runs.clear();
        }
        let advances = self.runs.entry(key).or_default();
        if advances.back().is_some_and(|last| last.deny >= deny && last.grant >= grant) {
            return;
        }
        if advances.len() >= ADVANCES_MAX {
            advances.pop_front();
        }
        advances.push_back(Advance { deny, grant, at });
    }

    /// When the receipt for a change came from the run of this row. `None`: not yet, or not remembered.
    pub(super) fn applied_at(&self, row: &Row, placed: Placed) -> Option<UnixMs> {
        let advances = self.runs.get(&(row.agent.clone(), row.instance?))?;
        let reaches = |advance: &Advance| match placed.lane {
            Lane::Deny => advance.deny >= placed.position,
            Lane::Grant(_) => advance.grant >= placed.position,
        };
        let first = advances.iter().position(reaches)?;
        // Why none for the oldest of a full list: it may have been reached in one that was forgotten.
        if first == 0 && advances.len() >= ADVANCES_MAX {
            return None;
        }
        advances.get(first).map(|advance| advance.at)
    }
}
