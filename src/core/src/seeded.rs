//! Known bugs that can be put back in, to see that the simulator and the checker find them.
//!
//! A bug is one `if` at the place of the rule that it breaks. Without the cargo feature `seeded-bugs`, [`active`] is
//! a constant `false` and nothing of this is in the program. The setting belongs to a thread, so that tests beside
//! each other do not disturb one another.

/// A rule that can be broken on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Bug {
    /// S1: a lease is anchored at the arrival of the grant, not at the sending of its nonce.
    AnchorAtReceipt,
}

impl Bug {
    /// Every bug.
    pub const ALL: [Self; 1] = [Self::AnchorAtReceipt];

    /// The name in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::AnchorAtReceipt => "anchor_at_receipt",
        }
    }
}

/// Whether this rule is broken now: never, without the cargo feature.
#[cfg(not(feature = "seeded-bugs"))]
#[must_use]
#[inline]
pub const fn active(_bug: Bug) -> bool {
    false
}

#[cfg(feature = "seeded-bugs")]
mod setting {
    use core::cell::Cell;

    use super::Bug;

    std::thread_local! {
        static ACTIVE: Cell<Option<Bug>> = const { Cell::new(None) };
    }

    /// Whether this rule is broken now on this thread.
    #[must_use]
    pub fn active(bug: Bug) -> bool {
        ACTIVE.get() == Some(bug)
    }

    /// Breaks this rule, and no other, on this thread; `None`: none.
    pub fn set(bug: Option<Bug>) {
        ACTIVE.set(bug);
    }
}

#[cfg(feature = "seeded-bugs")]
pub use setting::{active, set};
