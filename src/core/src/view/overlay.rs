//! Views that hold records only and stand beside another one: what denies although the prefix does not hold it.
//!
//! Totals by kind are upper bounds here: they only say where to look.

use super::{FoldError, Standing, StandingList, View};
use crate::ids::RecordId;
use crate::key::Key;
use crate::position::Revision;
use crate::record::{Record, RecordKind, RecordState};
use crate::target::Target;
use crate::view::undo::Undo;

impl View {
    /// Records, without looking at totals.
    pub(crate) fn overlay_len(&self) -> usize {
        self.tombstones.len() + self.standing.values().map(StandingList::len).sum::<usize>()
    }

    /// Adds a record in force. True where it was not there yet.
    pub(crate) fn overlay_add(&mut self, record: &Record) -> bool {
        let added: Result<(), FoldError> = self.add_record(record, RecordState::Active, &mut Undo::default());
        added.is_ok()
    }

    /// Removes a record by id and target, whatever its kind and state. True where it was there.
    pub(crate) fn overlay_forget(&mut self, id: RecordId, target: &Target) -> bool {
        let key = self.hasher.target(target);
        if self.tombstones.get(key) == Some(&id.packed()) {
            return self.tombstones.remove(key).is_some();
        }
        let Some(list) = self.standing.get(key).filter(|list| list.find(id).is_some()) else { return false };
        let rest = list.without(id);
        if rest.is_empty() {
            self.standing.remove(key)
        } else {
            self.standing.insert(key, rest)
        };
        true
    }

    /// Adds everything of another overlay that is not here yet.
    pub(crate) fn overlay_absorb(&mut self, other: &Self) {
        for (key, packed) in other.tombstones.entries() {
            let Some(id) = RecordId::from_packed(*packed) else { continue };
            match self.tombstones.get(*key) {
                None => drop(self.tombstones.insert(*key, *packed)),
                Some(there) if there == packed => {}
                Some(_) => {
                    let standing =
                        Standing { record: id, kind: RecordKind::Revoke, active: true, cutoff: None };
                    self.overlay_stand(*key, standing);
                    // Why both: a second tombstone on a target lies in the table of standing records.
                    self.standing_kinds = sums(self.standing_kinds, other.tombstone_kinds);
                }
            }
        }
        for (key, list) in other.standing.entries() {
            list.as_slice().iter().for_each(|standing| self.overlay_stand(*key, *standing));
        }
        self.tombstone_kinds = sums(self.tombstone_kinds, other.tombstone_kinds);
        self.standing_kinds = sums(self.standing_kinds, other.standing_kinds);
    }

    fn overlay_stand(&mut self, key: Key, standing: Standing) {
        let list = self.standing.get(key).cloned().unwrap_or_default();
        if let Some(list) = list.with(standing) {
            self.standing.insert(key, list);
        }
    }

    /// The records that were accepted after this revision.
    pub(crate) fn records_after(&self, revision: Revision) -> Self {
        let is_later = |id: RecordId| id.position().revision > revision;
        self.records_where(|_, id| is_later(id), |_, standing| is_later(standing.record))
    }

    /// The records that another view does not hold, in force or ended.
    pub(crate) fn records_missing_in(&self, other: &Self) -> Self {
        let holds = |key: Key, id: RecordId| {
            other.tombstones.get(key) == Some(&id.packed())
                || other.standing.get(key).is_some_and(|list| list.find(id).is_some())
        };
        self.records_where(|key, id| !holds(key, id), |key, standing| !holds(key, standing.record))
    }

    /// The records whose effect another view does not have, from a record that was accepted at `since` or later.
    pub(crate) fn records_not_covered_by(&self, other: &Self, since: crate::position::Epoch) -> Self {
        let covers = |key: Key, old: &Standing| {
            let list = other.standing.get(key).map_or(&[][..], StandingList::as_slice);
            list.iter().any(|new| {
                new.record.position().epoch >= since
                    && new.kind == old.kind
                    && new.active >= old.active
                    && new.cutoff >= old.cutoff
            })
        };
        // Tombstones are for ever, so any on the same target has the same effect.
        self.records_where(
            |key, _| other.tombstones.get(key).is_none(),
            |key, standing| !covers(key, standing),
        )
    }

    fn records_where(
        &self,
        tombstone: impl Fn(Key, RecordId) -> bool,
        standing: impl Fn(Key, &Standing) -> bool,
    ) -> Self {
        let mut some = Self::new(self.hasher.clone());
        for (key, packed) in self.tombstones.entries() {
            if RecordId::from_packed(*packed).is_some_and(|id| tombstone(*key, id)) {
                some.tombstones.insert(*key, *packed);
            }
        }
        for (key, list) in self.standing.entries() {
            let kept = list.as_slice().iter().filter(|there| standing(*key, there)).copied();
            if let Some(list) = StandingList::from_records(kept).filter(|list| !list.is_empty()) {
                some.standing.insert(*key, list);
            }
        }
        some.tombstone_kinds = self.tombstone_kinds;
        some.standing_kinds = self.standing_kinds;
        some
    }
}

fn sums<const N: usize>(mut left: [u32; N], right: [u32; N]) -> [u32; N] {
    left.iter_mut().zip(right).for_each(|(left, right)| *left = left.saturating_add(right));
    left
}

#[cfg(test)]
mod tests;
