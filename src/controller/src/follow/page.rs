//! Judges messages of one lane against its log, in order. Blocks on the disk.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;

use rescind_bus::StoredMessage;
use rescind_codec::{LogItem, TrustBundle, decode_log_message};
use rescind_core::entry::{ChainedEntry, Tick};
use rescind_core::position::{EntryHash, Epoch, Head, Heads, Revision};

use super::{Followed, Stop, log_head};
use crate::store::StoreError;
use crate::wal::{Confirmed, LaneLog, LoggedEntry};

/// Limit: unreadable messages that are worth a line.
const WARNINGS_MAX: u64 = 5;

pub(crate) struct Reader<'a> {
    log: &'a LaneLog,
    trust: &'a TrustBundle,
    orphans: &'a Path,
    head: Head,
    /// Adopted and not durable yet.
    waiting: Vec<LoggedEntry>,
    confirmed: Option<Confirmed>,
}

impl<'a> Reader<'a> {
    pub(crate) fn open(
        log: &'a LaneLog,
        trust: &'a TrustBundle,
        orphans: &'a Path,
    ) -> Result<Self, StoreError> {
        let head = log_head(log, trust)?;
        Ok(Self { log, trust, orphans, head, waiting: Vec::new(), confirmed: None })
    }

    /// Judges messages; stops where it cannot go on.
    pub(crate) fn take(
        &mut self,
        messages: &[StoredMessage],
        followed: &mut Followed,
    ) -> Result<(), StoreError> {
        for message in messages {
            match decode_log_message(&message.bytes, self.log.lane(), self.trust) {
                Ok(LogItem::Entry(entry)) => self.entry(entry, message, followed)?,
                Ok(LogItem::Tick(tick, _)) => note_tick(tick, followed),
                Err(error) => {
                    followed.unreadable += 1;
                    if followed.unreadable <= WARNINGS_MAX {
                        tracing::warn!(lane = %self.log.lane(), sequence = message.sequence, error = %error.error,
                            "an unreadable message stands in the stream; no agent takes it");
                    }
                }
            }
            if followed.stop.is_some() || followed.wants_start {
                break;
            }
        }
        self.flush()
    }

    fn entry(
        &mut self,
        chained: ChainedEntry,
        message: &StoredMessage,
        followed: &mut Followed,
    ) -> Result<(), StoreError> {
        let (first, last) = (chained.entry.first, chained.entry.last().revision);
        let author = (chained.entry.controller.clone(), chained.entry.boot);
        let end = self.head.position.revision;
        if first == end.next() {
            if chained.entry.prev_hash != self.head.hash {
                // What they have at our end stands earlier in the stream.
                followed.wants_start = true;
                return Ok(());
            }
            if !is_epoch_right(&chained, self.head.position.epoch) {
                followed.stop = Some(Stop::Fork(format!(
                    "revision {first} by controller `{}` is of epoch {} without a fence",
                    chained.entry.controller, chained.entry.epoch.0
                )));
                return Ok(());
            }
            self.adopt(chained, message, followed);
            followed.author = Some(author);
            return Ok(());
        }
        if first > end {
            let mut held = Heads::default();
            if let Some(head) = held.get_mut(self.log.lane()) {
                *head = Head { position: chained.entry.last(), hash: chained.hash };
            }
            followed.claim(&held);
            followed.wants_start = true;
            followed.stop = Some(Stop::Gap { after: end, before: first });
            return Ok(());
        }
        self.flush()?;
        let there = self.log.holding(first)?;
        if there.as_ref().is_some_and(|there| there.hash == chained.hash) {
            note_newest(followed, last, message.sequence);
            followed.author = Some(author);
            return Ok(());
        }
        self.contradiction(chained, message, there, followed)
    }

    fn adopt(&mut self, chained: ChainedEntry, message: &StoredMessage, followed: &mut Followed) {
        let (first, last) = (chained.entry.first, chained.entry.last());
        let bytes = message.bytes.clone();
        self.waiting.push(LoggedEntry { first, last: last.revision, hash: chained.hash, bytes });
        self.confirmed = Some(Confirmed { last: last.revision, sequence: message.sequence });
        self.head = Head { position: last, hash: chained.hash };
        note_newest(followed, last.revision, message.sequence);
        followed.adopted.push(chained);
    }

    /// The stream has something else where the log has an entry.
    fn contradiction(
        &mut self,
        chained: ChainedEntry,
        message: &StoredMessage,
        ours: Option<LoggedEntry>,
        followed: &mut Followed,
    ) -> Result<(), StoreError> {
        let lane = self.log.lane();
        let (first, controller) = (chained.entry.first, chained.entry.controller.clone());
        let our_epoch = ours.as_ref().and_then(|ours| self.epoch_of(ours)).unwrap_or_default();
        if chained.entry.epoch < our_epoch {
            return Ok(());
        }
        let confirmed = self.log.confirmed()?.map_or(Revision(0), |confirmed| confirmed.last);
        let is_pending = first > confirmed;
        let start = chained.entry.fence_start();
        let is_later = chained.entry.epoch > our_epoch && start.is_some();
        let before = self.hash_before(first)?;
        let follows = before == Some(chained.entry.prev_hash);
        if !follows || !(is_later || is_pending) {
            let what = format!(
                "lane {lane} has another revision {first}, of epoch {} by controller `{controller}`, than the log",
                chained.entry.epoch.0
            );
            followed.stop = Some(Stop::Fork(what));
            return Ok(());
        }
        let is_approved = start.is_some_and(|start| start.lost.is_some());
        let after = Revision(first.0.saturating_sub(1));
        let removed = self.log.truncate(after)?;
        self.keep_orphans(&removed);
        if !is_pending && !is_approved {
            followed.diverged = Some(format!(
                "controller `{controller}` began epoch {} after revision {after} of lane {lane}, and the log had \
                 {} confirmed entries more; they are kept in {}",
                chained.entry.epoch.0,
                removed.len(),
                self.orphans.display()
            ));
        }
        tracing::warn!(%lane, %after, entries = removed.len(), is_pending, is_approved,
            "entries of this log gave way to another writer's");
        followed.was_cut = true;
        // What was adopted in this walk and cut again is neither.
        followed.adopted.retain(|entry| entry.entry.first <= after);
        followed.newest = followed.newest.filter(|newest| newest.last <= after);
        self.head = log_head(self.log, self.trust)?;
        followed.author = Some((controller, chained.entry.boot));
        self.adopt(chained, message, followed);
        Ok(())
    }

    fn epoch_of(&self, logged: &LoggedEntry) -> Option<Epoch> {
        match decode_log_message(&logged.bytes, self.log.lane(), self.trust) {
            Ok(LogItem::Entry(entry)) => Some(entry.entry.epoch),
            Ok(LogItem::Tick(..)) | Err(_) => None,
        }
    }

    /// Hash of the entry that ends right before `first`.
    fn hash_before(&self, first: Revision) -> Result<Option<EntryHash>, StoreError> {
        let Some(before) = first.0.checked_sub(1).filter(|before| *before > 0) else {
            return Ok(Some(EntryHash::default()));
        };
        let entry = self.log.holding(Revision(before))?;
        Ok(entry.filter(|entry| entry.last.0 == before).map(|entry| entry.hash))
    }

    fn flush(&mut self) -> Result<(), StoreError> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        self.log.adopt(&self.waiting, self.confirmed)?;
        self.waiting.clear();
        Ok(())
    }

    /// Length (4 bytes, big endian) and message, appended. Only people read it.
    fn keep_orphans(&self, removed: &[LoggedEntry]) {
        let write = || {
            let mut file = OpenOptions::new().create(true).append(true).open(self.orphans)?;
            for entry in removed {
                let length = u32::try_from(entry.bytes.len()).unwrap_or(u32::MAX);
                file.write_all(&length.to_be_bytes())?;
                file.write_all(&entry.bytes)?;
            }
            file.sync_all()
        };
        if let Err(error) = write() {
            tracing::error!(file = %self.orphans.display(), %error, "what gave way was not kept");
        }
    }
}

/// An epoch goes on, or begins with a fence.
pub(crate) fn is_epoch_right(chained: &ChainedEntry, before: Epoch) -> bool {
    let entry = &chained.entry;
    let is_first = before == Epoch(0) && entry.epoch == Epoch(1);
    entry.epoch == before || is_first || (entry.epoch > before && entry.fence_start().is_some())
}

fn note_newest(followed: &mut Followed, last: Revision, sequence: u64) {
    if followed.newest.is_none_or(|newest| newest.last < last) {
        followed.newest = Some(Confirmed { last, sequence });
    }
}

fn note_tick(tick: Tick, followed: &mut Followed) {
    followed.author = Some((tick.controller.clone(), tick.boot));
    followed.claim(&tick.heads);
    if followed.tick.as_ref().is_none_or(|there| there.epoch <= tick.epoch) {
        followed.tick = Some(Box::new(tick));
    }
}
