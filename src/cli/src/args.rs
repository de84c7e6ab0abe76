//! The command line. Help, completions and parsing come from these definitions alone.

mod directive;
mod help;
mod look;
mod query;
mod recover;
mod setup;
pub(crate) mod value;

#[cfg(test)]
mod tests;

pub(crate) use directive::{
    CutoffArgs, GrantArgs, LiftArgs, OriginArgs, RecordArgs, ReinstateArgs, WithdrawArgs,
};
pub(crate) use look::{
    AgentsArgs, BoardArgs, ClientArgs, EntitlementsArgs, RecordsArgs, StatusArgs, WatchArgs,
};
pub(crate) use query::{DecideArgs, ExplainArgs, QueryArgs};
pub(crate) use recover::{ApplyArgs, ApproveArgs, PlanArgs, RecoverArgs, RecoverCommand, TakeoverArgs};
pub(crate) use setup::{
    AddAgentArgs, AgentArgs, ControllerArgs, DevArgs, DevTokenArgs, InitArgs, InitCommand, IssuerArgs,
    NewArgs, agent_spec, emitter_spec,
};

use clap::{Parser, Subcommand};

/// Take access away everywhere, in milliseconds, and see where it holds.
#[derive(Debug, Parser)]
#[command(name = "rescind", version, after_help = help::TOP, subcommand_required = true, arg_required_else_help = true)]
pub(crate) struct Cli {
    /// Print JSON objects with stable fields instead of text (errors too, on standard error).
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// One variant for each command.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a new realm on disk: keys, credentials, configuration files.
    #[command(after_long_help = help::INIT)]
    Init(InitArgs),
    /// Run everything on this machine: nats-server, controller, issuer, one agent. Ctrl-C ends it in order.
    #[command(after_long_help = help::DEV)]
    Dev(DevArgs),
    /// Print a token of the running `rescind dev`.
    #[command(after_long_help = help::DEV_TOKEN)]
    DevToken(DevTokenArgs),
    /// Show the main job under load, with measured times, and check every decision. Takes half a minute.
    #[command(after_long_help = help::DEMO)]
    Demo(crate::demo::DemoArgs),
    /// Run a controller.
    #[command(after_long_help = help::CONTROLLER)]
    Controller(ControllerArgs),
    /// Run a bare agent that decides queries over a Unix socket, for tests and scripts.
    #[command(after_long_help = help::AGENT)]
    Agent(AgentArgs),
    /// End credentials for good: a token, a session, all of a user so far, all that a key signed.
    #[command(after_long_help = help::REVOKE)]
    Revoke(CutoffArgs),
    /// Deny an identity until it is reinstated; its old credentials never come back.
    #[command(after_long_help = help::DISABLE)]
    Disable(CutoffArgs),
    /// Deny for now; after `lift` the old credentials work again.
    #[command(after_long_help = help::HOLD)]
    Hold(RecordArgs),
    /// Deny a whole client, tenant, service, or everything, at once; ended with `lift`.
    #[command(after_long_help = help::KILL)]
    Kill(RecordArgs),
    /// Give a user, role or group a right, or a place in a role or group.
    #[command(after_long_help = help::GRANT)]
    Grant(GrantArgs),
    /// End an entitlement by its id.
    #[command(after_long_help = help::WITHDRAW)]
    Withdraw(WithdrawArgs),
    /// End a hold or kill by its id; says whether old credentials come back.
    #[command(after_long_help = help::LIFT)]
    Lift(LiftArgs),
    /// End a disable by its id: new credentials work, old ones stay dead.
    #[command(after_long_help = help::REINSTATE)]
    Reinstate(ReinstateArgs),
    /// List records.
    #[command(after_long_help = help::RECORDS)]
    Records(RecordsArgs),
    /// List entitlements.
    #[command(after_long_help = help::ENTITLEMENTS)]
    Entitlements(EntitlementsArgs),
    /// List agents: where each stands and how fresh it is.
    Agents(AgentsArgs),
    /// Show where a record is enforced, agent by agent; without an id: the latest records and all agents.
    #[command(after_long_help = help::BOARD)]
    Board(BoardArgs),
    /// Follow a board until the record is enforced everywhere.
    #[command(after_long_help = help::WATCH)]
    Watch(WatchArgs),
    /// Tell whether controller and agents are well.
    #[command(after_long_help = help::STATUS)]
    Status(StatusArgs),
    /// Make the standby that is asked the writer; the writer before is fenced and follows.
    #[command(after_long_help = help::TAKEOVER)]
    Takeover(TakeoverArgs),
    /// Give up history that nobody can hand back: takes two persons.
    #[command(after_long_help = help::RECOVER)]
    Recover(RecoverArgs),
    /// Ask a running agent for a decision.
    #[command(after_long_help = help::DECIDE)]
    Decide(DecideArgs),
    /// Ask a running agent for a decision and say why, in words.
    #[command(after_long_help = help::EXPLAIN)]
    Explain(ExplainArgs),
    /// Print a completion script for a shell.
    #[command(after_long_help = help::COMPLETIONS)]
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
}
