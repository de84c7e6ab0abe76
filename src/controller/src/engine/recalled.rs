//! Entries that others handed over, until they continue the log.

use std::collections::BTreeMap;

use bytes::Bytes;
use rescind_core::entry::ChainedEntry;
use rescind_core::position::{Head, Lane};

use crate::asking::Handed;
use crate::follow::is_epoch_right;

/// Limit: entries that are kept; agents send the rest again.
const ENTRIES_MAX: usize = 8192;
/// Limit: bytes that are kept.
const BYTES_MAX: usize = 64 << 20;
/// Limit: entries of one step into the log.
const STEP_MAX: usize = 512;

/// By lane, first revision and hash: two may claim one place.
#[derive(Debug, Default)]
pub(super) struct Recalled {
    entries: BTreeMap<(Lane, u64, [u8; 32]), Handed>,
    bytes: usize,
}

impl Recalled {
    pub(super) fn put(&mut self, handed: Handed) {
        let (chained, bytes) = &handed;
        if self.entries.len() >= ENTRIES_MAX || self.bytes.saturating_add(bytes.len()) > BYTES_MAX {
            return;
        }
        let key = (chained.entry.lane, chained.entry.first.0, chained.hash.0);
        let length = bytes.len();
        if self.entries.insert(key, handed).is_none() {
            self.bytes = self.bytes.saturating_add(length);
        }
    }

    /// What continues `head`, in order.
    pub(super) fn next(&self, lane: Lane, mut head: Head) -> Vec<(ChainedEntry, Bytes)> {
        let mut found: Vec<(ChainedEntry, Bytes)> = Vec::new();
        while found.len() < STEP_MAX {
            let first = head.position.revision.next().0;
            let candidates = self.entries.range((lane, first, [0; 32])..=(lane, first, [u8::MAX; 32]));
            let continuing = candidates.map(|(_, handed)| handed).find(|(chained, _)| {
                chained.entry.prev_hash == head.hash && is_epoch_right(chained, head.position.epoch)
            });
            let Some(handed) = continuing else { break };
            head = Head { position: handed.0.entry.last(), hash: handed.0.hash };
            found.push(handed.clone());
        }
        found
    }

    /// Forgets everything: it is in the log, or was given up.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}
