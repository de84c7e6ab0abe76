//! Nonces under way, grants that wait for a gap to be filled, and the lease that is installed.

use core::time::Duration;
use std::collections::VecDeque;

use super::jitter::Jitter;
use crate::entry::Tick;
use crate::lease::{LEASE_MAX, Lease, LeaseGrant, NONCES_OUTSTANDING_MAX, Nonce};
use crate::position::{Heads, LANES, Lane, Position};
use crate::seeded::{self, Bug};
use crate::time::BootNs;

/// Limit: grants that wait for missing entries; the newest matter most.
pub(super) const GRANTS_WAITING_MAX: usize = NONCES_OUTSTANDING_MAX;
/// A lease is renewed at a fifth of its length. Source: protocol.md section 4, rule 1.
const RENEWALS_PER_LEASE: u32 = 5;
/// Why an unanswered ask is repeated sooner than a renewal: 1.2 fifths and four repeats at 1.2 eighths are
/// 0.84 of a lease, so four lost renewals in a row expire nobody (L3), also with the longest jitter.
const REPEATS_PER_LEASE: u32 = 8;
/// Shortest pause between two asks, whatever the lease.
const ASK_PAUSE_MIN: Duration = Duration::from_millis(10);

#[derive(Debug, Clone, Copy)]
struct Asked {
    nonce: Nonce,
    at: BootNs,
    /// What was applied when it was sent.
    applied: Heads,
}

/// A grant whose nonce was ours. Its anchor was fixed when its nonce was sent.
#[derive(Debug, Clone)]
pub(super) struct Granted {
    pub(super) tick: Tick,
    asked_at: BootNs,
    granted_at: BootNs,
    applied: Heads,
}

impl Granted {
    /// Where the controller stands, if that is below what was applied from it when the nonce was sent: it lost
    /// accepted changes, because its tick was appended later.
    pub(super) fn is_behind(&self) -> Option<(Lane, Position)> {
        LANES.into_iter().find_map(|lane| {
            let (tick, applied) = (self.tick.heads.get(lane)?, self.applied.get(lane)?);
            (tick.position < applied.position).then_some((lane, tick.position))
        })
    }

    /// Limit: no controller gives more than [`LEASE_MAX`], whatever it signs.
    fn length(&self) -> Duration {
        Duration::from_millis(u64::from(self.tick.lease_ms)).min(LEASE_MAX)
    }
}

#[derive(Debug)]
pub(super) struct LeaseKeeper {
    outstanding: VecDeque<Asked>,
    waiting: VecDeque<Granted>,
    lease: Option<Lease>,
    length: Duration,
    ask_at: BootNs,
    unanswered: u32,
}

impl LeaseKeeper {
    /// Asks at once: `length` is the lease that this agent's strictest policy wants.
    pub(super) const fn new(length: Duration, now: BootNs) -> Self {
        Self {
            outstanding: VecDeque::new(),
            waiting: VecDeque::new(),
            lease: None,
            length,
            ask_at: now,
            unanswered: 0,
        }
    }

    pub(super) const fn lease(&self) -> Option<Lease> {
        self.lease
    }

    pub(super) const fn ask_at(&self) -> BootNs {
        self.ask_at
    }

    pub(super) fn hurry(&mut self, at: BootNs) {
        self.ask_at = self.ask_at.min(at);
    }

    /// An ask is put out; the next one goes if this one is not answered. True where the one before was not.
    pub(super) fn plan_repeat(&mut self, now: BootNs, jitter: &mut Jitter) -> bool {
        let pause =
            if seeded::active(Bug::RenewOnlyOnce) { self.length } else { self.length / REPEATS_PER_LEASE };
        self.ask_at = now.plus(jitter.around(pause).max(ASK_PAUSE_MIN));
        let is_repeat = self.unanswered > 0;
        self.unanswered = self.unanswered.saturating_add(1);
        is_repeat
    }

    /// Binds `nonce` to `now`, the clock before it is sent. INVARIANT (S1): the only anchor that a lease has.
    pub(super) fn begin(&mut self, now: BootNs, nonce: Nonce, applied: Heads) {
        if self.outstanding.len() >= NONCES_OUTSTANDING_MAX {
            self.outstanding.pop_front();
        }
        self.outstanding.push_back(Asked { nonce, at: now, applied });
    }

    /// Redeems a nonce of ours, once; `None` for any other.
    pub(super) fn redeem(&mut self, now: BootNs, grant: LeaseGrant, jitter: &mut Jitter) -> Option<Granted> {
        let newest =
            seeded::active(Bug::NonceNotBound).then(|| self.outstanding.len().checked_sub(1)).flatten();
        let place =
            newest.or_else(|| self.outstanding.iter().position(|asked| asked.nonce == grant.nonce))?;
        let asked = self.outstanding.remove(place)?;
        self.unanswered = 0;
        let length = self.length.min(Duration::from_millis(u64::from(grant.tick.lease_ms)));
        let renewal = asked.at.plus(jitter.around(length / RENEWALS_PER_LEASE).max(ASK_PAUSE_MIN));
        self.ask_at = renewal.max(now.plus(ASK_PAUSE_MIN));
        let asked_at = if seeded::active(Bug::AnchorAtReceipt) { now } else { asked.at };
        Some(Granted { tick: grant.tick, asked_at, granted_at: now, applied: asked.applied })
    }

    /// Keeps a grant until the state reaches its heads.
    pub(super) fn wait(&mut self, granted: Granted) {
        if self.waiting.len() >= GRANTS_WAITING_MAX {
            self.waiting.pop_front();
        }
        self.waiting.push_back(granted);
    }

    /// All grants that wait, to be judged again.
    pub(super) fn take_waiting(&mut self) -> VecDeque<Granted> {
        core::mem::take(&mut self.waiting)
    }

    pub(super) fn has_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Installs a grant whose heads are applied. True where the lease now ends later.
    pub(super) fn install(&mut self, granted: &Granted) -> bool {
        let lease = Lease {
            asked_at: granted.asked_at,
            granted_at: granted.granted_at,
            controller_time: granted.tick.controller_time,
            length: granted.length(),
        };
        let longer = self.lease.is_none_or(|held| ends(&lease) > ends(&held));
        if longer {
            self.lease = Some(lease);
        }
        longer
    }

    /// Only for [`Bug::HeartbeatMakesFresh`].
    pub(super) const fn renew_at(&mut self, now: BootNs) {
        if let Some(lease) = &mut self.lease {
            lease.asked_at = now;
        }
    }

    /// Drops the lease. True where there was one.
    pub(super) const fn drop_lease(&mut self) -> bool {
        self.lease.take().is_some()
    }

    /// Drops everything that was measured: the clock is in doubt.
    pub(super) fn forget_anchors(&mut self) {
        self.outstanding.clear();
        self.waiting.clear();
    }
}

fn ends(lease: &Lease) -> BootNs {
    lease.fresh_until(lease.length)
}
