use bytes::Bytes;
use rescind_bus::Parts;
use rescind_codec::LogItem;
use rescind_codec::{
    DirectiveAnswer, RepairRequest, SnapshotRequest, decode_answer, decode_chunk, decode_log_message,
    decode_manifest, encode_directive, encode_repair, encode_snapshot_request,
};
use rescind_core::change::{Ask, Directive, Origin};
use rescind_core::ids::{EmitterId, IdempotencyKey};
use rescind_core::key::KeyHasher;
use rescind_core::position::{Lane, Revision};
use rescind_core::record::RecordKind;
use rescind_core::view::View;
use serde_json::json;

use crate::kit::{Api, Realm, SOON, key};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn accepted_once_refused_without_the_right_and_stored_in_the_stream() {
    let realm = Realm::new();
    let controller = realm.start().await;
    let (ir, hr) = (Api::new(&controller, "ir"), Api::new(&controller, "hr"));
    let (status, first) = ir.revoke("s1", "k1").await;
    assert_eq!(
        (status, &first["id"], &first["existing"]),
        (200, &json!("deny-1-1"), &json!(false)),
        "{first}"
    );
    let (_, again) = ir.revoke("s1", "k1").await;
    assert_eq!((&again["id"], &again["existing"]), (&json!("deny-1-1"), &json!(true)));
    let (status, body) = ir.revoke("s2", "k1").await;
    assert_eq!((status, &body["error"]["code"]), (409, &json!("idempotency_conflict")));
    let (status, body) = hr.revoke("s2", "k2").await;
    assert_eq!((status, &body["error"]["code"]), (403, &json!("rights")));
    let (status, body) = Api::new(&controller, "nobody").revoke("s2", "k2").await;
    assert_eq!((status, &body["error"]["code"]), (401, &json!("unauthenticated")));
    let disabled =
        hr.accept(json!({"kind": "disable", "target": "user:u1", "reason_admin": "left us"})).await;
    assert_eq!(disabled, "deny-1-2");
    let (_, own) = hr.get("/v1/records/deny-1-2").await;
    assert_eq!(own["reason_admin"], "left us", "the log keeps it for the emitter that gave it");
    let (_, others) = ir.get("/v1/records/deny-1-2").await;
    assert_eq!(others.get("reason_admin"), None);
    ir.accept(json!({"kind": "grant", "holder": "role:r", "action": "a:b", "resource": "/x"})).await;
    let (_, position) = ir.get("/v1/position").await;
    assert_eq!((&position["deny"], &position["grant"]), (&json!("1/2"), &json!("1/1")));
    let bus = realm.bus("c1").await;
    let page = bus.read_from("deny", 0, 1000).await.unwrap();
    let mut revisions = Vec::new();
    for message in page.messages {
        assert!(!message.bytes.windows(7).any(|bytes| bytes == b"left us"), "a private reason is on the bus");
        if let LogItem::Entry(entry) = decode_log_message(&message.bytes, Lane::Deny, &realm.trust).unwrap() {
            revisions.push(entry.entry.first.0);
        }
    }
    assert_eq!(revisions, [1, 2]);
    let address = std::fs::read_to_string(realm.path("address")).unwrap();
    assert_eq!(address.trim(), controller.http_addr().to_string());
    controller.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signed_directive_over_the_bus_takes_the_same_path() {
    let realm = Realm::new();
    let controller = realm.start().await;
    let bus = realm.bus("ir").await;
    let (emitter, name) = (EmitterId::new("ir").unwrap(), IdempotencyKey::new("bus-1").unwrap());
    let directive = |target: &str| Directive {
        origin: Origin {
            emitter: emitter.clone(),
            key: name.clone(),
            requested_by: None,
            reason_code: None,
            incident: None,
            known_at: None,
        },
        reason_admin: None,
        ask: Ask::Record { kind: RecordKind::Kill, target: target.parse().unwrap(), cutoff: None },
    };
    let send = async |directive: &Directive, who: &str| {
        let bytes = encode_directive(directive, &realm.pin.chain, &key(who));
        bus.request(&bus.subjects().directive(), Bytes::from(bytes), SOON).await
    };
    let read = |bytes: &[u8]| decode_answer(bytes, &emitter, &name, &realm.trust).unwrap();
    let answer = read(&send(&directive("service:pay"), "ir").await.unwrap());
    let DirectiveAnswer::Accepted { id, existing: false, accepted_at, .. } = answer else {
        panic!("{answer:?}")
    };
    assert_eq!(id.to_string(), "deny-1-1");
    assert!(accepted_at.0 > 0);
    let again = read(&send(&directive("service:pay"), "ir").await.unwrap());
    assert!(
        matches!(again, DirectiveAnswer::Accepted { existing: true, id: same, .. } if same == id),
        "{again:?}"
    );
    let other = read(&send(&directive("service:other"), "ir").await.unwrap());
    assert!(
        matches!(&other, DirectiveAnswer::Refused { code, .. } if &**code == "idempotency_conflict"),
        "{other:?}"
    );
    let forged = send(&directive("service:pay"), "a1").await.unwrap_err();
    assert!(forged.to_string().contains("400"), "{forged}");
    controller.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn missing_ranges_and_snapshots_are_served_without_jetstream() {
    let mut realm = Realm::new();
    realm.top = "snapshot_every = 3".to_owned();
    let controller = realm.start().await;
    let api = Api::new(&controller, "ir");
    let bus = realm.bus("a1").await;
    let manifest = encode_snapshot_request(&SnapshotRequest::Manifest);
    let early = bus.request(&bus.subjects().snapshot(), Bytes::from(manifest.clone()), SOON).await;
    assert!(early.unwrap_err().to_string().contains("404"), "nothing was accepted yet");
    for n in 0..5 {
        api.accept(json!({"kind": "hold", "target": format!("user:u{n}")})).await;
    }
    api.accept(json!({"kind": "lift", "record": "deny-1-2"})).await;
    api.accept(json!({"kind": "grant", "holder": "role:r", "action": "a:b", "resource": "/x"})).await;
    let range = async |lane, after| {
        let request = RepairRequest { lane, after: Revision(after), entries_max: 100 };
        let parts = Parts {
            subject: bus.subjects().repair(),
            payload: Bytes::from(encode_repair(&request)),
            parts_max: 100,
            bytes_max: 1 << 20,
            part_timeout: SOON,
        };
        let parts = bus.request_many(parts).await.unwrap();
        let entries = parts.iter().map(|part| match decode_log_message(part, lane, &realm.trust).unwrap() {
            LogItem::Entry(entry) => entry,
            LogItem::Tick(..) => panic!("a tick is no part of a range"),
        });
        entries.collect::<Vec<_>>()
    };
    let entries = range(Lane::Deny, 2).await;
    assert_eq!(entries.iter().map(|entry| entry.entry.first.0).collect::<Vec<_>>(), [3, 4, 5, 6]);
    assert_eq!(range(Lane::Deny, 6).await.len(), 0);
    assert_eq!(range(Lane::Grant(0), 0).await.len(), 1);
    let bytes = bus.request(&bus.subjects().snapshot(), Bytes::from(manifest), SOON).await.unwrap();
    let (manifest, id) = decode_manifest(&bytes, &realm.trust).unwrap();
    let mut view = View::new(KeyHasher::new([9; 16]));
    for (index, listed) in manifest.chunks.iter().enumerate() {
        let request = SnapshotRequest::Chunk { manifest: id, index: u32::try_from(index).unwrap() };
        let request = Bytes::from(encode_snapshot_request(&request));
        let chunk = bus.request(&bus.subjects().snapshot(), request, SOON).await.unwrap();
        for item in decode_chunk(&chunk, listed).unwrap() {
            view.restore(&item.unwrap()).unwrap();
        }
    }
    assert_eq!(view.digest(), manifest.digest);
    for entry in range(Lane::Deny, manifest.heads.deny.position.revision.0).await {
        for change in &entry.entry.changes {
            view.apply(change).unwrap();
        }
    }
    for entry in range(Lane::Grant(0), manifest.heads.grant.position.revision.0).await {
        for change in &entry.entry.changes {
            view.apply(change).unwrap();
        }
    }
    let (_, position) = api.get("/v1/position").await;
    assert_eq!(view.digest().to_string(), position["digest"], "snapshot and tail are the controller's state");
    controller.stop().await;
}
