//! A digest of state that does not depend on order: equal states have equal digests (S9).
//!
//! Detects folds that went apart, not forgery: authenticity is the chain's hash. So it is a sum of 128-bit
//! `SipHash` values with a published key, which costs tens of nanoseconds per item and can be taken back.

use core::fmt;
use core::hash::Hasher;

use siphasher::sip128::{Hasher128, SipHasher24};

/// Sum, modulo 2^128, of the digests of all items of a state.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct StateDigest(pub u128);

impl StateDigest {
    /// Counts an item in.
    pub const fn add(&mut self, item: ItemDigest) {
        self.0 = self.0.wrapping_add(item.0);
    }

    /// Counts an item out.
    pub const fn remove(&mut self, item: ItemDigest) {
        self.0 = self.0.wrapping_sub(item.0);
    }
}

impl fmt::Debug for StateDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Display for StateDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// Digest of one item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ItemDigest(u128);

/// Collects the parts of one item; every part is framed by its length.
#[derive(Debug)]
pub struct ItemHasher(SipHasher24);

impl ItemHasher {
    /// Starts an item of the kind `tag`.
    #[must_use]
    pub fn new(tag: u8) -> Self {
        let mut hasher = SipHasher24::new_with_key(b"rescind digest 1");
        hasher.write_u8(tag);
        Self(hasher)
    }

    /// Adds a number.
    #[must_use]
    pub fn number(mut self, number: u64) -> Self {
        self.0.write(&number.to_le_bytes());
        self
    }

    /// Adds a number that may be absent.
    #[must_use]
    pub fn maybe(self, number: Option<i64>) -> Self {
        match number {
            Some(number) => self.number(1).number(u64::from_le_bytes(number.to_le_bytes())),
            None => self.number(0),
        }
    }

    /// Adds bytes.
    #[must_use]
    pub fn bytes(mut self, bytes: &[u8]) -> Self {
        self = self.number(bytes.len() as u64);
        self.0.write(bytes);
        self
    }

    /// Ends the item.
    #[must_use]
    pub fn finish(self) -> ItemDigest {
        ItemDigest(self.0.finish128().as_u128())
    }
}
