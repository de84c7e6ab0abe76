//! Compares one lane of the stream with its log, and publishes again what the stream lacks.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rescind_bus::{Bus, Publication, StoredMessage};
use rescind_codec::{LogItem, TrustBundle, decode_log_message};
use rescind_core::entry::{ChainedEntry, Tick};
use rescind_core::position::{EntryHash, Head, Heads, Lane, Revision};
use rescind_core::time::UnixMs;

use super::{Logs, StartError};
use crate::clock;
use crate::store::StoreError;
use crate::wal::{Confirmed, LaneLog, LoggedEntry, ReadLimits};

/// Limit: messages read at once.
const PAGE_MESSAGES: usize = 1024;
/// How much of the log is read at once.
const LOG_PAGE: ReadLimits = ReadLimits { entries: 64, bytes: 16 << 20 };
/// Limit: one publish of the start.
const PUBLISH_WAIT: Duration = Duration::from_secs(10);
/// Limit: unexpected things in one lane that are worth a line.
const WARNINGS_MAX: u64 = 5;

/// A lane of the stream that is in line with its log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reconciled {
    /// Sequence of the lane's last message, which the next append names.
    pub(crate) tail: u64,
    /// The newest entry and where it is stored; `None`: there is none, or the stream let it go by age.
    pub(crate) confirmed: Option<Confirmed>,
    /// Entries that were published again.
    pub(crate) republished: u64,
}

/// What is compared.
pub(crate) struct Comparison<'a> {
    pub(crate) bus: &'a Bus,
    pub(crate) logs: &'a Logs,
    pub(crate) trust: &'a TrustBundle,
    /// Ends of the logs.
    pub(crate) heads: Heads,
    /// What the stream forgets by age.
    pub(crate) max_age: Option<Duration>,
    /// Random, for message ids.
    pub(crate) boot: u128,
}

/// What the walk through a lane found.
#[derive(Debug, Default)]
struct Found {
    /// Last revision of the newest entry of ours, and its sequence.
    newest: Option<(Revision, u64)>,
    unreadable: u64,
    messages: u64,
    warnings: u64,
}

/// Brings one lane in line.
pub(crate) async fn reconcile(what: &Comparison<'_>, lane: Lane) -> Result<Reconciled, StartError> {
    let Some(log) = what.logs.get(lane) else {
        return Err(StartError::Task(format!("lane {lane} has no log")));
    };
    let head = what.heads.get(lane).copied().unwrap_or_default();
    let name = lane.to_string();
    let walk = Walk { what, log, lane, name: &name, head };
    let found = match walk.shortcut().await? {
        Some(found) => found,
        None => walk.from(0, Found::default()).await?,
    };
    if head.position.revision == Revision(0) && found.newest.is_none() && found.unreadable > 0 {
        // Nobody knows what stands there: a fresh log must not continue it.
        let found = format!("{} message(s) of another chain or with unknown signatures", found.unreadable);
        return Err(StartError::Foreign { lane, found });
    }
    let after = found.newest.map_or(Revision(0), |(revision, _)| revision);
    let (last, republished) = walk.republish(after).await?;
    let newest = last.or(found.newest);
    let tail = what.bus.last(&name).await?.map_or(0, |message| message.sequence);
    let confirmed = newest.map(|(last, sequence)| Confirmed { last, sequence });
    if let Some(confirmed) = confirmed {
        let log = Arc::clone(log);
        blocking(move || log.confirm(confirmed)).await??;
    }
    if republished > 0 {
        tracing::warn!(%lane, republished, "published again what the stream lacked");
    }
    Ok(Reconciled { tail, confirmed, republished })
}

struct Walk<'a> {
    what: &'a Comparison<'a>,
    log: &'a Arc<LaneLog>,
    lane: Lane,
    name: &'a str,
    head: Head,
}

impl Walk<'_> {
    /// From the newest confirmed entry on, where it still stands at the place that was noted.
    async fn shortcut(&self) -> Result<Option<Found>, StartError> {
        let log = Arc::clone(self.log);
        let noted = blocking(move || {
            let Some(confirmed) = log.confirmed()? else { return Ok(None) };
            Ok::<_, StoreError>(log.holding(confirmed.last)?.map(|entry| (confirmed, entry)))
        });
        let Some((confirmed, entry)) = noted.await?? else { return Ok(None) };
        let page = self.what.bus.read_from(self.name, confirmed.sequence, 1).await?;
        let stands = page
            .messages
            .first()
            .is_some_and(|message| message.sequence == confirmed.sequence && message.bytes == entry.bytes);
        if !stands {
            tracing::warn!(lane = %self.lane, "the stream is not where it was left; comparing it as a whole");
            return Ok(None);
        }
        let newest = Some((confirmed.last, confirmed.sequence));
        let found = Found { newest, messages: 1, ..Found::default() };
        self.from(confirmed.sequence.saturating_add(1), found).await.map(Some)
    }

    async fn from(&self, sequence: u64, mut found: Found) -> Result<Found, StartError> {
        let mut next = sequence;
        loop {
            let page = self.what.bus.read_from(self.name, next, PAGE_MESSAGES).await?;
            for message in &page.messages {
                found.messages += 1;
                next = message.sequence.saturating_add(1);
                self.judge(message, &mut found).await?;
            }
            if page.at_end {
                return Ok(found);
            }
        }
    }

    async fn judge(&self, message: &StoredMessage, found: &mut Found) -> Result<(), StartError> {
        match decode_log_message(&message.bytes, self.lane, self.what.trust) {
            Ok(LogItem::Entry(entry)) => self.judge_entry(&entry, message.sequence, found).await,
            Ok(LogItem::Tick(tick, _)) => self.judge_tick(&tick).await,
            Err(error) => {
                found.unreadable += 1;
                if found.unreadable <= WARNINGS_MAX {
                    tracing::warn!(lane = %self.lane, sequence = message.sequence, error = %error.error,
                        "an unreadable message stands in the stream; no agent takes it");
                }
                Ok(())
            }
        }
    }

    async fn judge_entry(
        &self,
        entry: &ChainedEntry,
        sequence: u64,
        found: &mut Found,
    ) -> Result<(), StartError> {
        let (first, last) = (entry.entry.first, entry.entry.last().revision);
        let ours = self.hash_at(first).await?;
        if ours != Some(entry.hash) {
            let found = format!("revision {first} by controller `{}`", entry.entry.controller);
            return Err(StartError::Foreign { lane: self.lane, found });
        }
        match found.newest {
            // Published twice: the first one counts.
            Some((newest, _)) if last <= newest => return Ok(()),
            Some((newest, _)) if first != newest.next() => {
                found.warnings += 1;
                if found.warnings <= WARNINGS_MAX {
                    tracing::warn!(lane = %self.lane, after = %newest, until = %first,
                        "the stream lost entries in between; agents get them from the log");
                }
            }
            Some(_) | None => {}
        }
        found.newest = Some((last, sequence));
        Ok(())
    }

    /// A tick names heads of all lanes: what it knows, our logs must know.
    async fn judge_tick(&self, tick: &Tick) -> Result<(), StartError> {
        for lane in [Lane::Deny, Lane::Grant(0)] {
            let (Some(theirs), Some(ours)) = (tick.heads.get(lane), self.what.heads.get(lane)) else {
                continue;
            };
            let is_ahead = theirs.position > ours.position;
            let is_other = theirs.position == ours.position && theirs.hash != ours.hash;
            if is_ahead || is_other {
                let found = format!("a tick of controller `{}` at {}", tick.controller, theirs.position);
                return Err(StartError::Foreign { lane, found });
            }
        }
        Ok(())
    }

    async fn hash_at(&self, first: Revision) -> Result<Option<EntryHash>, StartError> {
        let log = Arc::clone(self.log);
        let entry = blocking(move || log.holding(first)).await??;
        Ok(entry.filter(|entry| entry.first == first).map(|entry| entry.hash))
    }

    /// Publishes what comes after `after`, in order. What the stream would have let go by age stays away.
    async fn republish(&self, after: Revision) -> Result<(Option<(Revision, u64)>, u64), StartError> {
        let mut after = match self.what.max_age {
            Some(age) if after == Revision(0) => self.first_younger(age).await?,
            Some(_) | None => after,
        };
        let (mut newest, mut count, mut tail) = (None, 0_u64, None);
        while after < self.head.position.revision {
            let log = Arc::clone(self.log);
            let page = blocking(move || log.range(after, Revision(u64::MAX), LOG_PAGE)).await??;
            let Some(last) = page.last().map(|entry| entry.last) else { break };
            for entry in &page {
                let expected = match tail {
                    Some(tail) => tail,
                    None => self.what.bus.last(self.name).await?.map_or(0, |message| message.sequence),
                };
                let sequence = self.publish(entry, expected, count).await?;
                tail = Some(sequence);
                newest = Some((entry.last, sequence));
                count += 1;
            }
            after = last;
        }
        Ok((newest, count))
    }

    /// The last revision that is older than `age`, by halving: times of commit rise with revisions.
    async fn first_younger(&self, age: Duration) -> Result<Revision, StartError> {
        let oldest = UnixMs(clock::wall().0.saturating_sub(millis(age)));
        let (mut older, mut end) = (0_u64, self.head.position.revision.0);
        while older < end {
            let middle = older.midpoint(end).saturating_add(1).min(end);
            let log = Arc::clone(self.log);
            let Some(entry) = blocking(move || log.holding(Revision(middle))).await?? else { break };
            if self.is_older(&entry, oldest) {
                older = entry.last.0;
            } else {
                end = entry.first.0.saturating_sub(1);
            }
        }
        Ok(Revision(older))
    }

    fn is_older(&self, entry: &LoggedEntry, oldest: UnixMs) -> bool {
        match decode_log_message(&entry.bytes, self.lane, self.what.trust) {
            Ok(LogItem::Entry(entry)) => entry.entry.committed_at < oldest,
            Ok(LogItem::Tick(..)) | Err(_) => false,
        }
    }

    async fn publish(&self, entry: &LoggedEntry, expected: u64, count: u64) -> Result<u64, StartError> {
        let message_id = format!("start-{}-{:x}-{count}", self.name, self.what.boot);
        let publication = Publication {
            lane: self.name,
            bytes: Bytes::clone(&entry.bytes),
            expected_last: Some(expected),
            message_id: &message_id,
            ttl: None,
            deadline: PUBLISH_WAIT,
        };
        let failed = |reason: String| StartError::Republish { lane: self.lane, reason };
        match self.what.bus.publish(publication).await {
            Ok(stored) if !stored.duplicate => Ok(stored.sequence),
            Ok(_) => {
                Err(failed("the broker took it for something else; its memory of ids is wrong".to_owned()))
            }
            Err(error) => Err(failed(error.to_string())),
        }
    }
}

fn millis(age: Duration) -> i64 {
    i64::try_from(age.as_millis()).unwrap_or(i64::MAX)
}

pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, StartError> {
    tokio::task::spawn_blocking(work).await.map_err(|error| StartError::Task(error.to_string()))
}
