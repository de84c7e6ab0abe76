//! When to report: soon after what somebody waits for, otherwise every few seconds.

use core::time::Duration;

use super::jitter::Jitter;
use crate::report::Freshness;
use crate::time::{BootNs, UnixMs};

/// Longest random wait before a prompt report: spreads the reports of a whole realm after one kill.
pub(super) const PROMPT_JITTER: Duration = Duration::from_millis(20);
/// Shortest pause between two reports: receipts for many entries go together.
pub(super) const REPORT_PAUSE: Duration = Duration::from_millis(50);
/// A receipt for what is on disk may wait a little: the applied one went first.
pub(super) const DURABLE_WAIT: Duration = Duration::from_millis(250);

#[derive(Debug)]
pub(super) struct Reporter {
    every: Duration,
    sequence: u64,
    due: BootNs,
    last: Option<BootNs>,
    freshness: Option<Freshness>,
    first_deny_at: Option<UnixMs>,
    passing_fault: Option<Box<str>>,
}

/// What a report says besides the state.
#[derive(Debug)]
pub(super) struct Occasion {
    pub(super) sequence: u64,
    pub(super) first_deny_at: Option<UnixMs>,
    pub(super) passing_fault: Option<Box<str>>,
}

impl Reporter {
    pub(super) const fn new(every: Duration, now: BootNs) -> Self {
        Self {
            every,
            sequence: 0,
            due: now,
            last: None,
            freshness: None,
            first_deny_at: None,
            passing_fault: None,
        }
    }

    pub(super) const fn due(&self) -> BootNs {
        self.due
    }

    /// A report within `wait`, but not right after the last one.
    pub(super) fn soon(&mut self, now: BootNs, wait: Duration, jitter: &mut Jitter) {
        let earliest = self.last.map_or(now, |last| last.plus(REPORT_PAUSE));
        let at = now.plus(jitter.up_to(wait)).max(earliest);
        self.due = self.due.min(at);
    }

    /// True where `freshness` is not what was last reported.
    pub(super) fn differs(&self, freshness: Freshness) -> bool {
        self.freshness != Some(freshness)
    }

    pub(super) fn note_first_deny(&mut self, at: UnixMs) {
        self.first_deny_at = Some(self.first_deny_at.map_or(at, |there| there.min(at)));
    }

    pub(super) fn note_fault(&mut self, text: Box<str>) {
        self.passing_fault = Some(text);
    }

    /// A report goes out now; the next is planned.
    pub(super) fn take(&mut self, now: BootNs, freshness: Freshness, jitter: &mut Jitter) -> Occasion {
        self.sequence = self.sequence.saturating_add(1);
        self.last = Some(now);
        self.freshness = Some(freshness);
        self.due = now.plus(jitter.around(self.every).max(REPORT_PAUSE));
        Occasion {
            sequence: self.sequence,
            first_deny_at: self.first_deny_at.take(),
            passing_fault: self.passing_fault.take(),
        }
    }
}
