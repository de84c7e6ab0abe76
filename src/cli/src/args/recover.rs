//! Arguments of the commands about roles and lost history.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use rescind_core::ids::EmitterId;

use super::look::ClientArgs;

/// `rescind takeover`.
#[derive(Debug, Args)]
pub(crate) struct TakeoverArgs {
    /// The controller that is to write.
    #[command(flatten)]
    pub(crate) client: ClientArgs,
}

/// `rescind recover`.
#[derive(Debug, Args)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub(crate) struct RecoverArgs {
    /// Which step.
    #[command(subcommand)]
    pub(crate) command: RecoverCommand,
}

/// The three steps.
#[derive(Debug, Subcommand)]
pub(crate) enum RecoverCommand {
    /// Ask the controller what would be given up, and get the statement to sign. Changes nothing.
    Plan(PlanArgs),
    /// Sign a statement with an emitter's key, offline; says what is signed.
    Approve(ApproveArgs),
    /// Hand over both approvals: a new epoch begins without what is missing.
    Apply(ApplyArgs),
}

/// `rescind recover plan`.
#[derive(Debug, Args)]
pub(crate) struct PlanArgs {
    /// Why the history is given up, one line: it stands in the chain for ever.
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: String,
    /// File for the statement, must not exist; default: print it.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Where the controller is.
    #[command(flatten)]
    pub(crate) client: ClientArgs,
}

/// `rescind recover approve`.
#[derive(Debug, Args)]
pub(crate) struct ApproveArgs {
    /// The emitter's signing key, `secrets/emitter-NAME.key` of the realm.
    #[arg(long, value_name = "FILE")]
    pub(crate) emitter_key: PathBuf,
    /// The emitter whose key it is; its certificate needs the word `recover`.
    #[arg(long, value_name = "NAME")]
    pub(crate) emitter: EmitterId,
    /// The statement, as `recover plan` wrote it.
    #[arg(value_name = "STATEMENT_FILE")]
    pub(crate) statement: PathBuf,
    /// File for the approval, must not exist.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: PathBuf,
}

/// `rescind recover apply`.
#[derive(Debug, Args)]
pub(crate) struct ApplyArgs {
    /// The statement that both signed.
    #[arg(long, value_name = "FILE")]
    pub(crate) statement: PathBuf,
    /// An approval; twice, of two persons.
    #[arg(long = "approval", value_name = "FILE", required = true)]
    pub(crate) approvals: Vec<PathBuf>,
    /// Where the controller is.
    #[command(flatten)]
    pub(crate) client: ClientArgs,
}
