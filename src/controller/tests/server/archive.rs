use std::fs;
use std::path::PathBuf;

use bytes::Bytes;
use rescind_bus::{BucketSettings, Bus, Replicas};
use rescind_codec::{ManifestId, SnapshotRequest, decode_chunk, decode_manifest, encode_snapshot_request};
use rescind_core::key::KeyHasher;
use rescind_core::position::{Heads, Position};
use rescind_core::view::View;
use serde_json::json;

use crate::kit::{Api, FakeAgent, Realm, SOON, until};

/// Folders of whole snapshots.
fn archived(realm: &Realm) -> Vec<PathBuf> {
    let Ok(listing) = fs::read_dir(realm.path("archive")) else { return Vec::new() };
    let folders = listing.map(|entry| entry.unwrap().path());
    folders.filter(|folder| folder.join("manifest").is_file()).collect()
}

/// What a cold agent does: takes the newest snapshot.
async fn restore(realm: &Realm, bus: &Bus) -> (ManifestId, Position, View) {
    let subject = bus.subjects().snapshot();
    let ask = async |request| {
        let bytes = Bytes::from(encode_snapshot_request(&request));
        // As an agent does: it asks again, for instance where the server does not know the new controller yet.
        until("an answer", || async { bus.request(&subject, bytes.clone(), SOON).await.ok() }).await
    };
    let bytes = ask(SnapshotRequest::Manifest).await;
    let (manifest, id) = decode_manifest(&bytes, &realm.trust).unwrap();
    let mut view = View::new(KeyHasher::new([9; 16]));
    for (index, listed) in manifest.chunks.iter().enumerate() {
        let index = u32::try_from(index).unwrap();
        let chunk = ask(SnapshotRequest::Chunk { manifest: id, index }).await;
        decode_chunk(&chunk, listed).unwrap().for_each(|item| view.restore(&item.unwrap()).unwrap());
    }
    assert_eq!(view.digest(), manifest.digest);
    (id, manifest.heads.deny.position, view)
}

async fn empty_bucket(realm: &Realm) {
    let settings = BucketSettings { replicas: Replicas::One, max_bytes: None };
    let bucket = realm.bus("c1").await.snapshots(&settings).await.unwrap();
    for object in bucket.list().await.unwrap() {
        bucket.delete(&object.name).await.unwrap();
    }
    assert!(bucket.list().await.unwrap().is_empty());
}

/// docs/runbooks/restore-snapshot.md.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn runbook_restore_snapshot() {
    let mut realm = Realm::new();
    realm.top = "snapshot_every = 5\nsnapshot_archive_dir = \"archive\"".to_owned();
    let controller = realm.start().await;
    let api = Api::new(&controller, "ir");
    for n in 0..5 {
        api.accept(json!({"kind": "hold", "target": format!("user:u{n}")})).await;
    }
    until("a copy in the archive", || async { archived(&realm).first().cloned() }).await;
    let bus = realm.bus("a1").await;
    let (made, position, _) = restore(&realm, &bus).await;
    api.accept(json!({"kind": "hold", "target": "user:later"})).await;
    controller.stop().await;
    empty_bucket(&realm).await;
    // A newer copy that is damaged is passed over, and so is one that is none.
    let good = archived(&realm).remove(0);
    let broken = realm.path("archive/999999999999999-0123456789abcdef");
    fs::create_dir(&broken).unwrap();
    fs::copy(good.join("manifest"), broken.join("manifest")).unwrap();
    fs::write(broken.join("0"), b"damaged").unwrap();
    fs::create_dir(realm.path("archive/999999999999999-empty")).unwrap();
    // Nothing is made any more: what is served was put back.
    realm.top = "snapshot_every = 0\nsnapshot_archive_dir = \"archive\"".to_owned();
    let controller = realm.start().await;
    let (restored, at, view) = restore(&realm, &bus).await;
    assert_eq!((restored, at), (made, position));
    assert_eq!(view.records(), position.revision.0, "every hold up to there");
    controller.stop().await;
}

/// L6: an agent that cannot read a change gets a snapshot past it without anybody asking.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn l6_a_report_of_poison_makes_a_snapshot() {
    let mut realm = Realm::new();
    realm.top = "snapshot_every = 0\nsnapshot_archive_dir = \"archive\"".to_owned();
    let controller = realm.start().await;
    let api = Api::new(&controller, "ir");
    let mut a1 = FakeAgent::new(&realm, "a1", 1).await;
    api.accept(json!({"kind": "hold", "target": "user:u1"})).await;
    a1.report(Heads::default()).await;
    // The roster and the board have that report: it made no snapshot.
    until("the first report", || async {
        let (_, agents) = api.get("/v1/agents").await;
        agents["agents"][0]["deny"].is_string().then_some(())
    })
    .await;
    assert!(archived(&realm).is_empty());
    a1.report_fault(Heads::default(), "poison deny 1").await;
    until("a snapshot", || async { archived(&realm).first().cloned() }).await;
    controller.stop().await;
}

/// The bucket is everybody's: a standby removes nothing from it, and cleans it up once it writes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_writer_looks_after_the_snapshots() {
    let mut realm = Realm::new();
    realm.top = "snapshot_every = 1\nsnapshot_archive_dir = \"archive\"".to_owned();
    let first = realm.start().await;
    Api::new(&first, "ir").accept(json!({"kind": "hold", "target": "user:u1"})).await;
    until("a copy in the archive", || async { archived(&realm).first().cloned() }).await;
    let settings = BucketSettings { replicas: Replicas::One, max_bytes: None };
    let bucket = realm.bus("c1").await.snapshots(&settings).await.unwrap();
    bucket.put("unknown/manifest", Bytes::from_static(b"of somebody else")).await.unwrap();
    let is_there = async || {
        let listed = bucket.list().await.unwrap();
        listed.iter().any(|object| object.name == "unknown/manifest")
    };
    let second = realm.start_second().await;
    second.wait_ready(SOON).await.unwrap();
    // Its stop waits for what it does with the bucket.
    second.stop().await;
    assert!(is_there().await, "a standby removed it");
    first.stop().await;
    let second = realm.start_second().await;
    until("the new writer has cleaned up", || async { (!is_there().await).then_some(()) }).await;
    second.stop().await;
}
