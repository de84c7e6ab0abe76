//! The last denies as they were signed: agents are the backup of last resort for a controller that went back.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::entry::ChainedEntry;
use crate::position::Revision;

/// Limit: changes that are kept as signed.
pub const TAIL_CHANGES_MAX: usize = 4_096;
/// Limit: their bytes.
pub const TAIL_BYTES_MAX: usize = 8 << 20;

#[derive(Debug)]
struct Kept {
    last: Revision,
    changes: usize,
    message: Arc<[u8]>,
}

#[derive(Debug, Default)]
pub(super) struct Tail {
    kept: VecDeque<Kept>,
    changes: usize,
    bytes: usize,
}

impl Tail {
    /// Keeps an entry that was applied, where its bytes came with it.
    pub(super) fn push(&mut self, entry: &ChainedEntry) {
        let Some(message) = &entry.message else { return };
        let kept = Kept {
            last: entry.entry.last().revision,
            changes: entry.entry.changes.len(),
            message: Arc::clone(message),
        };
        self.changes = self.changes.saturating_add(kept.changes);
        self.bytes = self.bytes.saturating_add(kept.message.len());
        self.kept.push_back(kept);
        while self.changes > TAIL_CHANGES_MAX || self.bytes > TAIL_BYTES_MAX {
            let Some(oldest) = self.kept.pop_front() else { break };
            self.changes = self.changes.saturating_sub(oldest.changes);
            self.bytes = self.bytes.saturating_sub(oldest.message.len());
        }
    }

    /// The messages of entries that end after this revision, in order.
    pub(super) fn after(&self, revision: Revision) -> Vec<Arc<[u8]>> {
        let later = self.kept.iter().filter(|kept| kept.last > revision);
        later.map(|kept| Arc::clone(&kept.message)).collect()
    }

    /// What was kept is of a history that is no longer followed.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests;
