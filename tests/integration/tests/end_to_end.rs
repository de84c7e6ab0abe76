//! End to end on a real nats-server: every test has its own server, controller, agents and issuer.
//!
//! One program for all, since each would link the whole system again.

#[path = "end_to_end/at_least.rs"]
mod at_least;
#[path = "end_to_end/board.rs"]
mod board;
#[path = "end_to_end/clocks.rs"]
mod clocks;
#[path = "end_to_end/direct.rs"]
mod direct;
#[path = "end_to_end/directives.rs"]
mod directives;
#[path = "end_to_end/disk.rs"]
mod disk;
#[path = "end_to_end/entitlements.rs"]
mod entitlements;
#[path = "end_to_end/faults.rs"]
mod faults;
#[path = "end_to_end/floors.rs"]
mod floors;
#[path = "end_to_end/hostile.rs"]
mod hostile;
#[path = "end_to_end/nats_directives.rs"]
mod nats_directives;
#[path = "end_to_end/records.rs"]
mod records;
#[path = "end_to_end/restarts.rs"]
mod restarts;
#[path = "end_to_end/runbooks.rs"]
mod runbooks;
#[path = "end_to_end/start_up.rs"]
mod start_up;
#[path = "end_to_end/tokens.rs"]
mod tokens;
