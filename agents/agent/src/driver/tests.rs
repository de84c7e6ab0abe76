//! What the driver does with a machine that panics. Everything else is tested from outside, in `tests/agent`.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rescind_bus::{Bus, BusConfig, FeedLimits, Subjects};
use rescind_codec::{RealmPin, SecretKey, TrustBundle};
use rescind_core::agent::{AgentConfig, AgentFault, AgentMachine, AgentOutput, ClockFault};
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
use crate::clock::{BootClock, Place, Readings};
use crate::shared::{Shared, SharedParts};
use crate::store::{Floor, Store};
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
    let floor = Floor::default();
    let parts = Parts { settings, machine, shared: Arc::clone(&shared), wire, store, floor, deny, grant };
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
    shared.publish(Arc::new(Published { view, heads, lease: Some(lease), extra: None, synced: true }));
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

const S: u64 = 1_000_000_000;

fn readings(boot: u64, raw: u64, wall: u64) -> Option<Readings> {
    Some(Readings { boot_ns: boot, raw_ns: raw, wall_ns: 1_700_000_000 * S + wall })
}

/// Clock faults that the machine raised, and whether it forgot its nonces: it asks again at once.
fn raised(driver: &mut Driver) -> (Vec<ClockFault>, bool) {
    let (mut faults, mut asks) = (Vec::new(), false);
    while let Some(output) = driver.machine.poll_output() {
        match output {
            AgentOutput::Fault(AgentFault::Clock(fault)) => faults.push(fault),
            AgentOutput::AskLease => asks = true,
            _ => {}
        }
    }
    (faults, asks)
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_clock_contradictions_take_the_lease_without_waiting_for_a_grant() {
    let mut world = world().await;
    let place = Place::take();
    let driver = &mut world.driver;
    raised(driver);
    let cases = [
        (
            "wall clock an hour ahead",
            readings(11 * S, 11 * S, 3611 * S),
            place.clone(),
            ClockFault::WallMoved,
        ),
        ("wall clock an hour back", readings(12 * S, 12 * S, 12 * S), place.clone(), ClockFault::WallMoved),
        (
            "boot clock ten percent slow",
            readings(21 * S, 22 * S, 21 * S),
            place.clone(),
            ClockFault::BootChanged,
        ),
        ("other boot", readings(22 * S, 23 * S, 22 * S), other_boot(), ClockFault::BootChanged),
    ];
    driver.check_clocks(BootNs(10 * S), readings(10 * S, 10 * S, 10 * S), place);
    assert_eq!(raised(driver), (Vec::new(), false));
    for (name, readings, place, fault) in cases {
        driver.check_clocks(BootNs(10 * S), readings, place);
        assert_eq!(raised(driver), (vec![fault], true), "{name}");
    }
}

fn other_boot() -> Place {
    Place { boot_id: Some("another".to_owned()), ..Place::take() }
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_suspend_ages_the_lease_and_raises_nothing() {
    let mut world = world().await;
    raised(&mut world.driver);
    world.driver.check_clocks(BootNs(10 * S), readings(10 * S, 10 * S, 10 * S), Place::take());
    world.driver.check_clocks(BootNs(700 * S), readings(700 * S, 11 * S, 700 * S), Place::take());
    assert_eq!(raised(&mut world.driver).0, []);
    make_fresh(&world.shared);
    let lease = world.shared.published().lease.unwrap();
    let woken = lease.asked_at.plus(Duration::from_secs(600));
    assert_eq!(world.shared.published().freshness(woken), Freshness::Stale, "the first look after the wake");
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_token_from_the_future_takes_the_lease_once_a_minute() {
    let mut world = world().await;
    raised(&mut world.driver);
    let at = |seconds: u64| (BootNs(seconds * S), readings(seconds * S, seconds * S, seconds * S));
    for (second, shown, faults) in [
        (10, false, vec![]),
        (11, true, vec![ClockFault::TokenFromFuture]),
        (12, true, vec![]),
        (70, true, vec![]),
        (72, true, vec![ClockFault::TokenFromFuture]),
    ] {
        if shown {
            world.shared.blame_clock();
        }
        let (now, readings) = at(second);
        world.driver.check_clocks(now, readings, Place::take());
        assert_eq!(raised(&mut world.driver).0, faults, "second {second}");
    }
}
