//! How entries and confirmations lie in the store.

use bytes::Bytes;
use redb::TableDefinition;
use rescind_core::position::{EntryHash, Revision};

use super::{Confirmed, LoggedEntry};

/// First revision -> hash (32), last revision (8, big endian), message.
pub(super) const ENTRIES: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("entries");
/// Packed record id -> private reason.
pub(super) const REASONS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("reasons");
/// `chain`, `lane`, `epoch` and [`CONFIRMED`].
pub(super) const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");
/// Last confirmed revision (8) and the broker's sequence (8), big endian.
pub(super) const CONFIRMED: &str = "confirmed";

pub(super) fn encode_entry(entry: &LoggedEntry) -> Vec<u8> {
    let mut value = Vec::with_capacity(entry.bytes.len().saturating_add(40));
    value.extend_from_slice(&entry.hash.0);
    value.extend_from_slice(&entry.last.0.to_be_bytes());
    value.extend_from_slice(&entry.bytes);
    value
}

/// `None` where it is too short or ends before it begins.
pub(super) fn decode_entry(first: u64, value: &[u8]) -> Option<LoggedEntry> {
    let (hash, rest) = value.split_first_chunk::<32>()?;
    let (last, message) = rest.split_first_chunk::<8>()?;
    let last = u64::from_be_bytes(*last);
    (last >= first && !message.is_empty()).then(|| LoggedEntry {
        first: Revision(first),
        last: Revision(last),
        hash: EntryHash(*hash),
        bytes: Bytes::copy_from_slice(message),
    })
}

pub(super) fn encode_confirmed(confirmed: Confirmed) -> Vec<u8> {
    [confirmed.last.0.to_be_bytes(), confirmed.sequence.to_be_bytes()].concat()
}

pub(super) fn decode_confirmed(value: &[u8]) -> Option<Confirmed> {
    let (last, rest) = value.split_first_chunk::<8>()?;
    let sequence = u64::from_be_bytes(rest.try_into().ok()?);
    Some(Confirmed { last: Revision(u64::from_be_bytes(*last)), sequence })
}
