//! Arguments of the commands that ask a running agent.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use rescind_core::ids::RecordId;

use super::look::ClientArgs;
use super::value;

/// One query.
#[derive(Debug, Args)]
pub(crate) struct QueryArgs {
    /// Socket of the running agent, as given to `rescind agent` or shown by `rescind dev`.
    #[arg(long, value_name = "PATH")]
    pub(crate) socket: PathBuf,
    /// File with the compact token, or `-` for standard input. Tokens do not belong on a command line.
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: PathBuf,
    /// What the caller wants to do.
    #[arg(long)]
    pub(crate) action: String,
    /// What the caller wants to do it to.
    #[arg(long)]
    pub(crate) resource: String,
    /// The tenant that the request is for.
    #[arg(long, value_name = "ID")]
    pub(crate) tenant: Option<String>,
    /// Answer on a state that holds this change, by the id that it was accepted with (`deny-1-3`); may be repeated.
    #[arg(long, value_name = "ID")]
    pub(crate) at_least: Vec<RecordId>,
    /// How long to wait for --at-least; then the answer is deny, `not_fresh`.
    #[arg(long, value_name = "DURATION", default_value = "2s", value_parser = value::duration)]
    pub(crate) at_least_wait: Duration,
}

/// `rescind decide`.
#[derive(Debug, Args)]
pub(crate) struct DecideArgs {
    /// The query.
    #[command(flatten)]
    pub(crate) query: QueryArgs,
}

/// `rescind explain`.
#[derive(Debug, Args)]
pub(crate) struct ExplainArgs {
    /// The query.
    #[command(flatten)]
    pub(crate) query: QueryArgs,
    /// Where the controller is, for the details of records.
    #[command(flatten)]
    pub(crate) client: ClientArgs,
}
