//! The world: time, what is planned, who is there, and the phases of a run.

use std::collections::{BTreeMap, HashSet};

use rescind_checker::{Checker, Event as Tell, Heal as Healed, Settings};
use rescind_core::change::Ask;
use rescind_core::ids::RecordId;
use rescind_core::position::{EntryHash, Lane};
use rescind_core::report::Freshness;

use crate::agent::{AgentNode, Disk};
use crate::broker::{Broker, Call, LogMessage, Reply};
use crate::clock::Clock;
use crate::controller::ControllerNode;
use crate::event::{Event, Phase, Queue, Snapshot, ToAgent};
use crate::plan::{MS, Options, Plan, S};
use crate::random::Rng;
use crate::{Outcome, words};

/// Wall clock at the start of a run.
pub(crate) const BASE_MS: i64 = 1_700_000_000_000;
/// After everything works again somebody has to write within this: three seconds of silence, jitter, roll call.
const WRITER_WITHIN: u64 = 12 * S;

/// Limit: faults that are remembered.
const NOTES_MAX: usize = 24;

/// A directive that somebody waits for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Open {
    pub(crate) key: u64,
    pub(crate) controller: u32,
}

pub(crate) struct World {
    pub(crate) seed: u64,
    pub(crate) now: u64,
    pub(crate) rng: Rng,
    pub(crate) plan: Plan,
    pub(crate) queue: Queue,
    pub(crate) checker: Checker,
    pub(crate) agents: Vec<AgentNode>,
    pub(crate) controllers: Vec<ControllerNode>,
    pub(crate) broker: Broker,
    /// No fault of links, processes and stores any more.
    pub(crate) is_healed: bool,
    pub(crate) phase: Phase,
    pub(crate) nonces: u64,
    pub(crate) calls: u64,
    pub(crate) tickets: u64,
    pub(crate) open: BTreeMap<u64, Open>,
    pub(crate) asks: BTreeMap<u64, Ask>,
    pub(crate) records: Vec<RecordId>,
    /// Accepted and not yet enforced.
    pub(crate) unenforced: BTreeMap<RecordId, ()>,
    /// Accepted at some time.
    pub(crate) known: HashSet<RecordId>,
    pub(crate) has_granted: bool,
    /// Entries that the stream has held.
    pub(crate) seen: HashSet<EntryHash>,
    /// Until then the only whole copy of the history may not be broken.
    pub(crate) protected_until: u64,
    pub(crate) accepted: u64,
    pub(crate) decisions: (u64, u64),
    pub(crate) writers: u64,
    pub(crate) faults: u64,
    /// The last faults, for people.
    notes: std::collections::VecDeque<(u64, String)>,
    healed_at: u64,
    steps: u64,
    trace: u64,
}

impl World {
    pub(crate) fn new(seed: u64, options: &Options) -> Self {
        let mut rng = Rng::new(seed);
        let plan = Plan::draw(&mut rng, options);
        let clock = |rng: &mut Rng| {
            let ppm = i64::try_from(rng.below(10_001)).unwrap() - 5_000;
            Clock::new(rng.below(1_000_000) * MS, ppm)
        };
        let agents = (0..plan.agents).map(|index| AgentNode::new(index, clock(&mut rng), 0)).collect();
        let controllers =
            (0..plan.controllers).map(|index| ControllerNode::new(index, clock(&mut rng))).collect();
        let settings = Settings {
            sees_chain: true,
            sees_disk: true,
            // The clocks of agents and controllers run apart; the ledger looks once in a while.
            enforced_slack: core::time::Duration::from_millis(300),
            ..Settings::default()
        };
        let mut world = Self {
            seed,
            now: 0,
            rng,
            plan,
            queue: Queue::default(),
            checker: Checker::new(format!("seed {seed}"), settings),
            agents,
            controllers,
            broker: Broker::new(),
            is_healed: false,
            phase: Phase::Over,
            nonces: 0,
            calls: 0,
            tickets: 0,
            open: BTreeMap::new(),
            asks: BTreeMap::new(),
            records: Vec::new(),
            unenforced: BTreeMap::new(),
            known: HashSet::new(),
            has_granted: false,
            seen: HashSet::new(),
            protected_until: 0,
            accepted: 0,
            decisions: (0, 0),
            writers: 0,
            faults: 0,
            notes: std::collections::VecDeque::new(),
            healed_at: 0,
            steps: 0,
            trace: 0xcbf2_9ce4_8422_2325,
        };
        world.prepare();
        world
    }

    fn prepare(&mut self) {
        for index in 0..self.plan.controllers {
            self.start_controller(index);
        }
        for index in 0..self.plan.agents {
            self.start_agent(index, Disk::Empty);
            let first = self.rng.below(self.plan.decision_pause);
            self.queue.plan(first, Event::Decide { index });
        }
        self.queue.plan(200 * MS, Event::Directive);
        self.queue.plan(S, Event::Fault);
        self.queue.plan(self.plan.storm, Event::Phase(Phase::Healing));
    }

    pub(crate) fn run(mut self) -> Outcome {
        while let Some((at, event)) = self.queue.pop() {
            self.now = self.now.max(at);
            self.steps += 1;
            self.mix(at);
            if matches!(event, Event::Phase(Phase::Over)) {
                break;
            }
            self.handle(event);
            if !self.checker.violations().is_empty() {
                break;
            }
        }
        if self.checker.violations().is_empty() {
            self.checker.finish(self.now);
        }
        self.mix(self.rng.clone().next());
        Outcome {
            seed: self.seed,
            trace_hash: self.trace,
            virtual_ns: self.now,
            steps: self.steps,
            accepted: self.accepted,
            decisions: self.decisions,
            writers: self.writers,
            faults: self.faults,
            standing: self.standing(),
            violations: self.checker.violations().to_vec(),
        }
    }

    /// Where everybody stands.
    fn standing(&self) -> Vec<String> {
        let few = self.agents.iter().take(16).enumerate();
        let agents = few.map(|(index, node)| {
            let local = node.clock.local(self.now);
            let fault = node.machine.fault().map_or_else(String::new, |fault| fault.to_string());
            let heads = node.machine.heads();
            format!(
                "agent {index} run {}: up {} paused {} {:?} deny {} grant {} lag {} {} fault `{fault}` blind {:?} {:?}",
                node.run,
                node.is_up,
                node.paused_until > self.now,
                node.machine.freshness(local),
                heads.deny.position,
                heads.grant.position,
                node.machine.lag(Lane::Deny),
                node.machine.lag(words::GRANT),
                node.blind_to,
                node.link,
            )
        });
        let controllers = self.controllers.iter().enumerate().map(|(index, node)| {
            let heads = node.heads();
            let (deny, grant) = (heads.deny.position, heads.grant.position);
            format!(
                "controller {index} run {}: {} deny {deny} grant {grant} {:?}",
                node.run,
                node.role_word(),
                node.link
            )
        });
        let notes = self.notes.iter().map(|(at, note)| format!("{:>8} ms {note}", at / MS));
        agents.chain(controllers).chain(notes).collect()
    }

    /// Remembers a fault.
    pub(crate) fn note(&mut self, note: impl Into<String>) {
        if self.notes.len() >= NOTES_MAX {
            self.notes.pop_front();
        }
        self.notes.push_back((self.now, note.into()));
    }

    fn mix(&mut self, value: u64) {
        self.trace = (self.trace ^ value).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(23);
    }

    /// Tells the checker.
    pub(crate) fn tell(&mut self, event: &Tell) {
        self.mix(event.at());
        self.checker.observe(event);
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::ToAgent { index, run, message } => self.agent_hears(index, run, message),
            Event::AgentWakes { index, stamp } => self.agent_wakes(index, stamp),
            Event::ToController { index, run, message } => self.controller_hears(index, run, message),
            Event::ControllerWakes { index, stamp } => self.controller_wakes(index, stamp),
            Event::AtBroker { index, run, id, call } => self.at_broker(index, run, id, call),
            Event::FetchSnapshot { index, run, is_served } => self.fetch_snapshot(index, run, is_served),
            Event::Decide { index } => self.decide_once(index),
            Event::Directive => self.ask_something(),
            Event::Retry { key } => self.retry(key),
            Event::Fault => self.break_something(),
            Event::Heal(heal) => self.heal(heal),
            Event::Phase(phase) => self.enter(phase),
            Event::Replay(message) => self.publish_live(&message),
        }
    }

    fn at_broker(&mut self, index: u32, run: u32, id: u64, call: Call) {
        if !self.broker.is_up {
            return;
        }
        if self.broker.stopped_until > self.now {
            let at = self.broker.stopped_until + MS;
            return self.queue.plan(at, Event::AtBroker { index, run, id, call });
        }
        let reply = match call {
            Call::Append { lane, message, expected } => {
                match self.broker.append(lane, message.clone(), expected) {
                    Some(sequence) => {
                        self.note_stored(&message);
                        self.publish_live(&message);
                        Reply::Stored(sequence)
                    }
                    None => Reply::Conflict,
                }
            }
            Call::Read { lane, after } => {
                let messages = self.broker.read(lane, after);
                Reply::Messages(std::rc::Rc::new(messages), self.broker.last(lane))
            }
            Call::PutSnapshot(snapshot) => {
                // Named by its place: a late one does not hide a newer one.
                let place = |there: &Snapshot| there.manifest.heads.deny.position;
                let behind = |there: &std::rc::Rc<Snapshot>| place(there) <= place(&snapshot);
                let at = self.broker.snapshots.partition_point(behind);
                self.broker.snapshots.insert(at, snapshot);
                return;
            }
        };
        self.answer_controller(index, run, id, reply);
    }

    /// What the stream holds is history, for the checker.
    fn note_stored(&mut self, message: &LogMessage) {
        let now = self.now;
        match message {
            LogMessage::Tick(tick, sent_at, by) => {
                let by = rescind_checker::Writer { controller: by.0, run: by.1 };
                let (epoch, heads) = (tick.epoch, tick.heads);
                self.tell(&Tell::Tick { at: now, by, sent_at: *sent_at, epoch, heads });
            }
            LogMessage::Entry(entry) => {
                if !self.seen.insert(entry.hash) {
                    return;
                }
                let (lane, last) = (entry.entry.lane, entry.entry.last());
                let (controller, run) = words::process(entry.entry.boot);
                if entry.entry.fence_start().is_some() {
                    self.tell(&Tell::Fence {
                        at: now,
                        by: rescind_checker::Writer { controller, run },
                        lane,
                        epoch: entry.entry.epoch,
                        first: entry.entry.first,
                        lost: false,
                        approvals: 0,
                    });
                }
                self.tell(&Tell::Entry { at: now, lane, last, hash: entry.hash });
                for change in &entry.entry.changes {
                    if let Some(key) = words::key(change) {
                        let effect = words::effect(change);
                        self.tell(&Tell::Ordered { at: now, id: change.id, key, effect });
                    }
                }
            }
        }
    }

    /// What was stored goes to every subscription.
    fn publish_live(&mut self, message: &LogMessage) {
        for index in 0..self.plan.agents {
            let message = match message {
                LogMessage::Entry(entry) => ToAgent::Entry(std::rc::Rc::clone(entry)),
                LogMessage::Tick(tick, ..) => ToAgent::Tick(std::rc::Rc::clone(tick)),
            };
            self.send_agent(index, 0, message);
        }
        let is_replayed = !self.is_healed && self.rng.permille(8);
        if is_replayed {
            let at = self.now + self.rng.below(20) * S;
            self.queue.plan(at, Event::Replay(message.clone()));
        }
    }

    fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        match phase {
            Phase::Healing => {
                self.heal_everything();
                self.healed_at = self.now;
                self.queue.plan(self.now + 100 * MS, Event::Phase(Phase::Settling));
            }
            Phase::Settling => {
                if !self.has_settled_writer() || !self.make_snapshots() {
                    if self.now > self.healed_at + WRITER_WITHIN {
                        let text = "nobody writes although everything works again";
                        self.checker.report(rescind_checker::Guarantee::L4, self.now, None, text);
                    }
                    return self.queue.plan(self.now + 50 * MS, Event::Phase(Phase::Settling));
                }
                self.queue.plan(self.now + 100 * MS, Event::Phase(Phase::Reconnecting));
            }
            Phase::Reconnecting => {
                (0..self.plan.agents).for_each(|index| self.reconnect(index));
                self.queue.plan(self.now + 6 * S, Event::Phase(Phase::Calm));
            }
            Phase::Calm => {
                self.tell(&Tell::Calm { at: self.now, still: false });
                for index in 0..self.plan.agents {
                    let run = self.agents[index as usize].who(index);
                    self.tell(&Tell::Healed { at: self.now, run, heal: Healed::Warm });
                }
                let lucky = self.rng.index(self.agents.len());
                self.agents[lucky].drop_asks = 4;
                self.queue.plan(self.now + 7 * S, Event::Phase(Phase::Still));
            }
            Phase::Still => {
                self.note_lapses();
                self.tell(&Tell::Calm { at: self.now, still: true });
                self.queue.plan(self.now + 10 * S + 20 * MS, Event::Phase(Phase::Over));
            }
            Phase::Over => {}
        }
    }

    /// A writer is there: whoever is not fresh has to become so.
    fn reconnect(&mut self, index: u32) {
        let now = self.now;
        let node = &mut self.agents[index as usize];
        let local = node.clock.local(now);
        // What comes after the snapshot is understood: the centre healed it for good.
        let newest =
            self.broker.snapshots.last().map_or(0, |there| there.manifest.heads.deny.position.revision.0);
        node.blind_to = node.blind_to.filter(|blind_to| *blind_to <= newest);
        node.machine.handle_link(local, rescind_core::agent::Link::Up);
        let is_fresh = node.machine.freshness(local) == Freshness::Fresh;
        let run = node.who(index);
        let heal = match node.machine.fault() {
            _ if is_fresh => Healed::Warm,
            Some(rescind_core::agent::AgentFault::Poison { .. }) => Healed::Poison,
            Some(_) | None => Healed::Cold,
        };
        self.tell(&Tell::Healed { at: now, run, heal });
        self.drain_agent(index);
    }
}
