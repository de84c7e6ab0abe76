//! Reads one lane of the stream into the log: what another controller wrote, and what this one wrote before.
//!
//! | the stream has at the end of the log, or before | what becomes of it |
//! |---|---|
//! | the entry that the log has there | known |
//! | an entry that continues the log by hash | adopted: verified, durable in the log, given to the caller |
//! | an entry of an older epoch than the log has there | stale: two persons gave it up, or its writer was deposed |
//! | a later epoch's fence against entries that were never known to be stored | they were never accepted: taken back |
//! | a later epoch's fence that gives history up (two persons) | what comes after the branch is taken back |
//! | a later epoch against confirmed entries | divergence: taken back as well, and somebody has to look |
//! | another entry of the same epoch against confirmed ones | a fork: nothing is taken, the lane stands still |
//! | an entry past the end | a gap: other controllers are asked |
//!
//! What is taken back is kept beside the log, in `<lane>.orphans`.

mod page;

pub(crate) use page::is_epoch_right;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rescind_bus::{Bus, StoredMessage};
use rescind_codec::{LogItem, TrustBundle, decode_log_message};
use rescind_core::entry::{ChainedEntry, Tick};
use rescind_core::ids::{ControllerId, InstanceId};
use rescind_core::position::{Head, Heads, LANES, Lane, Position, Revision};

use self::page::Reader;
use crate::store::StoreError;
use crate::wal::{Confirmed, LaneLog};

/// Limit: messages read at once.
const PAGE_MESSAGES: usize = 1024;
/// Limit: pages of one walk of a standby; more follow with the next one.
const PAGES_MAX: usize = 64;

/// Where to read and where to put it.
#[derive(Clone, Copy)]
pub(crate) struct FollowParts<'a> {
    pub(crate) bus: &'a Bus,
    pub(crate) log: &'a Arc<LaneLog>,
    pub(crate) trust: &'a Arc<TrustBundle>,
    /// Folder for what is taken back.
    pub(crate) dir: &'a Path,
}

/// From where a walk begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum From {
    /// After this sequence, if the lane still reaches it.
    After(u64),
    /// After the newest confirmed entry, if it still stands where it was noted; else from the start.
    Confirmed,
}

/// Why a walk did not reach the end of the lane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Stop {
    /// The stream lacks what lies between.
    Gap {
        /// The log ends here.
        after: Revision,
        /// The stream goes on here.
        before: Revision,
    },
    /// Two histories in one epoch, or an epoch without a fence.
    Fork(String),
}

/// What a walk found.
#[derive(Debug, Default)]
pub(crate) struct Followed {
    /// In order; durable in the log.
    pub(crate) adopted: Vec<ChainedEntry>,
    /// The log was cut: state has to be folded again.
    pub(crate) was_cut: bool,
    /// Confirmed entries gave way without two persons' consent.
    pub(crate) diverged: Option<String>,
    /// The newest tick that was met.
    pub(crate) tick: Option<Box<Tick>>,
    /// Heads that ticks name, each lane's highest: what somebody once had.
    pub(crate) claimed: Heads,
    /// Author of the newest message that was met.
    pub(crate) author: Option<(ControllerId, InstanceId)>,
    /// Newest known or adopted entry in the stream.
    pub(crate) newest: Option<Confirmed>,
    pub(crate) stop: Option<Stop>,
    /// Sequence of the lane's last message.
    pub(crate) tail: u64,
    /// More may follow.
    pub(crate) is_cut_short: bool,
    unreadable: u64,
    /// A page has to be read again from the start.
    wants_start: bool,
}

impl Followed {
    /// Somebody once had history up to here.
    pub(crate) fn claim(&mut self, held: &Heads) {
        for lane in LANES {
            if let (Some(there), Some(named)) = (self.claimed.get_mut(lane), held.get(lane))
                && named.position > there.position
            {
                *there = *named;
            }
        }
    }

    /// Adds what a later walk found.
    pub(crate) fn merge(&mut self, later: Self) {
        self.adopted.extend(later.adopted);
        self.was_cut |= later.was_cut;
        self.diverged = later.diverged.or(self.diverged.take());
        self.claim(&later.claimed);
        self.tick = later.tick.or(self.tick.take());
        self.author = later.author.or(self.author.take());
        self.newest = later.newest;
        self.stop = later.stop;
        self.tail = later.tail;
        self.is_cut_short = later.is_cut_short;
    }
}

/// A walk that failed; nothing is known, ask again.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FollowError {
    #[error(transparent)]
    Read(#[from] rescind_bus::ReadError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("a part of it ended early: {0}; this is a bug, keep the logs")]
    Task(String),
}

/// The end of a log, its epoch included.
pub(crate) fn log_head(log: &LaneLog, trust: &TrustBundle) -> Result<Head, StoreError> {
    let Some(last) = log.last()? else { return Ok(Head::default()) };
    let epoch = match decode_log_message(&last.bytes, log.lane(), trust) {
        Ok(LogItem::Entry(entry)) => entry.entry.epoch,
        // A log that cannot be read does not fold either: that error says where.
        Ok(LogItem::Tick(..)) | Err(_) => log.epoch()?,
    };
    Ok(Head { position: Position { epoch, revision: last.last }, hash: last.hash })
}

/// Reads the lane from `from` to its end into the log.
pub(crate) async fn follow(parts: FollowParts<'_>, from: From) -> Result<Followed, FollowError> {
    let mut followed = Followed::default();
    let start = match from {
        From::After(sequence) => sequence,
        From::Confirmed => confirmed(parts, &mut followed).await?,
    };
    walk(parts, start, &mut followed).await?;
    // Why again: after a stream went back, old places mean something else.
    let went_back = followed.tail < start;
    if start > 0 && (went_back || followed.wants_start) {
        followed.wants_start = false;
        followed.stop = None;
        followed.newest = None;
        walk(parts, 0, &mut followed).await?;
    }
    if followed.wants_start && followed.stop.is_none() {
        let what = format!("lane {} goes on from another entry than the log ends with", parts.log.lane());
        followed.stop = Some(Stop::Fork(what));
    }
    Ok(followed)
}

/// The place of the newest confirmed entry; 0 where it does not stand there any more.
async fn confirmed(parts: FollowParts<'_>, followed: &mut Followed) -> Result<u64, FollowError> {
    let log = Arc::clone(parts.log);
    let noted = blocking(move || {
        let Some(confirmed) = log.confirmed()? else { return Ok(None) };
        Ok(log.holding(confirmed.last)?.map(|entry| (confirmed, entry)))
    });
    let Some((confirmed, entry)) = noted.await? else { return Ok(0) };
    let name = parts.log.lane().to_string();
    let page = parts.bus.read_from(&name, confirmed.sequence, 1).await?;
    let stands = page
        .messages
        .first()
        .is_some_and(|message| message.sequence == confirmed.sequence && message.bytes == entry.bytes);
    if !stands {
        tracing::warn!(lane = %parts.log.lane(), "the stream is not where it was left; comparing it as a whole");
        return Ok(0);
    }
    followed.newest = Some(confirmed);
    Ok(confirmed.sequence)
}

async fn walk(parts: FollowParts<'_>, after: u64, followed: &mut Followed) -> Result<(), FollowError> {
    let name = parts.log.lane().to_string();
    let mut read = after;
    for _ in 0..PAGES_MAX {
        let page = parts.bus.read_from(&name, read.saturating_add(1), PAGE_MESSAGES).await?;
        if let Some(last) = page.messages.last() {
            read = last.sequence;
        }
        judge(parts, page.messages, followed).await?;
        if followed.stop.is_some() || followed.wants_start {
            break;
        }
        if page.at_end {
            // Why asked: reading on from a place says nothing about what stands before it.
            let end = parts.bus.last(&name).await?.map_or(0, |message| message.sequence);
            if end <= read {
                followed.tail = end;
                followed.is_cut_short = false;
                return Ok(());
            }
        }
    }
    followed.tail = read;
    followed.is_cut_short = true;
    Ok(())
}

async fn judge(
    parts: FollowParts<'_>,
    messages: Vec<StoredMessage>,
    followed: &mut Followed,
) -> Result<(), FollowError> {
    if messages.is_empty() {
        return Ok(());
    }
    let (log, trust) = (Arc::clone(parts.log), Arc::clone(parts.trust));
    let orphans = orphans_file(parts.dir, log.lane());
    let mut taken = std::mem::take(followed);
    *followed = blocking(move || {
        let mut reader = Reader::open(&log, &trust, &orphans)?;
        reader.take(&messages, &mut taken)?;
        Ok(taken)
    })
    .await?;
    Ok(())
}

/// Where what was taken back from a lane is kept.
fn orphans_file(dir: &Path, lane: Lane) -> PathBuf {
    dir.join(format!("{lane}.orphans"))
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, FollowError> {
    let done = tokio::task::spawn_blocking(work).await;
    Ok(done.map_err(|error| FollowError::Task(error.to_string()))??)
}
