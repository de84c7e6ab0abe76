//! Points in time, each in a type of its own so that they cannot be mixed.

use core::time::Duration;

/// A reading of an agent's boot clock: nanoseconds since an arbitrary start, counting suspended time.
///
/// Never compared across processes or machines. Source: protocol.md section 4, rule 5.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct BootNs(pub u64);

impl BootNs {
    /// This point moved forward; saturates at the end of the range.
    #[must_use]
    pub fn plus(self, by: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(by.as_nanos()).unwrap_or(u64::MAX)))
    }

    /// Time from `earlier` to this point; zero where `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

/// Milliseconds since the Unix epoch, UTC, on the controller's clock unless said otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct UnixMs(pub i64);

impl UnixMs {
    /// This point moved forward; saturates.
    #[must_use]
    pub fn plus(self, by: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(by.as_millis()).unwrap_or(i64::MAX)))
    }

    /// The whole second that this point lies in (floor).
    #[must_use]
    pub fn floor_s(self) -> UnixS {
        UnixS(self.0.div_euclid(1000))
    }
}

/// Seconds since the Unix epoch, UTC: the resolution of `iat`, `exp` and cutoffs (rule D5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct UnixS(pub i64);

impl UnixS {
    /// The first millisecond of this second; saturates.
    #[must_use]
    pub fn start_ms(self) -> UnixMs {
        UnixMs(self.0.saturating_mul(1000))
    }
}
