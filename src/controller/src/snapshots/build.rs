//! One snapshot: the log folded up to the heads, cut into chunks, each stored as soon as it is full.

use std::sync::Arc;

use bytes::Bytes;
use rescind_codec::{Chunk, ChunkWriter, encode_manifest};
use rescind_core::position::Heads;
use rescind_core::snapshot::Manifest;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::SnapshotParts;
use super::archive::Archive;
use super::chunks::{Chunks, Kept};
use crate::clock;
use crate::startup::{Folded, fold};

/// Limit: chunks between the thread that makes them and the task that stores them: 2 MiB.
const CHUNKS_AHEAD: usize = 4;

/// The copy of the state that snapshots are made from.
pub(super) type Shadow = Folded;

/// What a build leaves.
pub(super) struct Built {
    pub(super) kept: Kept,
    pub(super) shadow: Shadow,
}

pub(super) fn start(
    parts: &SnapshotParts,
    chunks: Arc<Chunks>,
    (shadow, archive): (Option<Shadow>, Option<Archive>),
    heads: Heads,
    stop: CancellationToken,
) -> JoinHandle<Result<Built, String>> {
    let parts = parts.clone();
    tokio::spawn(async move {
        let built = build(&parts, &chunks, shadow, heads, stop).await?;
        if let Some(archive) = archive
            && let Err(reason) = archive.store(&chunks, &built.kept).await
        {
            tracing::warn!(reason, "the snapshot was not archived; the bucket has it");
        }
        Ok(built)
    })
}

async fn build(
    parts: &SnapshotParts,
    chunks: &Chunks,
    shadow: Option<Shadow>,
    heads: Heads,
    stop: CancellationToken,
) -> Result<Built, String> {
    let random = |error: getrandom::Error| error.to_string();
    let name = format!("{:016x}", getrandom::u64().map_err(random)?);
    let (sender, receiver) = mpsc::channel(CHUNKS_AHEAD);
    let (logs, trust) = (parts.logs.clone(), Arc::clone(&parts.identity.trust));
    let halt = stop.clone();
    let made = tokio::task::spawn_blocking(move || {
        let shadow = match shadow {
            Some(shadow) => shadow,
            None => {
                // Why no keys: nobody asks a shadow for repeats.
                Folded::empty(1).map_err(|error| error.to_string())?
            }
        };
        let shadow = fold(&logs, &trust, shadow, Some(heads), &stop).map_err(|error| error.to_string())?;
        if shadow.heads != heads {
            return Err("the log does not end where the heads are".to_owned());
        }
        cut(&shadow, &sender);
        Ok(shadow)
    });
    let stored = tokio::select! {
        stored = store(chunks, &name, receiver) => stored,
        // Dropping the receiver ends the thread; what was stored is cleared away at the next start.
        () = halt.cancelled() => Err("the controller is shutting down".to_owned()),
    };
    let shadow = made.await.map_err(|error| error.to_string())??;
    let (listing, items) = stored?;
    let manifest = Manifest {
        chain: parts.identity.trust.pin().chain.clone(),
        heads,
        digest: shadow.registry.digest(),
        items,
        chunks: listing.clone(),
        made_at: clock::wall(),
    };
    let (bytes, id) = encode_manifest(&manifest, &parts.identity.key);
    let kept =
        Kept { id, name, heads, items, made_at: manifest.made_at, listing, manifest: Bytes::from(bytes) };
    chunks.store_manifest(&kept).await?;
    Ok(Built { kept, shadow })
}

/// Cuts the state into chunks; ends early where nobody stores them.
fn cut(shadow: &Shadow, sender: &mpsc::Sender<Chunk>) {
    let mut writer = ChunkWriter::new();
    for item in shadow.registry.items() {
        if let Some(chunk) = writer.push(&item)
            && sender.blocking_send(chunk).is_err()
        {
            return;
        }
    }
    if let Some(chunk) = writer.finish() {
        // Why ignored: the storing side has the error.
        sender.blocking_send(chunk).ok();
    }
}

type Stored = (Vec<(u32, [u8; 32])>, u64);

async fn store(chunks: &Chunks, name: &str, mut receiver: mpsc::Receiver<Chunk>) -> Result<Stored, String> {
    let mut listing = Vec::new();
    let mut items = 0_u64;
    while let Some(chunk) = receiver.recv().await {
        chunks.store_chunk(name, listing.len(), Bytes::copy_from_slice(&chunk.bytes)).await?;
        items = items.saturating_add(u64::from(chunk.items));
        listing.push(chunk.listing());
    }
    Ok((listing, items))
}
