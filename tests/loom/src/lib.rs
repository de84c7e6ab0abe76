//! What `agents/agent/src/shared.rs` does between threads, small enough that loom tries every interleaving and every
//! value that the memory model allows. Run by `cargo xtask loom`; without `--cfg loom` there is one test, which
//! looks whether the agent still has the order that is modelled.
//!
//! Each model exists in the agent's order, which must hold, and in the orders that are easy to get wrong, in which
//! loom must find the violation: a model that cannot fail would prove nothing.
//!
//! - `publication`: lease rule 4 and S3. A lease is never judged with a state older than the one that it was given for.
//! - `receipt`: S10. Decisions that start after a receipt see its position.
//! - `keys`: a token that was verified with old keys is never found after the keys have changed.
//! - `first_deny`: the time of the first deny is handed over once and not lost.

#[cfg(all(test, loom))]
mod cell;
#[cfg(all(test, loom))]
mod first_deny;
#[cfg(all(test, loom))]
mod keys;
#[cfg(all(test, loom))]
mod publication;
#[cfg(all(test, loom))]
mod receipt;

#[cfg(test)]
#[cfg(not(loom))]
mod agent_order;
