//! What is known of an agent and of each of its runs.

use core::time::Duration;
use std::collections::BTreeMap;

use super::{ReportOutcome, SILENT_AFTER, Taken};
use crate::ids::{AgentId, InstanceId, ServiceName};
use crate::position::{Heads, LANES};
use crate::report::Report;
use crate::seeded::{self, Bug};
use crate::target::TargetKind;
use crate::time::BootNs;

/// Limit: runs of one agent that may still allow something. More come from a crash loop under a policy that
/// time does not fence; then the agent's row says `unknown` until an operator retires it.
pub const INSTANCES_PER_AGENT_MAX: usize = 16;

/// What durable memory says of an agent's runs before this controller started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LastKnown {
    /// No run was ever granted a lease: none can allow anything.
    NeverGranted,
    /// Every run that was granted a lease was `strict`.
    Strict,
    /// Some run was granted a lease under another policy.
    NotStrict,
    /// Nothing is known.
    Unknown,
}

/// Something that somebody should look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Alarm {
    /// Two runs of one agent report in turn: a copied key, or a process that did not stop.
    TwoInstances,
    /// A run reports a lower position than before, or than what a run before it acknowledged as durable (S5).
    Regressed,
}

impl Alarm {
    /// Short name for boards and counters.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::TwoInstances => "two_instances",
            Self::Regressed => "regressed",
        }
    }
}

/// An agent's run as lists show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentRow {
    /// Who.
    pub agent: AgentId,
    /// Which run; `None`: none was heard or granted since this controller started.
    pub instance: Option<InstanceId>,
    /// What it enforces for, as it says or as it was enrolled.
    pub service: Option<ServiceName>,
    /// Whether it is enrolled.
    pub is_expected: bool,
    /// Whether it was heard lately.
    pub is_heard: bool,
    /// When it was last heard.
    pub last_seen: Option<BootNs>,
    /// When it was last granted a lease.
    pub granted_at: Option<BootNs>,
    /// Its newest report.
    pub report: Option<Report>,
    /// What somebody should look at.
    pub alarm: Option<Alarm>,
}

#[derive(Debug)]
pub(super) struct AgentEntry {
    pub(super) service: Option<ServiceName>,
    pub(super) last: LastKnown,
    pub(super) is_expected: bool,
    pub(super) instances: BTreeMap<InstanceId, InstanceEntry>,
    /// A run was forgotten for want of room: until then nothing can be claimed about all of them.
    pub(super) overfull_until: Option<BootNs>,
    /// The highest positions that any of its runs acknowledged as durable.
    pub(super) durable: Heads,
    pub(super) alarm: Option<Alarm>,
}

#[derive(Debug, Default)]
pub(super) struct InstanceEntry {
    pub(super) granted_at: Option<BootNs>,
    pub(super) first_seen_at: Option<BootNs>,
    pub(super) seen_at: Option<BootNs>,
    pub(super) report: Option<Report>,
}

impl InstanceEntry {
    /// Whether its leases bind it: only `strict` denies when they end.
    pub(super) fn is_strict(&self) -> Option<bool> {
        self.report.as_ref().map(|report| report.stale_policy.starts_with("strict"))
    }

    pub(super) fn is_heard(&self, now: BootNs) -> bool {
        self.seen_at.is_some_and(|at| now.since(at) < SILENT_AFTER)
    }

    pub(super) fn knows(&self, target: Option<TargetKind>) -> bool {
        match (target, &self.report) {
            (Some(target), Some(report)) => report.target_kinds >> (target as u8) & 1 == 1,
            (None, _) | (_, None) => true,
        }
    }

    /// When a lease on a state without a change accepted at `accepted_at` ends for this run.
    ///
    /// A grant that was appended after the acceptance names heads that hold the change, so it is installed only
    /// with the change applied; what matters is the last grant before.
    pub(super) fn fence_at(&self, accepted_at: BootNs, started_at: BootNs, fence: Duration) -> BootNs {
        // Without a grant of ours: perhaps one of the writer before us, asked for before we started.
        let granted_at = self.granted_at.unwrap_or(started_at).max(started_at);
        let fence = if seeded::active(Bug::NeverEnforced) { Duration::from_secs(3600) } else { fence };
        let fence = if seeded::active(Bug::EnforcedWithoutFence) { Duration::ZERO } else { fence };
        granted_at.min(accepted_at.max(started_at)).plus(fence)
    }
}

impl AgentEntry {
    pub(super) fn unheard() -> Self {
        Self {
            service: None,
            // INVARIANT (S2): of an agent that nobody enrolled nothing is known.
            last: LastKnown::Unknown,
            is_expected: false,
            instances: BTreeMap::new(),
            overfull_until: None,
            durable: Heads::default(),
            alarm: None,
        }
    }

    pub(super) fn retire(&mut self, instance: InstanceId) {
        self.instances.remove(&instance);
    }

    pub(super) fn take_report(&mut self, now: BootNs, report: Report, fence: Duration) -> ReportOutcome {
        let instance = report.instance;
        let position = |heads: &Heads, lane| heads.get(lane).map(|head| head.position);
        let durable = self.durable;
        // A run that begins below what a run before it had on disk: its store was lost or put back (S5).
        let is_below =
            LANES.into_iter().any(|lane| position(&report.applied, lane) < position(&durable, lane));
        let entry = self.instance(instance, now, fence);
        entry.first_seen_at = entry.first_seen_at.or(Some(now));
        let mut has_regressed = false;
        if let Some(before) = &entry.report {
            if report.sequence <= before.sequence {
                return ReportOutcome { taken: Taken::Replayed, alarm: None, has_regressed: false };
            }
            has_regressed = LANES
                .into_iter()
                .any(|lane| position(&report.applied, lane) < position(&before.applied, lane));
        }
        let mut alarm = (has_regressed || is_below).then_some(Alarm::Regressed);
        // INVARIANT (S2): a lower position is believed: what the agent no longer holds it does not enforce.
        entry.seen_at = Some(now);
        let reported = report.durable;
        entry.report = Some(report);
        for lane in LANES {
            if let (Some(highest), Some(head)) = (self.durable.get_mut(lane), reported.get(lane))
                && head.position > highest.position
            {
                *highest = *head;
            }
        }
        if self.has_overlap(instance, now) {
            alarm = alarm.or(Some(Alarm::TwoInstances));
        }
        self.alarm = alarm.or(self.alarm);
        ReportOutcome { taken: Taken::Yes, alarm, has_regressed }
    }

    /// Whether another run was heard during the same [`SILENT_AFTER`]. Why so long: after a restart some reports
    /// of the run before may still be on their way.
    fn has_overlap(&self, instance: InstanceId, now: BootNs) -> bool {
        let Some(since) = self.instances.get(&instance).and_then(|entry| entry.first_seen_at) else {
            return false;
        };
        self.instances.iter().filter(|(id, _)| **id != instance).any(|(_, other)| {
            let both_since = other.first_seen_at.map(|first| first.max(since));
            let both_until = other.seen_at.map(|last| last.min(now));
            both_since.zip(both_until).is_some_and(|(from, until)| until.since(from) >= SILENT_AFTER)
        })
    }

    pub(super) fn note_granted(&mut self, instance: InstanceId, at: BootNs, fence: Duration) {
        let entry = self.instance(instance, at, fence);
        entry.granted_at = entry.granted_at.max(Some(at));
    }

    fn instance(&mut self, instance: InstanceId, now: BootNs, fence: Duration) -> &mut InstanceEntry {
        if !self.instances.contains_key(&instance) && self.instances.len() >= INSTANCES_PER_AGENT_MAX {
            let oldest = self.instances.iter().min_by_key(|(_, entry)| entry.seen_at.max(entry.granted_at));
            let oldest = oldest.map(|(id, _)| *id);
            if let Some(dropped) = oldest.and_then(|oldest| self.instances.remove(&oldest)) {
                // Its last lease was asked for by now; under another policy than `strict` no time fences it.
                let until =
                    if dropped.is_strict() == Some(true) { now.plus(fence) } else { BootNs(u64::MAX) };
                self.overfull_until = self.overfull_until.max(Some(until));
            }
        }
        self.instances.entry(instance).or_default()
    }

    /// Forgets runs before `current` that are over: strict, silent, and their last lease ended.
    pub(super) fn forget_fenced(
        &mut self,
        current: InstanceId,
        now: BootNs,
        fence: Duration,
        started_at: BootNs,
    ) {
        if self.instances.len() < 2 {
            return;
        }
        self.instances.retain(|id, entry| {
            let is_over = entry.fence_at(now, started_at, fence) <= now;
            *id == current || entry.is_strict() != Some(true) || entry.is_heard(now) || !is_over
        });
    }

    pub(super) fn rows(&self, agent: &AgentId, now: BootNs) -> Vec<AgentRow> {
        let row = |instance: Option<(&InstanceId, &InstanceEntry)>| {
            let report = instance.and_then(|(_, entry)| entry.report.clone());
            AgentRow {
                agent: agent.clone(),
                instance: instance.map(|(id, _)| *id),
                service: report
                    .as_ref()
                    .map(|report| report.service.clone())
                    .or_else(|| self.service.clone()),
                is_expected: self.is_expected,
                is_heard: instance.is_some_and(|(_, entry)| entry.is_heard(now)),
                last_seen: instance.and_then(|(_, entry)| entry.seen_at),
                granted_at: instance.and_then(|(_, entry)| entry.granted_at),
                report,
                alarm: self.alarm,
            }
        };
        if self.instances.is_empty() {
            return vec![row(None)];
        }
        self.instances.iter().map(|instance| row(Some(instance))).collect()
    }
}
