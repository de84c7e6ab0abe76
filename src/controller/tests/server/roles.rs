//! Two controllers of one realm.

use rescind_codec::{LogItem, decode_log_message};
use rescind_core::position::Lane;
use serde_json::json;

use crate::kit::{Api, FakeAgent, Realm, SOON, until};

/// Entries of a lane on the broker: epoch, first revision, controller.
pub(crate) async fn entries(realm: &Realm, lane: Lane) -> Vec<(u32, u64, String)> {
    let bus = realm.bus("c1").await;
    let mut found = Vec::new();
    let mut next = 0;
    loop {
        let page = bus.read_from(&lane.to_string(), next, 1000).await.unwrap();
        for message in &page.messages {
            next = message.sequence + 1;
            if let Ok(LogItem::Entry(entry)) = decode_log_message(&message.bytes, lane, &realm.trust) {
                let entry = entry.entry;
                found.push((entry.epoch.0, entry.first.0, entry.controller.to_string()));
            }
        }
        if page.at_end {
            return found;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_two_controllers_at_once_one_writes_and_the_other_follows() {
    let realm = Realm::new();
    let first = realm.start().await;
    let second = realm.start_second().await;
    let (api, standby) = (Api::new(&first, "ir"), Api::new(&second, "ir"));
    assert_eq!(api.status().await, ("writer".to_owned(), 1, json!("c1")));
    until("the standby hears the writer", || async {
        (standby.status().await == ("standby".to_owned(), 1, json!("c1"))).then_some(())
    })
    .await;
    second.wait_ready(SOON).await.unwrap();
    // Reads come from its own log, directives go to the writer.
    api.accept(json!({"kind": "hold", "target": "user:u1"})).await;
    until("the standby has the record", || async {
        (standby.get("/v1/records/deny-1-1").await.0 == 200).then_some(())
    })
    .await;
    let (status, answer) = standby.revoke("s1", "k1").await;
    assert_eq!(
        (status, &answer["id"], &answer["existing"]),
        (200, &json!("deny-1-2"), &json!(false)),
        "{answer}"
    );
    let (_, again) = api.revoke("s1", "k1").await;
    assert_eq!((&again["id"], &again["existing"]), (&json!("deny-1-2"), &json!(true)));
    let (_, record) = api.get("/v1/records/deny-1-2").await;
    assert_eq!(record["emitter"], json!("ir"), "who asked the standby");
    let (status, refused) = Api::new(&second, "hr").post(&json!({"kind": "hold", "target": "user:u1"})).await;
    assert_eq!((status, &refused["error"]["code"]), (403, &json!("rights")), "{refused}");
    let a1 = FakeAgent::new(&realm, "a1", 1).await;
    let grant = until("a lease", || a1.lease(1)).await;
    assert_eq!(grant.tick.controller.as_str(), "c1", "the standby grants nothing");
    assert_eq!(entries(&realm, Lane::Deny).await.len(), 2);
    second.stop().await;
    first.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_all_of_a_silent_writers_work_is_taken_over_and_it_follows_when_it_comes_back() {
    let realm = Realm::new();
    let first = realm.start().await;
    let second = realm.start_second().await;
    Api::new(&first, "ir").accept(json!({"kind": "hold", "target": "user:u1"})).await;
    first.stop().await;
    let api = Api::new(&second, "ir");
    until("the standby took over", || async {
        (api.status().await == ("writer".to_owned(), 2, json!("c2"))).then_some(())
    })
    .await;
    assert_eq!(api.accept(json!({"kind": "hold", "target": "user:u2"})).await, "deny-2-3");
    assert_eq!(
        entries(&realm, Lane::Grant(0)).await,
        [(2, 1, "c2".to_owned())],
        "grant lanes are fenced as well"
    );
    let a1 = FakeAgent::new(&realm, "a1", 1).await;
    assert_eq!(until("a lease", || a1.lease(1)).await.tick.epoch.0, 2);
    let first = realm.start().await;
    let old = Api::new(&first, "ir");
    until("it follows", || async {
        (old.status().await == ("standby".to_owned(), 2, json!("c2"))).then_some(())
    })
    .await;
    assert_eq!(old.get("/v1/records/deny-2-3").await.0, 200, "it took over what it had missed");
    let (_, before) = api.get("/v1/position").await;
    let (_, same) = old.get("/v1/position").await;
    assert_eq!((&before["digest"], &before["deny"]), (&same["digest"], &same["deny"]));
    first.stop().await;
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_a_usurped_writer_steps_down_in_the_same_process_and_can_write_again() {
    let realm = Realm::new();
    let first = realm.start().await;
    let second = realm.start_second().await;
    let (one, two) = (Api::new(&first, "ir"), Api::new(&second, "ir"));
    one.accept(json!({"kind": "hold", "target": "user:u1"})).await;
    until("the standby follows", || async { (two.status().await.2 == json!("c1")).then_some(()) }).await;
    let (status, refused) = Api::new(&second, "hr").post_to("/v1/takeover", &json!({})).await;
    assert_eq!((status, &refused["error"]["code"]), (403, &json!("rights")));
    let swap = async |from: &Api, to: &Api, name: &str| {
        until("the take-over", || async {
            to.post_to("/v1/takeover", &json!({})).await;
            let is_over = to.status().await.0 == "writer" && from.status().await.2 == json!(name);
            is_over.then_some(())
        })
        .await;
    };
    swap(&one, &two, "c2").await;
    let (status, answer) = one.revoke("s1", "k1").await;
    assert_eq!(status, 200, "passed on: {answer}");
    swap(&two, &one, "c1").await;
    let (status, again) = two.revoke("s1", "k1").await;
    assert_eq!((status, &again["id"], &again["existing"]), (200, &answer["id"], &json!(true)), "one effect");
    let lane = entries(&realm, Lane::Deny).await;
    let revisions: Vec<u64> = lane.iter().map(|(_, first, _)| *first).collect();
    assert_eq!(revisions, (1..=revisions.len() as u64).collect::<Vec<_>>(), "one history: {lane:?}");
    second.stop().await;
    first.stop().await;
}
