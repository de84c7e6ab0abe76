//! A small Bloom filter in front of a table: most lookups on the decision path find nothing.

use core::sync::atomic::{AtomicU64, Ordering};

use crate::key::Key;

/// Twelve bits per key and four bits set: about 3 % of absent keys pass.
const BITS_PER_KEY: usize = 12;

/// Bits only ever get set, so views that share a filter never miss a key of theirs.
#[derive(Debug)]
pub(super) struct Filter {
    words: Box<[AtomicU64]>,
    keys_max: usize,
}

impl Filter {
    /// A filter for up to `keys_max` keys.
    pub(super) fn for_keys(keys_max: usize) -> Self {
        let words = keys_max.saturating_mul(BITS_PER_KEY).div_ceil(64).max(1);
        Self { words: (0..words).map(|_| AtomicU64::new(0)).collect(), keys_max }
    }

    /// How many keys it is made for.
    pub(super) const fn keys_max(&self) -> usize {
        self.keys_max
    }

    fn place(&self, key: Key) -> (usize, u64) {
        let bits = key.lo;
        let mask = 1 << (bits & 63) | 1 << (bits >> 6 & 63) | 1 << (bits >> 12 & 63) | 1 << (bits >> 18 & 63);
        let scaled = u128::from(bits.rotate_left(32) ^ key.hi) * self.words.len() as u128;
        (usize::try_from(scaled >> 64).unwrap_or(0), mask)
    }

    pub(super) fn insert(&self, key: Key) {
        let (word, mask) = self.place(key);
        if let Some(word) = self.words.get(word) {
            // Why relaxed: a reader gets the view that holds the key through an acquire that comes after.
            word.fetch_or(mask, Ordering::Relaxed);
        }
    }

    pub(super) fn may_hold(&self, key: Key) -> bool {
        let (word, mask) = self.place(key);
        self.words.get(word).is_none_or(|word| word.load(Ordering::Relaxed) & mask == mask)
    }
}
