//! Breaks one rule of the core after the other and looks which seed finds it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use rescind_core::seeded::{self, Bug};
use rescind_simulator::simulate;

use crate::arguments::Arguments;

/// What found a bug.
struct Found {
    seeds: u64,
    by: String,
    text: String,
}

/// Hunts every bug; exit code 1 where one is not found within the seeds.
pub(crate) fn hunt(arguments: &Arguments) -> ExitCode {
    // Why silent: what a broken rule breaks is expected to panic here and there.
    std::panic::set_hook(Box::new(|_| {}));
    let mut survivors = 0_u32;
    for bug in Bug::ALL {
        let found = look_for(*bug, arguments);
        survivors += u32::from(found.is_none());
        report(*bug, found.as_ref(), arguments);
    }
    if survivors == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn look_for(bug: Bug, arguments: &Arguments) -> Option<Found> {
    for (count, seed) in arguments.seeds().enumerate() {
        seeded::set(Some(bug));
        let outcome = catch_unwind(AssertUnwindSafe(|| simulate(seed, &arguments.options)));
        seeded::set(None);
        let seeds = count as u64 + 1;
        let (by, text) = match outcome {
            Ok(outcome) => match outcome.violations.first() {
                Some(first) => (first.guarantee.id().to_owned(), first.text.clone()),
                None => continue,
            },
            Err(_) => ("panic".to_owned(), String::new()),
        };
        // A seed that fails anyway tells nothing about the bug.
        if simulate(seed, &arguments.options).violations.is_empty() {
            return Some(Found { seeds, by, text });
        }
    }
    None
}

fn report(bug: Bug, found: Option<&Found>, arguments: &Arguments) {
    let (seeds, by) = found.map_or((None, None), |found| (Some(found.seeds), Some(found.by.as_str())));
    if arguments.json {
        let text = found.map(|found| found.text.as_str());
        let line = serde_json::json!({
            "bug": bug.name(), "breaks": bug.text(), "seeds": seeds, "found_by": by, "text": text,
        });
        println!("{line}");
    } else {
        let found = match (seeds, by) {
            (Some(seeds), Some(by)) => format!("{by} after {seeds} seeds"),
            _ => "NOT FOUND".to_owned(),
        };
        println!("{:<28} {found:<24} {}", bug.name(), bug.text());
    }
}
