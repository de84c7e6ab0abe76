//! S11: read your writes, over the library and over the agent's socket.

use std::time::Duration;

use rescind_agent::{Decision, Lane, Position, Query};
use rescind_integration::{ACTION, RESOURCE, Scene};
use rescind_testkit::{KitResult, LinkMode, RealmBuilder, SOON, TestRealm};
use tokio::time::Instant;

fn realm() -> RealmBuilder {
    TestRealm::builder().agent("payments-1", "payments").proxied()
}

#[tokio::test(flavor = "multi_thread")]
async fn s11_a_decision_at_least_at_a_write_sees_it() -> KitResult {
    let scene = Scene::of(realm()).await?;
    let agent = scene.realm.agent("payments-1")?.handle()?;
    for name in ["ann", "bob", "cyd", "dan", "eve"] {
        let token = scene.clerk(name).await?.sign()?;
        let query = Query { token: &token, action: ACTION, resource: RESOURCE, tenant: None };
        let record = scene.ir.record("hold", &scene.user(name)).await?;
        let decision = agent.decide_at_least(&query, &[(record.lane, record.position)], SOON).await;
        assert_eq!(decision.reason.code(), "held.user");
        assert!(decision.deny >= record.position);
        let end = scene.ir.lift(&record.id, "resume").await?;
        let decision = agent.decide_at_least(&query, &[(end.lane, end.position)], SOON).await;
        assert!(decision.is_allow(), "{decision:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn s11_what_is_not_reached_is_not_fresh_within_the_wait() -> KitResult {
    let scene = Scene::of(realm()).await?;
    let token = scene.clerk("alice").await?.sign()?;
    let agent = scene.realm.agent("payments-1")?;
    let query = Query { token: &token, action: ACTION, resource: RESOURCE, tenant: None };
    let wait = Duration::from_millis(300);
    let begin = Instant::now();
    let ask = async |position| -> KitResult<Decision> {
        Ok(agent.handle()?.decide_at_least(&query, &[(Lane::Deny, position)], wait).await)
    };
    let decision = ask(Position::new(1, 1_000_000)).await?;
    let took = begin.elapsed();
    assert_eq!((decision.is_allow(), decision.reason.code()), (false, "not_fresh"));
    assert!(took >= wait && took < wait * 5, "{took:?}");
    agent.link(LinkMode::BlackHole)?;
    let record = scene.ir.record("hold", &scene.user("alice")).await?;
    assert_eq!(ask(record.position).await?.reason.code(), "not_fresh");
    agent.link(LinkMode::Open)?;
    let decision = agent.handle()?.decide_at_least(&query, &[(record.lane, record.position)], SOON).await;
    assert_eq!(decision.reason.code(), "held.user");
    let now = ask(Position::default()).await?;
    assert_eq!(now.reason.code(), "held.user", "a position that is long reached does not wait");
    Ok(())
}
