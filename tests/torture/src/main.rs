//! `rescind-torture run --runs N [--seed S]`, and the processes that it tortures.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line tool talks to its terminal")]

use std::path::Path;
use std::process::ExitCode;
use tokio::time::Instant;

use rescind_torture::process::Program;
use rescind_torture::{torture, writer};

/// Runs without `--runs`.
const RUNS_DEFAULT: u64 = 200;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match perform(&words) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(text) => {
            eprintln!("rescind-torture: {text}");
            ExitCode::from(2)
        }
    }
}

fn perform(words: &[&str]) -> Result<bool, String> {
    match words {
        ["write", "agent", folder, seed] => {
            writer::write_agent(Path::new(folder), number(seed)?).map(|()| true)
        }
        ["write", "log", folder, seed] => writer::write_log(Path::new(folder), number(seed)?).map(|()| true),
        ["check", "agent", folder, seed] => {
            writer::check_agent(Path::new(folder), number(seed)?).map(|()| true)
        }
        ["check", "log", folder, seed] => writer::check_log(Path::new(folder), number(seed)?).map(|()| true),
        ["run", options @ ..] => run(options),
        _ => Err("write `rescind-torture run [--runs N] [--seed S]`".to_owned()),
    }
}

fn run(mut options: &[&str]) -> Result<bool, String> {
    let (mut runs, mut seed) = (RUNS_DEFAULT, 0);
    while let [name, value, rest @ ..] = options {
        match *name {
            "--runs" => runs = number(value)?,
            "--seed" => seed = number(value)?,
            other => return Err(format!("there is no option `{other}`; known are --runs and --seed")),
        }
        options = rest;
    }
    if let [rest] = options {
        return Err(format!("`{rest}` lacks its value"));
    }
    let program = std::env::current_exe().map_err(|error| format!("cannot find this program: {error}"))?;
    let begin = Instant::now();
    let tally = torture(&Program::new(program), seed, runs);
    println!("{tally}");
    println!(
        "seeds {seed} to {}, {:.1} s",
        seed.saturating_add(runs).saturating_sub(1),
        begin.elapsed().as_secs_f64()
    );
    Ok(tally.violations().is_empty())
}

fn number(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("`{text}` is no number"))
}
