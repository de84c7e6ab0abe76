//! What a controller hears besides requests: other writers on the live lanes, and what agents hand back.

use std::sync::Arc;

use bytes::Bytes;
use rescind_bus::{LiveEvent, LiveFeed, TailEvent, TailFeed};
use rescind_codec::{LogItem, TrustBundle, decode_log_message};
use rescind_core::position::{LANES, Lane};
use rescind_telemetry::ControllerMetrics;
use tokio_util::sync::CancellationToken;

use crate::asking::{Handed, verified};
use crate::engine::{EngineHandle, RoleNews};
use crate::standing::Role;

/// What it takes.
#[derive(Debug, Clone)]
pub(crate) struct Heed {
    pub(crate) engine: EngineHandle,
    pub(crate) trust: Arc<TrustBundle>,
    pub(crate) metrics: Arc<ControllerMetrics>,
}

impl Heed {
    /// Listens to the live lanes while this controller does not write: its own messages say nothing new.
    pub(crate) async fn run_live(self, mut feed: LiveFeed, stop: CancellationToken) {
        loop {
            let event = tokio::select! {
                () = stop.cancelled() => break,
                event = feed.next() => event,
            };
            match event {
                Some(LiveEvent::Message { lane, bytes }) => {
                    if self.engine.standing().borrow().role != Role::Writer
                        && let Some(lane) = Lane::from_name(&lane)
                    {
                        self.take_live(lane, &bytes);
                    }
                }
                Some(LiveEvent::Overflow | LiveEvent::Reconnected) => {
                    LANES.into_iter().for_each(|lane| self.engine.tell(RoleNews::Entry(lane)));
                }
                Some(LiveEvent::Refused { reason }) => {
                    tracing::error!(
                        reason,
                        "cannot listen to the live lanes; correct this user's permissions"
                    );
                }
                None => break,
            }
        }
        feed.close().await;
    }

    fn take_live(&self, lane: Lane, bytes: &Bytes) {
        match decode_log_message(bytes, lane, &self.trust) {
            Ok(LogItem::Tick(tick, _)) => self.engine.tell(RoleNews::Tick(Box::new(tick))),
            // Read from the stream, not from here: only what is stored counts.
            Ok(LogItem::Entry(_)) => self.engine.tell(RoleNews::Entry(lane)),
            Err(error) => self.metrics.rejected("live", error.error.code()),
        }
    }

    /// Takes what agents hand back while something is missing.
    pub(crate) async fn run_tails(self, mut feed: TailFeed, stop: CancellationToken) {
        loop {
            let event = tokio::select! {
                () = stop.cancelled() => break,
                event = feed.next() => event,
            };
            match event {
                Some(TailEvent::Entry { agent, bytes }) => self.take_tail(&agent, bytes).await,
                Some(TailEvent::Missed) => {}
                Some(TailEvent::Refused { reason }) => {
                    tracing::error!(
                        reason,
                        "cannot take what agents hand back; correct this user's permissions"
                    );
                }
                None => break,
            }
        }
        feed.close().await;
    }

    async fn take_tail(&self, agent: &str, bytes: Bytes) {
        let found = LANES.into_iter().find_map(|lane| verified(bytes.clone(), lane, &self.trust));
        let Some(handed) = found else {
            self.metrics.rejected("tail", "not_an_entry");
            return;
        };
        tracing::debug!(agent, lane = %handed.0.entry.lane, first = %handed.0.entry.first, "handed back");
        let handed: Vec<Handed> = vec![handed];
        self.engine.tell_surely(RoleNews::Handed(handed)).await;
    }
}
