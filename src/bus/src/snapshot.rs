//! Snapshot chunks in an object store bucket. Names and bytes are the caller's business; so is trust.

use std::time::Duration;

use async_nats::jetstream::{
    ErrorCode,
    object_store::{Config, ObjectStore},
    stream::StorageType,
};
use bytes::Bytes;
use futures::StreamExt;
use tokio::{io::AsyncReadExt, time::timeout};

use crate::{connect::Bus, stream::Replicas};

/// Limit: one object; a chunk of a snapshot is a few MiB.
const OBJECT_BYTES_MAX: usize = 256 << 20;

/// Limit: longest object name in bytes.
const NAME_BYTES_MAX: usize = 128;

/// Limit: objects that one listing gives out.
const LIST_MAX: usize = 65_536;

/// Limit: one transfer. Why 60 s: 256 MiB over a slow disk; an interrupted one would wait for ever.
const TRANSFER_WAIT: Duration = Duration::from_secs(60);

/// Settings of the bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BucketSettings {
    /// Copies in a cluster.
    pub replicas: Replicas,
    /// Largest size in bytes; `None` for no limit.
    pub max_bytes: Option<u64>,
}

/// One object of the bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectSummary {
    /// Name.
    pub name: String,
    /// Size in bytes.
    pub bytes: u64,
}

/// An operation on the bucket that failed; all of them may be tried again.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The bucket cannot be opened or made.
    #[error(
        "cannot open snapshot bucket `{bucket}`: {reason}; check that JetStream is on and this user's rights"
    )]
    Bucket {
        /// The bucket.
        bucket: String,
        /// What the client said.
        reason: String,
    },
    /// The bucket exists with other settings.
    #[error(
        "snapshot bucket `{bucket}` exists with other settings: {reason}; delete it, it can be made again"
    )]
    Mismatch {
        /// The bucket.
        bucket: String,
        /// Every wrong setting.
        reason: String,
    },
    /// No such object.
    #[error("snapshot object `{name}` does not exist; ask for a newer manifest")]
    NotFound {
        /// The object.
        name: String,
    },
    /// Larger than allowed.
    #[error(
        "snapshot object `{name}` has {bytes} bytes, at most {bytes_max} are allowed; use smaller chunks"
    )]
    TooLarge {
        /// The object.
        name: String,
        /// Its size.
        bytes: usize,
        /// What is allowed.
        bytes_max: usize,
    },
    /// A name that cannot be used.
    #[error("a snapshot object's name has 1 to {NAME_BYTES_MAX} of A-Z a-z 0-9 _ - . /")]
    Name,
    /// No end in time.
    #[error("{action} a snapshot object took longer than {} s; try again", TRANSFER_WAIT.as_secs())]
    TimedOut {
        /// What was attempted.
        action: &'static str,
    },
    /// Anything else.
    #[error("{action} a snapshot object failed: {reason}; try again")]
    Failed {
        /// What was attempted.
        action: &'static str,
        /// What the client said.
        reason: String,
    },
}

/// The snapshot bucket of a realm; cheap to clone.
#[derive(Clone)]
pub struct Snapshots {
    store: ObjectStore,
}

impl std::fmt::Debug for Snapshots {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Snapshots").finish_non_exhaustive()
    }
}

impl Bus {
    /// Opens the realm's bucket, making it if it is missing.
    ///
    /// # Errors
    /// [`SnapshotError::Bucket`], or [`SnapshotError::Mismatch`] for a bucket with other settings.
    pub async fn snapshots(&self, settings: &BucketSettings) -> Result<Snapshots, SnapshotError> {
        let bucket = self.subjects().bucket();
        let config = Config {
            bucket: bucket.clone(),
            max_bytes: settings.max_bytes.map_or(-1, |bytes| i64::try_from(bytes).unwrap_or(i64::MAX)),
            storage: StorageType::File,
            num_replicas: match settings.replicas {
                Replicas::One => 1,
                Replicas::Three => 3,
            },
            ..Config::default()
        };
        let failed = |reason: String| SnapshotError::Bucket { bucket: bucket.clone(), reason };
        let context = self.jetstream();
        let opened = async {
            let stream = format!("OBJ_{bucket}");
            match context.get_stream(&stream).await {
                Ok(stream) => check(&bucket, &config, &stream.cached_info().config)?,
                Err(error) if is_missing(&error) => {
                    context
                        .create_object_store(config.clone())
                        .await
                        .map_err(|error| failed(chain(&error)))?;
                }
                Err(error) => return Err(failed(chain(&error))),
            }
            context.get_object_store(&bucket).await.map_err(|error| failed(chain(&error)))
        };
        let store =
            timeout(TRANSFER_WAIT, opened).await.map_err(|_| failed("no answer in time".to_owned()))??;
        Ok(Snapshots { store })
    }
}

impl Snapshots {
    /// Stores an object; replaces one of the same name. 256 MiB at most.
    ///
    /// # Errors
    /// [`SnapshotError`].
    pub async fn put(&self, name: &str, bytes: Bytes) -> Result<(), SnapshotError> {
        check_name(name)?;
        if bytes.len() > OBJECT_BYTES_MAX {
            return Err(too_large(name, bytes.len(), OBJECT_BYTES_MAX));
        }
        let mut reader = bytes.as_ref();
        bounded("storing", self.store.put(name, &mut reader)).await.map(drop)
    }

    /// Reads an object of at most `bytes_max` bytes. The client checks the SHA-256 of the server's record.
    ///
    /// # Errors
    /// [`SnapshotError::TooLarge`] before anything is transferred, [`SnapshotError::NotFound`], and the rest.
    pub async fn get(&self, name: &str, bytes_max: usize) -> Result<Bytes, SnapshotError> {
        check_name(name)?;
        let bytes_max = bytes_max.min(OBJECT_BYTES_MAX);
        let transfer = async {
            let object = self.store.get(name).await.map_err(|error| match error.kind() {
                async_nats::jetstream::object_store::GetErrorKind::NotFound => {
                    SnapshotError::NotFound { name: name.to_owned() }
                }
                _ => failed("reading", chain(&error)),
            })?;
            let size = object.info().size;
            if size > bytes_max {
                return Err(too_large(name, size, bytes_max));
            }
            let limit = u64::try_from(bytes_max).unwrap_or(u64::MAX).saturating_add(1);
            let mut bytes = Vec::with_capacity(size);
            let read = object.take(limit).read_to_end(&mut bytes).await;
            read.map_err(|error| failed("reading", error.to_string()))?;
            if bytes.len() != size {
                return Err(failed("reading", format!("{} of {size} bytes arrived", bytes.len())));
            }
            Ok(Bytes::from(bytes))
        };
        timeout(TRANSFER_WAIT, transfer).await.map_err(|_| SnapshotError::TimedOut { action: "reading" })?
    }

    /// All objects, 65,536 at most, in no order.
    ///
    /// # Errors
    /// [`SnapshotError`].
    pub async fn list(&self) -> Result<Vec<ObjectSummary>, SnapshotError> {
        let listing = async {
            let list = self.store.list().await.map_err(|error| failed("listing", chain(&error)))?;
            let mut list = list.take(LIST_MAX);
            let mut objects = Vec::new();
            while let Some(info) = list.next().await {
                let info = info.map_err(|error| failed("listing", chain(&error)))?;
                objects.push(ObjectSummary {
                    name: info.name,
                    bytes: u64::try_from(info.size).unwrap_or(u64::MAX),
                });
            }
            Ok(objects)
        };
        timeout(TRANSFER_WAIT, listing).await.map_err(|_| SnapshotError::TimedOut { action: "listing" })?
    }

    /// Deletes an object; a missing one is no error.
    ///
    /// # Errors
    /// [`SnapshotError`].
    pub async fn delete(&self, name: &str) -> Result<(), SnapshotError> {
        check_name(name)?;
        let deleted = timeout(TRANSFER_WAIT, self.store.delete(name)).await;
        match deleted.map_err(|_| SnapshotError::TimedOut { action: "deleting" })? {
            Ok(()) => Ok(()),
            Err(error) => match error.kind() {
                async_nats::jetstream::object_store::DeleteErrorKind::NotFound => Ok(()),
                _ => Err(failed("deleting", chain(&error))),
            },
        }
    }
}

async fn bounded<T, E: std::error::Error>(
    action: &'static str,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, SnapshotError> {
    let done = timeout(TRANSFER_WAIT, work).await.map_err(|_| SnapshotError::TimedOut { action })?;
    done.map_err(|error| failed(action, chain(&error)))
}

fn failed(action: &'static str, reason: String) -> SnapshotError {
    SnapshotError::Failed { action, reason }
}

fn too_large(name: &str, bytes: usize, bytes_max: usize) -> SnapshotError {
    SnapshotError::TooLarge { name: name.to_owned(), bytes, bytes_max }
}

fn check_name(name: &str) -> Result<(), SnapshotError> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'/');
    if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.bytes().all(allowed) {
        return Err(SnapshotError::Name);
    }
    Ok(())
}

fn is_missing(error: &async_nats::jetstream::context::GetStreamError) -> bool {
    matches!(
        error.kind(),
        async_nats::jetstream::context::GetStreamErrorKind::JetStream(inner)
            if inner.error_code() == ErrorCode::STREAM_NOT_FOUND
    )
}

/// Compares what matters for safety and room.
fn check(
    bucket: &str,
    wanted: &Config,
    found: &async_nats::jetstream::stream::Config,
) -> Result<(), SnapshotError> {
    let mut wrong = Vec::new();
    if found.storage != wanted.storage {
        wrong.push("storage is memory, must be file".to_owned());
    }
    if found.num_replicas != wanted.num_replicas {
        wrong.push(format!("num_replicas is {}, must be {}", found.num_replicas, wanted.num_replicas));
    }
    if found.max_bytes.max(0) != wanted.max_bytes.max(0) {
        wrong.push(format!("max_bytes is {}, must be {}", found.max_bytes, wanted.max_bytes));
    }
    if wrong.is_empty() {
        return Ok(());
    }
    Err(SnapshotError::Mismatch { bucket: bucket.to_owned(), reason: wrong.join("; ") })
}

/// An error with everything below it.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(below) = cause {
        let below_text = below.to_string();
        if !text.contains(&below_text) {
            text.push_str(": ");
            text.push_str(&below_text);
        }
        cause = below.source();
    }
    text
}
