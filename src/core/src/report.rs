//! What agents report: positions applied, and whether that survives a crash (S10).

use crate::digest::StateDigest;
use crate::ids::{AgentId, InstanceId, ServiceName};
use crate::position::Heads;
use crate::time::UnixMs;

/// How far a receipt reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ReceiptLevel {
    /// Every decision that starts later sees it.
    Applied,
    /// And it is on the agent's disk.
    Durable,
}

/// Whether a view may be called current.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Freshness {
    /// No proof of being current since the start, or it broke: denies `not_ready`.
    Unsynced,
    /// The lease ended; the stale policy decides.
    Stale,
    /// Inside the lease.
    Fresh,
}

impl Freshness {
    /// The word on boards.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Unsynced => "unsynced",
            Self::Stale => "stale",
            Self::Fresh => "fresh",
        }
    }
}

/// A signed statement of one agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Who reports.
    pub agent: AgentId,
    /// Which run of it.
    pub instance: InstanceId,
    /// Counts up within the run, so that a replayed report is seen.
    pub sequence: u64,
    /// What it enforces for.
    pub service: ServiceName,
    /// What decisions that start now see.
    pub applied: Heads,
    /// What is on disk; at most `applied`.
    pub durable: Heads,
    /// Digest of the state at `applied`.
    pub digest: StateDigest,
    /// Whether its view is current.
    pub freshness: Freshness,
    /// Its strictest stale policy, as text (`strict(5s)`, `fail_static(300s)`, `best_effort`).
    pub stale_policy: Box<str>,
    /// Bits of the target kinds that it knows, by `TargetKind as u8`.
    pub target_kinds: u32,
    /// What went wrong since the last report, generic text (`poison 17`, `fork`), empty: nothing.
    pub fault: Box<str>,
    /// Version of the library.
    pub version: Box<str>,
    /// Agent's wall clock: shown, never judged on.
    pub at: UnixMs,
    /// Time of the first deny by a record at or below `applied` since the last report, agent's wall clock.
    pub first_deny_at: Option<UnixMs>,
}
