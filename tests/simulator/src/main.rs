//! `simulate`: runs seeds, says how far it is, and prints what breaks. Started by `cargo xtask sim`.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line tool talks to its terminal")]
#![expect(
    clippy::disallowed_types,
    reason = "how long a person waited; the simulated world has its own time"
)]
#![expect(clippy::cast_precision_loss, reason = "a rate for people")]

mod arguments;
#[cfg(feature = "seeded-bugs")]
mod bugs;

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::time::Instant;

use rescind_simulator::{Outcome, simulate};

use self::arguments::Arguments;

/// Sums over all seeds of a call.
#[derive(Debug, Default)]
struct Sums {
    seeds: u64,
    steps: u64,
    virtual_ns: u64,
    accepted: u64,
    decisions: u64,
    allowed: u64,
    writers: u64,
    faults: u64,
    broken: Vec<Outcome>,
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let arguments = match Arguments::read(&words) {
        Ok(arguments) => arguments,
        Err(text) => {
            eprintln!("simulate: {text}");
            return ExitCode::from(2);
        }
    };
    #[cfg(feature = "seeded-bugs")]
    if arguments.bugs {
        return bugs::hunt(&arguments);
    }
    let started = Instant::now();
    let mut sums = Sums::default();
    for seed in arguments.seeds() {
        let outcome = simulate(seed, &arguments.options);
        sums.add(outcome, &arguments);
        if sums.broken.len() >= arguments.broken_max {
            break;
        }
        progress(&sums, &arguments, started);
    }
    finish(&sums, &arguments, started)
}

impl Sums {
    fn add(&mut self, outcome: Outcome, arguments: &Arguments) {
        self.seeds += 1;
        self.steps += outcome.steps;
        self.virtual_ns += outcome.virtual_ns;
        self.accepted += outcome.accepted;
        self.decisions += outcome.decisions.0;
        self.allowed += outcome.decisions.1;
        self.writers += outcome.writers;
        self.faults += outcome.faults;
        if arguments.trace {
            println!("seed {} trace {:016x}", outcome.seed, outcome.trace_hash);
        }
        if outcome.violations.is_empty() {
            return;
        }
        if !arguments.json {
            for violation in &outcome.violations {
                println!("{violation}");
            }
            outcome.standing.iter().for_each(|line| println!("  {line}"));
            println!("  again: {}\n", arguments.again(outcome.seed));
        }
        self.broken.push(outcome);
    }
}

fn progress(sums: &Sums, arguments: &Arguments, started: Instant) {
    if arguments.json || !std::io::stderr().is_terminal() {
        return;
    }
    let per_second = sums.seeds as f64 / started.elapsed().as_secs_f64().max(0.001);
    eprint!(
        "\r{} of {} seeds, {per_second:.1}/s, {} broken ",
        sums.seeds,
        arguments.count,
        sums.broken.len()
    );
    // Why ignored: a closed terminal must not end a run.
    std::io::stderr().flush().ok();
}

fn finish(sums: &Sums, arguments: &Arguments, started: Instant) -> ExitCode {
    let took = started.elapsed().as_secs_f64();
    if arguments.json {
        let broken: Vec<_> = sums.broken.iter().map(|outcome| as_json(outcome, arguments)).collect();
        let all = serde_json::json!({
            "seeds": sums.seeds, "took_s": took, "virtual_s": sums.virtual_ns / 1_000_000_000, "steps": sums.steps,
            "accepted": sums.accepted, "decisions": sums.decisions, "allowed": sums.allowed,
            "writers": sums.writers, "faults": sums.faults, "broken": broken,
        });
        println!("{all}");
    } else {
        println!(
            "{} seeds in {took:.1} s: {} s of virtual time, {} steps, {} faults, {} changes accepted by {} writers, \
             {} decisions ({} allowed), {} broken",
            sums.seeds,
            sums.virtual_ns / 1_000_000_000,
            sums.steps,
            sums.faults,
            sums.accepted,
            sums.writers,
            sums.decisions,
            sums.allowed,
            sums.broken.len(),
        );
    }
    if sums.broken.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn as_json(outcome: &Outcome, arguments: &Arguments) -> serde_json::Value {
    let violations: Vec<_> = outcome
        .violations
        .iter()
        .map(|one| {
            serde_json::json!({
                "guarantee": one.guarantee.id(), "at_ns": one.at, "text": one.text,
                "events": one.events.iter().map(ToString::to_string).collect::<Vec<_>>(),
            })
        })
        .collect();
    serde_json::json!({
        "seed": outcome.seed, "again": arguments.again(outcome.seed), "violations": violations,
        "trace": format!("{:016x}", outcome.trace_hash),
    })
}
