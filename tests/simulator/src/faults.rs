//! What breaks, and how it heals.
//!
//! Faults are drawn at random, but never destroy the last whole copy of the history: a broker that loses its store
//! needs a writer that keeps its log and stays connected until the stream is whole again, and a controller that
//! loses its log needs a whole stream. Losing all copies needs two persons, and is another test's matter.

use std::collections::HashSet;

use rescind_core::position::{LANES, Lane};

use crate::agent::Disk;
use crate::event::{Event, Heal, Phase, ToAgent};
use crate::plan::{MS, S};
use crate::words::{GRANT, slot};
use crate::world::World;

/// How long the only whole copy has to stay untouched.
const PROTECTION: u64 = 12 * S;

impl World {
    pub(crate) fn break_something(&mut self) {
        if self.is_healed {
            return;
        }
        let pause = self.plan.fault_pause;
        let next = self.now + pause / 4 + self.rng.below(pause * 2);
        self.queue.plan(next, Event::Fault);
        if self.rng.permille(400) {
            self.broker.back_up();
        }
        let kind = self.rng.below(10);
        let broken = match kind {
            0..=4 if self.plan.agent_faults => self.break_agent(),
            5..=7 if self.plan.controller_faults => self.break_controller(),
            8..=9 if self.plan.broker_faults => self.break_broker(),
            _ => false,
        };
        self.faults += u64::from(broken);
    }

    fn wait(&mut self, from_ms: u64, to_ms: u64) -> u64 {
        self.now + self.rng.between(from_ms, to_ms) * MS
    }

    fn break_agent(&mut self) -> bool {
        let index = u32::try_from(self.rng.below(u64::from(self.plan.agents))).unwrap();
        let choice = self.rng.below(12);
        let node = &mut self.agents[index as usize];
        match choice {
            0..=2 => {
                node.link.in_cut |= choice != 1;
                node.link.out_cut |= choice != 0;
                let at = self.wait(200, 12_000);
                self.queue.plan(at, Event::Heal(Heal::AgentLink(index)));
            }
            3..=5 => {
                self.stop_agent(index);
                let at = self.wait(1, 4_000);
                self.queue.plan(at, Event::Heal(Heal::AgentUp(index)));
            }
            6 | 7 => {
                // Why not longer: what waits for a stopped process is planned for its end.
                let at = self.wait(100, 15_000).min(self.plan.storm);
                self.agents[index as usize].paused_until = at;
                self.queue.plan(at + MS, Event::Heal(Heal::AgentGoesOn(index)));
            }
            8 => self.agent_clock_fault(index),
            9 => {
                node.drop_live += 1 + u32::try_from(kind_of(self.now)).unwrap();
                let local = node.clock.local(self.now);
                if node.is_up && node.paused_until <= self.now {
                    node.machine.handle_overflow(local);
                    self.drain_agent(index);
                }
            }
            10 => {
                if node.blind_to.is_none() {
                    let next = node.machine.heads().deny.position.revision.0 + 1;
                    node.blind_to = Some(next + self.now % 3);
                }
            }
            _ => {
                let lane = if choice.is_multiple_of(2) { Lane::Deny } else { GRANT };
                self.queue.plan(self.now, Event::ToAgent { index, run: 0, message: ToAgent::Garbled(lane) });
            }
        }
        true
    }

    fn break_controller(&mut self) -> bool {
        if self.now < self.protected_until {
            return false;
        }
        let index = u32::try_from(self.rng.below(u64::from(self.plan.controllers))).unwrap();
        let choice = self.rng.below(8);
        let word =
            ["cut in", "cut out", "cut", "killed", "killed", "killed, older log", "paused", "wall clock"];
        self.note(format!("controller {index} {}", word[choice as usize]));
        let node = &mut self.controllers[index as usize];
        match choice {
            0..=2 => {
                node.link.in_cut |= choice != 1;
                node.link.out_cut |= choice != 0;
                let at = self.wait(200, 8_000);
                self.queue.plan(at, Event::Heal(Heal::ControllerLink(index)));
            }
            3 | 4 => {
                self.stop_controller(index);
                let at = self.wait(50, 6_000);
                self.queue.plan(at, Event::Heal(Heal::ControllerUp(index)));
            }
            5 => {
                self.stop_controller(index);
                self.lose_log(index);
                let at = self.wait(50, 6_000);
                self.queue.plan(at, Event::Heal(Heal::ControllerUp(index)));
            }
            6 => {
                let at = self.wait(100, 10_000).min(self.plan.storm);
                self.pause_controller(index, at);
                self.queue.plan(at + MS, Event::Heal(Heal::ControllerGoesOn(index)));
            }
            _ if self.plan.wall_faults => {
                let step = i64::try_from(self.rng.below(7_200_000)).unwrap() - 3_600_000;
                self.controllers[index as usize].wall_ms += step;
            }
            _ => return false,
        }
        true
    }

    /// The log of a controller goes back to an earlier time; the stream has it all.
    fn lose_log(&mut self, index: u32) {
        let is_whole = LANES.into_iter().all(|lane| {
            let stored: HashSet<_> = self.broker.entries(lane).collect();
            let wal = &self.controllers[index as usize].wal[slot(lane)];
            wal.iter().filter(|there| there.confirmed).all(|there| stored.contains(&there.entry.hash))
        });
        if !is_whole {
            return;
        }
        for slot in 0..2 {
            let left = self.rng.index(self.controllers[index as usize].wal[slot].len() + 1);
            self.controllers[index as usize].wal[slot].truncate(left);
        }
        self.protected_until = self.now + PROTECTION;
    }

    fn break_broker(&mut self) -> bool {
        let choice = self.rng.below(10);
        if choice < 5 {
            self.note(if choice < 3 { "broker down" } else { "broker stopped" });
        }
        match choice {
            0..=2 => {
                self.broker.is_up = false;
                let at = self.wait(50, 6_000);
                self.queue.plan(at, Event::Heal(Heal::BrokerUp));
            }
            3 | 4 => {
                let at = self.wait(50, 8_000).min(self.plan.storm);
                self.broker.stopped_until = at;
                self.queue.plan(at + MS, Event::Heal(Heal::BrokerGoesOn));
            }
            _ => return self.break_store(choice),
        }
        true
    }

    fn break_store(&mut self, choice: u64) -> bool {
        let is_safe = self.now >= self.protected_until && self.has_connected_writer();
        if !is_safe {
            return false;
        }
        self.protected_until = self.now + PROTECTION;
        let lane = if self.rng.permille(500) { Lane::Deny } else { GRANT };
        self.note(format!(
            "store of the broker: {}",
            ["rolled back", "deleted", "truncated", "rotten"][(choice.max(6) - 6) as usize]
        ));
        let place = usize::try_from(self.rng.below(1 << 20)).unwrap();
        match choice {
            5 | 6 => return self.broker.roll_back(place % 4),
            7 => self.broker.delete(),
            8 => self.broker.truncate(lane, place % 5 + 1),
            _ => self.broker.rot(lane, place),
        }
        true
    }

    /// Every controller is there and connected, and exactly one writes and knows the fate of all that it sent.
    ///
    /// Why exactly one: a store that goes back to before a take-over lets a deposed writer pass its compare-and-set
    /// again, if it has not noticed yet. No compare-and-set on that store can tell; this is a limit of the protocol.
    fn has_connected_writer(&self) -> bool {
        let writers = self.controllers.iter().filter(|node| node.is_writing()).count();
        let all = self
            .controllers
            .iter()
            .all(|node| node.is_up && node.paused_until <= self.now && node.link.is_whole());
        all && writers == 1 && self.broker.is_up && self.has_settled_writer()
    }

    pub(crate) fn heal(&mut self, heal: Heal) {
        match heal {
            Heal::AgentLink(index) => {
                let node = &mut self.agents[index as usize];
                node.link = crate::bus::Link::default();
                if node.is_up && node.paused_until <= self.now {
                    let local = node.clock.local(self.now);
                    node.machine.handle_link(local, rescind_core::agent::Link::Up);
                    self.drain_agent(index);
                }
            }
            Heal::AgentUp(index) => {
                if !self.agents[index as usize].is_up {
                    let disk = match self.rng.below(10) {
                        0..=5 => Disk::Intact,
                        6 | 7 => Disk::Older,
                        _ => Disk::Empty,
                    };
                    self.start_agent(index, disk);
                }
            }
            Heal::AgentGoesOn(index) => {
                let node = &self.agents[index as usize];
                if node.is_up && node.paused_until <= self.now {
                    let stamp = node.stamp;
                    self.agent_wakes(index, stamp);
                }
            }
            Heal::ControllerLink(index) => {
                self.controllers[index as usize].link = crate::bus::Link::default();
            }
            Heal::ControllerUp(index) => {
                if !self.controllers[index as usize].is_up {
                    self.start_controller(index);
                }
            }
            Heal::ControllerGoesOn(index) => {
                let stamp = self.controllers[index as usize].stamp;
                self.controller_wakes(index, stamp);
            }
            Heal::BrokerUp => self.broker.is_up = true,
            Heal::BrokerGoesOn => self.broker.stopped_until = 0,
        }
    }

    /// The end of all faults of links, processes and stores.
    pub(crate) fn heal_everything(&mut self) {
        self.is_healed = true;
        debug_assert!(self.phase == Phase::Healing, "only once");
        self.heal(Heal::BrokerUp);
        self.heal(Heal::BrokerGoesOn);
        for index in 0..self.plan.controllers {
            self.controllers[index as usize].paused_until = 0;
            self.heal(Heal::ControllerLink(index));
            self.heal(Heal::ControllerUp(index));
            self.heal(Heal::ControllerGoesOn(index));
        }
        for index in 0..self.plan.agents {
            let node = &mut self.agents[index as usize];
            node.paused_until = 0;
            node.drop_live = 0;
            self.heal(Heal::AgentLink(index));
            self.heal(Heal::AgentUp(index));
            self.heal(Heal::AgentGoesOn(index));
        }
    }
}

/// A small number that differs from fault to fault.
const fn kind_of(now: u64) -> u64 {
    now / MS % 5
}
