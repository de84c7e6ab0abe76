//! Folds a log into state: every entry is decoded, its signature verified, its place in the chain checked.
//!
//! A pipeline of threads: one per lane reads, verifies and decodes; this one checks the chain and folds what
//! decisions need; the last one notes who asked for it. A start is as fast as the slowest of them.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use rescind_codec::{LogItem, TrustBundle, decode_log_message};
use rescind_core::controller::registry::{Book, IDEMPOTENCY_KEYS_MAX, Registry, Retention};
use rescind_core::entry::{ChainedEntry, Entry};
use rescind_core::key::KeyHasher;
use rescind_core::position::{EntryHash, Epoch, Head, Heads, Lane, Revision};
use rescind_core::view::View;

use super::{Logs, StartError};
use tokio_util::sync::CancellationToken;

use crate::wal::{LaneLog, ReadLimits};

/// Limit: entries decoded ahead of the fold, of each lane: some 8 MiB.
const AHEAD: usize = 8;

/// How much is read at once.
const PAGE: ReadLimits = ReadLimits { entries: 256, bytes: 8 << 20 };

/// The state at the end of the logs.
#[derive(Debug)]
pub(crate) struct Folded {
    pub(crate) registry: Registry,
    pub(crate) heads: Heads,
    /// The newest epoch that gave history up; claims of earlier ones mean nothing.
    pub(crate) forgone: Epoch,
}

impl Folded {
    /// Nothing yet, under a secret of its own.
    pub(crate) fn empty(keys_max: usize) -> Result<Self, StartError> {
        let mut secret = [0; 16];
        getrandom::fill(&mut secret).map_err(|_| StartError::Random)?;
        let registry = Registry::with_keys_max(KeyHasher::new(secret), keys_max);
        Ok(Self { registry, heads: Heads::default(), forgone: Epoch(0) })
    }

    /// The state at the ends of these logs.
    pub(crate) fn of(logs: &Logs, trust: &TrustBundle, retention: Retention) -> Result<Self, StartError> {
        let mut empty = Self::empty(IDEMPOTENCY_KEYS_MAX)?;
        empty.registry.set_retention(retention);
        fold(logs, trust, empty, None, &CancellationToken::new())
    }
}

/// Goes on from `from` to the heads `until` (`None`: to the ends). Both lanes are decoded at the same time, in
/// threads of their own.
pub(crate) fn fold(
    logs: &Logs,
    trust: &TrustBundle,
    mut from: Folded,
    until: Option<Heads>,
    stop: &CancellationToken,
) -> Result<Folded, StartError> {
    let end = |lane: Lane| until.and_then(|heads| heads.get(lane).map(|head| head.position.revision));
    let from_heads = from.heads;
    let Folded { registry, heads, forgone } = &mut from;
    let (view, book) = registry.parts_mut();
    thread::scope(|scope| {
        let lane = |log, head: Head, lane| {
            let (sender, entries) = sync_channel(AHEAD);
            let until = end(lane).unwrap_or(Revision(u64::MAX));
            scope.spawn(move || decode(log, trust, head.position.revision, until, &sender));
            entries
        };
        let deny = lane(&logs.deny, from_heads.deny, Lane::Deny);
        let grant = lane(&logs.grant, from_heads.grant, Lane::Grant(0));
        let (noted, entries) = sync_channel(AHEAD);
        let writing = scope.spawn(move || note(&entries, book));
        let mut stage = Stage { view, heads, forgone, trust, stop, noted };
        // Order does not matter: lanes touch different items.
        let folded = stage.apply(deny, Lane::Deny).and_then(|()| stage.apply(grant, Lane::Grant(0)));
        // Ends the thread behind.
        drop(stage);
        writing.join().map_err(|_| StartError::Task("noting who asked for what".to_owned()))?;
        folded
    })?;
    Ok(from)
}

/// Reads and verifies in order; ends when the receiver is gone.
fn decode(
    log: &LaneLog,
    trust: &TrustBundle,
    after: Revision,
    until: Revision,
    sender: &SyncSender<Result<ChainedEntry, StartError>>,
) {
    let mut after = after;
    loop {
        let page = match log.range(after, until, PAGE) {
            Ok(page) => page,
            Err(error) => return drop(sender.send(Err(error.into()))),
        };
        let Some(last) = page.last().map(|entry| entry.last) else { return };
        for logged in page {
            let decoded = read(log.lane(), trust, &logged.bytes, logged.first, logged.hash);
            let is_over = decoded.is_err();
            if sender.send(decoded).is_err() || is_over {
                return;
            }
        }
        after = last;
    }
}

fn read(
    lane: Lane,
    trust: &TrustBundle,
    bytes: &[u8],
    first: Revision,
    hash: EntryHash,
) -> Result<ChainedEntry, StartError> {
    let broken = |reason: String| StartError::Chain { lane, revision: first, reason };
    match decode_log_message(bytes, lane, trust) {
        Ok(LogItem::Entry(entry)) if entry.hash == hash && entry.entry.first == first => Ok(entry),
        Ok(LogItem::Entry(_)) => Err(broken("it is not the entry that was logged there".to_owned())),
        Ok(LogItem::Tick(..)) => Err(broken("it is a tick".to_owned())),
        Err(error) => Err(broken(error.error.to_string())),
    }
}

/// Notes what was folded, in order of each lane.
fn note(entries: &Receiver<Entry>, book: &mut Book) {
    while let Ok(Entry { changes, committed_at, .. }) = entries.recv() {
        changes.into_iter().for_each(|change| book.note(change, committed_at));
    }
}

/// The stage that decides whether the log holds together.
struct Stage<'a> {
    view: &'a mut View,
    heads: &'a mut Heads,
    forgone: &'a mut Epoch,
    trust: &'a TrustBundle,
    stop: &'a CancellationToken,
    noted: SyncSender<Entry>,
}

impl Stage<'_> {
    fn apply(
        &mut self,
        entries: Receiver<Result<ChainedEntry, StartError>>,
        lane: Lane,
    ) -> Result<(), StartError> {
        let Some(head) = self.heads.get_mut(lane) else { return Ok(()) };
        for entry in entries {
            if self.stop.is_cancelled() {
                return Err(StartError::Task("it was stopped".to_owned()));
            }
            let ChainedEntry { entry, hash, .. } = entry?;
            let broken = |reason: String| StartError::Chain { lane, revision: entry.first, reason };
            if entry.chain != self.trust.pin().chain {
                return Err(broken("it is of another chain".to_owned()));
            }
            if entry.first != head.position.revision.next() || entry.epoch < head.position.epoch {
                return Err(broken(format!("the entry before it ends at {}", head.position)));
            }
            if entry.prev_hash != head.hash {
                return Err(broken("it does not follow the entry before it".to_owned()));
            }
            for change in &entry.changes {
                self.view.apply(change).map_err(|error| broken(error.to_string()))?;
            }
            if entry.fence_start().is_some_and(|start| start.lost.is_some()) {
                *self.forgone = (*self.forgone).max(entry.epoch);
            }
            *head = Head { position: entry.last(), hash };
            if self.noted.send(entry).is_err() {
                return Err(StartError::Task("noting who asked for what".to_owned()));
            }
        }
        Ok(())
    }
}
