//! One lane as an agent follows it: what is applied, what is buffered, what is known to exist.

use std::collections::{BTreeMap, VecDeque};

use crate::entry::ChainedEntry;
use crate::position::{EntryHash, Head, Lane, Position, Revision};

/// Limit: entries past a gap that are kept. More are fetched again.
pub(super) const PENDING_ENTRIES_MAX: usize = 256;
/// Limit: changes in those entries: about 20 MB.
pub(super) const PENDING_CHANGES_MAX: usize = 65_536;
/// Limit: places whose hash is remembered, to compare with heads that are behind us. Covers several seconds
/// of entries at full speed, a tick is at most one lease old.
pub(super) const RECENT_HEADS_MAX: usize = 2048;

/// What became of an entry that was offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Offered {
    /// Applied before, or too old to tell.
    Known,
    /// Buffered; perhaps it is the next one.
    Buffered,
    /// The buffer is full; it will be fetched.
    Dropped,
    /// Contradicts what is applied or buffered.
    Fork(Revision),
}

/// What is next to apply.
#[derive(Debug)]
pub(super) enum Next {
    /// Nothing, or it waits for another lane.
    None,
    /// This.
    Entry(Box<ChainedEntry>),
    /// An entry that does not continue what is applied.
    Fork(Revision),
}

/// A head compared with what is applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Against {
    /// Exactly at it.
    At,
    /// Past it, by the same history.
    Past,
    /// Not there yet.
    Behind,
    /// Past it, and its hash is forgotten.
    Forgotten,
    /// Another hash there.
    Fork(Revision),
}

#[derive(Debug)]
pub(super) struct LaneState {
    lane: Lane,
    applied: Head,
    recent: VecDeque<(Revision, EntryHash)>,
    pending: BTreeMap<Revision, ChainedEntry>,
    pending_changes: usize,
    known: Revision,
}

impl LaneState {
    pub(super) fn new(lane: Lane, applied: Head) -> Self {
        let mut state = Self {
            lane,
            applied,
            recent: VecDeque::new(),
            pending: BTreeMap::new(),
            pending_changes: 0,
            known: applied.position.revision,
        };
        state.reset(applied);
        state
    }

    pub(super) const fn lane(&self) -> Lane {
        self.lane
    }

    pub(super) const fn applied(&self) -> Head {
        self.applied
    }

    /// Newest revision that a verified message spoke of.
    pub(super) fn note_known(&mut self, revision: Revision) {
        self.known = self.known.max(revision);
    }

    /// Revisions that are known to exist and not applied.
    pub(super) const fn lag(&self) -> u64 {
        self.known.0.saturating_sub(self.applied.position.revision.0)
    }

    /// Whether the next entry has to be asked for.
    pub(super) fn is_missing_next(&self) -> bool {
        self.lag() > 0 && !self.pending.contains_key(&self.applied.position.revision.next())
    }

    /// Takes an entry of this chain, epoch and lane.
    pub(super) fn offer(&mut self, entry: ChainedEntry) -> Offered {
        let (first, last) = (entry.entry.first, entry.entry.last().revision);
        self.note_known(last);
        let applied = self.applied.position.revision;
        if first <= applied {
            return self.compare_known(first, last, entry.hash);
        }
        if let Some(there) = self.pending.get(&first) {
            return if there.hash == entry.hash { Offered::Known } else { Offered::Fork(first) };
        }
        let changes = entry.entry.changes.len();
        self.pending_changes = self.pending_changes.saturating_add(changes);
        self.pending.insert(first, entry);
        self.shrink(first)
    }

    /// Why the farthest go first: what is next must not be pushed out by what cannot be applied yet.
    fn shrink(&mut self, offered: Revision) -> Offered {
        let mut outcome = Offered::Buffered;
        while self.pending.len() > PENDING_ENTRIES_MAX || self.pending_changes > PENDING_CHANGES_MAX {
            // Limit: one entry always fits, it is bounded by `ENTRY_CHANGES_MAX`.
            let Some((first, dropped)) = self.pending.pop_last() else { break };
            self.pending_changes = self.pending_changes.saturating_sub(dropped.entry.changes.len());
            if first == offered {
                outcome = Offered::Dropped;
            }
        }
        outcome
    }

    /// An entry that begins at or below what is applied: a repetition, or a second history.
    fn compare_known(&self, first: Revision, last: Revision, hash: EntryHash) -> Offered {
        if last > self.applied.position.revision {
            // INVARIANT (S13): entries have fixed borders; one across our head is from another history.
            return Offered::Fork(first);
        }
        match self.against(&Head { position: Position { revision: last, ..self.applied.position }, hash }) {
            Against::Fork(at) => Offered::Fork(at),
            Against::At | Against::Past | Against::Behind | Against::Forgotten => Offered::Known,
        }
    }

    /// Compares a head with what is applied, by revision and hash.
    pub(super) fn against(&self, head: &Head) -> Against {
        let revision = head.position.revision;
        let applied = self.applied.position.revision;
        if revision > applied {
            return Against::Behind;
        }
        if revision == applied {
            return if head.hash == self.applied.hash { Against::At } else { Against::Fork(revision) };
        }
        if revision == Revision(0) {
            return if head.hash == EntryHash::default() { Against::Past } else { Against::Fork(revision) };
        }
        match self.recent.binary_search_by_key(&revision, |(there, _)| *there) {
            Ok(place) => match self.recent.get(place) {
                Some((_, hash)) if *hash == head.hash => Against::Past,
                Some(_) | None => Against::Fork(revision),
            },
            // Older than all that is remembered.
            Err(0) => Against::Forgotten,
            // Between two remembered borders: no entry of our history ends there.
            Err(_) => Against::Fork(revision),
        }
    }

    /// The next entry, where it is here and its dependency holds.
    pub(super) fn take_next(&mut self, deny: Position) -> Next {
        let next = self.applied.position.revision.next();
        let Some(there) = self.pending.get(&next) else { return Next::None };
        // INVARIANT (S4): a grant is inert until the denies that it was made after are applied.
        if self.lane != Lane::Deny && there.entry.deps > deny {
            return Next::None;
        }
        let Some(entry) = self.pending.remove(&next) else { return Next::None };
        self.pending_changes = self.pending_changes.saturating_sub(entry.entry.changes.len());
        // INVARIANT (S3): only what continues the applied history by hash.
        if entry.entry.prev_hash == self.applied.hash {
            Next::Entry(Box::new(entry))
        } else {
            Next::Fork(next)
        }
    }

    /// Moves forward to `head`: its entry was applied.
    pub(super) fn advance(&mut self, head: Head) {
        self.applied = head;
        if self.recent.len() >= RECENT_HEADS_MAX {
            self.recent.pop_front();
        }
        self.recent.push_back((head.position.revision, head.hash));
        self.note_known(head.position.revision);
        self.forget_applied();
    }

    /// Starts over at `head`: a snapshot or a restored store is there.
    pub(super) fn reset(&mut self, head: Head) {
        self.applied = head;
        self.recent.clear();
        self.recent.push_back((head.position.revision, head.hash));
        self.note_known(head.position.revision);
        self.forget_applied();
    }

    /// Forgets what was heard and buffered: it belongs to another epoch or to a history that forked.
    pub(super) fn forget_pending(&mut self) {
        self.pending.clear();
        self.pending_changes = 0;
        self.known = self.applied.position.revision;
    }

    fn forget_applied(&mut self) {
        while let Some(first) = self.pending.first_entry() {
            if *first.key() > self.applied.position.revision {
                break;
            }
            let dropped = first.remove();
            self.pending_changes = self.pending_changes.saturating_sub(dropped.entry.changes.len());
        }
    }
}

#[cfg(test)]
mod tests;
