//! Following the chain: which entries are taken, how they fold, what stops the view.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::fault::AgentFault;
use super::lane::{Against, Next, Offered, Source};
use super::reporter::PROMPT_JITTER;
use super::{AgentMachine, Frozen};
use crate::change::{Change, ChangeBody};
use crate::entry::{ChainedEntry, Tick};
use crate::position::{Head, Heads, LANES, Lane, Revision};
use crate::seeded::{self, Bug};

/// A tick compared with what is applied, over all lanes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Judged {
    /// Everything at its heads is applied, by the same history.
    Holds,
    /// Something at its heads is missing.
    Behind,
    /// Cannot be told any more; the next one can.
    Forgotten,
    /// It showed that this view must not be trusted; the view is frozen.
    Broken,
}

impl AgentMachine {
    pub(super) fn accept(&mut self, entry: ChainedEntry, source: Source) {
        let lane = entry.entry.lane;
        if !self.is_our_chain(&entry.entry.chain) {
            return;
        }
        if entry.entry.changes.is_empty() {
            return self.put_fault(AgentFault::Unreadable { lane, reason: "no changes".into() });
        }
        let epoch = entry.entry.epoch;
        self.note_epoch(epoch);
        if source == Source::Live && Some(epoch) < self.epoch && !seeded::active(Bug::StragglerTaken) {
            // A deposed writer's. What of it is history comes when it is asked for.
            return;
        }
        self.note_lost(&entry.entry);
        let is_frozen = self.frozen.is_some();
        let deps = entry.entry.deps;
        let Some(feed) = self.feed_mut(lane) else {
            return self.put_fault(AgentFault::Unreadable { lane, reason: "unknown lane".into() });
        };
        if is_frozen {
            return feed.state.note_known(entry.entry.last().revision);
        }
        let is_early = lane == Lane::Deny
            && source == Source::Live
            && entry.entry.first > feed.state.applied().position.revision.next();
        if is_early {
            self.overlay.note_early(&entry);
        }
        let Some(feed) = self.feed_mut(lane) else { return };
        match feed.state.offer(entry, source) {
            Offered::Known | Offered::Buffered | Offered::Dropped => {}
            Offered::Fork(at) => self.freeze(Frozen::Fork(lane, at)),
        }
        if lane != Lane::Deny && Some(deps.epoch) == self.epoch {
            // The controller vouches that denies up to there exist.
            self.deny.state.note_known(deps.revision);
        }
    }

    /// Applies everything that is next, denies first: grants wait for them, never the other way round.
    pub(super) fn advance(&mut self) {
        for lane in LANES {
            while self.frozen.is_none() {
                let deny = self.deny.state.applied().position;
                let Some(feed) = self.feed_mut(lane) else { break };
                match feed.state.take_next(deny) {
                    Next::None => break,
                    Next::Fork(at) => self.freeze(Frozen::Fork(lane, at)),
                    Next::Misfit(reason) => {
                        self.poison(lane, reason.into());
                        break;
                    }
                    Next::Entry(entry) => {
                        if !self.apply(lane, &entry) {
                            break;
                        }
                    }
                }
            }
            self.close(lane);
        }
        if self.overlay.early() > 0 && self.deny.state.lag() == 0 {
            self.overlay.restart_early(core::iter::empty());
        }
        self.outbox.publish |= self.overlay.is_dirty();
    }

    /// Folds one entry as a whole. False where it does not fold: the lane stops before it.
    fn apply(&mut self, lane: Lane, entry: &ChainedEntry) -> bool {
        let misplaced = |change: &Change| change.body.lane().is_some_and(|belongs| belongs != lane);
        let folded = if entry.entry.changes.iter().any(misplaced) {
            Err("change of another lane".into())
        } else {
            let (fold, view) = (self.fold, &mut self.view);
            // Why unwind safe: a view in which a panic happened is thrown away.
            match catch_unwind(AssertUnwindSafe(|| fold(view, &entry.entry.changes))) {
                Ok(folded) => folded.map_err(|error| error.to_string().into()),
                Err(_) => {
                    self.throw_view_away(lane, entry.entry.first);
                    return false;
                }
            }
        };
        if let Err(reason) = folded {
            self.poison(lane, reason);
            if lane == Lane::Deny {
                // What it denies and what was buffered behind it denies all the same.
                self.overlay.note_early(entry);
                self.deny.state.pending().for_each(|entry| self.overlay.note_early(entry));
            }
            return false;
        }
        if lane == Lane::Deny {
            self.tail.push(entry);
        }
        self.overlay.settle(entry);
        let head = Head { position: entry.entry.last(), hash: entry.hash };
        let prompt = entry.entry.changes.iter().any(|change| match change.body {
            ChangeBody::Forget { .. } => false,
            ChangeBody::Record(_)
            | ChangeBody::Lift { .. }
            | ChangeBody::Reinstate { .. }
            | ChangeBody::Withdraw { .. } => true,
            ChangeBody::Grant(_) | ChangeBody::Epoch(_) | ChangeBody::Skipped => false,
        });
        if let Some(feed) = self.feed_mut(lane) {
            feed.state.advance(head);
            feed.poison = None;
            feed.unreadable = 0;
            feed.is_too_old = false;
            let passed = feed.closed_at.as_ref().is_some_and(|(at, _)| *at <= head.position.revision);
            if passed {
                feed.closed_at = None;
            }
        }
        if prompt {
            self.reporter.soon(self.now, PROMPT_JITTER, &mut self.jitter);
        }
        self.outbox.publish = true;
        self.outbox.persist = true;
        true
    }

    /// Stops a lane before a signed message that is not understood, where it is the next one.
    fn close(&mut self, lane: Lane) {
        let Some(feed) = self.feed_mut(lane) else { return };
        let applied = feed.state.applied().position.revision;
        match feed.closed_at.take() {
            Some((at, _)) if at <= applied => {}
            Some((at, reason)) if at == applied.next() => self.poison(lane, reason),
            later => feed.closed_at = later,
        }
    }

    fn poison(&mut self, lane: Lane, reason: Box<str>) {
        let Some(feed) = self.feed_mut(lane) else { return };
        let at = feed.state.applied().position.revision.next();
        let is_news = feed.poison.as_ref().is_none_or(|(there, _)| *there != at);
        feed.poison = Some((at, reason.clone()));
        if is_news {
            self.put_fault(AgentFault::Poison { lane, at, reason });
            if seeded::active(Bug::PoisonIgnored) {
                return;
            }
            self.fail_closed();
        }
    }

    /// INVARIANT (S12, S13): nothing more is applied and nothing allowed until a snapshot.
    pub(super) fn freeze(&mut self, frozen: Frozen) {
        let later = match (&self.frozen, &frozen) {
            (Some(Frozen::Lost(there)), Frozen::Lost(seen)) => seen > there,
            // It says where the histories part, and which epoch a snapshot has to be of.
            (Some(_), Frozen::Lost(_)) | (None, _) => true,
            (Some(_), _) => false,
        };
        if later {
            self.frozen = Some(frozen);
            if let Some(fault) = self.fault() {
                self.put_fault(fault);
            }
            self.fail_closed();
        }
    }

    /// INVARIANT (S12): a view in which a panic happened vouches for nothing. What was published is whole.
    fn throw_view_away(&mut self, lane: Lane, at: Revision) {
        self.view = self.published.view.clone();
        self.deny.state.reset(self.published.heads.deny);
        self.grant.state.reset(self.published.heads.grant);
        self.outbox.persist = false;
        self.freeze(Frozen::Panic(lane, at));
    }

    pub(super) fn fail_closed(&mut self) {
        self.drop_lease();
        self.outbox.publish = true;
        self.reporter.soon(self.now, PROMPT_JITTER, &mut self.jitter);
    }

    pub(super) fn drop_lease(&mut self) {
        if self.keeper.drop_lease() {
            self.outbox.publish = true;
        }
    }

    pub(super) fn note_heads(&mut self, heads: &Heads) {
        for lane in LANES {
            if let (Some(head), Some(named)) = (heads.get(lane), self.named.get_mut(lane))
                && head.position > named.position
            {
                *named = *head;
            }
            if let (Some(head), Some(feed)) = (heads.get(lane), self.feed_mut(lane)) {
                feed.state.note_known(head.position.revision);
            }
        }
    }

    /// Compares a tick of this chain and epoch with what is applied; freezes the view where it contradicts.
    pub(super) fn judge(&mut self, tick: &Tick) -> Judged {
        let deny = self.deny.state.against(&tick.heads.deny);
        let grant = self.grant.state.against(&tick.heads.grant);
        match (deny, grant) {
            (Against::Fork(at), _) => self.freeze(Frozen::Fork(Lane::Deny, at)),
            (_, Against::Fork(at)) => self.freeze(Frozen::Fork(Lane::Grant(0), at)),
            (Against::At, Against::At)
                if self.view.digest() != tick.digest && !seeded::active(Bug::DigestNotCompared) =>
            {
                self.freeze(Frozen::Digest);
            }
            (Against::Behind, _) | (_, Against::Behind) => return Judged::Behind,
            (Against::Forgotten, _) | (_, Against::Forgotten) => return Judged::Forgotten,
            (Against::At | Against::Past, Against::At | Against::Past) => return Judged::Holds,
        }
        Judged::Broken
    }

    /// Installs what waiting grants allow by now. INVARIANT (S1): only where all heads of the grant's tick are
    /// applied by the same history.
    pub(super) fn install_grants(&mut self) {
        if !self.keeper.has_waiting() || !self.is_sound() {
            return;
        }
        for granted in self.keeper.take_waiting() {
            // A fork that an earlier one showed ends this.
            if !self.is_sound() {
                return;
            }
            // A deposed controller's: a later epoch was heard of meanwhile.
            if Some(granted.tick.epoch) < self.epoch && !seeded::active(Bug::AcceptOldEpoch) {
                continue;
            }
            match self.judge(&granted.tick) {
                Judged::Holds => {
                    if self.keeper.install(&granted) {
                        self.outbox.publish = true;
                    }
                }
                Judged::Behind if seeded::active(Bug::InstallWithoutHead) => {
                    if self.keeper.install(&granted) {
                        self.outbox.publish = true;
                    }
                }
                Judged::Behind => self.keeper.wait(granted),
                Judged::Forgotten | Judged::Broken => {}
            }
        }
    }
}
