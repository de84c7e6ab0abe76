//! Positions, heads and digests.

use rescind_core::digest::StateDigest;
use rescind_core::position::{EntryHash, Epoch, Head, Heads, LANES, Position, Revision};
use rescind_schemas::v1 as proto;

use crate::error::CodecError;
use crate::wire::{fixed, required};

pub(crate) const fn position_to_wire(position: Position) -> proto::Position {
    proto::Position { epoch: position.epoch.0, revision: position.revision.0 }
}

pub(crate) const fn position_from_wire(wire: proto::Position) -> Position {
    Position { epoch: Epoch(wire.epoch), revision: Revision(wire.revision) }
}

pub(crate) fn heads_to_wire(heads: &Heads) -> Vec<proto::LaneHead> {
    let head_of = |lane| heads.get(lane).map(|head| (lane, head));
    let wire = |(lane, head): (rescind_core::position::Lane, &Head)| proto::LaneHead {
        lane: lane.number().into(),
        position: Some(position_to_wire(head.position)),
        entry_hash: head.hash.0.to_vec(),
    };
    LANES.into_iter().filter_map(head_of).map(wire).collect()
}

/// Heads of exactly the lanes that this version runs, in order: a lane that is not looked at could hide a change.
pub(crate) fn heads_from_wire(field: &'static str, wire: &[proto::LaneHead]) -> Result<Heads, CodecError> {
    if wire.len() != LANES.len() {
        return Err(CodecError::Count { field, count: wire.len(), limit: LANES.len() });
    }
    let mut heads = Heads::default();
    for (lane, wire) in LANES.into_iter().zip(wire) {
        if wire.lane != u32::from(lane.number()) {
            return Err(CodecError::Range { field: "lane" });
        }
        let position = position_from_wire(required("position", wire.position)?);
        let hash = EntryHash(fixed("entry_hash", &wire.entry_hash)?);
        if let Some(head) = heads.get_mut(lane) {
            *head = Head { position, hash };
        }
    }
    Ok(heads)
}

pub(crate) fn digest_to_wire(digest: StateDigest) -> Vec<u8> {
    digest.0.to_be_bytes().to_vec()
}

pub(crate) fn digest_from_wire(bytes: &[u8]) -> Result<StateDigest, CodecError> {
    Ok(StateDigest(u128::from_be_bytes(fixed("state_digest", bytes)?)))
}
