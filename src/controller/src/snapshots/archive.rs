//! Snapshots as files outside the bus: `<dir>/<time>-<build>/<index>` and `manifest`, written last.
//!
//! They are as trustworthy as the bucket: not at all. A manifest is signed, a chunk is named by its hash, and a
//! manifest whose heads do not stand in this controller's log is left alone.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use rescind_codec::{CHUNK_BYTES_MAX, MANIFEST_BYTES_MAX, TrustBundle, decode_chunk};

use super::chunks::{Chunks, Kept, check};
use crate::startup::Logs;

/// Limit: archived snapshots that are looked at for one that fits, newest first.
const LOOK_MAX: usize = 64;
/// Name of the file that makes a folder a snapshot.
const MANIFEST: &str = "manifest";

/// Where copies go.
#[derive(Debug, Clone)]
pub(super) struct Archive {
    dir: PathBuf,
}

impl Archive {
    pub(super) const fn new(dir: PathBuf) -> Self {
        Self { dir }
    }

    /// Writes a copy; a folder that is cut short has no manifest and so is no snapshot.
    pub(super) async fn store(&self, chunks: &Chunks, kept: &Kept) -> Result<(), String> {
        let folder = self.dir.join(format!("{:015}-{}", kept.made_at.0, kept.name));
        for index in 0..kept.listing.len() {
            let number = u32::try_from(index).unwrap_or(u32::MAX);
            let bytes = chunks.get(kept, number).await?.ok_or("a chunk is missing")?;
            write(folder.clone(), index.to_string(), bytes).await?;
        }
        write(folder, MANIFEST.to_owned(), kept.manifest.clone()).await
    }

    /// Puts the newest copy that fits this log and is whole back into the bucket.
    pub(super) async fn put_back(
        &self,
        chunks: &Chunks,
        trust: &TrustBundle,
        logs: &Logs,
    ) -> Result<Option<Kept>, String> {
        let dir = self.dir.clone();
        let folders = blocking(move || folders(&dir)).await?;
        for folder in folders.into_iter().take(LOOK_MAX) {
            let Ok(manifest) = read(folder.join(MANIFEST), MANIFEST_BYTES_MAX).await else { continue };
            let name =
                folder.file_name().and_then(|name| name.to_str()?.split_once('-')).map(|(_, name)| name);
            let Some(kept) = name.and_then(|name| check(name, manifest, trust, logs)) else { continue };
            match fill(chunks, &folder, &kept).await {
                Ok(()) => return Ok(Some(kept)),
                Err(reason) => {
                    tracing::warn!(folder = %folder.display(), reason, "an archived snapshot was not put back");
                }
            }
        }
        Ok(None)
    }
}

async fn fill(chunks: &Chunks, folder: &Path, kept: &Kept) -> Result<(), String> {
    for (index, listed) in kept.listing.iter().enumerate() {
        let bytes = read(folder.join(index.to_string()), CHUNK_BYTES_MAX).await?;
        decode_chunk(&bytes, listed).map_err(|error| error.to_string())?;
        chunks.store_chunk(&kept.name, index, bytes).await?;
    }
    chunks.store_manifest(kept).await
}

/// Folders, newest first: their names begin with the time.
fn folders(dir: &Path) -> Result<Vec<PathBuf>, String> {
    let listing = match fs::read_dir(dir) {
        Ok(listing) => listing,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(format!("cannot list `{}`: {error}", dir.display())),
    };
    let mut folders: Vec<PathBuf> =
        listing.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| path.is_dir()).collect();
    folders.sort_unstable_by(|one, other| other.cmp(one));
    Ok(folders)
}

async fn write(folder: PathBuf, name: String, bytes: Bytes) -> Result<(), String> {
    blocking(move || {
        let path = folder.join(name);
        let failed = |error: std::io::Error| format!("cannot write `{}`: {error}", path.display());
        fs::create_dir_all(&folder).map_err(failed)?;
        fs::write(&path, &bytes).map_err(failed)?;
        fs::File::open(&path).and_then(|file| file.sync_all()).map_err(failed)
    })
    .await
}

async fn read(path: PathBuf, bytes_max: usize) -> Result<Bytes, String> {
    blocking(move || {
        let failed = |error: std::io::Error| format!("cannot read `{}`: {error}", path.display());
        let limit = u64::try_from(bytes_max).unwrap_or(u64::MAX).saturating_add(1);
        let mut bytes = Vec::new();
        fs::File::open(&path).map_err(failed)?.take(limit).read_to_end(&mut bytes).map_err(failed)?;
        if bytes.len() > bytes_max {
            return Err(format!("`{}` is larger than it can be", path.display()));
        }
        Ok(Bytes::from(bytes))
    })
    .await
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, String> + Send + 'static,
) -> Result<T, String> {
    tokio::task::spawn_blocking(work).await.map_err(|error| error.to_string())?
}
