//! Reports of agents: sent once, without an answer; the sender repeats them with its next state anyway.

use bytes::Bytes;
use tokio::time::timeout;

use crate::{
    connect::Bus,
    feed::{Feed, FeedEvent, FeedLimits, SubscribeError},
    subjects::{SubjectError, Subjects},
};

/// A report that was not sent.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The agent id cannot be part of a subject.
    #[error(transparent)]
    Subject(#[from] SubjectError),
    /// There is no connection; the next report carries the newer state.
    #[error(
        "the report was not sent because the bus is not connected; send the next one after it is up again"
    )]
    NotConnected,
    /// The client did not take it.
    #[error("the report of `{agent}` was not sent; check its size and the connection")]
    Failed {
        /// The agent.
        agent: String,
        /// What the client said, `None` for a time-out.
        source: Option<async_nats::PublishError>,
    },
}

/// What arrives for a reader of reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReportEvent {
    /// A report. Whether the agent signed it is for the reader to find out.
    Report {
        /// The agent's id, from the subject.
        agent: String,
        /// What it sent.
        bytes: Bytes,
    },
    /// Reports were dropped because nobody read.
    Overflow,
    /// The connection was lost and made again; reports sent meanwhile are missing.
    Reconnected,
    /// The server does not let this user listen; nothing follows.
    Refused {
        /// What the server said.
        reason: String,
    },
}

/// A subscription to what agents hand back; dropping it ends the subscription.
#[derive(Debug)]
pub struct TailFeed {
    feed: Feed,
    subjects: Subjects,
}

/// What arrives for a controller that agents hand entries back to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TailEvent {
    /// A message of the deny lane as a controller signed it. Whether one did is for the reader to find out.
    Entry {
        /// The agent's id, from the subject.
        agent: String,
        /// What it sent.
        bytes: Bytes,
    },
    /// Messages were dropped because nobody read, or the connection was lost: agents send again when asked.
    Missed,
    /// The server does not let this user listen; nothing follows.
    Refused {
        /// What the server said.
        reason: String,
    },
}

/// A subscription to the reports of all agents; dropping it ends the subscription.
#[derive(Debug)]
pub struct ReportFeed {
    feed: Feed,
    subjects: Subjects,
}

impl Bus {
    /// Sends a report of an agent; `Ok` says that it left for the server, not that anybody read it.
    ///
    /// # Errors
    /// [`ReportError`]; a report is never queued for a later connection, because it would be old by then.
    pub async fn publish_report(&self, agent_id: &str, bytes: Bytes) -> Result<(), ReportError> {
        let subject = self.subjects().report(agent_id)?;
        self.publish_once(agent_id, subject, bytes).await
    }

    /// Hands a signed entry back to whichever controller lost it; `Ok` says that it left for the server.
    ///
    /// # Errors
    /// As [`Self::publish_report`]; the agent sends it again when it is refused a lease again.
    pub async fn publish_tail(&self, agent_id: &str, bytes: Bytes) -> Result<(), ReportError> {
        let subject = self.subjects().tail(agent_id)?;
        self.publish_once(agent_id, subject, bytes).await
    }

    async fn publish_once(&self, agent_id: &str, subject: String, bytes: Bytes) -> Result<(), ReportError> {
        if !self.is_up() {
            return Err(ReportError::NotConnected);
        }
        let failed = |source| ReportError::Failed { agent: agent_id.to_owned(), source };
        timeout(self.request_timeout(), self.inner.client.publish(subject, bytes))
            .await
            .map_err(|_| failed(None))?
            .map_err(|source| failed(Some(source)))
    }

    /// Listens to the reports of all agents.
    ///
    /// # Errors
    /// [`SubscribeError`] for a connection that takes no commands.
    pub async fn subscribe_reports(&self, limits: FeedLimits) -> Result<ReportFeed, SubscribeError> {
        let subjects = self.subjects().clone();
        let feed = Feed::open(self, vec![subjects.report_all()], None, limits).await?;
        Ok(ReportFeed { feed, subjects })
    }

    /// Listens to what agents hand back.
    ///
    /// # Errors
    /// [`SubscribeError`] for a connection that takes no commands.
    pub async fn subscribe_tails(&self, limits: FeedLimits) -> Result<TailFeed, SubscribeError> {
        let subjects = self.subjects().clone();
        let feed = Feed::open(self, vec![subjects.tail_all()], None, limits).await?;
        Ok(TailFeed { feed, subjects })
    }
}

impl TailFeed {
    /// The next event; `None` after [`TailEvent::Refused`]. Cancel safe.
    pub async fn next(&mut self) -> Option<TailEvent> {
        loop {
            return Some(match self.feed.next().await? {
                FeedEvent::Message(message) => {
                    let Some(agent) = self.subjects.agent_of_tail(&message.subject) else { continue };
                    TailEvent::Entry { agent: agent.to_owned(), bytes: message.payload }
                }
                FeedEvent::Overflow | FeedEvent::Reconnected => TailEvent::Missed,
                FeedEvent::Refused(reason) => TailEvent::Refused { reason: reason.as_ref().to_owned() },
            });
        }
    }

    /// Ends the subscription and waits for its task.
    pub async fn close(self) {
        self.feed.close().await;
    }
}

impl ReportFeed {
    /// The next event; `None` after [`ReportEvent::Refused`]. Cancel safe.
    pub async fn next(&mut self) -> Option<ReportEvent> {
        loop {
            return Some(match self.feed.next().await? {
                FeedEvent::Message(message) => {
                    let Some(agent) = self.subjects.agent_of(&message.subject) else { continue };
                    ReportEvent::Report { agent: agent.to_owned(), bytes: message.payload }
                }
                FeedEvent::Overflow => ReportEvent::Overflow,
                FeedEvent::Reconnected => ReportEvent::Reconnected,
                FeedEvent::Refused(reason) => ReportEvent::Refused { reason: reason.as_ref().to_owned() },
            });
        }
    }

    /// Ends the subscription and waits for its task.
    pub async fn close(self) {
        self.feed.close().await;
    }
}
