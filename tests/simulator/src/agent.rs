//! An agent: the machine, its store, its clock, and the decisions that read what it publishes.

use std::rc::Rc;
use std::sync::Arc;

use core::time::Duration;

use rescind_checker::{Decision as Told, Event as Tell, Fault, Request, Run, Store};
use rescind_core::agent::{
    AgentConfig, AgentFault, AgentMachine, AgentOutput, ClockFault, RangeFailure, Restored, Unreadable,
};
use rescind_core::decide::{Bearer, Enforcement, Published, Query, StalePolicies, TokenFacts, decide};
use rescind_core::entry::ChainedEntry;
use rescind_core::ids::ServiceName;
use rescind_core::lease::Nonce;
use rescind_core::position::{Heads, Lane};
use rescind_core::report::{Freshness, ReceiptLevel};
use rescind_core::time::UnixS;
use rescind_core::view::View;

use crate::bus::Link;
use crate::clock::Clock;
use crate::event::{Event, Snapshot, ToAgent, ToController};
use crate::plan::{MS, S};
use crate::words::{self, CLIENT, ISSUER, LEASE};
use crate::world::{BASE_MS, World};

/// Stores that a lie may return to.
const STORES_KEPT: usize = 8;

/// One agent.
pub(crate) struct AgentNode {
    pub(crate) run: u32,
    pub(crate) is_up: bool,
    pub(crate) paused_until: u64,
    pub(crate) clock: Clock,
    pub(crate) link: Link,
    pub(crate) machine: AgentMachine,
    /// What is on disk, oldest first.
    pub(crate) stores: Vec<Restored>,
    writing: Option<Arc<Published>>,
    shown: Arc<Published>,
    enforcement: Enforcement,
    pub(crate) stamp: u64,
    planned: u64,
    /// A revision of the deny lane that this version does not understand.
    pub(crate) blind_to: Option<u64>,
    /// Live messages that its subscription will drop.
    pub(crate) drop_live: u32,
    /// Renewals that will be lost (L3), and how many were in a row.
    pub(crate) drop_asks: u32,
    pub(crate) lost_asks: u32,
    has_fault: bool,
}

/// What a restart finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Disk {
    Intact,
    Older,
    Empty,
}

fn config(index: u32, run: u32) -> AgentConfig {
    AgentConfig {
        agent: words::agent_id(index),
        instance: words::instance(1, index, run),
        service: ServiceName::new("payments").unwrap(),
        chain: words::chain(),
        lease: LEASE,
        stale_policy: "strict(5s)".into(),
        target_kinds: u32::MAX,
        version: "0.1.0".into(),
        report_every: Duration::from_secs(3),
    }
}

impl AgentNode {
    pub(crate) fn new(index: u32, clock: Clock, now: u64) -> Self {
        let hasher = words::agent_hasher();
        let machine = AgentMachine::new(config(index, 1), 1, hasher.clone(), None, clock.local(now));
        let enforcement = Enforcement::new(&hasher, "payments", StalePolicies::default());
        Self {
            run: 0,
            is_up: false,
            paused_until: 0,
            clock,
            link: Link::default(),
            shown: machine.published(),
            machine,
            stores: Vec::new(),
            writing: None,
            enforcement,
            stamp: 0,
            planned: u64::MAX,
            blind_to: None,
            drop_live: 0,
            drop_asks: 0,
            lost_asks: 0,
            has_fault: false,
        }
    }

    pub(crate) fn who(&self, index: u32) -> Run {
        Run { agent: index, run: self.run }
    }
}

impl World {
    pub(crate) fn start_agent(&mut self, index: u32, disk: Disk) {
        let seed = self.rng.next();
        let (now, choice) = (self.now, self.rng.next());
        let node = &mut self.agents[index as usize];
        node.run += 1;
        node.is_up = true;
        node.paused_until = 0;
        node.has_fault = false;
        node.writing = None;
        node.lost_asks = 0;
        let restored = match disk {
            Disk::Intact => node.stores.last().cloned(),
            Disk::Older => {
                let kept = usize::try_from(choice).unwrap_or(0) % node.stores.len().max(1);
                node.stores.truncate(kept + 1);
                node.stores.last().cloned()
            }
            Disk::Empty => {
                node.stores.clear();
                None
            }
        };
        let heads = restored.as_ref().map_or_else(Heads::default, |there| there.heads);
        let hasher = words::agent_hasher();
        node.machine =
            AgentMachine::new(config(index, node.run), seed, hasher, restored, node.clock.local(now));
        node.shown = node.machine.published();
        let store = if disk == Disk::Intact { Store::Intact } else { Store::Doubtful };
        let run = node.who(index);
        self.tell(&Tell::Started { at: now, run, strict: true, store, heads });
        let local = self.agents[index as usize].clock.local(now);
        self.agents[index as usize].machine.handle_timeout(local);
        self.drain_agent(index);
    }

    pub(crate) fn stop_agent(&mut self, index: u32) {
        let node = &mut self.agents[index as usize];
        if node.is_up {
            node.is_up = false;
            let run = node.who(index);
            self.tell(&Tell::Stopped { at: self.now, run });
        }
    }

    pub(crate) fn agent_wakes(&mut self, index: u32, stamp: u64) {
        let now = self.now;
        let node = &mut self.agents[index as usize];
        if !node.is_up || node.stamp != stamp {
            return;
        }
        node.planned = u64::MAX;
        if node.paused_until > now {
            return self.plan_agent(index, node_wake(now, self.agents[index as usize].paused_until));
        }
        let local = node.clock.local(now);
        node.machine.handle_timeout(local);
        self.drain_agent(index);
    }

    fn plan_agent(&mut self, index: u32, at: u64) {
        let node = &mut self.agents[index as usize];
        if at < node.planned {
            node.planned = at;
            node.stamp += 1;
            let stamp = node.stamp;
            self.queue.plan(at, Event::AgentWakes { index, stamp });
        }
    }

    pub(crate) fn agent_hears(&mut self, index: u32, run: u32, message: ToAgent) {
        let now = self.now;
        let node = &mut self.agents[index as usize];
        if !node.is_up || (run != 0 && run != node.run) {
            return;
        }
        if node.paused_until > now {
            // Its socket's buffer keeps some of it.
            let (at, run) = (node.paused_until + MS, node.run);
            return self.queue.plan(at, Event::ToAgent { index, run, message });
        }
        let is_live = matches!(message, ToAgent::Entry(_) | ToAgent::Tick(_)) && run == 0;
        if is_live && node.drop_live > 0 {
            node.drop_live -= 1;
            return;
        }
        self.agent_takes(index, message);
        self.drain_agent(index);
    }

    fn agent_takes(&mut self, index: u32, message: ToAgent) {
        let node = &mut self.agents[index as usize];
        let at = node.clock.local(self.now);
        match message {
            ToAgent::Entry(entry) => match node.unknown(&entry) {
                Some(unreadable) => node.machine.handle_unreadable(at, unreadable),
                None => node.machine.handle_entry(at, ChainedEntry::clone(&entry)),
            },
            ToAgent::Tick(tick) => node.machine.handle_tick(at, &tick),
            ToAgent::Garbled(lane) => {
                node.machine.handle_unreadable(at, Unreadable { lane, at: None, reason: "signature".into() });
            }
            ToAgent::Grant(grant) => {
                node.lost_asks = 0;
                node.machine.handle_grant(at, *grant);
            }
            ToAgent::Range(lane, entries, rest) => {
                let known = entries.iter().take_while(|entry| node.unknown(entry).is_none());
                let known: Vec<ChainedEntry> = known.map(|entry| ChainedEntry::clone(entry)).collect();
                if known.is_empty() && !entries.is_empty() {
                    node.machine.handle_range_failed(at, lane, RangeFailure::Unreadable);
                } else {
                    node.machine.handle_range(at, lane, known, rest);
                }
            }
            ToAgent::RangeFailed(lane, failure) => node.machine.handle_range_failed(at, lane, failure),
            ToAgent::Snapshot(snapshot) => node.take_snapshot(at, &snapshot),
            ToAgent::SnapshotFailed => node.machine.handle_snapshot_failed(at),
            ToAgent::Persisted => self.agent_stored(index),
        }
    }

    fn agent_stored(&mut self, index: u32) {
        let now = self.now;
        let node = &mut self.agents[index as usize];
        let Some(published) = node.writing.take() else { return };
        let heads = published.heads;
        node.stores.push(Restored { view: published.view.clone(), heads });
        if node.stores.len() > STORES_KEPT {
            node.stores.remove(0);
        }
        let run = node.who(index);
        let local = node.clock.local(now);
        self.tell(&Tell::Stored { at: now, run, heads });
        self.agents[index as usize].machine.handle_persisted(local, heads);
    }

    /// Does what the machine wants, then plans its next timer.
    pub(crate) fn drain_agent(&mut self, index: u32) {
        self.note_fault(index);
        while let Some(output) = self.agents[index as usize].machine.poll_output() {
            self.agent_output(index, output);
        }
        self.note_fault(index);
        let node = &self.agents[index as usize];
        if let Some(at) = node.machine.poll_timeout() {
            let at = node.clock.world(at).max(self.now) + 1;
            self.plan_agent(index, at);
        }
    }

    fn agent_output(&mut self, index: u32, output: AgentOutput) {
        let now = self.now;
        match output {
            AgentOutput::Publish(published) => self.agent_publishes(index, published),
            AgentOutput::Persist(published) => {
                let wait = self.rng.between(MS, 60 * MS);
                let node = &mut self.agents[index as usize];
                let run = node.run;
                if node.writing.replace(published).is_none() {
                    let message = ToAgent::Persisted;
                    self.queue.plan(now + wait, Event::ToAgent { index, run, message });
                }
            }
            AgentOutput::AskLease => {
                self.nonces += 1;
                let mut nonce = [0; 16];
                nonce[..8].copy_from_slice(&self.nonces.to_le_bytes());
                let node = &mut self.agents[index as usize];
                let request = node.machine.begin_lease(node.clock.local(now), Nonce(nonce));
                let run = node.run;
                if node.drop_asks > 0 {
                    node.drop_asks -= 1;
                    node.lost_asks += 1;
                    return;
                }
                self.send_controllers(index, &ToController::Ask(run, request));
            }
            AgentOutput::FetchRange { lane, after, .. } => {
                let run = self.agents[index as usize].run;
                self.send_one_controller(index, ToController::Range { agent: index, run, lane, after });
            }
            AgentOutput::FetchSnapshot => {
                let node = &self.agents[index as usize];
                let run = node.run;
                // Limit: a fetch that is not answered is given up after two seconds.
                let is_served = node.link.is_whole() && self.broker.is_up;
                let wait = if is_served { self.rng.between(5 * MS, 300 * MS) } else { 2 * S };
                self.queue.plan(now + wait, Event::FetchSnapshot { index, run, is_served });
            }
            AgentOutput::Report(report) => {
                let run = self.agents[index as usize].who(index);
                self.tell(&Tell::Receipt {
                    at: now,
                    run,
                    level: ReceiptLevel::Applied,
                    heads: report.applied,
                });
                self.tell(&Tell::Receipt {
                    at: now,
                    run,
                    level: ReceiptLevel::Durable,
                    heads: report.durable,
                });
                self.send_controllers(index, &ToController::Report(Rc::new(*report)));
            }
            // Counted by shells; what matters of it shows in `fault()`.
            _ => {}
        }
    }

    fn agent_publishes(&mut self, index: u32, published: Arc<Published>) {
        let now = self.now;
        let node = &mut self.agents[index as usize];
        let lease = published.lease.filter(|_| published.synced);
        let event = Tell::Published {
            at: now,
            run: node.who(index),
            heads: published.heads,
            digest: Some(published.view.digest()),
            asked_at: lease.map(|lease| node.clock.world(lease.asked_at) + 2),
            fresh_until: lease.map(|lease| node.clock.world(lease.fresh_until(LEASE))),
        };
        node.shown = published;
        self.tell(&event);
    }

    fn note_fault(&mut self, index: u32) {
        let now = self.now;
        let node = &mut self.agents[index as usize];
        // A controller that lost history is no fault of this view.
        let behind = |fault: &AgentFault| matches!(fault, AgentFault::ControllerBehind { .. });
        let has_fault = node.machine.fault().is_some_and(|fault| !behind(&fault));
        if has_fault == node.has_fault {
            return;
        }
        node.has_fault = has_fault;
        let run = node.who(index);
        if has_fault {
            self.tell(&Tell::Faulted { at: now, run, fault: Fault::Standing });
        } else {
            self.tell(&Tell::Recovered { at: now, run });
        }
    }

    pub(crate) fn agent_clock_fault(&mut self, index: u32) {
        let now = self.now;
        let node = &mut self.agents[index as usize];
        if !node.is_up || node.paused_until > now {
            return;
        }
        let (run, local) = (node.who(index), node.clock.local(now));
        node.machine.handle_clock_fault(local, ClockFault::WallMoved);
        self.tell(&Tell::Faulted { at: now, run, fault: Fault::Lease });
        self.drain_agent(index);
    }

    pub(crate) fn fetch_snapshot(&mut self, index: u32, run: u32, is_served: bool) {
        // An object store that went back serves an older one.
        let is_older = !self.is_healed && self.rng.permille(150);
        let count = self.broker.snapshots.len();
        let choice = if is_older { self.rng.index(count) } else { count.saturating_sub(1) };
        let message = match self.broker.snapshots.get(choice) {
            Some(snapshot) if is_served => ToAgent::Snapshot(Rc::clone(snapshot)),
            Some(_) | None => ToAgent::SnapshotFailed,
        };
        self.agent_hears(index, run, message);
    }

    /// Asks an agent about a random user, and tells the checker what it said.
    pub(crate) fn decide_once(&mut self, index: u32) {
        let pause = self.plan.decision_pause;
        let next = self.now + pause / 2 + self.rng.below(pause);
        self.queue.plan(next, Event::Decide { index });
        let (now, now_s) = (self.now, (BASE_MS + i64::try_from(self.now / MS).unwrap()) / 1000);
        let user = self.rng.below(self.plan.users);
        let right = self.rng.below(words::RIGHTS);
        let issued = [now_s - 3_600, now_s - 3, now_s, now_s + 2][self.rng.index(4)];
        let expires = now_s + [3_600, 1, 0, 2][self.rng.index(4)];
        let node = &self.agents[index as usize];
        if !node.is_up || node.paused_until > now {
            return;
        }
        let (subject, sid) = (format!("u{user}"), format!("s{user}"));
        let facts = TokenFacts {
            issuer: ISSUER,
            subject: Some(&subject),
            jti: None,
            session: Some(&sid),
            client: Some(CLIENT),
            key_id: None,
            tenant: None,
            issued_at: Some(UnixS(issued)),
            not_before: None,
            expires_at: UnixS(expires),
            leeway: Duration::ZERO,
            fingerprint: [0; 32],
            twin_fingerprint: None,
            roles: &[],
            groups: &[],
            permissions: &[],
        };
        let bearer = Bearer::new(&words::agent_hasher(), &facts);
        let action = words::action(right);
        let query = Query { bearer: &bearer, action: &action, resource: "/orders/1", tenant: None };
        let local = node.clock.local(now);
        let answer = decide(&node.shown, &node.enforcement, &query, || local);
        let is_exact = !self.plan.wall_faults;
        let until = u64::try_from(expires * 1000 - BASE_MS).unwrap_or(0) * MS;
        let run = node.who(index);
        self.decisions.0 += 1;
        self.decisions.1 += u64::from(answer.is_allow());
        let told = Told {
            run,
            began: now,
            read: now,
            request: Request {
                subjects: words::subjects(user),
                issued_at: Some(issued),
                right: Some(right),
                valid_from: None,
                valid_until: is_exact.then_some(until),
                at_least: None,
            },
            allow: answer.is_allow(),
            deny: answer.deny,
            grant: answer.grant,
            record: answer.records.first().copied(),
        };
        self.tell(&Tell::Decided(Box::new(told)));
    }

    /// Notes leases that ended although only renewals were lost.
    pub(crate) fn note_lapses(&mut self) {
        for index in 0..self.plan.agents {
            let node = &self.agents[index as usize];
            let is_stale = node.machine.freshness(node.clock.local(self.now)) != Freshness::Fresh;
            if node.is_up && node.lost_asks > 0 && is_stale {
                let event = Tell::Lapsed { at: self.now, run: node.who(index), lost: node.lost_asks };
                self.tell(&event);
            }
        }
    }
}

impl AgentNode {
    /// What a version that does not know this entry's kind makes of it.
    fn unknown(&self, entry: &ChainedEntry) -> Option<Unreadable> {
        let blind_to = self.blind_to?;
        let (first, last) = (entry.entry.first.0, entry.entry.last().revision.0);
        let is_it = entry.entry.lane == Lane::Deny && first <= blind_to && blind_to <= last;
        let reason = "unknown critical kind".into();
        is_it.then_some(Unreadable { lane: Lane::Deny, at: Some(entry.entry.first), reason })
    }

    fn take_snapshot(&mut self, at: rescind_core::time::BootNs, snapshot: &Snapshot) {
        let mut view = View::new(self.machine.hasher().clone());
        if snapshot.items.iter().all(|item| view.restore(item).is_ok()) {
            self.machine.handle_snapshot(at, &snapshot.manifest, view);
        } else {
            self.machine.handle_snapshot_failed(at);
        }
    }
}

const fn node_wake(now: u64, until: u64) -> u64 {
    // A stopped process wakes a little after it goes on.
    let wake = until + MS;
    if wake > now { wake } else { now + S }
}
