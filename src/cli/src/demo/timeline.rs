//! What the demo prints: a timeline while it plays, a table at the end, an object for each step for scripts.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::expect::Wrong;
use crate::output::{Screen, table};

/// One finished step.
#[derive(Debug)]
struct Row {
    step: &'static str,
    what: String,
    took: String,
    ok: bool,
}

/// How long changes took from accepted to the first decision that showed them, milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Spread {
    pub(super) p50: f64,
    pub(super) p99: f64,
    pub(super) max: f64,
    pub(super) samples: usize,
}

/// The record of a run.
#[derive(Debug)]
pub(super) struct Timeline {
    screen: Screen,
    started: Instant,
    rows: Vec<Row>,
    samples_ms: Vec<f64>,
}

/// What a step found.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) step: &'static str,
    /// For people: what happened and what was seen.
    pub(super) what: String,
    /// The figure of the table's last column.
    pub(super) took: String,
    pub(super) ok: bool,
    /// For scripts, merged into the step's object.
    pub(super) details: Value,
}

impl Timeline {
    pub(super) fn new(screen: Screen) -> Self {
        Self { screen, started: Instant::now(), rows: Vec::new(), samples_ms: Vec::new() }
    }

    fn elapsed_s(&self) -> f64 {
        self.started.elapsed().as_secs_f64()
    }

    /// A line in the timeline that is no step.
    pub(super) fn say(&self, text: &str) {
        self.screen.text(&format!("{:>7.3} s  {text}", self.elapsed_s()));
    }

    /// A finished step.
    pub(super) fn step(&mut self, outcome: Outcome) {
        let mark = if outcome.ok { "ok" } else { "WRONG" };
        self.say(&format!("{:<5}  {}", mark, outcome.what));
        let mut object = json!({"step": outcome.step, "at_ms": ms(self.started.elapsed()), "ok": outcome.ok});
        if let (Some(object), Value::Object(details)) = (object.as_object_mut(), outcome.details) {
            object.extend(details);
        }
        self.screen.json(&object);
        self.rows.push(Row { step: outcome.step, what: outcome.what, took: outcome.took, ok: outcome.ok });
    }

    /// Counts one change at one service.
    pub(super) fn sample(&mut self, took: Duration) {
        self.samples_ms.push(ms(took));
    }

    pub(super) fn all_ok(&self) -> bool {
        self.rows.iter().all(|row| row.ok)
    }

    /// Nearest-rank percentiles over all samples.
    pub(super) fn spread(&self) -> Spread {
        let mut sorted = self.samples_ms.clone();
        sorted.sort_by(f64::total_cmp);
        let at = |percent: usize| {
            let rank = (sorted.len() * percent).div_ceil(100).max(1);
            sorted.get(rank - 1).copied().unwrap_or_default()
        };
        Spread { p50: at(50), p99: at(99), max: at(100), samples: sorted.len() }
    }

    /// The table at the end.
    pub(super) fn summary(&self, decisions: u64, wrong: u64, kept: &[Wrong]) {
        let rows: Vec<Vec<String>> = self
            .rows
            .iter()
            .map(|row| {
                let mark = if row.ok { "as expected" } else { "WRONG" };
                vec![row.step.to_owned(), mark.to_owned(), row.took.clone()]
            })
            .collect();
        let spread = self.spread();
        self.screen.text("");
        self.screen.text(&table::render(&["STEP", "OBSERVED", "FIGURE"], &rows));
        self.screen.text(&format!(
            "\n{decisions} decisions observed, {wrong} wrong; accepted -> first denied, {} samples: \
             p50 {:.1} ms, p99 {:.1} ms, max {:.1} ms",
            spread.samples, spread.p50, spread.p99, spread.max
        ));
        for wrong in kept {
            let (caller, service) = wrong.place;
            self.screen.text(&format!(
                "wrong: caller {caller} at service {service}: expected {}, got {}",
                wrong.expected, wrong.got
            ));
        }
        for row in self.rows.iter().filter(|row| !row.ok) {
            self.screen.text(&format!("wrong: {}: {}", row.step, row.what));
        }
    }
}

/// Milliseconds with three digits behind the point.
pub(super) fn ms(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

#[cfg(test)]
mod tests;
