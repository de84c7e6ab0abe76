//! Controller and agents come back: ids, state and digests are as before, and nobody is fresh by memory.

use rescind_agent::Freshness;
use rescind_integration::{ACTION, RESOURCE, Scene, answer};
use rescind_testkit::{KitError, KitResult, SOON, TestRealm, until};
use serde_json::json;

fn digest(scene: &Scene, agent: &str) -> KitResult<String> {
    Ok(scene.realm.agent(agent)?.handle()?.status().digest)
}

/// A few changes of every kind, so that state and positions are worth comparing.
async fn history(scene: &Scene) -> KitResult {
    for n in 0..20 {
        scene.ir.record("revoke", &scene.target("session", &format!("old-{n}"))).await?;
    }
    let hold = scene.ir.record("hold", "client:shop").await?;
    scene.ir.lift(&hold.id, "now").await?;
    let disable = scene.ir.record("disable", &scene.user("leaver")).await?;
    scene.ir.reinstate(&disable.id).await?;
    let grant = scene.ir.grant(&scene.user("carol"), "read", "/reports/*").await?;
    scene.ir.withdraw(&grant.id).await?;
    let last = scene.ir.record("kill", "tenant:gone").await?;
    scene.realm.settle(&last).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_controller_keeps_ids_and_goes_on_after_them() -> KitResult {
    let mut scene = Scene::three().await?;
    let token = scene.clerk("alice").await?.sign()?;
    let body = json!({ "kind": "hold", "target": scene.user("alice"), "idempotency_key": "before" });
    let before = scene.ir.post(&body).await?.accepted()?;
    let listed = scene.ir.get("/v1/records?state=all&limit=100").await?.body;
    let position = scene.ir.get("/v1/position").await?.body;
    scene.realm.stop_controller().await?;
    scene.becomes(&token, "stale.strict").await?;
    scene.realm.start_controller().await?;
    for agent in scene.realm.agents() {
        agent.until_freshness(Freshness::Fresh, SOON).await?;
    }
    scene.denied(&token, "held.user", &[&before])?;
    assert_eq!(scene.ir.get("/v1/records?state=all&limit=100").await?.body, listed);
    assert_eq!(scene.ir.get("/v1/position").await?.body["deny"], position["deny"]);
    let again = scene.ir.post(&body).await?.accepted()?;
    assert_eq!((again.id.as_str(), again.existing), (before.id.as_str(), true));
    let next = scene.record("hold", &scene.user("alice")).await?;
    assert_eq!(next.position.revision, before.position.revision.next());
    scene.denied(&token, "held.user", &[&before, &next])?;
    let end = scene.ir.lift(&before.id, "resume").await?;
    scene.settled(end).await?;
    scene.denied(&token, "held.user", &[&next]).map(drop)
}

/// S12: a store makes an agent quick, never fresh.
#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_agent_knows_its_state_but_denies_until_a_new_lease() -> KitResult {
    let builder = TestRealm::builder().agent("orders-1", "orders").agent("payments-1", "payments").proxied();
    let mut scene = Scene::of(builder).await?;
    let token = scene.clerk("alice").await?.sign()?;
    history(&scene).await?;
    let before = digest(&scene, "payments-1")?;
    let agent = scene.realm.agent("payments-1")?.handle()?.clone();
    let heads = agent.position();
    until("the state is on disk", SOON, || agent.durable() == heads).await?;
    drop(agent);
    // Why no controller: what is known now can only come from the store.
    scene.realm.stop_controller().await?;
    let agent = scene.realm.agent_mut("payments-1")?;
    agent.stop().await?;
    agent.connect().await?;
    until("the store is open", SOON, || agent.handle().is_ok_and(|agent| agent.position() == heads)).await?;
    assert_eq!(agent.handle()?.freshness(), Freshness::Unsynced);
    assert_eq!(agent.code(&token, ACTION, RESOURCE)?, "not_ready");
    assert_eq!(digest(&scene, "payments-1")?, before);
    scene.realm.start_controller().await?;
    scene.realm.all_ready().await?;
    assert_eq!((digest(&scene, "payments-1")?, digest(&scene, "orders-1")?), (before.clone(), before));
    scene.allowed(&token)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_agent_catches_up_on_what_it_missed() -> KitResult {
    let mut scene = Scene::three().await?;
    let token = scene.clerk("alice").await?.sign()?;
    scene.realm.agent_mut("payments-1")?.stop().await?;
    history(&scene).await?;
    let record = scene.record("hold", &scene.user("alice")).await?;
    scene.realm.agent_mut("payments-1")?.connect().await?;
    scene.realm.all_ready().await?;
    scene.denied(&token, "held.user", &[&record])?;
    assert_eq!(digest(&scene, "payments-1")?, digest(&scene, "orders-1")?);
    Ok(())
}

/// L7: a store that is gone or damaged costs a download, not a decision.
#[tokio::test(flavor = "multi_thread")]
async fn an_agent_without_or_with_a_damaged_store_starts_cold_to_the_same_digest() -> KitResult {
    let mut scene = Scene::three().await?;
    let token = scene.clerk("alice").await?.sign()?;
    history(&scene).await?;
    let record = scene.record("hold", &scene.user("alice")).await?;
    for damage in ["gone", "truncated", "flipped"] {
        let store = scene.realm.files().agent_store("payments-1");
        scene.realm.agent_mut("payments-1")?.stop().await?;
        spoil(&store, damage).map_err(KitError::because(damage))?;
        scene.realm.agent_mut("payments-1")?.connect().await?;
        scene.realm.all_ready().await.map_err(KitError::because(damage))?;
        scene.denied(&token, "held.user", &[&record])?;
        assert_eq!(digest(&scene, "payments-1")?, digest(&scene, "orders-1")?, "{damage}");
    }
    Ok(())
}

/// Removes a store, or damages every file in it.
fn spoil(store: &std::path::Path, damage: &str) -> std::io::Result<()> {
    if damage == "gone" {
        return std::fs::remove_dir_all(store);
    }
    let mut folders = vec![store.to_path_buf()];
    let mut spoiled = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let mut bytes = std::fs::read(&path)?;
            match damage {
                "truncated" => bytes.truncate(bytes.len() / 2),
                _ => bytes.iter_mut().step_by(97).for_each(|byte| *byte ^= 0x40),
            }
            std::fs::write(path, bytes)?;
            spoiled += 1;
        }
    }
    assert!(spoiled > 0, "the store is empty, so nothing was spoiled");
    Ok(())
}

/// Revokes `count` sessions in bulk.
async fn revoke_sessions(scene: &Scene, count: usize) -> KitResult {
    let names: Vec<usize> = (0..count).collect();
    for part in names.chunks(10_000) {
        let directives: Vec<_> = part
            .iter()
            .map(|n| {
                let target = scene.target("session", &format!("c{n}"));
                json!({ "kind": "revoke", "target": target, "idempotency_key": format!("c{n}") })
            })
            .collect();
        let answer = scene.ir.post(&json!({ "directives": directives })).await?;
        assert_eq!(answer.status, 200);
    }
    Ok(())
}

/// An agent that was never there before comes up beside one that was, on `count` more records, and joins the
/// board. Returns how many snapshots it took.
async fn cold_start(count: usize) -> KitResult<u64> {
    let agents = [("orders-1", "orders"), ("payments-1", "payments")];
    let builder = TestRealm::builder().agents(&agents).snapshot_every(20_000);
    let mut scene = Scene::of(builder).await?;
    let token = scene.clerk("alice").await?.sign()?;
    scene.realm.agent_mut("payments-1")?.stop().await?;
    let store = scene.realm.files().agent_store("payments-1");
    std::fs::remove_dir_all(store).map_err(KitError::because("remove a store"))?;
    revoke_sessions(&scene, count).await?;
    let record = scene.record("hold", &scene.user("alice")).await?;
    scene.realm.agent_mut("payments-1")?.connect().await?;
    let (new, old) = (scene.realm.agent("payments-1")?, scene.realm.agent("orders-1")?);
    new.until_freshness(Freshness::Fresh, SOON).await?;
    answer(new, &token, "held.user", &[&record])?;
    assert_eq!(new.handle()?.status().records, old.handle()?.status().records);
    assert_eq!(digest(&scene, "payments-1")?, digest(&scene, "orders-1")?);
    // The tail after the snapshot, and what comes live.
    let next = scene.record("hold", &scene.user("alice")).await?;
    answer(new, &token, "held.user", &[&record, &next])?;
    let board = scene.ir.board(&next.id, SOON).await?;
    assert_eq!(board.field("state"), "enforced", "{}", board.body);
    Ok(new.handle()?.metrics().snapshots)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_agent_that_is_a_little_behind_takes_the_tail() -> KitResult {
    assert_eq!(cold_start(3000).await?, 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_agent_that_is_far_behind_takes_a_snapshot_and_the_tail() -> KitResult {
    assert_eq!(cold_start(70_000).await?, 1);
    Ok(())
}

/// A controller whose log is gone takes it from the stream: one history goes on, nothing is forgotten (S6, S13).
#[tokio::test(flavor = "multi_thread")]
async fn a_controller_that_lost_its_log_takes_the_history_from_the_stream() -> KitResult {
    let mut scene = Scene::one().await?;
    let token = scene.clerk("alice").await?.sign()?;
    let record = scene.record("hold", &scene.user("alice")).await?;
    scene.realm.stop_controller().await?;
    let data = scene.realm.files().controller_data();
    std::fs::remove_dir_all(&data).map_err(KitError::because("lose the log"))?;
    std::fs::create_dir(&data).map_err(KitError::because("make an empty folder"))?;
    scene.realm.start_controller().await?;
    scene.becomes(&token, "held.user").await?;
    scene.denied(&token, "held.user", &[&record])?;
    let row = scene.ir.get(&format!("/v1/records/{}", record.id)).await?;
    assert_eq!((row.status, row.field("state")), (200, &json!("active")), "{}", row.body);
    let next = scene.record("hold", &scene.user("alice")).await?;
    assert!(next.position > record.position, "{} after {}", next.position, record.position);
    scene.denied(&token, "held.user", &[&record, &next]).map(drop)
}
