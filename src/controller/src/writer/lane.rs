//! The end of a lane on the broker: what stands there, and whether it is ours.

use rescind_bus::Bus;
use rescind_codec::{LogItem, decode_log_message};
use rescind_core::entry::Tick;
use rescind_core::position::{EntryHash, Epoch, Lane};

use super::WriterIdentity;
use crate::wal::LaneLog;

/// Limit: messages read at once.
const PAGE_MESSAGES: usize = 64;

/// What is looked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted {
    pub(crate) hash: EntryHash,
    /// Nothing of a later epoch may precede it: no agent would take it there.
    pub(crate) epoch: Epoch,
}

/// What stands after the place that was known.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// The entry that was looked for.
    Found(u64),
    /// Nothing, or nothing that matters; an append goes after it.
    NotThere,
    /// The work of another writer.
    Foreign(String),
    /// The lane ends before what was stored: the stream lost it, or let it go by age.
    WentBack,
}

/// Follows the end of a lane.
#[derive(Debug)]
pub(crate) struct LaneTail {
    lane: Lane,
    name: String,
    identity: WriterIdentity,
    /// Sequence of the newest message that was judged.
    judged: u64,
    /// What the broker will compare with.
    expected: u64,
    /// This run has appended something: from then on no late message of a run before can appear.
    has_appended: bool,
}

impl LaneTail {
    pub(crate) fn new(lane: Lane, identity: WriterIdentity, tail: u64) -> Self {
        Self { lane, name: lane.to_string(), identity, judged: tail, expected: tail, has_appended: false }
    }

    pub(crate) const fn expected(&self) -> u64 {
        self.expected
    }

    /// The lane was read into the log, or brought in line with it, and ends here.
    pub(crate) const fn restored(&mut self, end: u64) {
        self.judged = end;
        self.expected = end;
    }

    /// Where reading goes on.
    pub(crate) const fn judged(&self) -> u64 {
        self.judged
    }

    /// Another controller wrote meanwhile: late messages of our time before may appear again.
    pub(crate) const fn has_not_appended(&mut self) {
        self.has_appended = false;
    }

    /// Our append was stored here.
    pub(crate) const fn stored(&mut self, sequence: u64) {
        self.judged = sequence;
        self.expected = sequence;
        self.has_appended = true;
    }

    /// Reads what came after the last known message and judges it. An error says why that cannot be known now.
    pub(crate) async fn look(
        &mut self,
        bus: &Bus,
        log: &LaneLog,
        wanted: Option<Wanted>,
    ) -> Result<Look, String> {
        // Why the known place is read again for an entry: a store that went back gives its sequences out a second
        // time, and then something else may stand there.
        let known = self.judged;
        let mut from = if wanted.is_some() { known.max(1) } else { known.saturating_add(1) };
        loop {
            let page =
                bus.read_from(&self.name, from, PAGE_MESSAGES).await.map_err(|error| error.to_string())?;
            for message in &page.messages {
                from = message.sequence.saturating_add(1);
                let judged = match wanted {
                    Some(wanted) if message.sequence == known => {
                        self.judge_known(&message.bytes, log, wanted.epoch)
                    }
                    _ => self.judge(&message.bytes, log, wanted.map(|wanted| wanted.hash)),
                };
                match judged {
                    Judged::Wanted => {
                        self.stored(message.sequence);
                        return Ok(Look::Found(message.sequence));
                    }
                    Judged::Harmless => {
                        self.judged = message.sequence;
                        self.expected = message.sequence;
                    }
                    Judged::Foreign(reason) => return Ok(Look::Foreign(reason)),
                }
            }
            if page.at_end {
                break;
            }
        }
        // Why asked again: reading on from a place says nothing about what stands before it.
        let last = bus.last(&self.name).await.map_err(|error| error.to_string())?;
        match last {
            Some(last) if last.sequence > self.judged => Err("the lane grew while it was read".to_owned()),
            last => {
                let end = last.map_or(0, |last| last.sequence);
                if end < self.judged {
                    return Ok(Look::WentBack);
                }
                self.expected = end;
                Ok(Look::NotThere)
            }
        }
    }

    /// What stands where this controller knew the lane to end: nothing of another history, or of a later epoch.
    fn judge_known(&self, bytes: &[u8], log: &LaneLog, epoch: Epoch) -> Judged {
        match decode_log_message(bytes, self.lane, &self.identity.trust) {
            // A tick of the writer before is there after a take-over.
            Ok(LogItem::Tick(tick, _)) if tick.epoch > epoch => {
                Judged::Foreign(format!("a tick of epoch {} stands before it", tick.epoch.0))
            }
            Ok(LogItem::Tick(..)) => Judged::Harmless,
            Ok(LogItem::Entry(_)) | Err(_) => self.judge(bytes, log, None),
        }
    }

    fn judge(&self, bytes: &[u8], log: &LaneLog, wanted: Option<EntryHash>) -> Judged {
        match decode_log_message(bytes, self.lane, &self.identity.trust) {
            Ok(LogItem::Entry(entry)) if Some(entry.hash) == wanted => Judged::Wanted,
            Ok(LogItem::Entry(entry)) => {
                // A blocking read of one row, on a path that is taken when something went wrong.
                let known = log.holding(entry.entry.first).ok().flatten();
                if known.is_some_and(|known| known.hash == entry.hash) {
                    return Judged::Harmless;
                }
                Judged::Foreign(format!(
                    "revision {} stands there, signed by controller `{}`",
                    entry.entry.first, entry.entry.controller
                ))
            }
            Ok(LogItem::Tick(tick, _)) => self.judge_tick(&tick),
            Err(error) => {
                // Why harmless: nobody signed it, so no agent takes it either.
                tracing::warn!(lane = %self.lane, error = %error.error, "an unreadable message stands in the stream");
                Judged::Harmless
            }
        }
    }

    fn judge_tick(&self, tick: &Tick) -> Judged {
        let is_our_id = tick.controller == self.identity.controller;
        let is_our_run = is_our_id && tick.boot == self.identity.boot;
        // A tick of our run before may have been under way when this one started, never after our first append.
        if is_our_run || (is_our_id && !self.has_appended) {
            return Judged::Harmless;
        }
        Judged::Foreign(format!("a tick of another run of controller `{}` stands there", tick.controller))
    }
}

enum Judged {
    Wanted,
    Harmless,
    Foreign(String),
}
