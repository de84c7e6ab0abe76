//! Counters: what happened since the start, read as one value.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use serde::Serialize;

/// Everything that an agent counts, since its start. Rates are the reader's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Metrics {
    /// Decisions that allowed.
    pub decisions_allowed: u64,
    /// Decisions that denied.
    pub decisions_denied: u64,
    /// Tokens whose signature was checked and good: misses of the token cache.
    pub tokens_verified: u64,
    /// Tokens that were refused.
    pub tokens_refused: u64,
    /// Times that the keys of an issuer changed.
    pub key_changes: u64,
    /// Verified entries that arrived, live and by repair.
    pub entries: u64,
    /// Verified ticks that arrived live.
    pub ticks: u64,
    /// Messages on live lanes that did not verify or could not be read.
    pub unreadable: u64,
    /// States that were published to decisions.
    pub published: u64,
    /// Lease requests sent.
    pub lease_requests: u64,
    /// Lease grants that verified.
    pub lease_grants: u64,
    /// Lease requests without a good answer.
    pub lease_failures: u64,
    /// Leases that came the direct way.
    pub direct_leases: u64,
    /// Ranges that came the direct way.
    pub direct_ranges: u64,
    /// Reports that went the direct way too.
    pub direct_reports: u64,
    /// Ranges fetched to fill a gap.
    pub ranges: u64,
    /// Ranges that were not served.
    pub range_failures: u64,
    /// Snapshots fetched.
    pub snapshots: u64,
    /// Snapshots that were not served or did not verify.
    pub snapshot_failures: u64,
    /// Reports sent.
    pub reports: u64,
    /// Reports that were not sent.
    pub report_failures: u64,
    /// Faults of the state machine: poison, fork, clock and the like.
    pub faults: u64,
    /// Panics that were caught while a change was applied. Never anything but a bug.
    pub panics: u64,
    /// Writes of the local store.
    pub store_writes: u64,
    /// Local stores that were thrown away.
    pub stores_discarded: u64,
}

macro_rules! counters {
    ($($name:ident),* $(,)?) => {
        /// The counters behind [`Metrics`] that the driver owns.
        #[derive(Debug, Default)]
        pub(crate) struct Counters {
            decisions: Striped,
            $(pub(crate) $name: AtomicU64,)*
        }

        impl Counters {
            /// All of them, each read once; the store's are added by the caller.
            pub(crate) fn read(&self) -> Metrics {
                let (decisions_allowed, decisions_denied) = self.decisions.sum();
                Metrics {
                    decisions_allowed,
                    decisions_denied,
                    $($name: self.$name.load(Ordering::Relaxed),)*
                    ..Metrics::default()
                }
            }
        }
    };
}

counters!(
    tokens_verified,
    tokens_refused,
    key_changes,
    entries,
    ticks,
    unreadable,
    published,
    lease_requests,
    lease_grants,
    lease_failures,
    direct_leases,
    direct_ranges,
    direct_reports,
    ranges,
    range_failures,
    snapshots,
    snapshot_failures,
    reports,
    report_failures,
    faults,
    panics,
);

impl Counters {
    /// Counts one decision.
    #[inline]
    pub(crate) fn decided(&self, allowed: bool) {
        self.decisions.add(allowed);
    }
}

/// Counts one.
pub(crate) fn bump(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// Limit: stripes; more threads than that share some.
const STRIPES: usize = 32;

/// Two counters that many threads count on at once: each thread has its own cache line.
#[derive(Debug, Default)]
struct Striped([Stripe; STRIPES]);

#[derive(Debug, Default)]
#[repr(align(128))]
struct Stripe {
    allowed: AtomicU64,
    denied: AtomicU64,
}

/// The stripe of the next thread that counts.
static NEXT_STRIPE: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static STRIPE: Cell<usize> = const { Cell::new(usize::MAX) };
}

#[inline]
fn stripe() -> usize {
    STRIPE.with(|stripe| match stripe.get() {
        usize::MAX => {
            let next = NEXT_STRIPE.fetch_add(1, Ordering::Relaxed) % STRIPES;
            stripe.set(next);
            next
        }
        known => known,
    })
}

impl Striped {
    #[inline]
    fn add(&self, allowed: bool) {
        if let Some(stripe) = self.0.get(stripe()) {
            bump(if allowed { &stripe.allowed } else { &stripe.denied });
        }
    }

    fn sum(&self) -> (u64, u64) {
        self.0.iter().fold((0, 0), |(allowed, denied), stripe| {
            let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
            (allowed.wrapping_add(load(&stripe.allowed)), denied.wrapping_add(load(&stripe.denied)))
        })
    }
}
