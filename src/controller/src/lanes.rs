//! One thing of each lane.

use rescind_core::position::Lane;

/// One value for each lane of this version.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct PerLane<T> {
    pub(crate) deny: T,
    pub(crate) grant: T,
}

impl<T> PerLane<T> {
    pub(crate) const fn of(&self, lane: Lane) -> &T {
        match lane {
            Lane::Deny => &self.deny,
            Lane::Grant(_) => &self.grant,
        }
    }

    pub(crate) const fn of_mut(&mut self, lane: Lane) -> &mut T {
        match lane {
            Lane::Deny => &mut self.deny,
            Lane::Grant(_) => &mut self.grant,
        }
    }

    pub(crate) const fn each(&self) -> [&T; 2] {
        [&self.deny, &self.grant]
    }

    pub(crate) const fn each_mut(&mut self) -> [&mut T; 2] {
        [&mut self.deny, &mut self.grant]
    }
}
