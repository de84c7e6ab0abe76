//! Arguments of the commands that ask a running agent.

use std::path::PathBuf;

use clap::Args;

use super::look::ClientArgs;

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
