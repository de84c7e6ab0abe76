//! Directives over the bus, and their answers.

use prost::Message as _;
use rescind_core::change::{Ask, Directive, LiftCutoff, REASON_ADMIN_BYTES_MAX};
use rescind_core::controller::rights::Rights;
use rescind_core::entitlement::Entitlement;
use rescind_core::ids::{ChainId, EmitterId, IdempotencyKey, RecordId};
use rescind_core::position::Position;
use rescind_core::time::{UnixMs, UnixS};
use rescind_schemas::v1 as proto;
use rescind_schemas::v1::directive::Ask as Wire;
use rescind_schemas::v1::directive_answer::Outcome;

use crate::change::{origin_from_wire, origin_to_wire};
use crate::envelope::{Domain, open, seal};
use crate::error::CodecError;
use crate::heads::{position_from_wire, position_to_wire};
use crate::keys::SecretKey;
use crate::limits::{MESSAGE_BYTES_MAX, WORD_BYTES_MAX};
use crate::record::{entitlement_from_wire, grant_to_wire, record_parts, record_to_wire};
use crate::trust::{Identity, TrustBundle};
use crate::wire::{bounded, check_chain, cut, decode_strict, record_id, required};

/// What the controller says to a directive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DirectiveAnswer {
    /// The change is in the log.
    Accepted {
        /// Its id.
        id: RecordId,
        /// Where it was accepted.
        position: Position,
        /// An earlier directive with the same key made it.
        existing: bool,
        /// Controller's clock.
        accepted_at: UnixMs,
        /// Cutoff that was used, where there is one.
        cutoff: Option<UnixS>,
    },
    /// Not known yet; the emitter repeats the directive with the same key.
    Indeterminate {
        /// The id that the change has if it is in the log.
        id: RecordId,
    },
    /// No effect.
    Refused {
        /// Word for machines.
        code: Box<str>,
        /// What to do, for people.
        message: Box<str>,
    },
}

/// Signs a directive with the emitter's key. `origin.emitter` is not sent: the certificate says who it is.
#[must_use]
pub fn encode_directive(directive: &Directive, chain: &ChainId, key: &SecretKey) -> Vec<u8> {
    let wire = proto::Directive {
        chain_id: chain.as_str().to_owned(),
        origin: Some(proto::Origin { emitter: String::new(), ..origin_to_wire(&directive.origin) }),
        reason_admin: directive.reason_admin.as_deref().map(str::to_owned),
        ask: Some(ask_to_wire(&directive.ask)),
    };
    seal(Domain::Directive, key, &wire.encode_to_vec())
}

/// Verifies and reads a directive, with the rights of its emitter. `now` is the controller's clock.
///
/// # Errors
/// [`CodecError`]; the directive has no effect. Whether kind, target and cutoff fit is for the registry to say.
pub fn decode_directive(
    bytes: &[u8],
    trust: &TrustBundle,
    now: UnixMs,
) -> Result<(Directive, Rights), CodecError> {
    let opened = open(Domain::Directive, bytes, trust)?;
    let wire: proto::Directive = decode_strict("directive", opened.payload)?;
    check_chain("directive", &wire.chain_id, &trust.pin().chain)?;
    let (emitter, rights) = match &opened.signer.at(now)?.identity {
        Identity::Emitter(emitter, rights) => (emitter.clone(), *rights),
        // `open` let only keys of emitters pass; said again rather than assumed.
        other @ (Identity::Controller(_) | Identity::Agent(_)) => {
            return Err(CodecError::WrongName {
                what: "directive",
                claimed: "an emitter".into(),
                signer: other.name().into(),
            });
        }
    };
    let origin = required("origin", wire.origin)?;
    if !origin.emitter.is_empty() {
        return Err(CodecError::Unsupported { field: "emitter" });
    }
    let reason_admin = wire.reason_admin.map(|text| bounded("reason_admin", text, REASON_ADMIN_BYTES_MAX));
    let directive = Directive {
        origin: origin_from_wire(origin, emitter)?,
        reason_admin: reason_admin.transpose()?,
        ask: ask_from_wire(wire.ask.ok_or(CodecError::UnknownKind { field: "ask" })?)?,
    };
    Ok((directive, rights))
}

pub(crate) fn ask_to_wire(ask: &Ask) -> Wire {
    match ask {
        Ask::Record { kind, target, cutoff } => Wire::Record(record_to_wire(*kind, target, *cutoff)),
        Ask::Lift { record, cutoff } => {
            use proto::ask_lift::Cutoff;
            let cutoff = match cutoff {
                LiftCutoff::Resume => Cutoff::Resume(proto::Literal {}),
                LiftCutoff::Now => Cutoff::Now(proto::Literal {}),
                LiftCutoff::At(UnixS(at_s)) => Cutoff::AtS(*at_s),
            };
            Wire::Lift(proto::AskLift { record: record.packed(), cutoff: Some(cutoff) })
        }
        Ask::Reinstate { record } => Wire::Reinstate(proto::AskReinstate { record: record.packed() }),
        Ask::Grant { holder, right, tenant, window } => {
            Wire::Grant(grant_to_wire(holder, right, tenant.as_deref(), window))
        }
        Ask::Withdraw { entitlement } => {
            Wire::Withdraw(proto::AskWithdraw { entitlement: entitlement.packed() })
        }
    }
}

pub(crate) fn ask_from_wire(wire: Wire) -> Result<Ask, CodecError> {
    Ok(match wire {
        Wire::Record(record) => {
            let (kind, target, cutoff) = record_parts(record)?;
            Ask::Record { kind, target, cutoff }
        }
        Wire::Lift(proto::AskLift { record, cutoff }) => {
            use proto::ask_lift::Cutoff;
            let cutoff = match required("cutoff", cutoff)? {
                Cutoff::Resume(proto::Literal {}) => LiftCutoff::Resume,
                Cutoff::Now(proto::Literal {}) => LiftCutoff::Now,
                Cutoff::AtS(at_s) => LiftCutoff::At(UnixS(at_s)),
            };
            Ask::Lift { record: record_id("record", record)?, cutoff }
        }
        Wire::Reinstate(proto::AskReinstate { record }) => {
            Ask::Reinstate { record: record_id("record", record)? }
        }
        Wire::Grant(grant) => {
            // Why any id: an entitlement that is asked for has none yet, and the check is the same.
            let id = record_id("id", 1)?;
            let Entitlement { id: _, holder, right, tenant, window } = entitlement_from_wire(id, grant)?;
            Ask::Grant { holder, right, tenant, window }
        }
        Wire::Withdraw(proto::AskWithdraw { entitlement }) => {
            Ask::Withdraw { entitlement: record_id("entitlement", entitlement)? }
        }
    })
}

/// Signs the answer to the directive of `to` and `key` with the controller's key. `at` is its clock. Texts over
/// their limits are cut.
#[must_use]
pub fn encode_answer(
    answer: &DirectiveAnswer,
    to: &EmitterId,
    key: &IdempotencyKey,
    chain: &ChainId,
    at: UnixMs,
    secret: &SecretKey,
) -> Vec<u8> {
    let outcome = match answer {
        DirectiveAnswer::Accepted { id, position, existing, accepted_at, cutoff } => {
            Outcome::Accepted(proto::Accepted {
                id: id.packed(),
                position: Some(position_to_wire(*position)),
                existing: *existing,
                accepted_at_ms: accepted_at.0,
                cutoff_s: cutoff.map(|at| at.0),
            })
        }
        DirectiveAnswer::Indeterminate { id } => {
            Outcome::Indeterminate(proto::Indeterminate { id: id.packed() })
        }
        DirectiveAnswer::Refused { code, message } => Outcome::Refused(proto::Refused {
            code: cut(code, WORD_BYTES_MAX),
            message: cut(message, MESSAGE_BYTES_MAX),
        }),
    };
    let wire = proto::DirectiveAnswer {
        chain_id: chain.as_str().to_owned(),
        emitter: to.as_str().to_owned(),
        idempotency_key: key.as_str().to_owned(),
        answered_at_ms: at.0,
        outcome: Some(outcome),
    };
    seal(Domain::DirectiveAnswer, secret, &wire.encode_to_vec())
}

/// Verifies and reads the answer to the directive of `to` and `key`.
///
/// # Errors
/// [`CodecError`]; the emitter treats the directive as indeterminate and repeats it with the same key.
pub fn decode_answer(
    bytes: &[u8],
    to: &EmitterId,
    key: &IdempotencyKey,
    trust: &TrustBundle,
) -> Result<DirectiveAnswer, CodecError> {
    let opened = open(Domain::DirectiveAnswer, bytes, trust)?;
    let wire: proto::DirectiveAnswer = decode_strict("answer", opened.payload)?;
    check_chain("answer", &wire.chain_id, &trust.pin().chain)?;
    opened.signer.at(UnixMs(wire.answered_at_ms))?;
    if wire.emitter != to.as_str() || wire.idempotency_key != key.as_str() {
        return Err(CodecError::NotTheAnswer);
    }
    Ok(match wire.outcome.ok_or(CodecError::UnknownKind { field: "outcome" })? {
        Outcome::Accepted(accepted) => DirectiveAnswer::Accepted {
            id: record_id("id", accepted.id)?,
            position: position_from_wire(required("position", accepted.position)?),
            existing: accepted.existing,
            accepted_at: UnixMs(accepted.accepted_at_ms),
            cutoff: accepted.cutoff_s.map(UnixS),
        },
        Outcome::Indeterminate(proto::Indeterminate { id }) => {
            DirectiveAnswer::Indeterminate { id: record_id("id", id)? }
        }
        Outcome::Refused(proto::Refused { code, message }) => DirectiveAnswer::Refused {
            code: bounded("code", code, WORD_BYTES_MAX)?,
            message: bounded("message", message, MESSAGE_BYTES_MAX)?,
        },
    })
}

#[cfg(test)]
mod tests;
