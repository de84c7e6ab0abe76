//! Arguments of the commands that make and run a realm.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};

use super::value::{self, AgentSpec, EmitterSpec};

/// `rescind init`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct InitArgs {
    /// Something else than a new realm.
    #[command(subcommand)]
    pub(crate) command: Option<InitCommand>,
    /// A new realm.
    #[command(flatten)]
    pub(crate) new: NewArgs,
}

/// What else `rescind init` does.
#[derive(Debug, Subcommand)]
pub(crate) enum InitCommand {
    /// Enroll one more agent in an existing realm (needs the root key).
    AddAgent(AddAgentArgs),
}

/// A new realm.
#[derive(Debug, Args)]
pub(crate) struct NewArgs {
    /// Directory to make; it must not exist, or be empty.
    #[arg(required = true)]
    pub(crate) dir: Option<PathBuf>,
    /// Name of the realm: one trust domain with its own log and keys.
    #[arg(long, default_value = "prod")]
    pub(crate) realm: String,
    /// An agent to enroll, `ID:SERVICE`; may be repeated.
    #[arg(long = "agent", value_name = "ID:SERVICE")]
    pub(crate) agents: Vec<String>,
    /// An emitter, `NAME:WORD,WORD:RUNG`; may be repeated. Default: `ir:all:16` and
    /// `hr:disable,reinstate,grant,withdraw:5`.
    #[arg(long = "emitter", value_name = "NAME:WORDS:RUNG")]
    pub(crate) emitters: Vec<String>,
    /// Issuer of tokens that the agents trust.
    #[command(flatten)]
    pub(crate) issuer: IssuerArgs,
    /// Where agents and controller find the NATS server.
    #[arg(long, value_name = "URL", default_value = "nats://127.0.0.1:4222")]
    pub(crate) nats_url: String,
    /// Where the controller serves its HTTP API.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:7420")]
    pub(crate) listen: SocketAddr,
    /// Where the controller serves agents directly over TLS, for when the bus does not answer: an address, `off`, or
    /// `auto`: two ports after --listen.
    #[arg(long, value_name = "ADDRESS", default_value = "auto")]
    pub(crate) direct_listen: String,
    /// How long a view counts as fresh without a new proof, 2s to 30s.
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = value::duration)]
    pub(crate) lease: Duration,
}

/// The issuer that agents trust.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct IssuerArgs {
    /// Exact `iss` of the tokens.
    #[arg(long, value_name = "URL")]
    pub(crate) issuer: Option<String>,
    /// Where its keys are: a URL, or a file.
    #[arg(long, value_name = "URL|FILE")]
    pub(crate) jwks: Option<String>,
    /// A name of ours in `aud`; may be repeated. Default: the agent's service.
    #[arg(long = "audience", value_name = "NAME")]
    pub(crate) audiences: Vec<String>,
    /// RS256, PS256, ES256 or EdDSA; may be repeated. Default: RS256 and ES256.
    #[arg(long = "algorithm", value_name = "ALG")]
    pub(crate) algorithms: Vec<String>,
}

/// `rescind init add-agent`.
#[derive(Debug, Args)]
pub(crate) struct AddAgentArgs {
    /// Directory of the realm.
    pub(crate) dir: PathBuf,
    /// The agent, `ID:SERVICE`.
    #[arg(value_name = "ID:SERVICE")]
    pub(crate) agent: String,
    /// Issuer of tokens that it trusts; default: as the realm's other agents.
    #[command(flatten)]
    pub(crate) issuer: IssuerArgs,
    /// Where it finds the NATS server; default: as the controller.
    #[arg(long, value_name = "URL")]
    pub(crate) nats_url: Option<String>,
}

/// `rescind dev`.
#[derive(Debug, Args)]
pub(crate) struct DevArgs {
    /// Data directory; made when it is not there.
    #[arg(long, default_value = ".rescind")]
    pub(crate) dir: PathBuf,
    /// The service that the agent enforces for.
    #[arg(long, value_name = "NAME", default_value = "payments")]
    pub(crate) service: String,
}

/// `rescind dev-token`.
#[derive(Debug, Args)]
pub(crate) struct DevTokenArgs {
    /// The user, `sub`.
    #[arg(long, value_name = "ID")]
    pub(crate) sub: String,
    /// Data directory of the running `rescind dev`.
    #[arg(long, default_value = ".rescind")]
    pub(crate) dir: PathBuf,
    /// A role that the token claims; may be repeated. Grants nothing.
    #[arg(long = "role", value_name = "NAME")]
    pub(crate) roles: Vec<String>,
    /// A group that the token claims; may be repeated. Grants nothing.
    #[arg(long = "group", value_name = "NAME")]
    pub(crate) groups: Vec<String>,
    /// A permission that the token claims in `scope`; may be repeated. Grants nothing.
    #[arg(long = "scope", value_name = "NAME")]
    pub(crate) scopes: Vec<String>,
    /// The session, `sid`.
    #[arg(long, value_name = "ID")]
    pub(crate) session: Option<String>,
    /// The token's id, `jti`; random without.
    #[arg(long, value_name = "ID")]
    pub(crate) jti: Option<String>,
    /// The OAuth client, `client_id`.
    #[arg(long, value_name = "ID")]
    pub(crate) client: Option<String>,
    /// The tenant.
    #[arg(long, value_name = "ID")]
    pub(crate) tenant: Option<String>,
    /// How long it lives.
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = value::duration)]
    pub(crate) ttl: Duration,
}

/// `rescind controller`.
#[derive(Debug, Args)]
pub(crate) struct ControllerArgs {
    /// `controller.toml`, as `rescind init` writes it.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: PathBuf,
}

/// `rescind agent`.
#[derive(Debug, Args)]
pub(crate) struct AgentArgs {
    /// `agents/<id>.toml`, as `rescind init` writes it.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// Unix socket to serve on; only this user may connect.
    #[arg(long, value_name = "PATH")]
    pub(crate) socket: PathBuf,
}

/// For the checks of all mistakes at once: what was typed, or what is wrong with it.
pub(crate) fn agent_spec(text: &str) -> Result<AgentSpec, String> {
    text.parse().map_err(|error| format!("--agent `{text}`: {error}"))
}

/// As [`agent_spec`], for emitters.
pub(crate) fn emitter_spec(text: &str) -> Result<EmitterSpec, String> {
    text.parse().map_err(|error| format!("--emitter `{text}`: {error}"))
}
