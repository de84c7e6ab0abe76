//! A controller on a real nats-server.

#[path = "server/accept.rs"]
mod accept;
#[path = "server/agents.rs"]
mod agents;
#[path = "server/faults.rs"]
mod faults;
#[path = "server/kit.rs"]
mod kit;
#[path = "server/restart.rs"]
mod restart;
#[path = "server/start.rs"]
mod start;
#[path = "server/throughput.rs"]
mod throughput;
