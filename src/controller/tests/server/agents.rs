use rescind_core::position::{Head, Heads, Position};
use serde_json::json;

use crate::kit::{Api, FakeAgent, Realm, until};

fn at(deny: u64) -> Heads {
    let head = Head { position: Position::new(1, deny), ..Head::default() };
    Heads { deny: head, ..Heads::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leases_prove_the_head_and_reports_fill_the_board() {
    let realm = Realm::new();
    let controller = realm.start().await;
    let api = Api::new(&controller, "ir");
    let mut a1 = FakeAgent::new(&realm, "a1", 1).await;
    let grant = until("a lease", || a1.lease(1)).await;
    assert_eq!((grant.tick.heads.deny.position, grant.tick.lease_ms), (Position::default(), 2000));
    let id = api.accept(json!({"kind": "kill", "target": "service:payments"})).await;
    let grant = until("a lease that knows the kill", || async {
        a1.lease(2).await.filter(|grant| grant.tick.heads.deny.position == Position::new(1, 1))
    });
    grant.await;
    a1.report(at(1)).await;
    let path = format!("/v1/records/{id}/board");
    let board = until("a2 as never started and a1 as durable", || async {
        let (_, board) = api.get(&path).await;
        (board["rows"][0]["status"] == "durable").then_some(board)
    })
    .await;
    assert_eq!(board["rows"][0]["agent"], "a1");
    assert_eq!(board["rows"][0]["service"], "payments");
    assert!(board["rows"][0]["applied_at_ms"].is_i64(), "{board}");
    assert_eq!(
        (&board["rows"][1]["agent"], &board["rows"][1]["status"]),
        (&json!("a2"), &json!("not_started"))
    );
    let (_, done) = api.get(&format!("{path}?wait_ms=15000")).await;
    assert_eq!(done["state"], "enforced", "{done}");
    until("the time of enforcement", || async {
        let (_, done) = api.get(&path).await;
        done["accepted_to_enforced_ms"].as_u64()
    })
    .await;
    let (_, agents) = api.get("/v1/agents").await;
    assert_eq!(
        (&agents["agents"][0]["deny"], &agents["agents"][0]["freshness"]),
        (&json!("1/1"), &json!("fresh"))
    );
    // A silent agent with a strict policy is fenced by time alone.
    let second = api.accept(json!({"kind": "hold", "target": "user:u1"})).await;
    let (_, board) = api.get(&format!("/v1/records/{second}/board")).await;
    assert_eq!(
        (&board["state"], &board["rows"][0]["status"]),
        (&json!("accepted"), &json!("lagging")),
        "{board}"
    );
    let (_, done) = api.get(&format!("/v1/records/{second}/board?wait_ms=15000")).await;
    assert_eq!(
        (&done["state"], &done["rows"][0]["status"]),
        (&json!("enforced"), &json!("fenced")),
        "{done}"
    );
    controller.stop().await;
    // What is remembered of a1 says that it was granted leases; a2 never was.
    let controller = realm.start().await;
    let api = Api::new(&controller, "ir");
    let (_, board) = api.get(&path).await;
    assert_eq!(
        (&board["state"], &board["rows"][0]["status"]),
        (&json!("accepted"), &json!("unreachable")),
        "{board}"
    );
    assert_eq!(board["rows"][1]["status"], "not_started");
    assert!(board["blind_until_ms"].is_i64());
    controller.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forged_requests_get_no_lease_and_forged_reports_no_row() {
    let realm = Realm::new();
    let controller = realm.start().await;
    let a1 = FakeAgent::new(&realm, "a1", 1).await;
    let request = a1.request(1);
    let forged = rescind_codec::encode_lease_request(&request, &realm.pin.chain, &crate::kit::key("a2"));
    let subject = a1.bus.subjects().lease();
    let answer = a1.bus.request(&subject, forged.into(), crate::kit::SOON).await;
    assert!(answer.unwrap_err().to_string().contains("403"));
    let mut a2 = FakeAgent::new(&realm, "a1", 2).await;
    a2.id = rescind_core::ids::AgentId::new("a2").unwrap();
    // Sent on a1's subject, since the server allows no other: signed by a2, it is nobody's.
    let report = rescind_codec::encode_report(&report_of(&a2), &realm.pin.chain, &crate::kit::key("a2"));
    a2.bus.publish_report("a1", report.into()).await.unwrap();
    let metrics = until("the rejection is counted", || async {
        let text = reqwest::get(format!("{}/metrics", controller.url())).await.unwrap().text().await.unwrap();
        text.contains("kind=\"report\",code=\"wrong_subject\"").then_some(text)
    });
    assert!(metrics.await.contains("rescind_controller_lease_requests_total{outcome=\"refused\"} 1"));
    controller.stop().await;
}

fn report_of(agent: &FakeAgent<'_>) -> rescind_core::report::Report {
    use rescind_core::report::{Freshness, Report};
    Report {
        agent: agent.id.clone(),
        instance: agent.instance,
        sequence: 1,
        service: rescind_core::ids::ServiceName::new("s").unwrap(),
        applied: at(0),
        durable: at(0),
        digest: rescind_core::digest::StateDigest::default(),
        freshness: Freshness::Fresh,
        stale_policy: "strict(2s)".into(),
        target_kinds: 0,
        fault: "".into(),
        version: "1".into(),
        at: rescind_core::time::UnixMs(1),
        first_deny_at: None,
    }
}
