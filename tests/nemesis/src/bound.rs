//! The bound of S1 for a lease.

use std::time::Duration;

/// Clock rate error that leases allow for, in thousandths. Source: protocol.md section 1.
const RHO_PERMILLE: u32 = 5;

/// From the last look at the clock to the answer. Source: protocol.md, B = 5.04 s for a lease of 5 s.
const DELTA: Duration = Duration::from_millis(15);

/// A lease and what follows from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bound {
    /// L.
    pub lease: Duration,
    /// B = L(1+ρ) + δ: no allow at or after acceptance and this.
    pub staleness: Duration,
    /// B(1+ρ): `enforced` follows within this, even if every agent is dead.
    pub enforced: Duration,
}

impl Bound {
    /// The bounds of a lease.
    #[must_use]
    pub fn of(lease: Duration) -> Self {
        let stretch = |span: Duration| span + span * RHO_PERMILLE / 1000;
        let staleness = stretch(lease) + DELTA;
        Self { lease, staleness, enforced: stretch(staleness) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_lease_gives_the_published_bound() {
        let bound = Bound::of(Duration::from_secs(5));
        assert_eq!(bound.staleness, Duration::from_millis(5040));
        assert!(bound.enforced > bound.staleness && bound.enforced < Duration::from_millis(5100));
    }
}
