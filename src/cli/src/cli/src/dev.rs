//! Everything on one machine, for trying out: directory, nats-server, issuer.
//!
//! Nothing here is a short cut around the real thing: keys, permissions, certificates and configuration files are
//! those of `rescind init`; only the issuer is our own.

mod broker;
mod issuer;
mod realm;

pub(crate) use broker::Broker;
pub(crate) use issuer::DevIssuer;
pub(crate) use realm::DevRealm;

/// The agent's socket, below the directory.
pub(crate) const AGENT_SOCKET: &str = "run/agent.sock";

/// The socket that hands out tokens, below the directory.
pub(crate) const ISSUER_SOCKET: &str = "run/issuer.sock";
