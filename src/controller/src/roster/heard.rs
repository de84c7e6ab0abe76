//! Who was heard lately, over restarts: whom a roll call waits for. And whether other controllers grant as well.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use redb::{ReadableTable as _, TableDefinition};
use rescind_core::ids::AgentId;
use rescind_core::report::Report;
use rescind_core::time::UnixMs;

use super::{Agent, META, Roster, Row, Run};
use crate::store::{Store, StoreError};

/// Agent id -> when it was last heard, wall clock in milliseconds (8 bytes, big endian).
const HEARD: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("heard");
/// In `META`: another controller wrote this chain at some time.
const SHARED: &str = "shared";
/// How much later an agent must have been heard for another sync.
const SAVE_EVERY_MS: i64 = 60_000;

#[derive(Debug, Clone, Copy)]
struct At {
    now: UnixMs,
    saved: Option<UnixMs>,
}

/// The memory of one roster.
#[derive(Debug, Default)]
pub(super) struct Heard(Mutex<BTreeMap<AgentId, At>>);

impl Heard {
    pub(super) fn open(store: &Store) -> Result<Self, StoreError> {
        let rows = store.with("open", |database| {
            let write = database.begin_write()?;
            let mut rows = Vec::new();
            for item in write.open_table(HEARD)?.iter()? {
                let (key, value) = item?;
                let at = value.value().try_into().map(i64::from_be_bytes).ok();
                rows.push((key.value().to_owned(), at));
            }
            write.commit()?;
            Ok(rows)
        })?;
        let known = rows.into_iter().filter_map(|(agent, at)| {
            let at = UnixMs(at?);
            Some((AgentId::new(&agent).ok()?, At { now: at, saved: Some(at) }))
        });
        Ok(Self(Mutex::new(known.collect())))
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<AgentId, At>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Roster {
    /// An agent was heard now. `true`: call [`Self::save_heard`] when convenient.
    pub(crate) fn note_heard(&self, agent: &AgentId, now: UnixMs) -> bool {
        let mut heard = self.heard.lock();
        let at = heard.entry(agent.clone()).or_insert(At { now, saved: None });
        at.now = now;
        at.saved.is_none_or(|saved| now.0.saturating_sub(saved.0) >= SAVE_EVERY_MS)
    }

    /// Agents that were heard since `since`, in this run or before.
    pub(crate) fn heard_since(&self, since: UnixMs) -> Vec<AgentId> {
        let heard = self.heard.lock();
        heard.iter().filter(|(_, at)| at.now >= since).map(|(agent, _)| agent.clone()).collect()
    }

    /// Writes down who was heard.
    pub(crate) fn save_heard(&self) -> Result<(), StoreError> {
        let rows: Vec<(AgentId, UnixMs)> = {
            let heard = self.heard.lock();
            let unsaved = heard.iter().filter(|(_, at)| at.saved != Some(at.now));
            unsaved.map(|(agent, at)| (agent.clone(), at.now)).collect()
        };
        self.store.with("write", |database| {
            let write = database.begin_write()?;
            {
                let mut table = write.open_table(HEARD)?;
                for (agent, at) in &rows {
                    table.insert(agent.as_str(), at.0.to_be_bytes().as_slice())?;
                }
            }
            write.commit()?;
            Ok(())
        })?;
        let mut heard = self.heard.lock();
        for (agent, saved) in rows {
            if let Some(at) = heard.get_mut(&agent) {
                at.saved = Some(saved);
            }
        }
        Ok(())
    }

    /// A report that another controller's grants may stand behind: its run counts as granted.
    ///
    /// INVARIANT (S2): after a take-over this controller has to know of every run that may hold a lease.
    pub(crate) fn note_reported_elsewhere(&self, report: &Report) -> bool {
        let is_strict = report.stale_policy.starts_with("strict");
        let mut agents = self.agents();
        let agent: &mut Agent = agents.entry(report.agent.clone()).or_default();
        agent.runs.insert(report.instance, Run { is_granted: false, is_strict: Some(is_strict) });
        let before = agent.row.clone();
        let row: &mut Row = agent.row.get_or_insert_default();
        row.service = Some(report.service.clone());
        row.not_strict |= !is_strict;
        agent.is_dirty |= agent.row != before;
        agent.is_dirty
    }

    /// Whether another controller wrote this chain at some time, as far as this one knows.
    pub(crate) fn is_shared(&self) -> Result<bool, StoreError> {
        self.store.with("read", |database| {
            let write = database.begin_write()?;
            let is_shared = write.open_table(META)?.get(SHARED)?.is_some();
            write.commit()?;
            Ok(is_shared)
        })
    }

    /// Another controller wrote this chain.
    pub(crate) fn set_shared(&self) -> Result<(), StoreError> {
        self.store.with("write", |database| {
            let write = database.begin_write()?;
            write.open_table(META)?.insert(SHARED, [1].as_slice())?;
            write.commit()?;
            Ok(())
        })
    }
}
