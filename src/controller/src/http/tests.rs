//! The API over a real engine whose lanes commit at once, without bus and log.

use axum::body::Body;
use axum::http::{Method, Request};
use http_body_util::BodyExt as _;
use rescind_codec::{
    ENTRY_CHANGES_BYTES_MAX, RealmPin, SecretKey, TrustBundle, encode_entry, encoded_change_len,
    reason_sha256,
};
use rescind_core::controller::ledger::{Ledger, LedgerConfig};
use rescind_core::controller::quota::Budget;
use rescind_core::controller::registry::Registry;
use rescind_core::controller::rights::{Rights, Word, WordSet};
use rescind_core::controller::roll_call::Claims;
use rescind_core::controller::sequencer::{Sequencer, SequencerConfig};
use rescind_core::controller::tenure::Tenure;
use rescind_core::ids::{ChainId, ControllerId, EmitterId, InstanceId};
use rescind_core::key::KeyHasher;
use rescind_core::lease::LEASE_DEFAULT;
use rescind_core::position::{Epoch, Heads, Lane};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc;
use tower::ServiceExt as _;

use super::*;
use crate::clock;
use crate::config::EmitterConfig;
use crate::engine::{Engine, EngineParts, LaneSenders};
use crate::health::Trouble;
use crate::roster::Roster;
use crate::startup::Logs;
use crate::writer::{LaneEvent, LaneJob};

/// Commits everything at once; ticks too.
async fn fake_lane(lane: Lane, mut jobs: mpsc::Receiver<LaneJob>, events: mpsc::Sender<LaneEvent>) {
    let key = SecretKey::from_seed([2; 32]);
    while let Some(job) = jobs.recv().await {
        let event = match job {
            LaneJob::Commit { entry, .. } => {
                let (_, hash) = encode_entry(&entry, &key);
                LaneEvent::Committed { lane: entry.lane, hash }
            }
            LaneJob::Tick { .. } => LaneEvent::TickFailed,
            LaneJob::Settle => LaneEvent::Settled { lane, settled: Ok((Box::default(), 0)) },
            LaneJob::Follow => LaneEvent::Followed { lane, followed: Ok(Box::default()) },
            LaneJob::Adopt(_) => LaneEvent::Adopted { lane, entries: Vec::new() },
        };
        if events.send(event).await.is_err() {
            return;
        }
    }
}

struct Rig {
    router: Router,
    health: Health,
    _dir: tempfile::TempDir,
    _stop: tokio_util::sync::DropGuard,
}

fn emitter(name: &str, words: &[Word], rung_max: u8) -> EmitterConfig {
    let words: WordSet = words.iter().copied().collect();
    EmitterConfig {
        budget: None,
        name: EmitterId::new(name).unwrap(),
        token_sha256: Sha256::digest(format!("{name}-token").as_bytes()).into(),
        rights: Rights { words, rung_max },
    }
}

fn sequencer(chain: ChainId) -> Sequencer {
    let config = SequencerConfig {
        chain,
        epoch: Epoch(1),
        controller: ControllerId::new("c1").unwrap(),
        boot: InstanceId([7; 16]),
        lease: LEASE_DEFAULT,
        entry_bytes_max: ENTRY_CHANGES_BYTES_MAX,
        change_bytes: encoded_change_len,
        reason_sha256,
    };
    let mut sequencer = Sequencer::new(config, Registry::new(KeyHasher::new([3; 16])), Heads::default());
    sequencer.set_budgets([(EmitterId::new("bulk").unwrap(), Budget { per_minute: 1, burst: 4 })]);
    sequencer
}

fn rig() -> Rig {
    let root = SecretKey::from_seed([1; 32]);
    let chain = ChainId::new("prod.1").unwrap();
    let pin = RealmPin::new("prod", chain.clone(), root.public()).unwrap();
    let trust = Arc::new(TrustBundle::new(&pin, []).unwrap());
    let metrics = Arc::new(ControllerMetrics::new());
    let health = Health::new(Arc::clone(&metrics));
    let dir = tempfile::tempdir().unwrap();
    let (events_in, events) = mpsc::channel(16);
    let (deny, deny_jobs) = mpsc::channel(1);
    let (grant, grant_jobs) = mpsc::channel(1);
    tokio::spawn(fake_lane(Lane::Deny, deny_jobs, events_in.clone()));
    tokio::spawn(fake_lane(Lane::Grant(0), grant_jobs, events_in));
    let now = clock::now();
    let sequencer = sequencer(chain);
    let parts = EngineParts {
        sequencer,
        ledger: Ledger::new(LedgerConfig { lease: LEASE_DEFAULT }, now.boot),
        lanes: LaneSenders { deny, grant },
        events,
        grants: mpsc::channel(1).0,
        health: health.clone(),
        metrics: Arc::clone(&metrics),
        me: ControllerId::new("c1").unwrap(),
        boot: InstanceId([7; 16]),
        roster: Arc::new(Roster::open(&dir.path().join("roster.redb")).unwrap()),
        asking: None,
        logs: Logs::open(dir.path(), &pin.chain).unwrap(),
        trust: Arc::clone(&trust),
        retention: rescind_core::controller::registry::Retention::default(),
        tenure: Tenure::new(std::time::Duration::ZERO, now.boot),
        claims: Claims::default(),
        may_go_on: true,
    };
    let (engine, handle) = Engine::new(parts, now);
    let stop = CancellationToken::new();
    tokio::spawn(engine.run(stop.clone()));
    let door = Door {
        engine: handle,
        health: health.clone(),
        logs: None,
        trust,
        metrics: Arc::clone(&metrics),
        forwarder: None,
    };
    let emitters = vec![
        emitter("ir", &Word::ALL, 16),
        emitter("bulk", &Word::ALL, 16),
        emitter("hr", &[Word::Disable, Word::Reinstate, Word::Grant, Word::Withdraw], 5),
    ];
    let api = Api {
        door,
        emitters: Arc::new(Emitters::new(emitters)),
        health: health.clone(),
        metrics,
        facts: Arc::new(Facts {
            realm: "prod".to_owned(),
            chain_id: "prod.1".to_owned(),
            controller: "c1".to_owned(),
            default_issuer: Some("https://idp.example".into()),
        }),
        stop: stop.clone(),
    };
    Rig { router: router(api), health, _dir: dir, _stop: stop.drop_guard() }
}

impl Rig {
    async fn send(&self, request: Request<Body>) -> (u16, Value) {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
    }

    async fn ask(&self, method: Method, path: &str, who: &str, body: Option<Value>) -> (u16, Value) {
        let mut request = Request::builder().method(method).uri(path);
        if !who.is_empty() {
            request = request.header("authorization", format!("Bearer {who}-token"));
        }
        let body = match body {
            Some(body) => {
                request = request.header("content-type", "application/json");
                Body::from(body.to_string())
            }
            None => Body::empty(),
        };
        self.send(request.body(body).unwrap()).await
    }

    async fn post(&self, who: &str, body: Value) -> (u16, Value) {
        self.ask(Method::POST, "/v1/directives", who, Some(body)).await
    }

    async fn get(&self, path: &str) -> (u16, Value) {
        self.ask(Method::GET, path, "ir", None).await
    }
}

fn code(body: &Value) -> &str {
    body["error"]["code"].as_str().unwrap_or("none")
}

fn message(body: &Value) -> &str {
    body["error"]["message"].as_str().unwrap_or("none")
}

#[tokio::test]
async fn every_path_below_v1_needs_the_token_of_an_emitter() {
    let rig = rig();
    for path in [
        "/v1/records",
        "/v1/records/deny-1-1",
        "/v1/records/deny-1-1/board",
        "/v1/entitlements",
        "/v1/agents",
        "/v1/board",
        "/v1/position",
    ] {
        let (status, body) = rig.ask(Method::GET, path, "", None).await;
        assert_eq!((status, code(&body)), (401, "unauthenticated"), "{path}");
        let (status, _) = rig.ask(Method::GET, path, "nobody", None).await;
        assert_eq!(status, 401, "{path}");
    }
    let (status, _) = rig.post("", json!({"kind": "kill", "target": "all"})).await;
    assert_eq!(status, 401);
    for path in ["/healthz", "/readyz", "/openapi.json"] {
        assert_eq!(rig.ask(Method::GET, path, "", None).await.0, 200, "{path}");
    }
}

#[tokio::test]
async fn odd_authorization_headers_are_nobody() {
    let rig = rig();
    for value in ["ir-token", "Bearer", "Bearer ", "Basic aXI6eA==", "Bearer ir-token x", "Béarer ir-token"]
    {
        let request =
            Request::get("/v1/position").header("authorization", value).body(Body::empty()).unwrap();
        assert_eq!(rig.send(request).await.0, 401, "{value}");
    }
    let twice = Request::get("/v1/position")
        .header("authorization", "Bearer ir-token")
        .header("authorization", "Bearer hr-token")
        .body(Body::empty())
        .unwrap();
    assert_eq!(rig.send(twice).await.0, 401);
    let lower =
        Request::get("/v1/position").header("authorization", "bearer ir-token").body(Body::empty()).unwrap();
    assert_eq!(rig.send(lower).await.0, 200);
}

#[tokio::test]
async fn a_directive_is_accepted_once_and_seen_everywhere() {
    let rig = rig();
    let ask = json!({"kind": "revoke", "target": "session:https://idp.example#s1", "idempotency_key": "k1",
        "requested_by": "ann", "reason_code": "compromise", "incident": "I-1", "known_at_ms": 5});
    let (status, first) = rig.post("ir", ask.clone()).await;
    assert_eq!(status, 200, "{first}");
    assert_eq!(first["state"], "accepted");
    assert_eq!(
        (&first["id"], &first["position"], &first["lane"]),
        (&json!("deny-1-1"), &json!("1/1"), &json!("deny"))
    );
    assert_eq!(first["existing"], false);
    let (_, again) = rig.post("ir", ask).await;
    assert_eq!((&again["id"], &again["existing"]), (&json!("deny-1-1"), &json!(true)));
    assert_eq!(again["accepted_at_ms"], first["accepted_at_ms"]);
    let other =
        json!({"kind": "revoke", "target": "session:https://idp.example#s2", "idempotency_key": "k1"});
    let (status, body) = rig.post("ir", other).await;
    assert_eq!((status, code(&body)), (409, "idempotency_conflict"));
    let (_, row) = rig.get("/v1/records/deny-1-1").await;
    for (field, value) in
        [("kind", "revoke"), ("state", "active"), ("emitter", "ir"), ("requested_by", "ann")]
    {
        assert_eq!(row[field], value, "{row}");
    }
    let (_, list) = rig.get("/v1/records?target=session:https://idp.example%23s1").await;
    assert_eq!(list["records"].as_array().unwrap().len(), 1);
    let (_, position) = rig.get("/v1/position").await;
    assert_eq!((&position["deny"], &position["grant"]), (&json!("1/1"), &json!("0/0")));
    let (status, board) = rig.get("/v1/records/deny-1-1/board").await;
    assert_eq!(
        (status, &board["state"], &board["rows"]),
        (200, &json!("accepted"), &json!([])),
        "blind at first"
    );
    let (_, overview) = rig.get("/v1/board").await;
    assert_eq!(overview["records"][0]["id"], "deny-1-1");
}

#[tokio::test]
async fn rights_are_the_emitters_and_ends_need_the_right_to_make() {
    let rig = rig();
    let (status, body) = rig.post("hr", json!({"kind": "kill", "target": "all"})).await;
    assert_eq!((status, code(&body)), (403, "rights"));
    let (_, made) = rig.post("ir", json!({"kind": "hold", "target": "user:u1"})).await;
    let (status, body) = rig.post("hr", json!({"kind": "lift", "record": made["id"]})).await;
    assert_eq!((status, code(&body)), (403, "rights"), "{body}");
    let (status, _) = rig.post("hr", json!({"kind": "disable", "target": "user:u1"})).await;
    assert_eq!(status, 200);
    let (status, lifted) =
        rig.post("ir", json!({"kind": "lift", "record": made["id"], "cutoff": "now"})).await;
    assert_eq!(status, 200);
    assert!(lifted["cutoff"].is_i64(), "{lifted}");
    let (_, row) = rig.get(&format!("/v1/records/{}", made["id"].as_str().unwrap())).await;
    assert_eq!((&row["state"], &row["residual_cutoff"]), (&json!("ended"), &lifted["cutoff"]));
    assert_eq!(row["ended_by"], lifted["id"]);
    let (status, board) = rig.get(&format!("/v1/records/{}/board", lifted["id"].as_str().unwrap())).await;
    assert_eq!((status, &board["id"]), (200, &lifted["id"]), "a lift has a board, too");
}

#[tokio::test]
async fn entitlements_are_granted_listed_and_withdrawn() {
    let rig = rig();
    let grant = json!({"kind": "grant", "holder": "user:u1", "action": "refund:*", "resource": "/orders/*",
        "tenant": "t1", "not_before": 1, "not_after": 99});
    let (status, made) = rig.post("hr", grant.clone()).await;
    assert_eq!(
        (status, &made["id"], &made["lane"]),
        (200, &json!("grant0-1-1"), &json!("grant.0")),
        "{made}"
    );
    let (_, again) = rig.post("hr", grant).await;
    assert_eq!(
        (&again["id"], &again["existing"]),
        (&json!("grant0-1-1"), &json!(true)),
        "the same is held already"
    );
    let (_, member) =
        rig.post("hr", json!({"kind": "grant", "holder": "user:u1", "member_of": "role:admin"})).await;
    let (_, list) = rig.get("/v1/entitlements?holder=user:u1&limit=1").await;
    assert_eq!(
        list["entitlements"][0]["holder"], "user:https://idp.example#u1",
        "the default issuer completes it"
    );
    assert_eq!(list["next"], "grant0-1-1");
    let (_, list) = rig.get("/v1/entitlements?holder=user:u1&limit=1&after=grant0-1-1").await;
    assert_eq!((&list["entitlements"][0]["member_of"], &list["next"]), (&json!("role:admin"), &Value::Null));
    let (status, one) = rig.get("/v1/entitlements/grant0-1-2").await;
    assert_eq!((status, &one["member_of"], &one["state"]), (200, &json!("role:admin"), &json!("active")));
    let (status, none) = rig.get("/v1/entitlements/grant0-1-9").await;
    assert_eq!((status, code(&none)), (404, "unknown_entitlement"));
    let (status, _) = rig.post("hr", json!({"kind": "withdraw", "entitlement": member["id"]})).await;
    assert_eq!(status, 200);
    let (_, ended) = rig.get("/v1/entitlements/grant0-1-2").await;
    assert_eq!((&ended["state"], &ended["ended_by"]), (&json!("ended"), &json!("grant0-1-3")));
    let (_, list) = rig.get("/v1/entitlements").await;
    assert_eq!(list["entitlements"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn over_its_budget_an_emitter_hears_429_and_a_kill_passes_all_the_same() {
    let rig = rig();
    let revoke = |n: u32| json!({"kind": "revoke", "target": format!("token:https://idp.example#t{n}"), "idempotency_key": format!("k{n}")});
    let bulk = json!({"directives": (0..6).map(revoke).collect::<Vec<_>>()});
    let (status, first) = rig.post("bulk", bulk.clone()).await;
    let states: Vec<_> =
        first["results"].as_array().unwrap().iter().map(|line| line["state"].clone()).collect();
    assert_eq!((status, states.iter().filter(|state| **state == "accepted").count()), (200, 4));
    assert_eq!(first["results"][5]["code"], "quota");
    // What was ordered costs nothing when it is repeated; the rest still has to wait.
    let (status, again) = rig.post("bulk", bulk).await;
    assert_eq!(
        (status, &again["results"][3]["existing"], &again["results"][4]["code"]),
        (200, &json!(true), &json!("quota"))
    );
    let (status, over) = rig.post("bulk", json!({"directives": [revoke(8), revoke(9)]})).await;
    assert_eq!((status, code(&over)), (429, "quota"));
    let request = Request::post("/v1/directives")
        .header("authorization", "Bearer bulk-token")
        .header("content-type", "application/json")
        .body(Body::from(revoke(7).to_string()))
        .unwrap();
    let response = rig.router.clone().oneshot(request).await.unwrap();
    let wait: u32 = response.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert_eq!(response.status().as_u16(), 429);
    assert!((1..=61).contains(&wait), "{wait}");
    let (status, _) = rig.post("bulk", json!({"kind": "kill", "target": "client:c"})).await;
    assert_eq!(status, 200, "its budget for what must not wait is another one");
}

#[tokio::test]
async fn what_cannot_be_read_is_named() {
    let rig = rig();
    let revoke = |extra: Value| {
        let mut body = json!({"kind": "revoke", "target": "user:u1"});
        body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        body
    };
    for (body, status, code_wanted, text) in [
        (revoke(json!({"tarket": "x"})), 400, "malformed", "unknown field `tarket`"),
        (
            json!({"directives": [{"kind": "revoke", "targit": "x"}]}),
            400,
            "malformed",
            "unknown field `targit`",
        ),
        (json!({"directives": [], "x": 1}), 400, "malformed", "unknown field `x`"),
        (json!({"directives": []}), 422, "too_many", "send 1 to 10000"),
        (json!({"target": "all"}), 400, "malformed", "missing field `kind`"),
        (json!({"kind": "destroy"}), 422, "bad_kind", "`kind` must be"),
        (json!({"kind": "revoke"}), 422, "missing_field", "`revoke` needs `target`"),
        (json!({"kind": "revoke", "target": "user:*"}), 422, "bad_target", "wildcard"),
        (json!({"kind": "revoke", "target": "all"}), 422, "bad_target", "revoke takes"),
        (revoke(json!({"record": "deny-1-1"})), 422, "bad_field", "`record` does not belong to `revoke`"),
        (revoke(json!({"cutoff": "soon"})), 422, "cutoff", "`\"now\"` or Unix seconds"),
        (revoke(json!({"cutoff": 99_999_999_999_i64})), 422, "cutoff", "in the future"),
        (revoke(json!({"cutoff": true})), 400, "malformed", "`cutoff` must be"),
        (revoke(json!({"requested_by": " "})), 422, "bad_text", "requested_by"),
        (revoke(json!({"idempotency_key": ""})), 422, "bad_key", "idempotency key"),
        (revoke(json!({"reason_admin": "x".repeat(2000)})), 422, "reason_too_long", "2000 bytes"),
        (json!({"kind": "lift", "record": "7"}), 422, "bad_id", "no record id"),
        (json!({"kind": "lift", "record": "deny-1-77"}), 422, "unknown_record", "deny-1-77"),
        (
            json!({"kind": "grant", "holder": "user:u1"}),
            422,
            "missing_field",
            "`action` and `resource`, or `member_of`",
        ),
        (json!({"kind": "grant", "holder": "u1", "member_of": "role:r"}), 422, "bad_grant", "u1"),
    ] {
        let (got, answer) = rig.post("ir", body.clone()).await;
        assert_eq!((got, code(&answer)), (status, code_wanted), "{body} -> {answer}");
        assert!(message(&answer).contains(text), "{body} -> {answer}");
    }
    let (_, position) = rig.get("/v1/position").await;
    assert_eq!(position["deny"], "0/0", "nothing of this had an effect");
}

#[tokio::test]
async fn bodies_have_a_type_a_size_and_one_key() {
    let rig = rig();
    let request = |kind: &str, body: Vec<u8>| {
        Request::post("/v1/directives")
            .header("authorization", "Bearer ir-token")
            .header("content-type", kind)
            .header("idempotency-key", "k9")
            .body(Body::from(body))
            .unwrap()
    };
    let revoke = json!({"kind": "revoke", "target": "user:u1"}).to_string().into_bytes();
    assert_eq!(rig.send(request("text/plain", revoke.clone())).await.0, 415);
    let (status, body) = rig.send(request("application/json", vec![b' '; body::BODY_BYTES_MAX + 1])).await;
    assert_eq!((status, code(&body)), (413, "too_large"));
    let stream = http_body_util::Full::new(axum::body::Bytes::from(vec![b' '; body::BODY_BYTES_MAX + 1]));
    let mut unsized_request = request("application/json", Vec::new());
    *unsized_request.body_mut() = Body::new(stream);
    assert_eq!(rig.send(unsized_request).await.0, 413);
    let (_, first) = rig.send(request("application/json; charset=utf-8", revoke.clone())).await;
    let (_, again) = rig.send(request("application/json", revoke)).await;
    assert_eq!((&again["id"], &again["existing"]), (&first["id"], &json!(true)), "the header is the key");
    let other =
        json!({"kind": "revoke", "target": "user:u1", "idempotency_key": "k8"}).to_string().into_bytes();
    assert_eq!(rig.send(request("application/json", other)).await.0, 400, "two keys");
    assert_eq!(rig.send(request("application/json", b"{\"kind\":".to_vec())).await.0, 400);
}

#[tokio::test]
async fn a_bulk_is_answered_line_by_line_in_order() {
    let rig = rig();
    let mut directives: Vec<Value> = (0..2000)
        .map(|n| json!({"kind": "grant", "holder": format!("user:u{n}"), "action": "a:b", "resource": "/x"}))
        .collect();
    directives[3] = json!({"kind": "revoke", "target": "user:*"});
    directives[5] = json!({"kind": "lift", "record": "deny-1-9"});
    directives[7] = json!({"kind": "kill", "target": "all"});
    let (status, body) = rig.post("ir", json!({"directives": directives})).await;
    assert_eq!(status, 200);
    let results = body["results"].as_array().unwrap();
    assert_eq!(results.len(), 2000);
    assert_eq!((&results[3]["state"], &results[3]["code"]), (&json!("refused"), &json!("bad_target")));
    assert_eq!((&results[5]["state"], &results[5]["code"]), (&json!("refused"), &json!("unknown_record")));
    assert_eq!((&results[7]["state"], &results[7]["id"]), (&json!("accepted"), &json!("deny-1-1")));
    assert_eq!(results[0]["id"], "grant0-1-1");
    assert_eq!(results[1999]["id"], "grant0-1-1997", "three of the directives before are not grants");
    let too_many: Vec<Value> = vec![json!({"kind": "x"}); DIRECTIVES_MAX + 1];
    let (status, body) = rig.post("ir", json!({"directives": too_many})).await;
    assert_eq!((status, code(&body)), (422, "too_many"));
}

#[tokio::test]
async fn trouble_is_told_before_anything_is_ordered() {
    let rig = rig();
    rig.health.wait_ready(std::time::Duration::from_secs(10)).await.unwrap();
    let revoke = json!({"kind": "revoke", "target": "user:u1"});
    rig.health.raise(Trouble::Log(Lane::Deny), "the disk is full");
    let (status, body) = rig.post("ir", revoke.clone()).await;
    assert_eq!((status, code(&body)), (503, "log_full"));
    assert!(message(&body).contains("the disk is full"), "{body}");
    let (status, body) = rig.get("/readyz").await;
    assert_eq!((status, &body["reasons"][0]), (503, &json!("the disk is full")));
    let grant = json!({"kind": "grant", "holder": "role:r", "action": "a:b", "resource": "/x"});
    assert_eq!(rig.post("ir", grant).await.0, 200, "the other lane works");
    rig.health.clear(Trouble::Log(Lane::Deny));
    assert_eq!(rig.post("ir", revoke.clone()).await.0, 200);
    rig.health.raise(Trouble::HistoryLost, "somebody holds more");
    let (status, body) = rig.post("ir", revoke).await;
    assert_eq!((status, code(&body)), (503, "history_lost"));
    assert_eq!(rig.get("/healthz").await.0, 200, "the process is well");
}

#[tokio::test]
async fn queries_are_checked_and_unknown_paths_say_so() {
    let rig = rig();
    for (path, status, code_wanted) in [
        ("/v1/records?state=odd", 400, "malformed"),
        ("/v1/records?limit=0", 400, "malformed"),
        ("/v1/records?limit=1001", 400, "malformed"),
        ("/v1/records?tarket=x", 400, "malformed"),
        ("/v1/records?after=x", 422, "bad_id"),
        ("/v1/records?target=user:", 422, "bad_target"),
        ("/v1/records/x", 422, "bad_id"),
        ("/v1/records/deny-1-1", 404, "unknown_record"),
        ("/v1/records/deny-1-1/board", 404, "unknown_record"),
        ("/v1/entitlements?holder=u", 422, "bad_grant"),
        ("/v2/records", 404, "not_found"),
        ("/v1/directives", 405, "wrong_method"),
    ] {
        let (got, body) = rig.get(path).await;
        assert_eq!((got, code(&body)), (status, code_wanted), "{path} -> {body}");
    }
}

#[tokio::test]
async fn only_the_emitter_that_gave_a_reason_sees_it_hashed_for_all() {
    let rig = rig();
    let (_, made) =
        rig.post("hr", json!({"kind": "disable", "target": "user:u1", "reason_admin": "left us"})).await;
    let path = format!("/v1/records/{}", made["id"].as_str().unwrap());
    let (_, row) = rig.get(&path).await;
    assert_eq!(row["reason_admin_sha256"].as_str().unwrap().len(), 64);
    assert_eq!(row.get("reason_admin"), None);
    assert!(!row.to_string().contains("left us"));
}

#[tokio::test]
async fn metrics_count_routes_and_outcomes() {
    let rig = rig();
    rig.post("ir", json!({"kind": "kill", "target": "all"})).await;
    rig.get("/nowhere").await;
    let request = Request::get("/metrics").body(Body::empty()).unwrap();
    let response = rig.router.clone().oneshot(request).await.unwrap();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    for line in [
        "rescind_controller_directives_total{outcome=\"accepted\"} 1",
        "rescind_controller_http_requests_total{route=\"/v1/directives\",status=\"200\"} 1",
        "rescind_controller_http_requests_total{route=\"none\",status=\"404\"} 1",
    ] {
        assert!(text.lines().any(|there| there == line), "{line} is missing in\n{text}");
    }
}
