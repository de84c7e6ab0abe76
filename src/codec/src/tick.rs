//! Ticks: signed on their own, appended to the deny lane, repeated inside lease grants.

use prost::Message as _;
use rescind_core::entry::Tick;
use rescind_core::lease::LEASE_MAX;
use rescind_core::position::Revision;
use rescind_core::time::UnixMs;
use rescind_schemas::v1 as proto;

use crate::entry::{controller, epoch, tick_message};
use crate::envelope::{Domain, Sealed, seal};
use crate::error::CodecError;
use crate::heads::{digest_from_wire, digest_to_wire, heads_from_wire, heads_to_wire};
use crate::keys::SecretKey;
use crate::trust::TrustBundle;
use crate::wire::{check_chain, decode_strict, fixed, instance};

/// A tick in its signed form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedTick {
    envelope: Vec<u8>,
}

impl SignedTick {
    /// The bytes of a `LogMessage`, for the subject of the deny lane.
    #[must_use]
    pub fn log_message(&self) -> Vec<u8> {
        tick_message(&self.envelope)
    }

    /// The envelope alone, as in lease grants.
    #[must_use]
    pub fn envelope(&self) -> &[u8] {
        &self.envelope
    }

    /// Keeps the bytes that a tick was just read from.
    pub(crate) fn from_verified(envelope: &[u8]) -> Self {
        Self { envelope: envelope.to_vec() }
    }
}

/// Signs a tick. Its `nonce_root` is that of the tree over the nonces that it answers.
#[must_use]
pub fn encode_tick(tick: &Tick, key: &SecretKey) -> SignedTick {
    let wire = proto::Tick {
        chain_id: tick.chain.as_str().to_owned(),
        epoch: tick.epoch.0,
        heads: heads_to_wire(&tick.heads),
        state_digest: digest_to_wire(tick.digest),
        lease_ms: tick.lease_ms,
        controller_time_ms: tick.controller_time.0,
        nonce_root: tick.nonce_root.to_vec(),
        floor: tick.floor.0,
        controller_id: tick.controller.as_str().to_owned(),
        boot: tick.boot.0.to_vec(),
    };
    SignedTick { envelope: seal(Domain::Tick, key, &wire.encode_to_vec()) }
}

/// Verifies and reads a tick. The certificate is judged at the tick's own time.
pub(crate) fn open_tick(sealed: Sealed<'_>, trust: &TrustBundle) -> Result<Tick, CodecError> {
    let opened = sealed.open(Domain::Tick, trust)?;
    let wire: proto::Tick = decode_strict("tick", opened.payload)?;
    let chain = &trust.pin().chain;
    check_chain("tick", &wire.chain_id, chain)?;
    let controller_time = UnixMs(wire.controller_time_ms);
    let signer = opened.signer.at(controller_time)?;
    // A lease longer than the longest would stretch the bound of S1.
    if wire.lease_ms == 0 || u128::from(wire.lease_ms) > LEASE_MAX.as_millis() {
        return Err(CodecError::Range { field: "lease_ms" });
    }
    Ok(Tick {
        chain: chain.clone(),
        epoch: epoch(wire.epoch)?,
        heads: heads_from_wire("heads", &wire.heads)?,
        digest: digest_from_wire(&wire.state_digest)?,
        lease_ms: wire.lease_ms,
        controller_time,
        nonce_root: fixed("nonce_root", &wire.nonce_root)?,
        floor: Revision(wire.floor),
        controller: controller("tick", &wire.controller_id, signer.identity.name())?,
        boot: instance("boot", &wire.boot)?,
    })
}

#[cfg(test)]
mod tests;
