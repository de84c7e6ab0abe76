//! Changes, and who asked for them.

use prost::Message as _;
use rescind_core::change::{Change, ChangeBody, Origin};
use rescind_core::ids::{EmitterId, IdempotencyKey, RecordId};
use rescind_core::position::Lane;
use rescind_core::time::{UnixMs, UnixS};
use rescind_schemas::v1 as proto;
use rescind_schemas::v1::change::Body;
use sha2::{Digest as _, Sha256};

use crate::epoch::{start_from_wire, start_to_wire};
use crate::error::CodecError;
use crate::limits::NOTE_BYTES_MAX;
use crate::record::{entitlement_from_wire, entitlement_to_wire, record_from_wire, record_to_wire};
use crate::target::{holder_from_wire, holder_to_wire, target_from_wire, target_to_wire};
use crate::wire::{decode_lenient, fixed, framed_len, record_id, required};

const WHAT: &str = "change";

/// Bytes that a change takes in an entry. The sequencer cuts entries so that the sum stays at or under
/// [`ENTRY_CHANGES_BYTES_MAX`](crate::ENTRY_CHANGES_BYTES_MAX); one change alone always does.
#[must_use]
pub fn encoded_change_len(change: &Change) -> usize {
    framed_len(change_to_wire(change).encoded_len())
}

/// Whether every reader would take this change: encodes it and decodes it again. To be asked before a change is
/// accepted, because encoding cannot refuse.
///
/// # Errors
/// What a reader would say, for instance to a note over [`NOTE_BYTES_MAX`]. The caller refuses the directive.
pub fn check_change(change: &Change) -> Result<(), CodecError> {
    let decoded = decode_change(&change_to_wire(change).encode_to_vec(), change.id.lane())?;
    if decoded == *change { Ok(()) } else { Err(CodecError::Range { field: "id" }) }
}

/// Whether a text may be a note (`requested_by`, `reason_code`, `incident`): one line that is not blank.
///
/// # Errors
/// [`CodecError::TextTooLong`] past [`NOTE_BYTES_MAX`], [`CodecError::NotALine`] for blanks and control characters.
pub fn check_note(what: &'static str, text: &str) -> Result<(), CodecError> {
    if text.len() > NOTE_BYTES_MAX {
        return Err(CodecError::TextTooLong { field: what, bytes: text.len(), limit: NOTE_BYTES_MAX });
    }
    if text.trim().is_empty() || text.chars().any(char::is_control) {
        return Err(CodecError::NotALine { field: what });
    }
    Ok(())
}

/// Digest of a private reason as it goes on the log: domain-separated SHA-256.
#[must_use]
pub fn reason_sha256(reason: &str) -> [u8; 32] {
    Sha256::new().chain_update(b"rescind.v1.reason\0").chain_update(reason.as_bytes()).finalize().into()
}

pub(crate) fn origin_to_wire(origin: &Origin) -> proto::Origin {
    let note = |note: &Option<Box<str>>| note.as_deref().map(str::to_owned);
    proto::Origin {
        emitter: origin.emitter.as_str().to_owned(),
        idempotency_key: origin.key.as_str().to_owned(),
        requested_by: note(&origin.requested_by),
        reason_code: note(&origin.reason_code),
        incident: note(&origin.incident),
        known_at_ms: origin.known_at.map(|at| at.0),
    }
}

/// The origin with `emitter`, which comes from the message in a change and from the certificate in a directive.
pub(crate) fn origin_from_wire(wire: proto::Origin, emitter: EmitterId) -> Result<Origin, CodecError> {
    let note = |what, text: Option<String>| match text {
        Some(text) => check_note(what, &text).map(|()| Some(text.into_boxed_str())),
        None => Ok(None),
    };
    Ok(Origin {
        emitter,
        key: IdempotencyKey::from_string(wire.idempotency_key)?,
        requested_by: note("requested_by", wire.requested_by)?,
        reason_code: note("reason_code", wire.reason_code)?,
        incident: note("incident", wire.incident)?,
        known_at: wire.known_at_ms.map(UnixMs),
    })
}

pub(crate) fn change_to_wire(change: &Change) -> proto::Change {
    let body = match &change.body {
        ChangeBody::Record(record) => {
            Some(Body::Record(record_to_wire(record.kind, &record.target, record.cutoff)))
        }
        ChangeBody::Lift { record, target, cutoff } => Some(Body::Lift(proto::Lift {
            record: record.packed(),
            target: Some(target_to_wire(target)),
            cutoff_s: cutoff.map(|at| at.0),
        })),
        ChangeBody::Reinstate { record, target } => Some(Body::Reinstate(proto::Reinstate {
            record: record.packed(),
            target: Some(target_to_wire(target)),
        })),
        ChangeBody::Forget { record, target } => Some(Body::Forget(proto::Forget {
            record: record.packed(),
            target: Some(target_to_wire(target)),
        })),
        ChangeBody::Grant(entitlement) => Some(Body::Grant(entitlement_to_wire(entitlement))),
        ChangeBody::Withdraw { entitlement, holder } => Some(Body::Withdraw(proto::Withdraw {
            entitlement: entitlement.packed(),
            holder: Some(holder_to_wire(holder)),
        })),
        ChangeBody::Epoch(start) => Some(Body::Epoch(start_to_wire(start))),
        ChangeBody::Skipped => None,
    };
    proto::Change {
        id: change.id.packed(),
        origin: Some(origin_to_wire(&change.origin)),
        reason_admin_sha256: change.reason_admin_sha256.map(|hash| hash.to_vec()).unwrap_or_default(),
        skippable: matches!(change.body, ChangeBody::Skipped),
        body,
    }
}

/// Decodes one change of an entry on `lane`.
pub(crate) fn decode_change(bytes: &[u8], lane: Lane) -> Result<Change, CodecError> {
    let wire: proto::Change = decode_lenient(WHAT, bytes)?;
    // Only the body of a kind that may be skipped can have fields that this version does not know.
    let complete = wire.encoded_len() == bytes.len();
    let id = record_id("id", wire.id)?;
    check_lane("id", id, lane)?;
    let body = match wire.body {
        Some(_) if !complete => return Err(CodecError::UnknownField { what: WHAT }),
        Some(body) => body_from_wire(id, body)?,
        None if wire.skippable => ChangeBody::Skipped,
        None => return Err(CodecError::UnknownKind { field: "change" }),
    };
    if let Some(expected) = body.lane().filter(|seen| *seen != lane) {
        return Err(CodecError::WrongLane { field: "change", seen: expected, expected: lane });
    }
    let mut origin = required("origin", wire.origin)?;
    let emitter = EmitterId::from_string(std::mem::take(&mut origin.emitter))?;
    let reason_admin_sha256 = match wire.reason_admin_sha256.as_slice() {
        [] => None,
        hash => Some(fixed("reason_admin_sha256", hash)?),
    };
    Ok(Change { id, origin: origin_from_wire(origin, emitter)?, reason_admin_sha256, body })
}

fn body_from_wire(id: RecordId, body: Body) -> Result<ChangeBody, CodecError> {
    let named = |packed, lane| {
        let record = record_id("record", packed)?;
        check_lane("record", record, lane).map(|()| record)
    };
    Ok(match body {
        Body::Record(record) => ChangeBody::Record(record_from_wire(id, record)?),
        Body::Lift(proto::Lift { record, target, cutoff_s }) => ChangeBody::Lift {
            record: named(record, Lane::Deny)?,
            target: target_from_wire(target)?,
            cutoff: cutoff_s.map(UnixS),
        },
        Body::Reinstate(proto::Reinstate { record, target }) => {
            ChangeBody::Reinstate { record: named(record, Lane::Deny)?, target: target_from_wire(target)? }
        }
        Body::Forget(proto::Forget { record, target }) => {
            ChangeBody::Forget { record: named(record, Lane::Deny)?, target: target_from_wire(target)? }
        }
        Body::Grant(grant) => ChangeBody::Grant(entitlement_from_wire(id, grant)?),
        Body::Withdraw(proto::Withdraw { entitlement, holder }) => ChangeBody::Withdraw {
            entitlement: named(entitlement, Lane::Grant(0))?,
            holder: holder_from_wire(holder)?,
        },
        Body::Epoch(start) => ChangeBody::Epoch(start_from_wire(start)?),
    })
}

pub(crate) fn check_lane(field: &'static str, id: RecordId, expected: Lane) -> Result<(), CodecError> {
    let seen = id.lane();
    if seen == expected { Ok(()) } else { Err(CodecError::WrongLane { field, seen, expected }) }
}

#[cfg(test)]
mod tests;
