use std::time::Duration;

use rescind_bus::{LinkState, MessageTtl, PublishError, RefusedReason, StreamSettings};

use crate::common::{append, publication, server, server_with, until, within};

#[tokio::test]
async fn a_wrong_expected_sequence_is_a_conflict() {
    let server = server();
    let bus = server.ready().await;
    let first = bus.publish(publication("deny", "a", "1", Some(0))).await.unwrap();
    let second = bus.publish(publication("deny", "b", "2", Some(first.sequence))).await.unwrap();
    // Another lane has its own last sequence.
    bus.publish(publication("grant.0", "g", "3", Some(0))).await.unwrap();
    for (expected, id) in [(0, "4"), (first.sequence, "5")] {
        let error = bus.publish(publication("deny", "x", id, Some(expected))).await.unwrap_err();
        let found = Some(second.sequence);
        assert_eq!(error, PublishError::Conflict { lane: "deny".into(), expected, found });
    }
    let last = bus.last("deny").await.unwrap().unwrap();
    assert_eq!((last.sequence, last.bytes.as_ref()), (second.sequence, b"b".as_ref()));
    assert_eq!(bus.last("grant.1").await.unwrap(), None);
}

#[tokio::test]
async fn the_same_message_id_is_stored_once() {
    let server = server();
    let bus = server.ready().await;
    let first = append(&bus, "deny", "a", "same").await;
    let again = append(&bus, "deny", "a", "same").await;
    assert!(again.duplicate && !first.duplicate && again.sequence == first.sequence);
}

#[tokio::test]
async fn a_paused_server_leaves_a_publish_unknown_and_stores_it_later() {
    let server = server();
    let bus = server.ready().await;
    let first = append(&bus, "deny", "a", "1").await;
    server.process.pause().unwrap();
    let mut late = publication("deny", "late", "2", Some(first.sequence));
    late.deadline = Duration::from_millis(300);
    let error = bus.publish(late).await.unwrap_err();
    assert!(matches!(error, PublishError::Indeterminate { .. }), "{error}");
    assert!(bus.last("deny").await.is_err());
    server.process.resume().unwrap();
    // Settled by reading, not by guessing: what failed was stored after all.
    until(|| async {
        bus.last("deny").await.is_ok_and(|last| last.is_some_and(|last| last.bytes == "late"))
    })
    .await;
    let again = append(&bus, "deny", "late", "2").await;
    assert!(again.duplicate);
}

#[tokio::test]
async fn without_a_connection_nothing_is_handed_over() {
    let mut server = server();
    let bus = server.ready().await;
    server.process.kill9().unwrap();
    let mut link = bus.link();
    within(link.wait_for(|state| *state == LinkState::Down)).await.unwrap();
    let mut what = publication("deny", "never", "1", Some(0));
    what.deadline = Duration::from_millis(200);
    let error = bus.publish(what).await.unwrap_err();
    assert!(matches!(error, PublishError::Refused { reason: RefusedReason::NotConnected, .. }), "{error}");
    server.process.restart().unwrap();
    within(link.wait_for(|state| *state == LinkState::Up)).await.unwrap();
    until(|| async { bus.last("deny").await.is_ok_and(|last| last.is_none()) }).await;
}

#[tokio::test]
async fn a_full_stream_and_a_large_message_are_refused() {
    let server = server();
    let bus = server.bus().await;
    let settings = StreamSettings { max_bytes: Some(4096), ..StreamSettings::default() };
    bus.ensure_stream(&settings).await.unwrap();
    let mut what = publication("deny", "", "full", None);
    what.bytes = vec![0_u8; 8192].into();
    let error = bus.publish(what).await.unwrap_err();
    assert!(matches!(error, PublishError::Refused { reason: RefusedReason::Full(_), .. }), "{error}");

    let mut what = publication("deny", "", "large", None);
    what.bytes = vec![0_u8; bus.max_payload_bytes() + 1].into();
    let error = bus.publish(what).await.unwrap_err();
    assert!(matches!(error, PublishError::Refused { reason: RefusedReason::TooLarge(_), .. }), "{error}");
}

#[tokio::test]
async fn without_a_stream_a_publish_is_refused() {
    let server = server_with(|config| config.jetstream = None);
    let bus = server.bus().await;
    let error = bus.publish(publication("deny", "a", "1", None)).await.unwrap_err();
    assert!(matches!(error, PublishError::Refused { reason: RefusedReason::NoStream, .. }), "{error}");
}

#[tokio::test]
async fn a_message_with_a_time_to_live_vanishes_although_deleting_is_denied() {
    let server = server();
    let bus = server.bus().await;
    let report = bus.ensure_stream(&StreamSettings::default()).await.unwrap();
    assert!(report.message_ttl);
    append(&bus, "deny", "stays", "1").await;
    let mut tick = publication("deny", "tick", "2", None);
    tick.ttl = Some(Duration::from_secs(1));
    let tick = bus.publish(tick).await.unwrap();
    assert_eq!(bus.last("deny").await.unwrap().unwrap().sequence, tick.sequence);
    until(|| async { bus.last("deny").await.unwrap().unwrap().bytes == "stays" }).await;
    // What vanished still counts: the stream goes on after it.
    let next = append(&bus, "deny", "next", "3").await;
    assert_eq!(next.sequence, tick.sequence + 1);
}

#[tokio::test]
async fn compare_and_set_after_an_expired_message_expects_what_is_left() {
    let server = server();
    let bus = server.ready().await;
    let stays = append(&bus, "deny", "stays", "1").await;
    let mut tick = publication("deny", "tick", "2", Some(stays.sequence));
    tick.ttl = Some(Duration::from_secs(1));
    let tick = bus.publish(tick).await.unwrap();
    until(|| async { bus.last("deny").await.unwrap().unwrap().bytes == "stays" }).await;
    let error = bus.publish(publication("deny", "x", "3", Some(tick.sequence))).await.unwrap_err();
    let found = Some(stays.sequence);
    assert_eq!(error, PublishError::Conflict { lane: "deny".into(), expected: tick.sequence, found });
    bus.publish(publication("deny", "y", "4", Some(stays.sequence))).await.unwrap();
}

#[tokio::test]
async fn a_time_to_live_is_refused_where_it_is_off() {
    let server = server();
    let bus = server.bus().await;
    let settings = StreamSettings { message_ttl: MessageTtl::Off, ..StreamSettings::default() };
    assert!(!bus.ensure_stream(&settings).await.unwrap().message_ttl);
    let mut tick = publication("deny", "tick", "1", None);
    tick.ttl = Some(Duration::from_secs(1));
    let error = bus.publish(tick).await.unwrap_err();
    assert!(matches!(error, PublishError::Refused { reason: RefusedReason::Server(_), .. }), "{error}");
}

#[tokio::test]
async fn a_lane_is_read_back_in_pages() {
    let server = server();
    let bus = server.ready().await;
    for number in 0..10 {
        append(&bus, "deny", "d", &format!("d{number}")).await;
        append(&bus, "grant.0", "g", &format!("g{number}")).await;
    }
    let (mut sequences, mut from) = (Vec::new(), 0);
    loop {
        let page = bus.read_from("deny", from, 4).await.unwrap();
        assert!(page.messages.len() <= 4 && page.messages.iter().all(|message| message.bytes == "d"));
        sequences.extend(page.messages.iter().map(|message| message.sequence));
        if page.at_end {
            break;
        }
        from = sequences.last().unwrap() + 1;
    }
    assert_eq!(sequences, (0..10).map(|n| 2 * n + 1).collect::<Vec<u64>>());
    let beyond = bus.read_from("deny", 1000, 4).await.unwrap();
    assert!(beyond.at_end && beyond.messages.is_empty());
    let other = bus.read_from("grant.7", 0, 4).await.unwrap();
    assert!(other.at_end && other.messages.is_empty());
}

#[tokio::test]
async fn lanes_are_written_side_by_side() {
    let server = server();
    let bus = server.ready().await;
    let writers = (0..8).map(|lane| {
        let bus = bus.clone();
        tokio::spawn(async move {
            let lane = format!("grant.{lane}");
            let mut last = 0;
            for number in 0..20 {
                let id = format!("{lane}-{number}");
                last = bus.publish(publication(&lane, "g", &id, Some(last))).await.unwrap().sequence;
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        within(writer).await.unwrap();
    }
}
