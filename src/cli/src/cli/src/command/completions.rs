//! `rescind completions`.

use clap::CommandFactory;
use clap_complete::Shell;

use crate::args::Cli;
use crate::exit::Exit;
use crate::fault::Fault;
use crate::output::Screen;

/// Prints a completion script.
pub(super) fn run(shell: Shell, screen: Screen) -> Result<Exit, Fault> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "rescind", &mut script);
    screen.raw(&String::from_utf8_lossy(&script));
    Ok(Exit::Ok)
}
