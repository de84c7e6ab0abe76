//! Snapshots: a signed manifest, and chunks that it names by their hash.

use core::fmt;

use prost::Message as _;
use rescind_core::position::Lane;
use rescind_core::record::RecordState;
use rescind_core::snapshot::{Manifest, SnapshotItem};
use rescind_core::time::{UnixMs, UnixS};
use rescind_schemas::v1 as proto;
use rescind_schemas::v1::snapshot_item::Item;
use sha2::{Digest as _, Sha256};

use crate::change::check_lane;
use crate::envelope::{Domain, open, seal};
use crate::error::CodecError;
use crate::heads::{digest_from_wire, digest_to_wire, heads_from_wire, heads_to_wire};
use crate::keys::SecretKey;
use crate::limits::{CHUNK_BYTES_MAX, CHUNK_ITEMS_MAX, CHUNKS_MAX, REQUEST_BYTES_MAX};
use crate::record::{entitlement_from_wire, entitlement_to_wire, record_from_wire, record_to_wire};
use crate::trust::TrustBundle;
use crate::wire::{
    Frame, check_chain, check_size, decode_lenient, decode_strict, fixed, framed_len, put_field_head,
    record_id, required,
};

/// Field of a `SnapshotChunk` that holds one item.
const CHUNK_ITEM: u8 = 1;

/// Names a snapshot: SHA-256 of its manifest's signed payload.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ManifestId(pub [u8; 32]);

impl fmt::Display for ManifestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ManifestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What an agent asks for. Unsigned: manifests are signed, and chunks are named by hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SnapshotRequest {
    /// The newest manifest, signed.
    Manifest,
    /// One chunk of one snapshot.
    Chunk {
        /// Which snapshot.
        manifest: ManifestId,
        /// Which chunk, from 0.
        index: u32,
    },
}

/// The request's bytes.
#[must_use]
pub fn encode_snapshot_request(request: &SnapshotRequest) -> Vec<u8> {
    use proto::snapshot_request::Request;
    let request = match request {
        SnapshotRequest::Manifest => Request::Manifest(proto::Literal {}),
        SnapshotRequest::Chunk { manifest, index } => Request::Chunk(proto::SnapshotChunkRequest {
            manifest_sha256: manifest.0.to_vec(),
            index: *index,
        }),
    };
    proto::SnapshotRequest { request: Some(request) }.encode_to_vec()
}

/// Reads a snapshot request.
///
/// # Errors
/// [`CodecError`]; the request is refused.
pub fn decode_snapshot_request(bytes: &[u8]) -> Result<SnapshotRequest, CodecError> {
    use proto::snapshot_request::Request;
    check_size("snapshot request", bytes, REQUEST_BYTES_MAX)?;
    let wire: proto::SnapshotRequest = decode_lenient("snapshot request", bytes)?;
    match wire.request.ok_or(CodecError::UnknownKind { field: "request" })? {
        Request::Manifest(proto::Literal {}) => Ok(SnapshotRequest::Manifest),
        Request::Chunk(proto::SnapshotChunkRequest { manifest_sha256, index }) => {
            let manifest = ManifestId(fixed("manifest_sha256", &manifest_sha256)?);
            Ok(SnapshotRequest::Chunk { manifest, index })
        }
    }
}

/// Signs a manifest with the controller's key. At most [`CHUNKS_MAX`] chunks are read.
#[must_use]
pub fn encode_manifest(manifest: &Manifest, key: &SecretKey) -> (Vec<u8>, ManifestId) {
    let listing =
        |(bytes, sha256): &(u32, [u8; 32])| proto::ChunkListing { bytes: *bytes, sha256: sha256.to_vec() };
    let wire = proto::Manifest {
        chain_id: manifest.chain.as_str().to_owned(),
        heads: heads_to_wire(&manifest.heads),
        state_digest: digest_to_wire(manifest.digest),
        items: manifest.items,
        chunks: manifest.chunks.iter().map(listing).collect(),
        made_at_ms: manifest.made_at.0,
    };
    let payload = wire.encode_to_vec();
    (seal(Domain::Manifest, key, &payload), manifest_id(&payload))
}

/// Verifies and reads a manifest. The certificate is judged at the manifest's own time.
///
/// # Errors
/// [`CodecError`]; the agent asks another time, and stays not fresh meanwhile.
pub fn decode_manifest(bytes: &[u8], trust: &TrustBundle) -> Result<(Manifest, ManifestId), CodecError> {
    let opened = open(Domain::Manifest, bytes, trust)?;
    let wire: proto::Manifest = decode_strict("manifest", opened.payload)?;
    let chain = &trust.pin().chain;
    check_chain("manifest", &wire.chain_id, chain)?;
    let made_at = UnixMs(wire.made_at_ms);
    opened.signer.at(made_at)?;
    if wire.chunks.len() > CHUNKS_MAX {
        return Err(CodecError::Count { field: "chunks", count: wire.chunks.len(), limit: CHUNKS_MAX });
    }
    let chunks = wire.chunks.iter().map(listing).collect::<Result<Vec<_>, _>>()?;
    // Every chunk has an item, and no chunk has more than its limit.
    let count = u64::try_from(chunks.len()).unwrap_or(u64::MAX);
    if wire.items < count || wire.items > count.saturating_mul(CHUNK_ITEMS_MAX.into()) {
        return Err(CodecError::Range { field: "items" });
    }
    let manifest = Manifest {
        chain: chain.clone(),
        heads: heads_from_wire("heads", &wire.heads)?,
        digest: digest_from_wire(&wire.state_digest)?,
        items: wire.items,
        chunks,
        made_at,
    };
    Ok((manifest, manifest_id(opened.payload)))
}

fn listing(wire: &proto::ChunkListing) -> Result<(u32, [u8; 32]), CodecError> {
    let fits = usize::try_from(wire.bytes).is_ok_and(|bytes| (1..=CHUNK_BYTES_MAX).contains(&bytes));
    if !fits {
        return Err(CodecError::Range { field: "bytes" });
    }
    Ok((wire.bytes, fixed("sha256", &wire.sha256)?))
}

fn manifest_id(payload: &[u8]) -> ManifestId {
    ManifestId(Sha256::digest(payload).into())
}

/// A piece of a snapshot, at most [`CHUNK_BYTES_MAX`] bytes and [`CHUNK_ITEMS_MAX`] items.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// What is sent.
    pub bytes: Vec<u8>,
    /// SHA-256 of `bytes`.
    pub sha256: [u8; 32],
    /// Number of items, at least 1.
    pub items: u32,
}

impl Chunk {
    /// Length and hash as in [`Manifest::chunks`].
    #[must_use]
    pub fn listing(&self) -> (u32, [u8; 32]) {
        (u32::try_from(self.bytes.len()).unwrap_or(u32::MAX), self.sha256)
    }
}

/// Cuts a stream of items into chunks.
#[derive(Debug, Default)]
pub struct ChunkWriter {
    bytes: Vec<u8>,
    items: u32,
}

impl ChunkWriter {
    /// A writer without items.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an item; gives the chunk before it when that is full.
    pub fn push(&mut self, item: &SnapshotItem) -> Option<Chunk> {
        let wire = item_to_wire(item);
        let length = wire.encoded_len();
        let full = self.items >= CHUNK_ITEMS_MAX
            || self.bytes.len().saturating_add(framed_len(length)) > CHUNK_BYTES_MAX;
        let chunk = if full { self.take() } else { None };
        put_field_head(&mut self.bytes, CHUNK_ITEM, length);
        wire.encode_raw(&mut self.bytes);
        self.items = self.items.saturating_add(1);
        chunk
    }

    /// The last chunk; `None` without items.
    #[must_use]
    pub fn finish(mut self) -> Option<Chunk> {
        self.take()
    }

    fn take(&mut self) -> Option<Chunk> {
        let bytes = core::mem::take(&mut self.bytes);
        let items = core::mem::take(&mut self.items);
        (items > 0).then(|| Chunk { sha256: Sha256::digest(&bytes).into(), bytes, items })
    }
}

/// The items of a chunk, decoded one by one. Ends after the first error.
pub struct ChunkItems<'a> {
    frame: Frame<'a>,
    left: u32,
}

impl fmt::Debug for ChunkItems<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChunkItems").finish_non_exhaustive()
    }
}

/// Checks length and hash of a chunk against its listing in a verified manifest.
///
/// # Errors
/// [`CodecError::WrongChunk`] here; each item may fail too. The agent drops the whole snapshot and asks again.
pub fn decode_chunk<'a>(bytes: &'a [u8], listed: &(u32, [u8; 32])) -> Result<ChunkItems<'a>, CodecError> {
    check_size("chunk", bytes, CHUNK_BYTES_MAX)?;
    let (length, sha256) = listed;
    let digest: [u8; 32] = Sha256::digest(bytes).into();
    if u32::try_from(bytes.len()) != Ok(*length) || digest != *sha256 {
        return Err(CodecError::WrongChunk);
    }
    Ok(ChunkItems { frame: Frame::new("chunk", bytes), left: CHUNK_ITEMS_MAX })
}

impl Iterator for ChunkItems<'_> {
    type Item = Result<SnapshotItem, CodecError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.frame.is_empty() {
            return None;
        }
        let item = match self.left.checked_sub(1) {
            Some(left) => {
                self.left = left;
                self.frame.field(CHUNK_ITEM).and_then(decode_item)
            }
            None => {
                let limit = usize::try_from(CHUNK_ITEMS_MAX).unwrap_or(usize::MAX);
                Err(CodecError::Count { field: "items", count: limit.saturating_add(1), limit })
            }
        };
        if item.is_err() {
            self.frame = Frame::new("chunk", &[]);
        }
        Some(item)
    }
}

fn item_to_wire(item: &SnapshotItem) -> proto::SnapshotItem {
    let item = match item {
        SnapshotItem::Record(record, state) => Item::Record(proto::SnapshotRecord {
            id: record.id.packed(),
            record: Some(record_to_wire(record.kind, &record.target, record.cutoff)),
            ended: match state {
                RecordState::Active => None,
                RecordState::Ended { residual_cutoff } => {
                    Some(proto::Ended { residual_cutoff_s: residual_cutoff.map(|at| at.0) })
                }
            },
        }),
        SnapshotItem::Entitlement(entitlement) => Item::Entitlement(proto::SnapshotEntitlement {
            id: entitlement.id.packed(),
            grant: Some(entitlement_to_wire(entitlement)),
        }),
    };
    proto::SnapshotItem { item: Some(item) }
}

fn decode_item(bytes: &[u8]) -> Result<SnapshotItem, CodecError> {
    let wire: proto::SnapshotItem = decode_strict("snapshot item", bytes)?;
    match wire.item.ok_or(CodecError::UnknownKind { field: "snapshot item" })? {
        Item::Record(proto::SnapshotRecord { id, record, ended }) => {
            let id = record_id("id", id)?;
            check_lane("id", id, Lane::Deny)?;
            let state = match ended {
                None => RecordState::Active,
                Some(ended) => RecordState::Ended { residual_cutoff: ended.residual_cutoff_s.map(UnixS) },
            };
            Ok(SnapshotItem::Record(record_from_wire(id, required("record", record)?)?, state))
        }
        Item::Entitlement(proto::SnapshotEntitlement { id, grant }) => {
            let id = record_id("id", id)?;
            check_lane("id", id, Lane::Grant(0))?;
            Ok(SnapshotItem::Entitlement(entitlement_from_wire(id, required("grant", grant)?)?))
        }
    }
}

#[cfg(test)]
mod tests;
