//! The decision path of an agent over a state that is handed in: no bus, no store, no task.
//!
//! Behind the feature `offline`, for benchmarks and experiments. Nothing renews its lease and nothing changes its
//! state, so it is no way to run a service.

use std::fmt;
use std::sync::Arc;

use rescind_core::decide::{Decision, Enforcement, Published, StalePolicies};
use rescind_token::{KeyDirectory, TrustConfig};

use crate::shared::{Query, Shared, SharedParts};
use crate::token_cache::TokenCache;

/// See the module's text.
pub struct Offline(Shared);

/// What an [`Offline`] is made of.
#[derive(Debug)]
pub struct OfflineParts {
    /// What decisions read; its view's hasher makes all keys.
    pub published: Arc<Published>,
    /// What it enforces for.
    pub service: Box<str>,
    /// What happens past the lease.
    pub policies: StalePolicies,
    /// Whose tokens are accepted.
    pub issuers: TrustConfig,
    /// Their keys, installed already.
    pub keys: KeyDirectory,
    /// Slots of the token cache.
    pub token_cache_slots: usize,
}

impl fmt::Debug for Offline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Offline").field("tokens_cached", &self.0.tokens_cached()).finish_non_exhaustive()
    }
}

impl Offline {
    /// An agent that answers from this state.
    #[must_use]
    pub fn new(parts: OfflineParts) -> Self {
        let hasher = parts.published.view.hasher().clone();
        // Why fixed: runs must be comparable; a real agent draws its own.
        let secret =
            [0x0123_4567_89ab_cdef, 0x1357_9bdf_0246_8ace, 0x2468_ace0_1357_9bdf, 0x89ab_cdef_0123_4567, 1];
        Self(Shared::new(SharedParts {
            enforcement: Enforcement::new(&hasher, &parts.service, parts.policies),
            published: parts.published,
            hasher,
            issuers: parts.issuers,
            keys: parts.keys,
            tokens: TokenCache::new(parts.token_cache_slots, secret),
        }))
    }

    /// As [`crate::Agent::decide`].
    #[must_use]
    pub fn decide(&self, query: &Query<'_>) -> Decision {
        self.0.decide(query)
    }

    /// Lets decisions read another state from now on; it must have the same hasher.
    pub fn publish(&self, published: Arc<Published>) {
        self.0.publish(published);
    }
}
