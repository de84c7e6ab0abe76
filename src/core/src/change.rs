//! Directives (what is asked) and changes (what was accepted and ordered).

use crate::entitlement::{Entitlement, Holder, Right, Window};
use crate::epoch::EpochStart;
use crate::ids::{EmitterId, IdempotencyKey, RecordId};
use crate::position::Lane;
use crate::record::{Record, RecordKind};
use crate::target::Target;
use crate::time::{UnixMs, UnixS};

/// Limit: bytes of the private reason. Source: semantics.md section 2.
pub const REASON_ADMIN_BYTES_MAX: usize = 1024;

/// What an emitter asks for, before it was checked against state and rights.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directive {
    /// Who asks and why.
    pub origin: Origin,
    /// Private reason for staff: kept by the controller, never on the bus. At most
    /// [`REASON_ADMIN_BYTES_MAX`] bytes.
    pub reason_admin: Option<Box<str>>,
    /// What is asked.
    pub ask: Ask,
}

/// Who asked, under which name, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The emitter that authenticated.
    pub emitter: EmitterId,
    /// Repeat of the same `(emitter, key)` has one effect (D16).
    pub key: IdempotencyKey,
    /// The person or system behind the emitter, as the emitter names it.
    pub requested_by: Option<Box<str>>,
    /// Short machine-readable reason (`compromise`, `leaver` ...).
    pub reason_code: Option<Box<str>>,
    /// Incident that this belongs to.
    pub incident: Option<Box<str>>,
    /// When the emitter knew; `None`: when it was accepted.
    pub known_at: Option<UnixMs>,
}

/// The asked effect.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "fields as in Record and Entitlement")]
pub enum Ask {
    /// A new record. `cutoff` is for users only; `None` there means "now" on the controller's clock.
    Record { kind: RecordKind, target: Target, cutoff: Option<UnixS> },
    /// End a hold or kill.
    Lift { record: RecordId, cutoff: LiftCutoff },
    /// End a disable: new credentials work, old ones stay dead (D3).
    Reinstate { record: RecordId },
    /// A new entitlement.
    Grant { holder: Holder, right: Right, tenant: Option<Box<str>>, window: Window },
    /// End an entitlement.
    Withdraw { entitlement: RecordId },
}

/// Whether a lift lets old credentials back in (D4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LiftCutoff {
    /// Old credentials work again.
    Resume,
    /// What was issued at or before the moment of the lift stays dead.
    Now,
    /// What was issued at or before this second stays dead.
    At(UnixS),
}

/// A directive that the controller accepted and ordered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Name of the record or entitlement that this change makes or, for an end, of the change itself.
    pub id: RecordId,
    /// Who asked and why.
    pub origin: Origin,
    /// SHA-256 of the private reason, which only the controller keeps.
    pub reason_admin_sha256: Option<[u8; 32]>,
    /// What it does.
    pub body: ChangeBody,
}

/// What a change does to state.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "fields as in Record and Entitlement")]
pub enum ChangeBody {
    /// Adds a record (lane `deny`).
    Record(Record),
    /// Ends a hold or kill by id. The target is repeated so that agents need no index by id.
    Lift { record: RecordId, target: Target, cutoff: Option<UnixS> },
    /// Ends a disable by id; its cutoff remains.
    Reinstate { record: RecordId, target: Target },
    /// Adds an entitlement (lane `grant.N`).
    Grant(Entitlement),
    /// Ends an entitlement by id. The holder is repeated so that agents need no index by id.
    Withdraw { entitlement: RecordId, holder: Holder },
    /// Forgets a record whose tokens have all expired (lane `deny`; D8, S14): agents drop it, nothing is let in.
    Forget { record: RecordId, target: Target },
    /// Begins an epoch (every lane): the only change of its entry, which is called a fence. Changes no state.
    Epoch(EpochStart),
    /// A kind that this version does not know and whose author marked it as safe to skip.
    Skipped,
}

impl ChangeBody {
    /// The lane that this kind of change belongs to; `None`: any lane.
    #[must_use]
    pub const fn lane(&self) -> Option<Lane> {
        match self {
            Self::Record(_) | Self::Lift { .. } | Self::Reinstate { .. } | Self::Forget { .. } => {
                Some(Lane::Deny)
            }
            Self::Grant(_) | Self::Withdraw { .. } => Some(Lane::Grant(0)),
            Self::Epoch(_) | Self::Skipped => None,
        }
    }
}

impl Ask {
    /// The lane on which the change will be ordered.
    #[must_use]
    pub const fn lane(&self) -> Lane {
        match self {
            Self::Record { .. } | Self::Lift { .. } | Self::Reinstate { .. } => Lane::Deny,
            Self::Grant { .. } | Self::Withdraw { .. } => Lane::Grant(0),
        }
    }

    /// Whether this is what people do in an incident, and so goes before bulk work. See
    /// [`URGENT`](crate::controller::quota::URGENT) for how much of it.
    #[must_use]
    pub const fn is_urgent(&self) -> bool {
        match self {
            Self::Record { kind, .. } => {
                matches!(kind, RecordKind::Kill | RecordKind::Hold | RecordKind::Disable)
            }
            Self::Lift { .. } => true,
            _ => false,
        }
    }

    /// The command word, as used in rights and logs.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Record { kind, .. } => kind.word(),
            Self::Lift { .. } => "lift",
            Self::Reinstate { .. } => "reinstate",
            Self::Grant { .. } => "grant",
            Self::Withdraw { .. } => "withdraw",
        }
    }
}
