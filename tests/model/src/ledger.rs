//! What boards claim.
//!
//! Why at once: claiming as early as the rules allow is what can go wrong; a receipt that comes late only makes a
//! claim later.

use crate::protocol::Protocol;
use crate::rules::Rule;
use crate::state::{Controller, Lane, Role, State};

/// Takes receipts and calls enforced what may be called so.
pub(crate) fn claim(protocol: &Protocol, state: &mut State) {
    let changes = 0..u8::try_from(state.accepted.len()).unwrap_or(u8::MAX);
    for number in 0..state.agents.len() {
        let shown = state.agents[number].shown;
        let held = changes.clone().filter(|change| state.holds(&shown, *change));
        state.agents[number].acknowledged |= held.fold(0, |held, change| held | 1 << change);
    }
    for change in changes {
        let late = state.accepted.get(usize::from(change)).is_some_and(|it| it.left == 0);
        let by_receipts = |controller: &Controller| is_proven(protocol, state, controller, change);
        if late || state.controllers.iter().any(by_receipts) {
            state.enforced |= 1 << change;
        }
    }
}

/// Whether receipts alone let this controller say that a change is enforced.
fn is_proven(protocol: &Protocol, state: &State, controller: &Controller, change: u8) -> bool {
    let sees = controller.blind == 0 || !protocol.keeps(Rule::BlindAfterTakeOver);
    if controller.role != Role::Writer || !sees || !is_known(state, controller, change) {
        return false;
    }
    let mut agents = state.agents.iter().zip(controller.granted);
    agents.all(|(agent, granted)| agent.acknowledged & (1 << change) != 0 || granted == 0)
}

fn is_known(state: &State, controller: &Controller, change: u8) -> bool {
    Lane::ALL.iter().any(|lane| {
        let known = usize::from(controller.known[lane.at()]);
        state.lanes[lane.at()].iter().take(known).any(|entry| entry.change == change)
    })
}
