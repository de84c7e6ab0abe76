//! What was seen: every accepted change with its times, every allow, every claim of a board.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{BufWriter, Write},
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use rescind_checker::Effect;
use rescind_core::{
    ids::RecordId,
    position::{Lane, Position},
};
use rescind_testkit::{KitError, KitResult};
use serde_json::{Value, json};

use crate::lines::Line;

/// A change that takes access away, as the emitter knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denial {
    /// Its id.
    pub id: String,
    /// Its lane.
    pub lane: Lane,
    /// Its place.
    pub position: Position,
    /// The question that it answers with deny.
    pub question: String,
    /// What kind it is.
    pub kind: &'static str,
    /// When the answer `accepted` was here: it was accepted then, or earlier.
    pub accepted_ns: u64,
    /// When the directive that gives the access back was sent; it may hold from then on.
    pub until_ns: Option<u64>,
    /// When the answer `enforced` of the board was here: it was claimed then, or earlier.
    pub enforced_ns: Option<u64>,
}

/// An allow, as an agent process wrote it down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allow {
    /// Which agent, by its place in the fleet.
    pub agent: usize,
    /// Clock before the decision.
    pub from_ns: u64,
    /// Clock after the decision.
    pub to_ns: u64,
    /// Deny position that it was decided on.
    pub deny: Position,
    /// Grant position that it was decided on.
    pub grant: Position,
}

/// A change that was accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// Its id.
    pub id: RecordId,
    /// What it does.
    pub effect: Effect,
    /// When its directive was sent first; the chain can hold it from then on.
    pub sent_ns: u64,
    /// When the answer was here.
    pub accepted_ns: u64,
}

/// The state of an agent as it told it last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// When.
    pub at_ns: u64,
    /// Whether it was fresh.
    pub fresh: bool,
    /// Positions, `1/42 1/7`.
    pub heads: String,
    /// Digest of what was applied.
    pub digest: String,
    /// What stood against being fresh.
    pub fault: Option<String>,
}

/// Something that must not be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Id of the guarantee, `S1`.
    pub guarantee: &'static str,
    /// When it was found.
    pub at_ns: u64,
    /// What happened.
    pub text: String,
}

/// Everything that was seen.
#[derive(Debug, Default)]
pub struct Seen {
    /// In the order of acceptance.
    pub denials: Vec<Denial>,
    /// Every allow by question, per agent in order of time.
    pub allows: BTreeMap<String, Vec<Allow>>,
    /// Every change of freshness by agent.
    pub freshness: BTreeMap<usize, Vec<(u64, bool)>>,
    /// The last word of each agent.
    pub told: BTreeMap<usize, Told>,
    /// The change that each idempotency key made.
    pub effects: BTreeMap<String, String>,
    /// Every accepted change, in the order of the answers.
    pub changes: Vec<Change>,
    /// How many answers agents wrote down.
    pub answers: u64,
    /// Directives that are under way.
    pub open: usize,
    /// Found while it ran.
    pub broken: Vec<Violation>,
}

/// Shared by everybody who sees something; also writes it to the trace file.
#[derive(Debug, Clone)]
pub struct Evidence {
    seen: Arc<Mutex<Seen>>,
    trace: Arc<Mutex<BufWriter<File>>>,
}

impl Evidence {
    /// Begins a trace file.
    ///
    /// # Errors
    /// The file cannot be made.
    pub fn begin(trace: &Path) -> KitResult<Self> {
        let file = File::create(trace).map_err(KitError::because(format!("create {}", trace.display())))?;
        Ok(Self {
            seen: Arc::new(Mutex::new(Seen::default())),
            trace: Arc::new(Mutex::new(BufWriter::new(file))),
        })
    }

    /// What was seen so far.
    pub fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes one line of the trace.
    pub fn trace(&self, event: &str, at_ns: u64, more: Value) {
        let mut line = json!({ "ev": event, "at_ns": at_ns });
        if let (Value::Object(line), Value::Object(more)) = (&mut line, more) {
            line.extend(more);
        }
        let mut file = self.trace.lock().unwrap_or_else(PoisonError::into_inner);
        // Why ignored: a full disk must not end the run; the verdict does not come from the file.
        writeln!(file, "{line}").ok();
    }

    /// Brings the trace file up to date.
    pub fn flush(&self) {
        self.trace.lock().unwrap_or_else(PoisonError::into_inner).flush().ok();
    }

    /// Notes a broken guarantee.
    pub fn broken(&self, guarantee: &'static str, at_ns: u64, text: String) {
        self.trace("violation", at_ns, json!({ "guarantee": guarantee, "text": text }));
        self.seen().broken.push(Violation { guarantee, at_ns, text });
    }

    /// A change that takes access away was accepted.
    pub fn denied(&self, denial: Denial) {
        let more = json!({
            "id": denial.id, "q": denial.question, "kind": denial.kind,
            "position": denial.position.to_string(), "lane": denial.lane.to_string(),
        });
        self.trace("accepted", denial.accepted_ns, more);
        self.seen().denials.push(denial);
    }

    /// What a denial took away is about to be given back.
    pub fn giving_back(&self, id: &str, at_ns: u64) {
        self.trace("giving_back", at_ns, json!({ "id": id }));
        if let Some(denial) = self.seen().denials.iter_mut().find(|denial| denial.id == id) {
            denial.until_ns = Some(at_ns);
        }
    }

    /// The board of a change said `enforced`.
    pub fn enforced(&self, id: &str, at_ns: u64) {
        self.trace("enforced", at_ns, json!({ "id": id }));
        if let Some(denial) = self.seen().denials.iter_mut().find(|denial| denial.id == id) {
            denial.enforced_ns = Some(at_ns);
        }
    }

    /// A line of an agent process.
    pub fn line(&self, agent: usize, text: &str) {
        let Ok(line) = serde_json::from_str::<Line>(text) else { return };
        if let Ok(Value::Object(mut raw)) = serde_json::from_str::<Value>(text) {
            raw.insert("agent".to_owned(), agent.into());
            let mut file = self.trace.lock().unwrap_or_else(PoisonError::into_inner);
            writeln!(file, "{}", Value::Object(raw)).ok();
        }
        let mut seen = self.seen();
        match line {
            Line::Started { at_ns } => seen.freshness.entry(agent).or_default().push((at_ns, false)),
            Line::Answer { q, from_ns, to_ns, allow, deny, grant, .. } => {
                seen.answers += 1;
                if allow {
                    let (deny, grant) = (Position::new(deny.0, deny.1), Position::new(grant.0, grant.1));
                    seen.allows.entry(q).or_default().push(Allow { agent, from_ns, to_ns, deny, grant });
                }
            }
            Line::State { at_ns, fresh, deny, grant, digest, fault, .. } => {
                let history = seen.freshness.entry(agent).or_default();
                if history.last().is_none_or(|(_, was)| *was != fresh) {
                    history.push((at_ns, fresh));
                }
                let heads = format!("{deny} {grant}");
                seen.told.insert(agent, Told { at_ns, fresh, heads, digest, fault });
            }
        }
    }
}
