//! The bounds that a trace is judged by.

use core::time::Duration;

use rescind_core::lease::{LEASE_DEFAULT, RHO_PERMILLE};

/// What the checker has to know of the system that made the trace.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Longest lease of the realm.
    pub lease: Duration,
    /// From reading the clock to the result (delta), and how finely the trace is timed.
    pub delta: Duration,
    /// The trace holds [`crate::Event::Ordered`] for every change that the stream ever held. Otherwise what is
    /// indeterminate may or may not have happened.
    pub sees_chain: bool,
    /// The trace holds [`crate::Event::Stored`].
    pub sees_disk: bool,
    /// L2 with the state at hand.
    pub fresh_after_warm: Duration,
    /// L2, L6, L7 where the state has to be fetched.
    pub fresh_after_cold: Duration,
    /// L8.
    pub equal_after: Duration,
    /// L1: 99 of 100 applications in calm times take at most this long.
    pub applied_p99: Duration,
    /// L5: lateness of the ledger's evaluation on top of the fence.
    pub enforced_slack: Duration,
    /// L7: starts of one agent without ever being fresh that count as a crash loop.
    pub crashes_max: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            lease: LEASE_DEFAULT,
            delta: Duration::from_millis(10),
            sees_chain: false,
            sees_disk: false,
            fresh_after_warm: Duration::from_secs(1),
            fresh_after_cold: Duration::from_secs(5),
            equal_after: Duration::from_secs(10),
            applied_p99: Duration::from_secs(1),
            enforced_slack: Duration::from_millis(100),
            crashes_max: 5,
        }
    }
}

pub(crate) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

impl Settings {
    /// B = L(1+rho) + delta, in nanoseconds.
    #[must_use]
    pub fn bound(&self) -> u64 {
        stretch(nanos(self.lease)).saturating_add(nanos(self.delta))
    }

    /// Until when `enforced` must have followed `accepted`: L(1+rho)^2 + delta and the ledger's lateness.
    #[must_use]
    pub fn enforced_within(&self) -> u64 {
        let fence = stretch(stretch(nanos(self.lease)));
        fence.saturating_add(nanos(self.delta)).saturating_add(nanos(self.enforced_slack))
    }
}

const fn stretch(nanos: u64) -> u64 {
    nanos.saturating_add((nanos / 1000 + 1).saturating_mul(RHO_PERMILLE))
}
