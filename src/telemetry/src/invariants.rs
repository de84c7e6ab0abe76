//! The counter that must stay at zero.

use prometheus_client::metrics::{counter::Counter, family::Family};
use prometheus_client::registry::Registry;

use crate::names;

/// Counts guarantees that did not hold, by their id in protocol.md. Cheap to clone; clones count together.
#[derive(Debug, Clone, Default)]
pub struct InvariantViolations {
    family: Family<[(&'static str, &'static str); 1], Counter>,
}

impl InvariantViolations {
    /// A counter that is part of `registry`.
    #[must_use]
    pub fn register(registry: &mut Registry) -> Self {
        let this = Self::default();
        registry.register(
            names::INVARIANT_VIOLATIONS,
            "Guarantees that did not hold, by id; anything but zero is a bug",
            this.family.clone(),
        );
        this
    }

    /// Counts one violation of `id` (`S2`, `D16` ...).
    pub fn note(&self, id: &'static str) {
        self.family.get_or_create(&[("id", id)]).inc();
    }

    /// How many violations of `id` were counted.
    #[must_use]
    pub fn count(&self, id: &'static str) -> u64 {
        self.family.get_or_create(&[("id", id)]).get()
    }
}
