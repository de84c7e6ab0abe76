//! A running controller: everything started in order, owned, and ended in order.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rescind_bus::{
    BucketSettings, Bus, BusConfig, Credentials, FeedLimits, MessageTtl, StreamSettings, Subjects, TlsOptions,
};
use rescind_codec::{ENTRY_BYTES_MAX, ENTRY_CHANGES_BYTES_MAX, Identity, encoded_change_len, reason_sha256};
use rescind_core::controller::Now;
use rescind_core::controller::ledger::{LastKnown, Ledger, LedgerConfig};
use rescind_core::controller::sequencer::{Sequencer, SequencerConfig};
use rescind_core::ids::{InstanceId, ServiceName};
use rescind_core::position::{Epoch, Heads, Lane, Revision};
use rescind_telemetry::ControllerMetrics;
use tokio::net::TcpListener;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::asking::Asking;
use crate::clock;
use crate::config::{ControllerConfig, DirectOptions};
use crate::direct::{DirectDoor, DirectServer};
use crate::directives::BusDoor;
use crate::door::Door;
use crate::engine::{Engine, EngineHandle, EngineParts, LaneSenders};
use crate::forward::{ForwardDoor, Forwarder};
use crate::grants::{self, GRANT_JOBS_MAX, GrantJob};
use crate::health::{Health, Readiness, Trouble};
use crate::heed::Heed;
use crate::http::{self, Api, Emitters, Facts, HttpServer};
use crate::lanes::PerLane;
use crate::leases::{Agents, AgentsParts};
use crate::repair::Repair;
use crate::roster::Roster;
use crate::snapshots::{Maker, SnapshotParts};
use crate::standing::{Role, Standing};
use crate::startup::{Folded, Logs, Origin, Reading, StartError};
use crate::tending::{LeaseMemory, blocking, watch_link, write_address};
use crate::writer::{LaneEvent, Writer, WriterIdentity, WriterParts};

/// Limit: events of both lanes under way to the engine; each lane has one job at a time.
const LANE_EVENTS_MAX: usize = 16;
/// Limit: pause between two attempts to reconnect. Why so short: leases run out until the next tick is stored.
const RECONNECT_PAUSE_MAX: Duration = Duration::from_millis(250);
/// Room for the headers of a message beside an entry.
const HEADER_BYTES: usize = 16 * 1024;
/// Limit: one kind of task at a stop; longer than what any of them waits for.
const JOIN_WAIT: Duration = Duration::from_secs(15);
/// Limit: until a controller that starts writes or follows.
const START_WAIT: Duration = Duration::from_secs(10);

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
        let (logs, roster) = open(&config).await?;
        let bus = connect(&config).await?;
        let lease = config.lease;
        let memory = Arc::clone(&roster);
        let ledger_lease = blocking(move || memory.longest_lease(lease)).await??;
        let ground = Ground { config, logs, roster, bus, identity, ledger_lease, metrics, health };
        let report = ground.bus.ensure_stream(&ground.stream_settings()).await?;
        let (found, wanted) = (ground.bus.max_payload_bytes(), ENTRY_BYTES_MAX + HEADER_BYTES);
        if found < wanted {
            return Err(StartError::Payload { found, wanted });
        }
        if let Some(warning) = &report.warning {
            tracing::warn!(warning, "the server lacks something");
        }
        let reading = Reading {
            bus: &ground.bus,
            logs: &ground.logs,
            identity: &ground.identity,
            dir: &ground.config.data_dir,
            health: &ground.health,
        };
        let origin = reading.read().await?;
        let (logs, trust) = (ground.logs.clone(), Arc::clone(&ground.identity.trust));
        let retention = ground.config.retention.clone();
        let folded = blocking(move || Folded::of(&logs, &trust, retention)).await??;
        let this = ground.launch(listener, direct_listener, folded, origin).await?;
        this.wait_role(START_WAIT).await;
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

    /// What this controller is right now, followed.
    #[must_use]
    pub fn standing(&self) -> watch::Receiver<Standing> {
        self.engine.standing()
    }

    /// Waits until this controller writes or follows, `wait` at most.
    async fn wait_role(&self, wait: Duration) {
        let mut standing = self.engine.standing();
        let settled = standing.wait_for(|standing| standing.role != Role::Starting);
        if timeout(wait, settled).await.is_err() {
            tracing::warn!(reasons = ?self.ready().reasons, "the controller serves reads and does not write yet");
        }
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

    fn sequencer(&self, folded: Folded) -> Sequencer {
        let heads = folded.heads;
        let epoch = heads.deny.position.epoch.max(heads.grant.position.epoch).max(Epoch(1));
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
    fn ledger(&self, now: Now, has_history: bool, is_shared: bool) -> Ledger {
        let mut ledger = Ledger::new(LedgerConfig { lease: self.ledger_lease }, now.boot);
        // INVARIANT (S2): a roster that is younger than the log knows nothing of who was granted what.
        let is_forgetful = (self.roster.is_new() && has_history) || is_shared;
        let unknown = ServiceName::new("unknown").ok();
        for cert in self.identity.trust.certs().filter(|cert| now.wall < cert.not_after) {
            if let Identity::Agent(agent) = &cert.identity {
                let (service, last) = self.roster.last_known(agent);
                let is_unknown = is_forgetful && (!is_shared || last == LastKnown::NeverGranted);
                let last = if is_unknown { LastKnown::Unknown } else { last };
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
        folded: Folded,
        origin: Origin,
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
        let PerLane { deny, grant } = origin.tails;
        let senders = LaneSenders {
            deny: self.start_writer(Lane::Deny, deny, &events_in, &mut tasks)?,
            grant: self.start_writer(Lane::Grant(0), grant, &events_in, &mut tasks)?,
        };
        drop(events_in);
        let (grants_in, grants) = mpsc::channel(GRANT_JOBS_MAX);
        tasks.writing.push(("lease grants", tokio::spawn(grants::run(grants))));
        let (engine, handle) = self.engine(folded, origin, (senders, events, grants_in)).await?;
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
            forwarder: Some(Forwarder { bus: self.bus.clone(), identity: self.identity.clone() }),
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

    async fn engine(
        &self,
        folded: Folded,
        origin: Origin,
        (lanes, events, grants): (LaneSenders, mpsc::Receiver<LaneEvent>, mpsc::Sender<GrantJob>),
    ) -> Result<(Engine, EngineHandle), StartError> {
        let memory = Arc::clone(&self.roster);
        let is_shared = blocking(move || memory.is_shared()).await??;
        let now = clock::now();
        let ledger = self.ledger(now, folded.heads != Heads::default(), is_shared);
        let mut claims = origin.claims;
        if folded.forgone > Epoch(0) {
            claims.forgo(folded.forgone);
        }
        let sequencer = self.sequencer(folded);
        let parts = EngineParts {
            sequencer,
            ledger,
            lanes,
            events,
            grants,
            health: self.health.clone(),
            metrics: Arc::clone(&self.metrics),
            me: self.config.controller_id.clone(),
            boot: self.identity.boot,
            roster: Arc::clone(&self.roster),
            asking: Some(self.asking(now)),
            logs: self.logs.clone(),
            trust: Arc::clone(&self.identity.trust),
            retention: self.config.retention.clone(),
            may_go_on: origin.may_go_on(),
            tenure: origin.tenure(now, random()?),
            claims,
        };
        Ok(Engine::new(parts, now))
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

    const fn bucket(&self) -> BucketSettings {
        BucketSettings { replicas: self.config.stream.replicas, max_bytes: None }
    }

    fn asking(&self, now: Now) -> Asking {
        let others = self.identity.trust.certs().filter(|cert| now.wall < cert.not_after).filter(
            |cert| matches!(&cert.identity, Identity::Controller(id) if *id != self.config.controller_id),
        );
        Asking {
            bus: self.bus.clone(),
            trust: Arc::clone(&self.identity.trust),
            bucket: self.bucket(),
            peers: others.count(),
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
            forwards: bus.serve(bus.subjects().forward(), None, limits).await?,
            live: bus.subscribe_live(&[], limits).await?,
            tails: bus.subscribe_tails(FeedLimits { messages: 8192, ..limits }).await?,
            reports: bus.subscribe_reports(FeedLimits { messages: 16_384, ..limits }).await?,
        })
    }

    fn start_writer(
        &self,
        lane: Lane,
        tail: u64,
        events: &mpsc::Sender<LaneEvent>,
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
            tail,
            dir: self.config.data_dir.clone(),
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
            bucket: self.bucket(),
            logs: self.logs.clone(),
            identity: self.identity.clone(),
            heads: engine.heads(),
            standing: engine.standing(),
            every: self.config.snapshot_every,
            keep: self.config.snapshot_keep,
            archive: self.config.snapshot_archive.clone(),
            poisoned,
            metrics: Arc::clone(&self.metrics),
        });
        let rights: BTreeMap<_, _> =
            self.config.emitters.iter().map(|emitter| (emitter.name.clone(), emitter.rights)).collect();
        let emitters = Arc::new(rights);
        let (door, identity) = (door.clone(), self.identity.clone());
        let forward_door =
            ForwardDoor { door: door.clone(), identity: identity.clone(), emitters: Arc::clone(&emitters) };
        let bus_door = BusDoor { door, identity, emitters };
        let heed = Heed {
            engine: engine.clone(),
            trust: Arc::clone(&self.identity.trust),
            metrics: Arc::clone(&self.metrics),
        };
        let lease = LeaseMemory {
            roster: Arc::clone(&self.roster),
            now: self.config.lease,
            after: LedgerConfig { lease: self.ledger_lease }.fence(),
        };
        let direct = DirectDoor::new(agents.clone(), repair.clone(), Arc::clone(&self.metrics));
        let Feeds { leases, repair: repair_feed, snapshot, directives, forwards, live, tails, reports } =
            feeds;
        let started = [
            ("lease requests", tokio::spawn(agents.clone().run_leases(leases, stop()))),
            ("reports", tokio::spawn(agents.run_queues(queues, reports, stop()))),
            ("repair", tokio::spawn(repair.run(repair_feed, stop()))),
            ("snapshots", tokio::spawn(maker.run(snapshot, stop()))),
            ("bus directives", tokio::spawn(bus_door.run(directives, stop()))),
            ("forwards", tokio::spawn(forward_door.run(forwards, stop()))),
            ("live lanes", tokio::spawn(heed.clone().run_live(live, stop()))),
            ("tails", tokio::spawn(heed.run_tails(tails, stop()))),
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

struct Feeds {
    leases: rescind_bus::Requests,
    repair: rescind_bus::Requests,
    snapshot: rescind_bus::Requests,
    directives: rescind_bus::Requests,
    forwards: rescind_bus::Requests,
    live: rescind_bus::LiveFeed,
    tails: rescind_bus::TailFeed,
    reports: rescind_bus::ReportFeed,
}

async fn open(config: &ControllerConfig) -> Result<(Logs, Arc<Roster>), StartError> {
    let (dir, chain) = (config.data_dir.clone(), config.pin.chain.clone());
    blocking(move || {
        let logs = Logs::open(&dir, &chain)?;
        let roster = Arc::new(Roster::open(&dir.join("roster.redb"))?);
        Ok((logs, roster))
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
