//! Makes snapshots in the background and serves them.
//!
//! A snapshot is folded from the log by a thread of its own, into a second copy of the state that is kept for
//! the next one: the engine never stands still for it (cost: memory once more, about 600 bytes per record).
//! The newest few are kept, so that an agent in mid-transfer can finish. A snapshot never makes anybody fresh.

mod archive;
mod build;
mod chunks;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use rescind_bus::{BucketSettings, Bus, Incoming, Requests, Responder};
use rescind_codec::{SnapshotRequest, decode_snapshot_request};
use rescind_core::position::Heads;
use rescind_telemetry::ControllerMetrics;
use tokio::sync::{Notify, Semaphore, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use self::archive::Archive;
use self::build::{Built, Shadow};
use self::chunks::{Chunks, Kept};
use crate::config::ArchiveOptions;
use crate::standing::{Role, Standing};
use crate::startup::Logs;
use crate::writer::WriterIdentity;

/// Limit: agents that wait for the first snapshot; more ask again.
const WAITING_MAX: usize = 4096;
/// Limit: chunk answers under way at once: some 8 MiB.
const ANSWERS_MAX: usize = 16;
/// Pause after a snapshot that failed.
const RETRY_PAUSE: Duration = Duration::from_secs(30);
/// Shortest pause after one that was made: under a bulk load there is nobody to read so many.
const MADE_PAUSE: Duration = Duration::from_secs(60);
/// The pause is so many times as long as the making: a tenth of a core at most.
const MADE_PAUSE_FACTOR: u32 = 9;

/// What it takes.
#[derive(Debug, Clone)]
pub(crate) struct SnapshotParts {
    pub(crate) bus: Bus,
    pub(crate) bucket: BucketSettings,
    pub(crate) logs: Logs,
    pub(crate) identity: WriterIdentity,
    pub(crate) heads: watch::Receiver<Heads>,
    /// Only the writer makes, recalls and removes snapshots: the bucket is everybody's.
    pub(crate) standing: watch::Receiver<Standing>,
    /// Revisions between two snapshots; 0: only on demand.
    pub(crate) every: u64,
    /// Newest snapshots that stay in the bucket.
    pub(crate) keep: usize,
    /// Copies outside the bus.
    pub(crate) archive: Option<ArchiveOptions>,
    /// An agent cannot read a change: a snapshot past it heals it (L6).
    pub(crate) poisoned: Arc<Notify>,
    pub(crate) metrics: Arc<ControllerMetrics>,
}

/// The task.
pub(crate) struct Maker {
    parts: SnapshotParts,
    chunks: Arc<Chunks>,
    /// Newest first.
    kept: VecDeque<Arc<Kept>>,
    shadow: Option<Shadow>,
    building: Option<JoinHandle<Result<Built, String>>>,
    build_started: Instant,
    /// Who waits for a manifest.
    waiting: Vec<Responder>,
    not_before: Instant,
    /// This controller writes.
    is_active: bool,
    /// Somebody is stuck before a change.
    is_wanted: bool,
    /// Snapshots of this run.
    made: u64,
}

impl Maker {
    pub(crate) fn new(parts: SnapshotParts) -> Self {
        let chunks = Arc::new(Chunks::new(parts.bus.clone(), parts.bucket.clone()));
        let now = Instant::now();
        Self {
            parts,
            chunks,
            kept: VecDeque::new(),
            shadow: None,
            building: None,
            build_started: now,
            waiting: Vec::new(),
            not_before: now,
            is_active: false,
            is_wanted: false,
            made: 0,
        }
    }

    /// Makes and serves until `stop`.
    pub(crate) async fn run(mut self, mut requests: Requests, stop: CancellationToken) {
        let mut standing = self.parts.standing.clone();
        let room = Arc::new(Semaphore::new(ANSWERS_MAX));
        let mut answers = JoinSet::new();
        let mut heads = self.parts.heads.clone();
        let poisoned = Arc::clone(&self.parts.poisoned);
        loop {
            let role = standing.borrow_and_update().role;
            self.follow_role(role).await;
            self.build_if_due(&stop);
            let retry = self.not_before.saturating_duration_since(Instant::now());
            tokio::select! {
                () = stop.cancelled() => break,
                incoming = requests.next() => {
                    let Some(incoming) = incoming else {
                        tracing::error!(reason = requests.refusal(), "cannot serve snapshots; correct this user's permissions");
                        break;
                    };
                    while answers.try_join_next().is_some() {}
                    self.take(incoming, &room, &mut answers).await;
                }
                built = finished(&mut self.building) => self.take_built(built).await,
                () = poisoned.notified() => self.is_wanted = true,
                changed = standing.changed() => {
                    if changed.is_err() {
                        break;
                    }
                }
                changed = heads.changed(), if self.building.is_none() => {
                    if changed.is_err() {
                        break;
                    }
                }
                () = sleep(retry), if !retry.is_zero() => {}
            }
        }
        if let Some(building) = self.building.take() {
            // Why awaited: its blocking part holds the logs open; it looks at `stop` itself.
            drop(building.await);
        }
        requests.close().await;
        answers.join_all().await;
    }

    /// A controller that begins to write takes the bucket over as it is; one that follows leaves it to the writer.
    async fn follow_role(&mut self, role: Role) {
        let is_writer = role == Role::Writer;
        if is_writer == self.is_active {
            return;
        }
        self.is_active = is_writer;
        self.kept.clear();
        // They ask again, and the writer hears them too.
        self.waiting.clear();
        if is_writer {
            self.recall().await;
        }
    }

    /// Finds what an earlier run left in the bucket.
    async fn recall(&mut self) {
        match self.chunks.recall(&self.parts.identity.trust, &self.parts.logs, self.parts.keep).await {
            Ok(kept) => self.kept = kept.into_iter().map(Arc::new).collect(),
            Err(reason) => tracing::warn!(reason, "earlier snapshots cannot be used"),
        }
        if self.kept.is_empty() {
            self.put_back().await;
        }
    }

    async fn put_back(&mut self) {
        let Some(options) = &self.parts.archive else { return };
        let archive = Archive::new(options.dir.clone());
        match archive.put_back(&self.chunks, &self.parts.identity.trust, &self.parts.logs).await {
            Ok(Some(kept)) => {
                tracing::info!(deny = %kept.heads.deny.position, grant = %kept.heads.grant.position,
                    "put an archived snapshot back");
                self.kept.push_front(Arc::new(kept));
            }
            Ok(None) => {}
            Err(reason) => tracing::warn!(reason, "no archived snapshot was put back"),
        }
    }

    /// Where the next snapshot is copied to, if it is its turn.
    fn archive(&self) -> Option<Archive> {
        let options = self.parts.archive.as_ref()?;
        self.made.is_multiple_of(options.every).then(|| Archive::new(options.dir.clone()))
    }

    fn revisions_behind(&self) -> u64 {
        let now = *self.parts.heads.borrow();
        let made = self.kept.front().map(|kept| kept.heads).unwrap_or_default();
        let behind = |now: u64, made: u64| now.saturating_sub(made);
        behind(now.deny.position.revision.0, made.deny.position.revision.0)
            .saturating_add(behind(now.grant.position.revision.0, made.grant.position.revision.0))
    }

    fn build_if_due(&mut self, stop: &CancellationToken) {
        if self.building.is_some() || !self.is_active {
            return;
        }
        let behind = self.revisions_behind();
        let may = Instant::now() >= self.not_before;
        let is_due = may && self.parts.every > 0 && behind >= self.parts.every;
        // Whoever waits has none at all, unless the last attempt failed: then they were told.
        let is_wanted = may && behind > 0 && (!self.waiting.is_empty() || self.is_wanted);
        if is_due || is_wanted {
            self.is_wanted = false;
            let heads = *self.parts.heads.borrow();
            let shadow = self.shadow.take();
            self.build_started = Instant::now();
            self.building = Some(build::start(
                &self.parts,
                Arc::clone(&self.chunks),
                (shadow, self.archive()),
                heads,
                stop.clone(),
            ));
        }
    }

    async fn take_built(&mut self, built: Result<Built, String>) {
        self.building = None;
        let took = self.build_started.elapsed();
        match built {
            Ok(Built { kept, shadow }) if !self.is_active => {
                // Begun as the writer: nobody would ever remove it.
                self.shadow = Some(shadow);
                self.chunks.forget(&kept).await;
            }
            Ok(Built { kept, shadow }) => {
                self.made = self.made.saturating_add(1);
                self.parts.metrics.snapshot("made", took);
                tracing::info!(deny = %kept.heads.deny.position, grant = %kept.heads.grant.position,
                    items = kept.items, chunks = kept.listing.len(), took_ms = took.as_millis(), "made a snapshot");
                self.shadow = Some(shadow);
                self.not_before = Instant::now() + MADE_PAUSE.max(took.saturating_mul(MADE_PAUSE_FACTOR));
                self.kept.push_front(Arc::new(kept));
                while self.kept.len() > self.parts.keep.max(1) {
                    if let Some(old) = self.kept.pop_back() {
                        self.chunks.forget(&old).await;
                    }
                }
                self.answer_waiting().await;
            }
            Err(reason) => {
                self.parts.metrics.snapshot("failed", took);
                self.not_before = Instant::now() + RETRY_PAUSE;
                tracing::warn!(
                    reason,
                    "no snapshot was made; agents fetch ranges, the next attempt is in 30 s"
                );
                for responder in std::mem::take(&mut self.waiting) {
                    responder.fail(503, "no snapshot can be made now; ask for a range").await.ok();
                }
            }
        }
    }

    async fn answer_waiting(&mut self) {
        let Some(newest) = self.kept.front().cloned() else { return };
        for responder in std::mem::take(&mut self.waiting) {
            answer_manifest(&newest, responder, &self.parts.metrics).await;
        }
    }

    async fn take(&mut self, incoming: Incoming, room: &Arc<Semaphore>, answers: &mut JoinSet<()>) {
        let Incoming { payload, responder } = incoming;
        if !self.is_active {
            // Why without a word: every controller hears it, and the writer answers.
            return;
        }
        match decode_snapshot_request(&payload) {
            Ok(SnapshotRequest::Manifest) => match self.kept.front() {
                Some(newest) => answer_manifest(newest, responder, &self.parts.metrics).await,
                None if self.revisions_behind() == 0 => {
                    self.parts.metrics.repair("manifest", "absent");
                    responder.fail(404, "nothing was accepted yet, so there is no snapshot").await.ok();
                }
                None if self.waiting.len() < WAITING_MAX => self.waiting.push(responder),
                None => self.parts.metrics.repair("manifest", "failed"),
            },
            Ok(SnapshotRequest::Chunk { manifest, index }) => {
                let kept = self.kept.iter().find(|kept| kept.id == manifest).cloned();
                let (chunks, metrics) = (Arc::clone(&self.chunks), Arc::clone(&self.parts.metrics));
                let Ok(permit) = Arc::clone(room).acquire_owned().await else { return };
                answers.spawn(async move {
                    let outcome = answer_chunk(&chunks, kept, index, responder).await;
                    metrics.repair("chunk", outcome);
                    drop(permit);
                });
            }
            Err(error) => {
                self.parts.metrics.rejected("snapshot", error.code());
                responder.fail(400, &error.to_string()).await.ok();
            }
        }
    }
}

async fn answer_manifest(kept: &Kept, responder: Responder, metrics: &ControllerMetrics) {
    let sent = responder.send(kept.manifest.clone()).await;
    metrics.repair("manifest", if sent.is_ok() { "served" } else { "failed" });
}

async fn answer_chunk(
    chunks: &Chunks,
    kept: Option<Arc<Kept>>,
    index: u32,
    responder: Responder,
) -> &'static str {
    let Some(kept) = kept else {
        responder.fail(404, "this snapshot is gone; ask for the newest manifest").await.ok();
        return "absent";
    };
    match chunks.get(&kept, index).await {
        Ok(Some(bytes)) => {
            if responder.send(bytes).await.is_ok() {
                "served"
            } else {
                "failed"
            }
        }
        Ok(None) => {
            responder.fail(404, "the manifest lists no such chunk").await.ok();
            "absent"
        }
        Err(reason) => {
            tracing::warn!(reason, "a snapshot chunk was not read");
            responder.fail(503, "the chunk cannot be read now; ask again").await.ok();
            "failed"
        }
    }
}

/// Waits for the build under way; for ever where there is none. Cancel safe.
async fn finished(building: &mut Option<JoinHandle<Result<Built, String>>>) -> Result<Built, String> {
    match building {
        Some(handle) => handle.await.unwrap_or_else(|error| Err(error.to_string())),
        None => std::future::pending().await,
    }
}
