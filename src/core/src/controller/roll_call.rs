//! What a new writer asks before it says anything: does somebody hold accepted changes that its log lacks?
//!
//! INVARIANT (S6): a controller whose log went back neither ticks nor lifts nor grants before everybody who was
//! lately there had the chance to say so. Source: protocol.md section 2, restore.

use core::time::Duration;
use std::collections::BTreeSet;

use crate::ids::AgentId;
use crate::position::{Epoch, Heads, LANES, Lane, Position};
use crate::time::BootNs;

/// Limit: one roll call. Longer than the pause between two reports of an agent that gets no lease.
pub const ROLL_CALL_MAX: Duration = Duration::from_millis(1500);

/// The highest positions that somebody proved to hold.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Claims {
    heads: Heads,
    /// Claims of an earlier epoch are known to be lost.
    forgone: Epoch,
}

impl Claims {
    /// Somebody holds history up to here.
    pub fn note(&mut self, held: &Heads) {
        for lane in LANES {
            if let (Some(mine), Some(theirs)) = (self.heads.get_mut(lane), held.get(lane))
                && theirs.position.revision > mine.position.revision
                && theirs.position.epoch >= self.forgone
            {
                *mine = *theirs;
            }
        }
    }

    /// What lies beyond `ordered` on some lane, deny first.
    #[must_use]
    pub fn beyond(&self, ordered: impl Fn(Lane) -> Position) -> Option<(Lane, Position)> {
        LANES.into_iter().find_map(|lane| {
            let claimed = self.heads.get(lane)?.position;
            (claimed.revision > ordered(lane).revision).then_some((lane, claimed))
        })
    }

    /// What was claimed is lost for good: two persons began `epoch` without it.
    pub fn forgo(&mut self, epoch: Epoch) {
        *self = Self { heads: Heads::default(), forgone: epoch };
    }
}

/// One roll call.
#[derive(Debug)]
pub struct RollCall {
    until: BootNs,
    agents: BTreeSet<AgentId>,
    asks_open: usize,
}

impl RollCall {
    /// Waits for reports of `agents`, and for `asks` answers: other controllers, snapshots.
    #[must_use]
    pub fn new(now: BootNs, agents: impl IntoIterator<Item = AgentId>, asks: usize) -> Self {
        Self { until: now.plus(ROLL_CALL_MAX), agents: agents.into_iter().collect(), asks_open: asks }
    }

    /// An agent reported.
    pub fn handle_report(&mut self, agent: &AgentId) {
        self.agents.remove(agent);
    }

    /// One of the asks is answered, or will not be.
    pub const fn handle_answer(&mut self) {
        self.asks_open = self.asks_open.saturating_sub(1);
    }

    /// Whether it is over: all have spoken, or their time has passed.
    #[must_use]
    pub fn is_over(&self, now: BootNs) -> bool {
        now >= self.until || (self.agents.is_empty() && self.asks_open == 0)
    }

    /// When it is over at the latest.
    #[must_use]
    pub const fn until(&self) -> BootNs {
        self.until
    }
}

#[cfg(test)]
mod tests;
