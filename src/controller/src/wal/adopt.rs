//! What another writer changes in a log: entries that are taken over, and entries that give way.

use redb::ReadableTable as _;
use rescind_core::position::Revision;

use super::tables::{
    CONFIRMED, ENTRIES, META, decode_confirmed, decode_entry, encode_confirmed, encode_entry,
};
use super::{Confirmed, LaneLog, LoggedEntry};
use crate::store::StoreError;

impl LaneLog {
    /// Takes entries of another writer: one transaction, one sync. They must continue the log.
    ///
    /// # Errors
    /// [`StoreError::Failed`]; taking the same entries again is safe.
    pub(crate) fn adopt(
        &self,
        entries: &[LoggedEntry],
        confirmed: Option<Confirmed>,
    ) -> Result<(), StoreError> {
        self.store.with("append to", |database| {
            let write = database.begin_write()?;
            {
                let mut table = write.open_table(ENTRIES)?;
                for entry in entries {
                    table.insert(entry.first.0, encode_entry(entry).as_slice())?;
                }
                if let Some(confirmed) = confirmed {
                    write.open_table(META)?.insert(CONFIRMED, encode_confirmed(confirmed).as_slice())?;
                }
            }
            write.commit()?;
            Ok(())
        })
    }

    /// Takes back everything after `after` and gives it: the stream has other entries there.
    ///
    /// # Errors
    /// [`StoreError`]; then nothing was taken back, or all.
    pub(crate) fn truncate(&self, after: Revision) -> Result<Vec<LoggedEntry>, StoreError> {
        let removed = self.store.with("cut", |database| {
            let write = database.begin_write()?;
            let mut removed = Vec::new();
            {
                let mut table = write.open_table(ENTRIES)?;
                for item in table.range::<u64>(after.0.saturating_add(1)..)? {
                    let (key, value) = item?;
                    removed.push((key.value(), decode_entry(key.value(), value.value())));
                }
                for (first, _) in &removed {
                    table.remove(first)?;
                }
                let mut meta = write.open_table(META)?;
                let confirmed = meta.get(CONFIRMED)?.and_then(|value| decode_confirmed(value.value()));
                if confirmed.is_some_and(|confirmed| confirmed.last > after) {
                    // Where the entry before stands on the broker nobody remembers; 0 is nowhere.
                    let rest = Confirmed { last: after, sequence: 0 };
                    meta.insert(CONFIRMED, encode_confirmed(rest).as_slice())?;
                }
            }
            write.commit()?;
            Ok(removed)
        })?;
        let whole: Option<Vec<LoggedEntry>> = removed.into_iter().map(|(_, entry)| entry).collect();
        whole.ok_or_else(|| self.store.damaged("an entry is cut short".to_owned()))
    }
}
