//! Questions of people and APIs to the registry, in bounded pages.

use super::{EntitlementRow, RecordRow, Registry};
use crate::entitlement::Holder;
use crate::ids::{EmitterId, RecordId};
use crate::record::RecordState;
use crate::target::Target;

/// Limit: rows looked at for one page, so that a filter that matches little does not hold up the writer.
pub const PAGE_SCAN_MAX: usize = 10_000;

/// Which records. Everything by default.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RecordFilter {
    /// On exactly this target.
    pub target: Option<Target>,
    /// Asked by this emitter.
    pub emitter: Option<EmitterId>,
    /// Only these that are in force.
    pub active_only: bool,
}

/// Some rows, ordered by id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<'a, R> {
    /// The rows. May be few or none although there is a `next`.
    pub rows: Vec<&'a R>,
    /// Pass this as `after` to go on; `None`: that was all.
    pub next: Option<RecordId>,
}

impl Registry {
    /// A record that is kept.
    #[must_use]
    pub fn record(&self, id: RecordId) -> Option<&RecordRow> {
        self.book.records.get(id)
    }

    /// An entitlement that is kept.
    #[must_use]
    pub fn entitlement(&self, id: RecordId) -> Option<&EntitlementRow> {
        self.book.entitlements.get(id)
    }

    /// All records on exactly this target, in order of acceptance.
    #[must_use]
    pub fn by_target(&self, target: &Target) -> Vec<&RecordRow> {
        let ids = self.book.targets.get(self.view.hasher().target(target));
        let rows = ids.into_iter().flatten().filter_map(|id| self.book.records.get(*id));
        rows.filter(|row| row.record.target == *target).collect()
    }

    /// All entitlements of exactly this holder, in order of acceptance.
    #[must_use]
    pub fn by_holder(&self, holder: &Holder) -> Vec<&EntitlementRow> {
        let ids = self.book.holders.get(self.view.hasher().holder(holder));
        let rows = ids.into_iter().flatten().filter_map(|id| self.book.entitlements.get(*id));
        rows.filter(|row| row.entitlement.holder == *holder).collect()
    }

    /// At most `max` records that pass `filter`, with ids above `after`.
    #[must_use]
    pub fn records(&self, filter: &RecordFilter, after: Option<RecordId>, max: usize) -> Page<'_, RecordRow> {
        let above = |id: &RecordId| after.is_none_or(|after| *id > after);
        let passes = |row: &RecordRow| {
            filter.target.as_ref().is_none_or(|target| row.record.target == *target)
                && filter.emitter.as_ref().is_none_or(|emitter| row.origin.emitter == *emitter)
                && (!filter.active_only || row.state == RecordState::Active)
        };
        if let Some(target) = &filter.target {
            let mut rows = self.by_target(target);
            rows.sort_unstable_by_key(|row| row.record.id);
            let rows = rows.into_iter().filter(|row| above(&row.record.id));
            return page(rows, |row| row.record.id, passes, max);
        }
        let from = (
            after.map_or(core::ops::Bound::Unbounded, core::ops::Bound::Excluded),
            core::ops::Bound::Unbounded,
        );
        match &filter.emitter {
            Some(emitter) => {
                let ids = self.book.emitters.get(emitter).into_iter().flat_map(|ids| ids.range(from));
                page(ids.filter_map(|id| self.book.records.get(*id)), |row| row.record.id, passes, max)
            }
            None => page(self.book.records.above(after), |row| row.record.id, passes, max),
        }
    }

    /// At most `max` entitlements that are held, with ids above `after`.
    #[must_use]
    pub fn entitlements(&self, after: Option<RecordId>, max: usize) -> Page<'_, EntitlementRow> {
        let rows = self.book.entitlements.above(after);
        page(rows, |row| row.entitlement.id, |row| row.ended_by.is_none(), max)
    }
}

fn page<'a, R>(
    rows: impl Iterator<Item = &'a R>,
    id: impl Fn(&R) -> RecordId,
    passes: impl Fn(&R) -> bool,
    max: usize,
) -> Page<'a, R> {
    let mut page = Page { rows: Vec::new(), next: None };
    let mut last = None;
    for (scanned, row) in rows.enumerate() {
        if page.rows.len() >= max || scanned >= PAGE_SCAN_MAX {
            page.next = last;
            return page;
        }
        last = Some(id(row));
        if passes(row) {
            page.rows.push(row);
        }
    }
    page
}
