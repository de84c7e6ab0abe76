//! Epochs: holding, fencing, stepping down to follow another writer, and writing again.

use core::fmt;

use thiserror::Error;

use super::{ControllerOutput, InFlight, Sequencer, Slot};
use crate::controller::Now;
use crate::controller::refusal::Deposed;
use crate::controller::registry::Registry;
use crate::entry::{self, ChainedEntry, Entry};
use crate::epoch::EpochStart;
use crate::ids::RecordId;
use crate::position::{Epoch, Head, Heads, LANES, Lane, Position};
use crate::view::FoldError;

/// Why nothing new begins, while what is in flight settles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Hold {
    /// The stream is brought in line with the log; directives wait.
    StreamRestored,
    /// Somebody holds history that the log lacks; directives are refused.
    HistoryLost,
}

/// Why an epoch cannot begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum FenceRefusal {
    /// The heads are not those that the recovery was approved for.
    #[error("the heads moved since the recovery was approved; plan it again")]
    Moved,
    /// No more epochs.
    #[error("there are no epochs left")]
    Exhausted,
}

/// Fences that are to be stored.
#[derive(Debug)]
pub(super) struct Fence {
    start: EpochStart,
    epoch: Epoch,
    /// Lanes whose fence is not stored yet, the next one last.
    left: Vec<Lane>,
}

impl fmt::Display for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::StreamRestored => "the stream is being restored",
            Self::HistoryLost => "history is being recalled",
        })
    }
}

impl Sequencer {
    /// The epoch that changes are ordered in.
    #[must_use]
    pub const fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Whether fences of a new epoch are under way.
    #[must_use]
    pub const fn is_fencing(&self) -> bool {
        self.fence.is_some()
    }

    /// Whether this sequencer orders changes, now or when it is released.
    #[must_use]
    pub const fn is_writing(&self) -> bool {
        self.deposed.is_none()
    }

    /// The end of a lane with what is in flight: nobody can hold more of it.
    #[must_use]
    pub fn ordered(&self, lane: Lane) -> Position {
        let slot = self.slot(lane);
        slot.in_flight.as_ref().map_or(slot.head.position, |in_flight| in_flight.last)
    }

    /// Whether nothing is in flight on any lane, ticks included.
    #[must_use]
    pub const fn is_idle(&self) -> bool {
        self.is_quiet() && self.tick.is_none()
    }

    /// Begins nothing new from now on; what is in flight settles. Ended by [`Self::stand_by`] or
    /// [`Self::begin_writing`].
    pub fn hold(&mut self, hold: Hold) {
        self.held = Some(self.held.map_or(hold, |there| there.max(hold)));
    }

    /// A held or deposed sequencer with nothing in flight becomes a follower: it takes entries of others by
    /// [`Self::handle_adopted`]. Directives that wait stay in their queues, unless it is `deposed`.
    pub fn stand_by(&mut self) {
        self.held = None;
        self.fence = None;
        self.deposed = Some(Deposed::Standby);
    }

    /// The state was folded again from the log: what was in flight there is part of it or is gone.
    pub fn reset(&mut self, registry: Registry, heads: Heads) {
        self.digest = registry.digest();
        self.registry = registry;
        self.deny = Slot::new(heads.deny);
        self.grant = Slot::new(heads.grant);
        self.ticked_heads = heads;
        self.epoch = self.epoch.max(heads.deny.position.epoch).max(heads.grant.position.epoch);
        self.stand_by();
    }

    /// An entry of another writer that continues this lane and is in the log. Only while following.
    ///
    /// # Errors
    /// [`FoldError`]: it contradicts the state; fold again from the log.
    pub fn handle_adopted(&mut self, chained: &ChainedEntry) -> Result<(), FoldError> {
        let entry = &chained.entry;
        for change in &entry.changes {
            self.registry.apply(change, entry.committed_at)?;
        }
        self.digest = self.registry.digest();
        self.slot_mut(entry.lane).head = Head { position: entry.last(), hash: chained.hash };
        self.epoch = self.epoch.max(entry.epoch);
        Ok(())
    }

    /// The log and the stream are one, and this controller writes from here on: in a new epoch where `fence` says
    /// so, else in the one that it wrote before.
    ///
    /// # Errors
    /// [`FenceRefusal`]; then it does not write.
    pub fn begin_writing(
        &mut self,
        now: Now,
        fence: Option<(Epoch, EpochStart)>,
    ) -> Result<(), FenceRefusal> {
        if let Some((epoch, start)) = fence {
            self.check_fence(epoch, &start)?;
            // Popped from the back: grant lanes first, then deny.
            self.fence = Some(Fence { start, epoch, left: LANES.to_vec() });
        }
        self.deposed = None;
        self.held = None;
        self.ticked_at = None;
        self.run(now);
        Ok(())
    }

    /// The epoch that would begin next, above `seen` and everything of the lanes.
    #[must_use]
    pub fn next_epoch(&self, seen: Epoch) -> Epoch {
        let heads = self.heads();
        let newest = self.epoch.max(seen).max(heads.deny.position.epoch).max(heads.grant.position.epoch);
        Epoch(newest.0.saturating_add(1))
    }

    fn check_fence(&self, epoch: Epoch, start: &EpochStart) -> Result<(), FenceRefusal> {
        if epoch <= self.epoch || !self.is_idle() {
            return Err(FenceRefusal::Moved);
        }
        if start.lost.as_ref().is_some_and(|lost| lost.branch != self.heads()) {
            return Err(FenceRefusal::Moved);
        }
        for lane in LANES {
            let revision = self.slot(lane).head.position.revision.next();
            if RecordId::new(lane, Position { epoch, revision }).is_none() {
                return Err(FenceRefusal::Exhausted);
            }
        }
        Ok(())
    }

    /// Puts the next fence in flight once everything before it is settled.
    pub(super) fn run_fence(&mut self, now: Now) {
        if !self.is_idle() {
            return;
        }
        let Some(Fence { start, epoch, left }) = &self.fence else { return };
        let Some(lane) = left.last().copied() else { return };
        let fence = entry::Fence {
            chain: self.config.chain.clone(),
            epoch: *epoch,
            lane,
            after: self.slot(lane).head,
            deps: if lane == Lane::Deny { Position::default() } else { self.deny.head.position },
            start: start.clone(),
            committed_at: now.wall,
            controller: self.config.controller.clone(),
            boot: self.config.boot,
        };
        // Checked when the epoch was begun.
        let Some(entry) = Entry::fence(fence) else { return };
        // A fence folds to nothing.
        self.slot_mut(lane).in_flight = Some(InFlight { last: entry.last(), delta: 0, is_settling: false });
        self.outputs.push_back(ControllerOutput::Commit { entry: Box::new(entry), reasons: Vec::new() });
    }

    /// A fence that is stored gives way to the next one, the last one to the new epoch.
    pub(super) fn fence_stored(&mut self, lane: Lane, last: Position) {
        let Some(fence) = &mut self.fence else { return };
        if last.epoch != fence.epoch || fence.left.last() != Some(&lane) {
            return;
        }
        fence.left.pop();
        if fence.left.is_empty() {
            self.epoch = fence.epoch;
            self.fence = None;
            self.ticked_at = None;
        }
    }
}
