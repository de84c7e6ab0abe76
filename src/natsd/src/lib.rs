//! Finds, installs, starts and stops a real `nats-server`.
//!
//! For `cargo xtask`, `rescind dev` and tests: they need a broker on a machine that may have none, on a
//! port that nobody has to choose, and they need to hurt it (kill, pause, restart on the same store).
//!
//! Deliberately not here: any NATS client (the crate is synchronous and small, so that `xtask` compiles
//! fast), clusters, and what the broker is used for; server configuration for a realm is rendered by
//! `rescind-bus`.
//!
//! Main types: [`locate::find_or_install`] gives a [`locate::NatsServer`],
//! [`process::NatsProcess::start`] runs it.

mod command;
pub mod locate;
pub mod process;

pub use locate::{Install, LocateError, NatsServer, Options, Version, find_or_install};
pub use process::{Config, JetStream, NatsProcess, ProcessError, SyncPolicy};
