//! The table at the end.

use std::{collections::BTreeMap, fmt::Write as _, time::Duration};

use serde_json::{Value, json};

use crate::{bound::Bound, check::Late, evidence::Violation};

/// A time in which a fault could have consequences.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Which fault.
    pub fault: &'static str,
    /// When it was injected.
    pub from_ns: u64,
    /// End of the quiet time after it.
    pub to_ns: u64,
    /// From the heal of the round until every agent was fresh for good.
    pub fresh_after: Duration,
}

/// One line of the table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Row {
    /// Times that it was injected.
    pub injected: usize,
    /// Why this machine cannot do it.
    pub skipped: Option<String>,
    /// Longest time from an acceptance to an allow.
    pub worst_staleness: Duration,
    /// Longest time from a heal until everybody was fresh.
    pub worst_fresh: Duration,
}

/// What a run has shown.
#[derive(Debug, Clone)]
pub struct Report {
    /// What repeats it.
    pub seed: u64,
    /// How long it ran.
    pub ran: Duration,
    /// The lease and its bound.
    pub bound: Bound,
    /// By fault; `(none)` for times without one.
    pub rows: BTreeMap<String, Row>,
    /// Changes that took access away.
    pub denials: usize,
    /// Changes in all.
    pub changes: usize,
    /// Answers that agents wrote down.
    pub answers: u64,
    /// Processes that ended by themselves, with how often.
    pub ended: BTreeMap<String, usize>,
    /// What was broken.
    pub violations: Vec<Violation>,
}

/// The rows from windows and allows.
#[must_use]
pub fn rows(windows: &[Window], skipped: &[(&'static str, String)], late: &[Late]) -> BTreeMap<String, Row> {
    let mut rows: BTreeMap<String, Row> = BTreeMap::new();
    for window in windows {
        let row = rows.entry(window.fault.to_owned()).or_default();
        row.injected += 1;
        row.worst_fresh = row.worst_fresh.max(window.fresh_after);
    }
    for (fault, reason) in skipped {
        rows.entry((*fault).to_owned()).or_default().skipped = Some(reason.clone());
    }
    for one in late {
        let during = windows
            .iter()
            .filter(|window| window.from_ns <= one.allowed_ns && one.accepted_ns <= window.to_ns);
        let mut names: Vec<&str> = during.map(|window| window.fault).collect();
        if names.is_empty() {
            names.push("(none)");
        }
        for name in names {
            let row = rows.entry(name.to_owned()).or_default();
            row.worst_staleness = row.worst_staleness.max(one.staleness());
        }
    }
    rows
}

impl Report {
    /// Whether everything held.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.violations.is_empty()
    }

    /// For people.
    #[must_use]
    pub fn table(&self) -> String {
        let mut text = String::new();
        let bound = self.bound.staleness.as_millis();
        let rule = "-".repeat(78);
        // Writing into a String cannot fail.
        let mut line = |content: String| writeln!(text, "{content}").ok();
        line(format!("{:<32} {:>6} {:>16} {:>18}", "fault", "times", "stale at most", "fresh after heal"));
        line(rule.clone());
        for (name, row) in &self.rows {
            match &row.skipped {
                Some(reason) if row.injected == 0 => line(format!("{name:<32}   skipped: {reason}")),
                _ => line(format!(
                    "{name:<32} {:>6} {:>13} ms {:>15} ms",
                    row.injected,
                    row.worst_staleness.as_millis(),
                    row.worst_fresh.as_millis(),
                )),
            };
        }
        line(rule);
        line(format!(
            "bound B {bound} ms; {} changes, {} of them take access away; {} answers; {} s; seed {}",
            self.changes,
            self.denials,
            self.answers,
            self.ran.as_secs(),
            self.seed,
        ));
        for (name, times) in &self.ended {
            line(format!("{name} ended by itself {times} times and was started again"));
        }
        line(format!("violations: {}", self.violations.len()));
        for violation in &self.violations {
            line(format!("  {} {}", violation.guarantee, violation.text));
        }
        text
    }

    /// For programs.
    #[must_use]
    pub fn json(&self) -> Value {
        let ms = |span: Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        let rows = self.rows.iter().map(|(name, row)| {
            json!({
                "fault": name, "injected": row.injected, "skipped": row.skipped,
                "worst_staleness_ms": ms(row.worst_staleness), "worst_fresh_ms": ms(row.worst_fresh),
            })
        });
        let violations = self.violations.iter();
        let violations = violations.map(|one| json!({ "guarantee": one.guarantee, "text": one.text }));
        json!({
            "command": "nemesis", "seed": self.seed, "ran_s": self.ran.as_secs(),
            "bound_ms": ms(self.bound.staleness), "changes": self.changes, "denials": self.denials,
            "answers": self.answers, "faults": rows.collect::<Vec<_>>(), "ended": self.ended,
            "violations": violations.collect::<Vec<_>>(),
        })
    }
}
