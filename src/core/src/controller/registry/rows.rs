//! Rows by record id. Ids of a lane follow each other, so a row lies at a place that its id names: no search,
//! no half-empty nodes, and adding one never moves others.

use std::collections::BTreeMap;

use crate::ids::RecordId;

/// Rows of one page: adding the first one takes this much memory at once.
const PAGE: usize = 64;
const PAGE_BITS: u32 = PAGE.trailing_zeros();

#[derive(Debug, Clone)]
struct Page<R> {
    slots: Vec<Option<R>>,
    used: usize,
}

/// The rows, in order of id.
#[derive(Debug, Clone)]
pub(super) struct Rows<R> {
    pages: BTreeMap<u64, Page<R>>,
}

const fn page_of(id: RecordId) -> u64 {
    id.packed() >> PAGE_BITS
}

fn slot_of(id: RecordId) -> usize {
    usize::try_from(id.packed()).unwrap_or(0) & (PAGE - 1)
}

impl<R> Rows<R> {
    pub(super) const fn new() -> Self {
        Self { pages: BTreeMap::new() }
    }

    pub(super) fn get(&self, id: RecordId) -> Option<&R> {
        self.pages.get(&page_of(id))?.slots.get(slot_of(id))?.as_ref()
    }

    pub(super) fn get_mut(&mut self, id: RecordId) -> Option<&mut R> {
        self.pages.get_mut(&page_of(id))?.slots.get_mut(slot_of(id))?.as_mut()
    }

    pub(super) fn insert(&mut self, id: RecordId, row: R) {
        let page = self
            .pages
            .entry(page_of(id))
            .or_insert_with(|| Page { slots: Vec::with_capacity(PAGE), used: 0 });
        let place = slot_of(id);
        if page.slots.len() <= place {
            page.slots.resize_with(place + 1, || None);
        }
        if let Some(slot) = page.slots.get_mut(place)
            && slot.replace(row).is_none()
        {
            page.used += 1;
        }
    }

    pub(super) fn remove(&mut self, id: RecordId) -> Option<R> {
        let page = self.pages.get_mut(&page_of(id))?;
        let row = page.slots.get_mut(slot_of(id))?.take()?;
        page.used = page.used.saturating_sub(1);
        if page.used == 0 {
            self.pages.remove(&page_of(id));
        }
        Some(row)
    }

    /// All rows.
    pub(super) fn values(&self) -> impl Iterator<Item = &R> + '_ {
        self.pages.values().flat_map(|page| page.slots.iter().flatten())
    }

    /// The rows with ids above `after`.
    pub(super) fn above(&self, after: Option<RecordId>) -> impl Iterator<Item = &R> + '_ {
        let (first, skipped) = match after {
            Some(id) => (page_of(id), slot_of(id) + 1),
            None => (0, 0),
        };
        self.pages.range(first..).flat_map(move |(number, page)| {
            let skipped = if *number == first { skipped } else { 0 };
            page.slots.iter().skip(skipped).flatten()
        })
    }
}

#[cfg(test)]
mod tests;
