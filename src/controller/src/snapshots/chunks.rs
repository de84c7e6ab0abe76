//! Snapshots in the bucket: `<build>/<index>` and `<build>/manifest`.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use rescind_bus::{BucketSettings, Bus, Snapshots};
use rescind_codec::{CHUNK_BYTES_MAX, MANIFEST_BYTES_MAX, ManifestId, TrustBundle, decode_manifest};
use rescind_core::position::{Heads, LANES};
use rescind_core::time::UnixMs;
use tokio::sync::OnceCell;

use crate::startup::Logs;

/// Limit: bytes of chunks that are kept in memory: agents that start together read the same ones.
const CACHE_BYTES_MAX: usize = 32 << 20;

/// A snapshot that can be served.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) id: ManifestId,
    /// The build's name: first part of its objects' names.
    pub(super) name: String,
    pub(super) heads: Heads,
    pub(super) items: u64,
    pub(super) made_at: UnixMs,
    pub(super) listing: Vec<(u32, [u8; 32])>,
    /// Signed bytes.
    pub(super) manifest: Bytes,
}

#[derive(Debug, Default)]
struct Cache {
    chunks: VecDeque<((ManifestId, u32), Bytes)>,
    bytes: usize,
}

/// The bucket, opened when it is first needed.
#[derive(Debug)]
pub(super) struct Chunks {
    bus: Bus,
    settings: BucketSettings,
    bucket: OnceCell<Snapshots>,
    cache: Mutex<Cache>,
}

impl Chunks {
    pub(super) fn new(bus: Bus, settings: BucketSettings) -> Self {
        Self { bus, settings, bucket: OnceCell::new(), cache: Mutex::default() }
    }

    async fn bucket(&self) -> Result<&Snapshots, String> {
        let opened = self.bucket.get_or_try_init(|| self.bus.snapshots(&self.settings)).await;
        opened.map_err(|error| error.to_string())
    }

    /// The newest snapshots of earlier runs that fit this log; everything else in the bucket is deleted.
    pub(super) async fn recall(
        &self,
        trust: &TrustBundle,
        logs: &Logs,
        max: usize,
    ) -> Result<Vec<Kept>, String> {
        let bucket = self.bucket().await?;
        let objects = bucket.list().await.map_err(|error| error.to_string())?;
        let mut builds: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for object in objects {
            let build = object.name.split('/').next().unwrap_or_default().to_owned();
            builds.entry(build).or_default().push(object.name);
        }
        let mut kept = Vec::new();
        for build in builds.keys() {
            if let Ok(bytes) = bucket.get(&format!("{build}/manifest"), MANIFEST_BYTES_MAX).await
                && let Some(found) = check(build, bytes, trust, logs)
            {
                kept.push(found);
            }
        }
        kept.sort_by_key(|kept: &Kept| std::cmp::Reverse(kept.made_at));
        kept.truncate(max);
        for (build, names) in builds {
            if kept.iter().all(|kept| kept.name != build) {
                for name in names {
                    bucket.delete(&name).await.map_err(|error| error.to_string())?;
                }
            }
        }
        Ok(kept)
    }

    pub(super) async fn store_chunk(&self, build: &str, index: usize, bytes: Bytes) -> Result<(), String> {
        let bucket = self.bucket().await?;
        bucket.put(&format!("{build}/{index}"), bytes).await.map_err(|error| error.to_string())
    }

    pub(super) async fn store_manifest(&self, kept: &Kept) -> Result<(), String> {
        let bucket = self.bucket().await?;
        let name = format!("{}/manifest", kept.name);
        bucket.put(&name, kept.manifest.clone()).await.map_err(|error| error.to_string())
    }

    /// Deletes a snapshot; what cannot be deleted now goes at the next start.
    pub(super) async fn forget(&self, kept: &Kept) {
        let Ok(bucket) = self.bucket().await else { return };
        let names = (0..kept.listing.len()).map(|index| index.to_string()).chain(["manifest".to_owned()]);
        for name in names {
            if let Err(error) = bucket.delete(&format!("{}/{name}", kept.name)).await {
                tracing::debug!(%error, "an old snapshot was not deleted");
                return;
            }
        }
    }

    /// A chunk; `None` where the manifest lists none.
    pub(super) async fn get(&self, kept: &Kept, index: u32) -> Result<Option<Bytes>, String> {
        let place = usize::try_from(index).unwrap_or(usize::MAX);
        if place >= kept.listing.len() {
            return Ok(None);
        }
        let key = (kept.id, index);
        if let Some(bytes) = self.cached(key) {
            return Ok(Some(bytes));
        }
        let bucket = self.bucket().await?;
        let name = format!("{}/{index}", kept.name);
        let bytes = bucket.get(&name, CHUNK_BYTES_MAX).await.map_err(|error| error.to_string())?;
        self.cache(key, bytes.clone());
        Ok(Some(bytes))
    }

    fn cached(&self, key: (ManifestId, u32)) -> Option<Bytes> {
        let cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        cache.chunks.iter().find(|(there, _)| *there == key).map(|(_, bytes)| bytes.clone())
    }

    fn cache(&self, key: (ManifestId, u32), bytes: Bytes) {
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        if cache.chunks.iter().any(|(there, _)| *there == key) {
            return;
        }
        cache.bytes = cache.bytes.saturating_add(bytes.len());
        cache.chunks.push_back((key, bytes));
        while cache.bytes > CACHE_BYTES_MAX {
            let Some((_, oldest)) = cache.chunks.pop_front() else { break };
            cache.bytes = cache.bytes.saturating_sub(oldest.len());
        }
    }
}

/// A manifest of ours whose heads stand in this log.
pub(super) fn check(build: &str, bytes: Bytes, trust: &TrustBundle, logs: &Logs) -> Option<Kept> {
    let (manifest, id) = decode_manifest(&bytes, trust).ok()?;
    for lane in LANES {
        let head = manifest.heads.get(lane)?;
        if head.position.revision.0 > 0 {
            let entry = logs.get(lane)?.holding(head.position.revision).ok()??;
            if entry.hash != head.hash {
                return None;
            }
        }
    }
    Some(Kept {
        id,
        name: build.to_owned(),
        heads: manifest.heads,
        items: manifest.items,
        made_at: manifest.made_at,
        listing: manifest.chunks,
        manifest: bytes,
    })
}
