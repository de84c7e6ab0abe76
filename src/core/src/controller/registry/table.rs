//! A table by keyed hash that never stands still to grow: 256 small ones, each of which grows alone.

use core::hash::{BuildHasherDefault, Hasher};
use std::collections::HashMap;

use crate::key::Key;

/// Number of parts. One part of a table of a million keys has 4,000: it grows in well under a millisecond.
const PARTS: usize = 256;

/// Values by [`Key`]. Nobody outside can choose keys that collide: they are hashes under a secret.
#[derive(Debug, Clone)]
pub(super) struct KeyTable<V> {
    parts: Vec<HashMap<Key, V, BuildHasherDefault<Uniform>>>,
}

impl<V> KeyTable<V> {
    pub(super) const fn new() -> Self {
        Self { parts: Vec::new() }
    }

    const fn part(key: Key) -> usize {
        // Why these bits: the parts themselves use other ones.
        (key.lo >> 56) as usize
    }

    pub(super) fn get(&self, key: Key) -> Option<&V> {
        self.parts.get(Self::part(key))?.get(&key)
    }

    pub(super) fn get_mut(&mut self, key: Key) -> Option<&mut V> {
        self.parts.get_mut(Self::part(key))?.get_mut(&key)
    }

    pub(super) fn insert(&mut self, key: Key, value: V) -> Option<V> {
        if self.parts.is_empty() {
            self.parts.resize_with(PARTS, HashMap::default);
        }
        self.parts.get_mut(Self::part(key))?.insert(key, value)
    }

    pub(super) fn remove(&mut self, key: Key) -> Option<V> {
        self.parts.get_mut(Self::part(key))?.remove(&key)
    }
}

impl<V: Default> KeyTable<V> {
    pub(super) fn update(&mut self, key: Key, change: impl FnOnce(&mut V)) {
        if let Some(value) = self.get_mut(key) {
            return change(value);
        }
        let mut value = V::default();
        change(&mut value);
        self.insert(key, value);
    }
}

/// Takes a key's first half as it is: it is uniform already.
#[derive(Debug, Default)]
pub(super) struct Uniform(u64);

impl Hasher for Uniform {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, number: u64) {
        // A key is two numbers; either is enough, and so is both.
        self.0 ^= number;
    }
}

#[cfg(test)]
mod tests;
