//! Holds lease requests of runs that have not reported yet.
//!
//! Why: a run that is granted a lease and stops before it was heard leaves a row that neither a receipt nor
//! time can fence, as its stale policy is unknown; nothing could be called enforced until an operator retires
//! it. Agents report before they ask, and with every repeated ask; on the way the two may change places.

use std::collections::VecDeque;

use super::Ticket;
use super::ledger::Ledger;
use crate::ids::{AgentId, InstanceId};
use crate::lease::LeaseRequest;
use crate::seeded::{self, Bug};

/// Limit: requests that wait for a first report. The oldest is dropped, its agent asks again.
pub const REQUESTS_HELD_MAX: usize = 4096;

/// The gate. Sits between lease requests and the sequencer.
#[derive(Debug, Default)]
pub struct LeaseGate {
    held: VecDeque<(Ticket, LeaseRequest)>,
}

impl LeaseGate {
    /// A gate that holds nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Passes a request on where its run was heard, holds it otherwise. `Err`: this ticket is not answered, its
    /// agent asks again.
    ///
    /// # Errors
    /// The ticket of the oldest held request, where it had to make room; forget it.
    pub fn offer(
        &mut self,
        ledger: &Ledger,
        ticket: Ticket,
        request: LeaseRequest,
    ) -> Result<Option<(Ticket, LeaseRequest)>, Ticket> {
        if ledger.has_heard(&request.agent, request.instance) || seeded::active(Bug::GateOpen) {
            return Ok(Some((ticket, request)));
        }
        self.held.push_back((ticket, request));
        if self.held.len() > REQUESTS_HELD_MAX
            && let Some((dropped, _)) = self.held.pop_front()
        {
            return Err(dropped);
        }
        Ok(None)
    }

    /// What was held for a run that has just reported: pass it on.
    pub fn release(&mut self, agent: &AgentId, instance: InstanceId) -> Vec<(Ticket, LeaseRequest)> {
        if self.held.is_empty() {
            return Vec::new();
        }
        let held = core::mem::take(&mut self.held);
        let (released, held): (Vec<_>, Vec<_>) = held
            .into_iter()
            .partition(|(_, request)| request.instance == instance && request.agent == *agent);
        self.held = held.into();
        released
    }
}
