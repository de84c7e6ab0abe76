//! What Rescind promises in numbers, measured beside the alternatives in the same run.
//!
//! `cargo xtask bench [--quick] [NAME...]` runs the named benchmarks, all of them without a name. Each prints a
//! table with the target beside every figure and writes `target/bench/<name>.json` with the facts of the machine.
//! Machines differ and are busy: medians of many short samples count, and ratios of what was measured
//! alternately in one run count most.
//!
//! Deliberately absent: pass or fail. A missed target is printed as missed; the exit code is 0 as long as
//! everything could be measured.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program for people: tables are its purpose")]

mod allocations;
mod apply;
mod arguments;
mod data;
mod decide;
mod dice;
mod machine;
mod measure;
mod memory;
mod propagate;
mod realm;
mod report;
mod start;

use std::error::Error;
use std::process::ExitCode;

use crate::arguments::{Asked, Bench};
use crate::machine::Facts;
use crate::report::Sheet;

/// A result of anything that can fail while measuring.
pub(crate) type Outcome<T = ()> = Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let asked = match arguments::read(words.iter().map(String::as_str)) {
        Ok(Some(asked)) => asked,
        Ok(None) => {
            println!("{}", arguments::HELP);
            return ExitCode::SUCCESS;
        }
        Err(mistake) => {
            eprintln!("{mistake}");
            return ExitCode::from(2);
        }
    };
    run(&asked)
}

fn run(asked: &Asked) -> ExitCode {
    let facts = Facts::gather();
    println!("{facts}\n");
    let mut sheets = Vec::new();
    let mut failed = false;
    for bench in &asked.benches {
        println!("== {}: {}", bench.name(), bench.about());
        match measure_one(*bench, asked).and_then(|sheet| sheet.write(&facts, asked.scale).map(|_| sheet)) {
            Ok(sheet) => {
                println!("{sheet}");
                sheets.push(sheet);
            }
            Err(error) => {
                failed = true;
                eprintln!("   {} could not be measured: {}\n", bench.name(), report::chain(error.as_ref()));
            }
        }
    }
    if sheets.len() > 1 {
        println!("{}", report::summary(&sheets));
    }
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn measure_one(bench: Bench, asked: &Asked) -> Outcome<Sheet> {
    match bench {
        Bench::Decide => decide::run(asked.scale),
        Bench::Apply => apply::run(asked.scale),
        Bench::Memory => memory::run(asked.scale),
        Bench::Propagate => propagate::run(asked.scale),
        Bench::Start => start::run(asked.scale),
    }
}
