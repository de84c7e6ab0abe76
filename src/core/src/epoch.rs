//! Epochs: how a chain goes on under another writer, and how lost history is given up. Source: protocol.md section 2.
//!
//! An epoch begins with a fence in every lane: an entry with one change, [`EpochStart`]. A fence that continues its
//! lane by hash releases nothing, so the writer's signature suffices. [`LostHistory`] gives up entries that somebody
//! may hold, and with them what they denied, so two persons have to sign the same [`RecoveryStatement`].

use crate::ids::{ChainId, EmitterId};
use crate::position::{Epoch, Heads};

/// Persons who have to agree before history is given up.
pub const RECOVERY_APPROVALS: usize = 2;

/// Why an epoch begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EpochReason {
    /// Another controller became the writer.
    TakeOver,
    /// The stream went back, was deleted or damaged, and was filled again from the writer's log.
    StreamRestored,
    /// Accepted changes are lost for good.
    LostHistory,
}

impl EpochReason {
    /// The word in logs and on boards.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::TakeOver => "take_over",
            Self::StreamRestored => "stream_restored",
            Self::LostHistory => "lost_history",
        }
    }
}

/// The change that begins an epoch in one lane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EpochStart {
    /// Why.
    pub reason: EpochReason,
    /// What is given up; present exactly for [`EpochReason::LostHistory`].
    pub lost: Option<Box<LostHistory>>,
}

impl EpochStart {
    /// A start that continues the chain by hash.
    #[must_use]
    pub const fn continuing(reason: EpochReason) -> Self {
        Self { reason, lost: None }
    }

    /// A start that gives up what comes after `lost.branch`.
    #[must_use]
    pub fn losing(lost: LostHistory) -> Self {
        Self { reason: EpochReason::LostHistory, lost: Some(Box::new(lost)) }
    }
}

/// What is given up and who agreed. `codec` verifies both approvals before anybody sees this.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LostHistory {
    /// What the epoch continues in each lane: everything after it is given up.
    pub branch: Heads,
    /// Why, one line for people.
    pub reason: Box<str>,
    /// By different emitters that may `recover`.
    pub approvals: [Approval; RECOVERY_APPROVALS],
}

impl LostHistory {
    /// What both persons signed, for a fence of this chain and epoch.
    #[must_use]
    pub fn statement(&self, chain: ChainId, epoch: Epoch) -> RecoveryStatement {
        RecoveryStatement { chain, epoch, branch: self.branch, reason: self.reason.clone() }
    }
}

/// One person's consent to a recovery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approval {
    /// The emitter who approves.
    pub principal: EmitterId,
    /// The statement as that emitter signed it. Opaque here.
    pub statement: Box<[u8]>,
}

/// What two persons sign before history is given up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecoveryStatement {
    /// The realm's chain.
    pub chain: ChainId,
    /// The epoch that begins.
    pub epoch: Epoch,
    /// What it continues.
    pub branch: Heads,
    /// Why, one line for people.
    pub reason: Box<str>,
}
