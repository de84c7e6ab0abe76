//! Appending to a lane with compare-and-set.
//!
//! A publish ends in one of three ways: stored, certainly not stored, or unknown. Unknown is never guessed
//! away; [`Bus::read_from`] settles it, because a message that "timed out" may still be stored later.

use std::time::Duration;

use async_nats::{
    HeaderMap, HeaderValue, Message,
    header::{NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, NATS_EXPECTED_STREAM, NATS_MESSAGE_ID, NATS_MESSAGE_TTL},
    jetstream::{ErrorCode, publish::PublishAck, response::Response},
};
use bytes::Bytes;
use tokio::time::{Instant, timeout_at};

use crate::{
    connect::{Bus, Connection},
    request::RequestError,
    subjects::SubjectError,
};

#[cfg(test)]
mod tests;

/// Limit: longest message id; they are hashes or random numbers.
const MESSAGE_ID_BYTES_MAX: usize = 128;

/// Longest time between two looks at the connection while it is down.
const LINK_LOOK: Duration = Duration::from_millis(50);

/// One thing to append.
#[derive(Debug, Clone)]
pub struct Publication<'a> {
    /// Lane, for example `deny`.
    pub lane: &'a str,
    /// What to store.
    pub bytes: Bytes,
    /// The stream sequence of the lane's last message, 0 for none yet; `None` appends whatever is last.
    pub expected_last: Option<u64>,
    /// The server drops a second message with the same id within its duplicate window.
    pub message_id: &'a str,
    /// The server forgets the message after this time, rounded up to whole seconds; `None` keeps it. A
    /// server before 2.11 keeps it anyway (see [`crate::StreamReport::message_ttl`]). Once it is gone, the
    /// lane's last sequence is that of the message before it, 0 if there is none.
    pub ttl: Option<Duration>,
    /// How long to wait for the acknowledgement.
    pub deadline: Duration,
}

/// A message that the server has acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stored {
    /// Its sequence in the stream: a cursor, not a proof.
    pub sequence: u64,
    /// The server had it already under the same message id; `sequence` is that of the first one.
    pub duplicate: bool,
}

/// Why a message was certainly not stored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RefusedReason {
    /// The stream or the server's store has no room.
    #[error("no room: {0}; enlarge max_bytes or the disk")]
    Full(String),
    /// This user may not publish there.
    #[error("no permission: {0}; correct the user's permissions")]
    Permission(String),
    /// Larger than the server or the stream accepts.
    #[error("too large: {0}; send less or raise max_payload")]
    TooLarge(String),
    /// No stream takes the subject, or JetStream is not ready.
    #[error("no stream listens; create it or wait for the server")]
    NoStream,
    /// There was no connection up to the deadline, and nothing was handed to the client.
    #[error("not connected; try again when the link is up")]
    NotConnected,
    /// The lane, message id or time to live is wrong.
    #[error("{0}")]
    Invalid(String),
    /// The server gave another definite reason.
    #[error("{0}")]
    Server(String),
}

/// A message that was not acknowledged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// Something else was appended meanwhile: somebody else writes, or an earlier unknown publish was stored.
    #[error("lane `{lane}` is not at the expected sequence {expected}; read the lane before writing again")]
    Conflict {
        /// The lane.
        lane: String,
        /// What was expected.
        expected: u64,
        /// What the server has, if it said so.
        found: Option<u64>,
    },
    /// Certainly not stored.
    #[error("publish on lane `{lane}` refused: {reason}")]
    Refused {
        /// The lane.
        lane: String,
        /// Why.
        reason: RefusedReason,
    },
    /// May have been stored, or may be stored later; read the lane before doing anything else.
    #[error("publish on lane `{lane}` has an unknown outcome ({reason}); read the lane to settle it")]
    Indeterminate {
        /// The lane.
        lane: String,
        /// What happened.
        reason: String,
    },
}

impl Bus {
    /// Appends to a lane and waits for the server's acknowledgement.
    ///
    /// Takes `&self`: several lanes, or several messages where the caller knows the sequences, may be under
    /// way at once.
    ///
    /// # Errors
    /// [`PublishError::Conflict`] when the lane is not where it was expected, [`PublishError::Refused`] when
    /// it is certain that nothing was stored, [`PublishError::Indeterminate`] otherwise. Cancelling the call
    /// is like an indeterminate end.
    pub async fn publish(&self, what: Publication<'_>) -> Result<Stored, PublishError> {
        let end = Instant::now() + what.deadline;
        let lane = what.lane;
        let refused = |reason| PublishError::Refused { lane: lane.to_owned(), reason };
        let invalid = |error: SubjectError| refused(RefusedReason::Invalid(error.to_string()));
        let subject = self.subjects().log(lane).map_err(invalid)?;
        let headers = headers(&what, self.subjects().stream())
            .map_err(|reason| refused(RefusedReason::Invalid(reason)))?;
        self.wait_up(end).await.map_err(|()| refused(RefusedReason::NotConnected))?;
        let left = end.saturating_duration_since(Instant::now());
        let sent_on = self.connection();
        let unknown = |reason: String| PublishError::Indeterminate { lane: lane.to_owned(), reason };
        match self.ask(&subject, Some(headers), what.bytes, left).await {
            Ok(message) => {
                let judged = judge(&message, lane, what.expected_last);
                on_one_connection(judged, &sent_on, &self.connection(), lane)
            }
            Err(RequestError::NoResponders { .. }) => Err(refused(RefusedReason::NoStream)),
            Err(RequestError::Refused { reason, .. }) => Err(refused(RefusedReason::Permission(reason))),
            Err(RequestError::NotSent { reason, .. }) => Err(refused(RefusedReason::TooLarge(reason))),
            Err(
                error @ (RequestError::TimedOut { .. }
                | RequestError::Disconnected { .. }
                | RequestError::Remote { .. }
                | RequestError::TooLarge { .. }
                | RequestError::Broken { .. }),
            ) => Err(unknown(error.to_string())),
        }
    }

    /// Waits for a connection. Why: what is handed to the client while it is down is sent after the
    /// reconnect, so the outcome would be unknown where it can be certain.
    async fn wait_up(&self, end: Instant) -> Result<(), ()> {
        let mut link = self.link();
        loop {
            if self.is_up() {
                return Ok(());
            }
            // Why with a pause: the events that feed `link` may lag behind the client's own state.
            let next = end.min(Instant::now() + LINK_LOOK);
            if timeout_at(next, link.changed()).await.is_err() && next == end {
                return Err(());
            }
        }
    }
}

/// The headers of a publish, or what is wrong with it.
fn headers(what: &Publication<'_>, stream: String) -> Result<HeaderMap, String> {
    let id = what.message_id;
    if id.is_empty() || id.len() > MESSAGE_ID_BYTES_MAX || !id.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(format!("the message id is not 1 to {MESSAGE_ID_BYTES_MAX} printable characters"));
    }
    let mut headers = HeaderMap::new();
    headers.insert(NATS_MESSAGE_ID, HeaderValue::from(id));
    headers.insert(NATS_EXPECTED_STREAM, HeaderValue::from(stream));
    if let Some(expected) = what.expected_last {
        headers.insert(NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, HeaderValue::from(expected));
    }
    if let Some(ttl) = what.ttl {
        let seconds = ttl.as_secs().saturating_add(u64::from(ttl.subsec_nanos() > 0)).max(1);
        headers.insert(NATS_MESSAGE_TTL, HeaderValue::from(format!("{seconds}s")));
    }
    Ok(headers)
}

/// An acknowledgement counts only on the connection on which the message left.
///
/// Why: what is under way when a connection ends may be sent again by the client on the next one. By then the
/// store may have gone back and been filled again, sequences and all, so that the compare-and-set passes
/// although somebody else has written (S13). Only the lane tells what stands before the message.
fn on_one_connection(
    judged: Result<Stored, PublishError>,
    before: &Connection,
    after: &Connection,
    lane: &str,
) -> Result<Stored, PublishError> {
    if judged.is_ok() && before != after {
        let reason = "the connection changed while it was under way; read the lane".to_owned();
        return Err(PublishError::Indeterminate { lane: lane.to_owned(), reason });
    }
    judged
}

/// Reads the server's acknowledgement.
fn judge(message: &Message, lane: &str, expected: Option<u64>) -> Result<Stored, PublishError> {
    let lane = lane.to_owned();
    match serde_json::from_slice::<Response<PublishAck>>(&message.payload) {
        Ok(Response::Ok(ack)) => Ok(Stored { sequence: ack.sequence, duplicate: ack.duplicate }),
        Ok(Response::Err { error }) => {
            let text = error.to_string();
            if matches!(
                error.error_code(),
                ErrorCode::STREAM_WRONG_LAST_SEQUENCE | ErrorCode::STREAM_WRONG_LAST_SEQUENCE_CONSTANT
            ) {
                let expected = expected.unwrap_or_default();
                return Err(PublishError::Conflict { lane, expected, found: found_sequence(&text) });
            }
            Err(match refusal(error.error_code(), error.code(), &text) {
                Some(reason) => PublishError::Refused { lane, reason },
                None => PublishError::Indeterminate { lane, reason: text },
            })
        }
        Err(_) => {
            Err(PublishError::Indeterminate { lane, reason: "the acknowledgement is unreadable".to_owned() })
        }
    }
}

/// Whether an error of the server means that nothing was stored; `None` when that is not certain.
fn refusal(error: ErrorCode, status: usize, text: &str) -> Option<RefusedReason> {
    let owned = || text.to_owned();
    match error {
        ErrorCode::ACCOUNT_RESOURCES_EXCEEDED
        | ErrorCode::INSUFFICIENT_RESOURCES
        | ErrorCode::STORAGE_RESOURCES_EXCEEDED
        | ErrorCode::MEMORY_RESOURCES_EXCEEDED => Some(RefusedReason::Full(owned())),
        ErrorCode::STREAM_MESSAGE_EXCEEDS_MAXIMUM | ErrorCode::STREAM_HEADER_EXCEEDS_MAXIMUM => {
            Some(RefusedReason::TooLarge(owned()))
        }
        // Why by text: the same code stands for a limit that was checked and for a disk that failed half way.
        ErrorCode::STREAM_STORE_FAILED if text.contains("maximum") && text.contains("exceeded") => {
            Some(RefusedReason::Full(owned()))
        }
        _ if (400..500).contains(&status) => Some(RefusedReason::Server(owned())),
        _ => None,
    }
}

/// The sequence in `wrong last sequence: 7 (code ...)`.
fn found_sequence(text: &str) -> Option<u64> {
    text.split_once("sequence:")?.1.split_whitespace().next()?.parse().ok()
}
