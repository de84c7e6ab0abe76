//! Clocks that run apart: an offset and a rate for every process.

use rescind_core::time::BootNs;

/// A boot clock.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    offset: u64,
    /// Parts per million, up to 5,000 (0.5 %) either way.
    ppm: i64,
}

impl Clock {
    pub(crate) const fn new(offset: u64, ppm: i64) -> Self {
        Self { offset, ppm }
    }

    /// What it shows at a time of the world.
    pub(crate) fn local(self, at: u64) -> BootNs {
        let passed = i128::from(at) * i128::from(1_000_000 + self.ppm) / 1_000_000;
        BootNs(u64::try_from(i128::from(self.offset) + passed).unwrap())
    }

    /// First time of the world at which it shows `local` or more.
    pub(crate) fn world(self, local: BootNs) -> u64 {
        let passed = i128::from(local.0) - i128::from(self.offset);
        let rate = i128::from(1_000_000 + self.ppm);
        let at = (passed.max(0) * 1_000_000 + rate - 1) / rate;
        u64::try_from(at).unwrap_or(u64::MAX)
    }
}
