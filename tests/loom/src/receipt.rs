//! S10: a receipt for n is sent after every decision that starts later sees n.

use loom::sync::Arc;
use loom::sync::atomic::{AtomicU64, Ordering};
use loom::thread;

use crate::cell::Published;
use crate::cell::assert_loom_finds;

/// Where the driver says how far it is: to those who wait for a position, and to the controller.
#[derive(Default)]
struct Said {
    /// The agent's `watch` channel.
    heads: AtomicU64,
    /// The report on the bus.
    report: AtomicU64,
}

/// Which wrong order the driver has, if any.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    /// The agent's: publish, wake those who wait, report.
    PublishedFirst,
    HeadsFirst,
    ReportFirst,
}

fn drive(order: Order) {
    let shared = Arc::new((Published::new(0), Said::default()));
    let starts_after = |read: fn(&Said) -> u64| {
        let shared = Arc::clone(&shared);
        thread::spawn(move || {
            let (published, said) = &*shared;
            let told = read(said);
            // The decision starts here: what was told is in it.
            let state = published.load();
            assert!(state >= told, "S10: told {told}, decides on {state}");
        })
    };
    let waiting = starts_after(|said| said.heads.load(Ordering::Acquire));
    let controller = starts_after(|said| said.report.load(Ordering::Acquire));
    let (published, said) = &*shared;
    for position in 1..=2 {
        if order == Order::ReportFirst {
            said.report.store(position, Ordering::Release);
        }
        if order == Order::HeadsFirst {
            said.heads.store(position, Ordering::Release);
        }
        published.store(usize::try_from(position).unwrap(), position);
        said.heads.store(position, Ordering::Release);
        said.report.store(position, Ordering::Release);
    }
    waiting.join().unwrap();
    controller.join().unwrap();
}

#[test]
fn s10_what_was_told_is_seen_by_every_later_decision() {
    loom::model(|| drive(Order::PublishedFirst));
}

#[test]
fn s10_loom_finds_a_report_before_the_publication() {
    assert_loom_finds("the report is sent first", || drive(Order::ReportFirst));
}

#[test]
fn s10_loom_finds_waiters_woken_before_the_publication() {
    assert_loom_finds("those who wait are woken first", || drive(Order::HeadsFirst));
}
