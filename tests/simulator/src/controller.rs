//! A controller: its log, its role, and the thin mirror of what the shell does around the core's machines.
//!
//! | role | event | next |
//! |---|---|---|
//! | starting | both lanes read, log and stream in line, nobody else writes | writing |
//! | starting | somebody else was heard | standby |
//! | standby | silence for long enough | starting, to take over |
//! | writing | foreign or missing messages in a lane | starting |

mod lanes;
mod serve;
mod start;
mod write;

use std::collections::BTreeMap;
use std::rc::Rc;

use rescind_checker::{Event as Tell, Writer};
use rescind_core::controller::Now;
use rescind_core::controller::gate::LeaseGate;
use rescind_core::controller::ledger::Ledger;
use rescind_core::controller::refusal::Deposed;
use rescind_core::controller::sequencer::Sequencer;
use rescind_core::entry::ChainedEntry;
use rescind_core::position::{Epoch, Head, Heads, LANES, Lane};
use rescind_core::time::UnixMs;

pub(crate) use self::lanes::WalEntry;
use self::start::Starting;
use self::write::Job;
use crate::broker::{LogMessage, Stored};
use crate::bus::Link;
use crate::clock::Clock;
use crate::event::{Event, ToController};
use crate::plan::MS;
use crate::words;
use crate::world::{BASE_MS, World};

/// Silence after which a standby takes over.
const TAKE_OVER_AFTER: u64 = 3_000 * MS;
/// Pause between two looks of a standby at the stream.
const TAIL_PAUSE: u64 = 250 * MS;

/// One controller.
pub(crate) struct ControllerNode {
    pub(crate) run: u32,
    pub(crate) is_up: bool,
    pub(crate) paused_until: u64,
    pub(crate) clock: Clock,
    /// Its wall clock's error.
    pub(crate) wall_ms: i64,
    pub(crate) link: Link,
    /// Its own log by lane: what survives a crash.
    pub(crate) wal: [Vec<WalEntry>; 2],
    pub(crate) role: Role,
    pub(crate) stamp: u64,
    planned: u64,
    /// Sequences up to which each lane was read.
    pub(crate) cursor: [u64; 2],
    heard: Option<Heard>,
    jitter: u64,
}

/// The writer that was heard last.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Heard {
    by: (u32, u32),
    epoch: Epoch,
    said: UnixMs,
    at: u64,
}

pub(crate) enum Role {
    Down,
    Starting(Starting),
    Standby(Standby),
    Writing(Box<Writing>),
}

#[derive(Debug)]
pub(crate) struct Standby {
    since: u64,
    next_look: u64,
    calls: [u64; 2],
}

pub(crate) struct Writing {
    pub(crate) sequencer: Sequencer,
    pub(crate) ledger: Ledger,
    pub(crate) gate: LeaseGate,
    jobs: [Option<Job>; 2],
    pub(crate) askers: BTreeMap<u64, (u32, u32)>,
    /// Deny revision of the newest snapshot.
    snapshot: u64,
    /// A tick of this writer is in the stream, so that it can grant.
    has_ticked: bool,
    /// It began, or stood still: whether it writes shows with its next tick.
    is_unproven: bool,
}

impl ControllerNode {
    pub(crate) fn new(_: u32, clock: Clock) -> Self {
        Self {
            run: 0,
            is_up: false,
            paused_until: 0,
            clock,
            wall_ms: 0,
            link: Link::default(),
            wal: [Vec::new(), Vec::new()],
            role: Role::Down,
            stamp: 0,
            planned: u64::MAX,
            cursor: [0; 2],
            heard: None,
            jitter: 0,
        }
    }

    pub(crate) fn now(&self, at: u64) -> Now {
        let wall = BASE_MS + i64::try_from(at / MS).unwrap() + self.wall_ms;
        Now { boot: self.clock.local(at), wall: UnixMs(wall) }
    }

    pub(crate) fn heads(&self) -> Heads {
        let mut heads = Heads::default();
        for lane in LANES {
            if let (Some(head), Some(last)) = (heads.get_mut(lane), self.wal[words::slot(lane)].last()) {
                *head = Head { position: last.entry.entry.last(), hash: last.entry.hash };
            }
        }
        heads
    }

    pub(crate) const fn role_word(&self) -> &'static str {
        match &self.role {
            Role::Down => "down",
            Role::Starting(_) => "starting",
            Role::Standby(_) => "standby",
            Role::Writing(_) => "writing",
        }
    }

    pub(crate) const fn is_writing(&self) -> bool {
        matches!(self.role, Role::Writing(_))
    }

    /// A tick of somebody else; one that says nothing new proves nobody alive.
    fn hear(&mut self, index: u32, message: &LogMessage, at: u64) {
        let LogMessage::Tick(tick, _, by) = message else { return };
        if by.0 == index {
            return;
        }
        let is_old = self.heard.is_some_and(|known| {
            tick.epoch < known.epoch || (known.by == *by && tick.controller_time <= known.said)
        });
        if !is_old {
            self.heard = Some(Heard { by: *by, epoch: tick.epoch, said: tick.controller_time, at });
        }
    }
}

impl World {
    pub(crate) fn start_controller(&mut self, index: u32) {
        let jitter = self.rng.below(1_000) * MS;
        let node = &mut self.controllers[index as usize];
        node.run += 1;
        node.is_up = true;
        node.paused_until = 0;
        node.heard = None;
        node.jitter = jitter;
        self.begin_start(index, false);
    }

    /// The process dies: what it knew beside its log is gone.
    pub(crate) fn stop_controller(&mut self, index: u32) {
        if !self.controllers[index as usize].is_up {
            return;
        }
        self.lose_role(index);
        let forgets = self.rng.permille(500);
        let node = &mut self.controllers[index as usize];
        node.is_up = false;
        node.role = Role::Down;
        for wal in &mut node.wal {
            // What is confirmed is written down with the next entry.
            if let Some(last) = wal.last_mut().filter(|_| forgets) {
                last.confirmed = false;
            }
        }
        self.abandon(index);
    }

    /// The process stands still. Its clients give up, nobody claims anything.
    pub(crate) fn pause_controller(&mut self, index: u32, until: u64) {
        self.controllers[index as usize].paused_until = until;
        self.abandon(index);
        let node = &mut self.controllers[index as usize];
        let by = Writer { controller: index, run: node.run };
        if let Role::Writing(writing) = &mut node.role {
            writing.is_unproven = true;
            self.tell(&Tell::WriterEnded { at: self.now, by });
        }
    }

    /// Nobody hears what this controller still owed.
    pub(crate) fn abandon(&mut self, index: u32) {
        let open: Vec<u64> = self
            .open
            .iter()
            .filter(|(_, open)| open.controller == index)
            .map(|(ticket, _)| *ticket)
            .collect();
        for ticket in open {
            let open = self.open.remove(&ticket).unwrap();
            self.tell(&Tell::Abandoned { at: self.now, ticket });
            self.plan_retry(open.key);
        }
    }

    /// A writer answers what it owes and stops writing.
    fn lose_role(&mut self, index: u32) {
        let now = self.now;
        let node = &mut self.controllers[index as usize];
        let by = Writer { controller: index, run: node.run };
        if let Role::Writing(writing) = &mut node.role {
            writing.sequencer.handle_deposed(Deposed::ForeignEntry);
            self.drain_writer(index);
            self.tell(&Tell::WriterEnded { at: now, by });
        }
    }

    /// Looks at log and stream anew.
    pub(crate) fn step_down(&mut self, index: u32) {
        self.lose_role(index);
        self.begin_start(index, false);
    }

    pub(crate) fn controller_hears(&mut self, index: u32, run: u32, message: ToController) {
        let now = self.now;
        let node = &self.controllers[index as usize];
        if !node.is_up || (run != 0 && run != node.run) {
            return;
        }
        if node.paused_until > now {
            let (at, run) = (node.paused_until + MS, node.run);
            return self.queue.plan(at, Event::ToController { index, run, message });
        }
        match message {
            ToController::Reply(call, reply) => self.controller_reply(index, call, reply),
            ToController::Logged(lane, place) => self.entry_logged(index, lane, place),
            ToController::Ask(run, request) => self.serve_ask(index, run, request),
            ToController::Report(report) => self.serve_report(index, &report),
            ToController::Range { agent, run, lane, after } => {
                self.serve_range(index, agent, run, lane, after)
            }
            ToController::Directive { ticket, key, directive } => {
                self.serve_directive(index, ticket, key, *directive);
            }
        }
        self.drain_writer(index);
        self.plan_controller(index);
    }

    pub(crate) fn controller_wakes(&mut self, index: u32, stamp: u64) {
        let now = self.now;
        let node = &mut self.controllers[index as usize];
        if !node.is_up || node.stamp != stamp {
            return;
        }
        node.planned = u64::MAX;
        if node.paused_until > now {
            let at = node.paused_until + MS;
            return self.wake_controller_at(index, at);
        }
        match &node.role {
            Role::Down => {}
            Role::Starting(_) => self.start_timeout(index),
            Role::Standby(_) => self.standby_timeout(index),
            Role::Writing(_) => self.writer_timeout(index),
        }
        self.drain_writer(index);
        self.plan_controller(index);
    }

    fn plan_controller(&mut self, index: u32) {
        let now = self.now;
        let node = &self.controllers[index as usize];
        let at = match &node.role {
            Role::Down => return,
            Role::Starting(starting) => starting.wakes_at(),
            Role::Standby(standby) => standby.next_look,
            Role::Writing(writing) => {
                let timers = [writing.sequencer.poll_timeout(), writing.ledger.poll_timeout()];
                let timers = timers.into_iter().flatten().map(|at| node.clock.world(at));
                timers.chain(writing.jobs.iter().flatten().map(Job::wakes_at)).min().unwrap_or(u64::MAX)
            }
        };
        if at != u64::MAX {
            self.wake_controller_at(index, at.max(now) + 1);
        }
    }

    fn wake_controller_at(&mut self, index: u32, at: u64) {
        let node = &mut self.controllers[index as usize];
        if at < node.planned {
            node.planned = at;
            node.stamp += 1;
            let stamp = node.stamp;
            self.queue.plan(at, Event::ControllerWakes { index, stamp });
        }
    }

    fn controller_reply(&mut self, index: u32, call: u64, reply: crate::broker::Reply) {
        match &self.controllers[index as usize].role {
            Role::Down => {}
            Role::Starting(_) => self.start_reply(index, call, reply),
            Role::Standby(_) => self.standby_reply(index, call, &reply),
            Role::Writing(_) => self.writer_reply(index, call, reply),
        }
    }

    pub(crate) fn become_standby(&mut self, index: u32) {
        let now = self.now;
        let role = Role::Standby(Standby { since: now, next_look: now, calls: [0; 2] });
        self.controllers[index as usize].role = role;
        self.plan_controller(index);
    }

    fn standby_timeout(&mut self, index: u32) {
        let now = self.now;
        let node = &mut self.controllers[index as usize];
        let (heard, jitter) = (node.heard.map_or(0, |heard| heard.at), node.jitter);
        let Role::Standby(standby) = &mut node.role else { return };
        if now >= heard.max(standby.since) + TAKE_OVER_AFTER + jitter && self.plan.controllers > 1 {
            return self.begin_start(index, true);
        }
        standby.next_look = now + TAIL_PAUSE;
        let cursor = node.cursor;
        for lane in LANES {
            let after = cursor[words::slot(lane)];
            let call = self.call_broker(index, crate::broker::Call::Read { lane, after });
            if let Role::Standby(standby) = &mut self.controllers[index as usize].role {
                standby.calls[words::slot(lane)] = call;
            }
        }
    }

    fn standby_reply(&mut self, index: u32, call: u64, reply: &crate::broker::Reply) {
        let crate::broker::Reply::Messages(messages, last) = reply else { return };
        let node = &self.controllers[index as usize];
        let Role::Standby(standby) = &node.role else { return };
        let Some(lane) = LANES.into_iter().find(|lane| standby.calls[words::slot(*lane)] == call) else {
            return;
        };
        if *last < node.cursor[words::slot(lane)] {
            // The stream went back: read it from its beginning.
            self.controllers[index as usize].cursor[words::slot(lane)] = 0;
            return;
        }
        self.follow(index, lane, messages, *last);
    }

    /// Takes what another writer stored into the log.
    fn follow(&mut self, index: u32, lane: Lane, messages: &[Stored], last: u64) {
        let now = self.now;
        let node = &mut self.controllers[index as usize];
        node.cursor[words::slot(lane)] = last;
        for stored in messages.iter().filter(|stored| stored.is_readable) {
            node.hear(index, &stored.message, now);
        }
        let merged = lanes::merge(&mut node.wal[words::slot(lane)], messages);
        if let Some(at) = merged.diverged {
            let text =
                format!("controller {index} holds another confirmed entry than the stream at {lane} {at}");
            self.checker.report(rescind_checker::Guarantee::S13, now, None, text);
        }
    }

    /// Whether somebody writes and nothing of it is in doubt.
    pub(crate) fn has_settled_writer(&self) -> bool {
        self.controllers.iter().any(|node| match &node.role {
            Role::Writing(writing) => node.is_up && !writing.sequencer.is_settling() && writing.has_ticked,
            Role::Down | Role::Starting(_) | Role::Standby(_) => false,
        })
    }

    /// The controller that clients talk to: one that writes, else any.
    pub(crate) fn contact(&mut self) -> Option<u32> {
        let now = self.now;
        let is_there = |node: &ControllerNode| node.is_up && node.paused_until <= now;
        let all = 0..self.plan.controllers;
        let writers: Vec<u32> = all
            .filter(|index| {
                let node = &self.controllers[*index as usize];
                is_there(node) && node.is_writing()
            })
            .collect();
        (!writers.is_empty()).then(|| writers[self.rng.index(writers.len())])
    }
}

fn entry_message(entry: &Rc<ChainedEntry>) -> LogMessage {
    LogMessage::Entry(Rc::clone(entry))
}
