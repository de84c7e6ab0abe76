//! One state of the whole system.

/// Agents of the model.
pub(crate) const AGENTS: usize = 2;
/// Controllers of the model.
pub(crate) const CONTROLLERS: usize = 2;
/// Length of a lease, and, as clock error is zero, the bound B.
pub(crate) const LEASE: Left = 2;

/// Time that is left of something; zero: over, or never was. Why not points in time: two states that differ only in
/// when they happen are one, so the clock needs no bound.
pub(crate) type Left = u8;

/// The two lanes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Lane {
    /// Records. Ticks go here too.
    Deny,
    /// Entitlements; what matters is their withdrawal.
    Grant,
}

impl Lane {
    pub(crate) const ALL: [Self; 2] = [Self::Deny, Self::Grant];

    pub(crate) const fn at(self) -> usize {
        match self {
            Self::Deny => 0,
            Self::Grant => 1,
        }
    }
}

/// A set of places of one lane, one bit each. A prefix, unless a gap was skipped.
pub(crate) type Places = u8;

/// A change as the broker stores it in a lane; its place is its index.
///
/// Why without fences: applying one changes no decision, and heads that count it only ask for more. What it does
/// to writers is in [`Controller::is_current`] and [`State::epochs`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Entry {
    /// Epoch of its writer.
    pub epoch: u8,
    /// Revision that its writer gave it.
    pub revision: u8,
    /// The change, by its place among the accepted ones.
    pub change: u8,
}

/// A stored tick, as far as an agent can still use it: whoever has applied `heads` may install a lease for its
/// newest nonce in it.
///
/// Why all nonces that were sent: a tick with fewer gives strictly less. Why the newest: an older one gives less.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tick {
    /// Entries in each lane that its maker knows to be stored.
    pub heads: [u8; 2],
    /// What is left of the lease for the newest nonce of each agent, counted from before its asking.
    pub left: [Left; AGENTS],
}

/// A change that takes access away and that an emitter was told is accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Accepted {
    /// Its lane.
    pub lane: Lane,
    /// Its revision there.
    pub revision: u8,
    /// How much of B is left.
    pub left: Left,
}

/// What a controller takes itself for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub enum Role {
    /// Reads along.
    #[default]
    Standby,
    /// Has fenced the grant lane of its epoch, not yet the deny lane.
    Fencing,
    /// Accepts and grants.
    Writer,
}

/// A controller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Controller {
    /// What it takes itself for.
    pub role: Role,
    /// The epoch in which it writes.
    pub epoch: u8,
    /// Whether its expected last sequence of a lane is still the last: what compare-and-set compares.
    pub is_current: [bool; 2],
    /// Entries of each lane that it knows.
    pub known: [u8; 2],
    /// The tick that is under way to the deny lane. It may arrive at any later time.
    pub sent_tick: Option<Tick>,
    /// What may be left of a lease that it granted, by agent.
    pub granted: [Left; AGENTS],
    /// What may be left of leases of the writer before it.
    pub blind: Left,
    /// Only without [`crate::Rule::AcknowledgeAfterAppend`]: accepted, not appended.
    pub unsent: Option<u8>,
}

/// An agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Agent {
    /// Places that its machine has folded.
    pub applied: [Places; 2],
    /// Places that decisions see.
    pub shown: [Places; 2],
    /// Places that are on its disk.
    pub stored: [Places; 2],
    /// Places that it acknowledged as durable.
    pub told: [Places; 2],
    /// Changes, by number, that any of its runs has acknowledged.
    pub acknowledged: u8,
    /// What is left of the lease that its newest nonce could give.
    pub asked: Left,
    /// What is left of its lease.
    pub fresh: Left,
    /// Only without [`crate::Rule::LeaseReadBeforeState`]: what a decision under way has read.
    pub deciding: Option<[Places; 2]>,
}

/// Everything.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct State {
    /// What the broker stores.
    pub lanes: [Vec<Entry>; 2],
    /// Epoch of the newest fence of each lane.
    pub epochs: [u8; 2],
    /// Ticks that were stored, or answered without it, and can still be used.
    pub ticks: Vec<Tick>,
    /// Who writes.
    pub controllers: [Controller; CONTROLLERS],
    /// Who decides.
    pub agents: [Agent; AGENTS],
    /// What emitters were told.
    pub accepted: Vec<Accepted>,
    /// Changes, by number, that a board called enforced.
    pub enforced: u8,
}

impl Tick {
    fn gives_all_of(&self, other: &Self) -> bool {
        let asks_less = self.heads.iter().zip(other.heads).all(|(own, its)| *own <= its);
        asks_less && self.left.iter().zip(other.left).all(|(own, its)| *own >= its)
    }
}

impl State {
    /// The first writer writes in epoch 1, nobody has asked, nothing is stored.
    pub(crate) fn first() -> Self {
        let writer =
            Controller { role: Role::Writer, epoch: 1, is_current: [true; 2], ..Controller::default() };
        Self {
            lanes: [Vec::new(), Vec::new()],
            epochs: [1, 1],
            ticks: Vec::new(),
            controllers: [writer, Controller::default()],
            agents: [Agent::default(), Agent::default()],
            accepted: Vec::new(),
            enforced: 0,
        }
    }

    /// The newest epoch that the broker stores.
    pub(crate) fn epoch(&self) -> u8 {
        self.epochs.into_iter().max().unwrap_or(1)
    }

    pub(crate) fn len(&self, lane: Lane) -> u8 {
        u8::try_from(self.lanes[lane.at()].len()).unwrap_or(u8::MAX)
    }

    /// Whether `places` hold a change.
    pub(crate) fn holds(&self, places: &[Places; 2], change: u8) -> bool {
        let Some(accepted) = self.accepted.get(usize::from(change)) else { return false };
        let lane = accepted.lane.at();
        let place = self.lanes[lane].iter().position(|entry| entry.change == change);
        place.is_some_and(|place| places[lane] & (1 << place) != 0)
    }

    /// Time passes.
    ///
    /// `for_ever`: a rule is left out without which a nonce may serve after its lease would have ended.
    pub(crate) fn pass(&mut self, for_ever: bool) {
        let less = |left: &mut Left| *left = left.saturating_sub(1);
        self.accepted.iter_mut().for_each(|accepted| less(&mut accepted.left));
        for agent in &mut self.agents {
            less(&mut agent.asked);
            less(&mut agent.fresh);
        }
        for controller in &mut self.controllers {
            less(&mut controller.blind);
            controller.granted.iter_mut().for_each(less);
            let tick = controller.sent_tick.iter_mut().filter(|_| !for_ever);
            tick.flat_map(|tick| &mut tick.left).for_each(less);
        }
        if !for_ever {
            self.ticks.iter_mut().flat_map(|tick| &mut tick.left).for_each(less);
        }
    }

    /// Brings the state into one form of all that behave alike: exact, not a guess. `keeps_empty`: a rule is left
    /// out without which a tick serves whom it does not answer.
    pub(crate) fn tidied(mut self, keeps_empty: bool) -> Self {
        let ticks = std::mem::take(&mut self.ticks);
        for tick in ticks {
            if keeps_empty || tick.left != [0; AGENTS] {
                self.offer(tick);
            }
        }
        self
    }

    /// Which agent is the first says nothing: states that differ only in that are one.
    pub(crate) fn sorted(mut self) -> Self {
        let [first, second] = &self.agents;
        if second < first {
            self.agents.reverse();
            self.ticks.iter_mut().for_each(|tick| tick.left.reverse());
            self.ticks.sort_unstable();
            for controller in &mut self.controllers {
                controller.granted.reverse();
                if let Some(tick) = &mut controller.sent_tick {
                    tick.left.reverse();
                }
            }
        }
        self
    }

    /// Whether no stored tick gives at least as much as this one.
    pub(crate) fn would_offer(&self, tick: &Tick) -> bool {
        !self.ticks.iter().any(|other| other.gives_all_of(tick))
    }

    /// Adds a tick unless another one gives at least as much, and drops those that it makes useless.
    pub(crate) fn offer(&mut self, tick: Tick) {
        if self.would_offer(&tick) {
            self.ticks.retain(|other| !tick.gives_all_of(other));
            self.ticks.push(tick);
            self.ticks.sort_unstable();
        }
    }
}

/// How far a set of places reaches: one past the last.
pub(crate) const fn reach(places: Places) -> u8 {
    match (Places::BITS - places.leading_zeros()).to_le_bytes() {
        [count, ..] => count,
    }
}
