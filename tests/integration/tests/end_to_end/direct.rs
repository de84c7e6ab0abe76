//! The direct path: what a broken bus costs with it, and that it gives nobody anything who has not the realm's keys.

use std::time::Duration;

use rescind_agent::Freshness;
use rescind_codec::encode_lease_request;
use rescind_core::{
    ids::{AgentId, InstanceId},
    lease::{LeaseRequest, Nonce},
};
use rescind_integration::{ACTION, LEASE, RESOURCE, Scene};
use rescind_testkit::{
    Impostor, KitError, KitResult, LinkMode, RealmBuilder, SOON, TestRealm, always, until, write_certificates,
};

/// The product's default lease.
const DEFAULT_LEASE: Duration = Duration::from_secs(5);

/// How long the server is away.
const OUTAGE: Duration = Duration::from_secs(3);

fn realm() -> RealmBuilder {
    TestRealm::builder().direct().agent("orders-1", "orders").agent("payments-1", "payments").proxied()
}

/// Runs while nothing else may happen: every agent allows.
async fn allowed_throughout(scene: &Scene, token: &str, span: Duration) -> KitResult {
    always("every agent allows", span, || {
        scene.realm.agents().all(|agent| agent.ask(token, ACTION, RESOURCE).is_ok_and(|it| it.is_allow()))
    })
    .await
}

/// Fault row: broker killed and restarted. The lease is 5 s and the server is away for 3 s.
#[tokio::test(flavor = "multi_thread")]
async fn fault_broker_restart_of_three_seconds_expires_nobody() -> KitResult {
    let builder = TestRealm::builder().direct().lease(DEFAULT_LEASE);
    let mut scene = Scene::of(builder.agents(&[("orders-1", "orders"), ("payments-1", "payments")])).await?;
    let token = scene.clerk("alice").await?.sign()?;
    scene.realm.with_nats("kill the server", |nats| nats.kill9())?;
    allowed_throughout(&scene, &token, OUTAGE).await?;
    scene.realm.with_nats("restart the server", |nats| nats.restart())?;
    allowed_throughout(&scene, &token, DEFAULT_LEASE + Duration::from_secs(1)).await?;
    let record = scene.ir.record("hold", &scene.user("alice")).await?;
    scene.realm.settle(&record).await
}

/// Fault row: an agent cut off from the bus, in every way. With the direct path it stays fresh, learns of changes and
/// is on the board.
async fn cut_off_from_the_bus(mode: LinkMode) -> KitResult {
    let scene = Scene::of(realm()).await?;
    let token = scene.clerk("alice").await?.sign()?;
    let far = scene.realm.agent("payments-1")?;
    far.link(mode)?;
    allowed_throughout(&scene, &token, LEASE * 2).await?;
    let record = scene.ir.record("hold", &scene.user("alice")).await?;
    far.until_code("held.user", LEASE, &token, ACTION, RESOURCE).await?;
    let board = scene.ir.board(&record.id, SOON).await?.body;
    if board.get("state").and_then(|state| state.as_str()) != Some("enforced") {
        return Err(KitError::new(format!("{mode:?}: not enforced: {board}")));
    }
    let end = scene.ir.lift(&record.id, "resume").await?;
    far.until_code("entitled", LEASE * 2, &token, ACTION, RESOURCE).await?;
    let metrics = far.handle()?.metrics();
    assert!(
        metrics.direct_leases > 0 && metrics.direct_ranges > 0 && metrics.direct_reports > 0,
        "{metrics:?}"
    );
    far.link(LinkMode::Open)?;
    scene.settled(end).await?;
    scene.allowed(&token)
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_black_hole_to_the_bus_is_bridged_by_the_direct_path() -> KitResult {
    cut_off_from_the_bus(LinkMode::BlackHole).await
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_torn_connection_to_the_bus_is_bridged_by_the_direct_path() -> KitResult {
    cut_off_from_the_bus(LinkMode::Cut).await
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_deaf_connection_to_the_bus_is_bridged_by_the_direct_path() -> KitResult {
    cut_off_from_the_bus(LinkMode::DeafClient).await
}

/// With both ways gone the bound is the lease, as ever.
#[tokio::test(flavor = "multi_thread")]
async fn s1_without_bus_and_direct_path_an_agent_denies_at_its_bound() -> KitResult {
    let scene = Scene::of(realm()).await?;
    let token = scene.clerk("alice").await?.sign()?;
    let far = scene.realm.agent("payments-1")?;
    scene.realm.direct()?.set(LinkMode::BlackHole);
    far.link(LinkMode::BlackHole)?;
    let limit = LEASE + Duration::from_millis(150);
    far.until_code("stale.strict", limit, &token, ACTION, RESOURCE).await?;
    scene.realm.direct()?.heal();
    let took = far.until_freshness(Freshness::Fresh, SOON).await?;
    assert!(took <= Duration::from_secs(4), "fresh {took:?} after the direct path was back");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_black_holed_direct_path_costs_nothing_while_the_bus_works() -> KitResult {
    let scene = Scene::of(realm()).await?;
    let token = scene.clerk("alice").await?.sign()?;
    scene.realm.direct()?.set(LinkMode::BlackHole);
    allowed_throughout(&scene, &token, LEASE * 2).await?;
    for agent in scene.realm.agents() {
        let metrics = agent.handle()?.metrics();
        assert_eq!((metrics.direct_leases, metrics.direct_reports), (0, 0), "{}", agent.id());
        assert!(metrics.lease_grants > 3, "{metrics:?}");
    }
    let record = scene.ir.record("hold", &scene.user("alice")).await?;
    scene.realm.settle(&record).await
}

/// S7: whoever answers without the certificate of the realm's authority is not even asked.
#[tokio::test(flavor = "multi_thread")]
async fn s7_a_controller_of_another_authority_is_refused() -> KitResult {
    let scene = Scene::of(realm()).await?;
    let token = scene.clerk("alice").await?.sign()?;
    let foreign = scene.realm.files().dir().join("foreign");
    write_certificates(&foreign)?;
    let impostor = Impostor::start(&foreign, vec![0; 64]).await?;
    hand_over(&scene, &impostor)?;
    let far = scene.realm.agent("payments-1")?;
    far.link(LinkMode::BlackHole)?;
    far.until_code("stale.strict", LEASE + Duration::from_millis(150), &token, ACTION, RESOURCE).await?;
    assert_eq!(impostor.answered(), 0);
    Ok(())
}

/// S7: a man in the middle with the stolen certificate of the path, and a grant that was good once.
#[tokio::test(flavor = "multi_thread")]
async fn s7_a_man_in_the_middle_without_the_realms_keys_makes_nobody_fresh() -> KitResult {
    let scene = Scene::of(realm()).await?;
    let token = scene.clerk("alice").await?.sign()?;
    let grant = recorded_grant(&scene.realm, "payments-1").await?;
    let impostor = Impostor::start(&scene.realm.files().direct(), grant).await?;
    hand_over(&scene, &impostor)?;
    let far = scene.realm.agent("payments-1")?;
    far.link(LinkMode::BlackHole)?;
    far.until_code("stale.strict", LEASE + Duration::from_millis(150), &token, ACTION, RESOURCE).await?;
    until("the impostor answers", SOON, || impostor.answered() > 5).await?;
    assert_eq!(far.handle()?.freshness(), Freshness::Stale);
    let failures = far.handle()?.metrics().lease_failures;
    assert!(failures > 0, "what it answered was judged and refused");
    Ok(())
}

/// From now on the direct path leads to the impostor: connections that exist are torn.
fn hand_over(scene: &Scene, impostor: &Impostor) -> KitResult {
    let direct = scene.realm.direct()?;
    direct.set(LinkMode::Cut);
    direct.retarget(impostor.address());
    direct.heal();
    Ok(())
}

/// A grant of the real controller, for a question that the agent itself never asked.
async fn recorded_grant(realm: &TestRealm, agent: &str) -> KitResult<Vec<u8>> {
    let participant = format!("agent-{agent}");
    let bus = realm.bus(&participant).await?;
    let id = AgentId::new(agent).map_err(KitError::because("name the agent"))?;
    let request = LeaseRequest { agent: id, instance: InstanceId([7; 16]), nonce: Nonce([7; 16]) };
    let key = realm.files().secret(&participant)?;
    let bytes = encode_lease_request(&request, &realm.pin().chain, &key);
    let subject = bus.subjects().lease();
    let answer = bus.request(&subject, bytes.into(), SOON).await;
    Ok(answer.map_err(KitError::because("record a grant"))?.to_vec())
}
