//! The guarantees as code: fed with a trace of events, names what was broken.
//!
//! A trace comes from the simulator (virtual time) or from real processes (one monotonic clock for the machine).
//! The checker keeps its own plain model of the one history and of every run, and compares; it shares no code
//! with what it judges but the types of positions and digests. What a trace does not tell is not judged.

mod changes;
mod decisions;
mod dues;
mod event;
mod guarantee;
mod history;
mod liveness;
mod runs;
mod settings;
mod views;
mod violation;
mod writers;

use std::collections::{BTreeSet, HashMap, HashSet};

pub use event::{Answer, Decision, Effect, Event, Fault, Heal, Nanos, Request, Run, Store, Subject, Writer};
pub use guarantee::Guarantee;
use rescind_core::digest::StateDigest;
use rescind_core::ids::RecordId;
use rescind_core::position::{EntryHash, Epoch, Heads};
pub use settings::Settings;
pub use violation::Violation;

use self::dues::Dues;
use self::history::History;
use self::runs::Runs;
use self::violation::Memory;

/// Limit: violations that are kept; the first tells most.
const VIOLATIONS_MAX: usize = 32;

#[derive(Debug)]
struct Asked {
    key: u64,
    at: Nanos,
}

/// Judges one trace.
#[derive(Debug)]
pub struct Checker {
    trace: String,
    settings: Settings,
    now: Nanos,
    memory: Memory,
    history: History,
    runs: Runs,
    dues: Dues,
    asked: HashMap<u64, Asked>,
    first_asked: HashMap<u64, Nanos>,
    keys: HashMap<u64, RecordId>,
    forged: HashSet<EntryHash>,
    digests: HashMap<Heads, StateDigest>,
    epoch: Epoch,
    writer: Option<Writer>,
    confirmed: Option<(Heads, StateDigest)>,
    has_loose_runs: bool,
    suspended: Vec<RecordId>,
    calm_since: Option<Nanos>,
    delays: Vec<Nanos>,
    violations: Vec<Violation>,
    seen: BTreeSet<Guarantee>,
}

impl Checker {
    /// A checker for the trace of this name; the name is printed with every violation.
    #[must_use]
    pub fn new(trace: impl Into<String>, settings: Settings) -> Self {
        Self {
            trace: trace.into(),
            settings,
            now: 0,
            memory: Memory::default(),
            history: History::default(),
            runs: Runs::default(),
            dues: Dues::default(),
            asked: HashMap::new(),
            first_asked: HashMap::new(),
            keys: HashMap::new(),
            forged: HashSet::new(),
            digests: HashMap::new(),
            epoch: Epoch(0),
            writer: None,
            confirmed: None,
            has_loose_runs: false,
            suspended: Vec::new(),
            calm_since: None,
            delays: Vec::new(),
            violations: Vec::new(),
            seen: BTreeSet::new(),
        }
    }

    /// Takes the next event. Events come in order of time; one that comes late is judged at its time.
    pub fn observe(&mut self, event: &Event) {
        self.now = self.now.max(event.at());
        self.expire();
        self.memory.note(event);
        match event {
            Event::Asked { .. }
            | Event::Answered { .. }
            | Event::Abandoned { .. }
            | Event::Ordered { .. }
            | Event::Entry { .. }
            | Event::Forged { .. }
            | Event::Forgot { .. } => self.change(event),
            Event::Started { .. }
            | Event::Stopped { .. }
            | Event::Published { .. }
            | Event::LeaseMoved { .. }
            | Event::Stored { .. }
            | Event::Receipt { .. }
            | Event::Faulted { .. }
            | Event::Recovered { .. } => self.view(event),
            Event::Decided(decision) => self.decision(decision),
            Event::Enforced { .. }
            | Event::Tick { .. }
            | Event::WriterBegan { .. }
            | Event::WriterEnded { .. }
            | Event::Fence { .. }
            | Event::Confirmed { .. } => self.controller(event),
            Event::Leak { at, place } => {
                self.broken(Guarantee::S16, *at, None, format!("a secret in {place}"))
            }
            Event::Upset { .. }
            | Event::Healed { .. }
            | Event::Lapsed { .. }
            | Event::Crashed { .. }
            | Event::Calm { .. }
            | Event::Storm { .. } => self.weather(event),
        }
    }

    /// The trace ends: what is overdue by `at` is broken too.
    pub fn finish(&mut self, at: Nanos) {
        self.now = self.now.max(at);
        self.expire();
        self.close_all();
    }

    /// What was broken so far, in order.
    #[must_use]
    pub fn violations(&self) -> &[Violation] {
        &self.violations
    }

    /// Notes a violation that the recorder itself saw (a panic, an answer that must not be).
    pub fn report(&mut self, guarantee: Guarantee, at: Nanos, run: Option<Run>, text: impl Into<String>) {
        self.broken(guarantee, at, run, text.into());
    }

    /// How long changes took to be applied in calm times, unordered.
    #[must_use]
    pub fn delays(&self) -> &[Nanos] {
        &self.delays
    }

    /// Guarantees for which a deadline or condition was looked at in this trace at least once.
    #[must_use]
    pub const fn judged(&self) -> &BTreeSet<Guarantee> {
        &self.seen
    }

    fn broken(&mut self, guarantee: Guarantee, at: Nanos, run: Option<Run>, text: String) {
        if self.violations.len() < VIOLATIONS_MAX {
            let events = self.memory.about(run);
            self.violations.push(Violation { guarantee, at, text, trace: self.trace.clone(), events });
        }
    }

    fn judge(&mut self, guarantee: Guarantee) {
        self.seen.insert(guarantee);
    }
}

#[cfg(test)]
mod tests;
