//! Writing: the commit path of each lane, ticks, snapshots, answers.

use std::rc::Rc;

use rescind_checker::{Event as Tell, Writer};
use rescind_core::controller::ledger::Placed;
use rescind_core::controller::sequencer::ControllerOutput;
use rescind_core::controller::{Now, Ticket};
use rescind_core::entry::{ChainedEntry, Entry, Tick};
use rescind_core::lease::{LeaseGrant, LeaseRequest};
use rescind_core::position::{Epoch, Heads, LANES, Lane};
use rescind_core::snapshot::Manifest;

use super::{Role, WalEntry, Writing, entry_message};
use crate::broker::{Call, LogMessage, Reply, Stored};
use crate::event::{Event, Snapshot, ToAgent, ToController};
use crate::plan::MS;
use crate::words::{self, slot};
use crate::world::World;

/// Limit: one attempt to publish an entry.
const PUBLISH_WAIT: u64 = 2_000 * MS;
/// Limit: the attempt to publish a tick.
const TICK_WAIT: u64 = 1_500 * MS;
/// What is not known to be stored after this time is called indeterminate.
const INDETERMINATE_AFTER: u64 = 4_000 * MS;
/// Pause between two looks at a lane.
const RETRY_PAUSE: u64 = 250 * MS;
/// Deny revisions between two snapshots.
const SNAPSHOT_EVERY: u64 = 25;

/// What is under way in a lane.
#[derive(Debug)]
pub(crate) struct Job {
    kind: Kind,
    step: Step,
    began: u64,
    told: bool,
}

#[derive(Debug, Clone)]
enum Kind {
    Entry(Rc<ChainedEntry>),
    Tick(Rc<Tick>, u64),
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Logging,
    Appending { call: u64, deadline: u64, incarnation: u64 },
    Looking { call: u64, deadline: u64 },
    Pausing { until: u64 },
}

impl Job {
    pub(super) fn wakes_at(&self) -> u64 {
        let step = match self.step {
            Step::Logging => u64::MAX,
            Step::Appending { deadline, .. } | Step::Looking { deadline, .. } => deadline,
            Step::Pausing { until } => until,
        };
        let untold = !self.told && matches!(self.kind, Kind::Entry(_));
        if untold { step.min(self.began + INDETERMINATE_AFTER) } else { step }
    }
}

/// What a look at a lane found.
enum Look {
    Found(u64),
    NotThere,
    Foreign,
}

impl World {
    fn writing(&mut self, index: u32) -> Option<&mut Writing> {
        match &mut self.controllers[index as usize].role {
            Role::Writing(writing) => Some(writing),
            Role::Down | Role::Starting(_) | Role::Standby(_) => None,
        }
    }

    fn controller_now(&self, index: u32) -> Now {
        self.controllers[index as usize].now(self.now)
    }

    pub(super) fn writer_timeout(&mut self, index: u32) {
        let (at, now) = (self.now, self.controller_now(index));
        let Some(writing) = self.writing(index) else { return };
        writing.sequencer.handle_timeout(now);
        writing.ledger.handle_timeout(now.boot);
        for lane in LANES {
            let Some(job) = self.writing(index).and_then(|writing| writing.jobs[slot(lane)].as_mut()) else {
                continue;
            };
            let (is_entry, step) = (matches!(job.kind, Kind::Entry(_)), job.step);
            if is_entry && !job.told && at >= job.began + INDETERMINATE_AFTER {
                job.told = true;
                if let Some(writing) = self.writing(index) {
                    writing.sequencer.handle_commit_indeterminate(now, lane);
                }
            }
            match step {
                Step::Appending { deadline, .. } if at >= deadline && is_entry => self.look(index, lane),
                Step::Appending { deadline, .. } | Step::Looking { deadline, .. }
                    if at >= deadline && !is_entry =>
                {
                    self.tick_failed(index, lane);
                }
                Step::Looking { deadline, .. } if at >= deadline => {
                    self.set_step(index, lane, Step::Pausing { until: at + RETRY_PAUSE });
                }
                Step::Pausing { until } if at >= until => self.look(index, lane),
                Step::Logging | Step::Appending { .. } | Step::Looking { .. } | Step::Pausing { .. } => {}
            }
        }
    }

    fn set_step(&mut self, index: u32, lane: Lane, step: Step) {
        if let Some(job) = self.writing(index).and_then(|writing| writing.jobs[slot(lane)].as_mut()) {
            job.step = step;
        }
    }

    fn look(&mut self, index: u32, lane: Lane) {
        // With what is known: a store that went back gives its sequences out again.
        let after = self.controllers[index as usize].cursor[slot(lane)].saturating_sub(1);
        let call = self.call_broker(index, Call::Read { lane, after });
        let deadline = self.now + PUBLISH_WAIT;
        self.set_step(index, lane, Step::Looking { call, deadline });
    }

    fn append(&mut self, index: u32, lane: Lane) {
        let run = self.controllers[index as usize].run;
        let Some(job) = self.writing(index).and_then(|writing| writing.jobs[slot(lane)].as_ref()) else {
            return;
        };
        let (message, wait) = match &job.kind {
            Kind::Entry(entry) => (entry_message(entry), PUBLISH_WAIT),
            Kind::Tick(tick, sent_at) => {
                (LogMessage::Tick(Rc::clone(tick), *sent_at, (index, run)), TICK_WAIT)
            }
        };
        let expected = self.controllers[index as usize].cursor[slot(lane)];
        let call = self.call_broker(index, Call::Append { lane, message, expected });
        let deadline = self.now + wait;
        let incarnation = self.broker.incarnation;
        self.set_step(index, lane, Step::Appending { call, deadline, incarnation });
    }

    /// The entry is on the controller's disk.
    pub(super) fn entry_logged(&mut self, index: u32, lane: Lane, began: u64) {
        let Some(job) = self.writing(index).and_then(|writing| writing.jobs[slot(lane)].as_ref()) else {
            return;
        };
        let Kind::Entry(entry) = &job.kind else { return };
        if job.began != began || !matches!(job.step, Step::Logging) {
            return;
        }
        let entry = WalEntry { entry: Rc::clone(entry), confirmed: false };
        self.controllers[index as usize].wal[slot(lane)].push(entry);
        self.append(index, lane);
    }

    pub(super) fn writer_reply(&mut self, index: u32, id: u64, reply: Reply) {
        let current = self.broker.incarnation;
        let Some(writing) = self.writing(index) else { return };
        let mine =
            LANES.into_iter().find(|lane| match writing.jobs[slot(*lane)].as_ref().map(|job| job.step) {
                Some(Step::Appending { call, .. } | Step::Looking { call, .. }) => call == id,
                Some(Step::Logging | Step::Pausing { .. }) | None => false,
            });
        let Some(lane) = mine else { return };
        let step =
            writing.jobs[slot(lane)].as_ref().map(|job| (job.step, matches!(job.kind, Kind::Tick(..))));
        let is_in_doubt =
            matches!(step, Some((Step::Appending { incarnation, .. }, _)) if incarnation != current);
        match reply {
            // The connection changed while it was under way.
            Reply::Stored(_) if is_in_doubt && step.is_some_and(|(_, is_tick)| is_tick) => {
                self.tick_failed(index, lane);
            }
            Reply::Stored(_) if is_in_doubt => self.look(index, lane),
            Reply::Stored(sequence) => self.stored(index, lane, sequence),
            Reply::Conflict => self.look(index, lane),
            Reply::Messages(messages, last) => self.looked(index, lane, &messages, last),
        }
    }

    fn looked(&mut self, index: u32, lane: Lane, messages: &[Stored], last: u64) {
        if last < self.controllers[index as usize].cursor[slot(lane)] {
            // The stream went back.
            return self.step_down(index);
        }
        let Some(job) = self.writing(index).and_then(|writing| writing.jobs[slot(lane)].as_ref()) else {
            return;
        };
        let kind = job.kind.clone();
        let node = &self.controllers[index as usize];
        let cursor = node.cursor[slot(lane)];
        let known = messages.partition_point(|stored| stored.sequence <= cursor);
        let (known, messages) = messages.split_at(known);
        if !known.iter().all(|stored| is_of_history(&kind, stored, &node.wal[slot(lane)])) {
            return self.step_down(index);
        }
        match judge(index, &kind, messages) {
            Look::Foreign => self.step_down(index),
            Look::Found(sequence) => {
                self.stored(index, lane, sequence);
                self.controllers[index as usize].cursor[slot(lane)] = last;
            }
            Look::NotThere => {
                self.controllers[index as usize].cursor[slot(lane)] = last;
                match kind {
                    Kind::Entry(_) => self.append(index, lane),
                    Kind::Tick(..) => self.tick_failed(index, lane),
                }
            }
        }
    }

    fn tick_failed(&mut self, index: u32, lane: Lane) {
        let now = self.controller_now(index);
        if let Some(writing) = self.writing(index) {
            writing.jobs[slot(lane)] = None;
            writing.sequencer.handle_tick_failed(now);
        }
    }

    /// What was in flight is in the stream.
    fn stored(&mut self, index: u32, lane: Lane, sequence: u64) {
        let now = self.controller_now(index);
        let node = &mut self.controllers[index as usize];
        node.cursor[slot(lane)] = sequence;
        let (run, paused_until) = (node.run, node.paused_until);
        let Role::Writing(writing) = &mut node.role else { return };
        let job = writing.jobs[slot(lane)].take();
        let began = job.as_ref().map_or(0, |job| job.began);
        match job.map(|job| job.kind) {
            Some(Kind::Entry(entry)) => {
                let wal = &mut node.wal[slot(lane)];
                if let Some(logged) = wal.iter_mut().rev().find(|there| there.entry.hash == entry.hash) {
                    logged.confirmed = true;
                }
                writing.sequencer.handle_committed(now, lane, entry.hash);
                let (heads, digest) = (writing.sequencer.heads(), writing.sequencer.digest());
                let by = Writer { controller: index, run };
                self.tell(&Tell::Confirmed { at: self.now, by, heads, digest });
                self.make_snapshot(index, SNAPSHOT_EVERY);
            }
            Some(Kind::Tick(..)) => {
                writing.has_ticked = true;
                let is_new = began >= paused_until;
                writing.sequencer.handle_tick_appended(now);
                let resumed = is_new && core::mem::take(&mut writing.is_unproven);
                let (heads, digest) = (writing.sequencer.heads(), writing.sequencer.digest());
                let epoch = heads_epoch(&heads);
                if resumed {
                    let by = Writer { controller: index, run };
                    self.tell(&Tell::WriterBegan { at: self.now, by, epoch, heads });
                    self.tell(&Tell::Confirmed { at: self.now, by, heads, digest });
                }
            }
            None => {}
        }
    }

    /// A snapshot of the state as it is. False: something is in flight.
    pub(crate) fn make_snapshots(&mut self) -> bool {
        let is_quiet = |node: &super::ControllerNode| match &node.role {
            Role::Writing(writing) => writing.sequencer.is_quiet(),
            Role::Down | Role::Starting(_) | Role::Standby(_) => true,
        };
        if !self.controllers.iter().all(is_quiet) {
            return false;
        }
        (0..self.plan.controllers).for_each(|index| self.make_snapshot(index, 1));
        true
    }

    fn make_snapshot(&mut self, index: u32, every: u64) {
        let wall = self.controller_now(index).wall;
        let Some(writing) = self.writing(index) else { return };
        let heads = writing.sequencer.heads();
        let revision = heads.deny.position.revision.0;
        if !writing.sequencer.is_quiet() || revision < writing.snapshot + every {
            return;
        }
        writing.snapshot = revision;
        let items: Vec<_> = writing.sequencer.registry().items().collect();
        let manifest = Manifest {
            chain: words::chain(),
            heads,
            digest: writing.sequencer.digest(),
            items: items.len() as u64,
            chunks: Vec::new(),
            made_at: wall,
        };
        self.call_broker(index, Call::PutSnapshot(Rc::new(Snapshot { manifest, items })));
    }

    /// Does what sequencer and ledger want.
    pub(crate) fn drain_writer(&mut self, index: u32) {
        while let Some(output) = self.writing(index).and_then(|writing| writing.sequencer.poll_output()) {
            self.writer_output(index, output);
        }
        let by = Writer { controller: index, run: self.controllers[index as usize].run };
        while let Some(enforced) = self.writing(index).and_then(|writing| writing.ledger.poll_output()) {
            self.unenforced.remove(&enforced.id);
            self.tell(&Tell::Enforced { at: self.now, by, id: enforced.id });
        }
    }

    fn writer_output(&mut self, index: u32, output: ControllerOutput) {
        match output {
            ControllerOutput::Commit { entry, .. } => self.commit(index, *entry),
            ControllerOutput::AppendTick { tick, requests } => self.append_tick(index, *tick, &requests),
            ControllerOutput::Granted { tick, requests, .. } => {
                for (ticket, request) in requests {
                    let asker = self.writing(index).and_then(|writing| writing.askers.remove(&ticket.0));
                    let Some((agent, run)) = asker else { continue };
                    let grant = LeaseGrant { nonce: request.nonce, tick: Tick::clone(&tick) };
                    self.answer_agent(index, agent, run, ToAgent::Grant(Box::new(grant)));
                }
            }
            ControllerOutput::Unanswered(tickets) => {
                if let Some(writing) = self.writing(index) {
                    writing.askers.retain(|ticket, _| !tickets.contains(&Ticket(*ticket)));
                }
            }
            ControllerOutput::Answer { ticket, outcome } => self.answered(ticket.0, outcome),
        }
    }

    fn commit(&mut self, index: u32, entry: Entry) {
        let (now, lane) = (self.now, entry.lane);
        let wait = self.rng.between(MS / 2, 8 * MS);
        let run = self.controllers[index as usize].run;
        let Some(writing) = self.writing(index) else { return };
        let kind = Kind::Entry(Rc::new(words::chained(entry)));
        writing.jobs[slot(lane)] = Some(Job { kind, step: Step::Logging, began: now, told: false });
        let message = ToController::Logged(lane, now);
        self.queue.plan(now + wait, Event::ToController { index, run, message });
    }

    fn append_tick(&mut self, index: u32, tick: Tick, requests: &[(Ticket, LeaseRequest)]) {
        let (at, now) = (self.now, self.controller_now(index));
        self.has_granted |= !requests.is_empty();
        let Some(writing) = self.writing(index) else { return };
        for (_, request) in requests {
            writing.ledger.note_granted(&request.agent, request.instance, now.boot);
        }
        let kind = Kind::Tick(Rc::new(tick), at);
        writing.jobs[slot(Lane::Deny)] = Some(Job { kind, step: Step::Logging, began: at, told: true });
        self.append(index, Lane::Deny);
    }

    /// An accepted change is timed until it is enforced.
    pub(crate) fn track(&mut self, index: u32, id: rescind_core::ids::RecordId) {
        let now = self.controller_now(index);
        let holds = |writing: &&mut Writing| {
            writing.sequencer.heads().get(id.lane()).is_some_and(|head| head.position >= id.position())
        };
        if let Some(writing) = self.writing(index).filter(holds) {
            let placed = Placed { lane: id.lane(), position: id.position(), target: None };
            writing.ledger.track(id, placed, now.boot);
        }
    }
}

fn heads_epoch(heads: &Heads) -> Epoch {
    heads.deny.position.epoch.max(heads.grant.position.epoch)
}

/// Whether what stands where the lane was known to end is of the log, and of no later epoch.
fn is_of_history(kind: &Kind, stored: &Stored, wal: &[WalEntry]) -> bool {
    let epoch = match kind {
        Kind::Entry(entry) => entry.entry.epoch,
        Kind::Tick(tick, _) => tick.epoch,
    };
    match &stored.message {
        LogMessage::Tick(tick, ..) => tick.epoch <= epoch,
        LogMessage::Entry(there) => wal.iter().rev().any(|logged| logged.entry.hash == there.hash),
    }
}

/// What stands in the lane after the place that this controller knows.
fn judge(index: u32, kind: &Kind, messages: &[Stored]) -> Look {
    let mut look = Look::NotThere;
    for stored in messages {
        let is_mine = match (&stored.message, kind) {
            (LogMessage::Entry(there), Kind::Entry(entry)) if there.hash == entry.hash => {
                look = Look::Found(stored.sequence);
                true
            }
            (LogMessage::Entry(_), _) => false,
            (LogMessage::Tick(.., by), _) => by.0 == index,
        };
        if !is_mine || !stored.is_readable {
            return Look::Foreign;
        }
    }
    look
}
