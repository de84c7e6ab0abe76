//! One controller, three agents, links that lose, repeat, delay and break, clocks that run apart; virtual time.
//!
//! Always checked: S1 (no fresh view lacks what was accepted B ago), S2 (nor what the ledger calls enforced),
//! S5. After a heal: fresh within a second, equal digests, everything enforced, every directive answered.

use std::collections::{BTreeMap, BTreeSet};

use super::support::*;
use super::*;
use crate::change::{Ask, LiftCutoff};
use crate::controller::gate::LeaseGate;
use crate::controller::ledger::{Alarm, LastKnown, Ledger, LedgerConfig, Placed};
use crate::controller::registry::Registry;
use crate::controller::rights::Rights;
use crate::controller::sequencer::{ControllerOutput, Outcome, Sequencer, SequencerConfig};
use crate::controller::{Now, Ticket};
use crate::entry::{ChainedEntry, Tick};
use crate::ids::{ControllerId, RecordId};
use crate::lease::{LeaseGrant, LeaseRequest};
use crate::position::{LANES, Position};
use crate::record::RecordKind;

const MS: u64 = 1_000_000;
const AGENTS: usize = 3;
const FAULTS_UNTIL_MS: u64 = 30_000;

struct Rng(u64);

impl Rng {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

#[derive(Clone)]
enum Message {
    Entry(ChainedEntry),
    Tick(Tick),
    Ask(LeaseRequest),
    Grant(u64, LeaseGrant),
    Range(Lane, Revision),
    RangeAnswer(u64, Lane, Vec<ChainedEntry>, RangeRest),
    Report(Box<Report>),
}

enum Event {
    ToAgent(usize, Message),
    ToController(usize, Message),
    Committed(Lane, ChainedEntry),
    Indeterminate(Lane),
    TickEnds(Tick, bool),
    Directive,
    Upset,
}

struct Node {
    machine: AgentMachine,
    run: u64,
    ppm: i64,
    offset: u64,
    is_cut: bool,
    stored: Option<Restored>,
}

struct World {
    rng: Rng,
    at: u64,
    order: u64,
    events: BTreeMap<(u64, u64), Event>,
    sequencer: Sequencer,
    ledger: Ledger,
    gate: LeaseGate,
    nodes: Vec<Node>,
    log: BTreeMap<Lane, Vec<ChainedEntry>>,
    askers: BTreeMap<u64, (usize, u64)>,
    accepted: Vec<(u64, RecordId)>,
    enforced: BTreeMap<Lane, Position>,
    floor: BTreeMap<Lane, Position>,
    due: usize,
    directives: u64,
    answered: BTreeSet<u64>,
    records: Vec<RecordId>,
    is_calm: bool,
}

impl Node {
    fn local(&self, at: u64) -> BootNs {
        let drift = i128::from(at) * i128::from(self.ppm) / 1_000_000;
        BootNs(u64::try_from(i128::from(self.offset) + i128::from(at) + drift).unwrap())
    }

    fn wakes_at(&self) -> Option<u64> {
        let local = self.machine.poll_timeout()?.0.saturating_sub(self.offset);
        let rate = u128::try_from(1_000_000 + self.ppm).unwrap();
        Some(u64::try_from(u128::from(local) * 1_000_000 / rate).unwrap() + 2)
    }
}

fn placed(id: RecordId) -> Placed {
    Placed { lane: id.lane(), position: id.position(), target: None }
}

impl World {
    fn new(seed: u64) -> Self {
        let mut rng = Rng(seed);
        let config = SequencerConfig {
            chain: chain(),
            epoch: Epoch(1),
            controller: ControllerId::new("c1").unwrap(),
            boot: InstanceId([1; 16]),
            lease: LEASE,
            entry_bytes_max: 600,
            change_bytes: |_| 100,
            reason_sha256: |_| [0; 32],
        };
        let registry = Registry::new(KeyHasher::new([9; 16]));
        let mut ledger = Ledger::new(LedgerConfig { lease: LEASE }, BootNs(0));
        let nodes = (0..AGENTS)
            .map(|index| {
                let ppm = i64::try_from(rng.below(10_001)).unwrap() - 5_000;
                let offset = rng.below(1_000_000 * MS);
                ledger.expect(
                    AgentId::new(&format!("a{index}")).unwrap(),
                    ServiceName::new("payments").unwrap(),
                    LastKnown::NeverGranted,
                );
                let machine = Self::boot(index, 1, &mut rng, None, BootNs(offset));
                Node { machine, run: 1, ppm, offset, is_cut: false, stored: None }
            })
            .collect();
        let mut world = Self {
            rng,
            at: 0,
            order: 0,
            events: BTreeMap::new(),
            sequencer: Sequencer::new(config, registry, Heads::default()),
            ledger,
            gate: LeaseGate::new(),
            nodes,
            log: LANES.into_iter().map(|lane| (lane, Vec::new())).collect(),
            askers: BTreeMap::new(),
            accepted: Vec::new(),
            enforced: BTreeMap::new(),
            floor: BTreeMap::new(),
            due: 0,
            directives: 0,
            answered: BTreeSet::new(),
            records: Vec::new(),
            is_calm: false,
        };
        for at in 0..120 {
            world.plan(at * 250 * MS, Event::Directive);
        }
        for at in 0..20 {
            let at = at * 1_500 * MS;
            world.plan(at, Event::Upset);
        }
        world
    }

    fn boot(index: usize, run: u64, rng: &mut Rng, restored: Option<Restored>, now: BootNs) -> AgentMachine {
        let config = agent_config(&format!("a{index}"), u8::try_from(run).unwrap());
        AgentMachine::new(config, rng.below(u64::MAX), KeyHasher::new([3; 16]), restored, now)
    }

    fn plan(&mut self, at: u64, event: Event) {
        self.order += 1;
        self.events.insert((at.max(self.at), self.order), event);
    }

    /// Puts a message on a link: it may be lost, repeated and late.
    fn send(&mut self, index: usize, make: impl Fn(usize, Message) -> Event, message: &Message) {
        if !self.is_calm && (self.nodes[index].is_cut || self.rng.chance(8)) {
            return;
        }
        let copies = if !self.is_calm && self.rng.chance(5) { 2 } else { 1 };
        for _ in 0..copies {
            let late = if !self.is_calm && self.rng.chance(5) { 3_000 } else { 20 };
            let at = self.at + (1 + self.rng.below(late)) * MS;
            self.plan(at, make(index, message.clone()));
        }
    }

    fn now(&self) -> Now {
        Now { boot: BootNs(self.at), wall: UnixMs(i64::try_from(self.at / MS).unwrap()) }
    }

    fn step(&mut self) {
        let timers = self.nodes.iter().filter_map(Node::wakes_at);
        let shell = [self.sequencer.poll_timeout(), self.ledger.poll_timeout()].into_iter().flatten();
        let wake = timers.chain(shell.map(|at| at.0)).min().unwrap_or(u64::MAX);
        let next = self.events.first_key_value().map_or(u64::MAX, |((at, _), _)| *at);
        if next <= wake {
            let ((at, _), event) = self.events.pop_first().unwrap();
            self.at = self.at.max(at);
            self.handle(event);
        } else {
            self.at = self.at.max(wake);
        }
        let now = self.now();
        self.sequencer.handle_timeout(now);
        self.ledger.handle_timeout(now.boot);
        for node in &mut self.nodes {
            let local = node.local(self.at);
            if node.machine.poll_timeout().is_some_and(|at| at <= local) {
                node.machine.handle_timeout(local);
            }
        }
        self.drain_controller();
        (0..AGENTS).for_each(|index| self.drain_agent(index));
        self.check();
    }

    fn handle(&mut self, event: Event) {
        let now = self.now();
        match event {
            Event::ToAgent(index, message) => self.deliver_to_agent(index, message),
            Event::ToController(index, message) => self.deliver_to_controller(index, message),
            Event::Committed(lane, entry) => {
                let hash = entry.hash;
                self.log.get_mut(&lane).unwrap().push(entry.clone());
                (0..AGENTS)
                    .for_each(|index| self.send(index, Event::ToAgent, &Message::Entry(entry.clone())));
                self.sequencer.handle_committed(now, lane, hash);
            }
            Event::Indeterminate(lane) => self.sequencer.handle_commit_indeterminate(now, lane),
            Event::TickEnds(tick, true) => {
                (0..AGENTS).for_each(|index| self.send(index, Event::ToAgent, &Message::Tick(tick.clone())));
                self.sequencer.handle_tick_appended(now);
            }
            Event::TickEnds(_, false) => self.sequencer.handle_tick_failed(now),
            Event::Directive => self.directive(),
            Event::Upset => self.upset(),
        }
    }

    fn directive(&mut self) {
        self.directives += 1;
        let id = self.rng.below(12);
        let known = (!self.records.is_empty())
            .then(|| self.records[usize::try_from(self.rng.below(self.records.len() as u64)).unwrap()]);
        let asked = match (self.rng.below(6), known) {
            (0, _) => ask(RecordKind::Disable, user(id)),
            (1, _) => ask(RecordKind::Hold, user(id)),
            (2, Some(record)) => lift(record, LiftCutoff::Resume),
            (3, Some(entitlement)) => Ask::Withdraw { entitlement },
            (4, _) => ask(RecordKind::Revoke, user(id)),
            (_, _) => grant_ask(id, &format!("act{}", self.directives)),
        };
        let directive = directive(&format!("k{}", self.directives), asked);
        self.sequencer.handle_directive(
            self.now(),
            Ticket(self.directives),
            directive,
            &Rights::everything(),
        );
    }

    fn upset(&mut self) {
        if self.at >= FAULTS_UNTIL_MS * MS {
            return;
        }
        let index = usize::try_from(self.rng.below(AGENTS as u64)).unwrap();
        match self.rng.below(5) {
            0 | 1 => self.nodes[index].is_cut = true,
            2 => self.nodes[index].is_cut = false,
            3 => {
                let keeps_store = self.rng.chance(60);
                let node = &mut self.nodes[index];
                node.run += 1;
                let restored = node.stored.clone().filter(|_| keeps_store);
                let now = node.local(self.at);
                node.machine = Self::boot(index, node.run, &mut self.rng, restored, now);
            }
            _ => {
                let now = self.nodes[index].local(self.at);
                self.nodes[index].machine.handle_overflow(now);
            }
        }
    }

    fn deliver_to_agent(&mut self, index: usize, message: Message) {
        let node = &mut self.nodes[index];
        let now = node.local(self.at);
        match message {
            Message::Entry(entry) => node.machine.handle_entry(now, entry),
            Message::Tick(tick) => node.machine.handle_tick(now, &tick),
            Message::Grant(run, grant) if run == node.run => node.machine.handle_grant(now, grant),
            Message::RangeAnswer(run, lane, entries, rest) if run == node.run => {
                node.machine.handle_range(now, lane, entries, rest);
            }
            _ => {}
        }
    }

    fn deliver_to_controller(&mut self, index: usize, message: Message) {
        match message {
            Message::Ask(request) => {
                self.order += 1;
                let ticket = self.order;
                self.askers.insert(ticket, (index, u64::from(request.instance.0[0])));
                let passed = self.gate.offer(&self.ledger, Ticket(ticket), request);
                self.pass(passed.unwrap());
            }
            Message::Range(lane, after) => {
                let rest = self.log[&lane].iter().filter(|entry| entry.entry.first > after);
                let mut entries: Vec<_> = rest.take(5).cloned().collect();
                let more = if entries.len() == 5 { RangeRest::More } else { RangeRest::Complete };
                entries.truncate(4);
                let run = self.nodes[index].run;
                self.send(index, Event::ToAgent, &Message::RangeAnswer(run, lane, entries, more));
            }
            Message::Report(report) => {
                let released = self.gate.release(&report.agent, report.instance);
                let outcome = self.ledger.handle_report(BootNs(self.at), *report);
                assert!(!outcome.has_regressed);
                // A restart without its store begins below what it acknowledged before: an alarm, and no bug.
                assert_ne!(outcome.alarm, Some(Alarm::TwoInstances));
                self.pass(released);
            }
            _ => {}
        }
    }

    fn pass(&mut self, requests: impl IntoIterator<Item = (Ticket, LeaseRequest)>) {
        for (ticket, request) in requests {
            self.sequencer.handle_lease_request(self.now(), ticket, request);
        }
    }

    fn drain_controller(&mut self) {
        while let Some(output) = self.sequencer.poll_output() {
            match output {
                ControllerOutput::Commit { entry, .. } => {
                    let lane = entry.lane;
                    let entry = chained(*entry);
                    let slow = !self.is_calm && self.rng.chance(3);
                    let wait = if slow { 1_500 } else { 1 + self.rng.below(20) };
                    if slow {
                        self.plan(self.at + 500 * MS, Event::Indeterminate(lane));
                    }
                    self.plan(self.at + wait * MS, Event::Committed(lane, entry));
                }
                ControllerOutput::AppendTick { tick, requests } => {
                    for (_, request) in &requests {
                        self.ledger.note_granted(&request.agent, request.instance, BootNs(self.at));
                    }
                    let works = self.is_calm || !self.rng.chance(5);
                    let wait = 1 + self.rng.below(if self.is_calm { 10 } else { 150 });
                    self.plan(self.at + wait * MS, Event::TickEnds(*tick, works));
                }
                ControllerOutput::Granted { tick, requests, .. } => {
                    for (ticket, request) in requests {
                        let (index, run) = self.askers.remove(&ticket.0).unwrap();
                        let grant = LeaseGrant { nonce: request.nonce, tick: (*tick).clone() };
                        self.send(index, Event::ToAgent, &Message::Grant(run, grant));
                    }
                }
                ControllerOutput::Unanswered(tickets) => {
                    self.askers.retain(|ticket, _| !tickets.contains(&Ticket(*ticket)));
                }
                ControllerOutput::Answer { ticket, outcome } => {
                    assert!(self.answered.insert(ticket.0), "answered twice");
                    if let Outcome::Accepted { id, existing: false, .. } = outcome {
                        self.accepted.push((self.at, id));
                        self.records.push(id);
                        self.ledger.track(id, placed(id), BootNs(self.at));
                    }
                }
            }
        }
        while let Some(enforced) = self.ledger.poll_output() {
            let at = self.enforced.entry(enforced.id.lane()).or_default();
            *at = (*at).max(enforced.id.position());
        }
    }

    fn drain_agent(&mut self, index: usize) {
        while let Some(output) = self.nodes[index].machine.poll_output() {
            let node = &mut self.nodes[index];
            let message = match output {
                AgentOutput::Persist(published) => {
                    let stored = Restored { view: published.view.clone(), heads: published.heads };
                    node.stored = Some(stored);
                    let now = node.local(self.at);
                    node.machine.handle_persisted(now, published.heads);
                    continue;
                }
                AgentOutput::AskLease => {
                    self.order += 1;
                    let mut nonce = [0; 16];
                    nonce[..8].copy_from_slice(&self.order.to_le_bytes());
                    Message::Ask(node.machine.begin_lease(node.local(self.at), Nonce(nonce)))
                }
                AgentOutput::FetchRange { lane, after, .. } => Message::Range(lane, after),
                AgentOutput::Report(report) => Message::Report(report),
                AgentOutput::Fault(AgentFault::Overflow) | AgentOutput::Publish(_) => continue,
                AgentOutput::Fault(fault) => panic!("agent {index}: {fault}"),
                AgentOutput::HandBack(_) => panic!("agent {index}: this controller never goes back"),
                AgentOutput::FetchSnapshot => panic!("agent {index}: no lag here needs a snapshot"),
            };
            self.send(index, Event::ToController, &message);
        }
    }

    fn check(&mut self) {
        // B = L(1 + rho) + delta; what was accepted that long ago must be in every fresh view.
        let bound = 5_025 * MS + 10 * MS;
        while let Some((at, id)) = self.accepted.get(self.due) {
            if at + bound > self.at {
                break;
            }
            let floor = self.floor.entry(id.lane()).or_default();
            *floor = (*floor).max(id.position());
            self.due += 1;
        }
        for (index, node) in self.nodes.iter().enumerate() {
            let published = node.machine.published();
            if published.freshness(node.local(self.at)) != Freshness::Fresh {
                continue;
            }
            for lane in LANES {
                let held = published.heads.get(lane).unwrap().position;
                let floor = self.floor.get(&lane).copied().unwrap_or_default();
                assert!(held >= floor, "S1: agent {index} is fresh at {lane} {held}, below {floor}");
                let enforced = self.enforced.get(&lane).copied().unwrap_or_default();
                assert!(held >= enforced, "S2: agent {index} is fresh at {lane} {held}, below {enforced}");
            }
        }
    }

    fn run_until(&mut self, at_ms: u64) {
        while self.at < at_ms * MS {
            self.step();
        }
    }
}

fn simulate(seed: u64) {
    let mut world = World::new(seed);
    world.run_until(FAULTS_UNTIL_MS);
    world.is_calm = true;
    for index in 0..AGENTS {
        let node = &mut world.nodes[index];
        node.is_cut = false;
        let now = node.local(world.at);
        node.machine.handle_link(now, Link::Up);
    }
    // L2, but for a commit that was being settled when the links healed and blocks ticks for 1.5 s.
    world.run_until(FAULTS_UNTIL_MS + if world.sequencer.is_quiet() { 1_000 } else { 2_600 });
    for node in &world.nodes {
        assert_eq!(node.machine.freshness(node.local(world.at)), Freshness::Fresh, "L2, seed {seed}");
    }
    world.run_until(FAULTS_UNTIL_MS + 8_000);
    for node in &world.nodes {
        assert_eq!(node.machine.digest(), world.sequencer.digest(), "L8, seed {seed}");
        assert_eq!(node.machine.heads(), world.sequencer.heads(), "seed {seed}");
    }
    assert_eq!(world.answered.len() as u64, world.directives, "L4, seed {seed}");
    for (_, id) in &world.accepted {
        assert!(world.ledger.enforced_at(*id).is_some(), "L5, seed {seed}: {id}");
    }
}

// In four parts, so that they run side by side. A seed that fails is run alone by `simulate(seed)`.

#[test]
fn safe_under_faults_and_live_after_them_1() {
    (0..75).for_each(simulate);
}

#[test]
fn safe_under_faults_and_live_after_them_2() {
    (75..150).for_each(simulate);
}

#[test]
fn safe_under_faults_and_live_after_them_3() {
    (150..225).for_each(simulate);
}

#[test]
fn safe_under_faults_and_live_after_them_4() {
    (225..300).for_each(simulate);
}
