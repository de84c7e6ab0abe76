//! One file for each command or group of commands; each gets its arguments and the screen.

mod agent;
mod ask;
mod board;
mod completions;
mod controller;
mod decide;
mod dev;
mod explain;
mod grant;
mod init;
mod lift;
mod list;
mod process;
mod record;
mod recover;
mod runtime;
mod send;
mod status;
mod takeover;

use rescind_core::record::RecordKind;

use crate::args::Command;
use crate::exit::Exit;
use crate::fault::Fault;
use crate::output::Screen;

/// Runs one command to its end.
///
/// # Errors
/// [`Fault`] with the exit code and what to do next.
pub(crate) fn run(command: Command, screen: &Screen) -> Result<Exit, Fault> {
    let screen = *screen;
    match command {
        Command::Init(args) => init::run(&args, screen),
        Command::Dev(args) => runtime::server(dev::run(args, screen)),
        Command::DevToken(args) => dev::token(&args, screen),
        Command::Demo(args) => runtime::server(crate::demo::run(args, screen)),
        Command::Controller(args) => runtime::server(controller::run(args, screen)),
        Command::Agent(args) => runtime::server(agent::run(args, screen)),
        Command::Revoke(args) => {
            runtime::client(record::run(RecordKind::Revoke, args.record, args.cutoff, screen))
        }
        Command::Disable(args) => {
            runtime::client(record::run(RecordKind::Disable, args.record, args.cutoff, screen))
        }
        Command::Hold(args) => runtime::client(record::run(RecordKind::Hold, args, None, screen)),
        Command::Kill(args) => runtime::client(record::run(RecordKind::Kill, args, None, screen)),
        Command::Grant(args) => runtime::client(grant::run(args, screen)),
        Command::Withdraw(args) => runtime::client(grant::withdraw(args, screen)),
        Command::Lift(args) => runtime::client(lift::run(args, screen)),
        Command::Reinstate(args) => runtime::client(lift::reinstate(args, screen)),
        Command::Records(args) => runtime::client(list::records(args, screen)),
        Command::Entitlements(args) => runtime::client(list::entitlements(args, screen)),
        Command::Agents(args) => runtime::client(list::agents(args, screen)),
        Command::Board(args) => runtime::client(board::run(args, screen)),
        Command::Watch(args) => runtime::client(board::watch(args, screen)),
        Command::Status(args) => runtime::client(status::run(args, screen)),
        Command::Takeover(args) => runtime::client(takeover::run(args, screen)),
        Command::Recover(args) => recover::run(args.command, screen),
        Command::Decide(args) => decide::run(&args, screen),
        Command::Explain(args) => runtime::client(explain::run(args, screen)),
        Command::Completions { shell } => completions::run(shell, screen),
    }
}
