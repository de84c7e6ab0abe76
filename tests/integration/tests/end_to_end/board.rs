//! Receipts and the board: `enforced` means that every expected agent applied it, or provably denies.

use std::time::Duration;

use rescind_agent::{Agent, AgentConfig};
use rescind_integration::{LEASE, Scene};
use rescind_testkit::{Answer, KitError, KitResult, LinkMode, SOON, TestRealm, until_answer};
use serde_json::Value;

/// The row of an agent: `(status, row)`.
fn row(board: &Answer, agent: &str) -> (String, Value) {
    let rows = board.field("rows").as_array().cloned().unwrap_or_default();
    let named = |row: &Value| row.get("agent").is_some_and(|name| name == agent);
    let row = rows.into_iter().find(named).unwrap_or_default();
    let status = row.get("status").and_then(Value::as_str).unwrap_or_default().to_owned();
    (status, row)
}

fn state(board: &Answer) -> &str {
    board.field("state").as_str().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_is_enforced_when_every_agent_has_applied_it() -> KitResult {
    let scene = Scene::three().await?;
    // Why another one first: right after its start a controller cannot know the leases of the one before it,
    // and says nothing for one lease.
    let earlier = scene.ir.record("kill", "tenant:umbrella").await?;
    let board = scene.ir.board(&earlier.id, SOON).await?;
    assert_eq!(state(&board), "enforced", "{}", board.body);
    let record = scene.ir.record("kill", "tenant:acme").await?;
    let board = scene.ir.board(&record.id, SOON).await?;
    assert_eq!((board.status, state(&board)), (200, "enforced"), "{}", board.body);
    for agent in ["payments-1", "orders-1", "ledger-1"] {
        let (status, row) = row(&board, agent);
        assert!(matches!(status.as_str(), "applied" | "durable"), "{row}");
        let applied = row["applied_at_ms"].as_i64().unwrap_or_default();
        assert!(applied >= record.accepted_at_ms - 1, "{row}");
    }
    let took = board.field("accepted_to_enforced_ms").as_i64().unwrap_or(i64::MAX);
    assert!((0..=1000).contains(&took), "took {took} ms: {}", board.body);
    let agents = scene.ir.get("/v1/agents").await?;
    assert_eq!(agents.field("agents").as_array().map(Vec::len), Some(3), "{}", agents.body);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn enforced_says_when_even_right_after_the_controllers_start() -> KitResult {
    let scene = Scene::three().await?;
    let record = scene.ir.record("kill", "tenant:acme").await?;
    let board = scene.ir.board(&record.id, SOON).await?;
    assert_eq!(state(&board), "enforced", "{}", board.body);
    assert!(board.field("enforced_at_ms").is_i64(), "{}", board.body);
    assert!(board.field("accepted_to_enforced_ms").is_u64(), "{}", board.body);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn two_agents_of_one_service_have_a_row_each() -> KitResult {
    let agents = [("payments-1", "payments"), ("payments-2", "payments")];
    let scene = Scene::of(TestRealm::builder().agents(&agents)).await?;
    let token = scene.clerk("alice").await?.sign()?;
    let record = scene.record("kill", "service:payments").await?;
    scene.denied(&token, "killed.service", &[&record])?;
    let board = scene.ir.board(&record.id, SOON).await?;
    assert_eq!(state(&board), "enforced", "{}", board.body);
    for agent in ["payments-1", "payments-2"] {
        let (_, row) = row(&board, agent);
        assert_eq!(row["service"], "payments", "{}", board.body);
    }
    Ok(())
}

/// S2 and L5: while an agent is cut off and may still allow, nothing says `enforced`; once its lease is surely
/// over, everything does, and says why.
#[tokio::test(flavor = "multi_thread")]
async fn a_silent_agent_holds_enforced_back_until_its_lease_is_over() -> KitResult {
    let builder = TestRealm::builder().agent("orders-1", "orders").agent("payments-1", "payments").proxied();
    let scene = Scene::of(builder).await?;
    let token = scene.clerk("alice").await?.sign()?;
    let agent = scene.realm.agent("payments-1")?;
    agent.link(LinkMode::BlackHole)?;
    let record = scene.ir.record("kill", "all").await?;
    let board = scene.ir.board(&record.id, Duration::from_millis(300)).await?;
    assert_eq!(state(&board), "partially_enforced", "{}", board.body);
    assert_eq!(agent.code(&token, rescind_integration::ACTION, rescind_integration::RESOURCE)?, "entitled");
    let board = scene.ir.board(&record.id, SOON).await?;
    assert_eq!(state(&board), "enforced", "{}", board.body);
    // The other side of S2, at the same moment: it denies already.
    assert_eq!(
        agent.code(&token, rescind_integration::ACTION, rescind_integration::RESOURCE)?,
        "stale.strict"
    );
    let took = board.field("accepted_to_enforced_ms").as_u64().unwrap_or(u64::MAX);
    let bound = LEASE.mul_f64(1.02) + Duration::from_millis(500);
    assert!(u128::from(took) <= bound.as_millis(), "enforced after {took} ms, bound {bound:?}");
    assert_eq!(row(&board, "payments-1").0, "fenced", "{}", board.body);
    agent.link(LinkMode::Open)?;
    scene.becomes(&token, "killed.all").await?;
    scene.denied(&token, "killed.all", &[&record]).map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_keeps_allowing_is_never_called_enforced() -> KitResult {
    let builder = TestRealm::builder().agent("payments-1", "payments").stale("best_effort").proxied();
    let scene = Scene::of(builder).await?;
    let token = scene.clerk("alice").await?.sign()?;
    let agent = scene.realm.agent("payments-1")?;
    agent.link(LinkMode::BlackHole)?;
    let record = scene.ir.record("kill", "all").await?;
    // Long past every lease, until the board calls it what it is.
    let board = until_answer("the board calls it unreachable", SOON, || async {
        let board = scene.ir.board(&record.id, Duration::ZERO).await?;
        assert_eq!(state(&board), "accepted", "{}", board.body);
        Ok((row(&board, "payments-1").0 == "unreachable").then_some(board))
    })
    .await?;
    let (status, row) = row(&board, "payments-1");
    assert_eq!((state(&board), status.as_str()), ("accepted", "unreachable"), "{}", board.body);
    assert!(row.to_string().contains("keeps allowing"), "{row}");
    assert_eq!(agent.code(&token, rescind_integration::ACTION, rescind_integration::RESOURCE)?, "entitled");
    agent.link(LinkMode::Open)?;
    scene.realm.settle(&record).await?;
    let board = scene.ir.board(&record.id, SOON).await?;
    assert_eq!(state(&board), "enforced", "{}", board.body);
    Ok(())
}

/// A stolen or copied identity: both runs are fresh on their own, each has its row, and somebody is told.
#[tokio::test(flavor = "multi_thread")]
async fn two_processes_with_one_id_raise_an_alarm() -> KitResult {
    let scene = Scene::of(TestRealm::builder().agent("payments-1", "payments").memory_only()).await?;
    let token = scene.clerk("alice").await?.sign()?;
    let config = AgentConfig::load(&scene.realm.files().agent_toml("payments-1"));
    let twin = Agent::connect(config.map_err(KitError::because("load the twin's configuration"))?).await;
    let twin = twin.map_err(KitError::because("connect the twin"))?;
    twin.ready_within(SOON).await.map_err(KitError::because("wait for the twin"))?;
    let record = scene.record("kill", "all").await?;
    scene.denied(&token, "killed.all", &[&record])?;
    let told = until_answer("somebody is told of the twin", SOON, || async {
        let agents = scene.ir.get("/v1/agents").await?;
        let rows = agents.field("agents").as_array().cloned().unwrap_or_default();
        let alarmed = rows.iter().any(|row| row.get("alarm").is_some_and(Value::is_string));
        Ok((rows.len() == 2 && alarmed).then_some(()))
    });
    told.await?;
    twin.stop().await;
    Ok(())
}
