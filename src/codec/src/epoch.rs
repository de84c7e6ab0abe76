//! Fences, and the statement that two persons sign before history is given up.

use prost::Message as _;
use rescind_core::controller::rights::Word;
use rescind_core::entry::Entry;
use rescind_core::epoch::{
    Approval, EpochReason, EpochStart, LostHistory, RECOVERY_APPROVALS, RecoveryStatement,
};
use rescind_core::ids::{ChainId, EmitterId, RecordId};
use rescind_core::time::UnixMs;
use rescind_schemas::v1 as proto;

use crate::change::check_note;
use crate::entry::epoch;
use crate::envelope::{Domain, open, seal};
use crate::error::CodecError;
use crate::heads::{heads_from_wire, heads_to_wire};
use crate::keys::SecretKey;
use crate::limits::RECOVERY_BYTES_MAX;
use crate::trust::{Identity, TrustBundle};
use crate::wire::{check_chain, check_size, decode_strict};

/// The statement without a signature: what one person hands to the other to read and sign.
#[must_use]
pub fn encode_statement(statement: &RecoveryStatement) -> Vec<u8> {
    let RecoveryStatement { chain, epoch, branch, reason } = statement;
    let wire = proto::RecoveryStatement {
        chain_id: chain.as_str().to_owned(),
        epoch: epoch.0,
        branch: heads_to_wire(branch),
        reason: reason.clone().into_string(),
    };
    wire.encode_to_vec()
}

/// Reads a statement that nobody has signed yet.
///
/// # Errors
/// [`CodecError`]; nobody signs it.
pub fn decode_statement(bytes: &[u8], chain: &ChainId) -> Result<RecoveryStatement, CodecError> {
    check_size(Domain::Recovery.what(), bytes, RECOVERY_BYTES_MAX)?;
    let wire: proto::RecoveryStatement = decode_strict(Domain::Recovery.what(), bytes)?;
    check_chain(Domain::Recovery.what(), &wire.chain_id, chain)?;
    check_note("reason", &wire.reason)?;
    Ok(RecoveryStatement {
        chain: chain.clone(),
        epoch: epoch(wire.epoch)?,
        branch: heads_from_wire("branch", &wire.branch)?,
        reason: wire.reason.into_boxed_str(),
    })
}

/// The chain that a statement is for, for a person who signs where no realm is configured.
///
/// # Errors
/// [`CodecError`]; nobody signs it.
pub fn statement_chain(bytes: &[u8]) -> Result<ChainId, CodecError> {
    check_size(Domain::Recovery.what(), bytes, RECOVERY_BYTES_MAX)?;
    let wire: proto::RecoveryStatement = decode_strict(Domain::Recovery.what(), bytes)?;
    Ok(ChainId::from_string(wire.chain_id)?)
}

/// Signs a statement with the key of an emitter that may `recover`.
#[must_use]
pub fn approve(statement: &RecoveryStatement, principal: &EmitterId, key: &SecretKey) -> Approval {
    let sealed = seal(Domain::Recovery, key, &encode_statement(statement));
    Approval { principal: principal.clone(), statement: sealed.into_boxed_slice() }
}

/// Verifies one approval: which emitter signed what. `at` is when it has to be valid: now for a person who hands
/// it over, the commit of the fence for a reader.
///
/// # Errors
/// [`CodecError`]: the signature, or [`CodecError::NotApproved`] for an emitter that may not `recover`.
pub fn decode_approval(
    bytes: &[u8],
    trust: &TrustBundle,
    at: UnixMs,
) -> Result<(EmitterId, RecoveryStatement), CodecError> {
    let opened = open(Domain::Recovery, bytes, trust)?;
    let Identity::Emitter(principal, rights) = &opened.signer.at(at)?.identity else {
        return Err(CodecError::NotApproved { why: "it was not signed by an emitter" });
    };
    if !rights.words.has(Word::Recover) {
        return Err(CodecError::NotApproved { why: "an emitter that signed it may not `recover`" });
    }
    Ok((principal.clone(), decode_statement(opened.payload, &trust.pin().chain)?))
}

/// Verifies the approvals of a recovery. INVARIANT (S7): two different persons signed exactly this statement.
///
/// # Errors
/// [`CodecError::NotApproved`] says what is missing; others come from a signature.
pub fn check_approvals(
    approvals: &[Approval; RECOVERY_APPROVALS],
    statement: &RecoveryStatement,
    trust: &TrustBundle,
    at: UnixMs,
) -> Result<(), CodecError> {
    let [one, other] = approvals;
    if one.principal == other.principal {
        return Err(CodecError::NotApproved { why: "both approvals are of one emitter" });
    }
    for approval in approvals {
        let (principal, signed) = decode_approval(&approval.statement, trust, at)?;
        if principal != approval.principal {
            return Err(CodecError::NotApproved { why: "an approval was signed by another emitter" });
        }
        if signed != *statement {
            return Err(CodecError::NotApproved { why: "an approval is for another statement" });
        }
    }
    Ok(())
}

pub(crate) fn start_to_wire(start: &EpochStart) -> proto::EpochStart {
    let reason = match start.reason {
        EpochReason::TakeOver => proto::EpochReason::TakeOver,
        EpochReason::StreamRestored => proto::EpochReason::StreamRestored,
        EpochReason::LostHistory => proto::EpochReason::LostHistory,
    };
    let approval = |approval: &Approval| proto::RecoveryApproval {
        principal: approval.principal.as_str().to_owned(),
        statement: approval.statement.to_vec(),
    };
    let lost = start.lost.as_deref().map(|lost| proto::LostHistory {
        branch: heads_to_wire(&lost.branch),
        reason: lost.reason.clone().into_string(),
        approvals: lost.approvals.iter().map(approval).collect(),
    });
    proto::EpochStart { reason: reason.into(), lost }
}

pub(crate) fn start_from_wire(wire: proto::EpochStart) -> Result<EpochStart, CodecError> {
    let reason = match proto::EpochReason::try_from(wire.reason) {
        Ok(proto::EpochReason::TakeOver) => EpochReason::TakeOver,
        Ok(proto::EpochReason::StreamRestored) => EpochReason::StreamRestored,
        Ok(proto::EpochReason::LostHistory) => EpochReason::LostHistory,
        Ok(proto::EpochReason::Unspecified) => return Err(CodecError::Missing { field: "reason" }),
        Err(_) => return Err(CodecError::UnknownKind { field: "reason" }),
    };
    let lost = wire.lost.map(lost_from_wire).transpose()?;
    if lost.is_some() != (reason == EpochReason::LostHistory) {
        return Err(CodecError::Range { field: "lost" });
    }
    Ok(EpochStart { reason, lost: lost.map(Box::new) })
}

fn lost_from_wire(wire: proto::LostHistory) -> Result<LostHistory, CodecError> {
    check_note("reason", &wire.reason)?;
    let count = wire.approvals.len();
    let approvals: Vec<Approval> = wire.approvals.into_iter().map(approval).collect::<Result<_, _>>()?;
    let approvals = approvals.try_into().map_err(|_| CodecError::Count {
        field: "approvals",
        count,
        limit: RECOVERY_APPROVALS,
    })?;
    let branch = heads_from_wire("branch", &wire.branch)?;
    Ok(LostHistory { branch, reason: wire.reason.into_boxed_str(), approvals })
}

fn approval(wire: proto::RecoveryApproval) -> Result<Approval, CodecError> {
    check_size("approval", &wire.statement, RECOVERY_BYTES_MAX)?;
    let principal = EmitterId::from_string(wire.principal)?;
    Ok(Approval { principal, statement: wire.statement.into_boxed_slice() })
}

/// Checks that a change that begins an epoch is alone in its entry, stands at its place, and gives up nothing that
/// two persons did not agree to. That the epoch is later than what is applied is for the reader's state to say.
pub(crate) fn check_fence(entry: &Entry, trust: &TrustBundle) -> Result<(), CodecError> {
    use rescind_core::change::ChangeBody;
    if !entry.changes.iter().any(|change| matches!(change.body, ChangeBody::Epoch(_))) {
        return Ok(());
    }
    let Some(start) = entry.fence_start() else { return Err(CodecError::Range { field: "epoch" }) };
    let place = RecordId::new(entry.lane, entry.last());
    if entry.epoch.0 < 2 || entry.changes.first().map(|change| change.id) != place {
        return Err(CodecError::Range { field: "epoch" });
    }
    let Some(lost) = start.lost.as_deref() else { return Ok(()) };
    let before = |head: &rescind_core::position::Head| head.position.epoch < entry.epoch;
    if !before(&lost.branch.deny) || !before(&lost.branch.grant) {
        return Err(CodecError::Range { field: "branch" });
    }
    let fits = lost.branch.get(entry.lane).is_some_and(|branch| {
        branch.position.revision.next() == entry.first && branch.hash == entry.prev_hash
    });
    if !fits {
        return Err(CodecError::Range { field: "branch" });
    }
    let statement = lost.statement(entry.chain.clone(), entry.epoch);
    check_approvals(&lost.approvals, &statement, trust, entry.committed_at)
}

#[cfg(test)]
mod tests;
