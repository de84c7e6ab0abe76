//! Reports of agents.

use prost::Message as _;
use rescind_core::ids::{ChainId, ServiceName};
use rescind_core::position::{Heads, LANES};
use rescind_core::report::{Freshness, Report};
use rescind_core::time::UnixMs;
use rescind_schemas::v1 as proto;

use crate::envelope::{Domain, open, seal};
use crate::error::CodecError;
use crate::heads::{digest_from_wire, digest_to_wire, heads_from_wire, heads_to_wire};
use crate::keys::SecretKey;
use crate::lease::agent;
use crate::limits::{NOTE_BYTES_MAX, WORD_BYTES_MAX};
use crate::trust::TrustBundle;
use crate::wire::{bounded, check_chain, cut, decode_lenient, instance};

/// Signs a report with the agent's key. Texts over their limits are cut: a long fault must not hide the rest.
#[must_use]
pub fn encode_report(report: &Report, chain: &ChainId, key: &SecretKey) -> Vec<u8> {
    let freshness = match report.freshness {
        Freshness::Unsynced => proto::Freshness::Unsynced,
        Freshness::Stale => proto::Freshness::Stale,
        Freshness::Fresh => proto::Freshness::Fresh,
    };
    let wire = proto::Report {
        chain_id: chain.as_str().to_owned(),
        agent_id: report.agent.as_str().to_owned(),
        instance: report.instance.0.to_vec(),
        sequence: report.sequence,
        service: report.service.as_str().to_owned(),
        applied: heads_to_wire(&report.applied),
        durable: heads_to_wire(&report.durable),
        state_digest: digest_to_wire(report.digest),
        freshness: freshness.into(),
        stale_policy: cut(&report.stale_policy, WORD_BYTES_MAX),
        target_kinds: report.target_kinds,
        fault: cut(&report.fault, NOTE_BYTES_MAX),
        version: cut(&report.version, WORD_BYTES_MAX),
        at_ms: report.at.0,
        first_deny_at_ms: report.first_deny_at.map(|at| at.0),
    };
    seal(Domain::Report, key, &wire.encode_to_vec())
}

/// Verifies and reads a report. `now` is the controller's clock.
///
/// # Errors
/// [`CodecError`]; the report counts as not received.
pub fn decode_report(bytes: &[u8], trust: &TrustBundle, now: UnixMs) -> Result<Report, CodecError> {
    let opened = open(Domain::Report, bytes, trust)?;
    let wire: proto::Report = decode_lenient("report", opened.payload)?;
    check_chain("report", &wire.chain_id, &trust.pin().chain)?;
    let applied = heads_from_wire("applied", &wire.applied)?;
    let durable = heads_from_wire("durable", &wire.durable)?;
    if !is_behind(&durable, &applied) {
        return Err(CodecError::Range { field: "durable" });
    }
    let freshness = match proto::Freshness::try_from(wire.freshness) {
        Ok(proto::Freshness::Unsynced) => Freshness::Unsynced,
        Ok(proto::Freshness::Stale) => Freshness::Stale,
        Ok(proto::Freshness::Fresh) => Freshness::Fresh,
        Ok(proto::Freshness::Unspecified) => return Err(CodecError::Missing { field: "freshness" }),
        Err(_) => return Err(CodecError::UnknownKind { field: "freshness" }),
    };
    Ok(Report {
        agent: agent("report", &wire.agent_id, &opened.signer, now)?,
        instance: instance("instance", &wire.instance)?,
        sequence: wire.sequence,
        service: ServiceName::new(&wire.service)?,
        applied,
        durable,
        digest: digest_from_wire(&wire.state_digest)?,
        freshness,
        stale_policy: bounded("stale_policy", wire.stale_policy, WORD_BYTES_MAX)?,
        target_kinds: wire.target_kinds,
        fault: bounded("fault", wire.fault, NOTE_BYTES_MAX)?,
        version: bounded("version", wire.version, WORD_BYTES_MAX)?,
        at: UnixMs(wire.at_ms),
        first_deny_at: wire.first_deny_at_ms.map(UnixMs),
    })
}

/// S10: what is on disk is at most what is applied.
fn is_behind(durable: &Heads, applied: &Heads) -> bool {
    let position = |heads: &Heads, lane| heads.get(lane).map(|head| head.position);
    LANES.into_iter().all(|lane| position(durable, lane) <= position(applied, lane))
}

#[cfg(test)]
mod tests;
