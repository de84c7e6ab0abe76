//! Links: what is lost, repeated, late, and what passes.

use crate::broker::{Call, Reply};
use crate::event::{Event, ToAgent, ToController};
use crate::plan::MS;
use crate::world::World;

/// Runs of subscriptions: whoever is there hears it.
pub(crate) const ANYBODY: u32 = 0;

/// One process's connection to the broker.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Link {
    /// Nothing leaves.
    pub(crate) out_cut: bool,
    /// Nothing arrives.
    pub(crate) in_cut: bool,
}

impl Link {
    pub(crate) const fn is_whole(self) -> bool {
        !self.out_cut && !self.in_cut
    }
}

impl World {
    /// When what leaves now arrives; nothing: it is lost.
    fn arrivals(&mut self, is_stream: bool) -> [Option<u64>; 2] {
        if !self.broker.is_up {
            return [None, None];
        }
        let free = self.now.max(self.broker.stopped_until);
        if self.is_healed {
            return [Some(free + self.rng.between(MS / 2, 12 * MS)), None];
        }
        let weather = self.plan.weather;
        if self.rng.permille(weather.loss) {
            return [None, None];
        }
        let late = if self.rng.permille(weather.ancient) {
            self.rng.below(120_000)
        } else if self.rng.permille(weather.late) {
            self.rng.below(weather.late_ms)
        } else {
            self.rng.below(20)
        };
        let first = free + MS / 2 + late * MS;
        let copy = !is_stream && self.rng.permille(weather.copies);
        [Some(first), copy.then(|| free + self.rng.below(5_000) * MS)]
    }

    pub(crate) fn send_agent(&mut self, index: u32, run: u32, message: ToAgent) {
        if self.agents[index as usize].link.in_cut {
            return;
        }
        let [first, copy] = self.arrivals(false);
        for at in copy.into_iter() {
            self.queue.plan(at, Event::ToAgent { index, run, message: message.clone() });
        }
        if let Some(at) = first {
            self.queue.plan(at, Event::ToAgent { index, run, message });
        }
    }

    /// From an agent to every controller that listens.
    pub(crate) fn send_controllers(&mut self, from: u32, message: &ToController) {
        if self.agents[from as usize].link.out_cut {
            return;
        }
        for index in 0..self.plan.controllers {
            self.send_controller(index, message.clone());
        }
    }

    /// From an agent to one controller of a queue group.
    pub(crate) fn send_one_controller(&mut self, from: u32, message: ToController) {
        if self.agents[from as usize].link.out_cut {
            return;
        }
        let all = self.plan.controllers;
        let start = u32::try_from(self.rng.below(u64::from(all))).unwrap();
        let there = (0..all).map(|n| (start + n) % all).find(|index| {
            let node = &self.controllers[*index as usize];
            node.is_up && node.link.is_whole()
        });
        if let Some(index) = there {
            self.send_controller(index, message);
        }
    }

    fn send_controller(&mut self, index: u32, message: ToController) {
        let node = &self.controllers[index as usize];
        if node.link.in_cut || !node.is_up {
            return;
        }
        let arrivals = self.arrivals(false);
        for at in arrivals.into_iter().flatten() {
            self.queue.plan(at, Event::ToController { index, run: ANYBODY, message: message.clone() });
        }
    }

    /// From a controller to an agent's inbox.
    pub(crate) fn answer_agent(&mut self, controller: u32, index: u32, run: u32, message: ToAgent) {
        if !self.controllers[controller as usize].link.out_cut {
            self.send_agent(index, run, message);
        }
    }

    /// A call of a controller; it may never arrive.
    pub(crate) fn call_broker(&mut self, index: u32, call: Call) -> u64 {
        self.calls += 1;
        let id = self.calls;
        let node = &self.controllers[index as usize];
        let run = node.run;
        if node.link.out_cut {
            return id;
        }
        if let [Some(at), _] = self.arrivals(true) {
            self.queue.plan(at, Event::AtBroker { index, run, id, call });
        }
        id
    }

    /// The broker's answer; it may never arrive.
    pub(crate) fn answer_controller(&mut self, index: u32, run: u32, id: u64, reply: Reply) {
        if self.controllers[index as usize].link.in_cut {
            return;
        }
        if let [Some(at), _] = self.arrivals(true) {
            let message = ToController::Reply(id, reply);
            self.queue.plan(at, Event::ToController { index, run, message });
        }
    }
}
