//! The developer's menu: `cargo xtask demo | test | ci | codegen | bench | sim | nemesis`.
//!
//! One place that knows how the repository is built, checked and shown. It starts other programs and says
//! what it does; it holds no product code and no decisions. Deliberately small: it must compile in seconds on
//! a fresh machine, so the schema compiler sits behind the feature `codegen`, and arguments are read by hand.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line tool talks to its terminal")]

mod ci;
#[cfg(feature = "codegen")]
mod codegen;
mod command;
mod deep;
mod menu;
mod nats;
mod seeded;
mod workspace;

use std::process::ExitCode;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match menu::choose(&words).and_then(menu::perform) {
        Ok(()) => ExitCode::SUCCESS,
        Err(text) => {
            eprintln!("xtask: {text}");
            ExitCode::FAILURE
        }
    }
}
