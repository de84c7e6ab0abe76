//! What the driver does with a machine that panics. Everything else is tested from outside, in `tests/agent`.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rescind_bus::{Bus, BusConfig, FeedLimits, Subjects};
use rescind_codec::{RealmPin, SecretKey, TrustBundle};
use rescind_core::agent::{AgentConfig, AgentMachine};
use rescind_core::decide::{Enforcement, Published, StalePolicies};
use rescind_core::ids::{AgentId, ChainId, InstanceId, ServiceName};
use rescind_core::key::KeyHasher;
use rescind_core::lease::Lease;
use rescind_core::report::Freshness;
use rescind_core::time::{BootNs, UnixMs};
use rescind_natsd::{Config, NatsProcess, Options, find_or_install};
use rescind_token::{Algorithm, IssuerPolicyInput, JwksSource, KeyDirectory, TrustConfig, TrustConfigInput};
use tokio_util::sync::CancellationToken;

use super::{Driver, PANIC_PAUSE, PANIC_PAUSE_MAX, Parts, Wire};
use crate::clock::BootClock;
use crate::shared::{Shared, SharedParts};
use crate::store::Store;
use crate::token_cache::TokenCache;

struct World {
    driver: Driver,
    shared: Arc<Shared>,
    _broker: NatsProcess,
    _dir: tempfile::TempDir,
}

async fn world() -> World {
    let install = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/nats");
    let binary = find_or_install(&Options::from_env(install), &mut |_| {}).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let broker = NatsProcess::start(&binary, Config::new(dir.path())).unwrap();
    let subjects = Subjects::new("test").unwrap();
    let bus = Bus::connect(BusConfig::new(broker.client_url(), subjects)).await.unwrap();
    let root = SecretKey::from_seed([1; 32]);
    let chain = ChainId::new("test.1").unwrap();
    let pin = RealmPin::new("test", chain.clone(), root.public()).unwrap();
    let trust = TrustBundle::new(&pin, []).unwrap();
    let deny = bus.subscribe_live(&["deny"], FeedLimits::default()).await.unwrap();
    let grant = bus.subscribe_live(&["grant.0"], FeedLimits::default()).await.unwrap();
    let wire =
        Arc::new(Wire { bus, direct: None, trust, key: SecretKey::from_seed([2; 32]), chain: chain.clone() });
    let settings = AgentConfig {
        agent: AgentId::new("payments-1").unwrap(),
        instance: InstanceId([7; 16]),
        service: ServiceName::new("payments").unwrap(),
        chain,
        lease: Duration::from_secs(5),
        stale_policy: "strict(5s)".into(),
        target_kinds: 511,
        version: "0".into(),
        report_every: Duration::from_secs(5),
    };
    let hasher = KeyHasher::new([3; 16]);
    let machine = AgentMachine::new(settings.clone(), 1, hasher.clone(), None, BootClock.now());
    let shared = shared(&machine, hasher);
    let store = Store::memory(None);
    let parts = Parts { settings, machine, shared: Arc::clone(&shared), wire, store, deny, grant };
    World { driver: Driver::new(parts), shared, _broker: broker, _dir: dir }
}

fn shared(machine: &AgentMachine, hasher: KeyHasher) -> Arc<Shared> {
    let jwks = JwksSource::File("unused".into());
    let policy = IssuerPolicyInput::new("https://idp.example", jwks, &[Algorithm::Es256], &["payments"]);
    let issuers = TrustConfig::try_from(TrustConfigInput { issuers: vec![policy] }).unwrap();
    Arc::new(Shared::new(SharedParts {
        published: machine.published(),
        enforcement: Enforcement::new(&hasher, "payments", StalePolicies::default()),
        hasher,
        keys: KeyDirectory::new(&issuers),
        issuers,
        tokens: TokenCache::new(16, [1; 5]),
    }))
}

/// As if a lease had just been installed.
fn make_fresh(shared: &Shared) {
    let now = BootClock.now();
    let lease = Lease {
        asked_at: now,
        granted_at: now,
        controller_time: UnixMs(1_750_000_000_000),
        length: Duration::from_secs(5),
    };
    let Published { view, heads, .. } = shared.published().as_ref().clone();
    shared.publish(Arc::new(Published { view, heads, lease: Some(lease), synced: true }));
    assert_eq!(shared.published().freshness(now), Freshness::Fresh);
}

fn panic_once(driver: &mut Driver) -> Duration {
    driver.panics.hold_until = None;
    driver.feed(|_, _| panic!("as a bug in the fold would"));
    driver.panics.hold_until.unwrap().since(BootClock.now())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_closes_the_view_and_nothing_is_handed_in_for_a_while() {
    let mut world = world().await;
    make_fresh(&world.shared);
    let instance = world.driver.settings.instance;
    panic_once(&mut world.driver);
    assert_eq!(world.shared.published().freshness(BootClock.now()), Freshness::Unsynced);
    assert_ne!(world.driver.settings.instance, instance, "a new machine is a new instance");
    assert_eq!(world.shared.counters.read().panics, 1);
    let mut called = false;
    world.driver.panics.hold_until = Some(BootNs(u64::MAX));
    world.driver.feed(|_, _| called = true);
    assert!(!called);
    world.driver.panics.hold_until = Some(BootNs(0));
    world.driver.feed(|_, _| called = true);
    assert!(called);
}

#[tokio::test(flavor = "multi_thread")]
async fn panics_in_a_row_are_tried_ever_more_slowly() {
    let mut world = world().await;
    assert!(panic_once(&mut world.driver) <= PANIC_PAUSE);
    let holds: Vec<_> = (0..12).map(|_| panic_once(&mut world.driver)).collect();
    assert!(holds.iter().all(|hold| *hold <= PANIC_PAUSE_MAX));
    assert!(*holds.last().unwrap() > PANIC_PAUSE_MAX / 2, "{holds:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_driver_that_ends_leaves_nothing_fresh() {
    let world = world().await;
    make_fresh(&world.shared);
    let cancel = CancellationToken::new();
    cancel.cancel();
    tokio::time::timeout(Duration::from_secs(10), world.driver.run(cancel)).await.unwrap();
    assert_eq!(world.shared.published().freshness(BootClock.now()), Freshness::Unsynced);
}
