//! A server of its own for each test, and bounded, level-triggered waits.

use std::{future::Future, path::Path, time::Duration};

use rescind_bus::{Bus, BusConfig, LiveEvent, LiveFeed, Publication, Stored, StreamSettings, Subjects};
use rescind_natsd::{Config, NatsProcess, Options, find_or_install};

/// Longest wait for anything that must happen.
pub(crate) const LIMIT: Duration = Duration::from_secs(20);

pub(crate) struct Server {
    pub(crate) process: NatsProcess,
    _dir: tempfile::TempDir,
}

pub(crate) fn server() -> Server {
    server_with(|_| {})
}

pub(crate) fn server_with(change: impl FnOnce(&mut Config)) -> Server {
    let install = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/nats");
    let binary = find_or_install(&Options::from_env(install), &mut |_| {}).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let mut config = Config::new(dir.path());
    change(&mut config);
    Server { process: NatsProcess::start(&binary, config).unwrap(), _dir: dir }
}

pub(crate) fn subjects() -> Subjects {
    Subjects::new("test").unwrap()
}

impl Server {
    pub(crate) fn config(&self) -> BusConfig {
        BusConfig::new(self.process.client_url(), subjects())
    }

    pub(crate) async fn bus(&self) -> Bus {
        Bus::connect(self.config()).await.unwrap()
    }

    /// A connection and the stream with default settings.
    pub(crate) async fn ready(&self) -> Bus {
        let bus = self.bus().await;
        bus.ensure_stream(&StreamSettings::default()).await.unwrap();
        bus
    }
}

pub(crate) fn publication<'a>(
    lane: &'a str,
    text: &'static str,
    id: &'a str,
    expected: Option<u64>,
) -> Publication<'a> {
    Publication {
        lane,
        bytes: text.into(),
        expected_last: expected,
        message_id: id,
        ttl: None,
        deadline: Duration::from_secs(5),
    }
}

pub(crate) async fn append(bus: &Bus, lane: &str, text: &'static str, id: &str) -> Stored {
    bus.publish(publication(lane, text, id, None)).await.unwrap()
}

/// Fails the test when it does not end in time.
pub(crate) async fn within<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(LIMIT, work).await.expect("must happen in time")
}

/// Asks again and again until the answer is yes; every question is a round trip, so nothing sleeps.
pub(crate) async fn until<F: Future<Output = bool>>(mut holds: impl FnMut() -> F) {
    within(async {
        while !holds().await {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// The next message of a feed as text, other events skipped.
pub(crate) async fn next_text(feed: &mut LiveFeed) -> String {
    within(async {
        loop {
            if let LiveEvent::Message { bytes, .. } = feed.next().await.unwrap() {
                return String::from_utf8(bytes.to_vec()).unwrap();
            }
        }
    })
    .await
}
