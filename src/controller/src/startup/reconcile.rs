//! Brings one lane of the stream in line with its log: takes what the stream has more, publishes again what it
//! lacks.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rescind_bus::{Publication, PublishError};
use rescind_codec::{LogItem, decode_log_message};
use rescind_core::position::{Lane, Revision};
use rescind_core::time::UnixMs;

use crate::clock;
use crate::follow::{FollowError, FollowParts, Followed, From, follow};
use crate::store::StoreError;
use crate::wal::{Confirmed, LoggedEntry, ReadLimits};

/// How much of the log is read at once.
const LOG_PAGE: ReadLimits = ReadLimits { entries: 64, bytes: 16 << 20 };
/// Limit: one publish.
const PUBLISH_WAIT: Duration = Duration::from_secs(10);
/// Limit: times that somebody else was in the way.
const ROUNDS_MAX: usize = 4;

/// A lane of the stream that is in line with its log.
#[derive(Debug)]
pub(crate) struct Reconciled {
    /// What was found on the way.
    pub(crate) followed: Followed,
    /// Sequence of the lane's last message, which the next append names.
    pub(crate) tail: u64,
    /// The newest entry and where it is stored; `None`: there is none, or the stream let it go by age.
    pub(crate) confirmed: Option<Confirmed>,
    /// Entries that were published again.
    pub(crate) republished: u64,
}

/// What is compared.
#[derive(Clone, Copy)]
pub(crate) struct Comparison<'a> {
    pub(crate) parts: FollowParts<'a>,
    /// What the stream forgets by age.
    pub(crate) max_age: Option<Duration>,
    /// Random, for message ids.
    pub(crate) boot: u128,
}

/// Why a lane is not in line; nothing was lost, try again.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReconcileError {
    #[error(transparent)]
    Follow(#[from] FollowError),
    #[error("cannot publish again what the stream lacks: {0}")]
    Publish(String),
    #[error("somebody else appends to the lane")]
    Contended,
}

/// Brings one lane in line.
pub(crate) async fn reconcile(what: Comparison<'_>) -> Result<Reconciled, ReconcileError> {
    let log = what.parts.log;
    let lane = log.lane();
    let walk = Walk { what, lane, name: lane.to_string() };
    let mut republished = 0;
    let mut all = Followed::default();
    for _ in 0..ROUNDS_MAX {
        let followed = follow(what.parts, From::Confirmed).await?;
        let is_over = followed.stop.is_none() && !followed.is_cut_short;
        all.merge(followed);
        if all.stop.is_some() {
            return Ok(Reconciled { tail: all.tail, confirmed: all.newest, republished, followed: all });
        }
        if !is_over {
            continue;
        }
        let after = all.newest.map_or(Revision(0), |newest| newest.last);
        match walk.republish(after, all.tail).await? {
            Some(again) => {
                republished += again.count;
                let confirmed = again.newest.or(all.newest);
                if let Some(confirmed) = confirmed {
                    let log = Arc::clone(log);
                    blocking(move || log.confirm(confirmed)).await?;
                }
                if republished > 0 {
                    tracing::warn!(%lane, republished, "published again what the stream lacked");
                }
                return Ok(Reconciled { tail: again.tail, confirmed, republished, followed: all });
            }
            // Somebody was faster: look at what.
            None => continue,
        }
    }
    Err(ReconcileError::Contended)
}

struct Walk<'a> {
    what: Comparison<'a>,
    lane: Lane,
    name: String,
}

/// What was published again.
struct Again {
    newest: Option<Confirmed>,
    count: u64,
    tail: u64,
}

impl Walk<'_> {
    /// Publishes what comes after `after`, in order, at the end of the lane. What the stream would have let go by
    /// age stays away. `None`: the lane grew meanwhile.
    async fn republish(&self, after: Revision, tail: u64) -> Result<Option<Again>, ReconcileError> {
        let mut after = match self.what.max_age {
            Some(age) if after == Revision(0) => self.first_younger(age).await?,
            Some(_) | None => after,
        };
        let mut again = Again { newest: None, count: 0, tail };
        loop {
            let log = Arc::clone(self.what.parts.log);
            let page = blocking(move || log.range(after, Revision(u64::MAX), LOG_PAGE)).await?;
            let Some(last) = page.last().map(|entry| entry.last) else { return Ok(Some(again)) };
            for entry in &page {
                let Some(sequence) = self.publish(entry, &again).await? else { return Ok(None) };
                again.tail = sequence;
                again.newest = Some(Confirmed { last: entry.last, sequence });
                again.count += 1;
            }
            after = last;
        }
    }

    /// The last revision that is older than `age`, by halving: times of commit rise with revisions.
    async fn first_younger(&self, age: Duration) -> Result<Revision, ReconcileError> {
        let oldest = UnixMs(clock::wall().0.saturating_sub(millis(age)));
        let log = Arc::clone(self.what.parts.log);
        let end = blocking(move || log.last()).await?.map_or(0, |last| last.last.0);
        let (mut older, mut end) = (0_u64, end);
        while older < end {
            let middle = older.midpoint(end).saturating_add(1).min(end);
            let log = Arc::clone(self.what.parts.log);
            let Some(entry) = blocking(move || log.holding(Revision(middle))).await? else { break };
            if self.is_older(&entry, oldest) {
                older = entry.last.0;
            } else {
                end = entry.first.0.saturating_sub(1);
            }
        }
        Ok(Revision(older))
    }

    fn is_older(&self, entry: &LoggedEntry, oldest: UnixMs) -> bool {
        match decode_log_message(&entry.bytes, self.lane, self.what.parts.trust) {
            Ok(LogItem::Entry(entry)) => entry.entry.committed_at < oldest,
            Ok(LogItem::Tick(..)) | Err(_) => false,
        }
    }

    /// `None`: the lane is not where it was read.
    async fn publish(&self, entry: &LoggedEntry, again: &Again) -> Result<Option<u64>, ReconcileError> {
        let message_id = format!("again-{}-{:x}-{}-{}", self.name, self.what.boot, entry.last, again.tail);
        let publication = Publication {
            lane: &self.name,
            bytes: Bytes::clone(&entry.bytes),
            expected_last: Some(again.tail),
            message_id: &message_id,
            ttl: None,
            deadline: PUBLISH_WAIT,
        };
        match self.what.parts.bus.publish(publication).await {
            Ok(stored) if !stored.duplicate => Ok(Some(stored.sequence)),
            Ok(_) => {
                let reason = "the broker took it for something else; its memory of ids is wrong";
                Err(ReconcileError::Publish(reason.to_owned()))
            }
            Err(PublishError::Conflict { .. }) => Ok(None),
            Err(error) => Err(ReconcileError::Publish(error.to_string())),
        }
    }
}

fn millis(age: Duration) -> i64 {
    i64::try_from(age.as_millis()).unwrap_or(i64::MAX)
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, ReconcileError> {
    let done = tokio::task::spawn_blocking(work).await;
    let done = done.map_err(|error| FollowError::Task(error.to_string()))?;
    Ok(done.map_err(FollowError::from)?)
}
