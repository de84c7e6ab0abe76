//! Lease rule 4 and S3: a lease that was given for position n is never judged with a state before n.

use loom::sync::Arc;
use loom::sync::atomic::Ordering;
use loom::thread;

use crate::cell::{Published, assert_loom_finds};

/// What a decision reads.
#[derive(Clone, Copy)]
struct Seen {
    /// Up to which position changes are applied.
    state: u64,
    /// Up to which position the controller had committed when it gave the lease.
    covers: u64,
}

impl Seen {
    fn check(self) {
        assert!(self.state >= self.covers, "a lease for {} with the state at {}", self.covers, self.state);
    }
}

/// State and lease in one value, as in the agent.
fn one_cell(order: Ordering) {
    let first = Seen { state: 0, covers: 0 };
    let published = Arc::new(Published::with_order(first, order));
    let readers: Vec<_> = (0..2)
        .map(|_| {
            let published = Arc::clone(&published);
            thread::spawn(move || {
                let (before, after) = (published.load(), published.load());
                before.check();
                after.check();
                assert!(before.state <= after.state, "S5: a decision went back");
            })
        })
        .collect();
    published.store(1, Seen { state: 1, covers: 1 });
    published.store(2, Seen { state: 2, covers: 1 });
    readers.into_iter().for_each(|reader| reader.join().unwrap());
}

/// State and lease in two values; `lease_first` each for how they are written and how they are read.
fn two_cells(written_lease_first: bool, read_lease_first: bool) {
    let cells = Arc::new((Published::new(0), Published::new(0)));
    let reader = {
        let cells = Arc::clone(&cells);
        thread::spawn(move || {
            let (states, leases) = &*cells;
            let seen = if read_lease_first {
                let covers = leases.load();
                Seen { state: states.load(), covers }
            } else {
                let state = states.load();
                Seen { state, covers: leases.load() }
            };
            seen.check();
        })
    };
    let (states, leases) = &*cells;
    for position in 1..=2 {
        let slot = usize::try_from(position).unwrap();
        if written_lease_first {
            leases.store(slot, position);
            states.store(slot, position);
        } else {
            states.store(slot, position);
            leases.store(slot, position);
        }
    }
    reader.join().unwrap();
}

#[test]
fn lease_rule_4_s3_s5_state_and_lease_in_one_value() {
    loom::model(|| one_cell(Ordering::Release));
}

#[test]
fn lease_rule_4_in_two_values_the_lease_is_read_before_the_state() {
    loom::model(|| two_cells(false, true));
}

#[test]
fn lease_rule_4_loom_finds_the_state_read_before_the_lease() {
    assert_loom_finds("the state is read before the lease", || two_cells(false, false));
}

#[test]
fn lease_rule_4_loom_finds_the_lease_written_before_the_state() {
    assert_loom_finds("the lease is written before the state", || two_cells(true, true));
}

#[test]
fn loom_finds_a_value_that_is_published_without_release() {
    assert_loom_finds("the pointer is stored relaxed", || one_cell(Ordering::Relaxed));
}
