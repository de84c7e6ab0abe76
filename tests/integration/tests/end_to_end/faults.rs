//! Links and the server break: what stays allowed, for how long, and how fast it heals.

use std::time::Duration;

use rescind_agent::Freshness;
use rescind_integration::{ACTION, LEASE, RESOURCE, Scene, answer};
use rescind_testkit::{KitError, KitResult, LinkMode, SOON, TestRealm, always};
use tokio::time::Instant;

/// What a loaded machine may add to a time that is judged from outside.
const SLACK: Duration = Duration::from_millis(150);

/// L2: fresh again after a heal, for an agent that kept its state.
const HEAL: Duration = Duration::from_secs(1);

/// S1: from the moment of the cut, the agent allows for at most one lease, then denies `stale.strict`; what was
/// accepted meanwhile holds from its first fresh answer on.
async fn cut_off(mode: LinkMode, heal: Duration) -> KitResult {
    let builder = TestRealm::builder().agent("orders-1", "orders").agent("payments-1", "payments").proxied();
    let scene = Scene::of(builder).await?;
    let token = scene.clerk("alice").await?.sign()?;
    let (near, far) = (scene.realm.agent("orders-1")?, scene.realm.agent("payments-1")?);
    let cut = Instant::now();
    far.link(mode)?;
    let record = scene.ir.record("hold", &scene.user("alice")).await?;
    near.until_code("held.user", SOON, &token, ACTION, RESOURCE).await?;
    let limit = LEASE + SLACK;
    // An agent that can still listen may hear of the record first; never may it allow past the bound.
    let denied = rescind_testkit::until("the agent denies", limit, || {
        far.ask(&token, ACTION, RESOURCE).is_ok_and(|decision| !decision.is_allow())
    });
    denied.await?;
    let stale = far.until_code("stale.strict", limit, &token, ACTION, RESOURCE).await?;
    assert!(cut.elapsed() <= limit, "stale only after {:?}", cut.elapsed());
    assert_eq!(stale.0.freshness, Freshness::Stale);
    always("the agent denies while it is cut off", Duration::from_millis(1500), || {
        far.ask(&token, ACTION, RESOURCE).is_ok_and(|decision| !decision.is_allow())
    })
    .await?;
    let healed = Instant::now();
    far.link(LinkMode::Open)?;
    far.until_freshness(Freshness::Fresh, SOON).await?;
    let took = healed.elapsed();
    answer(far, &token, "held.user", &[&record])?;
    if took > heal {
        return Err(KitError::new(format!("{mode:?}: fresh {took:?} after the heal, the bound is {heal:?}")));
    }
    let end = scene.ir.lift(&record.id, "resume").await?;
    scene.settled(end).await?;
    scene.allowed(&token)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_black_hole_makes_an_agent_deny_at_its_bound() -> KitResult {
    cut_off(LinkMode::BlackHole, HEAL).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_torn_connection_makes_an_agent_deny_at_its_bound_and_heals_within_a_second() -> KitResult {
    cut_off(LinkMode::Cut, HEAL).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_hears_nothing_denies_at_its_bound() -> KitResult {
    cut_off(LinkMode::DeafClient, HEAL).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_cannot_ask_denies_at_its_bound() -> KitResult {
    cut_off(LinkMode::MuteClient, HEAL).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_killed_and_back_within_the_lease_expires_nobody() -> KitResult {
    let agents = [("payments-1", "payments"), ("orders-1", "orders")];
    let mut scene = Scene::of(TestRealm::builder().lease(Duration::from_secs(5)).agents(&agents)).await?;
    let token = scene.clerk("alice").await?.sign()?;
    scene.realm.with_nats("kill the nats-server", |nats| nats.kill9())?;
    scene.allowed(&token)?;
    scene.realm.with_nats("restart the nats-server", |nats| nats.restart())?;
    always("every agent allows", Duration::from_secs(7), || scene.allowed(&token).is_ok()).await?;
    let record = scene.record("hold", &scene.user("alice")).await?;
    scene.denied(&token, "held.user", &[&record]).map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_hangs_for_a_while_expires_nobody() -> KitResult {
    let scene = Scene::of(
        TestRealm::builder()
            .lease(Duration::from_secs(5))
            .agents(&[("payments-1", "payments"), ("orders-1", "orders")]),
    )
    .await?;
    let token = scene.clerk("alice").await?.sign()?;
    scene.realm.nats().pause().map_err(KitError::because("pause the nats-server"))?;
    always("every agent allows", Duration::from_secs(2), || scene.allowed(&token).is_ok()).await?;
    scene.realm.nats().resume().map_err(KitError::because("resume the nats-server"))?;
    always("every agent allows", Duration::from_secs(6), || scene.allowed(&token).is_ok()).await?;
    let record = scene.record("hold", &scene.user("alice")).await?;
    scene.denied(&token, "held.user", &[&record]).map(drop)
}

/// S12 and L4: a server that stays away makes everybody stale; a directive ends within its deadline, not
/// accepted; afterwards the same key has one effect.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stays_away_makes_everybody_deny_and_nothing_is_half_accepted() -> KitResult {
    let mut scene = Scene::three().await?;
    let token = scene.clerk("alice").await?.sign()?;
    scene.realm.with_nats("kill the nats-server", |nats| nats.kill9())?;
    let body =
        serde_json::json!({ "kind": "hold", "target": scene.user("alice"), "idempotency_key": "away" });
    let answer = scene.ir.post(&body).await?;
    assert!(matches!(answer.status, 503 | 504), "{} {}", answer.status, answer.body);
    scene.becomes(&token, "stale.strict").await?;
    scene.realm.with_nats("restart the nats-server", |nats| nats.restart())?;
    for agent in scene.realm.agents() {
        agent.until_freshness(Freshness::Fresh, SOON).await?;
    }
    let mut last = scene.ir.post(&body).await?;
    let limit = Instant::now() + SOON;
    while last.status != 200 && Instant::now() < limit {
        last = scene.ir.post(&body).await?;
    }
    let record = last.accepted()?;
    scene.realm.settle(&record).await?;
    scene.denied(&token, "held.user", &[&record])?;
    let again = scene.ir.post(&body).await?.accepted()?;
    assert_eq!((again.id, again.existing), (record.id, true));
    Ok(())
}
