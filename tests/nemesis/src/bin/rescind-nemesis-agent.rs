//! A real agent in a process of its own that decides all the time and writes its answers down.
//!
//! `rescind-nemesis-agent CONFIG QUESTIONS OUT`: follows `QUESTIONS` (lines of [`Question`], appended while it
//! runs) and appends [`Line`]s to `OUT`. Ends in order on SIGTERM.

use std::{
    collections::BTreeMap,
    fs::{File, OpenOptions},
    io::{Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use rescind_agent::{Agent, AgentConfig, Freshness, Position, Query};
use rescind_nemesis::{
    clock::mono_ns,
    lines::{Line, Question},
};
use tokio::signal::unix::{SignalKind, signal};

/// Pause between two rounds over all questions.
const ROUND_EVERY: Duration = Duration::from_millis(2);
/// How often an allow that goes on is written down.
const ALLOW_EVERY_NS: u64 = 50_000_000;
/// How often the state is written down.
const STATE_EVERY_NS: u64 = 100_000_000;
/// Pause before another attempt to connect.
const CONNECT_PAUSE: Duration = Duration::from_millis(50);

fn main() -> ExitCode {
    let words: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [config, questions, out] = words.as_slice() else { return ExitCode::from(2) };
    match run(config, questions, out) {
        Ok(()) => ExitCode::SUCCESS,
        Err(text) => {
            // Why ignored: nobody is left to tell when standard error is closed.
            writeln!(std::io::stderr(), "{text}").ok();
            ExitCode::FAILURE
        }
    }
}

fn run(config: &Path, questions: &Path, out: &Path) -> Result<(), String> {
    let mut journal = Journal::open(out)?;
    journal.write(&Line::Started { at_ns: mono_ns() })?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| format!("start the runtime: {error}"))?;
    let ended = Arc::new(AtomicBool::new(false));
    let agent = runtime.block_on(connect(config, &ended))?;
    let Some(agent) = agent else { return Ok(()) };
    let (asked, flag) = (agent.clone(), Arc::clone(&ended));
    let mut asker = Asker { agent: asked, questions: Questions::open(questions), journal };
    let thread = thread::spawn(move || asker.run(&flag));
    runtime.block_on(async {
        end_asked().await?;
        ended.store(true, Ordering::Release);
        agent.stop().await;
        Ok::<(), String>(())
    })?;
    thread.join().map_err(|_| "the asking thread panicked".to_owned())?
}

async fn end_asked() -> Result<(), String> {
    let mut term = signal(SignalKind::terminate()).map_err(|error| format!("listen for signals: {error}"))?;
    term.recv().await;
    Ok(())
}

/// Tries until the bus is there, as whoever supervises a service does.
async fn connect(config: &Path, ended: &AtomicBool) -> Result<Option<Agent>, String> {
    let mut end = std::pin::pin!(end_asked());
    loop {
        let loaded = AgentConfig::load(config);
        let loaded = loaded.map_err(|error| format!("load the configuration: {error}"))?;
        tokio::select! {
            connected = Agent::connect(loaded) => {
                if let Ok(agent) = connected {
                    return Ok(Some(agent));
                }
                tokio::time::sleep(CONNECT_PAUSE).await;
            }
            outcome = &mut end => {
                ended.store(true, Ordering::Release);
                return outcome.map(|()| None);
            }
        }
    }
}

struct Asker {
    agent: Agent,
    questions: Questions,
    journal: Journal,
}

/// The last decision of one question.
#[derive(Clone)]
struct Last {
    from_ns: u64,
    to_ns: u64,
    allow: bool,
    code: &'static str,
    deny: (u32, u64),
    grant: (u32, u64),
    written_ns: u64,
}

impl Asker {
    fn run(&mut self, ended: &AtomicBool) -> Result<(), String> {
        let mut last: BTreeMap<String, Last> = BTreeMap::new();
        let mut state: Option<(u64, Freshness)> = None;
        while !ended.load(Ordering::Acquire) {
            self.questions.read_new();
            last.retain(|name, _| self.questions.open.contains_key(name));
            for question in self.questions.open.values() {
                let now = decide(&self.agent, question);
                note(&mut self.journal, question, last.get(&question.q).cloned(), now, &mut last)?;
            }
            let (at_ns, freshness) = (mono_ns(), self.agent.freshness());
            if state.is_none_or(|(written, was)| was != freshness || at_ns - written >= STATE_EVERY_NS) {
                state = Some((at_ns, freshness));
                self.journal.write(&describe(&self.agent, at_ns, freshness))?;
            }
            thread::sleep(ROUND_EVERY);
        }
        Ok(())
    }
}

fn decide(agent: &Agent, question: &Question) -> Last {
    let query = Query {
        token: &question.token,
        action: &question.action,
        resource: &question.resource,
        tenant: None,
    };
    let from_ns = mono_ns();
    let decision = agent.decide(&query);
    let to_ns = mono_ns();
    let numbers = |position: Position| (position.epoch.0, position.revision.0);
    Last {
        from_ns,
        to_ns,
        allow: decision.is_allow(),
        code: decision.reason.code(),
        deny: numbers(decision.deny),
        grant: numbers(decision.grant),
        written_ns: 0,
    }
}

/// Writes what changed, and the allow before the change: it is the last one of its kind.
fn note(
    journal: &mut Journal,
    question: &Question,
    before: Option<Last>,
    mut now: Last,
    last: &mut BTreeMap<String, Last>,
) -> Result<(), String> {
    let changed = before.as_ref().is_none_or(|before| before.code != now.code || before.allow != now.allow);
    let written = before.as_ref().map_or(0, |before| before.written_ns);
    if let Some(before) =
        before.filter(|before| changed && before.allow && before.written_ns != before.from_ns)
    {
        journal.write(&answer(question, &before))?;
    }
    now.written_ns = written;
    if changed || (now.allow && now.from_ns.saturating_sub(written) >= ALLOW_EVERY_NS) {
        journal.write(&answer(question, &now))?;
        now.written_ns = now.from_ns;
    }
    last.insert(question.q.clone(), now);
    Ok(())
}

fn answer(question: &Question, given: &Last) -> Line {
    Line::Answer {
        q: question.q.clone(),
        from_ns: given.from_ns,
        to_ns: given.to_ns,
        allow: given.allow,
        code: given.code.to_owned(),
        deny: given.deny,
        grant: given.grant,
    }
}

fn describe(agent: &Agent, at_ns: u64, freshness: Freshness) -> Line {
    let status = agent.status();
    Line::State {
        at_ns,
        fresh: freshness == Freshness::Fresh,
        deny: status.deny,
        grant: status.grant,
        digest: status.digest,
        store: status.store.mode.to_owned(),
        fault: status.fault,
    }
}

/// The questions, as far as they were written.
struct Questions {
    path: PathBuf,
    read: u64,
    open: BTreeMap<String, Question>,
}

impl Questions {
    fn open(path: &Path) -> Self {
        Self { path: path.to_owned(), read: 0, open: BTreeMap::new() }
    }

    /// Takes complete new lines; a file that is not there yet has none.
    fn read_new(&mut self) {
        let Ok(mut file) = File::open(&self.path) else { return };
        let length = file.metadata().map_or(0, |meta| meta.len());
        if length <= self.read || file.seek(SeekFrom::Start(self.read)).is_err() {
            return;
        }
        let mut text = String::new();
        if file.read_to_string(&mut text).is_err() {
            return;
        }
        let Some((complete, _)) = text.rsplit_once('\n') else { return };
        self.read += complete.len() as u64 + 1;
        for question in complete.lines().filter_map(|line| serde_json::from_str::<Question>(line).ok()) {
            if question.over {
                self.open.remove(&question.q);
            } else {
                self.open.insert(question.q.clone(), question);
            }
        }
    }
}

/// The file of answers; every line is with the kernel when `write` returns.
struct Journal {
    file: File,
}

impl Journal {
    fn open(path: &Path) -> Result<Self, String> {
        let file = OpenOptions::new().create(true).append(true).open(path);
        Ok(Self { file: file.map_err(|error| format!("open {}: {error}", path.display()))? })
    }

    fn write(&mut self, line: &Line) -> Result<(), String> {
        let mut text = serde_json::to_string(line).map_err(|error| format!("write a line: {error}"))?;
        text.push('\n');
        self.file.write_all(text.as_bytes()).map_err(|error| format!("write a line: {error}"))
    }
}
