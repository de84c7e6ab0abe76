//! The lease and chain protocol as a model that is explored to the end.
//!
//! Two controllers, one broker with a deny lane and a grant lane under compare-and-set, two agents, a discrete
//! clock. What was sent may be lost, late, repeated and out of order: everything that was ever stored or asked
//! stays deliverable for ever and nothing has to be delivered. Either controller may stop at any point and go
//! on later. The explorer (stateright) visits every state within a [`Bound`] and judges S1, S2, S5 and S13 in
//! each. Every rule of docs/protocol.md that carries the proof can be left out ([`Rule`]); the model must then
//! find a way to break a guarantee, or the model itself proves nothing.
//!
//! Deliberately absent: signatures, hashes and decoding (a message is what it says it is), clock error (rho and
//! delta are zero), a broker that goes back, snapshots, look-ahead. Those are for the simulator, which runs the
//! real code.

#![expect(clippy::indexing_slicing, reason = "all indexes are of two agents, two controllers or two lanes")]

mod explore;
mod ledger;
mod properties;
mod protocol;
mod rules;
mod state;
mod steps;

pub use explore::{Explored, Refuted, exhaust, refute};
pub use properties::REACHED;
pub use protocol::{Bound, Protocol, Step};
pub use rules::{Guarantee, Rule};
pub use state::{Accepted, Agent, Controller, Entry, Lane, Role, State, Tick};

#[cfg(test)]
mod tests;
