use std::time::Duration;

use rescind_bus::Publication;
use rescind_codec::{LogItem, decode_log_message, encode_entry};
use rescind_core::position::{Lane, Position};
use serde_json::json;

use crate::kit::{Api, FakeAgent, Realm, SOON, key, until};

/// Entries of the deny lane on the broker, by first revision.
async fn revisions(realm: &Realm) -> Vec<u64> {
    let bus = realm.bus("c1").await;
    let mut found = Vec::new();
    let mut next = 0;
    loop {
        let page = bus.read_from("deny", next, 1000).await.unwrap();
        for message in &page.messages {
            next = message.sequence + 1;
            if let Ok(LogItem::Entry(entry)) = decode_log_message(&message.bytes, Lane::Deny, &realm.trust) {
                found.push(entry.entry.first.0);
            }
        }
        if page.at_end {
            return found;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paused_broker_makes_indeterminate_and_then_one_effect() {
    let realm = Realm::new();
    let controller = realm.start().await;
    let api = Api::new(&controller, "ir");
    api.accept(json!({"kind": "hold", "target": "user:u0"})).await;
    realm.nats.pause().unwrap();
    let (status, body) = api.revoke("s1", "k1").await;
    assert_eq!((status, &body["error"]["code"]), (504, &json!("indeterminate")), "{body}");
    let readiness =
        until("not ready", || async { Some(controller.ready()).filter(|readiness| !readiness.ready) }).await;
    assert!(readiness.reasons.iter().any(|reason| reason.contains("lane deny")), "{readiness:?}");
    let (status, _) = api.get("/readyz").await;
    assert_eq!(status, 503);
    realm.nats.resume().unwrap();
    let answer = until("the repeat is accepted", || async {
        let (status, body) = api.revoke("s1", "k1").await;
        (status == 200).then_some(body)
    })
    .await;
    assert_eq!((&answer["id"], &answer["existing"]), (&json!("deny-1-2"), &json!(true)));
    controller.wait_ready(SOON).await.unwrap();
    assert_eq!(revisions(&realm).await, [1, 2], "one effect");
    let (_, list) = api.get("/v1/records?state=all").await;
    assert_eq!(list["records"].as_array().unwrap().len(), 2);
    controller.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_broker_comes_back_with_everything_that_was_accepted() {
    let mut realm = Realm::new();
    let controller = realm.start().await;
    let api = Api::new(&controller, "ir");
    for n in 0..10 {
        api.accept(json!({"kind": "hold", "target": format!("user:u{n}")})).await;
    }
    realm.nats.kill9().unwrap();
    until("not ready", || async { (!controller.ready().ready).then_some(()) }).await;
    realm.nats.restart().unwrap();
    controller.wait_ready(SOON).await.unwrap();
    let id = until("accepted again", || async {
        let (status, body) = api.revoke("s1", "k1").await;
        (status == 200).then(|| body["id"].clone())
    })
    .await;
    assert_eq!(id, json!("deny-1-11"));
    assert_eq!(revisions(&realm).await, (1..=11).collect::<Vec<_>>());
    let a1 = FakeAgent::new(&realm, "a1", 1).await;
    until("leases again", || a1.lease(3)).await;
    controller.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s13_a_forked_lane_stands_still_and_nothing_is_granted_any_more() {
    let realm = Realm::new();
    let controller = realm.start().await;
    let api = Api::new(&controller, "ir");
    api.accept(json!({"kind": "hold", "target": "user:u0"})).await;
    // Somebody with this controller's key takes its last entry, changes it and appends it.
    let bus = realm.bus("c1").await;
    let page = bus.read_from("deny", 0, 1000).await.unwrap();
    let entry = page.messages.iter().find_map(|message| {
        match decode_log_message(&message.bytes, Lane::Deny, &realm.trust).unwrap() {
            LogItem::Entry(entry) => Some(entry.entry),
            LogItem::Tick(..) => None,
        }
    });
    let mut entry = entry.unwrap();
    entry.committed_at.0 += 1;
    let (bytes, _) = encode_entry(&entry, &key("c1"));
    let publication = Publication {
        lane: "deny",
        bytes: bytes.into(),
        expected_last: None,
        message_id: "foreign",
        ttl: None,
        deadline: SOON,
    };
    bus.publish(publication).await.unwrap();
    let is_forked = |reason: &String| reason.contains("lane deny has another revision 1");
    until("forked", || async { controller.ready().reasons.iter().any(is_forked).then_some(()) }).await;
    let (status, body) = api.revoke("s1", "k1").await;
    assert_eq!((status, &body["error"]["code"]), (503, &json!("no_writer")));
    let a1 = FakeAgent::new(&realm, "a1", 1).await;
    assert!(a1.lease(1).await.is_none(), "no grant from a deposed controller");
    assert!(controller.wait_ready(Duration::from_millis(50)).await.is_err());
    controller.stop().await;
    let controller = realm.start().await;
    assert!(controller.ready().reasons.iter().any(is_forked), "{:?}", controller.ready());
    controller.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_stream_deleted_is_made_again_from_the_log_in_a_new_epoch() {
    let mut realm = Realm::new();
    let controller = realm.start().await;
    let api = Api::new(&controller, "ir");
    for n in 0..5 {
        api.accept(json!({"kind": "hold", "target": format!("user:u{n}")})).await;
    }
    api.accept(json!({"kind": "grant", "holder": "role:r", "action": "a:b", "resource": "/x"})).await;
    realm.nats.stop().unwrap();
    std::fs::remove_dir_all(realm.path("nats/store")).unwrap();
    realm.nats.restart().unwrap();
    let a1 = FakeAgent::new(&realm, "a1", 1).await;
    let grant = until("leases in the new epoch", || async {
        a1.lease(3).await.filter(|grant| grant.tick.epoch.0 == 2)
    })
    .await;
    assert_eq!(grant.tick.heads.deny.position, Position::new(2, 6), "the fence is the sixth");
    assert_eq!(revisions(&realm).await, [1, 2, 3, 4, 5, 6], "back within a tick");
    controller.wait_ready(SOON).await.unwrap();
    assert_eq!(api.accept(json!({"kind": "hold", "target": "user:u9"})).await, "deny-2-7");
    let (status, second) = api
        .post(&json!({"kind": "grant", "holder": "role:r", "action": "a:c", "resource": "/x", "idempotency_key": "g"}))
        .await;
    assert_eq!((status, &second["id"]), (200, &json!("grant0-2-3")), "{second}");
    assert_eq!(revisions(&realm).await, [1, 2, 3, 4, 5, 6, 7]);
    controller.stop().await;
    realm.start().await.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_broker_store_rolled_back_gets_what_it_lost_in_a_new_epoch() {
    let mut realm = Realm::new();
    let controller = realm.start().await;
    let api = Api::new(&controller, "ir");
    api.accept(json!({"kind": "hold", "target": "user:u0"})).await;
    realm.nats.stop().unwrap();
    let (store, old) = (realm.path("nats/store"), realm.path("nats/old"));
    let copied = std::process::Command::new("cp").arg("-r").arg(&store).arg(&old).status().unwrap();
    assert!(copied.success());
    realm.nats.restart().unwrap();
    let id = until("accepted", || async {
        let (status, body) = api.revoke("s1", "k1").await;
        (status == 200).then(|| body["id"].clone())
    })
    .await;
    assert_eq!(id, json!("deny-1-2"));
    realm.nats.stop().unwrap();
    std::fs::remove_dir_all(&store).unwrap();
    std::fs::rename(&old, &store).unwrap();
    realm.nats.restart().unwrap();
    let a1 = FakeAgent::new(&realm, "a1", 1).await;
    until("leases in the new epoch", || async { a1.lease(3).await.filter(|grant| grant.tick.epoch.0 == 2) })
        .await;
    assert_eq!(revisions(&realm).await, [1, 2, 3], "nothing is un-revoked, and a fence");
    assert_eq!(api.accept(json!({"kind": "hold", "target": "user:u9"})).await, "deny-2-4");
    controller.stop().await;
    realm.start().await.stop().await;
}
