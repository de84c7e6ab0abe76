//! How an agent fares, as one value for status pages.

use rescind_core::decide::{Published, StalePolicy};
use rescind_core::report::Freshness;
use rescind_core::time::BootNs;
use serde::Serialize;

use crate::agent::Identity;
use crate::explain::millis;
use crate::metrics::Metrics;
use crate::shared::Shared;
use crate::store::StoreState;

/// How an agent fares right now.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct AgentStatus {
    /// Who.
    pub agent: String,
    /// What it enforces for.
    pub service: String,
    /// Which run, in hexadecimal.
    pub instance: String,
    /// The realm that it follows.
    pub realm: String,
    /// `fresh`, `stale` or `unsynced`, under its strictest stale policy.
    pub freshness: &'static str,
    /// Milliseconds until the lease ends; `None`: there is none.
    pub lease_left_ms: Option<u64>,
    /// Milliseconds since the view was last proven current; `None`: never since the start.
    pub staleness_ms: Option<u64>,
    /// The stale policy of its requests; single actions may have stricter ones.
    pub stale_policy: String,
    /// Applied position of the deny lane, `1/42`.
    pub deny: String,
    /// Applied position of the grant lane.
    pub grant: String,
    /// Deny position on disk.
    pub durable_deny: String,
    /// Grant position on disk.
    pub durable_grant: String,
    /// Digest of the applied state; equal on all agents at equal positions.
    pub digest: String,
    /// Records that can still deny something.
    pub records: u64,
    /// Entitlements that are held.
    pub entitlements: u64,
    /// Whether the connection to the bus stands, as far as this side knows.
    pub connected: bool,
    /// What stands against being fresh, in words.
    pub fault: Option<String>,
    /// The local store.
    pub store: StoreStatus,
    /// The issuers whose tokens are accepted.
    pub issuers: Vec<IssuerStatus>,
    /// Tokens in the cache.
    pub tokens_cached: usize,
    /// What was counted since the start.
    pub metrics: Metrics,
}

/// How the local store fares.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct StoreStatus {
    /// `disk` or `memory`.
    pub mode: &'static str,
    /// Why there is none, or why the last one was thrown away.
    pub trouble: Option<String>,
}

/// How the keys of one issuer fare.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct IssuerStatus {
    /// The exact `iss`.
    pub issuer: String,
    /// Usable keys; zero: none were ever loaded, its tokens are refused.
    pub keys: usize,
    /// Keys of its document that are not used.
    pub skipped: usize,
    /// Milliseconds since the source last confirmed these keys.
    pub confirmed_ago_ms: Option<u64>,
    /// Failures since then.
    pub failures: u32,
    /// The last failure.
    pub last_error: Option<String>,
}

/// Freshness under the strictest policy: what a board should show.
pub(crate) fn freshness(shared: &Shared, now: BootNs) -> Freshness {
    of(shared, &shared.published(), now)
}

fn of(shared: &Shared, published: &Published, now: BootNs) -> Freshness {
    let under_lease = published.freshness(now);
    match (under_lease, published.lease, shared.enforcement().policies().strictest()) {
        (Freshness::Fresh, Some(lease), policy @ StalePolicy::Strict(_))
            if now >= policy.fresh_until(&lease) =>
        {
            Freshness::Stale
        }
        (other, _, _) => other,
    }
}

pub(crate) fn metrics(shared: &Shared, store: &StoreState) -> Metrics {
    let mut metrics = shared.counters.read();
    metrics.store_writes = store.writes;
    metrics.stores_discarded = store.discarded;
    metrics
}

pub(crate) fn collect(
    shared: &Shared,
    identity: &Identity,
    store: &StoreState,
    connected: bool,
    now: BootNs,
) -> AgentStatus {
    let published = shared.published();
    let Published { view, heads, lease, .. } = &*published;
    let health = shared.keys().health().into_iter();
    AgentStatus {
        agent: identity.agent.clone(),
        service: identity.service.clone(),
        instance: identity.instance.to_string(),
        realm: identity.realm.clone(),
        freshness: of(shared, &published, now).word(),
        lease_left_ms: lease.map(|lease| millis(lease.fresh_until(lease.length).since(now))),
        staleness_ms: lease.map(|lease| millis(now.since(lease.asked_at))),
        stale_policy: identity.stale_policy.clone(),
        deny: heads.deny.position.to_string(),
        grant: heads.grant.position.to_string(),
        durable_deny: store.durable.deny.position.to_string(),
        durable_grant: store.durable.grant.position.to_string(),
        digest: view.digest().to_string(),
        records: view.records(),
        entitlements: view.entitlements(),
        connected,
        fault: shared.fault(),
        store: StoreStatus {
            mode: if store.on_disk { "disk" } else { "memory" },
            trouble: store.trouble.as_deref().map(ToOwned::to_owned),
        },
        issuers: health
            .map(|source| IssuerStatus {
                issuer: source.issuer,
                keys: source.keys,
                skipped: source.skipped,
                confirmed_ago_ms: source.confirmed_ago.map(millis),
                failures: source.failures,
                last_error: source.last_error,
            })
            .collect(),
        tokens_cached: shared.tokens_cached(),
        metrics: metrics(shared, store),
    }
}
