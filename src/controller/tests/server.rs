//! A controller on a real nats-server.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "helpers of tests; the lints know only test functions"
)]

#[path = "server/accept.rs"]
mod accept;
#[path = "server/agents.rs"]
mod agents;
#[path = "server/archive.rs"]
mod archive;
#[path = "server/direct.rs"]
mod direct;
#[path = "server/faults.rs"]
mod faults;
#[path = "server/kit.rs"]
mod kit;
#[path = "server/recovery.rs"]
mod recovery;
#[path = "server/restart.rs"]
mod restart;
#[path = "server/roles.rs"]
mod roles;
#[path = "server/start.rs"]
mod start;
#[path = "server/throughput.rs"]
mod throughput;
