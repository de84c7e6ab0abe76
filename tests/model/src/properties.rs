//! The guarantees, and what must be reachable so that they are not kept by doing nothing.

use stateright::Property;

use crate::protocol::Protocol;
use crate::rules::Guarantee;
use crate::state::{Agent, Lane, State};

/// Reached: an agent is fresh on a change of the second writer.
pub(crate) const SECOND_WRITER_GRANTS: &str = "reached: an agent is fresh on a change of the second writer";
/// Reached: receipts proved a change earlier than time did.
pub(crate) const ENFORCED_EARLY: &str = "reached: receipts prove a change before its time";
/// Reached: both lanes hold an accepted change, on both sides of a take-over.
pub(crate) const BOTH_ACCEPTED: &str = "reached: changes of both writers are accepted";
/// All that must be reached in some bound.
pub const REACHED: [&str; 3] = [SECOND_WRITER_GRANTS, ENFORCED_EARLY, BOTH_ACCEPTED];

pub(crate) fn all(protocol: &Protocol) -> Vec<Property<Protocol>> {
    let mut properties = vec![
        Property::always(Guarantee::S1.name(), |_, state| s1_bounded_staleness(state)),
        Property::always(Guarantee::S2.name(), |_, state| s2_truthful_enforced(state)),
        Property::always(Guarantee::S5.name(), |_, state| s5_monotone(state)),
        Property::always(Guarantee::S13.name(), |_, state| s13_one_history(state)),
    ];
    if protocol.without.is_none() {
        properties.push(Property::sometimes(SECOND_WRITER_GRANTS, |_, state| second_writer_grants(state)));
        properties.push(Property::sometimes(ENFORCED_EARLY, |_, state| enforced_early(state)));
        properties.push(Property::sometimes(BOTH_ACCEPTED, |_, state| both_accepted(state)));
    }
    properties
}

/// Whether a decision of this agent may allow now what `change` denies.
fn allows(state: &State, agent: &Agent, change: u8) -> bool {
    let lacks = |places| !state.holds(places, change);
    agent.fresh > 0 && (lacks(&agent.shown) || agent.deciding.as_ref().is_some_and(lacks))
}

fn numbers(state: &State) -> impl Iterator<Item = u8> + use<> {
    0..u8::try_from(state.accepted.len()).unwrap_or(u8::MAX)
}

fn s1_bounded_staleness(state: &State) -> bool {
    let past = |change: u8| state.accepted[usize::from(change)].left == 0;
    numbers(state)
        .filter(|change| past(*change))
        .all(|change| state.agents.iter().all(|agent| !allows(state, agent, change)))
}

fn s2_truthful_enforced(state: &State) -> bool {
    numbers(state)
        .filter(|change| state.enforced & (1 << change) != 0)
        .all(|change| state.agents.iter().all(|agent| !allows(state, agent, change)))
}

fn s5_monotone(state: &State) -> bool {
    let keeps = |agent: &Agent| agent.told.iter().zip(agent.shown).all(|(told, shown)| told & !shown == 0);
    state.agents.iter().all(keeps)
}

/// No two changes, stored or acknowledged, at one position of a lane.
fn s13_one_history(state: &State) -> bool {
    Lane::ALL.iter().all(|lane| {
        let stored = state.lanes[lane.at()].iter().map(|entry| (entry.revision, entry.change));
        let told = state.accepted.iter().zip(0_u8..).filter(|(accepted, _)| accepted.lane == *lane);
        let told = told.map(|(accepted, number)| (accepted.revision, number));
        let mut all: Vec<(u8, u8)> = stored.chain(told).collect();
        all.sort_unstable();
        all.dedup();
        all.windows(2).all(|pair| pair[0].0 != pair[1].0)
    })
}

fn second_writer_grants(state: &State) -> bool {
    let change = state.lanes[Lane::Deny.at()].iter().find(|entry| entry.epoch > 1).map(|entry| entry.change);
    let holds = |agent: &Agent| change.is_some_and(|change| state.holds(&agent.shown, change));
    state.agents.iter().any(|agent| agent.fresh > 0 && holds(agent))
}

fn enforced_early(state: &State) -> bool {
    let early = |change: &u8| state.accepted[usize::from(*change)].left > 0;
    let proven = |change| {
        let holds = |agent: &Agent| agent.fresh > 0 && state.holds(&agent.shown, change);
        state.enforced & (1 << change) != 0 && state.agents.iter().any(holds)
    };
    numbers(state).filter(early).any(proven)
}

fn both_accepted(state: &State) -> bool {
    let mut epochs: Vec<u8> = state.lanes.iter().flatten().map(|entry| entry.epoch).collect();
    epochs.sort_unstable();
    epochs.dedup();
    epochs.len() > 1
}
