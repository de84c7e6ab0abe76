//! Records: durable state that takes access away or holds it. Source: semantics.md section 2.

use core::fmt;

use thiserror::Error;

use crate::ids::RecordId;
use crate::target::{Target, TargetKind};
use crate::time::UnixS;

/// What a record does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RecordKind {
    /// Irreversible: a cutoff (user) or a tombstone (token, session, key).
    Revoke,
    /// Standing deny of an identity with a cutoff; `reinstate` lets new credentials in.
    Disable,
    /// Reversible standing deny; `lift` lets the old credentials work again.
    Hold,
    /// A hold wider than one identity.
    Kill,
}

impl RecordKind {
    /// The command word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Revoke => "revoke",
            Self::Disable => "disable",
            Self::Hold => "hold",
            Self::Kill => "kill",
        }
    }

    /// Whether this kind may name a target of that kind.
    #[must_use]
    pub const fn takes(self, target: TargetKind) -> bool {
        use TargetKind as T;
        match self {
            Self::Revoke => matches!(target, T::Token | T::TokenHash | T::Session | T::User | T::Key),
            Self::Disable => matches!(target, T::User),
            Self::Hold => !matches!(target, T::All),
            Self::Kill => matches!(target, T::Client | T::Tenant | T::Service | T::All),
        }
    }
}

impl fmt::Display for RecordKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// State that denies: kept until it is lifted, or for ever.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Name for lift, reinstate and evidence.
    pub id: RecordId,
    /// What it does.
    pub kind: RecordKind,
    /// What it names.
    pub target: Target,
    /// Credentials issued at or before this second are dead (D5). Present for a revoked or disabled user,
    /// absent for tombstones, holds and kills.
    pub cutoff: Option<UnixS>,
}

/// Why kind, target and cutoff do not fit together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum RecordError {
    /// The kind cannot name this target.
    #[error("`{kind}` cannot name a {target}; {}", advice(*.kind))]
    WrongTarget {
        /// Kind that was asked for.
        kind: RecordKind,
        /// Word of the target's kind.
        target: &'static str,
    },
    /// A user cutoff is missing, or a cutoff is given where none belongs.
    #[error("a cutoff belongs to `revoke user:...` and `disable user:...`, and to nothing else")]
    Cutoff,
}

const fn advice(kind: RecordKind) -> &'static str {
    match kind {
        RecordKind::Revoke => "revoke takes user, token, session or key; use `kill` for something wider",
        RecordKind::Disable => "disable takes user; use `hold` or `kill` for something else",
        RecordKind::Hold => "hold takes everything but `all`; use `kill all`",
        RecordKind::Kill => {
            "kill takes client, tenant, service or all; use `revoke` or `hold` for one identity"
        }
    }
}

impl Record {
    /// Checks that kind, target and cutoff fit; codec and controller make records only through this.
    ///
    /// # Errors
    /// [`RecordError`] says what does not fit and which command would.
    pub fn new(
        id: RecordId,
        kind: RecordKind,
        target: Target,
        cutoff: Option<UnixS>,
    ) -> Result<Self, RecordError> {
        if !kind.takes(target.kind()) {
            return Err(RecordError::WrongTarget { kind, target: target.kind().word() });
        }
        let wants_cutoff =
            target.kind() == TargetKind::User && matches!(kind, RecordKind::Revoke | RecordKind::Disable);
        if wants_cutoff != cutoff.is_some() {
            return Err(RecordError::Cutoff);
        }
        Ok(Self { id, kind, target, cutoff })
    }
}

/// Where a record stands, for people and snapshots.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RecordState {
    /// In force.
    Active,
    /// Lifted, reinstated: no standing deny any more. A residual cutoff may remain (D3, D4).
    Ended {
        /// What stays dead: issued at or before this second.
        residual_cutoff: Option<UnixS>,
    },
}
