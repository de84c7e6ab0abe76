//! Running on after an input: what follows from it, and what time brings.

use core::time::Duration;

use super::repair::{GAP_GRACE, RANGE_DEADLINE, SNAPSHOT_DEADLINE};
use super::reporter::PROMPT_JITTER;
use super::{AgentMachine, LAG_SNAPSHOT_MIN};
use crate::report::{Freshness, Report};
use crate::seeded::{self, Bug};
use crate::time::{BootNs, UnixMs};

/// Spread of snapshot fetches, which a whole realm may begin at the same tick.
const SNAPSHOT_GRACE: Duration = Duration::from_millis(250);

impl AgentMachine {
    /// When [`Self::handle_timeout`] is due at the latest; earlier calls do no harm.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<BootNs> {
        let expiry = match (self.keeper.lease(), self.freshness(self.now)) {
            (Some(lease), Freshness::Fresh) => Some(lease.fresh_until(self.config.lease)),
            (Some(_) | None, Freshness::Fresh | Freshness::Stale | Freshness::Unsynced) => None,
        };
        [
            Some(self.keeper.ask_at()),
            Some(self.reporter.due()),
            self.deny.repair.wakes_at(),
            self.grant.repair.wakes_at(),
            self.snapshot.wakes_at(),
            self.recall.wakes_at(),
            expiry,
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Takes the time of an input; never back.
    pub(super) fn observe(&mut self, now: BootNs) {
        self.now = self.now.max(now);
    }

    pub(super) fn run(&mut self, now: BootNs) {
        self.observe(now);
        self.advance();
        self.install_grants();
        self.plan_repairs();
        self.fire_repairs();
        self.outbox.hand_back = self.recall.take_due(self.now).or(self.outbox.hand_back);
        if self.keeper.ask_at() <= self.now {
            self.outbox.ask = true;
            if self.keeper.plan_repeat(self.now, &mut self.jitter) {
                // Why: a controller that has just started grants nothing to a run that it has not heard of.
                self.reporter.soon(self.now, Duration::ZERO, &mut self.jitter);
            }
        }
        self.report_when_due();
    }

    fn plan_repairs(&mut self) {
        let is_frozen = self.frozen.is_some();
        let Self { deny, grant, jitter, now, .. } = self;
        for feed in [deny, grant] {
            let lag_is_large = feed.state.lag() > LAG_SNAPSHOT_MIN && feed.state.is_missing_next();
            if lag_is_large && feed.repair.is_idle() {
                feed.is_too_old = true;
            }
            if is_frozen || feed.is_too_old || !feed.state.is_missing_next() {
                feed.repair.settle();
            } else {
                let at = now.plus(GAP_GRACE).plus(jitter.up_to(GAP_GRACE));
                feed.repair.want(at);
            }
        }
        let is_wanted = is_frozen
            || [&self.deny, &self.grant].iter().any(|feed| feed.is_too_old || feed.poison.is_some());
        if is_wanted {
            let at = self.now.plus(self.jitter.up_to(SNAPSHOT_GRACE));
            self.snapshot.want(at);
        } else {
            let is_whole = !self.deny.state.is_missing_next() && !self.grant.state.is_missing_next();
            if is_whole {
                self.snapshot.settle();
            } else {
                self.snapshot.pause();
            }
            self.outbox.snapshot = false;
        }
    }

    fn fire_repairs(&mut self) {
        let Self { deny, grant, jitter, now, outbox, .. } = self;
        for (feed, place) in [(deny, &mut outbox.deny_range), (grant, &mut outbox.grant_range)] {
            if feed.repair.is_overdue(*now) {
                let max = feed.backoff_max();
                feed.repair.fail_range(*now, max, jitter);
            }
            *place |= feed.repair.send(*now, RANGE_DEADLINE);
        }
        if self.snapshot.is_overdue(self.now) {
            self.fail_snapshot(self.now);
        }
        self.outbox.snapshot |= self.snapshot.send(self.now, SNAPSHOT_DEADLINE);
    }

    fn reported_heads(&self) -> crate::position::Heads {
        let mut heads = self.heads();
        if seeded::active(Bug::AckBeforePublish) {
            heads.deny.position.revision.0 += self.lag(crate::position::Lane::Deny);
        }
        heads
    }

    fn report_when_due(&mut self) {
        let freshness = self.freshness(self.now);
        if self.reporter.differs(freshness) {
            self.reporter.soon(self.now, PROMPT_JITTER, &mut self.jitter);
        }
        if self.reporter.due() > self.now {
            return;
        }
        let occasion = self.reporter.take(self.now, freshness, &mut self.jitter);
        let fault = self.trouble().or(occasion.passing_fault).unwrap_or_default();
        // A report that nobody has polled yet is replaced, what it alone knew is not lost.
        let unsent = self.outbox.report.take().and_then(|report| report.first_deny_at);
        let first_deny_at = [unsent, occasion.first_deny_at].into_iter().flatten().min();
        self.outbox.report = Some(Box::new(Report {
            agent: self.config.agent.clone(),
            instance: self.config.instance,
            sequence: occasion.sequence,
            service: self.config.service.clone(),
            applied: self.reported_heads(),
            durable: if seeded::active(Bug::DurableBeforeDisk) { self.heads() } else { self.durable },
            digest: self.view.digest(),
            freshness,
            stale_policy: self.config.stale_policy.clone(),
            target_kinds: self.config.target_kinds,
            fault,
            version: self.config.version.clone(),
            at: UnixMs::default(),
            first_deny_at,
        }));
    }
}
