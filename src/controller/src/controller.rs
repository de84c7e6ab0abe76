//! A running controller: everything started in order, owned, and ended in order.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rescind_bus::{
    BucketSettings, Bus, BusConfig, Credentials, FeedLimits, LinkState, MessageTtl, StreamSettings, Subjects,
    TlsOptions,
};
use rescind_codec::{ENTRY_BYTES_MAX, ENTRY_CHANGES_BYTES_MAX, Identity, encoded_change_len, reason_sha256};
use rescind_core::controller::Now;
use rescind_core::controller::ledger::{LastKnown, Ledger, LedgerConfig};
use rescind_core::controller::registry::Registry;
use rescind_core::controller::sequencer::{Sequencer, SequencerConfig};
use rescind_core::ids::{InstanceId, ServiceName};
use rescind_core::key::KeyHasher;
use rescind_core::position::{Heads, Lane, Revision};
use rescind_telemetry::ControllerMetrics;
use tokio::net::TcpListener;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::clock;
use crate::config::{ControllerConfig, DirectOptions};
use crate::direct::{DirectDoor, DirectServer};
use crate::directives::BusDoor;
use crate::door::Door;
use crate::engine::{Engine, EngineHandle, EngineParts, LaneSenders};
use crate::grants::{self, GRANT_JOBS_MAX};
use crate::health::{Health, Readiness, Trouble};
use crate::http::{self, Api, Emitters, Facts, HttpServer};
use crate::leases::{Agents, AgentsParts};
use crate::repair::Repair;
use crate::roster::Roster;
use crate::snapshots::{Maker, SnapshotParts};
use crate::startup::{Comparison, Folded, Logs, StartError, fold, reconcile};
use crate::wal::Confirmed;
use crate::writer::{Writer, WriterIdentity, WriterParts};

/// Limit: events of both lanes under way to the engine; each lane has one job at a time.
const LANE_EVENTS_MAX: usize = 16;
/// Limit: pause between two attempts to reconnect. Why so short: leases run out until the next tick is stored.
const RECONNECT_PAUSE_MAX: Duration = Duration::from_millis(250);
/// Room for the headers of a message beside an entry.
const HEADER_BYTES: usize = 16 * 1024;
/// Limit: one kind of task at a stop; longer than what any of them waits for.
const JOIN_WAIT: Duration = Duration::from_secs(15);

/// A running controller. Ends with [`Self::stop`]; dropping it only asks its tasks to end.
#[derive(Debug)]
pub struct Controller {
    address: SocketAddr,
    engine: EngineHandle,
    health: Health,
    http: HttpServer,
    direct: Option<DirectServer>,
    bus: Bus,
    tasks: Tasks,
    _guard: DropGuard,
}

/// What runs, in the order in which it ends.
#[derive(Debug)]
struct Tasks {
    /// Ends what takes requests.
    doors: CancellationToken,
    /// Ends the engine when it has answered everything.
    engine: CancellationToken,
    /// Ends attempts of the lane writers.
    abort: CancellationToken,
    taking: Vec<(&'static str, JoinHandle<()>)>,
    deciding: Vec<(&'static str, JoinHandle<()>)>,
    writing: Vec<(&'static str, JoinHandle<()>)>,
}

/// Everything that is known before tasks start.
struct Ground {
    config: ControllerConfig,
    logs: Logs,
    roster: Arc<Roster>,
    bus: Bus,
    identity: WriterIdentity,
    ledger_lease: Duration,
    metrics: Arc<ControllerMetrics>,
    health: Health,
}

impl Controller {
    /// Opens and folds the log, connects, brings the stream in line with the log, and serves. Needs a
    /// multi-threaded runtime: a bulk load uses a core for itself.
    ///
    /// # Errors
    /// [`StartError`] says what to do; nothing runs then and nothing was accepted.
    pub async fn start(config: ControllerConfig) -> Result<Self, StartError> {
        let started = tokio::time::Instant::now();
        // Why first: whoever has the port has a controller, and a second one must not touch the stream.
        let listener = http::bind(config.listen).await?;
        let address = local(&listener, config.listen)?;
        let direct_listener = bind_direct(config.direct.as_ref()).await?;
        let metrics = Arc::new(ControllerMetrics::new());
        let health = Health::new(Arc::clone(&metrics));
        let identity = WriterIdentity {
            key: Arc::clone(&config.key),
            trust: Arc::clone(&config.trust),
            controller: config.controller_id.clone(),
            boot: InstanceId(random()?),
        };
        let (logs, roster, folded) = open_and_fold(&config).await?;
        let has_history = folded.heads != Heads::default();
        let bus = connect(&config).await?;
        let epoch = logs.deny.epoch()?;
        let lease = config.lease;
        let memory = Arc::clone(&roster);
        let ledger_lease = blocking(move || memory.longest_lease(lease)).await??;
        let ground = Ground { config, logs, roster, bus, identity, ledger_lease, metrics, health };
        let lanes = ground.settle_stream(folded.heads).await?;
        let now = clock::now();
        let sequencer = ground.sequencer(folded, epoch);
        let ledger = ground.ledger(now, has_history);
        let this = ground.launch(listener, direct_listener, sequencer, ledger, lanes).await?;
        tracing::info!(%address, took_ms = started.elapsed().as_millis(), deny = %this.heads().deny.position,
            grant = %this.heads().grant.position, "the controller serves");
        Ok(this)
    }

    /// Where the HTTP API listens.
    #[must_use]
    pub const fn http_addr(&self) -> SocketAddr {
        self.address
    }

    /// Address of the HTTP API, `http://127.0.0.1:7420`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where the direct path listens; `None` without one.
    #[must_use]
    pub fn direct_addr(&self) -> Option<SocketAddr> {
        self.direct.as_ref().map(DirectServer::address)
    }

    /// Whether directives are accepted, and if not, why.
    #[must_use]
    pub fn ready(&self) -> Readiness {
        self.health.readiness()
    }

    /// Waits until directives are accepted.
    ///
    /// # Errors
    /// The reasons, when they are not within `wait`.
    pub async fn wait_ready(&self, wait: Duration) -> Result<(), Readiness> {
        self.health.wait_ready(wait).await
    }

    /// Confirmed heads: what was accepted.
    #[must_use]
    pub fn heads(&self) -> Heads {
        *self.engine.heads().borrow()
    }

    /// Takes nothing more, answers what is under way (some seconds at most), ends and joins every task, and
    /// closes the log: it can be opened again when this returns.
    pub async fn stop(self) {
        let Self { engine, health, http, direct, bus, tasks, _guard: guard, .. } = self;
        health.raise(Trouble::Stopping, "the controller is shutting down");
        let Tasks { doors, engine: end_engine, abort, taking, deciding, writing } = tasks;
        doors.cancel();
        http.close().await;
        if let Some(direct) = direct {
            direct.close().await;
        }
        // Only now: requests that were taken still need the engine's answers.
        end_engine.cancel();
        drop(engine);
        join(deciding).await;
        abort.cancel();
        join(writing).await;
        join(taking).await;
        bus.flush().await;
        drop(guard);
        tracing::info!("the controller stopped");
    }
}

impl Ground {
    async fn settle_stream(&self, heads: Heads) -> Result<[LaneStart; 2], StartError> {
        let settings = self.stream_settings();
        let report = self.bus.ensure_stream(&settings).await?;
        let (found, wanted) = (self.bus.max_payload_bytes(), ENTRY_BYTES_MAX + HEADER_BYTES);
        if found < wanted {
            return Err(StartError::Payload { found, wanted });
        }
        if let Some(warning) = &report.warning {
            tracing::warn!(warning, "the server lacks something");
        }
        let comparison = Comparison {
            bus: &self.bus,
            logs: &self.logs,
            trust: &self.identity.trust,
            heads,
            max_age: settings.max_age,
            boot: u128::from_be_bytes(self.identity.boot.0),
        };
        let mut lanes = [LaneStart::default(); 2];
        for (lane, start) in [Lane::Deny, Lane::Grant(0)].into_iter().zip(&mut lanes) {
            let reconciled = reconcile(&comparison, lane).await?;
            *start = LaneStart { tail: reconciled.tail, confirmed: reconciled.confirmed };
        }
        Ok(lanes)
    }

    fn stream_settings(&self) -> StreamSettings {
        let stream = &self.config.stream;
        StreamSettings {
            replicas: stream.replicas,
            max_bytes: stream.max_bytes,
            max_age: stream.max_age,
            message_ttl: MessageTtl::WhereSupported,
            ..StreamSettings::default()
        }
    }

    fn sequencer(&self, folded: Folded, epoch: rescind_core::position::Epoch) -> Sequencer {
        let config = SequencerConfig {
            chain: self.config.pin.chain.clone(),
            epoch,
            controller: self.config.controller_id.clone(),
            boot: self.identity.boot,
            lease: self.config.lease,
            entry_bytes_max: ENTRY_CHANGES_BYTES_MAX,
            change_bytes: encoded_change_len,
            reason_sha256,
        };
        let mut sequencer = Sequencer::new(config, folded.registry, folded.heads);
        let budgets = self.config.emitters.iter();
        sequencer.set_budgets(budgets.filter_map(|one| Some((one.name.clone(), one.budget?))));
        // The log keeps everything, so tails are served from the first revision.
        sequencer.set_floor(Revision(1));
        sequencer
    }

    /// Every agent with a certificate is expected, with what is remembered of it.
    fn ledger(&self, now: Now, has_history: bool) -> Ledger {
        let mut ledger = Ledger::new(LedgerConfig { lease: self.ledger_lease }, now.boot);
        // INVARIANT (S2): a roster that is younger than the log knows nothing of who was granted what.
        let is_forgetful = self.roster.is_new() && has_history;
        let unknown = ServiceName::new("unknown").ok();
        for cert in self.identity.trust.certs().filter(|cert| now.wall < cert.not_after) {
            if let Identity::Agent(agent) = &cert.identity {
                let (service, last) = self.roster.last_known(agent);
                let last = if is_forgetful { LastKnown::Unknown } else { last };
                if let Some(service) = service.or_else(|| unknown.clone()) {
                    ledger.expect(agent.clone(), service, last);
                }
            }
        }
        ledger
    }

    async fn launch(
        self,
        listener: TcpListener,
        direct_listener: Option<TcpListener>,
        sequencer: Sequencer,
        ledger: Ledger,
        lanes: [LaneStart; 2],
    ) -> Result<Controller, StartError> {
        let address = local(&listener, self.config.listen)?;
        let root = CancellationToken::new();
        let mut tasks = Tasks {
            doors: root.child_token(),
            engine: root.child_token(),
            abort: root.child_token(),
            taking: Vec::new(),
            deciding: Vec::new(),
            writing: Vec::new(),
        };
        let feeds = self.subscribe().await?;
        let (events_in, events) = mpsc::channel(LANE_EVENTS_MAX);
        let [deny, grant] = lanes;
        let senders = LaneSenders {
            deny: self.start_writer(Lane::Deny, deny, &events_in, &mut tasks)?,
            grant: self.start_writer(Lane::Grant(0), grant, &events_in, &mut tasks)?,
        };
        drop(events_in);
        let (grants_in, grants) = mpsc::channel(GRANT_JOBS_MAX);
        tasks.writing.push(("lease grants", tokio::spawn(grants::run(grants))));
        let parts = EngineParts {
            sequencer,
            ledger,
            lanes: senders,
            events,
            grants: grants_in,
            health: self.health.clone(),
            metrics: Arc::clone(&self.metrics),
        };
        let (engine, handle) = Engine::new(parts, clock::now());
        tasks.deciding.push(("engine", {
            // Why a thread of its own: it must not wait for its turn behind requests that are being parsed.
            let (runtime, stop) = (tokio::runtime::Handle::current(), tasks.engine.clone());
            tokio::task::spawn_blocking(move || runtime.block_on(engine.run(stop)))
        }));
        let door = Door {
            engine: handle.clone(),
            health: self.health.clone(),
            logs: Some(self.logs.clone()),
            trust: Arc::clone(&self.identity.trust),
            metrics: Arc::clone(&self.metrics),
        };
        let direct_door = self.start_doors(feeds, &door, &handle, &mut tasks);
        let direct = self.start_direct(direct_listener, direct_door, tasks.doors.child_token())?;
        let router = http::router(self.api(door, tasks.doors.clone()));
        let http = HttpServer::start(listener, router, tasks.doors.child_token());
        if let Some(path) = &self.config.address_file {
            write_address(path, address)?;
        }
        let (health, bus) = (self.health, self.bus);
        Ok(Controller {
            address,
            engine: handle,
            health,
            http,
            direct,
            bus,
            tasks,
            _guard: root.drop_guard(),
        })
    }

    fn api(&self, door: Door, stop: CancellationToken) -> Api {
        Api {
            door,
            emitters: Arc::new(Emitters::new(self.config.emitters.clone())),
            health: self.health.clone(),
            metrics: Arc::clone(&self.metrics),
            facts: Arc::new(Facts {
                realm: self.config.pin.realm.to_string(),
                chain_id: self.config.pin.chain.to_string(),
                controller: self.config.controller_id.to_string(),
                default_issuer: self.config.default_issuer.clone(),
            }),
            stop,
        }
    }

    async fn subscribe(&self) -> Result<Feeds, StartError> {
        let bus = &self.bus;
        let limits = FeedLimits::default();
        Ok(Feeds {
            leases: bus
                .serve(bus.subjects().lease(), None, FeedLimits { messages: 16_384, ..limits })
                .await?,
            repair: bus.serve(bus.subjects().repair(), None, limits).await?,
            snapshot: bus.serve(bus.subjects().snapshot(), None, limits).await?,
            directives: bus.serve(bus.subjects().directive(), None, limits).await?,
            reports: bus.subscribe_reports(FeedLimits { messages: 16_384, ..limits }).await?,
        })
    }

    fn start_writer(
        &self,
        lane: Lane,
        start: LaneStart,
        events: &mpsc::Sender<crate::writer::LaneEvent>,
        tasks: &mut Tasks,
    ) -> Result<mpsc::Sender<crate::writer::LaneJob>, StartError> {
        let (name, label) = match lane {
            Lane::Deny => ("deny writer", "deny"),
            Lane::Grant(_) => ("grant writer", "grant.0"),
        };
        let writer = Writer::new(WriterParts {
            lane,
            logs: self.logs.clone(),
            bus: self.bus.clone(),
            stream: self.stream_settings(),
            identity: self.identity.clone(),
            health: self.health.clone(),
            metrics: self.metrics.lane(label),
            events: events.clone(),
            confirmed: start.confirmed,
            tail: start.tail,
            abort: tasks.abort.clone(),
        })
        .ok_or_else(|| StartError::Task(format!("lane {lane} has no log")))?;
        // Why 1: the engine gives a lane one job at a time.
        let (jobs_in, jobs) = mpsc::channel(1);
        tasks.writing.push((name, tokio::spawn(writer.run(jobs))));
        Ok(jobs_in)
    }

    fn start_doors(&self, feeds: Feeds, door: &Door, engine: &EngineHandle, tasks: &mut Tasks) -> DirectDoor {
        let stop = || tasks.doors.clone();
        let poisoned = Arc::new(Notify::new());
        let (agents, queues) = Agents::new(AgentsParts {
            poisoned: Arc::clone(&poisoned),
            trust: Arc::clone(&self.identity.trust),
            engine: engine.clone(),
            roster: Arc::clone(&self.roster),
            metrics: Arc::clone(&self.metrics),
        });
        let repair =
            Repair { logs: self.logs.clone(), heads: engine.heads(), metrics: Arc::clone(&self.metrics) };
        let maker = Maker::new(SnapshotParts {
            bus: self.bus.clone(),
            bucket: BucketSettings { replicas: self.config.stream.replicas, max_bytes: None },
            logs: self.logs.clone(),
            identity: self.identity.clone(),
            heads: engine.heads(),
            every: self.config.snapshot_every,
            keep: self.config.snapshot_keep,
            archive: self.config.snapshot_archive.clone(),
            poisoned,
            metrics: Arc::clone(&self.metrics),
        });
        let rights: BTreeMap<_, _> =
            self.config.emitters.iter().map(|emitter| (emitter.name.clone(), emitter.rights)).collect();
        let bus_door =
            BusDoor { door: door.clone(), identity: self.identity.clone(), emitters: Arc::new(rights) };
        let lease = LeaseMemory {
            roster: Arc::clone(&self.roster),
            now: self.config.lease,
            after: LedgerConfig { lease: self.ledger_lease }.fence(),
        };
        let direct = DirectDoor::new(agents.clone(), repair.clone(), Arc::clone(&self.metrics));
        let Feeds { leases, repair: repair_feed, snapshot, directives, reports } = feeds;
        let started = [
            ("lease requests", tokio::spawn(agents.clone().run_leases(leases, stop()))),
            ("reports", tokio::spawn(agents.run_queues(queues, reports, stop()))),
            ("repair", tokio::spawn(repair.run(repair_feed, stop()))),
            ("snapshots", tokio::spawn(maker.run(snapshot, stop()))),
            ("bus directives", tokio::spawn(bus_door.run(directives, stop()))),
            ("bus link", tokio::spawn(watch_link(self.bus.link(), self.health.clone(), stop()))),
            ("lease memory", tokio::spawn(lease.run(stop()))),
        ];
        tasks.taking.extend(started);
        direct
    }

    fn start_direct(
        &self,
        listener: Option<TcpListener>,
        door: DirectDoor,
        stop: CancellationToken,
    ) -> Result<Option<DirectServer>, StartError> {
        let (Some(options), Some(listener)) = (&self.config.direct, listener) else { return Ok(None) };
        let address = local(&listener, options.listen)?;
        if let Some(path) = &options.address_file {
            write_address(path, address)?;
        }
        Ok(Some(DirectServer::start(listener, address, Arc::clone(&options.tls), door, stop)))
    }
}

async fn bind_direct(options: Option<&DirectOptions>) -> Result<Option<TcpListener>, StartError> {
    match options {
        Some(options) => http::bind(options.listen).await.map(Some),
        None => Ok(None),
    }
}

fn local(listener: &TcpListener, address: SocketAddr) -> Result<SocketAddr, StartError> {
    listener.local_addr().map_err(|source| StartError::Listen { address, source })
}

/// Where a lane starts.
#[derive(Debug, Clone, Copy, Default)]
struct LaneStart {
    tail: u64,
    confirmed: Option<Confirmed>,
}

struct Feeds {
    leases: rescind_bus::Requests,
    repair: rescind_bus::Requests,
    snapshot: rescind_bus::Requests,
    directives: rescind_bus::Requests,
    reports: rescind_bus::ReportFeed,
}

/// Shortens what is remembered of leases, when the longer ones of the run before have ended.
struct LeaseMemory {
    roster: Arc<Roster>,
    now: Duration,
    after: Duration,
}

impl LeaseMemory {
    async fn run(self, stop: CancellationToken) {
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(self.after) => {
                let done = tokio::task::spawn_blocking(move || self.roster.set_lease(self.now)).await;
                if !matches!(done, Ok(Ok(()))) {
                    tracing::debug!("the lease length was not written; the next start assumes the longer one");
                }
            }
        }
    }
}

async fn watch_link(mut link: watch::Receiver<LinkState>, health: Health, stop: CancellationToken) {
    loop {
        match *link.borrow_and_update() {
            LinkState::Up => health.clear(Trouble::Bus),
            LinkState::Down => {
                health.raise(Trouble::Bus, "the bus is not connected; start nats-server or mend the network")
            }
        }
        tokio::select! {
            () = stop.cancelled() => return,
            changed = link.changed() => if changed.is_err() {
                return;
            },
        }
    }
}

async fn open_and_fold(config: &ControllerConfig) -> Result<(Logs, Arc<Roster>, Folded), StartError> {
    let (dir, chain, trust) = (config.data_dir.clone(), config.pin.chain.clone(), Arc::clone(&config.trust));
    let (secret, retention) = (random()?, config.retention.clone());
    blocking(move || {
        let logs = Logs::open(&dir, &chain)?;
        let roster = Arc::new(Roster::open(&dir.join("roster.redb"))?);
        let mut registry = Registry::new(KeyHasher::new(secret));
        registry.set_retention(retention);
        let empty = Folded { registry, heads: Heads::default() };
        let folded = fold(&logs, &trust, empty, None, &CancellationToken::new())?;
        Ok((logs, roster, folded))
    })
    .await?
}

async fn connect(config: &ControllerConfig) -> Result<Bus, StartError> {
    let nats = &config.nats;
    let Some(first) = nats.urls.first() else {
        return Err(StartError::Task("no address of a nats-server".to_owned()));
    };
    let mut bus = BusConfig::new(first.clone(), Subjects::new(&config.pin.realm)?);
    bus.urls.clone_from(&nats.urls);
    bus.credentials = nats.nkey_file.clone().map_or(Credentials::None, Credentials::NkeySeedFile);
    if nats.ca_file.is_some() || nats.client_certificate.is_some() {
        bus.tls = Some(TlsOptions { ca_file: nats.ca_file.clone(), client: nats.client_certificate.clone() });
    }
    // The server's permissions give every user replies of its own.
    let bus = bus.for_user(config.controller_id.as_str());
    let mut bus = bus?;
    bus.reconnect_pause_max = RECONNECT_PAUSE_MAX;
    bus.name = format!("rescind-controller-{}", config.controller_id);
    Ok(Bus::connect(bus).await?)
}

fn random() -> Result<[u8; 16], StartError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|_| StartError::Random)?;
    Ok(bytes)
}

/// Writes beside and renames, so that who waits for the file never reads half of it.
fn write_address(path: &Path, address: SocketAddr) -> Result<(), StartError> {
    let failed = |source| StartError::AddressFile { path: path.to_owned(), source };
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(failed)?;
    }
    let beside = path.with_extension("new");
    fs::write(&beside, format!("{address}\n")).map_err(failed)?;
    fs::rename(&beside, path).map_err(failed)
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, StartError> {
    tokio::task::spawn_blocking(work).await.map_err(|error| StartError::Task(error.to_string()))
}

async fn join(tasks: Vec<(&'static str, JoinHandle<()>)>) {
    for (name, mut task) in tasks {
        match timeout(JOIN_WAIT, &mut task).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(task = name, %error, "a task failed"),
            Err(_) => {
                tracing::error!(task = name, "a task did not end in time and was cut");
                task.abort();
            }
        }
    }
}
