//! Requests for entries that an agent misses. Unsigned: agents may ask, and the answer proves itself.

use prost::Message as _;
use rescind_core::position::{Lane, Revision};
use rescind_schemas::v1 as proto;

use crate::error::CodecError;
use crate::limits::{REPAIR_ENTRIES_MAX, REQUEST_BYTES_MAX};
use crate::wire::{check_size, decode_lenient};

/// Asks for entries of one lane. The answer is a sequence of `LogMessage` as appended, in order; the first holds
/// the revision after `after`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RepairRequest {
    /// Which lane.
    pub lane: Lane,
    /// Newest revision that the agent has.
    pub after: Revision,
    /// Most entries of the answer, 1 to [`REPAIR_ENTRIES_MAX`].
    pub entries_max: u32,
}

/// The request's bytes; `entries_max` outside of its range is moved into it.
#[must_use]
pub fn encode_repair(request: &RepairRequest) -> Vec<u8> {
    let wire = proto::RepairRequest {
        lane: request.lane.number().into(),
        after: request.after.0,
        entries_max: request.entries_max.clamp(1, REPAIR_ENTRIES_MAX),
    };
    wire.encode_to_vec()
}

/// Reads a repair request.
///
/// # Errors
/// [`CodecError`]; the request is refused.
pub fn decode_repair(bytes: &[u8]) -> Result<RepairRequest, CodecError> {
    check_size("repair request", bytes, REQUEST_BYTES_MAX)?;
    let wire: proto::RepairRequest = decode_lenient("repair request", bytes)?;
    let lane = u8::try_from(wire.lane).ok().and_then(Lane::from_number);
    if wire.entries_max == 0 || wire.entries_max > REPAIR_ENTRIES_MAX {
        return Err(CodecError::Range { field: "entries_max" });
    }
    Ok(RepairRequest {
        lane: lane.ok_or(CodecError::Range { field: "lane" })?,
        after: Revision(wire.after),
        entries_max: wire.entries_max,
    })
}

#[cfg(test)]
mod tests;
