//! Reading a lane back: its end, or a bounded range from a sequence.

use std::time::Duration;

use async_nats::{
    Message, StatusCode,
    header::{NATS_SEQUENCE, NATS_SUBJECT},
};
use bytes::Bytes;
use futures::StreamExt;
use tokio::time::{Instant, timeout_at};

use crate::{connect::Bus, request::RequestError, subjects::SubjectError};

#[cfg(test)]
mod tests;

/// Limit: messages of one [`Bus::read_from`].
const PAGE_MESSAGES_MAX: usize = 1024;

/// Limit: bytes that the server may send for one [`Bus::read_from`]; below its own bound for a slow client.
const PAGE_BYTES_MAX: usize = 8 << 20;

/// One stored message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredMessage {
    /// Sequence in the stream.
    pub sequence: u64,
    /// What was stored.
    pub bytes: Bytes,
}

/// Consecutive messages of one lane.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Page {
    /// Messages with rising sequences; may be fewer than asked for.
    pub messages: Vec<StoredMessage>,
    /// The server has nothing more after them, as far as it knew.
    pub at_end: bool,
}

/// A lane that could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The lane cannot be part of a subject.
    #[error(transparent)]
    Subject(#[from] SubjectError),
    /// The server did not answer, or not to this user; try again or check stream and rights.
    #[error("cannot read lane `{lane}`; check that the stream exists and this user may read it")]
    Unavailable {
        /// The lane.
        lane: String,
        /// What happened.
        source: RequestError,
    },
    /// The server answered something else than stored messages of this lane.
    #[error("unexpected answer while reading lane `{lane}`: {reason}; check the server's version and log")]
    Unexpected {
        /// The lane.
        lane: String,
        /// What it was.
        reason: String,
    },
}

impl Bus {
    /// The last message of a lane, `None` for an empty one.
    ///
    /// # Errors
    /// [`ReadError`]; it is safe to try again.
    pub async fn last(&self, lane: &str) -> Result<Option<StoredMessage>, ReadError> {
        let subject = self.subjects().log(lane)?;
        let api = format!("$JS.API.DIRECT.GET.{}.{subject}", self.subjects().stream());
        let answer = self.ask(&api, None, Bytes::new(), self.request_timeout()).await;
        let message = answer.map_err(|source| ReadError::Unavailable { lane: lane.to_owned(), source })?;
        match stored(message, &subject) {
            Answer::Stored(message) => Ok(Some(message)),
            Answer::End | Answer::Nothing => Ok(None),
            Answer::Other(reason) => Err(ReadError::Unexpected { lane: lane.to_owned(), reason }),
        }
    }

    /// Messages of a lane from `sequence` on (1 or 0 for the start), `max` at most (never more than 1,024
    /// messages or about 8 MiB at once). Ask again from the last sequence plus one until `at_end`.
    ///
    /// One round trip on a server of 2.11 or later, one for each message on an older one. Waits at most the
    /// bus's request time-out for each message.
    ///
    /// # Errors
    /// [`ReadError`]; it is safe to try again.
    pub async fn read_from(&self, lane: &str, sequence: u64, max: usize) -> Result<Page, ReadError> {
        let subject = self.subjects().log(lane)?;
        let api = format!("$JS.API.DIRECT.GET.{}", self.subjects().stream());
        let range = Range { lane, subject, api, max: max.clamp(1, PAGE_MESSAGES_MAX) };
        if self.server_at_least(2, 11, 0) {
            self.read_batch(&range, sequence.max(1)).await
        } else {
            self.read_singly(&range, sequence.max(1)).await
        }
    }

    async fn read_batch(&self, range: &Range<'_>, sequence: u64) -> Result<Page, ReadError> {
        let wait = self.request_timeout();
        let client = &self.inner.client;
        let inbox = client.new_inbox();
        let failed =
            |reason: String| range.unavailable(RequestError::NotSent { subject: range.api.clone(), reason });
        let timed_out =
            || range.unavailable(RequestError::TimedOut { subject: range.api.clone(), waited: wait });
        let ask = serde_json::json!({
            "seq": sequence, "next_by_subj": range.subject, "batch": range.max, "max_bytes": PAGE_BYTES_MAX,
        });
        let sent = async {
            let answers = client.subscribe(inbox.clone()).await.map_err(|error| failed(error.to_string()))?;
            client
                .publish_with_reply(range.api.clone(), inbox, ask.to_string().into())
                .await
                .map_err(|error| failed(error.to_string()))?;
            Ok::<_, ReadError>(answers)
        };
        let mut answers = timeout_at(deadline(wait), sent).await.map_err(|_| timed_out())??;
        let mut page = Page::default();
        loop {
            let answer = timeout_at(deadline(wait), answers.next()).await;
            let Ok(Some(message)) = answer else { return Err(timed_out()) };
            let pending = pending(&message);
            match stored(message, &range.subject) {
                Answer::Stored(message) => page.push(message, range)?,
                Answer::End => {
                    page.at_end = pending.is_none_or(|pending| pending == 0);
                    return Ok(page);
                }
                Answer::Nothing => {
                    page.at_end = true;
                    return Ok(page);
                }
                Answer::Other(reason) => return Err(range.unexpected(reason)),
            }
        }
    }

    async fn read_singly(&self, range: &Range<'_>, mut sequence: u64) -> Result<Page, ReadError> {
        let mut page = Page::default();
        let mut bytes = 0_usize;
        while page.messages.len() < range.max && bytes < PAGE_BYTES_MAX {
            let ask = serde_json::json!({ "seq": sequence, "next_by_subj": range.subject });
            let answer = self.ask(&range.api, None, ask.to_string().into(), self.request_timeout()).await;
            match stored(answer.map_err(|source| range.unavailable(source))?, &range.subject) {
                Answer::Stored(message) => {
                    sequence = message.sequence.saturating_add(1);
                    bytes = bytes.saturating_add(message.bytes.len());
                    page.push(message, range)?;
                }
                Answer::End | Answer::Nothing => {
                    page.at_end = true;
                    return Ok(page);
                }
                Answer::Other(reason) => return Err(range.unexpected(reason)),
            }
        }
        Ok(page)
    }
}

/// What is read.
struct Range<'a> {
    lane: &'a str,
    subject: String,
    api: String,
    max: usize,
}

impl Range<'_> {
    fn unavailable(&self, source: RequestError) -> ReadError {
        ReadError::Unavailable { lane: self.lane.to_owned(), source }
    }

    fn unexpected(&self, reason: String) -> ReadError {
        ReadError::Unexpected { lane: self.lane.to_owned(), reason }
    }
}

impl Page {
    fn push(&mut self, message: StoredMessage, range: &Range<'_>) -> Result<(), ReadError> {
        let rising = self.messages.last().is_none_or(|last| last.sequence < message.sequence);
        if !rising || self.messages.len() >= range.max {
            return Err(range.unexpected("more messages than asked for, or out of order".to_owned()));
        }
        self.messages.push(message);
        Ok(())
    }
}

/// What one answer of direct get is.
enum Answer {
    Stored(StoredMessage),
    /// End of a batch.
    End,
    /// No such message.
    Nothing,
    Other(String),
}

fn stored(message: Message, subject: &str) -> Answer {
    match message.status.map(|status| status.as_u16()) {
        Some(204) => return Answer::End,
        Some(404) => return Answer::Nothing,
        Some(503) => return Answer::Other("no stream answers direct reads".to_owned()),
        Some(status) if message.status != Some(StatusCode::OK) => {
            return Answer::Other(format!("status {status} {}", message.description.unwrap_or_default()));
        }
        Some(_) | None => {}
    }
    let header =
        |name| message.headers.as_ref().and_then(|headers| headers.get(name)).map(|value| value.as_str());
    let sequence = header(NATS_SEQUENCE).and_then(|text| text.parse().ok());
    match sequence {
        Some(sequence) if header(NATS_SUBJECT) == Some(subject) => {
            Answer::Stored(StoredMessage { sequence, bytes: message.payload })
        }
        Some(_) | None => Answer::Other("a message without sequence or of another subject".to_owned()),
    }
}

/// How many messages follow, from the end of a batch.
fn pending(message: &Message) -> Option<u64> {
    message.headers.as_ref()?.get("Nats-Num-Pending")?.as_str().parse().ok()
}

fn deadline(wait: Duration) -> Instant {
    Instant::now() + wait
}
