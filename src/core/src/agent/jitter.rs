//! Jitter: spreads what many agents do at the same time. Not for secrets.

use core::time::Duration;

/// `SplitMix64`: small, seeded, repeatable.
#[derive(Debug, Clone)]
pub(super) struct Jitter(u64);

impl Jitter {
    pub(super) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Uniform between zero and `max`.
    pub(super) fn up_to(&mut self, max: Duration) -> Duration {
        let nanos = u64::try_from(max.as_nanos()).unwrap_or(u64::MAX);
        let scaled = u128::from(self.next()) * u128::from(nanos);
        Duration::from_nanos(u64::try_from(scaled >> 64).unwrap_or(nanos))
    }

    /// `around`, plus or minus a fifth.
    pub(super) fn around(&mut self, around: Duration) -> Duration {
        around.saturating_sub(around / 5).saturating_add(self.up_to(around / 5 * 2))
    }
}
