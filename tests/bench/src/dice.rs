//! Numbers that look random and are the same in every run.

/// A small generator (xorshift64): good enough to defeat caches and branch predictors.
#[derive(Debug, Clone)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// The next number.
    pub(crate) const fn roll(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A place in a list of this length; 0 where it is empty.
    #[inline]
    pub(crate) fn place(&mut self, len: usize) -> usize {
        let place = self.roll().checked_rem(len as u64).unwrap_or(0);
        usize::try_from(place).unwrap_or(0)
    }

    /// One of `items`; `None` where there is none.
    #[inline]
    pub(crate) fn pick<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        items.get(self.place(items.len()))
    }
}
