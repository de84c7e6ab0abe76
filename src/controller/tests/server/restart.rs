use rescind_codec::{LogItem, decode_log_message};
use rescind_core::position::{EntryHash, Lane};
use serde_json::{Value, json};

use crate::kit::{Api, Realm, chain};

async fn hashes(realm: &Realm, lane: Lane) -> Vec<(u64, EntryHash, EntryHash)> {
    let bus = realm.bus("c1").await;
    let page = bus.read_from(&lane.to_string(), 0, 1000).await.unwrap();
    let entries = page.messages.iter().filter_map(|message| {
        match decode_log_message(&message.bytes, lane, &realm.trust).unwrap() {
            LogItem::Entry(entry) => Some((entry.entry.first.0, entry.entry.prev_hash, entry.hash)),
            LogItem::Tick(..) => None,
        }
    });
    entries.collect()
}

async fn fill(api: &Api) {
    api.accept(json!({"kind": "hold", "target": "user:u1", "idempotency_key": "h"})).await;
    api.accept(json!({"kind": "disable", "target": "user:https://idp.example#u2"})).await;
    api.accept(json!({"kind": "lift", "record": "deny-1-1", "cutoff": "now"})).await;
    api.accept(json!({"kind": "grant", "holder": "role:r", "action": "a:*", "resource": "/x/*"})).await;
}

async fn everything(api: &Api) -> [Value; 3] {
    let (_, records) = api.get("/v1/records?state=all").await;
    let (_, entitlements) = api.get("/v1/entitlements").await;
    let (_, mut position) = api.get("/v1/position").await;
    position["controller_time_ms"] = Value::Null;
    [records, entitlements, position]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_warm_restart_keeps_ids_chain_keys_and_digest() {
    let realm = Realm::new();
    let controller = realm.start().await;
    let api = Api::new(&controller, "ir");
    fill(&api).await;
    let before = everything(&api).await;
    controller.stop().await;
    let controller = realm.start().await;
    let api = Api::new(&controller, "ir");
    assert_eq!(everything(&api).await, before);
    let (_, again) = api.post(&json!({"kind": "hold", "target": "user:u1", "idempotency_key": "h"})).await;
    assert_eq!(
        (&again["id"], &again["existing"]),
        (&json!("deny-1-1"), &json!(true)),
        "the log remembers keys"
    );
    assert!(again["accepted_at_ms"].as_i64().unwrap() > 0);
    assert_eq!(api.accept(json!({"kind": "hold", "target": "user:u3"})).await, "deny-1-4");
    let (status, board) = api.get("/v1/records/deny-1-3/board").await;
    assert_eq!(status, 200);
    assert!(board["accepted_at_ms"].as_i64().unwrap() > 0, "the time of a lift comes from the log");
    controller.stop().await;
    let chained = hashes(&realm, Lane::Deny).await;
    assert_eq!(chained.iter().map(|(first, ..)| *first).collect::<Vec<_>>(), [1, 2, 3, 4]);
    for pair in chained.windows(2) {
        assert_eq!(pair[0].2, pair[1].1, "each entry names the one before");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_empty_stream_is_filled_again_from_the_log() {
    let mut realm = Realm::new();
    let controller = realm.start().await;
    let api = Api::new(&controller, "ir");
    fill(&api).await;
    let before = everything(&api).await;
    let (deny, grant) = (hashes(&realm, Lane::Deny).await, hashes(&realm, Lane::Grant(0)).await);
    controller.stop().await;
    realm.nats.stop().unwrap();
    std::fs::remove_dir_all(realm.path("nats/store")).unwrap();
    realm.nats.restart().unwrap();
    let controller = realm.start().await;
    let after = everything(&Api::new(&controller, "ir")).await;
    assert_eq!((&after[..2], &after[2]["digest"]), (&before[..2], &before[2]["digest"]));
    assert_eq!(
        (&after[2]["deny"], &after[2]["epoch"]),
        (&json!("2/4"), &json!(2)),
        "published again, and fenced"
    );
    assert_eq!(hashes(&realm, Lane::Deny).await[..3], deny);
    assert_eq!(hashes(&realm, Lane::Grant(0)).await[..1], grant);
    controller.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_controller_restored_from_a_backup_with_the_stream_intact_takes_back_what_it_lacks() {
    let realm = Realm::new();
    let controller = realm.start().await;
    Api::new(&controller, "ir").accept(json!({"kind": "hold", "target": "user:u1"})).await;
    controller.stop().await;
    let copy = realm.path("copy");
    copy_dir(&realm.path("data"), &copy);
    let controller = realm.start().await;
    Api::new(&controller, "ir").accept(json!({"kind": "hold", "target": "user:u2"})).await;
    let newest = everything(&Api::new(&controller, "ir")).await;
    controller.stop().await;
    std::fs::remove_dir_all(realm.path("data")).unwrap();
    std::fs::rename(&copy, realm.path("data")).unwrap();
    let controller = realm.start().await;
    assert_eq!(everything(&Api::new(&controller, "ir")).await, newest);
    assert_eq!(
        Api::new(&controller, "ir").accept(json!({"kind": "hold", "target": "user:u3"})).await,
        "deny-1-3"
    );
    controller.stop().await;
    // Even a log that is new: the stream holds the whole chain.
    std::fs::remove_dir_all(realm.path("data")).unwrap();
    let controller = realm.start().await;
    assert_eq!(
        Api::new(&controller, "ir").accept(json!({"kind": "hold", "target": "user:u4"})).await,
        "deny-1-4"
    );
    controller.stop().await;
}

fn copy_dir(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_data_dir_has_one_controller_and_dropping_one_frees_its_port() {
    let realm = Realm::new();
    let controller = realm.start().await;
    let error = chain(&realm.try_start().await.unwrap_err());
    assert!(error.contains("in use by another process"), "{error}");
    controller.stop().await;
    let controller = realm.start().await;
    let address = controller.http_addr();
    controller.stop().await;
    std::net::TcpListener::bind(address).unwrap();
}
