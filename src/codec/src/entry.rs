//! Entries, and the messages on log and live subjects that carry entries and ticks.

use prost::Message as _;
use rescind_core::entry::{ChainedEntry, ENTRY_CHANGES_MAX, Entry, Tick};
use rescind_core::ids::{ChainId, ControllerId, RecordId};
use rescind_core::position::{EntryHash, Epoch, Lane, Position, Revision};
use rescind_core::time::UnixMs;
use rescind_schemas::v1 as proto;
use sha2::{Digest as _, Sha256};
use thiserror::Error;

use crate::change::{change_to_wire, decode_change};
use crate::envelope::{Domain, Sealed, seal};
use crate::epoch::check_fence;
use crate::error::CodecError;
use crate::heads::{position_from_wire, position_to_wire};
use crate::keys::SecretKey;
use crate::limits::ENTRY_BYTES_MAX;
use crate::tick::{SignedTick, open_tick};
use crate::trust::TrustBundle;
use crate::wire::{
    Frame, check_chain, check_size, decode_strict, fixed, framed_len, instance, put_field, put_field_head,
};

/// Field of a `LogMessage` that holds an entry.
const LOG_ENTRY: u8 = 1;
/// Field of a `LogMessage` that holds a tick.
const LOG_TICK: u8 = 2;
/// Field of an `Entry` that holds the header.
const ENTRY_HEADER: u8 = 1;
/// Field of an `Entry` that holds one change.
const ENTRY_CHANGE: u8 = 2;

/// A verified message of a log or live subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogItem {
    /// An entry and its hash.
    Entry(ChainedEntry),
    /// A tick, and the signed form that goes into lease grants.
    Tick(Tick, SignedTick),
}

/// Why a message of a log or live subject was rejected.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("cannot use a message of the log")]
pub struct LogError {
    /// Revision of the entry's first change, where a controller of this chain signed it for this lane and only
    /// its content was not understood: poison (protocol.md section 3). `None`: nobody is known to have said this
    /// here, and a gap, if there is one, shows at the next tick.
    pub at: Option<Revision>,
    /// What is wrong.
    #[source]
    pub error: CodecError,
}

impl From<CodecError> for LogError {
    fn from(error: CodecError) -> Self {
        Self { at: None, error }
    }
}

/// Signs an entry: the bytes of its `LogMessage`, and the hash that the next entry of the lane names.
///
/// Readers take the bytes up to [`ENTRY_BYTES_MAX`]; see [`encoded_change_len`](crate::encoded_change_len).
#[must_use]
pub fn encode_entry(entry: &Entry, key: &SecretKey) -> (Vec<u8>, EntryHash) {
    let payload = encode_payload(entry);
    let hash = entry_hash(&payload);
    (log_message(LOG_ENTRY, &seal(Domain::Entry, key, &payload)), hash)
}

/// Reads a message that was found on `lane`. For a controller's own log as well: bytes from a disk are not
/// trusted more than bytes from the bus.
///
/// The certificate is judged at the time that the message was signed at, so entries outlive certificates.
///
/// # Errors
/// [`LogError`] says what is wrong, and where if the message is authentic.
pub fn decode_log_message(bytes: &[u8], lane: Lane, trust: &TrustBundle) -> Result<LogItem, LogError> {
    check_size("log message", bytes, ENTRY_BYTES_MAX)?;
    let mut frame = Frame::new("log message", bytes);
    let (kind, envelope) = frame.next()?;
    frame.end()?;
    match kind {
        LOG_ENTRY => {
            let mut chained = decode_entry(envelope, lane, trust)?;
            chained.message = (lane == Lane::Deny).then(|| bytes.into());
            Ok(LogItem::Entry(chained))
        }
        LOG_TICK if lane != Lane::Deny => {
            Err(CodecError::WrongLane { field: "tick", seen: Lane::Deny, expected: lane }.into())
        }
        LOG_TICK => {
            let tick = open_tick(Sealed::parse(Domain::Tick, envelope)?, trust)?;
            Ok(LogItem::Tick(tick, SignedTick::from_verified(envelope)))
        }
        _ => Err(CodecError::UnknownKind { field: "log message" }.into()),
    }
}

/// The bytes of a tick's `LogMessage`.
pub(crate) fn tick_message(envelope: &[u8]) -> Vec<u8> {
    log_message(LOG_TICK, envelope)
}

fn log_message(kind: u8, envelope: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(framed_len(envelope.len()));
    put_field(&mut out, kind, envelope);
    out
}

fn entry_hash(payload: &[u8]) -> EntryHash {
    EntryHash(Sha256::new().chain_update(b"rescind.v1.entry-hash\0").chain_update(payload).finalize().into())
}

fn encode_payload(entry: &Entry) -> Vec<u8> {
    let header = proto::EntryHeader {
        chain_id: entry.chain.as_str().to_owned(),
        epoch: entry.epoch.0,
        lane: entry.lane.number().into(),
        first: entry.first.0,
        change_count: u32::try_from(entry.changes.len()).unwrap_or(u32::MAX),
        prev_hash: entry.prev_hash.0.to_vec(),
        deps: (entry.deps != Position::default()).then(|| position_to_wire(entry.deps)),
        committed_at_ms: entry.committed_at.0,
        controller_id: entry.controller.as_str().to_owned(),
        boot: entry.boot.0.to_vec(),
    };
    let mut out = Vec::new();
    put_field(&mut out, ENTRY_HEADER, &header.encode_to_vec());
    for change in &entry.changes {
        let wire = change_to_wire(change);
        put_field_head(&mut out, ENTRY_CHANGE, wire.encoded_len());
        wire.encode_raw(&mut out);
    }
    out
}

/// What a header says, without the number of changes.
struct Header {
    epoch: Epoch,
    first: Revision,
    prev_hash: EntryHash,
    deps: Position,
    committed_at: UnixMs,
    controller: ControllerId,
    boot: rescind_core::ids::InstanceId,
    count: usize,
}

fn decode_entry(envelope: &[u8], lane: Lane, trust: &TrustBundle) -> Result<ChainedEntry, LogError> {
    let opened = Sealed::parse(Domain::Entry, envelope)?.open(Domain::Entry, trust)?;
    let mut frame = Frame::new("entry", opened.payload);
    let wire: proto::EntryHeader = decode_strict("entry header", frame.field(ENTRY_HEADER)?)?;
    let chain = &trust.pin().chain;
    // What is authentic elsewhere (another chain, another lane) is a replay here and poisons nothing.
    check_chain("entry", &wire.chain_id, chain)?;
    check_entry_lane(wire.lane, lane)?;
    let signer = opened.signer.at(UnixMs(wire.committed_at_ms)).map_err(CodecError::from)?;
    let first = Revision(wire.first);
    let content = decode_content(wire, &mut frame, chain, lane, signer.identity.name())
        .and_then(|entry| check_fence(&entry, trust).map(|()| entry));
    let entry = content.map_err(|error| LogError { at: (first.0 > 0).then_some(first), error })?;
    Ok(ChainedEntry { entry, hash: entry_hash(opened.payload), message: None })
}

fn check_entry_lane(number: u32, expected: Lane) -> Result<(), CodecError> {
    let seen =
        u8::try_from(number).ok().and_then(Lane::from_number).ok_or(CodecError::Range { field: "lane" })?;
    if seen == expected { Ok(()) } else { Err(CodecError::WrongLane { field: "entry", seen, expected }) }
}

fn decode_content(
    wire: proto::EntryHeader,
    frame: &mut Frame<'_>,
    chain: &ChainId,
    lane: Lane,
    signer: &str,
) -> Result<Entry, CodecError> {
    let header = decode_header(wire, lane, signer)?;
    let mut changes = Vec::with_capacity(header.count);
    while !frame.is_empty() {
        if changes.len() == header.count {
            return Err(CodecError::Range { field: "change_count" });
        }
        changes.push(decode_change(frame.field(ENTRY_CHANGE)?, lane)?);
    }
    if changes.len() != header.count {
        return Err(CodecError::Range { field: "change_count" });
    }
    let Header { epoch, first, prev_hash, deps, committed_at, controller, boot, count: _ } = header;
    let chain = chain.clone();
    Ok(Entry { chain, epoch, lane, first, changes, prev_hash, deps, committed_at, controller, boot })
}

fn decode_header(wire: proto::EntryHeader, lane: Lane, signer: &str) -> Result<Header, CodecError> {
    let count = usize::try_from(wire.change_count).unwrap_or(usize::MAX);
    if count == 0 || count > ENTRY_CHANGES_MAX {
        return Err(CodecError::Count { field: "changes", count, limit: ENTRY_CHANGES_MAX });
    }
    let epoch = epoch(wire.epoch)?;
    let first = Revision(wire.first);
    // Every position of the entry must have a record id, so that each of its changes can be named.
    let last = Revision(wire.first.saturating_add(u64::from(wire.change_count) - 1));
    let named = |revision| RecordId::new(lane, Position { epoch, revision }).is_some();
    if !named(first) || !named(last) {
        return Err(CodecError::Range { field: "first" });
    }
    if lane == Lane::Deny && wire.deps.is_some() {
        return Err(CodecError::Range { field: "deps" });
    }
    Ok(Header {
        epoch,
        first,
        prev_hash: EntryHash(fixed("prev_hash", &wire.prev_hash)?),
        deps: wire.deps.map(position_from_wire).unwrap_or_default(),
        committed_at: UnixMs(wire.committed_at_ms),
        controller: controller("entry", &wire.controller_id, signer)?,
        boot: instance("boot", &wire.boot)?,
        count,
    })
}

/// Generations start at 1.
pub(crate) const fn epoch(number: u32) -> Result<Epoch, CodecError> {
    if number == 0 { Err(CodecError::Range { field: "epoch" }) } else { Ok(Epoch(number)) }
}

/// The controller that a message names must be the one that signed it.
pub(crate) fn controller(
    what: &'static str,
    claimed: &str,
    signer: &str,
) -> Result<ControllerId, CodecError> {
    if claimed != signer {
        let claimed = crate::wire::clip(claimed);
        return Err(CodecError::WrongName { what, claimed, signer: signer.into() });
    }
    Ok(ControllerId::new(claimed)?)
}

#[cfg(test)]
mod tests;
