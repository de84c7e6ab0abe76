//! Token buckets by key, in bounded memory.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};

use rescind_core::time::BootNs;

/// Limit: keys that are remembered; full buckets are forgotten first, for they say nothing.
const KEYS_MAX: usize = 65_536;

const NANOS: u64 = 1_000_000_000;

/// How much one key may do.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rate {
    /// In a second, on average.
    pub(super) per_second: u32,
    /// At once.
    pub(super) burst: u32,
}

impl Rate {
    fn cost(self) -> u64 {
        NANOS / u64::from(self.per_second.max(1))
    }

    fn full(self) -> u64 {
        self.cost().saturating_mul(u64::from(self.burst))
    }
}

/// One bucket per key, kept as the time at which it would be full again.
#[derive(Debug)]
pub(super) struct Buckets<K> {
    rate: Rate,
    full_at: Mutex<HashMap<K, u64>>,
}

impl<K: Eq + Hash> Buckets<K> {
    pub(super) fn new(rate: Rate) -> Self {
        Self { rate, full_at: Mutex::new(HashMap::new()) }
    }

    /// Takes one from the bucket of `key`; `false`: it is empty.
    pub(super) fn take(&self, key: K, now: BootNs) -> bool {
        let mut full_at = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        if full_at.len() >= KEYS_MAX && !full_at.contains_key(&key) {
            full_at.retain(|_, at| *at > now.0);
            if full_at.len() >= KEYS_MAX {
                return false;
            }
        }
        let at = full_at.entry(key).or_insert(0);
        let after = (*at).max(now.0).saturating_add(self.rate.cost());
        if after > now.0.saturating_add(self.rate.full()) {
            return false;
        }
        *at = after;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate { per_second: 10, burst: 3 };

    #[test]
    fn a_burst_is_taken_and_then_the_average() {
        let buckets = Buckets::new(RATE);
        let now = BootNs(5 * NANOS);
        assert_eq!((0..5).filter(|_| buckets.take("a", now)).count(), 3);
        assert!(buckets.take("b", now), "another key has a bucket of its own");
        let later = BootNs(now.0 + NANOS / 10);
        assert!(buckets.take("a", later));
        assert!(!buckets.take("a", later));
        let much_later = BootNs(now.0 + 60 * NANOS);
        assert_eq!((0..5).filter(|_| buckets.take("a", much_later)).count(), 3);
    }

    #[test]
    fn memory_is_bounded_and_full_buckets_make_room() {
        let buckets = Buckets::new(RATE);
        let now = BootNs(NANOS);
        for key in 0..KEYS_MAX {
            assert!(buckets.take(key, now));
        }
        assert!(!buckets.take(KEYS_MAX, now), "all are in use");
        assert!(buckets.take(KEYS_MAX, BootNs(3 * NANOS)), "all are full again");
        assert_eq!(buckets.full_at.lock().unwrap().len(), 1);
    }
}
