//! Everything that is broken: brokers, controllers and agents as processes, each behind a link of its own.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use rescind_testkit::{KitError, KitResult, TestRealm, process, until};
use serde_json::{Value, json};

use crate::{
    bound::Bound, clock::mono_ns, dice::Dice, door::Door, evidence::Evidence, proxy::Link, room::Room,
};

mod brokers;
mod seat;

pub use brokers::Brokers;
pub use seat::{Ended, Program, Seat};

/// Limit: the start of everything on a loaded machine.
const START_WAIT: Duration = Duration::from_secs(30);

/// Names the folder of the binary `rescind-nemesis-agent`.
const AGENT_BINARY: &str = "rescind-nemesis-agent";

/// What a fleet is made of.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The lease; every agent is `strict` under it.
    pub lease: Duration,
    /// Agent processes.
    pub agents: usize,
    /// Servers: 1, or 3 for a cluster.
    pub brokers: usize,
    /// Controller processes.
    pub controllers: usize,
    /// Where logs, answers and the trace go.
    pub out: PathBuf,
    /// Determines every choice.
    pub seed: u64,
}

impl Plan {
    /// One broker, one controller, three agents, the shortest lease: for a test of one fault.
    #[must_use]
    pub fn small(out: &Path) -> Self {
        let lease = Duration::from_secs(2);
        Self { lease, agents: 3, brokers: 1, controllers: 1, out: out.to_owned(), seed: 1 }
    }
}

/// A realm of processes. Everything ends with it.
#[derive(Debug)]
pub struct Fleet {
    /// Agent processes.
    pub agents: Vec<Seat>,
    /// Controller processes.
    pub controllers: Vec<Seat>,
    /// The broker.
    pub brokers: Brokers,
    /// What was seen.
    pub evidence: Evidence,
    /// The controllers' API.
    pub door: Door,
    /// Mounts, namespaces and programs of faults that last until the end.
    pub room: Room,
    /// Files of the realm, its keys and its issuer; its own server and controller do not run.
    pub realm: TestRealm,
    /// The lease and the bound that follows from it.
    pub bound: Bound,
    /// Processes that ended by themselves.
    pub ended: Vec<Ended>,
    /// Choices of faults.
    pub dice: Dice,
    questions: PathBuf,
    plan: Plan,
}

impl Fleet {
    /// Starts everything and waits until every agent is fresh.
    ///
    /// # Errors
    /// What did not come up.
    pub async fn start(plan: Plan) -> KitResult<Self> {
        fs::create_dir_all(&plan.out).map_err(KitError::because("make the folder of the run"))?;
        let names: Vec<String> = (0..plan.agents).map(|number| format!("agent-{number}")).collect();
        let mut builder = TestRealm::builder().lease(plan.lease).without_controller();
        for name in &names {
            builder = builder.agent(name, "orders");
        }
        let mut realm = builder.start().await?;
        let conf = realm.nats().config().extra.clone().unwrap_or_default();
        let old_url = format!("url = \"{}\"", realm.nats().client_url());
        realm.with_nats("stop the realm's own server", rescind_natsd::NatsProcess::stop)?;
        let brokers = Brokers::start(realm.files().dir(), &conf, plan.brokers.max(1), &plan.out)?;
        let mut dice = Dice::new(plan.seed);
        let questions = plan.out.join("questions.jsonl");
        let mut seats = Seats { plan: &plan, brokers: &brokers, dice: &mut dice, old_url: &old_url };
        let mut controllers = vec![seats.controller(&realm).await?];
        if plan.brokers > 1 {
            for seat in &mut controllers {
                seat.reconfigure("replicas = 1", &format!("replicas = {}", plan.brokers))?;
            }
        }
        let mut agents = Vec::new();
        for (number, name) in names.iter().enumerate() {
            agents.push(seats.agent(&realm, number, name, &questions).await?);
        }
        let door = Door::new(controllers.len(), realm.files().token_text("ir")?)?;
        let evidence = Evidence::begin(&plan.out.join("trace.jsonl"))?;
        let bound = Bound::of(plan.lease);
        let room = Room::default();
        let ended = Vec::new();
        let mut fleet = Self {
            agents,
            controllers,
            brokers,
            evidence,
            door,
            room,
            realm,
            bound,
            ended,
            dice,
            questions,
            plan,
        };
        fleet.come_up().await?;
        Ok(fleet)
    }

    async fn come_up(&mut self) -> KitResult {
        for seat in self.controllers.iter_mut().chain(self.agents.iter_mut()) {
            seat.start()?;
        }
        let begun = mono_ns();
        let began = tokio::time::Instant::now();
        while !self.all_fresh_since(begun) || !self.door.is_open() {
            self.tick()?;
            if began.elapsed() > START_WAIT {
                let said = self.controllers.iter_mut().filter_map(|seat| seat.process().ok());
                let said: Vec<String> = said.map(|process| process.log_tail()).collect();
                return Err(KitError::new(format!(
                    "wait for every agent to be fresh: {:?}; controller: {}",
                    self.evidence.seen().told,
                    said.join("\n"),
                )));
            }
            tokio::time::sleep(TICK).await;
        }
        // Why: a controller that had to be started twice while a cluster elected its leader is no finding.
        self.ended.clear();
        Ok(())
    }

    /// Reads what everybody wrote down, and restarts what ended by itself. Call it all the time.
    ///
    /// # Errors
    /// A process cannot be started again.
    pub fn tick(&mut self) -> KitResult {
        for (number, seat) in self.agents.iter_mut().enumerate() {
            for line in seat.lines() {
                self.evidence.line(number, &line);
            }
        }
        for (number, seat) in self.controllers.iter_mut().enumerate() {
            for line in seat.lines() {
                let value: Value = serde_json::from_str(&line).unwrap_or(Value::Null);
                if let Some(url) = value.get("url").and_then(Value::as_str) {
                    self.door.serve(number, Some(url.to_owned()));
                }
            }
        }
        let seats = self.controllers.iter_mut().chain(self.agents.iter_mut());
        for seat in seats {
            if let Some(ended) = seat.supervise()? {
                let at_ns = mono_ns();
                self.evidence.trace("ended", at_ns, json!({ "who": ended.name, "said": ended.said }));
                self.ended.push(ended);
            }
        }
        Ok(())
    }

    /// Lets time pass while everybody is watched.
    ///
    /// # Errors
    /// As [`Fleet::tick`].
    pub async fn pass(&mut self, span: Duration) -> KitResult {
        let end = tokio::time::Instant::now() + span;
        while tokio::time::Instant::now() < end {
            self.tick()?;
            tokio::time::sleep(TICK).await;
        }
        self.tick()
    }

    /// Whether every agent that runs said after `since_ns` that it is fresh.
    #[must_use]
    pub fn all_fresh_since(&self, since_ns: u64) -> bool {
        let seen = self.evidence.seen();
        let mut running = self.agents.iter().enumerate().filter(|(_, seat)| seat.is_wanted());
        running
            .all(|(number, _)| seen.told.get(&number).is_some_and(|told| told.fresh && told.at_ns > since_ns))
    }

    /// Whether every agent told the same positions and digest after `since_ns`.
    #[must_use]
    pub fn all_equal_since(&self, since_ns: u64) -> bool {
        let seen = self.evidence.seen();
        let running = self.agents.iter().enumerate().filter(|(_, seat)| seat.is_wanted());
        let told: Vec<_> = running.map(|(number, _)| seen.told.get(&number)).collect();
        let Some(Some(first)) = told.first() else { return false };
        told.iter().all(|one| {
            one.is_some_and(|one| {
                one.at_ns > since_ns && one.heads == first.heads && one.digest == first.digest
            })
        })
    }

    /// The file of questions that agents follow.
    #[must_use]
    pub fn questions(&self) -> &Path {
        &self.questions
    }

    /// What it was made from.
    #[must_use]
    pub const fn plan(&self) -> &Plan {
        &self.plan
    }

    /// An agent by its place, counted round.
    ///
    /// # Errors
    /// There are no agents.
    pub fn agent(&mut self, turn: u64) -> KitResult<&mut Seat> {
        let count = self.agents.len().max(1) as u64;
        let number = usize::try_from(turn % count).unwrap_or(0);
        self.agents.get_mut(number).ok_or_else(|| KitError::new("there are no agents"))
    }

    /// The controller at a place.
    ///
    /// # Errors
    /// There is none.
    pub fn controller(&mut self, number: usize) -> KitResult<&mut Seat> {
        self.controllers.get_mut(number).ok_or_else(|| KitError::new(format!("no controller {number}")))
    }

    /// Kills a controller and closes its door.
    ///
    /// # Errors
    /// It does not run.
    pub fn kill_controller(&mut self, number: usize) -> KitResult {
        self.door.serve(number, None);
        self.controller(number)?.kill9()
    }

    /// Ends every process in order of who talks to whom; what cannot be ended is killed.
    pub async fn end(mut self) {
        for seat in self.agents.iter_mut().chain(self.controllers.iter_mut()) {
            if seat.is_wanted() {
                // Why ignored: a process that does not end in order was killed, and this is the end.
                seat.stop().await.ok();
            }
        }
        self.tick().ok();
        self.evidence.flush();
    }
}

/// Pause between two looks at everybody.
pub(crate) const TICK: Duration = Duration::from_millis(15);

/// Makes seats while the fleet is built.
struct Seats<'a> {
    plan: &'a Plan,
    brokers: &'a Brokers,
    dice: &'a mut Dice,
    old_url: &'a str,
}

impl Seats<'_> {
    async fn controller(&mut self, realm: &TestRealm) -> KitResult<Seat> {
        let link = Link::start(self.brokers.addresses(0), self.dice.fork()).await?;
        let files = realm.files();
        let program = Program::Controller { binary: process::binary()? };
        let (config, data) = (files.controller_toml(), files.controller_data());
        let seat = Seat::new("controller-0", program, config, data, link, &self.plan.out);
        seat.reconfigure(self.old_url, &format!("url = \"{}\"", seat.link.url()))?;
        Ok(seat)
    }

    async fn agent(
        &mut self,
        realm: &TestRealm,
        number: usize,
        id: &str,
        questions: &Path,
    ) -> KitResult<Seat> {
        let link = Link::start(self.brokers.addresses(number), self.dice.fork()).await?;
        let files = realm.files();
        let program = Program::Agent { binary: agent_binary()?, questions: questions.to_owned() };
        let seat = Seat::new(id, program, files.agent_toml(id), files.agent_store(id), link, &self.plan.out);
        seat.reconfigure(self.old_url, &format!("url = \"{}\"", seat.link.url()))?;
        Ok(seat)
    }
}

/// The agent's program lies beside `rescind`.
///
/// # Errors
/// Says how to build it.
pub fn agent_binary() -> KitResult<PathBuf> {
    let path = process::binary()?.with_file_name(AGENT_BINARY);
    if path.is_file() {
        return Ok(path);
    }
    Err(KitError::new(format!("there is no `{}`; run `cargo build -p rescind-nemesis`", path.display())))
}

/// A folder for one run below the system's temporary folder.
#[must_use]
pub fn temporary_out(name: &str) -> PathBuf {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    std::env::temp_dir().join(format!("rescind-nemesis-{name}-{}-{number}", std::process::id()))
}

/// Waits for a condition while the fleet is watched.
///
/// # Errors
/// Names `what` when `limit` is over.
pub async fn watch_until(
    fleet: &mut Fleet,
    what: &str,
    limit: Duration,
    mut holds: impl FnMut(&Fleet) -> bool,
) -> KitResult<Duration> {
    let mut failed = None;
    let waited = until(what, limit, || match fleet.tick() {
        Ok(()) => holds(fleet),
        Err(error) => {
            failed = Some(error);
            true
        }
    })
    .await;
    failed.map_or(waited, Err)
}
