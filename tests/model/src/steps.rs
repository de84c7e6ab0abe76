//! What a step does.

use crate::protocol::{Protocol, Step};
use crate::rules::Rule;
use crate::state::{Accepted, Controller, Entry, LEASE, Lane, Role, State, Tick, reach};

impl State {
    /// The tick that a controller would make now.
    pub(crate) fn tick_of(&self, number: usize) -> Tick {
        Tick { heads: self.controllers[number].known, left: self.agents.map(|agent| agent.asked) }
    }

    /// Appends an entry for a controller, which from then on is the only one whose expectation is right.
    fn store(&mut self, number: usize, lane: Lane, entry: Entry) {
        self.lanes[lane.at()].push(entry);
        self.controllers[number].known[lane.at()] = self.len(lane);
        self.moved(number, lane);
    }

    fn moved(&mut self, number: usize, lane: Lane) {
        for (other, controller) in self.controllers.iter_mut().enumerate() {
            controller.is_current[lane.at()] = other == number;
        }
    }

    /// A writer that lost a compare-and-set stands by. What it sent before may still arrive.
    fn step_down(&mut self, number: usize) {
        let controller = &mut self.controllers[number];
        let sent_tick = controller.sent_tick;
        let is_current = if sent_tick.is_some() { controller.is_current } else { [false; 2] };
        *controller = Controller { sent_tick, is_current, ..Controller::default() };
    }

    /// Writes down what leases a tick may give.
    fn note_granted(&mut self, number: usize, tick: Tick) {
        for (granted, left) in self.controllers[number].granted.iter_mut().zip(tick.left) {
            *granted = (*granted).max(left);
        }
    }
}

impl Protocol {
    /// Takes a step; `false`: it changes nothing.
    pub(crate) fn take(&self, state: &mut State, step: Step) -> bool {
        match step {
            Step::Clock => state.pass(self.nonces_serve_for_ever()),
            Step::Ask(agent) => state.agents[agent].asked = LEASE,
            Step::SendTick(number) => self.send_tick(state, number),
            Step::StoreTick(number) => self.store_tick(state, number),
            Step::Accept(number, lane) => self.accept(state, number, lane),
            Step::Append(number) => self.append(state, number),
            Step::FenceGrant(number) => self.fence_grant(state, number),
            Step::FenceDeny(number) => fence_deny(state, number),
            Step::Apply(agent, lane, place) => self.apply(state, agent, lane, place),
            Step::Show(agent) => state.agents[agent].shown = state.agents[agent].applied,
            Step::ReadState(agent) => state.agents[agent].deciding = Some(state.agents[agent].shown),
            Step::Install(agent, tick) => return self.install(state, agent, tick),
            Step::Persist(agent) => {
                let agent = &mut state.agents[agent];
                (agent.stored, agent.told) = (agent.shown, agent.shown);
            }
            Step::Restart(agent) => self.restart(state, agent),
        }
        true
    }

    fn send_tick(&self, state: &mut State, number: usize) {
        let tick = state.tick_of(number);
        state.controllers[number].sent_tick = Some(tick);
        if self.keeps(Rule::GrantNotedBeforeTick) {
            state.note_granted(number, tick);
        }
        if !self.keeps(Rule::TickAnsweredAfterAppend) {
            state.offer(tick);
        }
    }

    fn store_tick(&self, state: &mut State, number: usize) {
        let Some(mut tick) = state.controllers[number].sent_tick.take() else { return };
        if !self.keeps(Rule::HeadsNotOlderThanNonces) {
            tick.left = state.tick_of(number).left;
        }
        if !state.controllers[number].is_current[Lane::Deny.at()] {
            if !self.keeps(Rule::DeposedNeverAnswers) {
                state.offer(tick);
            }
            state.step_down(number);
            return;
        }
        state.moved(number, Lane::Deny);
        state.offer(tick);
        if state.controllers[number].role == Role::Writer {
            state.note_granted(number, tick);
        } else {
            state.step_down(number);
        }
    }

    fn accept(&self, state: &mut State, number: usize, lane: Lane) {
        let controller = &state.controllers[number];
        let revision = controller.known[lane.at()] + 1;
        let change = u8::try_from(state.accepted.len()).unwrap_or(u8::MAX);
        let accepted = Accepted { lane, revision, left: LEASE };
        if !self.keeps(Rule::AcknowledgeAfterAppend) {
            state.accepted.push(accepted);
            state.controllers[number].unsent = Some(change);
            return;
        }
        if self.keeps(Rule::CompareAndSet) && !controller.is_current[lane.at()] {
            state.step_down(number);
            return;
        }
        let entry = Entry { epoch: controller.epoch, revision, change };
        state.accepted.push(accepted);
        state.store(number, lane, entry);
    }

    fn append(&self, state: &mut State, number: usize) {
        let Some(change) = state.controllers[number].unsent.take() else { return };
        let Some(accepted) = state.accepted.get(usize::from(change)).copied() else { return };
        if !state.controllers[number].is_current[accepted.lane.at()] {
            state.step_down(number);
            return;
        }
        let epoch = state.controllers[number].epoch;
        let entry = Entry { epoch, revision: accepted.revision, change };
        state.store(number, accepted.lane, entry);
    }

    /// Why reading and appending are one step: with something in between, compare-and-set fails and nothing
    /// happened.
    fn fence_grant(&self, state: &mut State, number: usize) {
        let epoch = state.epoch() + 1;
        let sent_tick = state.controllers[number].sent_tick;
        let mut is_current = state.controllers[number].is_current;
        is_current[Lane::Grant.at()] = true;
        let known = [0, state.len(Lane::Grant)];
        let role = Role::Fencing;
        state.controllers[number] =
            Controller { role, epoch, is_current, known, sent_tick, ..Controller::default() };
        if self.keeps(Rule::GrantLaneFenced) {
            state.epochs[Lane::Grant.at()] = epoch;
            state.moved(number, Lane::Grant);
        }
    }

    fn apply(&self, state: &mut State, number: usize, lane: Lane, place: u8) {
        let agent = &mut state.agents[number];
        agent.applied[lane.at()] |= 1 << place;
        if self.keeps(Rule::StateStoredBeforeLease) {
            agent.shown = agent.applied;
        }
        if !self.keeps(Rule::ReceiptAfterStore) {
            agent.told = agent.shown;
        }
    }

    fn install(&self, state: &mut State, number: usize, tick: usize) -> bool {
        let Some(tick) = state.ticks.get(tick) else { return false };
        let agent = &mut state.agents[number];
        let own = tick.left[number];
        let left = if !self.keeps(Rule::NonceNeeded) {
            LEASE
        } else if own == 0 {
            0
        } else if !self.keeps(Rule::AnchorBeforeAsking) {
            LEASE
        } else if !self.keeps(Rule::NonceBoundToItsClock) {
            agent.asked
        } else {
            own
        };
        let is_past = agent.applied.iter().zip(tick.heads).all(|(places, head)| reach(*places) >= head);
        if left <= agent.fresh || (!is_past && self.keeps(Rule::AppliedAtOrPastHead)) {
            return false;
        }
        agent.fresh = left;
        true
    }

    /// Its nonces die with the run.
    ///
    /// Why an empty disk will do: whatever an older or intact one holds, it can apply again at once.
    fn restart(&self, state: &mut State, number: usize) {
        let agent = &mut state.agents[number];
        let places = if self.bound.has_disks { agent.stored } else { [0; 2] };
        (agent.applied, agent.shown) = (places, places);
        agent.deciding = None;
        if self.keeps(Rule::LeaseEndsWithRestart) {
            agent.fresh = 0;
        }
        agent.asked = 0;
        state.ticks.iter_mut().for_each(|tick| tick.left[number] = 0);
        let sent = state.controllers.iter_mut().filter_map(|controller| controller.sent_tick.as_mut());
        sent.for_each(|tick| tick.left[number] = 0);
    }
}

/// The new writer may act from here on: every lane is fenced.
fn fence_deny(state: &mut State, number: usize) {
    let epoch = state.controllers[number].epoch;
    if state.epochs[Lane::Deny.at()] >= epoch {
        state.step_down(number);
        return;
    }
    state.epochs[Lane::Deny.at()] = epoch;
    state.moved(number, Lane::Deny);
    let known = state.len(Lane::Deny);
    let controller = &mut state.controllers[number];
    controller.role = Role::Writer;
    controller.known[Lane::Deny.at()] = known;
    controller.blind = LEASE;
    // Why: what it sent as an earlier writer expects a sequence that is past.
    controller.sent_tick = None;
}
