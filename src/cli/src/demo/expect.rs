//! What every answer must be, at every moment of the demo.
//!
//! Between a step and the first answer that shows it, a service may give the old answer or the new one. After
//! its first new answer it may never give the old one again.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use tokio::time::Instant;

/// A verdict of one service about one caller: `allow` or the code of the deny.
pub(super) type Verdict = &'static str;

/// What callers who may do it get.
pub(super) const ALLOW: Verdict = "allow";

/// One caller at one service.
pub(super) type Place = (usize, usize);

#[derive(Debug)]
struct Cell {
    now: Verdict,
    /// A step is under way: until the service shows it, `now` is right too.
    next: Option<Verdict>,
    /// When the last step was first seen, with what the service said.
    seen: Option<Seen>,
}

/// The first answer that showed a step.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) at: Instant,
    pub(super) drift: Option<String>,
}

/// An answer that was not the expected one.
#[derive(Debug, Clone)]
pub(super) struct Wrong {
    pub(super) place: Place,
    pub(super) expected: String,
    pub(super) got: String,
}

/// Limit: wrong answers kept with their details; all are counted.
const WRONG_KEPT_MAX: usize = 20;

/// The expectations and the count of what was observed.
#[derive(Debug, Default)]
pub(super) struct Expectations(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    cells: BTreeMap<Place, Cell>,
    decisions: u64,
    wrong: u64,
    kept: Vec<Wrong>,
    last_allow: BTreeMap<Place, Instant>,
}

impl Expectations {
    fn with<T>(&self, change: impl FnOnce(&mut Inner) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// From now on this and nothing else.
    pub(super) fn set(&self, place: Place, verdict: Verdict) {
        self.with(|inner| inner.cells.insert(place, Cell { now: verdict, next: None, seen: None }));
    }

    /// A step begins: `verdict` may come from now on, and stays once it came.
    pub(super) fn turn(&self, place: Place, verdict: Verdict) {
        self.with(|inner| {
            if let Some(cell) = inner.cells.get_mut(&place) {
                (cell.next, cell.seen) = (Some(verdict), None);
            }
        });
    }

    /// The first answer that showed the last step; `None`: not yet.
    pub(super) fn seen(&self, place: Place) -> Option<Seen> {
        self.with(|inner| inner.cells.get(&place).and_then(|cell| cell.seen.clone()))
    }

    /// When this service last allowed this caller.
    pub(super) fn last_allow(&self, place: Place) -> Option<Instant> {
        self.with(|inner| inner.last_allow.get(&place).copied())
    }

    /// Judges an answer to a request that was sent at `sent` and answered at `at`.
    pub(super) fn observe(&self, place: Place, sent: Instant, at: Instant, got: &str, drift: Option<String>) {
        self.with(|inner| {
            let Some(cell) = inner.cells.get_mut(&place) else { return };
            inner.decisions += 1;
            if got == ALLOW {
                inner.last_allow.insert(place, sent);
            }
            let turned = cell.next == Some(got);
            if turned {
                cell.now = cell.next.take().unwrap_or(cell.now);
                cell.seen = Some(Seen { at, drift });
            } else if got != cell.now {
                let expected = match cell.next {
                    Some(next) => format!("{} or {next}", cell.now),
                    None => cell.now.to_owned(),
                };
                inner.wrong += 1;
                if inner.kept.len() < WRONG_KEPT_MAX {
                    inner.kept.push(Wrong { place, expected, got: got.to_owned() });
                }
            }
        });
    }

    /// What each caller gets at `service` now.
    pub(super) fn verdicts(&self, service: usize) -> Vec<(usize, Verdict)> {
        self.with(|inner| {
            let here = inner.cells.iter().filter(|((_, there), _)| *there == service);
            here.map(|((caller, _), cell)| (*caller, cell.now)).collect()
        })
    }

    /// Decisions observed and wrong ones.
    pub(super) fn counts(&self) -> (u64, u64) {
        self.with(|inner| (inner.decisions, inner.wrong))
    }

    /// The first wrong answers.
    pub(super) fn wrong(&self) -> Vec<Wrong> {
        self.with(|inner| inner.kept.clone())
    }
}

#[cfg(test)]
mod tests;
