//! What can happen next.

use stateright::{Model, Property};

use crate::ledger;
use crate::properties;
use crate::rules::Rule;
use crate::state::{LEASE, Lane, Role, State, reach};

/// How far is explored. The clock, asking, ticks and restarts have no bound: their states repeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Bound {
    /// Agents that do anything, 1 or 2. One is enough for all but S2: agents never hear each other.
    pub agents: usize,
    /// Changes in each lane, deny and grant.
    pub changes: [u8; 2],
    /// Epochs, the first counted; one less is the number of take-overs.
    pub epochs: u8,
    /// Whether agents restart.
    pub restarts: bool,
    /// Whether a restarted agent finds what it wrote, for S5; else it starts empty.
    pub has_disks: bool,
}

impl Bound {
    /// One agent, a change in each lane, two take-overs.
    pub const SINGLE: Self = Self { agents: 1, changes: [1, 1], epochs: 3, restarts: true, has_disks: false };
    /// Two agents, a record, a take-over.
    pub const PAIR_DENY: Self = Self { agents: 2, changes: [1, 0], epochs: 2, ..Self::SINGLE };
    /// Two agents, a withdrawal, a take-over.
    pub const PAIR_GRANT: Self = Self { agents: 2, changes: [0, 1], epochs: 2, ..Self::SINGLE };
    /// One agent with a disk, for S5.
    pub const DISK: Self = Self { has_disks: true, epochs: 2, ..Self::SINGLE };
    /// Exhausted in every run of the tests.
    pub const TESTED: [(&'static str, Self); 4] = [
        ("one agent", Self::SINGLE),
        ("two agents, deny lane", Self::PAIR_DENY),
        ("two agents, grant lane", Self::PAIR_GRANT),
        ("an agent with a disk", Self::DISK),
    ];
    /// Exhausted by `cargo xtask model --deep`.
    pub const DEEP: [(&'static str, Self); 2] = [
        ("two agents, both lanes", Self { agents: 2, epochs: 2, ..Self::SINGLE }),
        ("three changes, two take-overs", Self { changes: [2, 1], ..Self::SINGLE }),
    ];

    /// Where a rule falls that is left out.
    #[must_use]
    pub const fn of(rule: Rule) -> Self {
        match rule {
            // Why two in a lane: at one revision, or one behind the other.
            Rule::CompareAndSet | Rule::NoGapSkipped => Self { changes: [2, 0], epochs: 2, ..Self::SINGLE },
            Rule::BlindAfterTakeOver => Self::PAIR_DENY,
            Rule::GrantNotedBeforeTick => Self::PAIR_GRANT,
            Rule::ReceiptAfterStore => Self::DISK,
            _ => Self { epochs: 2, ..Self::SINGLE },
        }
    }
}

/// One thing that happens. Controllers and agents by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Step {
    /// Time passes.
    Clock,
    /// An agent makes a nonce and sends it.
    Ask(usize),
    /// A writer collects nonces, fixes the heads and sends the append of a tick.
    SendTick(usize),
    /// That append arrives.
    StoreTick(usize),
    /// A writer appends a change.
    Accept(usize, Lane),
    /// What was acknowledged too early is appended.
    Append(usize),
    /// A standby begins an epoch with a fence in the grant lane.
    FenceGrant(usize),
    /// It fences the deny lane and is the writer.
    FenceDeny(usize),
    /// An agent receives the entry at a place of a lane and applies it.
    Apply(usize, Lane, u8),
    /// What it folded becomes visible to decisions.
    Show(usize),
    /// A decision of an agent reads the state.
    ReadState(usize),
    /// An agent receives a grant of a tick and installs the lease.
    Install(usize, usize),
    /// An agent writes its state to disk and acknowledges it.
    Persist(usize),
    /// An agent starts again from its disk.
    Restart(usize),
}

/// The protocol, whole or with one rule left out.
#[derive(Debug, Clone, Copy)]
pub struct Protocol {
    /// How far.
    pub bound: Bound,
    /// The rule that is left out.
    pub without: Option<Rule>,
}

impl Protocol {
    /// The whole protocol.
    #[must_use]
    pub const fn whole(bound: Bound) -> Self {
        Self { bound, without: None }
    }

    /// The protocol with one rule left out.
    #[must_use]
    pub const fn without(rule: Rule) -> Self {
        Self { bound: Bound::of(rule), without: Some(rule) }
    }

    pub(crate) fn keeps(&self, rule: Rule) -> bool {
        self.without != Some(rule)
    }

    /// Whether a nonce may still serve after the lease that it would have given has ended.
    pub(crate) fn nonces_serve_for_ever(&self) -> bool {
        let rules = [Rule::AnchorBeforeAsking, Rule::NonceNeeded, Rule::NonceBoundToItsClock];
        rules.iter().any(|rule| !self.keeps(*rule))
    }

    fn of_controller(&self, state: &State, number: usize, steps: &mut Vec<Step>) {
        let controller = &state.controllers[number];
        let is_free = controller.sent_tick.is_none() && controller.unsent.is_none();
        match controller.role {
            Role::Writer => {
                if is_free && self.is_tick_wanted(state, number) {
                    steps.push(Step::SendTick(number));
                }
                for lane in Lane::ALL {
                    let made = state.accepted.iter().filter(|accepted| accepted.lane == lane).count();
                    let is_open = made < usize::from(self.bound.changes[lane.at()]);
                    if is_open && (is_free || (lane == Lane::Grant && controller.unsent.is_none())) {
                        steps.push(Step::Accept(number, lane));
                    }
                }
            }
            Role::Standby if state.epoch() < self.bound.epochs => steps.push(Step::FenceGrant(number)),
            Role::Fencing => steps.push(Step::FenceDeny(number)),
            Role::Standby => {}
        }
        if controller.sent_tick.is_some() {
            steps.push(Step::StoreTick(number));
        }
        if controller.unsent.is_some() {
            steps.push(Step::Append(number));
        }
    }

    /// Why asked: a tick that gives nobody anything that older ticks do not give changes nothing.
    fn is_tick_wanted(&self, state: &State, number: usize) -> bool {
        let tick = state.tick_of(number);
        (tick.left.iter().any(|left| *left > 0) || !self.keeps(Rule::NonceNeeded)) && state.would_offer(&tick)
    }

    fn of_agent(&self, state: &State, number: usize, steps: &mut Vec<Step>) {
        let agent = &state.agents[number];
        if agent.asked < LEASE {
            steps.push(Step::Ask(number));
        }
        for lane in Lane::ALL {
            let next = reach(agent.applied[lane.at()]);
            let last = if self.keeps(Rule::NoGapSkipped) { next.saturating_add(1) } else { u8::MAX };
            steps.extend((next..state.len(lane).min(last)).map(|place| Step::Apply(number, lane, place)));
        }
        if agent.shown != agent.applied {
            steps.push(Step::Show(number));
        }
        if !self.keeps(Rule::LeaseReadBeforeState) && agent.deciding.is_none() {
            steps.push(Step::ReadState(number));
        }
        steps.extend((0..state.ticks.len()).map(|tick| Step::Install(number, tick)));
        if self.bound.has_disks && agent.stored != agent.shown {
            steps.push(Step::Persist(number));
        }
        if self.bound.restarts {
            steps.push(Step::Restart(number));
        }
    }
}

impl Model for Protocol {
    type State = State;
    type Action = Step;

    fn init_states(&self) -> Vec<State> {
        vec![State::first()]
    }

    fn actions(&self, state: &State, steps: &mut Vec<Step>) {
        steps.push(Step::Clock);
        for number in 0..state.controllers.len() {
            self.of_controller(state, number, steps);
        }
        for number in 0..self.bound.agents {
            self.of_agent(state, number, steps);
        }
    }

    fn next_state(&self, last: &State, step: Step) -> Option<State> {
        let mut state = last.clone();
        if !self.take(&mut state, step) {
            return None;
        }
        ledger::claim(self, &mut state);
        let tidy = state.tidied(!self.keeps(Rule::NonceNeeded));
        Some(if self.bound.agents > 1 { tidy.sorted() } else { tidy })
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties::all(self)
    }
}
