//! What an entry has changed so far, to take it back where a later change of it does not fold.

use super::cow::CowMap;
use super::held::HeldSet;
use super::standing::StandingList;
use crate::key::Key;

/// A place that was changed, and what was there before.
#[derive(Debug)]
pub(super) enum Place {
    Tombstone(Key, Option<u64>),
    /// Boxed, because most changes are tombstones.
    Standing(Key, Option<Box<StandingList>>),
    Holder(Key, Option<HeldSet>),
}

/// The places in order of change; nothing is noted where nobody will ask.
#[derive(Debug, Default)]
pub(super) struct Undo(Option<Vec<Place>>);

impl Undo {
    /// Notes what is changed, for about this many changes.
    pub(super) fn noting(changes: usize) -> Self {
        Self(Some(Vec::with_capacity(changes)))
    }

    #[inline]
    pub(super) fn note(&mut self, place: impl FnOnce() -> Place) {
        if let Some(places) = &mut self.0 {
            places.push(place());
        }
    }

    /// The latest first.
    pub(super) fn places(self) -> impl Iterator<Item = Place> {
        self.0.into_iter().flatten().rev()
    }
}

/// Puts back what was at `key`.
pub(super) fn put_back<V: Clone + Default>(map: &mut CowMap<V>, key: Key, before: Option<V>) {
    match before {
        Some(value) => drop(map.insert(key, value)),
        None => drop(map.remove(key)),
    }
}
