//! The board of one change: a row for every run that may allow something.

use super::rows::{AgentEntry, Alarm, InstanceEntry, LastKnown};
use super::{Ledger, Placed};
use crate::ids::{AgentId, InstanceId, ServiceName};
use crate::position::Position;
use crate::report::Freshness;
use crate::time::{BootNs, UnixMs};

/// How far a change has come. Source: semantics.md section 8; `proven` needs evidence that is not kept here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BoardState {
    /// In the chain; nobody has shown that it is applied.
    Accepted,
    /// Somewhere.
    PartiallyEnforced,
    /// Every run of every agent applied it or denies by its lease.
    Enforced,
}

impl BoardState {
    /// As it is printed.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::PartiallyEnforced => "partially_enforced",
            Self::Enforced => "enforced",
        }
    }
}

/// What protects while an agent has not applied a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protection {
    /// Its lease: from then on it denies, on the controller's boot clock.
    DeniesAt(BootNs),
    /// Nothing: its policy serves without a lease.
    KeepsAllowing,
    /// Not known.
    Unknown,
}

/// Where one run stands with a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Status {
    /// Every decision that starts now sees it.
    Applied,
    /// And it is on its disk.
    Durable,
    /// Not applied, but every lease without it has ended: it denies since then.
    Fenced {
        /// Since when, controller's boot clock.
        since: BootNs,
    },
    /// Enrolled, never granted a lease: it cannot have allowed anything.
    NotStarted,
    /// Heard lately, without it.
    Lagging {
        /// What protects meanwhile.
        protects: Protection,
    },
    /// Not heard.
    Unreachable {
        /// Since when, controller's boot clock; `None`: since before this controller started.
        since: Option<BootNs>,
        /// What protects meanwhile.
        protects: Protection,
    },
    /// It does not know this kind of target; it will not enforce it.
    Unsupported,
}

impl Status {
    /// Whether this run cannot allow what the change takes away. A new status must decide here.
    #[must_use]
    pub const fn is_enforced(&self) -> bool {
        match self {
            Self::Applied | Self::Durable | Self::Fenced { .. } | Self::NotStarted => true,
            Self::Lagging { .. } | Self::Unreachable { .. } | Self::Unsupported => false,
        }
    }

    /// Whether it has shown that it holds the change.
    #[must_use]
    pub const fn is_applied(&self) -> bool {
        match self {
            Self::Applied | Self::Durable => true,
            Self::Fenced { .. }
            | Self::NotStarted
            | Self::Lagging { .. }
            | Self::Unreachable { .. }
            | Self::Unsupported => false,
        }
    }

    /// As it is printed.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Durable => "durable",
            Self::Fenced { .. } => "fenced",
            Self::NotStarted => "not_started",
            Self::Lagging { .. } => "lagging",
            Self::Unreachable { .. } => "unreachable",
            Self::Unsupported => "unsupported",
        }
    }
}

/// One line of a board.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Who.
    pub agent: AgentId,
    /// Which run; `None`: none is known.
    pub instance: Option<InstanceId>,
    /// What it enforces for.
    pub service: Option<ServiceName>,
    /// Where it stands.
    pub status: Status,
    /// What it last said that it applied, in the change's lane.
    pub position: Option<Position>,
    /// What it last said of itself.
    pub freshness: Option<Freshness>,
    /// Its policy, as it says.
    pub stale_policy: Option<Box<str>>,
    /// When it was last heard.
    pub last_seen: Option<BootNs>,
    /// What it last said is wrong; empty: nothing.
    pub fault: Box<str>,
    /// When it denied by a record for the first time, its wall clock, in its newest report.
    pub first_deny_at: Option<UnixMs>,
    /// What somebody should look at.
    pub alarm: Option<Alarm>,
}

/// Where a change stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Board {
    /// In one word.
    pub state: BoardState,
    /// By agent, then run.
    pub rows: Vec<Row>,
    /// This controller cannot know all leases before then, so it does not say `enforced`. `None`: it can.
    pub blind_until: Option<BootNs>,
}

impl Ledger {
    /// Where a change stands now. `accepted_at` is `None` for one accepted before this controller started.
    #[must_use]
    pub fn board(&self, now: BootNs, placed: Placed, accepted_at: Option<BootNs>) -> Board {
        let accepted_at = accepted_at.unwrap_or(self.started_at);
        let mut rows = Vec::new();
        for (agent, entry) in &self.agents {
            let mut statuses = Vec::new();
            self.statuses(now, placed, accepted_at, entry, |instance, status| {
                statuses.push((instance, status));
                true
            });
            let known = |id: Option<InstanceId>| id.and_then(|id| entry.instances.get(&id));
            rows.extend(
                statuses.into_iter().map(|(id, status)| row(agent, entry, id, known(id), placed, status)),
            );
        }
        let is_blind = now < self.blind_until();
        let all = rows.iter().all(|row| row.status.is_enforced());
        let state = if all && !is_blind {
            BoardState::Enforced
        } else if rows.iter().any(|row| row.status.is_applied()) {
            BoardState::PartiallyEnforced
        } else {
            BoardState::Accepted
        };
        Board { state, rows, blind_until: is_blind.then(|| self.blind_until()) }
    }

    /// As `board(..).state == Enforced`, without making rows.
    pub(super) fn is_enforced(&self, now: BootNs, placed: Placed, accepted_at: Option<BootNs>) -> bool {
        let accepted_at = accepted_at.unwrap_or(self.started_at);
        now >= self.blind_until()
            && self
                .agents
                .values()
                .all(|entry| self.statuses(now, placed, accepted_at, entry, |_, status| status.is_enforced()))
    }

    /// Calls `each` for every run of an agent while it returns true; true where it always did.
    fn statuses(
        &self,
        now: BootNs,
        placed: Placed,
        accepted_at: BootNs,
        entry: &AgentEntry,
        mut each: impl FnMut(Option<InstanceId>, Status) -> bool,
    ) -> bool {
        let known = entry
            .instances
            .iter()
            .all(|(id, instance)| each(Some(*id), self.status(now, placed, accepted_at, instance)));
        known && self.unheard(now, entry).is_none_or(|status| each(None, status))
    }

    fn status(&self, now: BootNs, placed: Placed, accepted_at: BootNs, run: &InstanceEntry) -> Status {
        let reaches = |durable: bool| {
            run.report.as_ref().is_some_and(|report| {
                let heads = if durable { &report.durable } else { &report.applied };
                heads.get(placed.lane).is_some_and(|head| head.position >= placed.position)
            })
        };
        let is_applied = reaches(false);
        let fenced_at = run.fence_at(accepted_at, self.started_at, self.fence);
        let protects = match run.is_strict() {
            Some(true) => Protection::DeniesAt(fenced_at),
            Some(false) => Protection::KeepsAllowing,
            None => Protection::Unknown,
        };
        match protects {
            _ if is_applied && !run.knows(placed.target) => Status::Unsupported,
            _ if is_applied && reaches(true) => Status::Durable,
            _ if is_applied => Status::Applied,
            // INVARIANT (S2): by time only where the policy denies when the lease ends.
            Protection::DeniesAt(at) if at <= now && run.knows(placed.target) => Status::Fenced { since: at },
            protects if run.is_heard(now) => {
                if run.knows(placed.target) {
                    Status::Lagging { protects }
                } else {
                    Status::Unsupported
                }
            }
            protects => Status::Unreachable { since: run.seen_at.or(run.granted_at), protects },
        }
    }

    /// The row for runs that were never heard or granted since the start, where there may be any. `None`:
    /// nothing but the known runs can allow anything.
    fn unheard(&self, now: BootNs, entry: &AgentEntry) -> Option<Status> {
        let unreachable = |protects| Status::Unreachable { since: None, protects };
        if entry.overfull_until.is_some_and(|until| now < until) {
            return Some(unreachable(Protection::Unknown));
        }
        let ended_at = self.blind_until();
        let is_known = !entry.instances.is_empty();
        match entry.last {
            LastKnown::NeverGranted if is_known => None,
            LastKnown::NeverGranted => Some(Status::NotStarted),
            // Leases of the writer before us have ended.
            LastKnown::Strict if now >= ended_at && is_known => None,
            LastKnown::Strict if now >= ended_at => Some(Status::Fenced { since: ended_at }),
            LastKnown::Strict => Some(unreachable(Protection::DeniesAt(ended_at))),
            // Limit: a run of the time before that time does not fence is taken for the one that is known now. S2
            // speaks of `strict` runs, and those are fenced; retire and restart the others with care.
            LastKnown::NotStrict if is_known => None,
            LastKnown::NotStrict => Some(unreachable(Protection::KeepsAllowing)),
            LastKnown::Unknown if is_known => None,
            LastKnown::Unknown => Some(unreachable(Protection::Unknown)),
        }
    }
}

fn row(
    agent: &AgentId,
    entry: &AgentEntry,
    instance: Option<InstanceId>,
    run: Option<&InstanceEntry>,
    placed: Placed,
    status: Status,
) -> Row {
    let report = run.and_then(|run| run.report.as_ref());
    Row {
        agent: agent.clone(),
        instance,
        service: report.map(|report| report.service.clone()).or_else(|| entry.service.clone()),
        status,
        position: report.and_then(|report| report.applied.get(placed.lane)).map(|head| head.position),
        freshness: report.map(|report| report.freshness),
        stale_policy: report.map(|report| report.stale_policy.clone()),
        last_seen: run.and_then(|run| run.seen_at),
        fault: report.map(|report| report.fault.clone()).unwrap_or_default(),
        first_deny_at: report.and_then(|report| report.first_deny_at),
        alarm: entry.alarm,
    }
}
