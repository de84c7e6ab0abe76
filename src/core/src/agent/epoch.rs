//! Epochs: which messages still count, what a fence that gives up history does, and a controller that went back.

use core::time::Duration;

use super::fault::AgentFault;
use super::lane::{Against, LaneState};
use super::reporter::PROMPT_JITTER;
use super::{AgentMachine, Frozen};
use crate::entry::{Entry, Tick};
use crate::ids::ChainId;
use crate::position::{Epoch, Heads, LANES, Lane, Position, Revision};
use crate::seeded::{self, Bug};
use crate::time::BootNs;

/// Spread of what agents hand back: many hold the same entries, and the first to come suffice.
const HAND_BACK_JITTER: Duration = Duration::from_millis(500);
/// Shortest pause between two of them.
const HAND_BACK_PAUSE: Duration = Duration::from_secs(2);

/// A controller that stands below this agent, and when its entries go back to it.
#[derive(Debug, Default)]
pub(super) struct Recall {
    behind: Option<(Lane, Position)>,
    due: Option<(Revision, BootNs)>,
    last: Option<BootNs>,
}

impl Recall {
    /// Where the controller stands, while it is known to be behind.
    pub(super) const fn behind(&self) -> Option<(Lane, Position)> {
        self.behind
    }

    pub(super) fn wakes_at(&self) -> Option<BootNs> {
        self.due.map(|(_, at)| at)
    }

    /// After which revision to hand back, once it is time.
    pub(super) fn take_due(&mut self, now: BootNs) -> Option<Revision> {
        let (after, _) = self.due.take_if(|(_, at)| *at <= now)?;
        self.last = Some(now);
        Some(after)
    }
}

impl AgentMachine {
    pub(super) fn is_our_chain(&mut self, chain: &ChainId) -> bool {
        let is_ours = *chain == self.config.chain;
        if !is_ours {
            self.put_fault(AgentFault::ForeignChain);
        }
        is_ours
    }

    /// Something verified spoke of this epoch.
    pub(super) fn note_epoch(&mut self, epoch: Epoch) {
        if Some(epoch) > self.epoch {
            self.epoch = Some(epoch);
            self.deny.state.note_epoch(epoch);
            self.grant.state.note_epoch(epoch);
        }
    }

    /// Whether a tick counts: of this chain, of no earlier epoch than was heard of, and after its fences. A later
    /// epoch is a gap to be filled and no fault: the lease that is held proved what it proved.
    pub(super) fn is_current(&mut self, tick: &Tick) -> bool {
        if !self.is_our_chain(&tick.chain)
            || (Some(tick.epoch) < self.epoch && !seeded::active(Bug::AcceptOldEpoch))
        {
            return false;
        }
        // INVARIANT (S1, S13): before the fences of an epoch stand in every lane, a deposed writer may still get
        // something accepted in one of them, and a tick proves nothing.
        let is_fenced = |lane| tick.heads.get(lane).is_some_and(|head| head.position.epoch == tick.epoch);
        if tick.epoch > Epoch(1) && !LANES.into_iter().all(is_fenced) {
            let reason = "a tick before the fences of its epoch".into();
            self.put_fault(AgentFault::Unreadable { lane: Lane::Deny, reason });
            return false;
        }
        self.note_epoch(tick.epoch);
        true
    }

    /// A fence that two persons signed: where it continues below what is applied, that history is lost. Its records
    /// deny on as orphans, and the rest comes by a snapshot.
    pub(super) fn note_lost(&mut self, fence: &Entry) {
        let Some(lost) = fence.fence_start().and_then(|start| start.lost.as_deref()) else { return };
        if matches!(self.frozen, Some(Frozen::Lost(epoch)) if epoch >= fence.epoch) {
            return;
        }
        // A lane that is behind its fence took the branch already.
        let against = |state: &LaneState, branch| match state.applied().position.epoch >= fence.epoch {
            true => Against::At,
            false => state.against(branch),
        };
        let deny = against(&self.deny.state, &lost.branch.deny);
        let grant = against(&self.grant.state, &lost.branch.grant);
        let continues = |against| matches!(against, Against::At | Against::Behind);
        if continues(deny) && continues(grant) {
            return;
        }
        let after = match deny {
            Against::At | Against::Behind => None,
            Against::Past | Against::Forgotten => Some(lost.branch.deny.position.revision),
            // The histories part somewhere below: every record may be one of those that are lost.
            Against::Fork(_) => Some(Revision(0)),
        };
        if let Some(after) = after {
            self.overlay.adopt(&self.view.records_after(after));
        }
        self.deny.state.forget_pending();
        self.grant.state.forget_pending();
        self.overlay.restart_early(core::iter::empty());
        self.tail.clear();
        self.recall = Recall::default();
        self.freeze(Frozen::Lost(fence.epoch));
    }

    /// The controller refuses leases because somebody reported more than it has: it stands at `at`. Whoever holds
    /// more hands it back.
    pub fn handle_behind(&mut self, now: BootNs, lane: Lane, at: Position) {
        self.observe(now);
        let is_ahead = self.heads().get(lane).is_some_and(|head| head.position > at);
        if is_ahead {
            self.recall(lane, at);
        }
        self.run(now);
    }

    /// INVARIANT (S5, S13): a controller that is below what it had signed has lost accepted changes.
    pub(super) fn recall(&mut self, lane: Lane, at: Position) {
        if self.recall.behind != Some((lane, at)) {
            self.recall.behind = Some((lane, at));
            self.put_fault(AgentFault::ControllerBehind { lane, at });
            self.outbox.publish = true;
            self.reporter.soon(self.now, PROMPT_JITTER, &mut self.jitter);
        }
        let deny = self.heads().deny.position;
        let after = if lane == Lane::Deny { at.revision } else { deny.revision };
        if self.recall.due.is_none() && after < deny.revision {
            let soon = self.now.plus(self.jitter.up_to(HAND_BACK_JITTER));
            let earliest = self.recall.last.map_or(soon, |last| last.plus(HAND_BACK_PAUSE));
            self.recall.due = Some((after, soon.max(earliest)));
        }
    }

    /// The controller has everything again.
    pub(super) fn end_recall(&mut self) {
        self.outbox.publish |= self.recall.behind.take().is_some();
        self.recall.due = None;
    }

    /// Whether a snapshot at `heads` is of a history that parted from the one that is applied, as far as its places
    /// tell.
    pub(super) fn parts_from(&self, heads: &Heads) -> bool {
        let applied = self.heads();
        let goes_back = |lane| match (heads.get(lane), applied.get(lane)) {
            (Some(head), Some(applied)) => head.position.revision < applied.position.revision,
            (_, _) => false,
        };
        matches!(self.frozen, Some(Frozen::Fork(..))) || LANES.into_iter().any(goes_back)
    }
}
