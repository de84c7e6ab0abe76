use bytes::Bytes;
use rescind_bus::{BucketSettings, Replicas, SnapshotError};

use crate::common::server;

const SETTINGS: BucketSettings = BucketSettings { replicas: Replicas::One, max_bytes: Some(64 << 20) };

#[tokio::test]
async fn an_object_comes_back_as_it_was() {
    let server = server();
    let bus = server.bus().await;
    let bucket = bus.snapshots(&SETTINGS).await.unwrap();
    let chunk: Bytes = (0..3_000_000_u32).map(|n| n.to_le_bytes()[0]).collect::<Vec<_>>().into();
    bucket.put("7/deny/0", chunk.clone()).await.unwrap();
    bucket.put("empty", Bytes::new()).await.unwrap();
    // Opened again, as another process would.
    let bucket = bus.snapshots(&SETTINGS).await.unwrap();
    assert_eq!(bucket.get("7/deny/0", 4 << 20).await.unwrap(), chunk);
    assert_eq!(bucket.get("empty", 1).await.unwrap(), Bytes::new());

    let mut names: Vec<_> = bucket.list().await.unwrap().into_iter().map(|o| (o.name, o.bytes)).collect();
    names.sort();
    assert_eq!(names, [("7/deny/0".to_owned(), 3_000_000), ("empty".to_owned(), 0)]);

    bucket.put("7/deny/0", "new".into()).await.unwrap();
    assert_eq!(bucket.get("7/deny/0", 3).await.unwrap(), "new");
    bucket.delete("7/deny/0").await.unwrap();
    bucket.delete("7/deny/0").await.unwrap();
    assert!(matches!(bucket.get("7/deny/0", 3).await, Err(SnapshotError::NotFound { .. })));
}

#[tokio::test]
async fn sizes_names_and_settings_are_bounded() {
    let server = server();
    let bus = server.bus().await;
    let bucket = bus.snapshots(&SETTINGS).await.unwrap();
    bucket.put("a", "12345".into()).await.unwrap();
    let error = bucket.get("a", 4).await.unwrap_err();
    assert!(matches!(error, SnapshotError::TooLarge { bytes: 5, bytes_max: 4, .. }), "{error}");
    for name in ["", "a b", "ü"] {
        assert!(matches!(bucket.put(name, Bytes::new()).await, Err(SnapshotError::Name)));
    }
    let error = bus.snapshots(&BucketSettings { max_bytes: None, ..SETTINGS }).await.unwrap_err();
    assert!(
        matches!(&error, SnapshotError::Mismatch { reason, .. } if reason.contains("max_bytes")),
        "{error}"
    );
}

#[tokio::test]
async fn an_empty_bucket_lists_nothing() {
    let server = server();
    let bucket = server.bus().await.snapshots(&SETTINGS).await.unwrap();
    assert_eq!(bucket.list().await.unwrap(), []);
}
