//! What was broken, and the events that led there.

use core::fmt;
use std::collections::VecDeque;

use crate::event::{Event, Ms, Nanos, Run};
use crate::guarantee::Guarantee;

/// Limit: events that are remembered for explanations.
const REMEMBERED_MAX: usize = 4096;
/// Limit: events that an explanation shows.
const SHOWN_MAX: usize = 24;

/// A guarantee that a trace breaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Which.
    pub guarantee: Guarantee,
    /// When it showed.
    pub at: Nanos,
    /// What is wrong.
    pub text: String,
    /// Name of the trace (a seed, a run).
    pub trace: String,
    /// The last events that matter, oldest first.
    pub events: Vec<Event>,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} broken in {} at {}: {}", self.guarantee, self.trace, Ms(self.at), self.text)?;
        writeln!(f, "  promised: {} ({})", self.guarantee.text(), self.guarantee.source())?;
        self.events.iter().try_for_each(|event| writeln!(f, "  {event}"))
    }
}

/// The last events of a trace.
#[derive(Debug, Default)]
pub(crate) struct Memory(VecDeque<Event>);

impl Memory {
    pub(crate) fn note(&mut self, event: &Event) {
        if self.0.len() >= REMEMBERED_MAX {
            self.0.pop_front();
        }
        self.0.push_back(event.clone());
    }

    /// The last events of this run and of no run.
    pub(crate) fn about(&self, run: Option<Run>) -> Vec<Event> {
        let matters = |event: &&Event| event.run().is_none() || run.is_none() || event.run() == run;
        let mut events: Vec<Event> = self.0.iter().rev().filter(matters).take(SHOWN_MAX).cloned().collect();
        events.reverse();
        events
    }
}
