//! What has to happen by a time.

use std::collections::{BTreeMap, HashMap};

use rescind_core::ids::RecordId;

use crate::event::{Nanos, Run};
use crate::guarantee::Guarantee;

/// Something that has to happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Due {
    /// This run is fresh.
    Fresh(Run),
    /// This directive is answered.
    Answer(u64),
    /// This change is enforced.
    Enforced(RecordId),
    /// All runs have equal digests.
    Equal,
}

/// Deadlines in order; one for each thing.
#[derive(Debug, Default)]
pub(crate) struct Dues {
    order: BTreeMap<(Nanos, u64), (Due, Guarantee)>,
    places: HashMap<Due, (Nanos, u64)>,
    count: u64,
}

impl Dues {
    pub(crate) fn demand(&mut self, due: Due, guarantee: Guarantee, deadline: Nanos) {
        self.drop(due);
        self.count += 1;
        self.order.insert((deadline, self.count), (due, guarantee));
        self.places.insert(due, (deadline, self.count));
    }

    /// It happened, or is not demanded any more.
    pub(crate) fn drop(&mut self, due: Due) -> bool {
        self.places.remove(&due).is_some_and(|place| self.order.remove(&place).is_some())
    }

    /// The next one whose deadline is before `now`.
    pub(crate) fn overdue(&mut self, now: Nanos) -> Option<(Nanos, Due, Guarantee)> {
        let first = self.order.first_entry().filter(|first| first.key().0 < now)?;
        let (deadline, _) = *first.key();
        let (due, guarantee) = first.remove();
        self.places.remove(&due);
        Some((deadline, due, guarantee))
    }

    /// Takes out all of these; their things, in order of deadline.
    pub(crate) fn take(&mut self, which: impl Fn(&Due) -> bool) -> Vec<Due> {
        let all: Vec<Due> = self.order.values().map(|(due, _)| *due).filter(which).collect();
        for due in &all {
            self.drop(*due);
        }
        all
    }
}
