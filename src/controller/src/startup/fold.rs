//! Folds a log into state: every entry is decoded, its signature verified, its place in the chain checked.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use rescind_codec::{LogItem, TrustBundle, decode_log_message};
use rescind_core::controller::registry::Registry;
use rescind_core::entry::ChainedEntry;
use rescind_core::position::{EntryHash, Head, Heads, Lane, Revision};

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
    thread::scope(|scope| {
        let lane = |log, head: Head, lane| {
            let (sender, entries) = sync_channel(AHEAD);
            let until = end(lane).unwrap_or(Revision(u64::MAX));
            scope.spawn(move || decode(log, trust, head.position.revision, until, &sender));
            entries
        };
        let deny = lane(&logs.deny, from.heads.deny, Lane::Deny);
        let grant = lane(&logs.grant, from.heads.grant, Lane::Grant(0));
        // Order does not matter: lanes touch different items.
        apply(deny, Lane::Deny, &mut from, trust, stop)?;
        apply(grant, Lane::Grant(0), &mut from, trust, stop)?;
        Ok(from)
    })
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

fn apply(
    entries: Receiver<Result<ChainedEntry, StartError>>,
    lane: Lane,
    state: &mut Folded,
    trust: &TrustBundle,
    stop: &CancellationToken,
) -> Result<(), StartError> {
    let Some(head) = state.heads.get_mut(lane) else { return Ok(()) };
    for entry in entries {
        if stop.is_cancelled() {
            return Err(StartError::Task("it was stopped".to_owned()));
        }
        let ChainedEntry { entry, hash, .. } = entry?;
        let broken = |reason: String| StartError::Chain { lane, revision: entry.first, reason };
        if entry.chain != trust.pin().chain {
            return Err(broken("it is of another chain".to_owned()));
        }
        if entry.first != head.position.revision.next() || entry.epoch < head.position.epoch {
            return Err(broken(format!("the entry before it ends at {}", head.position)));
        }
        if entry.prev_hash != head.hash {
            return Err(broken("it does not follow the entry before it".to_owned()));
        }
        for change in &entry.changes {
            state.registry.apply(change, entry.committed_at).map_err(|error| broken(error.to_string()))?;
        }
        *head = Head { position: entry.last(), hash };
    }
    Ok(())
}
