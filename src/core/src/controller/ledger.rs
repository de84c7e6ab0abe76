//! What agents prove, and what may be claimed about a change: accepted, partially enforced, enforced.
//!
//! INVARIANT (S2): `enforced` is said only where every run of every agent that may allow anything has applied
//! the change, or cannot be fresh on a state without it. Source: protocol.md section 4 rule 7 and semantics.md
//! section 8.
//!
//! A lease on a state without the change was asked for before the change was accepted, so it ends on its
//! agent's clock L/(1+rho) after that, and on this controller's clock at most L(1+rho)^2 after. Runs that this
//! controller granted nothing to since it writes may hold a lease of the writer before: nothing is claimed by
//! receipts alone until that time has passed since its own start ([`Board::blind_until`]). Only runs whose
//! stale policy is `strict` are fenced by time; others keep allowing and are never counted until they apply.

mod board;
mod rows;

use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};

pub use board::{Board, BoardState, Protection, Row, Status};
pub use rows::{AgentRow, Alarm, INSTANCES_PER_AGENT_MAX, LastKnown};

use self::rows::AgentEntry;
use crate::ids::{AgentId, InstanceId, RecordId, ServiceName};
use crate::lease::{LEASE_MAX, RHO_PERMILLE};
use crate::position::{Lane, Position};
use crate::report::Report;
use crate::seeded::{self, Bug};
use crate::target::TargetKind;
use crate::time::BootNs;

/// From reading the clock to the result of a decision, on both sides: the delta of rule 7.
pub const DELTA: Duration = Duration::from_millis(10);
/// An agent that was not heard for this long is shown as unreachable: two reports and some lateness.
pub const SILENT_AFTER: Duration = Duration::from_secs(10);
/// Limit: agents that are kept. More than one realm has.
pub const AGENTS_MAX: usize = 65_536;
/// Limit: changes whose enforcement is timed at once; the oldest stop being timed first.
pub const TRACKED_MAX: usize = 65_536;
/// Limit: enforcement times that are remembered for questions; the oldest go first.
pub const ENFORCED_KEPT_MAX: usize = 65_536;
/// Pause between two evaluations: one pass over all agents serves all receipts that came in between.
pub const EVALUATE_PAUSE: Duration = Duration::from_millis(10);

/// What a ledger is told once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LedgerConfig {
    /// Longest lease that ticks of this realm name, or named in the time before.
    pub lease: Duration,
}

impl LedgerConfig {
    /// How long after a lease request a lease may still allow, on the controller's clock: L(1+rho)^2 + delta.
    #[must_use]
    pub fn fence(&self) -> Duration {
        let nanos = u64::try_from(self.lease.min(LEASE_MAX).as_nanos()).unwrap_or(u64::MAX);
        let stretch = |nanos: u64| nanos.saturating_add((nanos / 1000 + 1).saturating_mul(RHO_PERMILLE));
        if seeded::active(Bug::FenceIgnoresDrift) {
            return Duration::from_nanos(nanos / 100 * 98);
        }
        Duration::from_nanos(stretch(stretch(nanos))).saturating_add(DELTA)
    }
}

/// A change whose enforcement is asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placed {
    /// Its lane.
    pub lane: Lane,
    /// Its position.
    pub position: Position,
    /// What kind of target it names: agents that do not know it do not enforce it. `None` for entitlements.
    pub target: Option<TargetKind>,
}

/// When a change was enforced everywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Enforced {
    /// The change.
    pub id: RecordId,
    /// When it was accepted.
    pub accepted_at: BootNs,
    /// When this ledger could first say so.
    pub enforced_at: BootNs,
}

/// What became of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// It counts.
    Yes,
    /// Its run has reported something newer: ignored.
    Replayed,
    /// No room for another agent: ignored.
    Full,
}

/// What became of a report, and what is suspicious about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReportOutcome {
    /// Whether it counts.
    pub taken: Taken,
    /// What somebody should look at.
    pub alarm: Option<Alarm>,
    /// One run went back: never anything but a bug (S5). A new run that begins lower has lost its store, which is
    /// an alarm and no bug.
    pub has_regressed: bool,
}

#[derive(Debug, Clone, Copy)]
struct Tracked {
    id: RecordId,
    placed: Placed,
    accepted_at: BootNs,
}

/// The ledger. See the module.
#[derive(Debug)]
pub struct Ledger {
    fence: Duration,
    started_at: BootNs,
    agents: BTreeMap<AgentId, AgentEntry>,
    tracked: VecDeque<Tracked>,
    enforced: BTreeMap<RecordId, Enforced>,
    enforced_order: VecDeque<RecordId>,
    outputs: VecDeque<Enforced>,
    evaluated_at: BootNs,
    is_dirty: bool,
}

impl Ledger {
    /// A ledger of a controller that became the writer at `now`, or before: leases of the writer before it were
    /// asked for earlier.
    #[must_use]
    pub fn new(config: LedgerConfig, now: BootNs) -> Self {
        Self {
            fence: config.fence(),
            started_at: now,
            agents: BTreeMap::new(),
            tracked: VecDeque::new(),
            enforced: BTreeMap::new(),
            enforced_order: VecDeque::new(),
            outputs: VecDeque::new(),
            evaluated_at: now,
            is_dirty: false,
        }
    }

    /// This controller begins to write at `now`, or follows another one until then: leases of others were asked
    /// for earlier.
    pub const fn begin(&mut self, now: BootNs) {
        self.started_at = now;
    }

    /// Another controller wrote before: of agents that it may have granted leases to nothing is known.
    pub fn forget_never_granted(&mut self) {
        for entry in self.agents.values_mut() {
            if entry.last == LastKnown::NeverGranted {
                entry.last = LastKnown::Unknown;
            }
        }
        self.is_dirty = true;
    }

    /// An agent that is enrolled: it has a row on every board, heard or not. `last` is what durable memory says
    /// of its runs before this controller started; [`LastKnown::NeverGranted`] may only be said where every
    /// first grant is made durable before it is sent.
    pub fn expect(&mut self, agent: AgentId, service: ServiceName, last: LastKnown) {
        if self.agents.len() >= AGENTS_MAX && !self.agents.contains_key(&agent) {
            return;
        }
        let entry = self.agents.entry(agent).or_insert_with(AgentEntry::unheard);
        entry.service = Some(service);
        entry.last = last;
        entry.is_expected = true;
        self.is_dirty = true;
    }

    /// An agent that an operator declares gone, with all its runs. Its row disappears until it is heard again.
    pub fn retire(&mut self, agent: &AgentId) {
        self.agents.remove(agent);
        self.is_dirty = true;
    }

    /// A run that an operator declares gone: needed where it is not `strict`, as time never fences it.
    pub fn retire_instance(&mut self, agent: &AgentId, instance: InstanceId) {
        if let Some(entry) = self.agents.get_mut(agent) {
            entry.retire(instance);
        }
        self.is_dirty = true;
    }

    /// A report, its signature verified by the key of `report.agent`.
    pub fn handle_report(&mut self, now: BootNs, report: Report) -> ReportOutcome {
        let fence = self.fence;
        let Some(entry) = self.entry(&report.agent) else {
            return ReportOutcome { taken: Taken::Full, alarm: None, has_regressed: false };
        };
        let outcome = entry.take_report(now, report, fence);
        self.is_dirty = true;
        outcome
    }

    /// Whether this run has reported, so that its stale policy is known. See [`super::gate::LeaseGate`].
    #[must_use]
    pub fn has_heard(&self, agent: &AgentId, instance: InstanceId) -> bool {
        let run = self.agents.get(agent).and_then(|entry| entry.instances.get(&instance));
        run.is_some_and(|run| run.report.is_some())
    }

    /// A tick that may grant a lease to this run is about to be sent, at `sent_at`. Call it before the append,
    /// for every request of [`super::sequencer::ControllerOutput::AppendTick`].
    ///
    /// INVARIANT (S2): not only once the append is known. A change of another lane may be accepted while the
    /// tick is under way, and the lease that the tick gives later knows nothing of it. A tick that fails makes
    /// the fence later than needed, nothing worse.
    pub fn note_granted(&mut self, agent: &AgentId, instance: InstanceId, sent_at: BootNs) {
        let (fence, started_at) = (self.fence, self.started_at);
        if let Some(entry) = self.entry(agent) {
            entry.forget_fenced(instance, sent_at, fence, started_at);
            entry.note_granted(instance, sent_at, fence);
        }
    }

    fn entry(&mut self, agent: &AgentId) -> Option<&mut AgentEntry> {
        if self.agents.len() >= AGENTS_MAX && !self.agents.contains_key(agent) {
            return None;
        }
        Some(self.agents.entry(agent.clone()).or_insert_with(AgentEntry::unheard))
    }

    /// Times the enforcement of a change that was accepted at `accepted_at`. Call it in order of acceptance.
    pub fn track(&mut self, id: RecordId, placed: Placed, accepted_at: BootNs) {
        if self.tracked.len() >= TRACKED_MAX {
            self.tracked.pop_front();
        }
        self.tracked.push_back(Tracked { id, placed, accepted_at });
        self.is_dirty = true;
    }

    /// Until when boards cannot know all leases: those of the writer before this one.
    #[must_use]
    pub fn blind_until(&self) -> BootNs {
        if seeded::active(Bug::BlindForgotten) {
            return self.started_at;
        }
        self.started_at.plus(self.fence)
    }

    /// When a lease on a state without a change that was accepted at `accepted_at` has ended everywhere.
    /// `None`: accepted before this controller started to write.
    #[must_use]
    pub fn fence_at(&self, accepted_at: Option<BootNs>) -> BootNs {
        accepted_at.unwrap_or(self.started_at).max(self.started_at).plus(self.fence)
    }

    /// When a tracked change was enforced; `None`: not yet, not tracked, or forgotten.
    #[must_use]
    pub fn enforced_at(&self, id: RecordId) -> Option<Enforced> {
        self.enforced.get(&id).copied()
    }

    /// All agents, expected or heard, by name.
    #[must_use]
    pub fn agents(&self, now: BootNs) -> Vec<AgentRow> {
        self.agents.iter().flat_map(|(agent, entry)| entry.rows(agent, now)).collect()
    }

    /// The time of [`Self::poll_timeout`] came, or any later one.
    pub fn handle_timeout(&mut self, now: BootNs) {
        let is_late = self.next_fence().is_some_and(|at| at <= now);
        if (self.is_dirty || is_late) && now >= self.evaluated_at.plus(EVALUATE_PAUSE) {
            self.evaluate(now);
        }
    }

    /// When [`Self::handle_timeout`] is due at the latest.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<BootNs> {
        let next_evaluation = self.evaluated_at.plus(EVALUATE_PAUSE);
        if self.tracked.is_empty() {
            return None;
        }
        if self.is_dirty {
            return Some(next_evaluation);
        }
        self.next_fence().map(|at| at.max(next_evaluation))
    }

    /// When time alone may enforce the next change.
    fn next_fence(&self) -> Option<BootNs> {
        let mut fences = self.tracked.iter().map(|tracked| self.fence_at(Some(tracked.accepted_at)));
        // In order of acceptance. Past fences were evaluated; what they could decide is decided.
        let next = fences.find(|at| *at > self.evaluated_at);
        // The end of the time in which nobody knows who was granted what decides for all of them at once.
        let blind = Some(self.blind_until()).filter(|at| *at > self.evaluated_at);
        next.into_iter().chain(blind).min()
    }

    /// Next change that became enforced.
    pub fn poll_output(&mut self) -> Option<Enforced> {
        self.outputs.pop_front()
    }

    fn evaluate(&mut self, now: BootNs) {
        self.evaluated_at = now;
        self.is_dirty = false;
        let waiting = core::mem::take(&mut self.tracked);
        // Why by lane and kind: there a later change is never enforced before an earlier one, so a pass looks at
        // one open change of each, however many wait.
        let mut open: Vec<(Lane, Option<TargetKind>)> = Vec::new();
        for tracked in waiting {
            let Tracked { id, placed, accepted_at } = tracked;
            let series = (placed.lane, placed.target);
            if open.contains(&series) || !self.is_enforced(now, placed, Some(accepted_at)) {
                if !open.contains(&series) {
                    open.push(series);
                }
                self.tracked.push_back(tracked);
                continue;
            }
            let enforced = Enforced { id, accepted_at, enforced_at: now };
            self.enforced.insert(id, enforced);
            self.enforced_order.push_back(id);
            if self.enforced_order.len() > ENFORCED_KEPT_MAX
                && let Some(oldest) = self.enforced_order.pop_front()
            {
                self.enforced.remove(&oldest);
            }
            self.outputs.push_back(enforced);
        }
    }
}

#[cfg(test)]
mod tests;
