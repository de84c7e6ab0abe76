//! One lane as an agent follows it: what is applied, what is buffered, what is known to exist.

use core::cmp::Ordering;
use std::collections::{BTreeMap, VecDeque};

use crate::entry::ChainedEntry;
use crate::position::{EntryHash, Epoch, Head, Lane, Position, Revision};
use crate::seeded::{self, Bug};

/// Limit: entries past a gap that are kept. More are fetched again.
pub(super) const PENDING_ENTRIES_MAX: usize = 256;
/// Limit: changes in those entries: about 20 MB.
pub(super) const PENDING_CHANGES_MAX: usize = 65_536;
/// Limit: places whose hash is remembered, to compare with heads that are behind us. Covers several seconds
/// of entries at full speed, a tick is at most one lease old.
pub(super) const RECENT_HEADS_MAX: usize = 2048;

/// How an entry came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// On the live subject: perhaps a straggler of a writer that was deposed.
    Live,
    /// Asked for by its place, from the log of a controller: history, whatever its epoch.
    Range,
}

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
    /// An entry that continues it and breaks the rule of epochs.
    Misfit(&'static str),
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

/// An entry past what is applied.
#[derive(Debug)]
struct Pending {
    entry: ChainedEntry,
    /// Came as history at least once.
    vouched: bool,
}

#[derive(Debug)]
pub(super) struct LaneState {
    lane: Lane,
    applied: Head,
    recent: VecDeque<(Revision, EntryHash)>,
    pending: BTreeMap<Revision, Pending>,
    pending_changes: usize,
    known: Revision,
    /// Highest epoch that anybody verified spoke of, in any lane.
    current: Epoch,
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
            current: applied.position.epoch,
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

    /// A later epoch was heard of: what came live from an earlier one is no longer believed.
    pub(super) fn note_epoch(&mut self, epoch: Epoch) {
        self.current = self.current.max(epoch);
    }

    /// Whether the next entry has to be asked for.
    pub(super) fn is_missing_next(&self) -> bool {
        let next = self.pending.get(&self.applied.position.revision.next());
        self.lag() > 0 && !next.is_some_and(|next| self.believes(next))
    }

    /// INVARIANT (S13): after a later epoch was heard of, an entry of an earlier one is history only if it came as
    /// history. A deposed writer's straggler looks the same on the live subject.
    fn believes(&self, pending: &Pending) -> bool {
        let epoch = pending.entry.entry.epoch;
        seeded::active(Bug::StragglerTaken)
            || epoch >= self.applied.position.epoch && (pending.vouched || epoch >= self.current)
    }

    /// Entries that are buffered, the nearest first.
    pub(super) fn pending(&self) -> impl Iterator<Item = &ChainedEntry> {
        self.pending.values().map(|pending| &pending.entry)
    }

    /// Takes an entry of this chain and lane.
    pub(super) fn offer(&mut self, entry: ChainedEntry, source: Source) -> Offered {
        let (first, last) = (entry.entry.first, entry.entry.last().revision);
        let epoch = entry.entry.epoch;
        if first <= self.applied.position.revision {
            return self.compare_known(first, last, epoch, entry.hash);
        }
        if epoch < self.applied.position.epoch {
            return Offered::Known;
        }
        self.note_known(last);
        let vouched = source == Source::Range;
        if let Some(there) = self.pending.get_mut(&first) {
            if there.entry.hash == entry.hash {
                there.vouched |= vouched;
                return Offered::Known;
            }
            match epoch.cmp(&there.entry.entry.epoch) {
                Ordering::Less => return Offered::Known,
                // INVARIANT (S13): one epoch has one writer, and that one has one history.
                Ordering::Equal => return Offered::Fork(first),
                Ordering::Greater => self.forget_from(first),
            }
        }
        let changes = entry.entry.changes.len();
        self.pending_changes = self.pending_changes.saturating_add(changes);
        self.pending.insert(first, Pending { entry, vouched });
        self.shrink(first)
    }

    /// A later epoch has another entry here: what was buffered of earlier ones from here on is not history.
    fn forget_from(&mut self, first: Revision) {
        if let Some(there) = self.pending.remove(&first) {
            self.pending_changes = self.pending_changes.saturating_sub(there.entry.entry.changes.len());
        }
    }

    /// Why the farthest go first: what is next must not be pushed out by what cannot be applied yet.
    fn shrink(&mut self, offered: Revision) -> Offered {
        let mut outcome = Offered::Buffered;
        while self.pending.len() > PENDING_ENTRIES_MAX || self.pending_changes > PENDING_CHANGES_MAX {
            // Limit: one entry always fits, it is bounded by `ENTRY_CHANGES_MAX`.
            let Some((first, dropped)) = self.pending.pop_last() else { break };
            self.pending_changes = self.pending_changes.saturating_sub(dropped.entry.entry.changes.len());
            if first == offered {
                outcome = Offered::Dropped;
            }
        }
        outcome
    }

    /// An entry that begins at or below what is applied: a repetition, or a second history.
    fn compare_known(&self, first: Revision, last: Revision, epoch: Epoch, hash: EntryHash) -> Offered {
        let applied = self.applied.position;
        // INVARIANT (S13): entries have fixed borders; one across our head is from another history.
        let against = if last > applied.revision {
            Against::Fork(first)
        } else {
            self.against(&Head { position: Position { revision: last, epoch }, hash })
        };
        match against {
            // A straggler of an earlier epoch contradicts nobody: its writer was deposed.
            Against::Fork(at) if epoch >= applied.epoch => Offered::Fork(at),
            Against::Fork(_) | Against::At | Against::Past | Against::Behind | Against::Forgotten => {
                Offered::Known
            }
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
        let mut next = self.applied.position.revision.next();
        if seeded::active(Bug::SkipGap)
            && let Some(first) = self.pending.first_key_value()
        {
            next = *first.0;
        }
        let Some(there) = self.pending.get(&next) else { return Next::None };
        if !self.believes(there) {
            return Next::None;
        }
        // INVARIANT (S4): a grant is inert until the denies that it was made after are applied.
        if self.lane != Lane::Deny && there.entry.entry.deps > deny && !seeded::active(Bug::GrantsIgnoreDeps)
        {
            return Next::None;
        }
        let Some(Pending { entry, .. }) = self.pending.remove(&next) else { return Next::None };
        self.pending_changes = self.pending_changes.saturating_sub(entry.entry.changes.len());
        // INVARIANT (S3): only what continues the applied history by hash.
        if entry.entry.prev_hash != self.applied.hash
            && !seeded::active(Bug::SkipGap)
            && !seeded::active(Bug::ForkTakesLatest)
        {
            return Next::Fork(next);
        }
        match self.misfit(&entry) {
            Some(reason) => Next::Misfit(reason),
            None => Next::Entry(Box::new(entry)),
        }
    }

    /// An epoch begins with its fence, once.
    fn misfit(&self, entry: &ChainedEntry) -> Option<&'static str> {
        let applied = self.applied.position;
        let begins = entry.entry.fence_start().is_some();
        let is_later = entry.entry.epoch > applied.epoch;
        match (is_later, begins) {
            (true, false) if applied.revision > Revision(0) => Some("an epoch without its fence"),
            (false, true) => Some("a second fence of one epoch"),
            (true | false, true | false) => None,
        }
    }

    /// Moves forward to `head`: its entry was applied.
    pub(super) fn advance(&mut self, head: Head) {
        self.applied = head;
        self.note_epoch(head.position.epoch);
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
        self.note_epoch(head.position.epoch);
        self.recent.clear();
        self.recent.push_back((head.position.revision, head.hash));
        self.note_known(head.position.revision);
        self.forget_applied();
    }

    /// Starts over at `head` of another history, perhaps below what was applied.
    pub(super) fn start_over(&mut self, head: Head) {
        self.applied = head;
        self.forget_pending();
        self.reset(head);
    }

    /// Only for [`Bug::PendingOverflowSkips`].
    pub(super) fn skip_missing(&mut self) {
        self.applied.position.revision = self.known.max(self.applied.position.revision);
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
            self.pending_changes = self.pending_changes.saturating_sub(dropped.entry.entry.changes.len());
        }
    }
}

#[cfg(test)]
mod tests;
