//! What is remembered of agents over restarts, so that the ledger may claim something about runs that it has
//! never heard of.
//!
//! INVARIANT (S2): the first grant to a run is durable here before it is sent, and a run counts as strict only
//! after it said so. What is lost or late makes claims weaker, never stronger.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use redb::{ReadableDatabase, ReadableTable as _, TableDefinition};
use rescind_core::controller::ledger::LastKnown;
use rescind_core::ids::{AgentId, InstanceId, ServiceName};
use rescind_core::report::Report;

use crate::store::{Store, StoreError};

mod heard;
#[cfg(test)]
mod tests;

/// Agent id -> flags (1 byte), service.
const AGENTS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("agents");
/// `lease_ms`: longest lease that may still be held (8 bytes, big endian).
const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");

const NOT_STRICT: u8 = 1;
const UNREPORTED: u8 = 2;

/// Limit: runs of one agent that are remembered in memory; a crash loop starts over with none.
const RUNS_MAX: usize = 64;

/// A row means: granted at least once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Row {
    service: Option<ServiceName>,
    /// Some run was granted a lease under another policy than strict.
    not_strict: bool,
    /// Some run was granted a lease and has not said under which policy.
    unreported: bool,
}

#[derive(Debug, Default)]
struct Agent {
    /// What is durable, or will be with the next save.
    row: Option<Row>,
    is_dirty: bool,
    /// Runs of this controller's time: whether their grant is noted, and what they said of their policy.
    runs: BTreeMap<InstanceId, Run>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Run {
    is_granted: bool,
    is_strict: Option<bool>,
}

/// The memory. Calls that end in `save` or take grants block on the disk.
#[derive(Debug)]
pub(crate) struct Roster {
    store: Store,
    /// It was there before this controller: then an agent without a row was never granted anything.
    is_old: bool,
    agents: Mutex<BTreeMap<AgentId, Agent>>,
    heard: heard::Heard,
}

impl Roster {
    /// Opens the file, making it if it is missing.
    pub(crate) fn open(path: &Path) -> Result<Self, StoreError> {
        let store = Store::new(path, "roster of agents".to_owned());
        let (is_old, rows) = store.with("open", |database| {
            let write = database.begin_write()?;
            let is_old = write.open_table(META)?.get("lease_ms")?.is_some();
            let mut rows = Vec::new();
            for item in write.open_table(AGENTS)?.iter()? {
                let (key, value) = item?;
                rows.push((key.value().to_owned(), decode(value.value())));
            }
            write.commit()?;
            Ok((is_old, rows))
        })?;
        let rows = rows.into_iter().filter_map(|(agent, row)| Some((AgentId::new(&agent).ok()?, row)));
        let agents = rows.map(|(agent, row)| (agent, Agent { row: Some(row), ..Agent::default() })).collect();
        let heard = heard::Heard::open(&store)?;
        Ok(Self { store, is_old, agents: Mutex::new(agents), heard })
    }

    fn agents(&self) -> MutexGuard<'_, BTreeMap<AgentId, Agent>> {
        self.agents.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it was made by this run: over a log that is older nothing is known of anybody.
    pub(crate) const fn is_new(&self) -> bool {
        !self.is_old
    }

    /// What is known of an agent from before this controller started.
    pub(crate) fn last_known(&self, agent: &AgentId) -> (Option<ServiceName>, LastKnown) {
        match self.agents().get(agent).and_then(|agent| agent.row.clone()) {
            None => (None, LastKnown::NeverGranted),
            Some(row) if row.not_strict => (row.service, LastKnown::NotStrict),
            Some(row) if row.unreported => (row.service, LastKnown::Unknown),
            Some(row) => (row.service, LastKnown::Strict),
        }
    }

    /// Whether a grant to this run is noted already, so that it may be sent.
    pub(crate) fn is_granted(&self, agent: &AgentId, instance: InstanceId) -> bool {
        self.agents().get(agent).and_then(|agent| agent.runs.get(&instance)).is_some_and(|run| run.is_granted)
    }

    /// Makes first grants durable: one transaction for all.
    pub(crate) fn note_grants(&self, runs: &[(AgentId, InstanceId)]) -> Result<(), StoreError> {
        let rows: Vec<(AgentId, Row)> = {
            let agents = self.agents();
            let rows = runs.iter().map(|(id, instance)| {
                let agent = agents.get(id);
                let said = agent.and_then(|agent| agent.runs.get(instance)).and_then(|run| run.is_strict);
                let mut row = agent.and_then(|agent| agent.row.clone()).unwrap_or_default();
                row.unreported |= said.is_none();
                row.not_strict |= said == Some(false);
                (id.clone(), row)
            });
            rows.collect()
        };
        self.write(&rows)?;
        let mut agents = self.agents();
        for ((id, row), (_, instance)) in rows.into_iter().zip(runs) {
            let agent = agents.entry(id).or_default();
            if agent.runs.len() >= RUNS_MAX {
                agent.runs.clear();
            }
            agent.runs.entry(*instance).or_default().is_granted = true;
            let there = agent.row.get_or_insert_default();
            there.unreported |= row.unreported;
            there.not_strict |= row.not_strict;
        }
        Ok(())
    }

    /// What a run says of itself. `true`: call [`Self::save`] when convenient.
    pub(crate) fn note_report(&self, report: &Report) -> bool {
        let mut agents = self.agents();
        let agent = agents.entry(report.agent.clone()).or_default();
        if agent.runs.len() >= RUNS_MAX && !agent.runs.contains_key(&report.instance) {
            agent.runs.clear();
        }
        let is_strict = report.stale_policy.starts_with("strict");
        agent.runs.entry(report.instance).or_default().is_strict = Some(is_strict);
        let is_granted = |run: &Run| run.is_granted;
        let unreported = agent.runs.values().any(|run| is_granted(run) && run.is_strict.is_none());
        let not_strict = agent.runs.values().any(|run| is_granted(run) && run.is_strict == Some(false));
        let any_granted = agent.runs.values().any(is_granted);
        let Some(row) = &mut agent.row else { return false };
        let mut new = row.clone();
        new.service = Some(report.service.clone());
        new.not_strict |= not_strict;
        if any_granted {
            // Limit: runs of the time before that never reported are taken for those that are known now.
            new.unreported = unreported;
        }
        if new != *row {
            *row = new;
            agent.is_dirty = true;
        }
        agent.is_dirty
    }

    /// Writes what reports changed.
    pub(crate) fn save(&self) -> Result<(), StoreError> {
        let rows: Vec<(AgentId, Row)> = {
            let mut agents = self.agents();
            let dirty = agents.iter_mut().filter(|(_, agent)| agent.is_dirty);
            dirty
                .filter_map(|(id, agent)| {
                    agent.is_dirty = false;
                    Some((id.clone(), agent.row.clone()?))
                })
                .collect()
        };
        let written = if rows.is_empty() { Ok(()) } else { self.write(&rows) };
        if written.is_err() {
            let mut agents = self.agents();
            for (id, _) in &rows {
                agents.entry(id.clone()).or_default().is_dirty = true;
            }
        }
        written
    }

    /// The longest lease that somebody may hold: now, or of the run before this one.
    pub(crate) fn longest_lease(&self, now: Duration) -> Result<Duration, StoreError> {
        let before = self.store.with("read", |database| {
            let meta = database.begin_read()?.open_table(META)?;
            Ok(meta
                .get("lease_ms")?
                .and_then(|value| Some(u64::from_be_bytes(value.value().try_into().ok()?))))
        })?;
        let longest = now.max(Duration::from_millis(before.unwrap_or_default()));
        self.set_lease(longest)?;
        Ok(longest)
    }

    /// From now on nobody holds a longer one.
    pub(crate) fn set_lease(&self, lease: Duration) -> Result<(), StoreError> {
        let ms = u64::try_from(lease.as_millis()).unwrap_or(u64::MAX).to_be_bytes();
        self.store.with("write", |database| {
            let write = database.begin_write()?;
            write.open_table(META)?.insert("lease_ms", ms.as_slice())?;
            write.commit()?;
            Ok(())
        })
    }

    fn write(&self, rows: &[(AgentId, Row)]) -> Result<(), StoreError> {
        self.store.with("write", |database| {
            let write = database.begin_write()?;
            {
                let mut table = write.open_table(AGENTS)?;
                for (agent, row) in rows {
                    table.insert(agent.as_str(), encode(row).as_slice())?;
                }
            }
            write.commit()?;
            Ok(())
        })
    }
}

fn encode(row: &Row) -> Vec<u8> {
    let not_strict = if row.not_strict { NOT_STRICT } else { 0 };
    let unreported = if row.unreported { UNREPORTED } else { 0 };
    let mut value = vec![not_strict | unreported];
    value.extend_from_slice(row.service.as_ref().map_or("", ServiceName::as_str).as_bytes());
    value
}

/// Anything that cannot be read is a row of which nothing is known.
fn decode(value: &[u8]) -> Row {
    let Some((flags, service)) = value.split_first() else {
        return Row { unreported: true, ..Row::default() };
    };
    let service = std::str::from_utf8(service).ok().and_then(|text| ServiceName::new(text).ok());
    Row { service, not_strict: flags & NOT_STRICT != 0, unreported: flags & UNREPORTED != 0 }
}
