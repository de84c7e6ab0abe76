//! The live lanes: what the server repeats right after storing it.

use bytes::Bytes;

use crate::{
    connect::Bus,
    feed::{Feed, FeedEvent, FeedLimits, SubscribeError},
    subjects::Subjects,
};

/// What a live feed delivers, in the order of arrival; an `Overflow` may come earlier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LiveEvent {
    /// Something was published on a lane. Whether it is genuine, new and the next one is for the reader to
    /// find out.
    Message {
        /// Lane, for example `deny` or `grant.0`.
        lane: String,
        /// What was published.
        bytes: Bytes,
    },
    /// Messages were dropped because nobody read; treat it as a gap.
    Overflow,
    /// The connection was lost and made again; what was published meanwhile is missing.
    Reconnected,
    /// The server does not let this user listen; nothing follows.
    Refused {
        /// What the server said.
        reason: String,
    },
}

/// A subscription to live lanes; dropping it ends the subscription.
#[derive(Debug)]
pub struct LiveFeed {
    feed: Feed,
    subjects: Subjects,
}

impl Bus {
    /// Listens to lanes, or to all of them when `lanes` is empty.
    ///
    /// Everything that this connection asks for after the call is asked for after the server began to
    /// deliver: subscribe first, then fetch what lies before. Use one feed per class of lanes (denies,
    /// grants), so that a flood of one cannot push out the other.
    ///
    /// # Errors
    /// [`SubscribeError`] for a wrong lane, more than 32 lanes, or a connection that takes no commands. A
    /// user without the right to listen sees [`LiveEvent::Refused`].
    pub async fn subscribe_live(
        &self,
        lanes: &[&str],
        limits: FeedLimits,
    ) -> Result<LiveFeed, SubscribeError> {
        let names = self.subjects();
        let subjects = if lanes.is_empty() {
            vec![names.live_all()]
        } else {
            lanes.iter().map(|lane| names.live(lane)).collect::<Result<_, _>>()?
        };
        let feed = Feed::open(self, subjects, None, limits).await?;
        Ok(LiveFeed { feed, subjects: names.clone() })
    }
}

impl LiveFeed {
    /// The next event; waits without end, since silence is for the reader to judge. `None` after
    /// [`LiveEvent::Refused`]. Cancel safe.
    pub async fn next(&mut self) -> Option<LiveEvent> {
        loop {
            return Some(match self.feed.next().await? {
                FeedEvent::Message(message) => {
                    let Some(lane) = self.subjects.lane_of(&message.subject) else { continue };
                    LiveEvent::Message { lane: lane.to_owned(), bytes: message.payload }
                }
                FeedEvent::Overflow => LiveEvent::Overflow,
                FeedEvent::Reconnected => LiveEvent::Reconnected,
                FeedEvent::Refused(reason) => LiveEvent::Refused { reason: reason.as_ref().to_owned() },
            });
        }
    }

    /// Ends the subscription and waits for its task.
    pub async fn close(self) {
        self.feed.close().await;
    }
}
