//! Requests over the bus, and the decoding of their answers. Nothing here touches the machine.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt, stream};
use rescind_bus::{LinkState, LiveFeed, Parts, RequestError};
use rescind_codec::{
    LogItem, ManifestId, RepairRequest, SnapshotRequest, decode_chunk, decode_log_message, decode_manifest,
    encode_lease_request, encode_repair, encode_snapshot_request,
};
use rescind_core::agent::{RangeFailure, RangeRest, Unreadable};
use rescind_core::entry::ChainedEntry;
use rescind_core::key::KeyHasher;
use rescind_core::lease::{Behind, LeaseRequest};
use rescind_core::position::{Lane, Revision};
use rescind_core::snapshot::Manifest;
use rescind_core::view::View;
use tokio::sync::mpsc;
use tokio::time::timeout;

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
    Lease { request: LeaseRequest, answer: LeaseAnswer, way: Way },
    Range(Range),
    Snapshot(Option<Box<(Manifest, View)>>),
    Subscribed { lane: Lane, feed: LiveFeed },
    HandedBack,
}

/// The answer to a request for a lease.
pub(crate) enum LeaseAnswer {
    /// Bytes that may be a grant.
    Grant(Bytes),
    /// The controller lost something that an agent holds and grants nothing until it has it again.
    Behind(Behind),
    /// None.
    Nothing,
}

impl LeaseAnswer {
    pub(super) const fn is_there(&self) -> bool {
        !matches!(self, Self::Nothing)
    }
}

/// The answer to a request for a range.
pub(super) struct Range {
    pub(super) lane: Lane,
    pub(super) entries: Result<(Vec<ChainedEntry>, RangeRest), RangeFailure>,
    /// A signed entry behind these that is not understood: poison.
    pub(super) closed: Option<Unreadable>,
    pub(super) way: Way,
}

/// Which way an answer came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    Bus,
    Direct,
}

impl Wire {
    /// Whether the direct path is asked without waiting for the bus.
    pub(super) fn prefers_direct(&self) -> bool {
        let is_down = || *self.bus.link().borrow() == LinkState::Down;
        self.direct.as_ref().is_some_and(|direct| direct.is_bus_silent() || is_down())
    }
}

/// Asks for a lease: over the bus, and the direct way where that is down, silent, or leaves this unanswered for
/// `patience`. It is one request with one nonce and one anchor; whichever answer comes first counts.
pub(super) async fn lease(
    wire: &Arc<Wire>,
    request: &LeaseRequest,
    patience: Duration,
) -> (LeaseAnswer, Way) {
    let bytes = Bytes::from(encode_lease_request(request, &wire.chain, &wire.key));
    let Some(direct) = &wire.direct else { return (bus_lease(wire, bytes).await, Way::Bus) };
    let patience = if wire.prefers_direct() { Duration::ZERO } else { patience };
    // Why a task: it tells whether the bus answers even after the direct path did.
    let (asking, asked) = (Arc::clone(wire), bytes.clone());
    let mut over_bus = tokio::spawn(async move {
        let answer = bus_lease(&asking, asked).await;
        if let Some(direct) = &asking.direct {
            direct.note_bus(answer.is_there());
        }
        answer
    });
    match timeout(patience, &mut over_bus).await {
        Ok(Ok(answer)) if answer.is_there() => return (answer, Way::Bus),
        Ok(_) => return (direct.lease(bytes).await, Way::Direct),
        Err(_) => direct.note_bus(false),
    }
    let mut over_direct = pin!(direct.lease(bytes));
    tokio::select! {
        answer = &mut over_bus => match answer {
            Ok(answer) if answer.is_there() => (answer, Way::Bus),
            Ok(_) | Err(_) => (over_direct.await, Way::Direct),
        },
        answer = &mut over_direct => match answer {
            answer if answer.is_there() => (answer, Way::Direct),
            _ => (over_bus.await.unwrap_or(LeaseAnswer::Nothing), Way::Bus),
        },
    }
}

async fn bus_lease(wire: &Wire, bytes: Bytes) -> LeaseAnswer {
    let subject = wire.bus.subjects().lease();
    match wire.bus.request(&subject, bytes, LEASE_WAIT).await {
        Ok(answer) => LeaseAnswer::Grant(answer),
        Err(error) => {
            tracing::debug!(%error, "no lease over the bus");
            match error {
                RequestError::Remote { code: Behind::CODE, text, .. } => {
                    text.parse().map_or(LeaseAnswer::Nothing, LeaseAnswer::Behind)
                }
                _ => LeaseAnswer::Nothing,
            }
        }
    }
}

/// Fetches the entries that follow `after`: over the bus, or the direct way where that is down or silent; each
/// stands in for the other.
pub(super) async fn range(wire: &Arc<Wire>, lane: Lane, after: Revision, entries_max: u32) -> Range {
    let request = Bytes::from(encode_repair(&RepairRequest { lane, after, entries_max }));
    let ways = match (&wire.direct, wire.prefers_direct()) {
        (None, _) => vec![Way::Bus],
        (Some(_), true) => vec![Way::Direct, Way::Bus],
        (Some(_), false) => vec![Way::Bus, Way::Direct],
    };
    let mut last = Range { lane, entries: Err(RangeFailure::Unavailable), closed: None, way: Way::Bus };
    for way in ways {
        let parts = match (way, &wire.direct) {
            (Way::Direct, Some(direct)) => {
                direct.range(request.clone(), usize::try_from(entries_max).unwrap_or(usize::MAX)).await
            }
            (Way::Direct, None) => continue,
            (Way::Bus, _) => bus_range(wire, lane, request.clone(), entries_max).await,
        };
        last = match parts {
            Ok(parts) => {
                let wire = Arc::clone(wire);
                // Why beside: the signatures of a full range take tens of milliseconds.
                let decoded =
                    tokio::task::spawn_blocking(move || decode_range(&wire, lane, entries_max, &parts));
                let failed = || Range { lane, entries: Err(RangeFailure::Unreadable), closed: None, way };
                decoded.await.map_or_else(|_| failed(), |range| Range { way, ..range })
            }
            Err(failure) => Range { lane, entries: Err(failure), closed: None, way },
        };
        if !matches!(last.entries, Err(RangeFailure::Unavailable)) {
            break;
        }
    }
    last
}

async fn bus_range(
    wire: &Wire,
    lane: Lane,
    request: Bytes,
    entries_max: u32,
) -> Result<Vec<Bytes>, RangeFailure> {
    let ask = Parts {
        subject: wire.bus.subjects().repair(),
        payload: request,
        parts_max: usize::try_from(entries_max).unwrap_or(usize::MAX),
        bytes_max: RANGE_BYTES_MAX,
        part_timeout: RANGE_PART_WAIT,
    };
    wire.bus.request_many(ask).await.map_err(|error| match error {
        RequestError::Remote { code: CODE_GONE, .. } => RangeFailure::TooOld,
        error => {
            tracing::debug!(%lane, %error, "a range was not served over the bus");
            RangeFailure::Unavailable
        }
    })
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
                return Range { lane, entries, closed, way: Way::Bus };
            }
        }
    }
    Range { lane, entries: Ok((entries, rest)), closed: None, way: Way::Bus }
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
