//! Who asked for what, and what became of it: everything of the registry that decisions do not need.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use smallvec::SmallVec;

use super::idempotency::Idempotency;
use super::retention::Retention;
use super::rows::Rows;
use super::table::KeyTable;
use super::{EntitlementRow, RecordRow};
use crate::change::{Change, ChangeBody, Origin};
use crate::entitlement::Entitlement;
use crate::ids::{EmitterId, RecordId};
use crate::key::{Key, KeyHasher};
use crate::record::{Record, RecordState};
use crate::time::{UnixMs, UnixS};

/// Limit: ended records and entitlements that are kept for people although no decision needs them; the oldest
/// go first, the log keeps them all.
pub const ENDED_KEPT_MAX: usize = 100_000;

/// Usually one.
type Ids = SmallVec<[RecordId; 1]>;

/// Rows and their indexes.
#[derive(Debug, Clone)]
pub struct Book {
    hasher: KeyHasher,
    pub(super) records: Rows<RecordRow>,
    pub(super) entitlements: Rows<EntitlementRow>,
    pub(super) targets: KeyTable<Ids>,
    pub(super) holders: KeyTable<Ids>,
    pub(super) emitters: BTreeMap<EmitterId, BTreeSet<RecordId>>,
    pub(super) idempotency: Idempotency,
    ended: VecDeque<RecordId>,
    retention: Retention,
    /// What may be forgotten, and when.
    aging: BTreeSet<(UnixMs, RecordId)>,
}

impl Book {
    pub(super) fn new(hasher: KeyHasher, keys_max: usize) -> Self {
        let idempotency = Idempotency::new(hasher.clone(), keys_max);
        Self {
            hasher,
            records: Rows::new(),
            entitlements: Rows::new(),
            targets: KeyTable::new(),
            holders: KeyTable::new(),
            emitters: BTreeMap::new(),
            idempotency,
            ended: VecDeque::new(),
            retention: Retention::default(),
            aging: BTreeSet::new(),
        }
    }

    /// Notes a change that the view took.
    pub fn note(&mut self, change: Change, committed_at: UnixMs) {
        self.idempotency.note_change(&change);
        let Change { id, origin, reason_admin_sha256, body } = change;
        match body {
            ChangeBody::Record(record) => self.add_record(record, origin, reason_admin_sha256, committed_at),
            ChangeBody::Lift { record, cutoff, .. } => self.end_record(record, id, cutoff),
            ChangeBody::Reinstate { record, .. } => self.end_record(record, id, None),
            ChangeBody::Forget { record, .. } => self.forget_record(record, id),
            ChangeBody::Grant(entitlement) => self.add_entitlement(entitlement, origin, committed_at),
            ChangeBody::Withdraw { entitlement, .. } => self.end_entitlement(entitlement, id),
            ChangeBody::Epoch(_) | ChangeBody::Skipped => {}
        }
    }

    fn add_record(
        &mut self,
        record: Record,
        origin: Origin,
        reason_admin_sha256: Option<[u8; 32]>,
        accepted_at: UnixMs,
    ) {
        let id = record.id;
        self.targets.update(self.hasher.target(&record.target), |ids| ids.push(id));
        // Why asked first: the name is copied once for each emitter, not for each record.
        match self.emitters.get_mut(&origin.emitter) {
            Some(ids) => drop(ids.insert(id)),
            None => drop(self.emitters.insert(origin.emitter.clone(), BTreeSet::from([id]))),
        }
        let state = RecordState::Active;
        let row = RecordRow { record, state, origin, reason_admin_sha256, accepted_at, ended_by: None };
        self.aging.extend(self.retention.due(&row).map(|at| (at, id)));
        self.records.insert(id, row);
    }

    fn end_record(&mut self, id: RecordId, by: RecordId, cutoff: Option<UnixS>) {
        let Some(row) = self.records.get_mut(id) else { return };
        // As the fold has it: a disable's cutoff outlives it (D3), a lift may leave one (D4).
        let residual_cutoff = row.record.cutoff.max(cutoff);
        row.state = RecordState::Ended { residual_cutoff };
        row.ended_by = Some(by);
        self.aging.extend(self.retention.due(row).map(|at| (at, id)));
        if residual_cutoff.is_none() {
            self.keep_ended(id);
        }
    }

    /// The row stays for people, as that of something that ended.
    fn forget_record(&mut self, id: RecordId, by: RecordId) {
        let Some(row) = self.records.get_mut(id) else { return };
        if let Some(at) = self.retention.due(row) {
            self.aging.remove(&(at, id));
        }
        row.state = RecordState::Ended { residual_cutoff: None };
        row.ended_by = Some(by);
        self.keep_ended(id);
    }

    pub(super) fn set_retention(&mut self, retention: Retention) {
        self.retention = retention;
        let rows = self.records.values();
        self.aging = rows.filter_map(|row| Some((self.retention.due(row)?, row.record.id))).collect();
    }

    /// What may be forgotten at this time, the oldest first.
    pub(super) fn forgettable(&self, now: UnixMs) -> impl Iterator<Item = &RecordRow> + '_ {
        let due = self.aging.iter().take_while(move |(at, _)| *at <= now);
        due.filter_map(|(_, id)| self.records.get(*id))
    }

    fn add_entitlement(&mut self, entitlement: Entitlement, origin: Origin, accepted_at: UnixMs) {
        let id = entitlement.id;
        self.holders.update(self.hasher.holder(&entitlement.holder), |ids| ids.push(id));
        self.entitlements.insert(id, EntitlementRow { entitlement, origin, accepted_at, ended_by: None });
    }

    fn end_entitlement(&mut self, id: RecordId, by: RecordId) {
        if let Some(row) = self.entitlements.get_mut(id) {
            row.ended_by = Some(by);
            self.keep_ended(id);
        }
    }

    /// Keeps an ended row for people, within [`ENDED_KEPT_MAX`]. Rows with a residual cutoff never come here:
    /// decisions and snapshots need them (S6).
    fn keep_ended(&mut self, id: RecordId) {
        self.ended.push_back(id);
        if self.ended.len() <= ENDED_KEPT_MAX {
            return;
        }
        let Some(oldest) = self.ended.pop_front() else { return };
        if let Some(row) = self.records.remove(oldest) {
            unlist(&mut self.targets, self.hasher.target(&row.record.target), oldest);
            if let Some(ids) = self.emitters.get_mut(&row.origin.emitter) {
                ids.remove(&oldest);
            }
        }
        if let Some(row) = self.entitlements.remove(oldest) {
            unlist(&mut self.holders, self.hasher.holder(&row.entitlement.holder), oldest);
        }
    }
}

fn unlist(lists: &mut KeyTable<Ids>, key: Key, id: RecordId) {
    if let Some(ids) = lists.get_mut(key) {
        ids.retain(|there| *there != id);
        if ids.is_empty() {
            lists.remove(key);
        }
    }
}
