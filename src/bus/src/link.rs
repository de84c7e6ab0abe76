//! What the connection tells about itself: up or down, slow subscriptions, refused subjects.

use std::sync::{Arc, OnceLock, Weak};

use async_nats::{Event, ServerError, connection::State};
use tokio::sync::{broadcast, watch};

use crate::connect::Inner;

/// Limit: refusals that a waiting request may fall behind; they are rare, and a missed one is a time-out.
const REFUSALS_MAX: usize = 64;

/// Whether the connection to a server stands, as far as this side knows.
///
/// A silent server (paused, black hole) counts as up until two pings are unanswered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkState {
    /// Connected.
    Up,
    /// Not connected; reconnecting with full jitter, for ever.
    Down,
}

/// Counters whose change a feed must pass on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Signals {
    /// Connections lost.
    pub(crate) losses: u64,
    /// Connections made again after the first.
    pub(crate) reconnects: u64,
    /// Times the client dropped messages because a subscription's buffer was full.
    pub(crate) slow: u64,
}

/// Shared between the handle and the event callback of the client.
#[derive(Debug)]
pub(crate) struct Link {
    state: watch::Sender<LinkState>,
    signals: watch::Sender<Signals>,
    refusals: broadcast::Sender<Arc<str>>,
    /// Weak: the connection task owns the callback, and must end with the last handle.
    owner: OnceLock<Weak<Inner>>,
}

impl Link {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            state: watch::Sender::new(LinkState::Up),
            signals: watch::Sender::new(Signals::default()),
            refusals: broadcast::Sender::new(REFUSALS_MAX),
            owner: OnceLock::new(),
        })
    }

    /// Tells the link whose client it watches.
    pub(crate) fn attach(&self, owner: Weak<Inner>) {
        self.owner.get_or_init(|| owner);
        self.refresh();
    }

    pub(crate) fn state(&self) -> watch::Receiver<LinkState> {
        self.state.subscribe()
    }

    pub(crate) fn signals(&self) -> watch::Receiver<Signals> {
        self.signals.subscribe()
    }

    /// Texts of the server about subjects that this connection may not use.
    pub(crate) fn refusals(&self) -> broadcast::Receiver<Arc<str>> {
        self.refusals.subscribe()
    }

    /// Takes one event of the client.
    pub(crate) fn on_event(&self, event: Event) {
        match event {
            Event::Connected => {
                if self.owner.get().is_some() {
                    self.signals.send_modify(|signals| signals.reconnects += 1);
                }
                self.set(LinkState::Up);
            }
            Event::Disconnected | Event::Closed => {
                self.signals.send_modify(|signals| signals.losses += 1);
                self.set(LinkState::Down);
            }
            Event::SlowConsumer(_) => self.signals.send_modify(|signals| signals.slow += 1),
            Event::ServerError(ServerError::Other(text)) => self.on_server_error(&text),
            Event::ServerError(ServerError::SlowConsumer(_)) => {
                self.signals.send_modify(|signals| signals.slow += 1);
            }
            Event::ServerError(ServerError::AuthorizationViolation)
            | Event::ClientError(_)
            | Event::LameDuckMode
            | Event::Draining => self.refresh(),
        }
    }

    fn on_server_error(&self, text: &str) {
        if text.to_ascii_lowercase().starts_with("permissions violation") {
            tracing::warn!(reason = text, "the server refused a subject");
            // Why ignored: nobody waits, then nobody needs it.
            self.refusals.send(Arc::from(text)).ok();
        }
        self.refresh();
    }

    /// Reads the state from the client.
    ///
    /// Why: the client drops events while its queue of 128 is full; whatever is taken from that queue later
    /// repairs the state here.
    fn refresh(&self) {
        if let Some(inner) = self.owner.get().and_then(Weak::upgrade) {
            self.set(match inner.client.connection_state() {
                State::Connected => LinkState::Up,
                State::Pending | State::Disconnected => LinkState::Down,
            });
        }
    }

    fn set(&self, state: LinkState) {
        self.state.send_if_modified(|now| std::mem::replace(now, state) != state);
    }
}

/// Whether a refusal of the server is about this subject: it quotes it.
pub(crate) fn is_about(refusal: &str, subject: &str) -> bool {
    refusal.split('"').nth(1) == Some(subject)
}

/// Waits for a refusal of this subject; never ends without one.
pub(crate) async fn refused(refusals: &mut broadcast::Receiver<Arc<str>>, subject: &str) -> Arc<str> {
    loop {
        match refusals.recv().await {
            Ok(text) if is_about(&text, subject) => return text,
            Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => {}
            Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
        }
    }
}

/// Waits until the connection is lost once more than now; never ends without that.
pub(crate) async fn lost(signals: &mut watch::Receiver<Signals>, losses: u64) {
    if signals.wait_for(|signals| signals.losses != losses).await.is_err() {
        std::future::pending::<()>().await;
    }
}
