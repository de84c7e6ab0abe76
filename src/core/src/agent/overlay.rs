//! What denies although the prefix does not hold it: verified denies past a gap, and orphans of lost history.
//!
//! INVARIANT (S8): a verified record that matches denies until a verified end of that record is applied. So early
//! denies leave when the prefix passes them or a lift of them is applied, and orphans only when the controller
//! admits them again under the key `orphan-<id>`, or ends them by name.

use std::sync::Arc;

use crate::change::{Change, ChangeBody};
use crate::entry::ChainedEntry;
use crate::ids::{IdempotencyKey, RecordId};
use crate::key::KeyHasher;
use crate::position::Epoch;
use crate::view::View;

/// Limit: early denies, about 10 MB. More wait until the gap is filled.
pub(super) const EARLY_MAX: usize = 65_536;
/// What the key of a re-admission starts with.
const ORPHAN_KEY: &str = "orphan-";

#[derive(Debug)]
pub(super) struct Overlay {
    hasher: KeyHasher,
    early: View,
    early_len: usize,
    orphans: View,
    orphan_len: usize,
    published: Option<Arc<View>>,
    is_dirty: bool,
}

impl Overlay {
    pub(super) fn new(hasher: KeyHasher) -> Self {
        let empty = View::new(hasher.clone());
        Self {
            hasher,
            early: empty.clone(),
            early_len: 0,
            orphans: empty,
            orphan_len: 0,
            published: None,
            is_dirty: false,
        }
    }

    /// Records of lost history that nobody has ended.
    pub(super) const fn orphans(&self) -> usize {
        self.orphan_len
    }

    /// Whether there is anything to publish anew.
    pub(super) const fn is_dirty(&self) -> bool {
        self.is_dirty
    }

    pub(super) const fn early(&self) -> usize {
        self.early_len
    }

    /// What decisions consult beside the view; nothing, almost always.
    pub(super) fn published(&mut self) -> Option<Arc<View>> {
        if core::mem::take(&mut self.is_dirty) {
            self.published = match (self.early_len, self.orphan_len) {
                (0, 0) => None,
                (_, 0) => Some(Arc::new(self.early.clone())),
                (0, _) => Some(Arc::new(self.orphans.clone())),
                (_, _) => {
                    let mut both = self.orphans.clone();
                    both.overlay_absorb(&self.early);
                    Some(Arc::new(both))
                }
            };
        }
        self.published.clone()
    }

    /// Denies of a verified entry that cannot be applied yet count from now on; its lifts do not.
    pub(super) fn note_early(&mut self, entry: &ChainedEntry) {
        for change in &entry.entry.changes {
            if let ChangeBody::Record(record) = &change.body
                && self.early_len < EARLY_MAX
                && self.early.overlay_add(record)
            {
                self.early_len += 1;
                self.is_dirty = true;
            }
        }
    }

    /// The prefix has passed this entry.
    pub(super) fn settle(&mut self, entry: &ChainedEntry) {
        if self.early_len == 0 && self.orphan_len == 0 {
            return;
        }
        entry.entry.changes.iter().for_each(|change| self.settle_change(change));
    }

    fn settle_change(&mut self, change: &Change) {
        match &change.body {
            ChangeBody::Record(record) => {
                if self.early.overlay_forget(record.id, &record.target) {
                    self.early_len = self.early_len.saturating_sub(1);
                    self.is_dirty = true;
                }
                if let Some(orphan) = admits(&change.origin.key)
                    && self.orphans.overlay_forget(orphan, &record.target)
                {
                    self.orphan_len = self.orphan_len.saturating_sub(1);
                    self.is_dirty = true;
                }
            }
            ChangeBody::Lift { record, target, .. } | ChangeBody::Reinstate { record, target } => {
                if self.early.overlay_forget(*record, target) {
                    self.early_len = self.early_len.saturating_sub(1);
                    self.is_dirty = true;
                }
                if self.orphans.overlay_forget(*record, target) {
                    self.orphan_len = self.orphan_len.saturating_sub(1);
                    self.is_dirty = true;
                }
            }
            // What is forgotten was in the prefix, and so is in neither.
            ChangeBody::Forget { .. }
            | ChangeBody::Grant(_)
            | ChangeBody::Withdraw { .. }
            | ChangeBody::Epoch(_)
            | ChangeBody::Skipped => {}
        }
    }

    /// No gap is left, or the view was replaced: only what is still buffered counts.
    pub(super) fn restart_early<'a>(&mut self, pending: impl Iterator<Item = &'a ChainedEntry>) {
        if self.early_len > 0 {
            self.early = View::new(self.hasher.clone());
            self.early_len = 0;
            self.is_dirty = true;
        }
        pending.for_each(|entry| self.note_early(entry));
    }

    /// These records are in no history that is followed any more, and go on denying.
    pub(super) fn adopt(&mut self, orphans: &View) {
        self.orphans.overlay_absorb(orphans);
        self.orphan_len = self.orphans.overlay_len();
        self.is_dirty = true;
    }

    /// A snapshot of a later history may hold records that admitted orphans again, without saying so.
    pub(super) fn compare(&mut self, view: &View, since: Epoch) {
        if self.orphan_len > 0 {
            self.orphans = self.orphans.records_not_covered_by(view, since);
            self.orphan_len = self.orphans.overlay_len();
            self.is_dirty = true;
        }
    }
}

/// The orphan that a change with this key admits again.
fn admits(key: &IdempotencyKey) -> Option<RecordId> {
    key.as_str().strip_prefix(ORPHAN_KEY)?.parse().ok()
}
