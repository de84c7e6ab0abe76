//! The agent's state machine: follows the chain, keeps the lease, reports; knows no socket, clock or disk.
//!
//! The shell feeds what arrives into `handle_*` with its boot clock, performs what [`AgentMachine::poll_output`]
//! gives until it is `None`, and comes back at [`AgentMachine::poll_timeout`]. Everything handed in is verified
//! (signature, key role, Merkle path) by `codec`; whether it fits is judged here.
//!
//! One invariant carries the rest: what is published is the fold of exactly the entries up to its heads, each
//! chained to the one before by hash (S3), and a lease is in it only if its nonce was sent after the lease's
//! anchor was read, and its tick's heads are in that fold (S1). Time never extends anything.
//!
//! | state of the view | event | next |
//! |---|---|---|
//! | unsynced | grant for an own nonce, heads applied with equal hash | synced, lease from the nonce's anchor |
//! | unsynced, synced | grant whose heads are not applied yet | the same; the grant waits, the gap is fetched |
//! | synced | later grant | synced, later end; never an earlier one |
//! | synced | the lease ends | synced but stale: judged inside each decision, by no timer |
//! | any | clock fault | unsynced until a grant asked after it |
//! | any | next entry does not fold, or is signed and not understood | unsynced, `poison`; other lane goes on |
//! | any | fork, digest, panic in the fold, lost history | unsynced, frozen: nothing more is applied |
//! | any | fence, tick or grant of a later epoch | the same: a gap that is fetched; earlier epochs no longer count |
//! | poison, frozen | snapshot at or past everything applied | unsynced, follows again |

mod epoch;
mod fault;
mod follow;
mod input;
mod jitter;
mod lane;
mod lease;
mod overlay;
mod repair;
mod reporter;
mod tail;
mod timers;

use core::time::Duration;
use std::collections::VecDeque;
use std::sync::Arc;

pub use fault::{AgentFault, ClockFault, SnapshotRefusal};
pub use tail::{TAIL_BYTES_MAX, TAIL_CHANGES_MAX};

use self::epoch::Recall;
use self::jitter::Jitter;
use self::lane::LaneState;
use self::lease::LeaseKeeper;
use self::overlay::Overlay;
use self::repair::Repair;
use self::reporter::Reporter;
use self::tail::Tail;
use crate::change::Change;
use crate::decide::Published;
use crate::ids::{AgentId, ChainId, InstanceId, ServiceName};
use crate::key::KeyHasher;
use crate::position::{Epoch, Head, Heads, Lane, Revision};
use crate::report::{Freshness, Report};
use crate::seeded::{self, Bug};
use crate::time::BootNs;
use crate::view::{FoldError, View};

/// Limit: entries asked for at once: an answer of a few megabytes at most in practice.
pub const RANGE_ENTRIES_MAX: u32 = 256;
/// Limit: changes behind at which a snapshot is cheaper than the tail.
pub const LAG_SNAPSHOT_MIN: u64 = 65_536;
/// Limit: unreadable answers to one gap in a row after which the gap counts as poison; fewer may be damage on
/// the way.
pub const RANGE_UNREADABLE_MAX: u32 = 3;
/// Limit: faults that wait to be polled; the oldest are dropped, counters show the rate elsewhere.
pub const FAULTS_QUEUED_MAX: usize = 32;

/// Who an agent is and what it promises.
#[derive(Debug, Clone)]
pub struct AgentConfig {
    /// Who.
    pub agent: AgentId,
    /// This run; fresh and random at every start.
    pub instance: InstanceId,
    /// What it enforces for.
    pub service: ServiceName,
    /// The realm's chain; anything else is refused.
    pub chain: ChainId,
    /// Length of its strictest stale policy: how often it renews and what its reports call fresh.
    pub lease: Duration,
    /// That policy as text (`strict(5s)`), for reports.
    pub stale_policy: Box<str>,
    /// Bits of the target kinds that it knows, by `TargetKind as u8`.
    pub target_kinds: u32,
    /// Version of the library.
    pub version: Box<str>,
    /// Pause between reports when nothing is asked for; a fifth more or less by jitter.
    pub report_every: Duration,
}

/// What the local store gave back: a state whose digest was checked, and where it is. Usable as a base to
/// follow from; never fresh by itself (S12).
#[derive(Debug, Clone)]
pub struct Restored {
    /// The state.
    pub view: View,
    /// Where it is.
    pub heads: Heads,
}

/// Whether the bus is connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Link {
    /// It is, and subscriptions run.
    Up,
    /// It is not. Changes nothing here: freshness ends by the lease alone.
    Down,
}

/// Whether the server of a range has more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RangeRest {
    /// These were all it has.
    Complete,
    /// There is more after these.
    More,
}

/// Why a range was not served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RangeFailure {
    /// Nobody answered, or the answer broke off.
    Unavailable,
    /// The range is no longer kept; a snapshot is needed.
    TooOld,
    /// The next entry came and could not be read or verified.
    Unreadable,
}

/// A message that `codec` refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// The lane whose subject it came on.
    pub lane: Lane,
    /// Its revision, only where its signature *was* valid and its content is not understood: poison. `None`
    /// where nobody vouches for it: dropped and counted; a gap that it leaves shows at the next tick.
    pub at: Option<Revision>,
    /// Why, generic text.
    pub reason: Box<str>,
}

/// What the shell has to do.
#[derive(Debug, Clone)]
pub enum AgentOutput {
    /// Let decisions read this from now on. Always comes before reports that speak of it (S10).
    Publish(Arc<Published>),
    /// Store this when convenient, the latest wins; then call [`AgentMachine::handle_persisted`].
    Persist(Arc<Published>),
    /// Log and count this.
    Fault(AgentFault),
    /// Read the clock, draw a nonce, call [`AgentMachine::begin_lease`], send the request.
    AskLease,
    /// Ask for entries; answer with `handle_range` or `handle_range_failed`.
    FetchRange {
        /// Of this lane.
        lane: Lane,
        /// That follow this revision.
        after: Revision,
        /// At most this many.
        entries_max: u32,
    },
    /// Fetch the newest snapshot; answer with `handle_snapshot` or `handle_snapshot_failed`.
    FetchSnapshot,
    /// Publish these messages of the deny lane, signed as they are, for a controller that lost them.
    HandBack(Vec<Arc<[u8]>>),
    /// Sign and send this. `at` is zero: the shell sets its wall clock.
    Report(Box<Report>),
}

/// One lane and what is under way for it.
#[derive(Debug)]
struct Feed {
    state: LaneState,
    repair: Repair,
    /// The tail that is missing is no longer served: only a snapshot helps.
    is_too_old: bool,
    /// Unreadable answers in a row.
    unreadable: u32,
    /// Nearest signed message ahead that is not understood.
    closed_at: Option<(Revision, Box<str>)>,
    /// First revision that cannot be applied.
    poison: Option<(Revision, Box<str>)>,
}

/// What stops the whole view. Only a snapshot or a restart clears it.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Frozen {
    Fork(Lane, Revision),
    Digest,
    Panic(Lane, Revision),
    Lost(Epoch),
}

/// Outputs that wait to be polled: one place each, so nothing piles up.
#[derive(Debug, Default)]
struct Outbox {
    publish: bool,
    persist: bool,
    ask: bool,
    deny_range: bool,
    grant_range: bool,
    snapshot: bool,
    hand_back: Option<Revision>,
    report: Option<Box<Report>>,
    faults: VecDeque<AgentFault>,
}

/// How entries fold; tests put in one that panics.
type Fold = fn(&mut View, &[Change]) -> Result<(), FoldError>;

/// The machine. See the module's table.
#[derive(Debug)]
pub struct AgentMachine {
    config: AgentConfig,
    jitter: Jitter,
    hasher: KeyHasher,
    now: BootNs,
    view: View,
    /// Highest epoch that anything verified spoke of.
    epoch: Option<Epoch>,
    deny: Feed,
    grant: Feed,
    durable: Heads,
    keeper: LeaseKeeper,
    frozen: Option<Frozen>,
    overlay: Overlay,
    tail: Tail,
    /// Newest heads that a tick or grant named: what is applied past them may not be accepted yet.
    named: Heads,
    recall: Recall,
    fold: Fold,
    snapshot: Repair,
    reporter: Reporter,
    outbox: Outbox,
    published: Arc<Published>,
}

impl Feed {
    fn new(lane: Lane, applied: Head) -> Self {
        Self {
            state: LaneState::new(lane, applied),
            repair: Repair::idle(),
            is_too_old: false,
            unreadable: 0,
            closed_at: None,
            poison: None,
        }
    }

    const fn range(&self) -> AgentOutput {
        AgentOutput::FetchRange {
            lane: self.state.lane(),
            after: self.state.applied().position.revision,
            entries_max: RANGE_ENTRIES_MAX,
        }
    }
}

impl AgentMachine {
    /// A machine that has just started: unsynced, asks for a lease at once. `hasher` must have made the keys
    /// of `restored`. Nonces are the shell's; `seed` spreads timers only.
    #[must_use]
    pub fn new(
        config: AgentConfig,
        seed: u64,
        hasher: KeyHasher,
        restored: Option<Restored>,
        now: BootNs,
    ) -> Self {
        let (view, heads) = match restored {
            Some(Restored { view, heads }) if *view.hasher() == hasher => (view, heads),
            Some(_) | None => (View::new(hasher.clone()), Heads::default()),
        };
        let epoch = heads.deny.position.epoch.max(heads.grant.position.epoch);
        let published = Arc::new(Published::unsynced(view.clone(), heads));
        Self {
            jitter: Jitter::new(seed),
            hasher,
            now,
            view,
            epoch: (epoch > Epoch(0)).then_some(epoch),
            deny: Feed::new(Lane::Deny, heads.deny),
            grant: Feed::new(Lane::Grant(0), heads.grant),
            durable: heads,
            keeper: LeaseKeeper::new(config.lease, now),
            frozen: None,
            overlay: Overlay::new(published.view.hasher().clone()),
            tail: Tail::default(),
            named: Heads::default(),
            recall: Recall::default(),
            fold: View::apply_all,
            snapshot: Repair::idle(),
            reporter: Reporter::new(config.report_every, now),
            outbox: Outbox { publish: true, ask: false, ..Outbox::default() },
            published,
            config,
        }
    }

    /// What was last given out to be published.
    #[must_use]
    pub fn published(&self) -> Arc<Published> {
        Arc::clone(&self.published)
    }

    /// What is applied.
    #[must_use]
    pub const fn heads(&self) -> Heads {
        Heads { deny: self.deny.state.applied(), grant: self.grant.state.applied() }
    }

    /// Records of lost history that go on denying.
    #[must_use]
    pub const fn orphans(&self) -> usize {
        self.overlay.orphans()
    }

    /// Digest of what is applied.
    #[must_use]
    pub const fn digest(&self) -> crate::digest::StateDigest {
        self.view.digest()
    }

    /// Makes the keys of this machine's view; a snapshot has to be built with it.
    #[must_use]
    pub const fn hasher(&self) -> &KeyHasher {
        &self.hasher
    }

    /// Whether the view is current at `now` under this agent's own lease.
    #[must_use]
    pub fn freshness(&self, now: BootNs) -> Freshness {
        match self.keeper.lease() {
            Some(lease) if self.is_sound() => {
                if now < lease.fresh_until(self.config.lease) {
                    Freshness::Fresh
                } else {
                    Freshness::Stale
                }
            }
            Some(_) | None => Freshness::Unsynced,
        }
    }

    /// The fault that keeps the view unsynced until it heals, or the controller from granting, if any.
    #[must_use]
    pub fn fault(&self) -> Option<AgentFault> {
        if let Some(frozen) = &self.frozen {
            return Some(match frozen {
                Frozen::Fork(lane, at) => AgentFault::Fork { lane: *lane, at: *at },
                Frozen::Digest => AgentFault::Digest,
                Frozen::Panic(lane, at) => AgentFault::Panic { lane: *lane, at: *at },
                Frozen::Lost(epoch) => AgentFault::LostHistory { epoch: *epoch },
            });
        }
        let poison = [&self.deny, &self.grant].into_iter().find_map(|feed| {
            let (at, reason) = feed.poison.as_ref()?;
            Some(AgentFault::Poison { lane: feed.state.lane(), at: *at, reason: reason.clone() })
        });
        let behind = || self.recall.behind().map(|(lane, at)| AgentFault::ControllerBehind { lane, at });
        poison.or_else(behind)
    }

    /// What stands against this agent in words, for reports and status pages: the standing fault, and orphans, which
    /// wait for people to admit them again or to end them.
    #[must_use]
    pub fn trouble(&self) -> Option<Box<str>> {
        let fault = self.fault();
        match (self.orphans(), fault) {
            (0, fault) => fault.map(|fault| fault.to_string().into()),
            (orphans, None) => Some(format!("orphans {orphans}").into()),
            (orphans, Some(fault)) => Some(format!("orphans {orphans}; {fault}").into()),
        }
    }

    /// Revisions of `lane` that are known to exist and not applied.
    #[must_use]
    pub const fn lag(&self, lane: Lane) -> u64 {
        match lane {
            Lane::Deny => self.deny.state.lag(),
            Lane::Grant(_) => self.grant.state.lag(),
        }
    }

    /// Next effect; `None`: all done until the next input.
    pub fn poll_output(&mut self) -> Option<AgentOutput> {
        let outbox = &mut self.outbox;
        if core::mem::take(&mut outbox.publish) {
            let lease = self.keeper.lease();
            let synced = lease.is_some() && self.is_sound();
            let extra = self.overlay.published();
            let published = Published { view: self.view.clone(), heads: self.heads(), lease, extra, synced };
            self.published = Arc::new(published);
            return Some(AgentOutput::Publish(self.published()));
        }
        // Why not while there are orphans: a restart from the state before finds them again.
        if self.overlay.orphans() == 0 && core::mem::take(&mut outbox.persist) {
            return Some(AgentOutput::Persist(self.published()));
        }
        if let Some(fault) = outbox.faults.pop_front() {
            return Some(AgentOutput::Fault(fault));
        }
        if let Some(report) = outbox.report.take() {
            return Some(AgentOutput::Report(report));
        }
        if core::mem::take(&mut outbox.ask) {
            return Some(AgentOutput::AskLease);
        }
        if let Some(after) = outbox.hand_back.take() {
            let messages = self.tail.after(after);
            if !messages.is_empty() {
                return Some(AgentOutput::HandBack(messages));
            }
        }
        if core::mem::take(&mut outbox.deny_range) {
            return Some(self.deny.range());
        }
        if core::mem::take(&mut outbox.grant_range) {
            return Some(self.grant.range());
        }
        core::mem::take(&mut outbox.snapshot).then_some(AgentOutput::FetchSnapshot)
    }

    /// Epoch of what is applied.
    fn heads_epoch(&self) -> Epoch {
        let heads = self.heads();
        heads.deny.position.epoch.max(heads.grant.position.epoch)
    }

    /// Whether nothing stands against calling the view current.
    fn is_sound(&self) -> bool {
        (self.frozen.is_none() && self.deny.poison.is_none() && self.grant.poison.is_none())
            || seeded::active(Bug::PoisonIgnored)
    }

    const fn feed_mut(&mut self, lane: Lane) -> Option<&mut Feed> {
        match lane {
            Lane::Deny => Some(&mut self.deny),
            Lane::Grant(0) => Some(&mut self.grant),
            Lane::Grant(_) => None,
        }
    }

    fn put_fault(&mut self, fault: AgentFault) {
        if self.outbox.faults.len() >= FAULTS_QUEUED_MAX {
            self.outbox.faults.pop_front();
        }
        self.outbox.faults.push_back(fault);
    }
}

#[cfg(test)]
pub(crate) mod tests;
