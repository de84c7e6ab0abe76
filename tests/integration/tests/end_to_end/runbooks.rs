//! The pages of docs/runbooks that need no process of their own, played step by step.

use rescind_agent::Freshness;
use rescind_integration::{ACTION, RESOURCE, Scene};
use rescind_testkit::{Accepted, KitError, KitResult, LinkMode, SOON, TestRealm, until_answer};
use serde_json::{Value, json};

/// One field of an answer; null where it is missing.
fn field<'a>(value: &'a Value, path: &str) -> &'a Value {
    value.pointer(path).unwrap_or(&Value::Null)
}

/// Room in the stream of the first test: a few entries.
const SMALL: u64 = 400_000;
/// Room after the operator made some.
const LARGE: u64 = 64_000_000;

fn set_room(realm: &TestRealm, from: &str, to: &str) -> KitResult {
    let path = realm.files().controller_toml();
    let text = std::fs::read_to_string(&path).map_err(KitError::because("read controller.toml"))?;
    assert!(text.contains(from), "{text}");
    std::fs::write(&path, text.replacen(from, to, 1)).map_err(KitError::because("write controller.toml"))
}

/// What an administrator does with the nats tool: the stream's settings as they are, with more room.
async fn enlarge_stream(realm: &TestRealm) -> KitResult {
    let stream = realm.subjects()?.stream();
    let mut admin = realm.hostile().await?;
    let info = admin.request(&format!("$JS.API.STREAM.INFO.{stream}"), b"").await?;
    let info: Value = serde_json::from_slice(&info.payload).map_err(KitError::because("read the stream"))?;
    let mut config = field(&info, "/config").clone();
    assert_eq!(field(&config, "/max_bytes"), &json!(SMALL));
    if let Some(settings) = config.as_object_mut() {
        settings.insert("max_bytes".to_owned(), json!(LARGE));
    }
    let body = config.to_string();
    let answer = admin.request(&format!("$JS.API.STREAM.UPDATE.{stream}"), body.as_bytes()).await?;
    let answer: Value =
        serde_json::from_slice(&answer.payload).map_err(KitError::because("read an answer"))?;
    assert_eq!(field(&answer, "/config/max_bytes"), &json!(LARGE), "{answer}");
    Ok(())
}

fn batch(number: usize) -> Value {
    let filler = "x".repeat(200);
    let directives: Vec<_> = (0..200)
        .map(|n| {
            let target = format!("client:{number}-{n}-{filler}");
            json!({ "kind": "hold", "target": target, "idempotency_key": format!("full-{number}-{n}") })
        })
        .collect();
    json!({ "directives": directives })
}

/// docs/runbooks/stream-full.md; protocol.md section 7, "broker disk full".
#[tokio::test(flavor = "multi_thread")]
async fn runbook_stream_full() -> KitResult {
    let builder = TestRealm::builder().agent("payments-1", "payments").without_controller().agents_later();
    let mut realm = builder.start().await?;
    set_room(&realm, "replicas = 1\n", &format!("replicas = 1\nmax_bytes = {SMALL}\n"))?;
    realm.start_controller().await?;
    realm.agent_mut("payments-1")?.connect().await?;
    realm.all_ready().await?;
    let ir = realm.api("ir")?;
    let mut scene = Scene { realm, ir };
    let role = scene.ir.grant("role:clerk", "refund:*", "/orders/*").await?;
    scene.settled(role).await?;
    let token = scene.clerk("alice").await?.sign()?;
    scene.allowed(&token)?;

    let mut accepted: Vec<Accepted> = Vec::new();
    let mut stopped = None;
    for number in 0..40 {
        let answer = scene.ir.post(&batch(number)).await?;
        let results = answer.field("results").as_array().cloned().unwrap_or_default();
        let before = accepted.len();
        accepted.extend(results.iter().filter_map(Accepted::read));
        if accepted.len() - before < 200 {
            stopped = Some(number);
            break;
        }
    }
    let stopped = stopped.ok_or_else(|| KitError::new("the stream never got full"))?;

    // 1. What it looks like: not ready, with the reason; nobody is told "accepted"; agents deny.
    let ready = scene.ir.get("/readyz").await?;
    assert_eq!(ready.status, 503, "{}", ready.body);
    let text = ready.body.to_string();
    assert!(text.contains("max_bytes"), "{text}");
    scene.becomes(&token, "stale.strict").await?;

    // 2. and 3. The administrator makes room; the controller goes on by itself.
    enlarge_stream(&scene.realm).await?;
    scene.realm.agent("payments-1")?.until_freshness(Freshness::Fresh, SOON).await?;
    let again = scene.ir.post(&batch(stopped)).await?;
    let results = again.field("results").as_array().cloned().unwrap_or_default();
    let repeated: Vec<Accepted> = results.iter().filter_map(Accepted::read).collect();
    assert_eq!(repeated.len(), 200, "{}", again.body);
    let ids: std::collections::BTreeSet<&str> =
        accepted.iter().chain(&repeated).map(|one| one.id.as_str()).collect();
    assert_eq!(ids.len(), (stopped + 1) * 200, "one effect for each key");
    for one in accepted.iter().chain(&repeated) {
        let row = scene.ir.get(&format!("/v1/records/{}", one.id)).await?;
        assert_eq!((row.status, row.field("state")), (200, &json!("active")), "{}: {}", one.id, row.body);
    }
    scene.allowed(&token)?;

    // 4. The configuration says the same, or the next start refuses and names it.
    scene.realm.stop_controller().await?;
    let refused =
        scene.realm.start_controller().await.map_or_else(|error| format!("{error:?}"), |()| String::new());
    assert!(refused.contains("max_bytes"), "{refused}");
    set_room(&scene.realm, &format!("max_bytes = {SMALL}"), &format!("max_bytes = {LARGE}"))?;
    scene.realm.start_controller().await?;
    scene.becomes(&token, "entitled").await.map(drop)
}

async fn row_of(scene: &Scene, agent: &str) -> KitResult<Value> {
    let all = scene.ir.get("/v1/agents").await?.body;
    let found = field(&all, "/agents")
        .as_array()
        .and_then(|rows| rows.iter().find(|row| row["agent"] == agent).cloned());
    found.ok_or_else(|| KitError::new(format!("{agent} is not listed: {all}")))
}

/// docs/runbooks/stale-agents.md; protocol.md section 7, "agent cut off".
#[tokio::test(flavor = "multi_thread")]
async fn runbook_stale_agents() -> KitResult {
    let builder = TestRealm::builder().agent("orders-1", "orders").agent("payments-1", "payments").proxied();
    let scene = Scene::of(builder).await?;
    let token = scene.clerk("alice").await?.sign()?;
    scene.realm.agent("payments-1")?.link(LinkMode::BlackHole)?;
    let far = scene.realm.agent("payments-1")?;
    far.until_code("stale.strict", SOON, &token, ACTION, RESOURCE).await?;

    // 1. It is on the list by name, silent; a new record is enforced all the same, because it can only deny.
    let hold = scene.ir.record("hold", &scene.user("alice")).await?;
    let board = scene.ir.board(&hold.id, SOON).await?;
    assert_eq!(board.field("state"), "enforced", "{}", board.body);
    let fenced =
        board.body["rows"].as_array().and_then(|rows| rows.iter().find(|row| row["agent"] == "payments-1"));
    assert_eq!(fenced.map(|row| row["status"].clone()), Some(json!("fenced")), "{}", board.body);
    assert_eq!(row_of(&scene, "orders-1").await?["freshness"], "fresh");

    // 2. After the heal it says so itself.
    far.link(LinkMode::Open)?;
    far.until_code("held.user", SOON, &token, ACTION, RESOURCE).await?;
    let fresh = until_answer("payments-1 is listed as fresh", SOON, || async {
        let row = row_of(&scene, "payments-1").await?;
        Ok((row["freshness"] == "fresh").then_some(()))
    });
    fresh.await
}
