//! Why a directive had no effect. Every message says what to do next.

use thiserror::Error;

use super::rights::RightsError;
use crate::change::REASON_ADMIN_BYTES_MAX;
use crate::ids::RecordId;
use crate::record::{RecordError, RecordKind};
use crate::view::FoldError;

/// Why this controller does not write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Deposed {
    /// Another controller's entry stands at our place.
    #[error("another controller writes this chain")]
    ForeignEntry,
    /// The write-ahead log does not take entries any more.
    #[error("its write-ahead log does not take entries")]
    LogFailed,
    /// It follows another writer, or is about to begin.
    #[error("it follows another writer")]
    Standby,
    /// Somebody holds history that this controller lacks.
    #[error("somebody holds accepted changes that its log lacks")]
    HistoryLost,
}

/// A directive that was refused: nothing was ordered, nothing will happen.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Refusal {
    /// Outside the emitter's rights.
    #[error(transparent)]
    Rights(#[from] RightsError),
    /// Too many directives wait.
    #[error("too many directives wait; nothing was ordered, repeat with the same idempotency key")]
    Busy,
    /// Over the emitter's budget.
    #[error(
        "over this emitter's budget of {per_minute} directives a minute; nothing was ordered, repeat with the same \
         idempotency key in {retry_after_s} s, or express the bulk as one wider record"
    )]
    Quota {
        /// Its budget.
        per_minute: u32,
        /// When there is room again, rounded up.
        retry_after_s: u32,
    },
    /// It waited too long for its turn.
    #[error(
        "the lane is blocked by a commit that is being settled; nothing was ordered, repeat with the same idempotency key"
    )]
    Deadline,
    /// This controller does not write any more.
    #[error(
        "this controller does not write: {0}; repeat at the one that writes, with the same idempotency key"
    )]
    NotWriter(Deposed),
    /// The controller that writes refused it; this one only passed it on.
    #[error("{message}")]
    Elsewhere {
        /// Short name, one of those of [`Self::code`].
        code: &'static str,
        /// What that controller said.
        message: Box<str>,
    },
    /// The key was used for something else (D16).
    #[error("this idempotency key was used for another ask, accepted as `{id}`; choose a new key")]
    IdempotencyConflict {
        /// What it was used for.
        id: RecordId,
    },
    /// No such record.
    #[error("there is no record `{id}`; see `rescind records`")]
    UnknownRecord {
        /// The id that was named.
        id: RecordId,
    },
    /// No such entitlement.
    #[error("there is no entitlement `{id}`; see `rescind entitlements`")]
    UnknownEntitlement {
        /// The id that was named.
        id: RecordId,
    },
    /// It ended before.
    #[error("`{id}` has already ended; nothing to do")]
    AlreadyEnded {
        /// The id that was named.
        id: RecordId,
    },
    /// A lift of something that is not lifted.
    #[error("`{id}` is a {kind} and cannot be lifted; {}", lift_advice(*.kind))]
    CannotLift {
        /// The id that was named.
        id: RecordId,
        /// Its kind.
        kind: RecordKind,
    },
    /// A reinstate of something that is not a disable.
    #[error("`{id}` is a {kind} and cannot be reinstated; {}", reinstate_advice(*.kind))]
    CannotReinstate {
        /// The id that was named.
        id: RecordId,
        /// Its kind.
        kind: RecordKind,
    },
    /// Kind, target and cutoff do not fit.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// A cutoff ahead of the clock would kill credentials that do not exist yet.
    #[error("the cutoff is in the future; use `disable` or `hold` to deny what is issued later")]
    CutoffAhead,
    /// The private reason is too long.
    #[error("the private reason has {bytes} bytes; the limit is {REASON_ADMIN_BYTES_MAX}")]
    ReasonTooLong {
        /// Its length.
        bytes: usize,
    },
    /// It does not fold into the state.
    #[error(transparent)]
    Fold(FoldError),
    /// It alone is larger than an entry may be.
    #[error("the directive has {bytes} bytes; the limit of an entry is {bytes_max}, shorten its texts")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The limit.
        bytes_max: usize,
    },
    /// No more positions in this epoch.
    #[error("the epoch has no positions left; start a new epoch")]
    Exhausted,
}

impl Refusal {
    /// Short name for APIs and counters.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Rights(_) => "rights",
            Self::Busy => "busy",
            Self::Quota { .. } => "quota",
            Self::Deadline => "deadline",
            Self::NotWriter(_) => "not_writer",
            Self::Elsewhere { code, .. } => code,
            Self::IdempotencyConflict { .. } => "idempotency_conflict",
            Self::UnknownRecord { .. } => "unknown_record",
            Self::UnknownEntitlement { .. } => "unknown_entitlement",
            Self::AlreadyEnded { .. } => "already_ended",
            Self::CannotLift { .. } => "cannot_lift",
            Self::CannotReinstate { .. } => "cannot_reinstate",
            Self::Record(_) => "bad_target",
            Self::CutoffAhead => "cutoff",
            Self::ReasonTooLong { .. } => "reason_too_long",
            Self::Fold(FoldError::HolderFull(_)) => "holder_full",
            Self::Fold(_) => "does_not_fold",
            Self::TooLarge { .. } => "too_large",
            Self::Exhausted => "exhausted",
        }
    }

    /// Whether the same directive may pass later, unchanged.
    #[must_use]
    pub const fn is_passing(&self) -> bool {
        matches!(self, Self::Busy | Self::Quota { .. } | Self::Deadline | Self::NotWriter(_))
    }
}

const fn lift_advice(kind: RecordKind) -> &'static str {
    match kind {
        RecordKind::Revoke => "what it killed stays dead, issue new credentials",
        RecordKind::Disable => "use `reinstate`",
        RecordKind::Hold | RecordKind::Kill => "see `rescind records`",
    }
}

const fn reinstate_advice(kind: RecordKind) -> &'static str {
    match kind {
        RecordKind::Revoke => "what it killed stays dead, issue new credentials",
        RecordKind::Hold | RecordKind::Kill => "use `lift`",
        RecordKind::Disable => "see `rescind records`",
    }
}
