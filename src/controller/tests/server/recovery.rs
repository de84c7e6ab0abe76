//! A log and a stream that went back together: agents hand back what was lost, or two persons give it up.

use std::path::Path;

use bytes::Bytes;
use rescind_bus::Bus;
use rescind_codec::{LogItem, approve, decode_log_message, decode_statement};
use rescind_controller::Controller;
use rescind_core::ids::EmitterId;
use rescind_core::position::{Head, Heads, Lane};
use serde_json::{Value, json};

use crate::kit::{Api, FakeAgent, Realm, SOON, key, until};

/// Messages of the deny lane's entries, with the head after each.
async fn lane(realm: &Realm, bus: &Bus) -> Vec<(Bytes, Head)> {
    let page = bus.read_from("deny", 0, 1000).await.unwrap();
    let entries = page.messages.into_iter().filter_map(|message| {
        match decode_log_message(&message.bytes, Lane::Deny, &realm.trust).unwrap() {
            LogItem::Entry(entry) => {
                Some((message.bytes, Head { position: entry.entry.last(), hash: entry.hash }))
            }
            LogItem::Tick(..) => None,
        }
    });
    entries.collect()
}

fn copy(from: &Path, to: &Path) {
    std::fs::remove_dir_all(to).ok();
    assert!(std::process::Command::new("cp").arg("-r").arg(from).arg(to).status().unwrap().success());
}

/// A realm whose log and stream were restored from a time before revisions 2 and 3, which an agent holds.
async fn went_back() -> (Realm, Vec<(Bytes, Head)>, Controller) {
    let mut realm = Realm::new();
    let controller = realm.start().await;
    Api::new(&controller, "ir").accept(json!({"kind": "hold", "target": "user:u1"})).await;
    controller.stop().await;
    realm.nats.stop().unwrap();
    copy(&realm.path("data"), &realm.path("old-data"));
    copy(&realm.path("nats/store"), &realm.path("old-store"));
    realm.nats.restart().unwrap();
    let controller = realm.start().await;
    let api = Api::new(&controller, "ir");
    api.accept(json!({"kind": "hold", "target": "user:u2"})).await;
    api.accept(json!({"kind": "hold", "target": "user:u3"})).await;
    let held = lane(&realm, &realm.bus("c1").await).await;
    controller.stop().await;
    realm.nats.stop().unwrap();
    copy(&realm.path("old-data"), &realm.path("data"));
    copy(&realm.path("old-store"), &realm.path("nats/store"));
    realm.nats.restart().unwrap();
    let controller = realm.start().await;
    let mut a1 = FakeAgent::new(&realm, "a1", 1).await;
    a1.report(Heads { deny: held[2].1, grant: Head::default() }).await;
    let api = Api::new(&controller, "ir");
    until("it knows that it is behind", || async {
        (api.get("/v1/status").await.1["behind"] == json!("deny 1/3")).then_some(())
    })
    .await;
    (realm, held, controller)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_controller_and_stream_restored_from_a_backup_agents_hand_back_what_was_lost() {
    let (realm, held, controller) = went_back().await;
    let api = Api::new(&controller, "ir");
    let (status, refused) = api.revoke("s1", "k1").await;
    assert_eq!((status, &refused["error"]["code"]), (503, &json!("history_lost")), "{refused}");
    let a1 = FakeAgent::new(&realm, "a1", 2).await;
    let refused = a1.lease_refused(1).await;
    assert!(refused.contains("409") && refused.contains("behind deny 1-3"), "{refused}");
    // In any order, with what is known already, and with something that nobody signed.
    for message in [&held[2].0, &held[0].0, &Bytes::from_static(b"nonsense"), &held[1].0] {
        a1.bus.publish_tail("a1", message.clone()).await.unwrap();
    }
    controller.wait_ready(SOON).await.unwrap();
    assert_eq!(api.get("/v1/records/deny-1-3").await.0, 200, "nothing is un-revoked");
    // It was published again, so a new epoch begins.
    until("a new epoch", || async { (api.status().await.1 == 2).then_some(()) }).await;
    let hashes: Vec<Head> =
        lane(&realm, &a1.bus_of_controller().await).await.iter().map(|(_, head)| *head).collect();
    assert_eq!(hashes[..3], held.iter().map(|(_, head)| *head).collect::<Vec<_>>()[..], "the same history");
    assert_eq!(api.accept(json!({"kind": "hold", "target": "user:u9"})).await, "deny-2-5");
    controller.stop().await;
}

fn signed(plan: &Value, realm: &Realm, who: &str) -> String {
    let bytes = hex::decode(plan["statement"].as_str().unwrap()).unwrap();
    let statement = decode_statement(&bytes, &realm.pin.chain).unwrap();
    hex::encode(approve(&statement, &EmitterId::new(who).unwrap(), &key(who)).statement)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s7_lost_history_is_given_up_by_two_persons_and_by_nobody_less() {
    let (realm, _, controller) = went_back().await;
    let api = Api::new(&controller, "ir");
    let reason = json!({"reason": "the disk of c1 burnt"});
    let (status, _) = Api::new(&controller, "hr").post_to("/v1/recovery/plan", &reason).await;
    assert_eq!(status, 403, "without the word");
    let plan = until("what was in flight has settled", || async {
        let (status, plan) = api.post_to("/v1/recovery/plan", &reason).await;
        (status == 200).then_some(plan)
    })
    .await;
    assert_eq!((&plan["epoch"], &plan["deny"]), (&json!(2), &json!("1/1")), "{plan}");
    let (ir, ciso) = (signed(&plan, &realm, "ir"), signed(&plan, &realm, "ciso"));
    let refused = async |approvals: Value| {
        let (status, body) = api.post_to("/v1/recovery/apply", &json!({"approvals": approvals})).await;
        assert_eq!((status, &body["error"]["code"]), (422, &json!("not_approved")), "{body}");
    };
    refused(json!([ir])).await;
    refused(json!([ir, ir])).await;
    refused(json!([ir, signed(&plan, &realm, "a1")])).await;
    let (_, other) = api.post_to("/v1/recovery/plan", &json!({"reason": "another"})).await;
    refused(json!([ir, signed(&other, &realm, "ciso")])).await;
    let (status, body) = api.post_to("/v1/recovery/apply", &json!({"approvals": [ir, ciso]})).await;
    assert_eq!((status, &body["epoch"]), (200, &json!(2)), "{body}");
    controller.wait_ready(SOON).await.unwrap();
    assert_eq!(api.accept(json!({"kind": "hold", "target": "user:u9"})).await, "deny-2-3");
    controller.stop().await;
    // What was given up stays so, whoever still holds it.
    let controller = realm.start().await;
    let mut a1 = FakeAgent::new(&realm, "a1", 5).await;
    let mut lost = Heads::default();
    lost.deny.position = rescind_core::position::Position::new(1, 30);
    a1.report(lost).await;
    let api = Api::new(&controller, "ir");
    until("the report is known", || async {
        let (_, agents) = api.get("/v1/agents").await;
        agents["agents"].to_string().contains("1/30").then_some(())
    })
    .await;
    assert_eq!(api.accept(json!({"kind": "hold", "target": "user:u10"})).await, "deny-2-4");
    controller.stop().await;
}
