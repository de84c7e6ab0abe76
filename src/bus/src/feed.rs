//! Subscriptions with one bounded buffer, whose overflow is an event.
//!
//! One owned task moves messages from the client into a queue that is bounded in messages and bytes, so the
//! client's own buffer stays empty and the memory of a slow reader has a limit. What does not fit is dropped
//! and reported once the reader comes back. INVARIANT: a message is delivered, or an `Overflow` or a
//! `Reconnected` is delivered after the reader took what came before it.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use async_nats::{Message, Subscriber};
use futures::{StreamExt, stream::SelectAll};
use tokio::{
    sync::{Notify, broadcast, mpsc, watch},
    task::JoinHandle,
    time::timeout,
};

use crate::{
    connect::Bus,
    link::{Signals, is_about},
    subjects::SubjectError,
};

/// Limit: subscriptions of one feed; a server gives an agent few of them.
const SUBJECTS_MAX: usize = 32;

/// How much a feed may hold for a slow reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FeedLimits {
    /// Messages.
    pub messages: usize,
    /// Bytes of payload.
    pub bytes: usize,
}

impl Default for FeedLimits {
    /// 4,096 messages and 16 MiB: the server's own bound for a slow client.
    fn default() -> Self {
        Self { messages: 4096, bytes: 16 << 20 }
    }
}

/// A subscription that could not be made.
#[derive(Debug, thiserror::Error)]
pub enum SubscribeError {
    /// A lane or id cannot be part of a subject.
    #[error(transparent)]
    Subject(#[from] SubjectError),
    /// Nothing, or too much, was asked for.
    #[error(
        "a feed takes 1 to {SUBJECTS_MAX} subjects, not {count}; split or leave out the list for all lanes"
    )]
    Count {
        /// What was asked for.
        count: usize,
    },
    /// The connection is closed or did not take the command in time.
    #[error("cannot subscribe to `{subject}`; check the connection")]
    Failed {
        /// The subject.
        subject: String,
        /// What the client said, `None` for a time-out.
        source: Option<async_nats::SubscribeError>,
    },
}

/// What a feed delivers.
#[derive(Debug)]
pub(crate) enum FeedEvent {
    Message(Message),
    Overflow,
    Reconnected,
    Refused(Arc<str>),
}

/// What the reader and the task share.
#[derive(Debug, Default)]
struct Shared {
    bytes: AtomicUsize,
    overflowed: AtomicBool,
    overflow: Notify,
}

impl Shared {
    fn set_overflow(&self) {
        self.overflowed.store(true, Ordering::Release);
        self.overflow.notify_one();
    }
}

/// The reading end; dropping it ends the subscriptions.
#[derive(Debug)]
pub(crate) struct Feed {
    queue: mpsc::Receiver<FeedEvent>,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

impl Feed {
    /// Subscribes; anything that this connection sends afterwards reaches the server later than the
    /// subscriptions.
    pub(crate) async fn open(
        bus: &Bus,
        subjects: Vec<String>,
        queue_group: Option<&str>,
        limits: FeedLimits,
    ) -> Result<Self, SubscribeError> {
        if subjects.is_empty() || subjects.len() > SUBJECTS_MAX {
            return Err(SubscribeError::Count { count: subjects.len() });
        }
        let signals = bus.inner.link.signals();
        let refusals = bus.inner.link.refusals();
        let mut subscriptions = SelectAll::new();
        for subject in &subjects {
            subscriptions.push(subscribe(bus, subject, queue_group).await?);
        }
        let shared = Arc::new(Shared::default());
        let (sender, queue) = mpsc::channel(limits.messages.max(1));
        let buffer = Buffer { sender, shared: Arc::clone(&shared), bytes_max: limits.bytes };
        let task = tokio::spawn(pump(subscriptions, subjects, signals, refusals, buffer));
        Ok(Self { queue, shared, task })
    }

    /// The next event; `None` after a refusal or when the connection is closed for good. Cancel safe.
    pub(crate) async fn next(&mut self) -> Option<FeedEvent> {
        loop {
            if self.shared.overflowed.swap(false, Ordering::AcqRel) {
                return Some(FeedEvent::Overflow);
            }
            tokio::select! {
                biased;
                () = self.shared.overflow.notified() => {}
                event = self.queue.recv() => {
                    if let Some(FeedEvent::Message(message)) = &event {
                        self.shared.bytes.fetch_sub(message.payload.len(), Ordering::AcqRel);
                    }
                    return event;
                }
            }
        }
    }

    /// Ends the subscriptions and waits for the task.
    pub(crate) async fn close(mut self) {
        self.queue.close();
        if let Err(error) = (&mut self.task).await {
            tracing::error!(%error, "the task of a feed failed");
        }
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn subscribe(bus: &Bus, subject: &str, group: Option<&str>) -> Result<Subscriber, SubscribeError> {
    let client = &bus.inner.client;
    let made = async {
        match group {
            Some(group) => client.queue_subscribe(subject.to_owned(), group.to_owned()).await,
            None => client.subscribe(subject.to_owned()).await,
        }
    };
    let failed = |source| SubscribeError::Failed { subject: subject.to_owned(), source };
    timeout(bus.request_timeout(), made)
        .await
        .map_err(|_| failed(None))?
        .map_err(|source| failed(Some(source)))
}

/// The writing end.
struct Buffer {
    sender: mpsc::Sender<FeedEvent>,
    shared: Arc<Shared>,
    bytes_max: usize,
}

impl Buffer {
    fn message(&self, message: Message) {
        let bytes = message.payload.len();
        let before = self.shared.bytes.fetch_add(bytes, Ordering::AcqRel);
        let fits = before.saturating_add(bytes) <= self.bytes_max;
        if !fits || self.sender.try_send(FeedEvent::Message(message)).is_err() {
            self.shared.bytes.fetch_sub(bytes, Ordering::AcqRel);
            self.shared.set_overflow();
        }
    }

    fn event(&self, event: FeedEvent) {
        if self.sender.try_send(event).is_err() {
            self.shared.set_overflow();
        }
    }
}

/// Moves messages until the reader or the connection is gone.
async fn pump(
    mut subscriptions: SelectAll<Subscriber>,
    subjects: Vec<String>,
    mut signals: watch::Receiver<Signals>,
    mut refusals: broadcast::Receiver<Arc<str>>,
    buffer: Buffer,
) {
    let mut seen = *signals.borrow_and_update();
    loop {
        tokio::select! {
            () = buffer.sender.closed() => return,
            message = subscriptions.next() => match message {
                Some(message) => buffer.message(message),
                None => return,
            },
            changed = signals.changed() => {
                if changed.is_err() {
                    return;
                }
                let now = *signals.borrow_and_update();
                if now.slow != seen.slow {
                    // Why for every feed: the client does not say whose messages it dropped.
                    buffer.shared.set_overflow();
                }
                if now.reconnects != seen.reconnects {
                    buffer.event(FeedEvent::Reconnected);
                }
                seen = now;
            }
            refusal = refusals.recv() => if let Ok(text) = refusal
                && text.to_ascii_lowercase().contains("subscription to")
                && subjects.iter().any(|subject| is_about(&text, subject))
            {
                // Why waiting: it is the last event, and the reader must see it.
                buffer.sender.send(FeedEvent::Refused(text)).await.ok();
                return;
            },
        }
    }
}
