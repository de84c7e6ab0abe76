//! The agent: what a service embeds to ask, before every request, *may the bearer of this token do this now?*
//!
//! One task follows the signed chain over the bus and keeps an immutable view of all records and entitlements in
//! memory; [`Agent::decide`] answers from it in well under a microsecond, without a lock, an await or any I/O.
//! The view is fresh only under a lease that the controller granted after the fact; past it, the stale policy
//! decides. Whatever fails here (bus, store, clock, a panic) can only deny.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use std::{path::Path, time::Duration};
//! use rescind_agent::{Agent, AgentConfig, Query};
//!
//! let config = AgentConfig::load(Path::new("/etc/rescind/agents/payments-1.toml"))?;
//! let agent = Agent::connect(config).await?;
//! agent.ready_within(Duration::from_secs(10)).await?;
//!
//! let query = Query { token: "eyJ...", action: "refund:create", resource: "/orders/17", tenant: None };
//! let decision = agent.decide(&query);
//! if !decision.is_allow() {
//!     tracing::info!(reason = decision.reason.code(), records = ?decision.records, "denied");
//! }
//! agent.stop().await;
//! # Ok(()) }
//! ```
//!
//! Deliberately absent: HTTP, middleware (see `rescind-sidecar`, `rescind-tower`), and any way to allow without a
//! lease.

mod agent;
mod clock;
mod config;
mod direct;
mod driver;
mod explain;
mod metrics;
#[cfg(feature = "offline")]
pub mod offline;
mod shared;
mod status;
mod store;
mod token_cache;
#[cfg(feature = "torture")]
pub mod torture;

pub use agent::{Agent, ConnectError, NotReachedError, NotReadyError};
pub use config::{
    AgentConfig, AgentConfigBuilder, ConfigError, ConfigMistake, REPORT_EVERY_DEFAULT,
    TOKEN_CACHE_SLOTS_DEFAULT, TOKEN_CACHE_SLOTS_MAX,
};
pub use explain::{DriftWords, Explained};
pub use metrics::Metrics;
pub use rescind_core::decide::{Decision, Drift, Effect, Reason, TokenFault};
pub use rescind_core::position::{Heads, Lane, Position};
pub use rescind_core::report::Freshness;
pub use rescind_token::TokenError;
pub use shared::Query;
pub use status::{AgentStatus, IssuerStatus, StoreStatus};
pub use token_cache::Verified;
