//! Asking: one answer, or an answer in parts.
//!
//! An answer in parts carries `Rescind-Part: <server> <index>` on each part and ends with
//! `Rescind-End: <server> <count>`. Several servers may answer the same request: the parts of the first one
//! that sends any are taken, the others are ignored. An error is `Rescind-Error: <code> <text>`.

use std::{sync::Arc, time::Duration};

use async_nats::{HeaderMap, Message, Request, RequestErrorKind, StatusCode, Subscriber};
use bytes::Bytes;
use futures::StreamExt;
use tokio::{
    sync::broadcast,
    time::{Instant, timeout, timeout_at},
};

use crate::{connect::Bus, link};

#[cfg(test)]
mod tests;

/// Header of one part of an answer.
pub(crate) const PART_HEADER: &str = "Rescind-Part";

/// Header of the end of an answer in parts.
pub(crate) const END_HEADER: &str = "Rescind-End";

/// Header of an answer that is an error.
pub(crate) const ERROR_HEADER: &str = "Rescind-Error";

/// Limit: parts of one answer; half of the buffer of a subscription.
pub(crate) const PARTS_MAX: usize = 4096;

/// Limit: how long another server may still answer after one said no.
const ERROR_GRACE: Duration = Duration::from_millis(200);

/// A request without a good answer.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// Nobody serves the subject right now.
    #[error("nobody answers on `{subject}`; start a controller or try again")]
    NoResponders {
        /// The subject.
        subject: String,
    },
    /// No answer, or no further part, in time.
    #[error("no answer on `{subject}` within {waited:?}; try again")]
    TimedOut {
        /// The subject.
        subject: String,
        /// How long was waited for it.
        waited: Duration,
    },
    /// The connection was lost while waiting; the request may have been served.
    #[error("the connection was lost while waiting on `{subject}`; try again")]
    Disconnected {
        /// The subject.
        subject: String,
    },
    /// The server that answered said no.
    #[error("the request on `{subject}` was refused: {code} {text}")]
    Remote {
        /// The subject.
        subject: String,
        /// The code of the answer.
        code: u16,
        /// The text of the answer; printable ASCII.
        text: String,
    },
    /// This user may not publish there.
    #[error("not allowed to ask on `{subject}`: {reason}; correct the user's permissions")]
    Refused {
        /// The subject.
        subject: String,
        /// What the server said.
        reason: String,
    },
    /// The answer is larger than asked for; ask for less.
    #[error("the answer on `{subject}` exceeds {parts_max} parts or {bytes_max} bytes; ask for less at once")]
    TooLarge {
        /// The subject.
        subject: String,
        /// Parts that were allowed.
        parts_max: usize,
        /// Bytes that were allowed.
        bytes_max: usize,
    },
    /// A part is missing or out of order; try again.
    #[error("the answer on `{subject}` lacks a part; try again")]
    Broken {
        /// The subject.
        subject: String,
    },
    /// The request itself was not sent.
    #[error("the request on `{subject}` was not sent: {reason}; check its size and the connection")]
    NotSent {
        /// The subject.
        subject: String,
        /// What the client said.
        reason: String,
    },
}

/// A request for an answer in parts, with its limits.
#[derive(Debug, Clone)]
pub struct Parts {
    /// Where to ask.
    pub subject: String,
    /// What to ask.
    pub payload: Bytes,
    /// Most parts to take; never more than 4,096.
    pub parts_max: usize,
    /// Most bytes to take, over all parts.
    pub bytes_max: usize,
    /// Longest wait for the first and for every further part.
    pub part_timeout: Duration,
}

impl Bus {
    /// Asks and waits for one answer, `wait` at most.
    ///
    /// # Errors
    /// [`RequestError`]; where several servers answer, the first answer counts, also an error.
    pub async fn request(
        &self,
        subject: &str,
        payload: Bytes,
        wait: Duration,
    ) -> Result<Bytes, RequestError> {
        let message = self.ask(subject, None, payload, wait).await?;
        match remote_error(&message, subject) {
            Some(error) => Err(error),
            None => Ok(message.payload),
        }
    }

    /// Asks and collects an answer in parts, in order.
    ///
    /// # Errors
    /// [`RequestError`]; nothing of a broken or too large answer is given out.
    pub async fn request_many(&self, ask: Parts) -> Result<Vec<Bytes>, RequestError> {
        let mut refusals = self.inner.link.refusals();
        let mut signals = self.inner.link.signals();
        let losses = signals.borrow().losses;
        let client = &self.inner.client;
        let inbox = client.new_inbox();
        let not_sent = |reason: String| RequestError::NotSent { subject: ask.subject.clone(), reason };
        let sent = async {
            let answers =
                client.subscribe(inbox.clone()).await.map_err(|error| not_sent(error.to_string()))?;
            client
                .publish_with_reply(ask.subject.clone(), inbox, ask.payload.clone())
                .await
                .map_err(|error| not_sent(error.to_string()))?;
            Ok(answers)
        };
        let answers = timeout(self.request_timeout(), sent)
            .await
            .map_err(|_| not_sent("the connection takes no commands".to_owned()))??;
        tokio::select! {
            reason = link::refused(&mut refusals, &ask.subject) => {
                Err(RequestError::Refused { subject: ask.subject.clone(), reason: reason.as_ref().to_owned() })
            }
            () = link::lost(&mut signals, losses) => {
                Err(RequestError::Disconnected { subject: ask.subject.clone() })
            }
            parts = collect(answers, &ask) => parts,
        }
    }

    /// Waits until the server has handled everything that this connection sent before.
    ///
    /// Needs the right to publish below the own reply prefix.
    ///
    /// # Errors
    /// [`RequestError::TimedOut`], or [`RequestError::Refused`] for a user without that right.
    pub async fn round_trip(&self, wait: Duration) -> Result<(), RequestError> {
        let subject = self.inner.client.new_inbox();
        match self.ask(&subject, None, Bytes::new(), wait).await {
            Ok(_) | Err(RequestError::NoResponders { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// One message out, one message back. A refusal of the subject by the server ends the wait at once.
    pub(crate) async fn ask(
        &self,
        subject: &str,
        headers: Option<HeaderMap>,
        payload: Bytes,
        wait: Duration,
    ) -> Result<Message, RequestError> {
        let mut refusals: broadcast::Receiver<Arc<str>> = self.inner.link.refusals();
        let mut signals = self.inner.link.signals();
        let losses = signals.borrow().losses;
        let mut request = Request::new().payload(payload).timeout(Some(wait));
        if let Some(headers) = headers {
            request = request.headers(headers);
        }
        let named = || subject.to_owned();
        // Why twice: the client's own time-out begins only after the command was queued.
        let answer = timeout(wait, self.inner.client.send_request(named(), request));
        let answer = tokio::select! {
            answer = answer => answer.map_err(|_| RequestError::TimedOut { subject: named(), waited: wait })?,
            reason = link::refused(&mut refusals, subject) => {
                return Err(RequestError::Refused { subject: named(), reason: reason.as_ref().to_owned() });
            }
            () = link::lost(&mut signals, losses) => {
                return Err(RequestError::Disconnected { subject: named() });
            }
        };
        answer.map_err(|error| match error.kind() {
            RequestErrorKind::TimedOut => RequestError::TimedOut { subject: named(), waited: wait },
            RequestErrorKind::NoResponders => RequestError::NoResponders { subject: named() },
            RequestErrorKind::InvalidSubject | RequestErrorKind::MaxPayloadExceeded => {
                RequestError::NotSent { subject: named(), reason: error.to_string() }
            }
            // Why: the connection ended after the request may have left.
            RequestErrorKind::Other => RequestError::Disconnected { subject: named() },
        })
    }
}

/// An answer in the making.
struct Assembly<'a> {
    ask: &'a Parts,
    server: Option<String>,
    parts: Vec<Bytes>,
    bytes: usize,
}

impl Assembly<'_> {
    /// Takes one message of the answer; `true` when the answer is complete.
    fn take(&mut self, message: Message) -> Result<bool, RequestError> {
        let Some(Part { is_end, server, number }) = Part::of(&message) else { return Ok(false) };
        if self.server.as_deref().unwrap_or(&server) != server {
            return Ok(false);
        }
        self.server = Some(server);
        if number != self.parts.len() {
            return Err(RequestError::Broken { subject: self.ask.subject.clone() });
        }
        if is_end {
            return Ok(true);
        }
        self.bytes = self.bytes.saturating_add(message.payload.len());
        let parts_max = self.ask.parts_max.min(PARTS_MAX);
        if self.parts.len() >= parts_max || self.bytes > self.ask.bytes_max {
            let (subject, bytes_max) = (self.ask.subject.clone(), self.ask.bytes_max);
            return Err(RequestError::TooLarge { subject, parts_max, bytes_max });
        }
        self.parts.push(message.payload);
        Ok(false)
    }
}

async fn collect(mut answers: Subscriber, ask: &Parts) -> Result<Vec<Bytes>, RequestError> {
    let mut assembly = Assembly { ask, server: None, parts: Vec::new(), bytes: 0 };
    let mut said_no: Option<RequestError> = None;
    let mut deadline = Instant::now() + ask.part_timeout;
    loop {
        let timed_out = || RequestError::TimedOut { subject: ask.subject.clone(), waited: ask.part_timeout };
        let message = match timeout_at(deadline, answers.next()).await {
            Ok(Some(message)) => message,
            Ok(None) | Err(_) => return Err(said_no.unwrap_or_else(timed_out)),
        };
        if message.status == Some(StatusCode::NO_RESPONDERS) {
            return Err(RequestError::NoResponders { subject: ask.subject.clone() });
        }
        if let Some(error) = remote_error(&message, &ask.subject) {
            if assembly.server.is_none() && said_no.is_none() {
                said_no = Some(error);
                deadline = deadline.min(Instant::now() + ERROR_GRACE);
            }
            continue;
        }
        let before = assembly.parts.len();
        if assembly.take(message)? {
            return Ok(assembly.parts);
        }
        if assembly.parts.len() > before {
            deadline = Instant::now() + ask.part_timeout;
        }
    }
}

/// Which part of whose answer a message is.
pub(crate) struct Part {
    pub(crate) is_end: bool,
    pub(crate) server: String,
    pub(crate) number: usize,
}

impl Part {
    /// `None` for anything else.
    pub(crate) fn of(message: &Message) -> Option<Self> {
        let headers = message.headers.as_ref()?;
        let (is_end, value) = match (headers.get(PART_HEADER), headers.get(END_HEADER)) {
            (Some(value), None) => (false, value),
            (None, Some(value)) => (true, value),
            (Some(_), Some(_)) | (None, None) => return None,
        };
        let (server, number) = value.as_str().split_once(' ')?;
        Some(Self { is_end, server: server.to_owned(), number: number.parse().ok()? })
    }
}

/// The error that an answer carries.
fn remote_error(message: &Message, subject: &str) -> Option<RequestError> {
    let line = message.headers.as_ref()?.get(ERROR_HEADER)?.as_str();
    let (code, text) = line.split_once(' ').unwrap_or((line, ""));
    // Why cleaned again: anybody who serves the subject wrote it.
    let line = crate::serve::error_line(code.parse().unwrap_or(0), text);
    let text = line.split_once(' ').map_or("", |(_, text)| text).to_owned();
    Some(RequestError::Remote { subject: subject.to_owned(), code: code.parse().unwrap_or(0), text })
}
