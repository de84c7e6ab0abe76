//! The one binary of Rescind: realms, processes and operators' commands.
//!
//! It assembles the other crates and holds no rules of its own: what a record means is in `rescind-core`, who
//! may do what is decided by the controller. Deliberately absent: retries that could double an effect (every
//! directive carries one idempotency key), and the word "success": what was accepted is named by its id and
//! position, what is enforced is told by the board.
//!
//! - [`args`]: command line, help texts. [`command`]: one file for each command.
//! - [`client`]: the controller's HTTP API. [`socket`]: the agent's Unix socket.
//! - [`init`]: a new realm on disk. [`dev`]: everything on one machine.
//! - [`output`]: tables and JSON. [`exit`]: what the exit code says.

mod args;
mod client;
mod command;
mod demo;
mod dev;
mod exit;
mod fault;
mod init;
mod output;
mod settings;
mod socket;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let cli = args::Cli::parse();
    let screen = output::Screen::new(cli.json);
    match command::run(cli.command, &screen) {
        Ok(exit) => exit.into(),
        Err(fault) => {
            screen.fault(&fault);
            fault.exit().into()
        }
    }
}
