use std::time::Duration;

use rescind_bus::{Mismatch, StreamError, StreamSettings};

use crate::common::{append, server};

#[tokio::test]
async fn the_stream_is_made_once_and_then_checked() {
    let server = server();
    let bus = server.bus().await;
    let settings = StreamSettings {
        max_bytes: Some(1 << 20),
        max_age: Some(Duration::from_secs(86_400)),
        max_message_bytes: Some(65_536),
        ..StreamSettings::default()
    };
    let made = bus.ensure_stream(&settings).await.unwrap();
    assert!(made.created && made.last_sequence == 0 && made.warning.is_none());
    append(&bus, "deny", "a", "1").await;
    let found = bus.ensure_stream(&settings).await.unwrap();
    assert!(!found.created && found.last_sequence == 1);
    assert_eq!(found.server_version, server.process.server().version.to_string());
}

#[tokio::test]
async fn every_wrong_setting_is_named() {
    let server = server();
    let bus = server.bus().await;
    bus.ensure_stream(&StreamSettings { max_bytes: Some(1 << 20), ..StreamSettings::default() })
        .await
        .unwrap();
    let other = StreamSettings {
        max_age: Some(Duration::from_secs(60)),
        duplicate_window: Duration::from_secs(30),
        ..StreamSettings::default()
    };
    let error = bus.ensure_stream(&other).await.unwrap_err();
    let StreamError::Mismatch { mismatches, .. } = &error else { panic!("{error}") };
    let wrong =
        |setting, wanted: &str, found: &str| Mismatch { setting, wanted: wanted.into(), found: found.into() };
    assert_eq!(
        *mismatches,
        [
            wrong("max_bytes", "unlimited", "1048576"),
            wrong("max_age", "60s", "0ns"),
            wrong("duplicate_window", "30s", "120s"),
        ]
    );
}

#[tokio::test]
async fn a_stream_survives_a_crash_with_all_that_was_acknowledged() {
    let mut server = server();
    let bus = server.ready().await;
    let mut last = 0;
    for number in 0..20 {
        last = append(&bus, "deny", "x", &format!("{number}")).await.sequence;
    }
    server.process.kill9().unwrap();
    server.process.restart().unwrap();
    let again = server.bus().await;
    let report = again.ensure_stream(&StreamSettings::default()).await.unwrap();
    assert!(!report.created);
    assert_eq!(report.last_sequence, last);
}

#[tokio::test]
async fn without_jetstream_the_error_says_what_to_check() {
    let server = crate::common::server_with(|config| config.jetstream = None);
    let error = server.bus().await.ensure_stream(&StreamSettings::default()).await.unwrap_err();
    assert!(error.to_string().contains("JetStream is on"), "{error}");
}
