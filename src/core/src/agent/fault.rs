//! What can be wrong with what an agent receives, in words for logs, counters and reports.

use thiserror::Error;

use crate::position::{Epoch, Lane, Position, Revision};

/// Something that the agent refused or that made it fail closed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AgentFault {
    /// Two signed histories for one place: everything is denied until a snapshot or a restart (S13).
    #[error("fork at {lane} {at}")]
    Fork {
        /// Where.
        lane: Lane,
        /// The revision that has two hashes.
        at: Revision,
    },
    /// The next entry of a lane cannot be applied: everything is denied until a snapshot is past it (L6).
    #[error("poison {lane} {at}: {reason}")]
    Poison {
        /// Where.
        lane: Lane,
        /// First revision that was not applied.
        at: Revision,
        /// Why.
        reason: Box<str>,
    },
    /// Two persons gave up history that this view holds: everything is denied until a snapshot of the epoch that
    /// goes on without it. What the lost entries denied stays denied.
    #[error("history lost: epoch {} goes on below this view", .epoch.0)]
    LostHistory {
        /// The epoch that goes on.
        epoch: Epoch,
    },
    /// A bug: folding an entry panicked. Everything is denied until a snapshot.
    #[error("panic while applying {lane} {at}; report it with the agent's log")]
    Panic {
        /// Where.
        lane: Lane,
        /// First revision of the entry.
        at: Revision,
    },
    /// The controller stands below what this agent has applied from it: it lost accepted changes.
    #[error("controller_behind {lane} {at}: it lost changes that this agent holds")]
    ControllerBehind {
        /// Where.
        lane: Lane,
        /// Where the controller stands.
        at: Position,
    },
    /// The fold came to another state than the controller's at equal heads (S9).
    #[error("digest differs at equal heads")]
    Digest,
    /// The clocks of this machine contradict each other: the lease was dropped.
    #[error("clock {}", .0.code())]
    Clock(ClockFault),
    /// A buffer of the subscription was full and messages were dropped.
    #[error("overflow of the subscription")]
    Overflow,
    /// A message that nobody vouches for was dropped.
    #[error("unreadable message on {lane}: {reason}")]
    Unreadable {
        /// Where it came from.
        lane: Lane,
        /// Why it was dropped.
        reason: Box<str>,
    },
    /// A signed message of another realm's chain was dropped.
    #[error("message of another chain")]
    ForeignChain,
    /// A snapshot was not taken.
    #[error("snapshot refused: {0}")]
    SnapshotRefused(#[source] SnapshotRefusal),
}

impl AgentFault {
    /// Short name for counters.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Fork { .. } => "fork",
            Self::Poison { .. } => "poison",
            Self::LostHistory { .. } => "lost_history",
            Self::Panic { .. } => "panic",
            Self::ControllerBehind { .. } => "controller_behind",
            Self::Digest => "digest",
            Self::Clock(_) => "clock",
            Self::Overflow => "overflow",
            Self::Unreadable { .. } => "unreadable",
            Self::ForeignChain => "foreign_chain",
            Self::SnapshotRefused(_) => "snapshot_refused",
        }
    }
}

/// How the clocks contradict each other. Source: protocol.md section 4, rule 5.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ClockFault {
    /// The offset of wall and boot time moved by more than 250 ms.
    WallMoved,
    /// The controller's time is ahead of what is possible.
    ControllerAhead,
    /// A valid token was issued in the future.
    TokenFromFuture,
    /// Boot id or time namespace changed.
    BootChanged,
}

impl ClockFault {
    /// Short name for counters.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::WallMoved => "wall_moved",
            Self::ControllerAhead => "controller_ahead",
            Self::TokenFromFuture => "token_from_future",
            Self::BootChanged => "boot_changed",
        }
    }
}

/// Why a snapshot was not taken. The state stays as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SnapshotRefusal {
    /// Of another realm's chain.
    #[error("it is of another chain")]
    ForeignChain,
    /// Its state does not have the digest that its manifest names.
    #[error("its items do not give the digest of its manifest")]
    Digest,
    /// Below what is applied (S5), or of an earlier epoch.
    #[error("it is older than this view")]
    Older,
    /// Its view was made with another key.
    #[error("its view was made with another key hasher")]
    OtherKeys,
    /// At a place where this view has another hash.
    #[error("it has another hash at a place that this view holds")]
    Fork,
}
