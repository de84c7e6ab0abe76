//! Requests over the bus, and the decoding of their answers. Nothing here touches the machine.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt, stream};
use rescind_bus::{LiveFeed, Parts, RequestError};
use rescind_codec::{
    LogItem, ManifestId, RepairRequest, SnapshotRequest, decode_chunk, decode_log_message, decode_manifest,
    encode_lease_request, encode_repair, encode_snapshot_request,
};
use rescind_core::agent::{RangeFailure, RangeRest, Unreadable};
use rescind_core::entry::ChainedEntry;
use rescind_core::key::KeyHasher;
use rescind_core::lease::LeaseRequest;
use rescind_core::position::{Lane, Revision};
use rescind_core::snapshot::Manifest;
use rescind_core::view::View;
use tokio::sync::mpsc;

use super::Wire;

/// A grant that comes later is of no use: the next request is under way.
const LEASE_WAIT: Duration = Duration::from_secs(2);
/// Longest wait for each part of a range.
const RANGE_PART_WAIT: Duration = Duration::from_secs(1);
/// Limit: bytes of one range.
const RANGE_BYTES_MAX: usize = 64 << 20;
/// Longest wait for a manifest or a chunk.
const SNAPSHOT_WAIT: Duration = Duration::from_secs(5);
/// Chunks asked for at once, and chunks that wait to be folded.
const CHUNKS_AHEAD: usize = 4;
/// Code of an answer that says: this range is no longer kept.
const CODE_GONE: u16 = 410;

/// What came back.
pub(super) enum Done {
    Lease { request: LeaseRequest, answer: Option<Bytes> },
    Range(Range),
    Snapshot(Option<Box<(Manifest, View)>>),
    Subscribed { lane: Lane, feed: LiveFeed },
}

/// The answer to a request for a range.
pub(super) struct Range {
    pub(super) lane: Lane,
    pub(super) entries: Result<(Vec<ChainedEntry>, RangeRest), RangeFailure>,
    /// A signed entry behind these that is not understood: poison.
    pub(super) closed: Option<Unreadable>,
}

/// Asks for a lease.
pub(super) async fn lease(wire: &Wire, request: &LeaseRequest) -> Option<Bytes> {
    let bytes = encode_lease_request(request, &wire.chain, &wire.key);
    let subject = wire.bus.subjects().lease();
    match wire.bus.request(&subject, bytes.into(), LEASE_WAIT).await {
        Ok(answer) => Some(answer),
        Err(error) => {
            tracing::debug!(%error, "no lease");
            None
        }
    }
}

/// Fetches the entries that follow `after`.
pub(super) async fn range(wire: &Arc<Wire>, lane: Lane, after: Revision, entries_max: u32) -> Range {
    let ask = Parts {
        subject: wire.bus.subjects().repair(),
        payload: encode_repair(&RepairRequest { lane, after, entries_max }).into(),
        parts_max: usize::try_from(entries_max).unwrap_or(usize::MAX),
        bytes_max: RANGE_BYTES_MAX,
        part_timeout: RANGE_PART_WAIT,
    };
    let failed = |failure| Range { lane, entries: Err(failure), closed: None };
    match wire.bus.request_many(ask).await {
        Ok(parts) => {
            let wire = Arc::clone(wire);
            // Why beside: the signatures of a full range take tens of milliseconds.
            let decoded =
                tokio::task::spawn_blocking(move || decode_range(&wire, lane, entries_max, &parts)).await;
            decoded.unwrap_or_else(|_| failed(RangeFailure::Unreadable))
        }
        Err(RequestError::Remote { code: CODE_GONE, .. }) => failed(RangeFailure::TooOld),
        Err(error) => {
            tracing::debug!(%lane, %error, "a range was not served");
            failed(RangeFailure::Unavailable)
        }
    }
}

/// Takes everything up to the first part that cannot be read.
fn decode_range(wire: &Wire, lane: Lane, entries_max: u32, parts: &[Bytes]) -> Range {
    let is_full = u32::try_from(parts.len()).unwrap_or(u32::MAX) >= entries_max;
    let rest = if is_full { RangeRest::More } else { RangeRest::Complete };
    let mut entries = Vec::with_capacity(parts.len());
    for part in parts {
        match decode_log_message(part, lane, &wire.trust) {
            Ok(LogItem::Entry(entry)) => entries.push(entry),
            Ok(LogItem::Tick(..)) => {}
            Err(refused) => {
                tracing::warn!(%lane, error = %refused.error, "an entry of a range was refused");
                let closed = refused.at.map(|at| Unreadable {
                    lane,
                    at: Some(at),
                    reason: refused.error.to_string().into(),
                });
                let unreadable = entries.is_empty() && closed.is_none();
                let entries = if unreadable { Err(RangeFailure::Unreadable) } else { Ok((entries, rest)) };
                return Range { lane, entries, closed };
            }
        }
    }
    Range { lane, entries: Ok((entries, rest)), closed: None }
}

/// Fetches the newest snapshot and builds its view; `None` where any part is missing or wrong.
pub(super) async fn snapshot(wire: Arc<Wire>, hasher: KeyHasher) -> Option<Box<(Manifest, View)>> {
    let asked = ask_snapshot(&wire, &SnapshotRequest::Manifest).await?;
    let (manifest, id) = match decode_manifest(&asked, &wire.trust) {
        Ok(decoded) => decoded,
        Err(error) => {
            tracing::warn!(%error, "a snapshot's manifest was refused");
            return None;
        }
    };
    let (chunks, incoming) = mpsc::channel(CHUNKS_AHEAD);
    let listing = manifest.chunks.clone();
    // Why beside: a million items take a second or two.
    let builder = tokio::task::spawn_blocking(move || build(&listing, incoming, hasher));
    send_chunks(&wire, &manifest, id, chunks).await;
    let view = builder.await.ok().flatten()?;
    Some(Box::new((manifest, view)))
}

/// Asks for the chunks in order, a few ahead; stops at the first that does not come.
async fn send_chunks(wire: &Wire, manifest: &Manifest, id: ManifestId, chunks: mpsc::Sender<Bytes>) {
    let indexes = (0_u32..).take(manifest.chunks.len());
    let requests = indexes.map(|index| async move {
        ask_snapshot(wire, &SnapshotRequest::Chunk { manifest: id, index }).await
    });
    let mut answers = stream::iter(requests).buffered(CHUNKS_AHEAD);
    while let Some(Some(chunk)) = answers.next().await {
        if chunks.send(chunk).await.is_err() {
            return;
        }
    }
}

async fn ask_snapshot(wire: &Wire, request: &SnapshotRequest) -> Option<Bytes> {
    let subject = wire.bus.subjects().snapshot();
    match wire.bus.request(&subject, encode_snapshot_request(request).into(), SNAPSHOT_WAIT).await {
        Ok(answer) => Some(answer),
        Err(error) => {
            tracing::debug!(%error, "a part of a snapshot was not served");
            None
        }
    }
}

/// Folds the chunks; `None` where one is missing, damaged or contradicts another.
fn build(
    listing: &[(u32, [u8; 32])],
    mut incoming: mpsc::Receiver<Bytes>,
    hasher: KeyHasher,
) -> Option<View> {
    let mut view = View::new(hasher);
    for listed in listing {
        let chunk = incoming.blocking_recv()?;
        let restored =
            decode_chunk(&chunk, listed).map_err(|error| error.to_string()).and_then(|mut items| {
                items.try_for_each(|item| {
                    let item = item.map_err(|error| error.to_string())?;
                    view.restore(&item).map_err(|error| error.to_string())
                })
            });
        if let Err(error) = restored {
            tracing::warn!(error, "a snapshot's chunk was refused");
            return None;
        }
    }
    Some(view)
}
