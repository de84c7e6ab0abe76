//! Directives that a standby passes on to the controller that writes. Signed by the standby's own key: it
//! authenticated the emitter, and says with which rights.

use prost::Message as _;
use rescind_core::change::{Directive, REASON_ADMIN_BYTES_MAX};
use rescind_core::controller::rights::{Rights, WordSet};
use rescind_core::ids::{ChainId, EmitterId};
use rescind_core::time::UnixMs;
use rescind_schemas::v1 as proto;

use crate::change::{origin_from_wire, origin_to_wire};
use crate::directive::{ask_from_wire, ask_to_wire};
use crate::envelope::{Domain, open, seal};
use crate::error::CodecError;
use crate::keys::SecretKey;
use crate::trust::TrustBundle;
use crate::wire::{Frame, bounded, check_chain, decode_strict, fixed, put_field, required};

/// Limit: directives of one forward.
pub const FORWARD_DIRECTIVES_MAX: usize = 256;

/// Field of a forward that holds the rights: words (2 bytes, little endian) and the widest rung.
const RIGHTS: u8 = 1;
/// Field of a forward that holds one directive.
const DIRECTIVE: u8 = 2;

/// Signs directives of one emitter with the key of the controller that authenticated it.
#[must_use]
pub fn encode_forward(directives: &[Directive], rights: Rights, chain: &ChainId, key: &SecretKey) -> Vec<u8> {
    let [low, high] = rights.words.bits().to_le_bytes();
    let mut payload = Vec::new();
    put_field(&mut payload, RIGHTS, &[low, high, rights.rung_max]);
    for directive in directives {
        let wire = proto::Directive {
            chain_id: chain.as_str().to_owned(),
            origin: Some(origin_to_wire(&directive.origin)),
            reason_admin: directive.reason_admin.as_deref().map(str::to_owned),
            ask: Some(ask_to_wire(&directive.ask)),
        };
        put_field(&mut payload, DIRECTIVE, &wire.encode_to_vec());
    }
    seal(Domain::Forward, key, &payload)
}

/// Verifies and reads what another controller passed on. `now` is this controller's clock.
///
/// # Errors
/// [`CodecError`]; nothing of it has an effect.
pub fn decode_forward(
    bytes: &[u8],
    trust: &TrustBundle,
    now: UnixMs,
) -> Result<(Vec<Directive>, Rights), CodecError> {
    let opened = open(Domain::Forward, bytes, trust)?;
    // `open` let only keys of controllers pass.
    opened.signer.at(now)?;
    let mut frame = Frame::new("forward", opened.payload);
    let [low, high, rung_max] = fixed("rights", frame.field(RIGHTS)?)?;
    let words =
        WordSet::from_bits(u16::from_le_bytes([low, high])).ok_or(CodecError::Range { field: "rights" })?;
    let mut directives = Vec::new();
    while !frame.is_empty() {
        if directives.len() == FORWARD_DIRECTIVES_MAX {
            let count = directives.len().saturating_add(1);
            return Err(CodecError::Count { field: "directives", count, limit: FORWARD_DIRECTIVES_MAX });
        }
        directives.push(directive(frame.field(DIRECTIVE)?, trust)?);
    }
    Ok((directives, Rights { words, rung_max }))
}

fn directive(bytes: &[u8], trust: &TrustBundle) -> Result<Directive, CodecError> {
    let wire: proto::Directive = decode_strict("forward", bytes)?;
    check_chain("forward", &wire.chain_id, &trust.pin().chain)?;
    let origin = required("origin", wire.origin)?;
    let emitter = EmitterId::new(&origin.emitter)?;
    let reason_admin = wire.reason_admin.map(|text| bounded("reason_admin", text, REASON_ADMIN_BYTES_MAX));
    Ok(Directive {
        origin: origin_from_wire(origin, emitter)?,
        reason_admin: reason_admin.transpose()?,
        ask: ask_from_wire(wire.ask.ok_or(CodecError::UnknownKind { field: "ask" })?)?,
    })
}

#[cfg(test)]
mod tests;
