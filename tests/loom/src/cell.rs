//! The agent's `ArcSwap` as loom sees it: values that are written once, and which of them is current.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;

use loom::cell::UnsafeCell;
use loom::sync::atomic::{AtomicUsize, Ordering};

/// How many values a model publishes at most, with the first.
const SLOTS: usize = 3;

/// Holds what is published. Reading a slot while it is written, or before its writing is visible, is a violation
/// that loom reports by itself.
pub(crate) struct Published<T> {
    slots: [Slot<T>; SLOTS],
    current: AtomicUsize,
    order: Ordering,
}

struct Slot<T> {
    /// Why empty: loom judges the accesses; the value beside it needs no unsafe code.
    accesses: UnsafeCell<()>,
    value: OnceLock<T>,
}

impl<T: Copy> Published<T> {
    pub(crate) fn new(first: T) -> Self {
        Self::with_order(first, Ordering::Release)
    }

    /// With another order of the store; the agent's releases.
    pub(crate) fn with_order(first: T, order: Ordering) -> Self {
        let slot = |_| Slot { accesses: UnsafeCell::new(()), value: OnceLock::new() };
        let cell = Self { slots: std::array::from_fn(slot), current: AtomicUsize::new(0), order };
        cell.slots[0].value.set(first).ok().unwrap();
        cell
    }

    /// Makes a value and publishes it. One writer; each slot once.
    pub(crate) fn store(&self, slot: usize, value: T) {
        let Slot { accesses, value: place } = &self.slots[slot];
        accesses.with_mut(|_| place.set(value).ok().unwrap());
        self.current.store(slot, self.order);
    }

    pub(crate) fn load(&self) -> T {
        let Slot { accesses, value } = &self.slots[self.current.load(Ordering::Acquire)];
        accesses.with(|_| *value.get().unwrap())
    }
}

/// Loom must come to a violation in some interleaving.
pub(crate) fn assert_loom_finds(what: &str, model: impl Fn() + Sync + Send + 'static) {
    let outcome = catch_unwind(AssertUnwindSafe(|| loom::model(model)));
    assert!(outcome.is_err(), "loom found nothing wrong with: {what}");
}
