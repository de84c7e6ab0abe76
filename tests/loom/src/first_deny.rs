//! The time of the first deny by a record, from the threads that decide to the driver that reports it.

use loom::sync::Arc;
use loom::sync::atomic::{AtomicU64, Ordering};
use loom::thread;

use crate::cell::assert_loom_finds;

fn note(first: &AtomicU64, at: u64) -> bool {
    first.load(Ordering::Relaxed) == 0
        && first.compare_exchange(0, at, Ordering::Relaxed, Ordering::Relaxed).is_ok()
}

/// How the agent takes it.
fn swap(first: &AtomicU64) -> u64 {
    first.swap(0, Ordering::Relaxed)
}

fn load_then_clear(first: &AtomicU64) -> u64 {
    let at = first.load(Ordering::Relaxed);
    if at != 0 {
        first.store(0, Ordering::Relaxed);
    }
    at
}

fn hand_over(take: fn(&AtomicU64) -> u64) {
    let first = Arc::new(AtomicU64::new(0));
    let deciders: Vec<_> = [7, 8]
        .map(|at| {
            let first = Arc::clone(&first);
            thread::spawn(move || if note(&first, at) { at } else { 0 })
        })
        .into();
    let early = take(&first) + take(&first);
    let noted: u64 = deciders.into_iter().map(|decider| decider.join().unwrap()).sum();
    assert_eq!(early + take(&first), noted, "every time that was noted is handed over exactly once");
    assert!(noted > 0, "nobody noted anything");
}

/// A clearing that is not one step with the taking can hit what another taker left for it.
fn two_takers(take: fn(&AtomicU64) -> u64) {
    let first = Arc::new(AtomicU64::new(7));
    let other = {
        let first = Arc::clone(&first);
        thread::spawn(move || take(&first))
    };
    let here = take(&first);
    assert_eq!(here + other.join().unwrap(), 7, "taken once");
}

#[test]
fn every_first_deny_is_handed_over_once() {
    loom::model(|| hand_over(swap));
    loom::model(|| two_takers(swap));
}

#[test]
fn loom_finds_a_first_deny_that_is_taken_twice() {
    assert_loom_finds("loaded, then cleared", || two_takers(load_then_clear));
}
