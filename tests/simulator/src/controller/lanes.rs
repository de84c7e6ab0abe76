//! A controller's log of one lane, and how it is brought in line with the stream.

use std::rc::Rc;

use rescind_core::entry::ChainedEntry;
use rescind_core::position::{EntryHash, Epoch, Revision};

use crate::broker::{LogMessage, Stored};

/// An entry in the log.
#[derive(Debug, Clone)]
pub(crate) struct WalEntry {
    pub(crate) entry: Rc<ChainedEntry>,
    /// It is known to be in the stream.
    pub(crate) confirmed: bool,
}

/// What a comparison found.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Merged {
    /// Entries of the log, from its beginning, that the stream holds in order.
    pub(crate) covered: usize,
    /// The stream contradicts a confirmed entry here.
    pub(crate) diverged: Option<Revision>,
}

/// Takes into the log what continues it, and drops a pending tail that a later epoch went past.
pub(crate) fn merge(wal: &mut Vec<WalEntry>, stream: &[Stored]) -> Merged {
    let mut merged = Merged::default();
    for stored in stream.iter().filter(|stored| stored.is_readable) {
        let LogMessage::Entry(entry) = &stored.message else { continue };
        let first = entry.entry.first;
        match wal.binary_search_by_key(&first, |there| there.entry.entry.first) {
            Ok(place) if wal[place].entry.hash == entry.hash => {
                if place == merged.covered {
                    merged.covered += 1;
                }
                wal[place].confirmed = true;
            }
            Ok(place) => contradict(wal, place, entry, &mut merged),
            Err(_) => {
                let (next, hash, epoch) = end(wal);
                let continues = first == next && entry.entry.prev_hash == hash && entry.entry.epoch >= epoch;
                if continues {
                    wal.push(WalEntry { entry: Rc::clone(entry), confirmed: true });
                    if merged.covered + 1 == wal.len() {
                        merged.covered += 1;
                    }
                }
            }
        }
    }
    merged
}

fn contradict(wal: &mut Vec<WalEntry>, place: usize, entry: &Rc<ChainedEntry>, merged: &mut Merged) {
    if entry.entry.epoch < wal[place].entry.entry.epoch && wal[place].confirmed {
        // A deposed writer was late.
        return;
    }
    let before = place.checked_sub(1).map_or_else(EntryHash::default, |before| wal[before].entry.hash);
    let is_pending = wal[place..].iter().all(|there| !there.confirmed);
    // Pending and not in the stream, where something else stands: it lost its place, whatever it is.
    if is_pending && entry.entry.prev_hash == before {
        wal.truncate(place);
        wal.push(WalEntry { entry: Rc::clone(entry), confirmed: true });
        if merged.covered == place {
            merged.covered += 1;
        }
    } else {
        merged.diverged = merged.diverged.or(Some(entry.entry.first));
    }
}

/// Where a log goes on: the next revision, the hash to name, the epoch.
pub(crate) fn end(wal: &[WalEntry]) -> (Revision, EntryHash, Epoch) {
    wal.last().map_or((Revision(1), EntryHash::default(), Epoch(0)), |last| {
        (last.entry.entry.last().revision.next(), last.entry.hash, last.entry.entry.epoch)
    })
}
