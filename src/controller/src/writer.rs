//! The commit path of one lane: sign, make durable, publish with compare-and-set, settle what is unknown.
//!
//! One task per lane, so that a bulk load of entitlements never delays a kill. Encoding, signing and the sync
//! of the log run on a blocking thread.
//!
//! | what the broker says to an entry | next |
//! |---|---|
//! | stored | committed |
//! | wrong last sequence | read the lane: our entry: committed; a foreign entry: deposed; only late ticks of ours: publish again after them |
//! | certainly not stored | publish again after a pause |
//! | wrong last sequence, and the lane ends before what was stored | publish the log's entries again that it lost, in order |
//! | nothing, or nothing certain | read the lane as above, publish again at the same place (S13: at most one of them can be stored) |
//!
//! A tick is tried once: where its fate is unknown it counts as failed, and what it left behind is found when
//! the next append meets it.
//!
//! While this controller follows another one, the same task reads the lane into the log ([`follow`]), so that
//! nobody else ever touches either.

mod follow;
mod lane;
mod restore;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rescind_bus::{Bus, Publication, PublishError, StreamSettings};
use rescind_codec::{NonceTree, SecretKey, SignedTick, TrustBundle, encode_entry, encode_tick};
use rescind_core::entry::{ChainedEntry, Entry, Tick};
use rescind_core::ids::{ControllerId, InstanceId, RecordId};
use rescind_core::lease::LeaseRequest;
use rescind_core::position::{EntryHash, Epoch, Lane};
use rescind_telemetry::LaneMetrics;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use self::lane::{LaneTail, Look, Wanted};
use self::restore::Restored;
use crate::follow::Followed;
use crate::health::{Health, Trouble};
use crate::startup::Logs;
use crate::store::StoreError;
use crate::wal::{Append, Confirmed, LaneLog, LoggedEntry};

/// Limit: one attempt to publish an entry. Why 2 s: a sync of a busy disk fits, and after a silent broker there
/// is time for a look at the lane before [`INDETERMINATE_AFTER`].
const PUBLISH_WAIT: Duration = Duration::from_secs(2);
/// Limit: the attempt to publish a tick. Why less: entries wait behind it.
const TICK_WAIT: Duration = Duration::from_millis(1500);
/// An entry that is not known to be stored after this time is called indeterminate (L4: below the 5 s that a
/// caller waits).
const INDETERMINATE_AFTER: Duration = Duration::from_secs(4);
/// Pause between two attempts.
const RETRY_PAUSE: Duration = Duration::from_millis(250);
/// Longest pause between two attempts of the log: a full disk is looked at once in this time.
const LOG_RETRY_PAUSE: Duration = Duration::from_secs(1);
/// The broker forgets ticks after this time, where it can: they prove nothing any more.
const TICK_TTL: Duration = Duration::from_secs(3600);

/// Work for a lane; one at a time.
#[derive(Debug)]
pub(crate) enum LaneJob {
    /// Sign, log, publish.
    Commit { entry: Box<Entry>, reasons: Vec<(RecordId, Box<str>)> },
    /// Set the root over these requests, sign, publish.
    Tick { tick: Box<Tick>, requests: Vec<LeaseRequest> },
    /// Read the lane into the log.
    Follow,
    /// Bring lane and log in line: read, and publish again what the stream lacks.
    Settle,
    /// Log these, which continue the log; somebody handed them over.
    Adopt(Vec<(ChainedEntry, Bytes)>),
}

/// What became of it.
#[derive(Debug)]
pub(crate) enum LaneEvent {
    /// The entry is in the log and in the stream.
    Committed { lane: Lane, hash: EntryHash },
    /// Not known yet; `Committed` or `Deposed` follows.
    Indeterminate { lane: Lane },
    /// The tick is in the stream.
    TickAppended { signed: SignedTick, tree: NonceTree },
    /// The tick is not in the stream, or nobody knows.
    TickFailed,
    /// Somebody else writes.
    Deposed { lane: Lane, reason: String },
    /// The stream had lost something of this lane, and has it again, after so many entries were published again.
    /// The outcome of the job follows.
    Restored { republished: u64 },
    /// The lane was read; an error says why not.
    Followed { lane: Lane, followed: Result<Box<Followed>, String> },
    /// The lane is in line, after this many entries were published again; an error says why not.
    Settled { lane: Lane, settled: Result<(Box<Followed>, u64), String> },
    /// These are in the log; none of them where the log does not take them.
    Adopted { lane: Lane, entries: Vec<ChainedEntry> },
}

/// What a writer is made of.
#[derive(Debug)]
pub(crate) struct WriterParts {
    pub(crate) lane: Lane,
    pub(crate) logs: Logs,
    pub(crate) bus: Bus,
    pub(crate) stream: StreamSettings,
    pub(crate) identity: WriterIdentity,
    pub(crate) health: Health,
    pub(crate) metrics: LaneMetrics,
    pub(crate) events: mpsc::Sender<LaneEvent>,
    /// Where the lane ends on the broker.
    pub(crate) tail: u64,
    /// Folder for what gives way.
    pub(crate) dir: PathBuf,
    /// Ends attempts that would go on for ever.
    pub(crate) abort: CancellationToken,
}

/// Who writes.
#[derive(Clone)]
pub(crate) struct WriterIdentity {
    pub(crate) key: Arc<SecretKey>,
    pub(crate) trust: Arc<TrustBundle>,
    pub(crate) controller: ControllerId,
    pub(crate) boot: InstanceId,
}

impl std::fmt::Debug for WriterIdentity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WriterIdentity").field("controller", &self.controller).finish_non_exhaustive()
    }
}

/// The writer of one lane.
pub(crate) struct Writer {
    lane: Lane,
    lane_name: String,
    log: Arc<LaneLog>,
    bus: Bus,
    stream: StreamSettings,
    identity: WriterIdentity,
    health: Health,
    metrics: LaneMetrics,
    events: mpsc::Sender<LaneEvent>,
    confirmed: Option<Confirmed>,
    tail: LaneTail,
    dir: PathBuf,
    abort: CancellationToken,
    /// Makes message ids unique: compare-and-set is what makes an append happen once, not the broker's memory
    /// of ids, which would call an append done that its store has lost.
    attempts: u64,
}

/// The end of an attempt to get something into the lane.
enum Appended {
    Stored(u64),
    Deposed(String),
    Aborted,
}

impl Writer {
    /// `None` for a lane that this version does not run.
    pub(crate) fn new(parts: WriterParts) -> Option<Self> {
        let WriterParts { lane, logs, bus, stream, identity, health, metrics, events, tail, dir, abort } =
            parts;
        let log = Arc::clone(logs.get(lane)?);
        let tail = LaneTail::new(lane, identity.clone(), tail);
        Some(Self {
            lane,
            lane_name: lane.to_string(),
            log,
            bus,
            stream,
            identity,
            health,
            metrics,
            events,
            confirmed: None,
            tail,
            dir,
            abort,
            attempts: 0,
        })
    }

    /// Works until the engine is gone; then writes down what is confirmed.
    pub(crate) async fn run(mut self, mut jobs: mpsc::Receiver<LaneJob>) {
        while let Some(job) = jobs.recv().await {
            let is_over = match job {
                LaneJob::Commit { entry, reasons } => self.commit(*entry, reasons).await,
                LaneJob::Tick { tick, requests } => self.tick(*tick, requests).await,
                LaneJob::Follow => self.follow().await,
                LaneJob::Settle => self.settle().await,
                LaneJob::Adopt(entries) => self.adopt(entries).await,
            };
            if is_over {
                break;
            }
        }
        self.write_confirmed().await;
    }

    /// Writes down how far the broker is known to have everything.
    async fn write_confirmed(&mut self) {
        let Some(confirmed) = self.confirmed.take() else { return };
        let log = Arc::clone(&self.log);
        let done = tokio::task::spawn_blocking(move || log.confirm(confirmed)).await;
        if !matches!(done, Ok(Ok(()))) {
            tracing::warn!(lane = %self.lane, "what is confirmed was not written down; the next start finds out");
        }
    }

    /// `true`: this writer is over.
    async fn commit(&mut self, entry: Entry, reasons: Vec<(RecordId, Box<str>)>) -> bool {
        let started = Instant::now();
        let entry = Arc::new(entry);
        let reasons: Arc<[(RecordId, Box<str>)]> = reasons.into();
        let abort = self.abort.clone();
        let (lane, events) = (self.lane, self.events.clone());
        let done = {
            let work = async {
                let logged = self.make_durable(&entry, &reasons).await?;
                let outcome = self.append_entry(&logged, entry.epoch).await;
                Some((logged, outcome))
            };
            tokio::pin!(work);
            let mut told = false;
            loop {
                tokio::select! {
                    done = &mut work => break done,
                    () = abort.cancelled() => break None,
                    () = sleep_until(started + INDETERMINATE_AFTER), if !told => {
                        told = true;
                        if events.send(LaneEvent::Indeterminate { lane }).await.is_err() {
                            break None;
                        }
                    }
                }
            }
        };
        let Some((logged, outcome)) = done else {
            tracing::warn!(lane = %lane, "stopped with an entry whose outcome is not known; the next start settles it");
            return true;
        };
        match outcome {
            Appended::Stored(sequence) => {
                self.confirmed = Some(Confirmed { last: logged.last, sequence });
                self.health.clear(Trouble::Settling(self.lane));
                !self.tell(LaneEvent::Committed { lane: self.lane, hash: logged.hash }).await
            }
            Appended::Deposed(reason) => self.deposed(reason).await,
            Appended::Aborted => true,
        }
    }

    /// Signs and logs; tries again until the log takes it. `None`: given up because of a stop.
    async fn make_durable(
        &mut self,
        entry: &Arc<Entry>,
        reasons: &Arc<[(RecordId, Box<str>)]>,
    ) -> Option<LoggedEntry> {
        loop {
            let (entry, reasons) = (Arc::clone(entry), Arc::clone(reasons));
            let (log, key, confirmed) =
                (Arc::clone(&self.log), Arc::clone(&self.identity.key), self.confirmed);
            let started = Instant::now();
            let done = tokio::task::spawn_blocking(move || {
                let (bytes, hash) = encode_entry(&entry, &key);
                let logged = LoggedEntry {
                    first: entry.first,
                    last: entry.last().revision,
                    hash,
                    bytes: Bytes::from(bytes),
                };
                let append = Append { entry: &logged, reasons: &reasons, confirmed };
                log.append(append).map(|()| logged)
            });
            match done.await {
                Ok(Ok(logged)) => {
                    self.metrics.logged(started.elapsed());
                    self.confirmed = None;
                    self.health.clear(Trouble::Log(self.lane));
                    return Some(logged);
                }
                Ok(Err(error)) => self.log_failed(&error),
                Err(error) => {
                    tracing::error!(lane = %self.lane, %error, "signing or logging an entry failed");
                }
            }
            if self.pause(LOG_RETRY_PAUSE).await {
                return None;
            }
        }
    }

    fn log_failed(&self, error: &StoreError) {
        self.metrics.log_failed();
        self.health.raise(Trouble::Log(self.lane), error.to_string());
    }

    /// Publishes an entry until it is stored or somebody else is found.
    async fn append_entry(&mut self, logged: &LoggedEntry, epoch: Epoch) -> Appended {
        let mut unknown = false;
        loop {
            if unknown {
                match self.look_for(Wanted { hash: logged.hash, epoch }).await {
                    Ok(Look::Found(sequence)) => return Appended::Stored(sequence),
                    Ok(Look::NotThere) => {}
                    Ok(Look::Foreign(reason)) => return Appended::Deposed(reason),
                    Ok(Look::WentBack) => match self.restore().await {
                        Ok(Restored::Upto { last, sequence }) if last >= logged.last => {
                            return Appended::Stored(sequence);
                        }
                        Ok(Restored::Upto { .. } | Restored::Nothing) => {}
                        Ok(Restored::Foreign(reason)) => return Appended::Deposed(reason),
                        Err(reason) => {
                            self.settling(logged, &reason);
                            if self.pause(RETRY_PAUSE).await {
                                return Appended::Aborted;
                            }
                            continue;
                        }
                    },
                    Err(reason) => {
                        self.settling(logged, &reason);
                        if self.pause(RETRY_PAUSE).await {
                            return Appended::Aborted;
                        }
                        continue;
                    }
                }
            }
            match self.publish(&logged.bytes, logged.hash, None, PUBLISH_WAIT).await {
                Ok(sequence) => return Appended::Stored(sequence),
                Err(PublishError::Conflict { .. }) => unknown = true,
                Err(PublishError::Indeterminate { reason, .. }) => {
                    unknown = true;
                    self.settling(logged, &reason);
                }
                Err(PublishError::Refused { reason, .. }) => {
                    self.settling(logged, &reason.to_string());
                    self.make_stream_if_gone(&reason).await;
                    if self.pause(RETRY_PAUSE).await {
                        return Appended::Aborted;
                    }
                }
            }
        }
    }

    async fn look_for(&mut self, wanted: Wanted) -> Result<Look, String> {
        self.metrics.settled();
        self.tail.look(&self.bus, &self.log, Some(wanted)).await
    }

    /// One attempt at the end of the lane.
    async fn publish(
        &mut self,
        bytes: &Bytes,
        name: EntryHash,
        ttl: Option<Duration>,
        deadline: Duration,
    ) -> Result<u64, PublishError> {
        self.attempts = self.attempts.wrapping_add(1);
        let boot = u128::from_be_bytes(self.identity.boot.0);
        let message_id = format!("{}-{}-{boot:x}-{}", self.lane_name, short(name), self.attempts);
        let expected = self.tail.expected();
        let publication = Publication {
            lane: &self.lane_name,
            bytes: bytes.clone(),
            expected_last: Some(expected),
            message_id: &message_id,
            ttl,
            deadline,
        };
        let stored = self.bus.publish(publication).await?;
        if stored.duplicate {
            // No two attempts have one id: whatever the broker remembers, the lane has to be read.
            let (lane, reason) =
                (self.lane_name.clone(), "the broker took it for an earlier message".to_owned());
            return Err(PublishError::Indeterminate { lane, reason });
        }
        self.tail.stored(stored.sequence);
        Ok(stored.sequence)
    }

    /// `true`: this writer is over.
    async fn tick(&mut self, mut tick: Tick, requests: Vec<LeaseRequest>) -> bool {
        let tree = NonceTree::new(&requests);
        tick.nonce_root = tree.root();
        let signed = encode_tick(&tick, &self.identity.key);
        let bytes = Bytes::from(signed.log_message());
        let event = match self.publish(&bytes, EntryHash(tick.nonce_root), Some(TICK_TTL), TICK_WAIT).await {
            Ok(_) => LaneEvent::TickAppended { signed, tree },
            Err(PublishError::Conflict { .. }) => {
                // Our own late append, or somebody else: whoever it is has to be known before the next one.
                match self.tail.look(&self.bus, &self.log, None).await {
                    Ok(Look::Foreign(reason)) => return self.deposed(reason).await,
                    Ok(Look::Found(_) | Look::NotThere) => LaneEvent::TickFailed,
                    Ok(Look::WentBack) => match self.restore().await {
                        Ok(Restored::Foreign(reason)) => return self.deposed(reason).await,
                        Ok(Restored::Upto { .. } | Restored::Nothing) => LaneEvent::TickFailed,
                        Err(reason) => {
                            tracing::warn!(lane = %self.lane, reason, "the stream went back and is not restored yet");
                            LaneEvent::TickFailed
                        }
                    },
                    Err(reason) => {
                        tracing::debug!(lane = %self.lane, reason, "a tick met something and the lane cannot be read");
                        LaneEvent::TickFailed
                    }
                }
            }
            Err(PublishError::Refused { reason, .. }) => {
                tracing::debug!(lane = %self.lane, %reason, "a tick was refused");
                self.make_stream_if_gone(&reason).await;
                LaneEvent::TickFailed
            }
            Err(error @ PublishError::Indeterminate { .. }) => {
                tracing::debug!(lane = %self.lane, %error, "a tick was not stored");
                // Why: a connection that died without a word would cost every agent its lease before pings notice.
                self.bus.reconnect().await;
                LaneEvent::TickFailed
            }
        };
        !self.tell(event).await
    }

    async fn deposed(&mut self, reason: String) -> bool {
        let reason = format!("somebody else writes lane {}: {reason}", self.lane);
        tracing::warn!(lane = %self.lane, reason, "deposed");
        !self.tell(LaneEvent::Deposed { lane: self.lane, reason }).await
    }

    fn settling(&self, logged: &LoggedEntry, reason: &str) {
        let text = format!(
            "it is not known whether lane {} has revision {} stored: {reason}; it is being settled",
            self.lane, logged.last
        );
        self.health.raise(Trouble::Settling(self.lane), text);
    }

    /// `false`: nobody is left to hear it.
    async fn tell(&self, event: LaneEvent) -> bool {
        self.events.send(event).await.is_ok()
    }

    /// `true`: stop.
    async fn pause(&self, length: Duration) -> bool {
        tokio::select! {
            () = sleep(length) => false,
            () = self.abort.cancelled() => true,
        }
    }
}

/// The first 16 hexadecimal digits.
fn short(hash: EntryHash) -> String {
    hash.to_string().chars().take(16).collect()
}
