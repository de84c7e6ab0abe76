//! Lease requests and grants. Source: protocol.md section 4.

use prost::Message as _;
use rescind_core::ids::{AgentId, ChainId};
use rescind_core::lease::{LeaseGrant, LeaseRequest, Nonce};
use rescind_core::time::UnixMs;
use rescind_schemas::v1 as proto;

use crate::envelope::{Domain, Sealed, open, seal};
use crate::error::CodecError;
use crate::keys::{KeyId, SecretKey};
use crate::limits::{GRANT_BYTES_MAX, PATH_HASHES_MAX};
use crate::merkle::NoncePath;
use crate::tick::{SignedTick, open_tick};
use crate::trust::{Signer, TrustBundle};
use crate::wire::{
    check_chain, check_size, clip, decode_lenient, decode_strict, fixed, instance, put_field, required,
};

/// Field of a `LeaseGrant` that holds the tick.
const GRANT_TICK: u8 = 1;

/// Signs a lease request with the agent's key.
#[must_use]
pub fn encode_lease_request(request: &LeaseRequest, chain: &ChainId, key: &SecretKey) -> Vec<u8> {
    let wire = proto::LeaseRequest {
        chain_id: chain.as_str().to_owned(),
        agent_id: request.agent.as_str().to_owned(),
        instance: request.instance.0.to_vec(),
        nonce: request.nonce.0.to_vec(),
    };
    seal(Domain::LeaseRequest, key, &wire.encode_to_vec())
}

/// Verifies and reads a lease request. `now` is the controller's clock.
///
/// # Errors
/// [`CodecError`]; the request gets no answer, and the agent stays as fresh as it was.
pub fn decode_lease_request(
    bytes: &[u8],
    trust: &TrustBundle,
    now: UnixMs,
) -> Result<LeaseRequest, CodecError> {
    let opened = open(Domain::LeaseRequest, bytes, trust)?;
    let wire: proto::LeaseRequest = decode_lenient("lease request", opened.payload)?;
    check_chain("lease request", &wire.chain_id, &trust.pin().chain)?;
    Ok(LeaseRequest {
        agent: agent("lease request", &wire.agent_id, &opened.signer, now)?,
        instance: instance("instance", &wire.instance)?,
        nonce: Nonce(fixed("nonce", &wire.nonce)?),
    })
}

/// The answer to the request of `path`: the tick whose root covers it, and the proof.
#[must_use]
pub fn encode_grant(tick: &SignedTick, path: &NoncePath) -> Vec<u8> {
    let rest = proto::LeaseGrant {
        tick: None,
        leaf_index: path.index,
        tree_size: path.size,
        path: path.hashes.iter().map(|hash| hash.to_vec()).collect(),
    };
    let mut out = Vec::new();
    put_field(&mut out, GRANT_TICK, tick.envelope());
    out.extend(rest.encode_to_vec());
    out
}

/// Verifies the answer to `request`: signature and role of the tick, and that its root covers exactly the nonce,
/// agent and instance of this request. Whether the positions fit is for the agent's state machine.
///
/// # Errors
/// [`CodecError`]; the agent asks again with a new nonce.
pub fn decode_grant(
    bytes: &[u8],
    request: &LeaseRequest,
    trust: &TrustBundle,
) -> Result<LeaseGrant, CodecError> {
    check_size("lease grant", bytes, GRANT_BYTES_MAX)?;
    let wire: proto::LeaseGrant = decode_strict("lease grant", bytes)?;
    let envelope = required("tick", wire.tick)?;
    let sealed = Sealed {
        payload: &envelope.payload,
        key_id: KeyId(fixed("key_id", &envelope.key_id)?),
        signature: fixed("signature", &envelope.signature)?,
    };
    if wire.path.len() > PATH_HASHES_MAX {
        return Err(CodecError::Count { field: "path", count: wire.path.len(), limit: PATH_HASHES_MAX });
    }
    let hashes = wire.path.iter().map(|hash| fixed("path", hash)).collect::<Result<_, _>>()?;
    let path = NoncePath { index: wire.leaf_index, size: wire.tree_size, hashes };
    let tick = open_tick(sealed, trust)?;
    if !path.proves(request, &tick.nonce_root) {
        return Err(CodecError::NotProven);
    }
    Ok(LeaseGrant { nonce: request.nonce, tick })
}

/// The agent that a message names must be the one that signed it.
pub(crate) fn agent(
    what: &'static str,
    claimed: &str,
    signer: &Signer<'_>,
    now: UnixMs,
) -> Result<AgentId, CodecError> {
    let certified = signer.at(now)?.identity.name();
    if claimed != certified {
        return Err(CodecError::WrongName { what, claimed: clip(claimed), signer: certified.into() });
    }
    Ok(AgentId::new(claimed)?)
}

#[cfg(test)]
mod tests;
