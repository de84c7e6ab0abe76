//! The write-ahead log of one lane: what is signed is durable here before the bus sees it.
//!
//! One file per lane, so that a bulk load of entitlements and a kill never wait for each other's sync. At
//! most the last entry is pending (not known to be stored by the broker): an entry is appended only after the
//! one before it was confirmed, so the confirmation rides in that next transaction and costs no second sync.
//!
//! After a failed write the store behind refuses everything; the next call opens it again. An append that
//! failed may still be durable (a sync can fail after the data left); appending the same entry again is safe.
//!
//! Private reasons are kept here and nowhere else.

mod adopt;
mod tables;
#[cfg(test)]
mod tests;

use std::path::Path;

use bytes::Bytes;
use redb::{Database, ReadableDatabase as _, ReadableTable as _};
use rescind_core::ids::{ChainId, RecordId};
use rescind_core::position::{EntryHash, Epoch, Lane, Revision};

use crate::store::{Store, StoreError};

use self::tables::{
    CONFIRMED, ENTRIES, META, REASONS, decode_confirmed, decode_entry, encode_confirmed, encode_entry,
};

/// One entry as it is kept: the bytes are those that go on the bus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LoggedEntry {
    /// Revision of its first change.
    pub(crate) first: Revision,
    /// Revision of its last change.
    pub(crate) last: Revision,
    /// Its hash.
    pub(crate) hash: EntryHash,
    /// The message.
    pub(crate) bytes: Bytes,
}

/// How far the broker is known to have everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Confirmed {
    /// Last revision of the newest confirmed entry.
    pub(crate) last: Revision,
    /// Where the broker stored that entry: a hint for the next start, not a proof.
    pub(crate) sequence: u64,
}

/// One durable step.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Append<'a> {
    /// What to append.
    pub(crate) entry: &'a LoggedEntry,
    /// Private reasons of its changes.
    pub(crate) reasons: &'a [(RecordId, Box<str>)],
    /// What was confirmed since the last step.
    pub(crate) confirmed: Option<Confirmed>,
}

/// How much to read at once.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ReadLimits {
    /// Entries.
    pub(crate) entries: usize,
    /// Bytes; the entry that crosses it is left out unless it is the first.
    pub(crate) bytes: usize,
}

/// What identifies a log: checked when it is opened.
#[derive(Debug, Clone)]
pub(crate) struct LogIdentity {
    /// The realm's chain.
    pub(crate) chain: ChainId,
    /// The epoch of a new log; an old one keeps its own.
    pub(crate) epoch: Epoch,
    /// The lane.
    pub(crate) lane: Lane,
}

/// The log of one lane. All calls block on the disk: call them from a blocking thread.
pub(crate) struct LaneLog {
    identity: LogIdentity,
    store: Store,
}

impl std::fmt::Debug for LaneLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LaneLog({})", self.identity.lane)
    }
}

impl LaneLog {
    /// Opens the log at `path`, making it if it is missing.
    ///
    /// # Errors
    /// [`StoreError`]; nothing is changed where the chain is another one.
    pub(crate) fn open(path: &Path, identity: LogIdentity) -> Result<Self, StoreError> {
        let name = format!("log of lane {}", identity.lane);
        Self::open_with(Store::new(path, name), identity)
    }

    fn open_with(store: Store, identity: LogIdentity) -> Result<Self, StoreError> {
        let log = Self { identity, store };
        log.store.with("open", |database| log.prepare(database))??;
        Ok(log)
    }

    /// Creates the tables of a new log, checks the identity of an old one.
    fn prepare(&self, database: &Database) -> Result<Result<(), StoreError>, redb::Error> {
        let LogIdentity { chain, epoch, lane } = &self.identity;
        let name = lane.to_string();
        let write = database.begin_write()?;
        let checked = {
            let mut meta = write.open_table(META)?;
            write.open_table(ENTRIES)?;
            write.open_table(REASONS)?;
            let found = meta.get("chain")?.map(|value| String::from_utf8_lossy(value.value()).into_owned());
            let found_lane =
                meta.get("lane")?.map(|value| String::from_utf8_lossy(value.value()).into_owned());
            match (found, found_lane) {
                (Some(found), _) if found != chain.as_str() => {
                    let path = self.store.path().to_owned();
                    Err(StoreError::OtherChain { path, found, wanted: chain.as_str().to_owned() })
                }
                (Some(_), Some(found)) if found == name => Ok(()),
                (Some(_), found) => {
                    let lane = found.unwrap_or_default();
                    Err(self.store.damaged(format!("it says that it is the log of lane {lane}")))
                }
                (None, _) => {
                    meta.insert("chain", chain.as_str().as_bytes())?;
                    meta.insert("lane", name.as_bytes())?;
                    meta.insert("epoch", epoch.0.to_be_bytes().as_slice())?;
                    Ok(())
                }
            }
        };
        if checked.is_ok() {
            write.commit()?;
        }
        Ok(checked)
    }

    /// The lane.
    #[must_use]
    pub(crate) const fn lane(&self) -> Lane {
        self.identity.lane
    }

    /// Makes an entry durable: one transaction, one sync.
    ///
    /// # Errors
    /// [`StoreError::Failed`]: it must not be published. It may be durable all the same, so the same entry has to
    /// be appended again until that works; nothing else may take its place.
    pub(crate) fn append(&self, append: Append<'_>) -> Result<(), StoreError> {
        self.store.with("append to", |database| {
            let write = database.begin_write()?;
            {
                let value = encode_entry(append.entry);
                write.open_table(ENTRIES)?.insert(append.entry.first.0, value.as_slice())?;
                if !append.reasons.is_empty() {
                    let mut reasons = write.open_table(REASONS)?;
                    for (id, reason) in append.reasons {
                        reasons.insert(id.packed(), reason.as_bytes())?;
                    }
                }
                if let Some(confirmed) = append.confirmed {
                    write.open_table(META)?.insert(CONFIRMED, encode_confirmed(confirmed).as_slice())?;
                }
            }
            write.commit()?;
            Ok(())
        })
    }

    /// Writes a confirmation of its own: when nothing is appended soon (a stop, a start).
    ///
    /// # Errors
    /// [`StoreError::Failed`]; the next append or start finds out what is confirmed.
    pub(crate) fn confirm(&self, confirmed: Confirmed) -> Result<(), StoreError> {
        self.store.with("write to", |database| {
            let write = database.begin_write()?;
            write.open_table(META)?.insert(CONFIRMED, encode_confirmed(confirmed).as_slice())?;
            write.commit()?;
            Ok(())
        })
    }

    /// What was confirmed when that was last written; the broker may have more.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) fn confirmed(&self) -> Result<Option<Confirmed>, StoreError> {
        self.store.with("read", |database| {
            let meta = database.begin_read()?.open_table(META)?;
            Ok(meta.get(CONFIRMED)?.and_then(|value| decode_confirmed(value.value())))
        })
    }

    /// Epoch of the log.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) fn epoch(&self) -> Result<Epoch, StoreError> {
        let epoch = self.store.with("read", |database| {
            let meta = database.begin_read()?.open_table(META)?;
            Ok(meta.get("epoch")?.and_then(|value| Some(u32::from_be_bytes(value.value().try_into().ok()?))))
        })?;
        epoch.map(Epoch).ok_or_else(|| self.store.damaged("its epoch is missing".to_owned()))
    }

    /// The newest entry, pending or confirmed.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) fn last(&self) -> Result<Option<LoggedEntry>, StoreError> {
        let found = self.store.with("read", |database| {
            let entries = database.begin_read()?.open_table(ENTRIES)?;
            let mut range = entries.range::<u64>(..)?;
            Ok(range.next_back().transpose()?.map(|(key, value)| decode_entry(key.value(), value.value())))
        })?;
        self.whole(found)
    }

    /// The entry that holds `revision`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) fn holding(&self, revision: Revision) -> Result<Option<LoggedEntry>, StoreError> {
        let found = self.store.with("read", |database| {
            let entries = database.begin_read()?.open_table(ENTRIES)?;
            let mut range = entries.range::<u64>(..=revision.0)?;
            Ok(range.next_back().transpose()?.map(|(key, value)| decode_entry(key.value(), value.value())))
        })?;
        Ok(self.whole(found)?.filter(|entry| entry.last >= revision))
    }

    /// Entries with changes after `after` and up to `until`, in order. The first one may begin before.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) fn range(
        &self,
        after: Revision,
        until: Revision,
        limits: ReadLimits,
    ) -> Result<Vec<LoggedEntry>, StoreError> {
        let Some(first) = self.holding(after.next())?.map(|entry| entry.first) else { return Ok(Vec::new()) };
        let found = self.store.with("read", |database| {
            let entries = database.begin_read()?.open_table(ENTRIES)?;
            let mut found = Vec::new();
            let mut bytes = 0_usize;
            for item in entries.range(first.0..)? {
                let (key, value) = item?;
                let value = value.value();
                bytes = bytes.saturating_add(value.len());
                if found.len() >= limits.entries || (bytes > limits.bytes && !found.is_empty()) {
                    break;
                }
                found.push(decode_entry(key.value(), value));
            }
            Ok(found)
        })?;
        let entries: Option<Vec<LoggedEntry>> = found.into_iter().collect();
        let mut entries = entries.ok_or_else(|| self.store.damaged("an entry is cut short".to_owned()))?;
        entries.retain(|entry| entry.last <= until);
        Ok(entries)
    }

    /// The private reason of a change.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) fn reason(&self, id: RecordId) -> Result<Option<String>, StoreError> {
        self.store.with("read", |database| {
            let reasons = database.begin_read()?.open_table(REASONS)?;
            Ok(reasons.get(id.packed())?.map(|value| String::from_utf8_lossy(value.value()).into_owned()))
        })
    }

    fn whole(&self, found: Option<Option<LoggedEntry>>) -> Result<Option<LoggedEntry>, StoreError> {
        match found {
            Some(None) => Err(self.store.damaged("an entry is cut short".to_owned())),
            Some(entry) => Ok(entry),
            None => Ok(None),
        }
    }
}
