//! Answering requests: lease, repair, snapshot and directives.

use async_nats::{HeaderMap, HeaderValue, Subject};
use bytes::Bytes;
use tokio::time::timeout;

use crate::{
    connect::Bus,
    feed::{Feed, FeedEvent, FeedLimits, SubscribeError},
    request::{END_HEADER, ERROR_HEADER, PART_HEADER, PARTS_MAX},
};

/// Limit: bytes of an error text in a header.
const ERROR_BYTES_MAX: usize = 256;

/// An answer that was not sent.
#[derive(Debug, thiserror::Error)]
pub enum RespondError {
    /// The sender waits for no answer.
    #[error("the request carries no reply subject, so nothing can be answered; ignore the request")]
    NoReply,
    /// Too many parts; the receiver would refuse them.
    #[error("an answer has at most {PARTS_MAX} parts; let the requester ask for the rest in another request")]
    TooManyParts,
    /// The client did not take it.
    #[error("the answer was not sent; check its size and the connection")]
    Failed {
        /// What the client said, `None` for a time-out.
        source: Option<async_nats::PublishError>,
    },
}

/// A request from anybody who may publish to the subject.
#[derive(Debug)]
pub struct Incoming {
    /// What was sent; not verified.
    pub payload: Bytes,
    /// For the answer.
    pub responder: Responder,
}

/// Answers one request: either [`Responder::send`] or [`Responder::fail`], or any number of
/// [`Responder::send_part`] and then [`Responder::end`].
#[derive(Debug)]
pub struct Responder {
    bus: Bus,
    reply: Option<Subject>,
    server: String,
    parts: usize,
}

/// Requests of one subject; dropping it ends the service.
#[derive(Debug)]
pub struct Requests {
    feed: Feed,
    bus: Bus,
    /// Tells the parts of several servers apart.
    server: String,
    overflows: u64,
    refusal: Option<String>,
}

impl Bus {
    /// Serves requests on `subject`.
    ///
    /// With a queue group one member gets each request; without one all servers do, and the requester takes
    /// the first good answer. Requests beyond `limits` are dropped: the requester sees a time-out and asks
    /// again.
    ///
    /// # Errors
    /// [`SubscribeError`] for a connection that takes no commands.
    pub async fn serve(
        &self,
        subject: String,
        queue_group: Option<&str>,
        limits: FeedLimits,
    ) -> Result<Requests, SubscribeError> {
        let feed = Feed::open(self, vec![subject], queue_group, limits).await?;
        let inbox = self.inner.client.new_inbox();
        let server = inbox.rsplit('.').next().unwrap_or_default().to_owned();
        Ok(Requests { feed, bus: self.clone(), server, overflows: 0, refusal: None })
    }
}

impl Requests {
    /// The next request; `None` when the server refused the subscription (see [`Requests::refusal`]) or the
    /// connection is closed. Cancel safe.
    pub async fn next(&mut self) -> Option<Incoming> {
        loop {
            match self.feed.next().await? {
                FeedEvent::Message(message) => {
                    let responder = Responder {
                        bus: self.bus.clone(),
                        reply: message.reply,
                        server: self.server.clone(),
                        parts: 0,
                    };
                    return Some(Incoming { payload: message.payload, responder });
                }
                FeedEvent::Overflow => self.overflows += 1,
                FeedEvent::Reconnected => {}
                FeedEvent::Refused(reason) => {
                    self.refusal = Some(reason.as_ref().to_owned());
                    return None;
                }
            }
        }
    }

    /// How often requests had to be dropped because they were not read fast enough.
    #[must_use]
    pub fn overflows(&self) -> u64 {
        self.overflows
    }

    /// What the server said when it refused the subscription.
    #[must_use]
    pub fn refusal(&self) -> Option<&str> {
        self.refusal.as_deref()
    }

    /// Ends the service, waits for its task and until the answers have left (5 s at most).
    ///
    /// Why not only dropping it: with the last handle the connection ends, and takes answers with it that
    /// are still queued.
    pub async fn close(self) {
        self.feed.close().await;
        self.bus.flush().await;
    }
}

impl Responder {
    /// Whether the sender waits for an answer.
    #[must_use]
    pub fn wants_answer(&self) -> bool {
        self.reply.is_some()
    }

    /// Sends the whole answer.
    ///
    /// # Errors
    /// [`RespondError`]; the requester asks again.
    pub async fn send(self, bytes: Bytes) -> Result<(), RespondError> {
        self.publish(HeaderMap::new(), bytes).await
    }

    /// Sends an error; control characters in `text` are replaced and it is cut to 256 bytes.
    ///
    /// # Errors
    /// [`RespondError`]; the requester sees a time-out instead.
    pub async fn fail(self, code: u16, text: &str) -> Result<(), RespondError> {
        let mut headers = HeaderMap::new();
        headers.insert(ERROR_HEADER, HeaderValue::from(error_line(code, text)));
        self.publish(headers, Bytes::new()).await
    }

    /// Sends the next part of an answer.
    ///
    /// # Errors
    /// [`RespondError::TooManyParts`] after 4,096 parts; otherwise give the answer up, the requester notices
    /// the missing part.
    pub async fn send_part(&mut self, bytes: Bytes) -> Result<(), RespondError> {
        if self.parts >= PARTS_MAX {
            return Err(RespondError::TooManyParts);
        }
        let mut headers = HeaderMap::new();
        headers.insert(PART_HEADER, HeaderValue::from(format!("{} {}", self.server, self.parts)));
        self.parts += 1;
        self.publish(headers, bytes).await
    }

    /// Ends an answer of parts; it may have none.
    ///
    /// # Errors
    /// [`RespondError`]; the requester sees a time-out.
    pub async fn end(self) -> Result<(), RespondError> {
        let mut headers = HeaderMap::new();
        headers.insert(END_HEADER, HeaderValue::from(format!("{} {}", self.server, self.parts)));
        self.publish(headers, Bytes::new()).await
    }

    async fn publish(&self, headers: HeaderMap, bytes: Bytes) -> Result<(), RespondError> {
        let reply = self.reply.clone().ok_or(RespondError::NoReply)?;
        let client = &self.bus.inner.client;
        let sent = async {
            if headers.is_empty() {
                client.publish(reply, bytes).await
            } else {
                client.publish_with_headers(reply, headers, bytes).await
            }
        };
        timeout(self.bus.request_timeout(), sent)
            .await
            .map_err(|_| RespondError::Failed { source: None })?
            .map_err(|source| RespondError::Failed { source: Some(source) })
    }
}

/// `<code> <text>` on one line of printable ASCII.
pub(crate) fn error_line(code: u16, text: &str) -> String {
    let printable = |c: char| if c.is_ascii_graphic() || c == ' ' { c } else { '?' };
    let text: String = text.chars().map(printable).take(ERROR_BYTES_MAX).collect();
    format!("{code} {text}")
}
