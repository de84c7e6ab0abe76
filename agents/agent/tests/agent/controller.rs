//! A controller in two hundred lines: signs, publishes, grants leases, serves tails and snapshots. It checks
//! nothing and keeps everything in memory; the real one is `rescind-controller`.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rescind_bus::{
    Bus, BusConfig, FeedLimits, Publication, ReportEvent, ReportFeed, Requests, StreamSettings, Subjects,
    TailEvent, TailFeed,
};
use rescind_codec::{
    ChunkWriter, LogItem, NonceTree, SnapshotRequest, decode_lease_request, decode_log_message,
    decode_repair, decode_report, decode_snapshot_request, encode_entry, encode_grant, encode_manifest,
    encode_tick,
};
use rescind_core::change::{Change, ChangeBody, Origin};
use rescind_core::entry::{Entry, Tick};
use rescind_core::ids::{ControllerId, EmitterId, IdempotencyKey, InstanceId, RecordId};
use rescind_core::key::KeyHasher;
use rescind_core::lease::Behind;
use rescind_core::position::{Epoch, Head, Heads, Lane, Position, Revision};
use rescind_core::record::{Record, RecordKind, RecordState};
use rescind_core::report::Report;
use rescind_core::snapshot::{Manifest, SnapshotItem};
use rescind_core::target::Target;
use rescind_core::time::UnixMs;
use rescind_core::view::View;
use rescind_natsd::{Config, NatsProcess, Options, find_or_install};
use tokio::task::JoinSet;

use crate::realm::Realm;

const LIMIT: Duration = Duration::from_secs(10);

pub(crate) struct Broker {
    pub(crate) process: NatsProcess,
    _dir: tempfile::TempDir,
}

impl Broker {
    pub(crate) fn start() -> Self {
        let install = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/nats");
        let binary = find_or_install(&Options::from_env(install), &mut |_| {}).unwrap();
        let dir = tempfile::tempdir().unwrap();
        Self { process: NatsProcess::start(&binary, Config::new(dir.path())).unwrap(), _dir: dir }
    }

    pub(crate) fn url(&self) -> String {
        self.process.client_url()
    }
}

struct State {
    heads: Heads,
    view: View,
    /// Lane, last revision, bytes.
    log: Vec<(Lane, Revision, Vec<u8>)>,
    items: Vec<SnapshotItem>,
    /// Tails are served from after this revision only.
    floor: Revision,
    granting: bool,
    /// Refuses leases: it lost what comes after this.
    behind: Option<Position>,
    published: u64,
}

pub(crate) struct Controller {
    realm: Arc<Realm>,
    bus: Bus,
    state: Arc<Mutex<State>>,
    reports: ReportFeed,
    tails: TailFeed,
    _tasks: JoinSet<()>,
}

impl Controller {
    pub(crate) async fn start(realm: &Arc<Realm>, broker: &Broker) -> Self {
        let config = BusConfig::new(broker.url(), Subjects::new("test").unwrap());
        let bus = Bus::connect(config).await.unwrap();
        bus.ensure_stream(&StreamSettings::default()).await.unwrap();
        let state = Arc::new(Mutex::new(State {
            heads: Heads::default(),
            view: View::new(KeyHasher::new([5; 16])),
            log: Vec::new(),
            items: Vec::new(),
            floor: Revision(0),
            granting: true,
            behind: None,
            published: 0,
        }));
        let reports = bus.subscribe_reports(FeedLimits::default()).await.unwrap();
        let tails = bus.subscribe_tails(FeedLimits::default()).await.unwrap();
        let mut tasks = JoinSet::new();
        let serve = |subject| bus.serve(subject, None, FeedLimits::default());
        let lease = serve(bus.subjects().lease()).await.unwrap();
        let repair = serve(bus.subjects().repair()).await.unwrap();
        let snapshot = serve(bus.subjects().snapshot()).await.unwrap();
        tasks.spawn(leases(Arc::clone(realm), bus.clone(), Arc::clone(&state), lease));
        tasks.spawn(repairs(Arc::clone(&state), repair));
        tasks.spawn(snapshots(Arc::clone(realm), Arc::clone(&state), snapshot));
        bus.round_trip(LIMIT).await.unwrap();
        Self { realm: Arc::clone(realm), bus, state, reports, tails, _tasks: tasks }
    }

    /// Commits one record; `live`: whether agents hear of it at once, or find out by the next lease.
    pub(crate) async fn record(&self, kind: RecordKind, target: &str, live: bool) -> RecordId {
        let target: Target = target.parse().unwrap();
        self.commit(Lane::Deny, live, |id| ChangeBody::Record(Record::new(id, kind, target, None).unwrap()))
            .await
    }

    pub(crate) async fn commit(
        &self,
        lane: Lane,
        live: bool,
        body: impl FnOnce(RecordId) -> ChangeBody,
    ) -> RecordId {
        let (bytes, id, number) = {
            let mut state = self.state.lock().unwrap();
            let head = *state.heads.get(lane).unwrap();
            let position = Position::new(1, head.position.revision.0 + 1);
            let id = RecordId::new(lane, position).unwrap();
            let change = change(id, body(id));
            state.view.apply(&change).unwrap();
            match &change.body {
                ChangeBody::Record(record) => {
                    state.items.push(SnapshotItem::Record(record.clone(), RecordState::Active));
                }
                ChangeBody::Grant(entitlement) => {
                    state.items.push(SnapshotItem::Entitlement(entitlement.clone()));
                }
                _ => {}
            }
            let deps = if lane == Lane::Deny { Position::default() } else { state.heads.deny.position };
            let entry = Entry {
                chain: self.realm.pin.chain.clone(),
                epoch: Epoch(1),
                lane,
                first: position.revision,
                changes: vec![change],
                prev_hash: head.hash,
                deps,
                committed_at: now(),
                controller: ControllerId::new("c1").unwrap(),
                boot: InstanceId([1; 16]),
            };
            let (bytes, hash) = encode_entry(&entry, &self.realm.controller);
            *state.heads.get_mut(lane).unwrap() = Head { position, hash };
            state.log.push((lane, position.revision, bytes.clone()));
            state.published += 1;
            (bytes, id, state.published)
        };
        if live {
            publish(&self.bus, lane, bytes, number).await;
        }
        id
    }

    /// Whether lease requests are answered.
    pub(crate) fn granting(&self, granting: bool) {
        self.state.lock().unwrap().granting = granting;
    }

    /// Refuses leases as one that lost what comes after this; `None`: grants again.
    pub(crate) fn behind(&self, at: Option<Position>) {
        self.state.lock().unwrap().behind = at;
    }

    /// The next entry that an agent hands back, verified.
    pub(crate) async fn handed_back(&mut self) -> Entry {
        let (tails, trust) = (&mut self.tails, &self.realm.trust);
        tokio::time::timeout(LIMIT, async {
            loop {
                let Some(TailEvent::Entry { bytes, .. }) = tails.next().await else { continue };
                let item = decode_log_message(&bytes, Lane::Deny, trust).unwrap();
                assert!(matches!(item, LogItem::Entry(_)), "a tick was handed back");
                if let LogItem::Entry(chained) = item {
                    return chained.entry;
                }
            }
        })
        .await
        .expect("an entry must come in time")
    }

    /// Serves no tails any more that begin below the current head.
    pub(crate) fn trim(&self) {
        let mut state = self.state.lock().unwrap();
        state.floor = state.heads.deny.position.revision;
    }

    pub(crate) fn heads(&self) -> Heads {
        self.state.lock().unwrap().heads
    }

    /// Publishes anything on the deny lane.
    pub(crate) async fn shout(&self, bytes: Vec<u8>) {
        let number = {
            let mut state = self.state.lock().unwrap();
            state.published += 1;
            state.published
        };
        publish(&self.bus, Lane::Deny, bytes, number).await;
    }

    /// The next report that is as wanted.
    pub(crate) async fn report(&mut self, wanted: impl Fn(&Report) -> bool) -> Report {
        let (reports, trust) = (&mut self.reports, &self.realm.trust);
        tokio::time::timeout(LIMIT, async {
            loop {
                let Some(ReportEvent::Report { bytes, .. }) = reports.next().await else { continue };
                let report = decode_report(&bytes, trust, now()).unwrap();
                if wanted(&report) {
                    return report;
                }
            }
        })
        .await
        .expect("a report must come in time")
    }
}

pub(crate) fn now() -> UnixMs {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    UnixMs(i64::try_from(since.as_millis()).unwrap())
}

fn change(id: RecordId, body: ChangeBody) -> Change {
    let origin = Origin {
        emitter: EmitterId::new("ir").unwrap(),
        key: IdempotencyKey::new(&id.to_string()).unwrap(),
        requested_by: None,
        reason_code: None,
        incident: None,
        known_at: None,
    };
    Change { id, origin, reason_admin_sha256: None, body }
}

async fn publish(bus: &Bus, lane: Lane, bytes: Vec<u8>, number: u64) {
    let (lane, message_id) = (lane.to_string(), number.to_string());
    let what = Publication {
        lane: &lane,
        bytes: bytes.into(),
        expected_last: None,
        message_id: &message_id,
        ttl: None,
        deadline: LIMIT,
    };
    bus.publish(what).await.unwrap();
}

async fn leases(realm: Arc<Realm>, bus: Bus, state: Arc<Mutex<State>>, mut requests: Requests) {
    while let Some(incoming) = requests.next().await {
        let behind = state.lock().unwrap().behind;
        if let Some(at) = behind {
            let text = Behind { lane: Lane::Deny, at }.to_string();
            incoming.responder.fail(Behind::CODE, &text).await.unwrap();
            continue;
        }
        let request = decode_lease_request(&incoming.payload, &realm.trust, now()).unwrap();
        let tree = NonceTree::new(std::slice::from_ref(&request));
        let (tick, number) = {
            let mut state = state.lock().unwrap();
            if !state.granting {
                continue;
            }
            state.published += 1;
            let tick = Tick {
                chain: realm.pin.chain.clone(),
                epoch: Epoch(1),
                heads: state.heads,
                digest: state.view.digest(),
                lease_ms: 2000,
                controller_time: now(),
                nonce_root: tree.root(),
                floor: state.floor,
                controller: ControllerId::new("c1").unwrap(),
                boot: InstanceId([1; 16]),
            };
            (tick, state.published)
        };
        let signed = encode_tick(&tick, &realm.controller);
        publish(&bus, Lane::Deny, signed.log_message(), number).await;
        let grant = encode_grant(&signed, &tree.path(0).unwrap());
        incoming.responder.send(grant.into()).await.unwrap();
    }
}

async fn repairs(state: Arc<Mutex<State>>, mut requests: Requests) {
    while let Some(incoming) = requests.next().await {
        let request = decode_repair(&incoming.payload).unwrap();
        let (floor, parts) = {
            let state = state.lock().unwrap();
            let behind =
                |(lane, last, _): &&(Lane, Revision, Vec<u8>)| *lane == request.lane && *last > request.after;
            let parts = state.log.iter().filter(behind).take(request.entries_max as usize);
            (state.floor, parts.map(|(.., bytes)| bytes.clone()).collect::<Vec<_>>())
        };
        if request.lane == Lane::Deny && request.after < floor {
            incoming.responder.fail(410, "no longer kept").await.unwrap();
            continue;
        }
        let mut responder = incoming.responder;
        for part in parts {
            responder.send_part(part.into()).await.unwrap();
        }
        responder.end().await.unwrap();
    }
}

async fn snapshots(realm: Arc<Realm>, state: Arc<Mutex<State>>, mut requests: Requests) {
    while let Some(incoming) = requests.next().await {
        let (manifest, chunks) = {
            let state = state.lock().unwrap();
            let mut writer = ChunkWriter::new();
            let mut chunks: Vec<_> = state.items.iter().filter_map(|item| writer.push(item)).collect();
            chunks.extend(writer.finish());
            let manifest = Manifest {
                chain: realm.pin.chain.clone(),
                heads: state.heads,
                digest: state.view.digest(),
                items: state.items.len() as u64,
                chunks: chunks.iter().map(rescind_codec::Chunk::listing).collect(),
                made_at: UnixMs(1_750_000_000_000),
            };
            (manifest, chunks)
        };
        let answer = match decode_snapshot_request(&incoming.payload).unwrap() {
            SnapshotRequest::Manifest => encode_manifest(&manifest, &realm.controller).0,
            SnapshotRequest::Chunk { index, .. } => chunks.get(index as usize).unwrap().bytes.clone(),
        };
        incoming.responder.send(answer.into()).await.unwrap();
    }
}
