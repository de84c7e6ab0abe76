//! Becoming the writer: read the stream, adopt, publish again, fence, fold.

use std::collections::VecDeque;
use std::rc::Rc;

use rescind_core::controller::gate::LeaseGate;
use rescind_core::controller::ledger::{LastKnown, Ledger, LedgerConfig, Placed};
use rescind_core::controller::registry::Registry;
use rescind_core::controller::sequencer::{Sequencer, SequencerConfig};
use rescind_core::entry::{Entry, Fence};
use rescind_core::epoch::{EpochReason, EpochStart};
use rescind_core::ids::ServiceName;
use rescind_core::key::KeyHasher;
use rescind_core::position::{Epoch, LANES, Lane, Position};
use std::collections::BTreeMap;

use super::{Role, WalEntry, Writing, entry_message, lanes};
use crate::broker::{Call, LogMessage, Reply, Stored};
use crate::plan::MS;
use crate::words::{self, GRANT, LEASE, slot};
use crate::world::World;

/// Limit: one call.
const CALL_WAIT: u64 = 2_000 * MS;
/// Pause after a call that failed.
const RETRY_PAUSE: u64 = 250 * MS;
/// A new writer asks around before it says anything.
const ROLL_CALL: u64 = 300 * MS;

type Read = (Rc<Vec<Stored>>, u64);

/// A start under way.
#[derive(Debug)]
pub(crate) struct Starting {
    take_over: bool,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    Pause { until: u64 },
    Reading { calls: [u64; 2], got: [Option<Read>; 2], deadline: u64 },
    Appending { todo: VecDeque<Todo>, call: u64, deadline: u64, incarnation: u64 },
    RollCall { until: u64 },
}

/// What has to be in the stream before this controller writes.
#[derive(Debug, Clone, Copy)]
enum Todo {
    /// An entry of the log that the stream lacks.
    Again(Lane, usize),
    Fence(Lane, Epoch, EpochReason),
}

impl Starting {
    pub(super) const fn wakes_at(&self) -> u64 {
        match &self.stage {
            Stage::Pause { until } | Stage::RollCall { until } => *until,
            Stage::Reading { deadline, .. } | Stage::Appending { deadline, .. } => *deadline,
        }
    }
}

impl World {
    pub(super) fn begin_start(&mut self, index: u32, take_over: bool) {
        let stage = Stage::Pause { until: self.now };
        self.set_stage(index, take_over, stage);
    }

    fn set_stage(&mut self, index: u32, take_over: bool, stage: Stage) {
        self.controllers[index as usize].role = Role::Starting(Starting { take_over, stage });
        self.plan_controller(index);
    }

    fn starting(&mut self, index: u32) -> Option<&mut Starting> {
        match &mut self.controllers[index as usize].role {
            Role::Starting(starting) => Some(starting),
            Role::Down | Role::Standby(_) | Role::Writing(_) => None,
        }
    }

    pub(super) fn start_timeout(&mut self, index: u32) {
        let now = self.now;
        let Some(starting) = self.starting(index) else { return };
        if starting.wakes_at() > now {
            return;
        }
        let take_over = starting.take_over;
        match &starting.stage {
            Stage::Pause { .. } => {
                let calls = LANES.map(|lane| self.call_broker(index, Call::Read { lane, after: 0 }));
                let stage = Stage::Reading { calls, got: [None, None], deadline: now + CALL_WAIT };
                self.set_stage(index, take_over, stage);
            }
            Stage::Reading { .. } | Stage::Appending { .. } => {
                // What became of it is seen by reading.
                self.set_stage(index, take_over, Stage::Pause { until: now + RETRY_PAUSE });
            }
            Stage::RollCall { .. } => self.begin_writing(index),
        }
    }

    pub(super) fn start_reply(&mut self, index: u32, call: u64, reply: Reply) {
        let (now, current) = (self.now, self.broker.incarnation);
        let Some(starting) = self.starting(index) else { return };
        let take_over = starting.take_over;
        match (&mut starting.stage, reply) {
            (Stage::Reading { calls, got, .. }, Reply::Messages(messages, last)) => {
                let Some(place) = calls.iter().position(|there| *there == call) else { return };
                got[place] = Some((messages, last));
                if let [Some(deny), Some(grant)] = got {
                    let read = [deny.clone(), grant.clone()];
                    self.compare(index, take_over, read);
                }
            }
            (Stage::Appending { call: expected, incarnation, .. }, reply) if *expected == call => match reply
            {
                // The connection changed while it was under way: only the lane tells.
                Reply::Stored(_) if *incarnation != current => {
                    self.set_stage(index, take_over, Stage::Pause { until: now + RETRY_PAUSE });
                }
                Reply::Stored(sequence) => self.append_done(index, sequence),
                // Somebody was faster: look at what. A take-over gives way.
                Reply::Conflict => self.set_stage(index, false, Stage::Pause { until: now + RETRY_PAUSE }),
                Reply::Messages(..) => {}
            },
            (_, _) => {}
        }
    }

    /// Log and stream are compared; what follows depends on who wrote last.
    fn compare(&mut self, index: u32, take_over: bool, read: [Read; 2]) {
        let mut todo = VecDeque::new();
        let mut author: Option<(Epoch, u64, u32)> = None;
        let mut restored = false;
        for (lane, (messages, last)) in LANES.into_iter().zip(&read) {
            for stored in messages.iter().filter(|stored| stored.is_readable) {
                let (epoch, by) = match &stored.message {
                    LogMessage::Entry(entry) => (entry.entry.epoch, words::process(entry.entry.boot).0),
                    LogMessage::Tick(tick, _, by) => (tick.epoch, by.0),
                };
                author = author.max(Some((epoch, stored.sequence, by)));
            }
            self.ask_others(index, lane);
            self.follow_from_start(index, lane, messages, *last, &mut todo, &mut restored);
        }
        // What the stream lost still has an author.
        for entry in self.controllers[index as usize].wal.iter().filter_map(|wal| wal.last()) {
            let (epoch, by) = (entry.entry.entry.epoch, words::process(entry.entry.entry.boot).0);
            author = author.max(Some((epoch, 0, by)));
        }
        let foreign = author.is_some_and(|(_, _, by)| by != index);
        // Two that find an empty stream must not both write in one epoch.
        let unclaimed = author.is_none() && self.plan.controllers > 1;
        if foreign && !take_over {
            return self.become_standby(index);
        }
        let heads = self.controllers[index as usize].heads();
        let epochs = [heads.deny.position.epoch, heads.grant.position.epoch];
        let newest = epochs[0].max(epochs[1]).max(author.map_or(Epoch(0), |(epoch, ..)| epoch));
        let is_torn = epochs.iter().any(|epoch| epoch.0.max(1) != newest.0.max(1)) && newest.0 > 1;
        if foreign || unclaimed || restored || is_torn {
            let reason =
                if foreign || unclaimed { EpochReason::TakeOver } else { EpochReason::StreamRestored };
            let next = Epoch(newest.0.max(1) + 1);
            todo.push_back(Todo::Fence(GRANT, next, reason));
            todo.push_back(Todo::Fence(Lane::Deny, next, reason));
        }
        let stage = Stage::Appending { todo, call: 0, deadline: u64::MAX, incarnation: 0 };
        self.set_stage(index, take_over, stage);
        self.append_next(index);
    }

    /// The roll call among controllers: what others have confirmed and this one lacks.
    fn ask_others(&mut self, index: u32, lane: Lane) {
        let now = self.now;
        if !self.controllers[index as usize].link.is_whole() || !self.broker.is_up {
            return;
        }
        for other in (0..self.plan.controllers).filter(|other| *other != index) {
            let node = &self.controllers[other as usize];
            if !node.is_up || node.paused_until > now || !node.link.is_whole() {
                continue;
            }
            let confirmed = node.wal[slot(lane)].iter().take_while(|there| there.confirmed);
            let entries: Vec<Stored> = confirmed
                .map(|there| Stored { sequence: 0, message: entry_message(&there.entry), is_readable: true })
                .collect();
            lanes::merge(&mut self.controllers[index as usize].wal[slot(lane)], &entries);
        }
    }

    fn follow_from_start(
        &mut self,
        index: u32,
        lane: Lane,
        messages: &[Stored],
        last: u64,
        todo: &mut VecDeque<Todo>,
        restored: &mut bool,
    ) {
        let now = self.now;
        let node = &mut self.controllers[index as usize];
        for stored in messages.iter().filter(|stored| stored.is_readable) {
            node.hear(index, &stored.message, now);
        }
        node.cursor[slot(lane)] = last;
        let wal = &mut node.wal[slot(lane)];
        let merged = lanes::merge(wal, messages);
        *restored |= wal.iter().skip(merged.covered).any(|entry| entry.confirmed);
        todo.extend((merged.covered..wal.len()).map(|place| Todo::Again(lane, place)));
        if let Some(at) = merged.diverged {
            let text =
                format!("controller {index} holds another confirmed entry than the stream at {lane} {at}");
            self.checker.report(rescind_checker::Guarantee::S13, now, None, text);
        }
    }

    fn append_next(&mut self, index: u32) {
        let now = self.now;
        let Some(Starting { stage: Stage::Appending { todo, .. }, take_over }) = self.starting(index) else {
            return;
        };
        let take_over = *take_over;
        let Some(next) = todo.front().copied() else {
            return self.set_stage(index, take_over, Stage::RollCall { until: now + ROLL_CALL });
        };
        let (lane, message) = match next {
            Todo::Again(lane, place) => {
                let entry = self.controllers[index as usize].wal[slot(lane)].get(place);
                let Some(entry) = entry else { return };
                (lane, entry_message(&entry.entry))
            }
            Todo::Fence(lane, epoch, reason) => (lane, self.make_fence(index, lane, epoch, reason)),
        };
        let expected = self.controllers[index as usize].cursor[slot(lane)];
        let called = self.call_broker(index, Call::Append { lane, message, expected });
        let current = self.broker.incarnation;
        if let Some(Starting { stage: Stage::Appending { call, deadline, incarnation, .. }, .. }) =
            self.starting(index)
        {
            *call = called;
            *incarnation = current;
            *deadline = now + CALL_WAIT;
        }
        self.plan_controller(index);
    }

    /// A fence, in the log before it is published.
    fn make_fence(&mut self, index: u32, lane: Lane, epoch: Epoch, reason: EpochReason) -> LogMessage {
        let now = self.now;
        let node = &mut self.controllers[index as usize];
        let heads = node.heads();
        let deps = if lane == Lane::Deny { Position::default() } else { heads.deny.position };
        let fence = Entry::fence(Fence {
            chain: words::chain(),
            epoch,
            lane,
            after: *heads.get(lane).unwrap(),
            deps,
            start: EpochStart::continuing(reason),
            committed_at: node.now(now).wall,
            controller: words::controller_id(index),
            boot: words::instance(2, index, node.run),
        });
        let entry = Rc::new(words::chained(fence.unwrap()));
        node.wal[slot(lane)].push(WalEntry { entry: Rc::clone(&entry), confirmed: false });
        entry_message(&entry)
    }

    fn append_done(&mut self, index: u32, sequence: u64) {
        let Some(Starting { stage: Stage::Appending { todo, .. }, .. }) = self.starting(index) else {
            return;
        };
        let done = todo.pop_front();
        let node = &mut self.controllers[index as usize];
        match done {
            Some(Todo::Again(lane, place)) => {
                node.cursor[slot(lane)] = sequence;
                if let Some(entry) = node.wal[slot(lane)].get_mut(place) {
                    entry.confirmed = true;
                }
            }
            Some(Todo::Fence(lane, ..)) => {
                node.cursor[slot(lane)] = sequence;
                if let Some(entry) = node.wal[slot(lane)].last_mut() {
                    entry.confirmed = true;
                }
            }
            None => {}
        }
        self.append_next(index);
    }

    fn begin_writing(&mut self, index: u32) {
        let at = self.now;
        let last = if self.has_granted { LastKnown::Strict } else { LastKnown::NeverGranted };
        let node = &mut self.controllers[index as usize];
        let heads = node.heads();
        let epoch = Epoch(heads.deny.position.epoch.max(heads.grant.position.epoch).0.max(1));
        let mut registry = Registry::new(KeyHasher::new([9; 16]));
        for entry in node.wal.iter().flatten() {
            for change in &entry.entry.entry.changes {
                registry.apply(change, entry.entry.entry.committed_at).unwrap();
            }
        }
        let config = SequencerConfig {
            chain: words::chain(),
            epoch,
            controller: words::controller_id(index),
            boot: words::instance(2, index, node.run),
            lease: LEASE,
            entry_bytes_max: 800,
            change_bytes: |_| 100,
            reason_sha256: |_| [0; 32],
        };
        let now = node.now(at);
        let mut ledger = Ledger::new(LedgerConfig { lease: LEASE }, now.boot);
        for agent in 0..self.plan.agents {
            ledger.expect(words::agent_id(agent), ServiceName::new("payments").unwrap(), last);
        }
        for id in self.unenforced.keys() {
            let placed = Placed { lane: id.lane(), position: id.position(), target: None };
            ledger.track(*id, placed, now.boot);
        }
        node.role = Role::Writing(Box::new(Writing {
            sequencer: Sequencer::new(config, registry, heads),
            ledger,
            gate: LeaseGate::new(),
            jobs: [None, None],
            askers: BTreeMap::new(),
            snapshot: 0,
            has_ticked: false,
            is_unproven: true,
        }));
        self.writers += 1;
        self.note(format!("controller {index} writes, epoch {}", epoch.0));
        self.writer_timeout(index);
        self.drain_writer(index);
        self.plan_controller(index);
    }
}
