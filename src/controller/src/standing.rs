//! What this controller is right now: the one that writes, or one that follows. Told by the engine, read by all.

use rescind_core::ids::ControllerId;
use rescind_core::position::{Epoch, Lane, Position};

/// What a controller does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It orders changes, ticks and grants leases.
    Writer,
    /// It follows another writer into its own log, answers reads and passes directives on.
    Standby,
    /// It is about to write: it asks what others hold and brings the stream in line.
    Starting,
}

impl Role {
    /// As APIs and metrics say it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Writer => "writer",
            Self::Standby => "standby",
            Self::Starting => "starting",
        }
    }
}

/// What everybody in this process may know of the role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// What it does.
    pub role: Role,
    /// Epoch of the chain, as far as it knows.
    pub epoch: Epoch,
    /// Who writes; itself where it does. `None`: nobody was heard.
    pub writer: Option<ControllerId>,
    /// Somebody holds history up to here that this controller lacks: nothing is accepted until it is recalled or
    /// given up.
    pub behind: Option<(Lane, Position)>,
}

impl Standing {
    /// Before anything is known.
    pub(crate) const fn starting(epoch: Epoch) -> Self {
        Self { role: Role::Starting, epoch, writer: None, behind: None }
    }
}
