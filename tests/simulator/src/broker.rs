//! The broker: one sequence over all lanes, compare-and-set by lane, a store that may go back or rot.

use std::rc::Rc;

use rescind_core::entry::{ChainedEntry, Tick};
use rescind_core::position::{EntryHash, Lane};

use crate::event::Snapshot;

/// What stands in a lane.
#[derive(Debug, Clone)]
pub(crate) enum LogMessage {
    Entry(Rc<ChainedEntry>),
    /// With the time of the world at which its heads were read, and who made it (controller, run).
    Tick(Rc<Tick>, u64, (u32, u32)),
}

#[derive(Debug, Clone)]
pub(crate) struct Stored {
    pub(crate) sequence: u64,
    pub(crate) message: LogMessage,
    /// A flipped bit: the signature does not hold any more.
    pub(crate) is_readable: bool,
}

/// What controllers ask of it.
#[derive(Debug, Clone)]
pub(crate) enum Call {
    Append { lane: Lane, message: LogMessage, expected: u64 },
    Read { lane: Lane, after: u64 },
    PutSnapshot(Rc<Snapshot>),
}

/// What it says.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    Stored(u64),
    Conflict,
    /// Everything after the named sequence, and the lane's last one.
    Messages(Rc<Vec<Stored>>, u64),
}

#[derive(Debug, Clone, Default)]
struct Content {
    sequence: u64,
    deny: Vec<Stored>,
    grant: Vec<Stored>,
}

#[derive(Debug)]
pub(crate) struct Broker {
    content: Content,
    /// Older states of the store.
    backups: Vec<Content>,
    pub(crate) snapshots: Vec<Rc<Snapshot>>,
    /// Of the store: another one after every loss, as connections break with it.
    pub(crate) incarnation: u64,
    pub(crate) is_up: bool,
    /// Stands still until then.
    pub(crate) stopped_until: u64,
}

impl Broker {
    pub(crate) fn new() -> Self {
        Self {
            content: Content::default(),
            backups: Vec::new(),
            snapshots: Vec::new(),
            incarnation: 1,
            is_up: true,
            stopped_until: 0,
        }
    }

    fn lane_mut(&mut self, lane: Lane) -> &mut Vec<Stored> {
        match lane {
            Lane::Deny => &mut self.content.deny,
            Lane::Grant(_) => &mut self.content.grant,
        }
    }

    pub(crate) const fn lane(&self, lane: Lane) -> &Vec<Stored> {
        match lane {
            Lane::Deny => &self.content.deny,
            Lane::Grant(_) => &self.content.grant,
        }
    }

    /// Hashes of the entries that can be read.
    pub(crate) fn entries(&self, lane: Lane) -> impl Iterator<Item = EntryHash> + '_ {
        let readable = self.lane(lane).iter().filter(|stored| stored.is_readable);
        readable.filter_map(|stored| match &stored.message {
            LogMessage::Entry(entry) => Some(entry.hash),
            LogMessage::Tick(..) => None,
        })
    }

    pub(crate) fn last(&self, lane: Lane) -> u64 {
        self.lane(lane).last().map_or(0, |stored| stored.sequence)
    }

    /// Stores where the lane ends as expected.
    pub(crate) fn append(&mut self, lane: Lane, message: LogMessage, expected: u64) -> Option<u64> {
        if self.last(lane) != expected {
            return None;
        }
        self.content.sequence += 1;
        let sequence = self.content.sequence;
        self.lane_mut(lane).push(Stored { sequence, message, is_readable: true });
        Some(sequence)
    }

    pub(crate) fn read(&self, lane: Lane, after: u64) -> Vec<Stored> {
        let all = self.lane(lane);
        let from = all.partition_point(|stored| stored.sequence <= after);
        all[from..].to_vec()
    }

    /// Keeps a copy that a roll-back may return to.
    pub(crate) fn back_up(&mut self) {
        self.backups.push(self.content.clone());
        if self.backups.len() > 4 {
            self.backups.remove(0);
        }
    }

    /// The store of an earlier time is there again. False: there is none.
    pub(crate) fn roll_back(&mut self, choice: usize) -> bool {
        let Some(older) = self.backups.get(choice).cloned() else { return false };
        self.content = older;
        self.incarnation += 1;
        true
    }

    /// The stream was deleted and made again.
    pub(crate) fn delete(&mut self) {
        self.content = Content::default();
        self.incarnation += 1;
    }

    /// The end of the file is gone.
    pub(crate) fn truncate(&mut self, lane: Lane, messages: usize) {
        self.incarnation += 1;
        let all = self.lane_mut(lane);
        let left = all.len().saturating_sub(messages);
        all.truncate(left);
    }

    /// A bit flips in a message.
    pub(crate) fn rot(&mut self, lane: Lane, choice: usize) {
        let all = self.lane_mut(lane);
        if !all.is_empty() {
            let place = choice % all.len();
            all[place].is_readable = false;
        }
    }
}
