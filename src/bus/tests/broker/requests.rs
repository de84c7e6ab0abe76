use std::time::Duration;

use bytes::Bytes;
use rescind_bus::{FeedLimits, Incoming, Parts, RequestError, Requests};

use crate::common::{Server, server, within};

const WAIT: Duration = Duration::from_secs(5);

fn parts(subject: &str, parts_max: usize, bytes_max: usize) -> Parts {
    Parts { subject: subject.into(), payload: "range".into(), parts_max, bytes_max, part_timeout: WAIT }
}

async fn serve(server: &Server, subject: &str) -> Requests {
    let bus = server.bus().await;
    let requests = bus.serve(subject.into(), None, FeedLimits::default()).await.unwrap();
    bus.round_trip(WAIT).await.unwrap();
    requests
}

/// Answers with these parts; the end may be missing.
async fn answer(incoming: Incoming, parts: &[&'static str], end: bool) {
    let mut responder = incoming.responder;
    for part in parts {
        responder.send_part(Bytes::from_static(part.as_bytes())).await.unwrap();
    }
    if end {
        responder.end().await.unwrap();
    }
}

#[tokio::test]
async fn a_request_gets_its_answer_or_the_error() {
    let server = server();
    let mut requests = serve(&server, "lease").await;
    let service = tokio::spawn(async move {
        let first = requests.next().await.unwrap();
        assert!(first.payload == "nonce" && first.responder.wants_answer());
        first.responder.send("grant".into()).await.unwrap();
        let second = requests.next().await.unwrap();
        second.responder.fail(429, "slow down\r\nplease").await.unwrap();
        requests.close().await;
    });
    let agent = server.bus().await;
    assert_eq!(agent.request("lease", "nonce".into(), WAIT).await.unwrap(), "grant");
    let error = agent.request("lease", "nonce".into(), WAIT).await.unwrap_err();
    assert!(
        matches!(&error, RequestError::Remote { code: 429, text, .. } if text == "slow down??please"),
        "{error}"
    );
    within(service).await.unwrap();
}

#[tokio::test]
async fn silence_is_a_time_out_and_nobody_is_told_at_once() {
    let server = server();
    let _silent = serve(&server, "lease").await;
    let agent = server.bus().await;
    let short = Duration::from_millis(100);
    let error = agent.request("lease", Bytes::new(), short).await.unwrap_err();
    assert!(matches!(error, RequestError::TimedOut { .. }), "{error}");
    let many = Parts { part_timeout: short, ..parts("lease", 1, 1) };
    assert!(matches!(agent.request_many(many).await, Err(RequestError::TimedOut { .. })));

    for error in [
        agent.request("nobody", Bytes::new(), WAIT).await.unwrap_err(),
        agent.request_many(parts("nobody", 1, 1)).await.unwrap_err(),
    ] {
        assert!(matches!(error, RequestError::NoResponders { .. }), "{error}");
    }
}

#[tokio::test]
async fn a_lost_connection_ends_the_wait() {
    let mut server = server();
    let _silent = serve(&server, "lease").await;
    let agent = server.bus().await;
    let asked = agent.request("lease", Bytes::new(), Duration::from_secs(60));
    let kill = async {
        // The request has left: the server answers a later one on the same connection.
        agent.round_trip(WAIT).await.unwrap();
        server.process.kill9().unwrap();
    };
    let (answer, ()) = within(async { tokio::join!(asked, kill) }).await;
    assert!(matches!(answer, Err(RequestError::Disconnected { .. })), "{answer:?}");
}

#[tokio::test]
async fn an_answer_in_parts_is_put_together_in_order() {
    let server = server();
    let mut requests = serve(&server, "repair").await;
    let service = tokio::spawn(async move {
        answer(requests.next().await.unwrap(), &["a", "b", "c"], true).await;
        answer(requests.next().await.unwrap(), &[], true).await;
        answer(requests.next().await.unwrap(), &["a", "b", "c"], true).await;
        answer(requests.next().await.unwrap(), &["a", "b", "c"], true).await;
        answer(requests.next().await.unwrap(), &["a"], false).await;
        requests.next().await.unwrap().responder.fail(404, "no such range").await.unwrap();
        requests.close().await;
    });
    let agent = server.bus().await;
    assert_eq!(agent.request_many(parts("repair", 9, 99)).await.unwrap(), ["a", "b", "c"]);
    assert!(agent.request_many(parts("repair", 9, 99)).await.unwrap().is_empty());
    for limited in [parts("repair", 2, 99), parts("repair", 9, 2)] {
        assert!(matches!(agent.request_many(limited).await, Err(RequestError::TooLarge { .. })));
    }
    let stopped = Parts { part_timeout: Duration::from_millis(100), ..parts("repair", 9, 99) };
    assert!(matches!(agent.request_many(stopped).await, Err(RequestError::TimedOut { .. })));
    let refused = agent.request_many(parts("repair", 9, 99)).await.unwrap_err();
    assert!(matches!(refused, RequestError::Remote { code: 404, .. }), "{refused}");
    within(service).await.unwrap();
}

#[tokio::test]
async fn of_two_servers_one_is_heard_and_a_no_does_not_hide_the_other() {
    let server = server();
    let mut one = serve(&server, "repair").await;
    let mut two = serve(&server, "repair").await;
    let service = tokio::spawn(async move {
        answer(one.next().await.unwrap(), &["a", "b"], true).await;
        answer(two.next().await.unwrap(), &["a", "b"], true).await;
        one.next().await.unwrap().responder.fail(404, "not here").await.unwrap();
        answer(two.next().await.unwrap(), &["c"], true).await;
        one.close().await;
        two.close().await;
    });
    let agent = server.bus().await;
    assert_eq!(agent.request_many(parts("repair", 9, 99)).await.unwrap(), ["a", "b"]);
    assert_eq!(agent.request_many(parts("repair", 9, 99)).await.unwrap(), ["c"]);
    within(service).await.unwrap();
}

#[tokio::test]
async fn requests_beyond_the_limit_are_counted() {
    let server = server();
    let bus = server.bus().await;
    let limits = FeedLimits { messages: 2, bytes: 1 << 20 };
    let mut requests = bus.serve("lease".into(), None, limits).await.unwrap();
    bus.round_trip(WAIT).await.unwrap();
    let agent = server.bus().await;
    for _ in 0..6 {
        let short = Duration::from_millis(20);
        assert!(matches!(
            agent.request("lease", Bytes::new(), short).await,
            Err(RequestError::TimedOut { .. })
        ));
    }
    bus.round_trip(WAIT).await.unwrap();
    within(requests.next()).await.unwrap();
    assert_eq!(requests.overflows(), 1);
}
