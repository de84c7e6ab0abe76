//! What arrives: each input is judged, taken or refused, then the machine runs on.

use core::time::Duration;

use super::fault::{AgentFault, ClockFault, SnapshotRefusal};
use super::lane::{Against, Source};
use super::reporter::{DURABLE_WAIT, PROMPT_JITTER};
use super::{AgentMachine, Feed, Frozen, Link, RANGE_UNREADABLE_MAX, RangeFailure, RangeRest, Unreadable};
use crate::entry::{ChainedEntry, Tick};
use crate::lease::{LeaseGrant, LeaseRequest, Nonce};
use crate::position::{Heads, Lane};
use crate::seeded::{self, Bug};
use crate::snapshot::Manifest;
use crate::time::{BootNs, UnixMs};
use crate::view::View;

/// Spread of lease requests after the bus came back: a realm of 10,000 agents asks within it.
const RECONNECT_JITTER: Duration = Duration::from_millis(200);

impl AgentMachine {
    /// An entry from the live subject.
    pub fn handle_entry(&mut self, now: BootNs, entry: ChainedEntry) {
        self.observe(now);
        self.accept(entry, Source::Live);
        self.run(now);
    }

    /// A tick from the live subject: names heads and a digest to compare with. Never makes anybody fresh.
    pub fn handle_tick(&mut self, now: BootNs, tick: &Tick) {
        self.observe(now);
        if self.is_current(tick) {
            self.note_heads(&tick.heads);
            self.judge(tick);
            if seeded::active(Bug::HeartbeatMakesFresh) {
                self.keeper.renew_at(now);
                self.outbox.publish = true;
            }
        }
        self.run(now);
    }

    /// A message that could not be read or verified. A signed one with a revision is poison at that place.
    pub fn handle_unreadable(&mut self, now: BootNs, unreadable: Unreadable) {
        self.observe(now);
        let Unreadable { lane, at, reason } = unreadable;
        match (at, self.feed_mut(lane)) {
            (Some(at), Some(feed)) if at > feed.state.applied().position.revision => {
                feed.state.note_known(at);
                if feed.closed_at.as_ref().is_none_or(|(there, _)| at < *there) {
                    feed.closed_at = Some((at, reason));
                }
            }
            (_, _) => self.put_fault(AgentFault::Unreadable { lane, reason }),
        }
        self.run(now);
    }

    /// The subscription dropped messages. Why no fault of state: a lease that is installed proved everything
    /// up to its anchor; the next one is installed only when the gap is filled. A grant shows the gap.
    pub fn handle_overflow(&mut self, now: BootNs) {
        self.observe(now);
        self.put_fault(AgentFault::Overflow);
        if seeded::active(Bug::PendingOverflowSkips) {
            self.deny.state.skip_missing();
            self.outbox.publish = true;
        }
        self.reporter.note_fault("overflow".into());
        let at = now.plus(self.jitter.up_to(PROMPT_JITTER));
        self.keeper.hurry(at);
        self.run(now);
    }

    /// The bus connected or disconnected. After a heal everything that waits goes out soon (L2).
    pub fn handle_link(&mut self, now: BootNs, link: Link) {
        self.observe(now);
        match link {
            Link::Up => {
                let at = now.plus(self.jitter.up_to(RECONNECT_JITTER));
                self.keeper.hurry(at);
                self.hurry_repairs(at);
                // With the ask: who is not heard is not granted.
                self.reporter.soon(at, Duration::ZERO, &mut self.jitter);
            }
            Link::Down => {}
        }
        self.run(now);
    }

    /// A lease request to send now. `now_before_send` was read before anything is sent, and is the only anchor
    /// of the lease (S1); `nonce` is fresh and random.
    pub fn begin_lease(&mut self, now_before_send: BootNs, nonce: Nonce) -> LeaseRequest {
        self.keeper.begin(now_before_send, nonce, self.named);
        LeaseRequest { agent: self.config.agent.clone(), instance: self.config.instance, nonce }
    }

    /// A grant, verified: signature of the tick, key role, path of *this instance's* nonce to the root.
    pub fn handle_grant(&mut self, now: BootNs, grant: LeaseGrant) {
        self.observe(now);
        if self.is_current(&grant.tick)
            && let Some(granted) = self.keeper.redeem(now, grant, &mut self.jitter)
        {
            if let Some((lane, at)) = granted.is_behind() {
                self.recall(lane, at);
                return self.run(now);
            }
            self.end_recall();
            self.note_heads(&granted.tick.heads);
            // A round trip worked: what waits for a back-off need not.
            if self.deny.poison.is_none() && self.grant.poison.is_none() && self.frozen.is_none() {
                let at = now.plus(self.jitter.up_to(PROMPT_JITTER));
                self.deny.repair.hurry(at);
                self.grant.repair.hurry(at);
            }
            self.keeper.wait(granted);
        }
        self.run(now);
    }

    /// Entries that were asked for.
    pub fn handle_range(&mut self, now: BootNs, lane: Lane, entries: Vec<ChainedEntry>, rest: RangeRest) {
        self.observe(now);
        let before = self.heads();
        for entry in entries {
            self.accept(entry, Source::Range);
        }
        self.advance();
        let after = self.heads();
        let progressed = before.get(lane) != after.get(lane);
        let Self { deny, grant, jitter, .. } = self;
        let feed = if lane == Lane::Deny { deny } else { grant };
        if progressed {
            feed.unreadable = 0;
            feed.repair.progressed();
        }
        if progressed && rest == RangeRest::More {
            feed.repair.want_now(now);
        } else {
            let max = feed.backoff_max();
            feed.repair.fail_range(now, max, jitter);
        }
        self.run(now);
    }

    /// The entries that were asked for did not come.
    pub fn handle_range_failed(&mut self, now: BootNs, lane: Lane, failure: RangeFailure) {
        self.observe(now);
        let Self { deny, grant, jitter, .. } = self;
        let feed = if lane == Lane::Deny { deny } else { grant };
        match failure {
            RangeFailure::Unavailable => {}
            RangeFailure::TooOld => feed.is_too_old = true,
            RangeFailure::Unreadable => {
                feed.unreadable = feed.unreadable.saturating_add(1);
                if feed.unreadable >= RANGE_UNREADABLE_MAX && feed.state.is_missing_next() {
                    let next = feed.state.applied().position.revision.next();
                    feed.closed_at = Some((next, "unreadable from every source".into()));
                }
            }
        }
        let max = feed.backoff_max();
        feed.repair.fail_range(now, max, jitter);
        self.run(now);
    }

    /// A snapshot: its manifest, verified, and the view that the shell built from its items with
    /// [`Self::hasher`].
    pub fn handle_snapshot(&mut self, now: BootNs, manifest: &Manifest, view: View) {
        self.observe(now);
        match self.check_snapshot(manifest, &view) {
            Ok(()) => {
                self.install_snapshot(manifest, view);
                // Where it cleared all that it was wanted for, `run` settles this again.
                self.snapshot.fail_snapshot(now, &mut self.jitter);
            }
            Err(refusal) => {
                self.fail_snapshot(now);
                self.put_fault(AgentFault::SnapshotRefused(refusal));
                if refusal == SnapshotRefusal::Fork {
                    let at = self.heads().deny.position.revision;
                    self.freeze(Frozen::Fork(Lane::Deny, at));
                }
            }
        }
        self.run(now);
    }

    /// The snapshot did not come.
    pub fn handle_snapshot_failed(&mut self, now: BootNs) {
        self.observe(now);
        self.fail_snapshot(now);
        self.run(now);
    }

    /// The store has everything up to `heads` on disk.
    pub fn handle_persisted(&mut self, now: BootNs, heads: Heads) {
        self.observe(now);
        let applied = self.heads();
        let before = self.durable;
        for lane in crate::position::LANES {
            let (Some(head), Some(applied), Some(durable)) =
                (heads.get(lane), applied.get(lane), self.durable.get_mut(lane))
            else {
                continue;
            };
            // INVARIANT (S5, S10): never back, and never past what decisions see.
            if head.position > durable.position && head.position <= applied.position {
                *durable = *head;
            }
        }
        if self.durable.deny != before.deny {
            self.reporter.soon(now, DURABLE_WAIT, &mut self.jitter);
        }
        self.run(now);
    }

    /// The clocks contradict each other: what was measured with them is void (S15).
    pub fn handle_clock_fault(&mut self, now: BootNs, fault: ClockFault) {
        self.observe(now);
        self.put_fault(AgentFault::Clock(fault));
        self.reporter.note_fault(AgentFault::Clock(fault).to_string().into());
        if !seeded::active(Bug::LeaseSurvivesClockFault) {
            self.drop_lease();
        }
        if !seeded::active(Bug::AnchorsSurviveClockFault) {
            self.keeper.forget_anchors();
        }
        self.keeper.hurry(now);
        self.run(now);
    }

    /// A request was denied for a record for the first time, at this wall clock: evidence for the board.
    pub fn handle_first_deny(&mut self, now: BootNs, at: UnixMs) {
        self.observe(now);
        self.reporter.note_first_deny(at);
        self.reporter.soon(now, PROMPT_JITTER, &mut self.jitter);
        self.run(now);
    }

    /// The time of [`Self::poll_timeout`] came, or any later one.
    pub fn handle_timeout(&mut self, now: BootNs) {
        self.observe(now);
        self.run(now);
    }

    fn check_snapshot(&self, manifest: &Manifest, view: &View) -> Result<(), SnapshotRefusal> {
        if manifest.chain != self.config.chain {
            return Err(SnapshotRefusal::ForeignChain);
        }
        if *view.hasher() != self.hasher {
            return Err(SnapshotRefusal::OtherKeys);
        }
        if view.digest() != manifest.digest {
            return Err(SnapshotRefusal::Digest);
        }
        for (feed, head) in [(&self.deny, manifest.heads.deny), (&self.grant, manifest.heads.grant)] {
            // INVARIANT (S5): never back, not to heal either.
            if head.position < feed.state.applied().position && !seeded::active(Bug::SnapshotOlderAccepted) {
                return Err(SnapshotRefusal::Older);
            }
            let same_place = head.position == feed.state.applied().position;
            // A second history is taken only by one who already denies everything because of it.
            if same_place && self.frozen.is_none() && feed.state.against(&head) != Against::At {
                return Err(SnapshotRefusal::Fork);
            }
            // After lost history, only what is behind the fences is of the history that goes on.
            if matches!(self.frozen, Some(Frozen::Lost(epoch)) if head.position.epoch < epoch) {
                return Err(SnapshotRefusal::Older);
            }
        }
        Ok(())
    }

    fn install_snapshot(&mut self, manifest: &Manifest, view: View) {
        let moved = self.heads() != manifest.heads;
        let epoch = manifest.heads.deny.position.epoch.max(manifest.heads.grant.position.epoch);
        let is_later = self.heads_epoch() < epoch;
        if is_later {
            self.drop_lease();
        }
        let parts = self.parts_from(&manifest.heads);
        let starts_over = parts || is_later || self.frozen.is_some();
        if parts && !matches!(self.frozen, Some(Frozen::Lost(_))) {
            // INVARIANT (S8): nobody proved that what this history denied was given up or ended.
            self.overlay.adopt(&self.view.records_missing_in(&view));
        }
        self.overlay.compare(&view, epoch);
        self.note_epoch(epoch);
        self.frozen = None;
        self.view = view;
        for (feed, head) in [(&mut self.deny, manifest.heads.deny), (&mut self.grant, manifest.heads.grant)] {
            if starts_over {
                // What was buffered may be of the history that is left behind.
                feed.state.start_over(head);
            } else {
                feed.state.reset(head);
            }
            feed.is_too_old = false;
            feed.unreadable = 0;
            if feed.poison.as_ref().is_some_and(|(at, _)| *at <= head.position.revision) {
                feed.poison = None;
            }
        }
        self.tail.clear();
        self.overlay.restart_early(self.deny.state.pending());
        self.outbox.publish = true;
        self.outbox.persist |= moved;
        self.reporter.soon(self.now, PROMPT_JITTER, &mut self.jitter);
    }

    pub(super) fn fail_snapshot(&mut self, now: BootNs) {
        self.snapshot.fail_snapshot(now, &mut self.jitter);
        // Why: a tail that was gone may be served by another controller by now.
        for feed in [&mut self.deny, &mut self.grant] {
            if core::mem::take(&mut feed.is_too_old) {
                feed.repair.want_now(now);
            }
        }
    }

    fn hurry_repairs(&mut self, at: BootNs) {
        self.deny.repair.hurry(at);
        self.grant.repair.hurry(at);
        self.snapshot.hurry(at);
    }
}

impl Feed {
    pub(super) const fn backoff_max(&self) -> Duration {
        match self.poison {
            Some(_) => super::repair::POISON_BACKOFF_MAX,
            None => super::repair::RANGE_BACKOFF_MAX,
        }
    }
}
