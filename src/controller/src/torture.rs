//! The write-ahead log on its own: for tests that kill and damage it.
//!
//! Behind the feature `torture`; nothing ships with it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use bytes::Bytes;
use rescind_codec::TrustBundle;
use rescind_core::controller::registry::Registry;
use rescind_core::digest::StateDigest;
use rescind_core::ids::ChainId;
use rescind_core::key::KeyHasher;
use rescind_core::position::{EntryHash, Epoch, Heads, Lane, Revision};
use tokio_util::sync::CancellationToken;

use crate::startup::{Folded, Logs, StartError, fold};
use crate::store::StoreError;
use crate::wal::{Append, Confirmed, LoggedEntry};

/// An entry as it is logged.
#[derive(Debug, Clone)]
pub struct TortureEntry {
    /// First revision.
    pub first: u64,
    /// Last revision.
    pub last: u64,
    /// Its hash.
    pub hash: EntryHash,
    /// The signed message.
    pub bytes: Vec<u8>,
}

/// The end of a log.
#[derive(Debug, Clone, Copy)]
pub struct TortureHead {
    /// Last revision of the deny lane.
    pub revision: u64,
    /// Hash of its last entry.
    pub hash: EntryHash,
    /// Digest of the state.
    pub digest: StateDigest,
}

/// See the module's text.
#[derive(Debug)]
pub struct TortureLog(Logs);

impl TortureLog {
    /// Opens the logs as a start of the controller does.
    ///
    /// # Errors
    /// As such a start.
    pub fn open(dir: &Path, chain: &ChainId) -> Result<Self, StartError> {
        Logs::open(dir, chain).map(Self)
    }

    /// Makes an entry durable.
    ///
    /// # Errors
    /// It is not, and has to be appended again.
    pub fn append(&self, lane: Lane, entry: &TortureEntry, confirmed: Option<u64>) -> Result<(), StoreError> {
        let log = self.0.get(lane).unwrap_or(&self.0.deny);
        let logged = LoggedEntry {
            first: Revision(entry.first),
            last: Revision(entry.last),
            hash: entry.hash,
            bytes: Bytes::from(entry.bytes.clone()),
        };
        let confirmed = confirmed.map(|last| Confirmed { last: Revision(last), sequence: last });
        log.append(Append { entry: &logged, reasons: &[], confirmed })
    }

    /// Reads and verifies everything, as a start of the controller does.
    ///
    /// # Errors
    /// As such a start; a panic is an error too, as there.
    pub fn fold(&self, trust: &TrustBundle) -> Result<TortureHead, StartError> {
        let empty = Folded {
            registry: Registry::new(KeyHasher::new([1; 16])),
            heads: Heads::default(),
            forgone: Epoch(0),
        };
        let folded =
            catch_unwind(AssertUnwindSafe(|| fold(&self.0, trust, empty, None, &CancellationToken::new())));
        let folded = folded.unwrap_or_else(|_| Err(StartError::Task("the fold panicked".to_owned())))?;
        let head = folded.heads.deny;
        let digest = folded.registry.digest();
        Ok(TortureHead { revision: head.position.revision.0, hash: head.hash, digest })
    }
}
