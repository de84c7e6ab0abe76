//! Starting: store, bus, subscriptions, then the machine, in this order.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use rescind_bus::{Bus, FeedLimits};
use rescind_core::agent::{self as machine, AgentMachine};
use rescind_core::decide::{Enforcement, StalePolicies, StalePolicy};
use rescind_core::ids::InstanceId;
use rescind_core::key::KeyHasher;
use rescind_core::lease::LEASE_DEFAULT;
use rescind_core::target::TARGET_KINDS;
use rescind_token::{KeyDirectory, KeyRefresher, RefreshOptions};
use tokio_util::sync::CancellationToken;

use super::{Agent, Identity};
use crate::clock::BootClock;
use crate::config::AgentConfig;
use crate::direct::Direct;
use crate::driver::{Driver, Parts, Wire};
use crate::shared::{Shared, SharedParts};
use crate::store::{Floor, LOAD_WAIT, Loaded, Store};
use crate::token_cache::TokenCache;

/// The agent could not start.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// No connection to the bus.
    #[error("cannot connect to the bus")]
    Bus(#[from] rescind_bus::ConnectError),
    /// The bus does not take the subscriptions.
    #[error("cannot listen to the live lanes")]
    Subscribe(#[from] rescind_bus::SubscribeError),
    /// The issuers' keys cannot be fetched at all.
    #[error("cannot set up the fetching of issuers' keys")]
    Keys(#[from] rescind_token::RefreshSetupError),
    /// The system gives no randomness, so nothing can be asked for safely.
    #[error("the system gives no random numbers; check that getrandom works here")]
    Random(#[source] getrandom::Error),
}

pub(super) async fn connect(config: AgentConfig) -> Result<Agent, ConnectError> {
    let random = Random::draw().map_err(ConnectError::Random)?;
    let (store, Loaded { secret, floor, restored }) = open_store(&config, random.secret).await;
    let bus = match Bus::connect(config.bus.clone()).await {
        Ok(bus) => bus,
        Err(error) => {
            store.stop().await;
            return Err(error.into());
        }
    };
    // Why first: what is published from here on is buffered, so nothing falls between store and subscription.
    let limits = FeedLimits::default();
    let deny = bus.subscribe_live(&["deny"], limits).await?;
    let grant = bus.subscribe_live(&["grant.0"], limits).await?;

    let keys = KeyDirectory::new(&config.issuers);
    let refresher = KeyRefresher::new(&config.issuers, keys.clone(), RefreshOptions::default())?;
    let hasher = KeyHasher::new(secret);
    let instance = InstanceId(random.instance);
    let identity = identity(&config, instance);
    let start = BootClock.now();
    let settings = machine_config(&config, instance);
    let machine = AgentMachine::new(settings.clone(), random.seed, hasher.clone(), restored, start);
    let shared = Arc::new(Shared::new(SharedParts {
        published: machine.published(),
        enforcement: Enforcement::new(&hasher, config.service.as_str(), config.policies),
        hasher,
        issuers: config.issuers,
        keys,
        tokens: TokenCache::new(config.token_cache_slots, random.cache),
    }));
    let wire = Arc::new(Wire {
        bus: bus.clone(),
        direct: config.direct.map(Direct::new),
        trust: config.trust,
        key: config.key,
        chain: config.pin.chain,
    });
    let store_state = store.state();
    let parts = Parts { settings, machine, shared: Arc::clone(&shared), wire, store, floor, deny, grant };
    let cancel = CancellationToken::new();
    let driver = Driver::new(parts);
    let tasks = vec![
        tokio::spawn(supervise(driver, Arc::clone(&shared), cancel.clone())),
        tokio::spawn(refresher.run(cancel.clone())),
    ];
    tracing::info!(
        agent = identity.agent,
        service = identity.service,
        realm = identity.realm,
        "agent started"
    );
    Ok(Agent::assemble(shared, identity, store_state, &bus, tasks, cancel))
}

/// INVARIANT (S12): a driver that ends, by a panic too, leaves nothing fresh behind.
async fn supervise(driver: Driver, shared: Arc<Shared>, cancel: CancellationToken) {
    let run = std::panic::AssertUnwindSafe(driver.run(cancel));
    if run.catch_unwind().await.is_err() {
        tracing::error!("the agent's driver panicked; everything is denied until a restart");
        shared.set_fault(Some("panic in the driver; restart the process".to_owned()));
    }
    shared.close();
}

/// The store where one is configured and opens in time, and what it held.
async fn open_store(config: &AgentConfig, fresh: [u8; 16]) -> (Store, Loaded) {
    let nothing = Loaded { secret: fresh, floor: Floor::default(), restored: None };
    let Some(folder) = &config.store_dir else { return (Store::memory(None), nothing) };
    let (store, loaded) = match Store::open(folder.clone(), config.pin.chain.clone(), fresh) {
        Ok(opened) => opened,
        Err(error) => {
            tracing::warn!(%error, "cannot start the store thread; receipts are not durable");
            return (Store::memory(Some("its thread cannot be started")), nothing);
        }
    };
    match tokio::time::timeout(LOAD_WAIT, loaded).await {
        Ok(Ok(loaded)) => (store, loaded),
        Ok(Err(_)) | Err(_) => {
            tracing::warn!("the store did not open in time; receipts are not durable");
            (Store::memory(Some("it did not open in time")), nothing)
        }
    }
}

fn identity(config: &AgentConfig, instance: InstanceId) -> Identity {
    Identity {
        agent: config.agent.as_str().to_owned(),
        service: config.service.as_str().to_owned(),
        realm: config.pin.realm.as_ref().to_owned(),
        stale_policy: config.policies.loosest().to_string(),
        instance,
    }
}

fn machine_config(config: &AgentConfig, instance: InstanceId) -> machine::AgentConfig {
    machine::AgentConfig {
        agent: config.agent.clone(),
        instance,
        service: config.service.clone(),
        chain: config.pin.chain.clone(),
        lease: lease(&config.policies),
        // Why the loosest: the board must not call fenced what one action still allows (S2).
        stale_policy: config.policies.loosest().to_string().into(),
        target_kinds: (1 << TARGET_KINDS) - 1,
        version: env!("CARGO_PKG_VERSION").into(),
        report_every: config.report_every,
    }
}

/// The lease that the strictest policy needs; policies that serve past it renew at the default.
fn lease(policies: &StalePolicies) -> Duration {
    match policies.strictest() {
        StalePolicy::Strict(length) => length,
        StalePolicy::FailStatic(_) | StalePolicy::BestEffort => LEASE_DEFAULT,
    }
}

/// Everything random that a start needs.
struct Random {
    secret: [u8; 16],
    instance: [u8; 16],
    cache: [u64; 5],
    seed: u64,
}

impl Random {
    fn draw() -> Result<Self, getrandom::Error> {
        let (mut secret, mut instance, mut cache) = ([0; 16], [0; 16], [0; 5]);
        getrandom::fill(&mut secret)?;
        getrandom::fill(&mut instance)?;
        for word in &mut cache {
            *word = getrandom::u64()?;
        }
        Ok(Self { secret, instance, cache, seed: getrandom::u64()? })
    }
}
