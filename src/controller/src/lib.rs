//! The controller: orders directives into the signed chain, proves its heads with ticks, grants leases, keeps
//! the ledger of what agents enforce, and serves what they miss.
//!
//! The rules are `rescind-core`'s; this crate is their shell: a durable log, the bus, an HTTP API. One task
//! owns the state ([`engine`]), one writes each lane ([`writer`]); everything else talks to them.
//!
//! It deliberately does not know agents' decisions, tokens, or where directives come from beyond an emitter's
//! name and rights.
//!
//! Main types: [`ControllerConfig`], [`Controller`], [`Readiness`], [`StartError`]; [`openapi_json`] for tools.

mod aside;
mod asking;
mod clock;
mod config;
mod controller;
mod direct;
mod directives;
mod door;
mod engine;
mod follow;
mod forward;
mod grants;
mod health;
mod heed;
mod http;
mod lanes;
mod leases;
mod repair;
mod roster;
mod snapshots;
mod standing;
mod startup;
mod store;
mod tending;
#[cfg(feature = "torture")]
pub mod torture;
mod wal;
mod writer;

pub use config::{
    ConfigError, ConfigMistake, ControllerConfig, DirectOptions, EmitterConfig, NatsOptions, StreamOptions,
};
pub use controller::Controller;
pub use health::Readiness;
pub use http::{DIRECTIVES_MAX, openapi_json};
pub use standing::{Role, Standing};
pub use startup::StartError;
pub use store::StoreError;
