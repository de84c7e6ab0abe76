//! A bare fan-out: one message through a stream that repeats it to as many connections as there are agents.

use bytes::Bytes;
use rescind_bus::{Bus, BusConfig, FeedLimits, LiveEvent, Publication, StreamSettings, Subjects};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::Outcome;
use crate::measure::wall_ms;

/// Bytes of a message: about an entry with one change.
const MESSAGE_BYTES: usize = 400;
/// Limit: longest wait for the last delivery.
const ROUND_WAIT: Duration = Duration::from_secs(20);

pub(super) struct Fanout {
    publisher: Bus,
    arrivals: mpsc::UnboundedReceiver<f64>,
    size: usize,
    rounds: u64,
    /// The subscribers; they end with this value.
    _readers: JoinSet<()>,
}

impl Fanout {
    /// Connects `size` subscribers, each with a connection of its own.
    ///
    /// # Errors
    /// The server does not take them.
    pub(super) async fn start(url: &str, size: usize) -> Outcome<Self> {
        let publisher = connect(url).await?;
        publisher.ensure_stream(&StreamSettings::default()).await?;
        let (sender, arrivals) = mpsc::unbounded_channel();
        let mut readers = JoinSet::new();
        for _ in 0..size {
            let bus = connect(url).await?;
            let mut feed = bus.subscribe_live(&["deny"], FeedLimits::default()).await?;
            bus.flush().await;
            let sender = sender.clone();
            readers.spawn(async move {
                while let Some(event) = feed.next().await {
                    let arrived = matches!(event, LiveEvent::Message { .. });
                    if arrived && sender.send(wall_ms()).is_err() {
                        return;
                    }
                }
                // Why moved in: the connection ends with its last handle.
                drop(bus);
            });
        }
        Ok(Self { publisher, arrivals, size, rounds: 0, _readers: readers })
    }

    /// Milliseconds from the publish to the last delivery.
    ///
    /// # Errors
    /// A delivery is missing.
    pub(super) async fn round(&mut self) -> Outcome<f64> {
        self.rounds += 1;
        let id = format!("round-{}", self.rounds);
        let begun = wall_ms();
        let publication = Publication {
            lane: "deny",
            bytes: Bytes::from(vec![b'x'; MESSAGE_BYTES]),
            expected_last: None,
            message_id: &id,
            ttl: None,
            deadline: ROUND_WAIT,
        };
        self.publisher.publish(publication).await?;
        let mut last = begun;
        for _ in 0..self.size {
            let arrived = timeout(ROUND_WAIT, self.arrivals.recv()).await?;
            last = last.max(arrived.ok_or("a subscriber ended")?);
        }
        Ok(last - begun)
    }
}

async fn connect(url: &str) -> Outcome<Bus> {
    Ok(Bus::connect(BusConfig::new(url, Subjects::new("fanout")?)).await?)
}
