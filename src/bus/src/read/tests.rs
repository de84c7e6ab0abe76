use std::path::Path;

use rescind_natsd::{Config, NatsProcess, Options, find_or_install};

use super::*;
use crate::{BusConfig, Publication, StreamSettings, Subjects};

#[tokio::test]
async fn reading_one_by_one_gives_the_same_as_a_batch() {
    let install = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/nats");
    let binary = find_or_install(&Options::from_env(install), &mut |_| {}).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let server = NatsProcess::start(&binary, Config::new(dir.path())).unwrap();
    let subjects = Subjects::new("test").unwrap();
    let bus = Bus::connect(BusConfig::new(server.client_url(), subjects.clone())).await.unwrap();
    bus.ensure_stream(&StreamSettings::default()).await.unwrap();
    for number in 0..7 {
        let lane = if number % 2 == 0 { "deny" } else { "grant.0" };
        let what = Publication {
            lane,
            bytes: vec![number].into(),
            expected_last: None,
            message_id: &format!("{number}"),
            ttl: None,
            deadline: Duration::from_secs(5),
        };
        bus.publish(what).await.unwrap();
    }
    let subject = subjects.log("deny").unwrap();
    let range = |max| Range {
        lane: "deny",
        subject: subject.clone(),
        api: format!("$JS.API.DIRECT.GET.{}", subjects.stream()),
        max,
    };
    for (max, from) in [(9, 1), (9, 4), (2, 1), (9, 100)] {
        let singly = bus.read_singly(&range(max), from).await.unwrap();
        let batch = bus.read_from("deny", from, max).await.unwrap();
        assert_eq!(singly.messages, batch.messages, "{max} from {from}");
    }
    let all = bus.read_singly(&range(9), 1).await.unwrap();
    assert!(all.at_end);
    assert_eq!(all.messages.iter().map(|message| message.sequence).collect::<Vec<_>>(), [1, 3, 5, 7]);
}

#[test]
fn answers_of_another_subject_or_without_a_sequence_are_refused() {
    let message = |sequence: Option<&str>, subject: &str| {
        let mut headers = async_nats::HeaderMap::new();
        if let Some(sequence) = sequence {
            headers.insert(NATS_SEQUENCE, sequence);
        }
        headers.insert(NATS_SUBJECT, subject);
        Message {
            subject: "r".into(),
            reply: None,
            payload: Bytes::new(),
            headers: Some(headers),
            status: None,
            description: None,
            length: 0,
        }
    };
    assert!(matches!(
        stored(message(Some("7"), "s"), "s"),
        Answer::Stored(StoredMessage { sequence: 7, .. })
    ));
    for wrong in [message(None, "s"), message(Some("x"), "s"), message(Some("7"), "other")] {
        assert!(matches!(stored(wrong, "s"), Answer::Other(_)));
    }
}
