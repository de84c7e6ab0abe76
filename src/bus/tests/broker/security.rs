use std::time::Duration;

use bytes::Bytes;
use rescind_bus::{
    BucketSettings, Bus, BusConfig, ConnectError, Credentials, FeedLimits, LiveEvent, Parts, PublishError,
    RefusedReason, Replicas, ReportEvent, RequestError, Secret, StreamError, StreamSettings, TailEvent,
    TlsOptions,
    permissions::{BusUser, Role, ServerConfig},
};

use crate::common::{Server, append, next_text, publication, server, server_with, subjects, within};

const WAIT: Duration = Duration::from_secs(5);

struct Realm {
    server: Server,
    seeds: Vec<(String, Secret)>,
}

/// A server with the rendered configuration of a realm with two agents, an emitter and a controller.
fn realm() -> Realm {
    let roles =
        [("a-1", Role::Agent), ("a-2", Role::Agent), ("hr", Role::Emitter), ("ctl", Role::Controller)];
    let mut seeds = Vec::new();
    let users = roles
        .into_iter()
        .map(|(name, role)| {
            let pair = nkeys::KeyPair::new_user();
            seeds.push((name.to_owned(), Secret::new(pair.seed().unwrap())));
            BusUser { name: name.to_owned(), role, nkey_public: pair.public_key() }
        })
        .collect();
    let server = server_with(|config| {
        let rendered = ServerConfig {
            subjects: subjects(),
            users,
            listen: None,
            store_dir: config.data_dir.join("store"),
            max_store_bytes: Some(1 << 30),
            max_payload_bytes: 1 << 20,
            tls: None,
        };
        config.jetstream = None;
        config.extra = Some(rendered.render().unwrap());
    });
    Realm { server, seeds }
}

impl Realm {
    fn config(&self, name: &str) -> BusConfig {
        let seed = self.seeds.iter().find(|(user, _)| user == name).unwrap().1.clone();
        let credentials = Credentials::NkeySeed(seed);
        BusConfig { credentials, ..self.server.config() }.for_user(name).unwrap()
    }

    async fn bus(&self, name: &str) -> Bus {
        Bus::connect(self.config(name)).await.unwrap()
    }
}

#[tokio::test]
async fn every_role_can_do_its_work() {
    let realm = realm();
    let controller = realm.bus("ctl").await;
    controller.ensure_stream(&StreamSettings::default()).await.unwrap();
    let bucket = BucketSettings { replicas: Replicas::One, max_bytes: None };
    let bucket = controller.snapshots(&bucket).await.unwrap();
    for content in ["one", "two"] {
        bucket.put("chunk", content.into()).await.unwrap();
        assert_eq!(bucket.get("chunk", 9).await.unwrap(), content);
    }
    assert_eq!(bucket.list().await.unwrap().len(), 1);
    bucket.delete("chunk").await.unwrap();

    let names = subjects();
    let mut lease = controller.serve(names.lease(), None, FeedLimits::default()).await.unwrap();
    let mut repair = controller.serve(names.repair(), None, FeedLimits::default()).await.unwrap();
    let mut directive = controller.serve(names.directive(), None, FeedLimits::default()).await.unwrap();
    let mut reports = controller.subscribe_reports(FeedLimits::default()).await.unwrap();
    let mut tails = controller.subscribe_tails(FeedLimits::default()).await.unwrap();
    controller.round_trip(WAIT).await.unwrap();
    let service = tokio::spawn(async move {
        lease.next().await.unwrap().responder.send("grant".into()).await.unwrap();
        let mut responder = repair.next().await.unwrap().responder;
        for _ in 0..50 {
            responder.send_part("part".into()).await.unwrap();
        }
        responder.end().await.unwrap();
        directive.next().await.unwrap().responder.send("accepted".into()).await.unwrap();
    });

    let agent = realm.bus("a-1").await;
    let mut live = agent.subscribe_live(&[], FeedLimits::default()).await.unwrap();
    assert_eq!(agent.request(&names.lease(), "n".into(), WAIT).await.unwrap(), "grant");
    let ask = Parts {
        subject: names.repair(),
        payload: Bytes::new(),
        parts_max: 99,
        bytes_max: 9999,
        part_timeout: WAIT,
    };
    assert_eq!(agent.request_many(ask).await.unwrap().len(), 50);
    agent.publish_report("a-1", "r".into()).await.unwrap();
    assert!(
        matches!(within(reports.next()).await, Some(ReportEvent::Report { agent, .. }) if agent == "a-1")
    );
    agent.publish_tail("a-1", "t".into()).await.unwrap();
    let entry = TailEvent::Entry { agent: "a-1".into(), bytes: "t".into() };
    assert_eq!(within(tails.next()).await, Some(entry));
    let emitter = realm.bus("hr").await;
    assert_eq!(emitter.request(&names.directive(), "d".into(), WAIT).await.unwrap(), "accepted");
    within(service).await.unwrap();

    append(&controller, "deny", "d", "1").await;
    assert_eq!(next_text(&mut live).await, "d");
    assert_eq!(controller.read_from("deny", 0, 9).await.unwrap().messages.len(), 1);
    assert!(controller.last("deny").await.unwrap().is_some());
}

#[tokio::test]
async fn an_agent_can_do_nothing_else() {
    let realm = realm();
    let controller = realm.bus("ctl").await;
    controller.ensure_stream(&StreamSettings::default()).await.unwrap();
    let agent = realm.bus("a-1").await;
    let names = subjects();

    let error = agent.publish(publication("deny", "forged", "1", None)).await.unwrap_err();
    let PublishError::Refused { reason: RefusedReason::Permission(text), .. } = &error else {
        panic!("{error}")
    };
    assert!(text.contains("rescind.v1.test.log.deny"), "{text}");
    for subject in [
        "$JS.API.STREAM.INFO.RESCIND_test".to_owned(),
        "$JS.API.STREAM.DELETE.RESCIND_test".to_owned(),
        names.live("deny").unwrap(),
        names.directive(),
        names.report("a-2").unwrap(),
        names.tail("a-2").unwrap(),
        "_INBOX_a-2.x".to_owned(),
    ] {
        let error = agent.request(&subject, Bytes::new(), WAIT).await.unwrap_err();
        assert!(matches!(error, RequestError::Refused { .. }), "{subject}: {error}");
    }
    assert!(matches!(agent.last("deny").await, Err(rescind_bus::ReadError::Unavailable { .. })));
    assert!(matches!(agent.ensure_stream(&StreamSettings::default()).await, Err(StreamError::Lookup { .. })));
    assert_eq!(controller.last("deny").await.unwrap(), None);
}

#[tokio::test]
async fn nobody_listens_where_it_may_not() {
    let realm = realm();
    let agent = realm.bus("a-1").await;
    let mut reports = agent.subscribe_reports(FeedLimits::default()).await.unwrap();
    assert!(matches!(within(reports.next()).await, Some(ReportEvent::Refused { .. })));
    assert_eq!(within(reports.next()).await, None);
    let mut tails = agent.subscribe_tails(FeedLimits::default()).await.unwrap();
    assert!(matches!(within(tails.next()).await, Some(TailEvent::Refused { .. })));
    for subject in [subjects().lease(), "_INBOX_a-2.>".to_owned(), ">".to_owned()] {
        let mut requests = agent.serve(subject, None, FeedLimits::default()).await.unwrap();
        assert!(within(requests.next()).await.is_none());
        assert!(requests.refusal().unwrap().contains("Permissions Violation"));
    }
    let emitter = realm.bus("hr").await;
    let mut live = emitter.subscribe_live(&["deny"], FeedLimits::default()).await.unwrap();
    assert!(matches!(within(live.next()).await, Some(LiveEvent::Refused { .. })));
}

#[tokio::test]
async fn a_controller_cannot_remove_history() {
    let realm = realm();
    let controller = realm.bus("ctl").await;
    controller.ensure_stream(&StreamSettings::default()).await.unwrap();
    for call in ["DELETE", "PURGE", "UPDATE", "MSG.DELETE"] {
        let subject = format!("$JS.API.STREAM.{call}.RESCIND_test");
        let error = controller.request(&subject, Bytes::new(), WAIT).await.unwrap_err();
        assert!(matches!(error, RequestError::Refused { .. }), "{subject}: {error}");
    }
}

#[tokio::test]
async fn wrong_credentials_are_named() {
    let realm = realm();
    let stranger = Secret::new(nkeys::KeyPair::new_user().seed().unwrap());
    for credentials in [
        Credentials::None,
        Credentials::NkeySeed(stranger),
        Credentials::Password { user: "a-1".into(), password: Secret::new("guess".into()) },
    ] {
        let error = Bus::connect(BusConfig { credentials, ..realm.server.config() }).await.unwrap_err();
        assert!(matches!(error, ConnectError::Credentials { .. }), "{error}");
        assert!(error.to_string().contains("refused the credentials"), "{error}");
    }
}

#[tokio::test]
async fn a_seed_file_and_a_password_work() {
    let realm = realm();
    let dir = tempfile::tempdir().unwrap();
    let pair = nkeys::KeyPair::new_user();
    let path = dir.path().join("seed");
    std::fs::write(&path, pair.seed().unwrap()).unwrap();
    let credentials = Credentials::NkeySeedFile(path);
    // The key is unknown to the server: the file was read and used.
    let error = Bus::connect(BusConfig { credentials, ..realm.server.config() }).await.unwrap_err();
    assert!(matches!(error, ConnectError::Credentials { .. }), "{error}");

    let server = server_with(|config| config.extra = Some("authorization { user: u, password: p }".into()));
    let credentials = Credentials::Password { user: "u".into(), password: Secret::new("p".into()) };
    Bus::connect(BusConfig { credentials, ..server.config() }).await.unwrap();
}

#[tokio::test]
async fn a_wrong_address_a_silent_server_and_missing_tls_are_told_apart() {
    let mut server = server();
    let error =
        Bus::connect(BusConfig { urls: vec!["nats://".into()], ..server.config() }).await.unwrap_err();
    assert!(matches!(error, ConnectError::Address { .. }), "{error}");
    let error = Bus::connect(BusConfig { urls: Vec::new(), ..server.config() }).await.unwrap_err();
    assert!(matches!(error, ConnectError::Address { .. }), "{error}");

    let tls = BusConfig { tls: Some(TlsOptions::default()), ..server.config() };
    let error = Bus::connect(tls).await.unwrap_err();
    assert!(matches!(error, ConnectError::Tls { .. }), "{error}");

    server.process.pause().unwrap();
    let silent = BusConfig { connect_timeout: Duration::from_millis(300), ..server.config() };
    let error = Bus::connect(silent).await.unwrap_err();
    assert!(matches!(error, ConnectError::TimedOut { .. }), "{error}");

    let config = server.config();
    server.process.stop().unwrap();
    let error = Bus::connect(config).await.unwrap_err();
    assert!(matches!(error, ConnectError::Refused { .. }), "{error}");
}
