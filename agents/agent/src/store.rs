//! The local store: applied state and position on disk, for a warm restart. A cache of the signed chain that may
//! be thrown away at any time.
//!
//! sled runs on a thread of its own with every panic caught, because it panics on a flipped bit and opens a cut
//! file as an empty one. Nothing waits for this thread except start-up, for a bounded time. What it gives back was
//! checked byte by byte ([`format`]); on any doubt the folder is removed and the agent starts empty, never
//! stale. What cannot be written is not reported as durable; decisions do not change.
//!
//! | state | event | next |
//! |---|---|---|
//! | starting | folder locked by another process, not writable | memory, tried again after a minute |
//! | starting | damaged, other version, other chain | folder removed, disk (empty) |
//! | starting | below the floor ([`floor`]), or the floor cannot be read | folder removed, disk (empty) |
//! | starting | fine | disk (restored) |
//! | disk | write fails or panics | folder removed, memory, tried again after a minute |
//! | memory | a minute is over | disk (everything is written again) |

mod disk;
mod floor;
mod format;
#[cfg(test)]
mod tests;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rescind_core::agent::Restored;
use rescind_core::decide::Published;
use rescind_core::ids::ChainId;
use rescind_core::position::{Heads, Position};
use rescind_core::time::BootNs;
use tokio::sync::{oneshot, watch};

use self::disk::{Disk, DiskError};
pub(crate) use self::floor::Floor;
use self::floor::Found;
use crate::clock::BootClock;

/// Shortest time from one write to the next: five a second, whatever arrives.
const WRITE_PAUSE: Duration = Duration::from_millis(200);
/// Writing takes at most a fifth of the thread's time: a bulk load does not fill the disk with half-way states.
const WRITE_SHARE: u32 = 4;
/// After a failure.
const RETRY_PAUSE: Duration = Duration::from_secs(60);
/// Limit: a start does not wait longer for the store; it goes on in memory.
pub(crate) const LOAD_WAIT: Duration = Duration::from_secs(20);
/// Limit: a stop does not wait longer for the last write.
const STOP_WAIT: Duration = Duration::from_secs(3);

/// Why there is nothing on disk.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    #[error("cannot use the folder `{path}`; check that it can be written, or leave out `store_dir`")]
    Folder { path: String, source: std::io::Error },
    #[error("the folder `{path}` is used by another process; give every agent a `store_dir` of its own")]
    Locked { path: String },
    #[error("the store failed")]
    Disk(#[from] DiskError),
    #[error("the store panicked")]
    Panic,
    #[error(
        "it is older than what was acknowledged as durable (it holds deny {deny}, grant {grant}); somebody put back \
         a copy"
    )]
    BelowFloor { deny: Position, grant: Position },
    #[error("the file `floor` beside it cannot be read, so it may be too old")]
    FloorInDoubt,
    #[error("what was acknowledged as durable cannot be noted in the file `floor`")]
    Floor(#[source] std::io::Error),
}

/// How the store fares.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct StoreState {
    /// Whether what is written stays.
    pub(crate) on_disk: bool,
    /// What is on disk.
    pub(crate) durable: Heads,
    /// Why the last one was thrown away or is not used; `None`: all is well, or no folder is configured.
    pub(crate) trouble: Option<Arc<str>>,
    /// Writes since the start.
    pub(crate) writes: u64,
    /// Times that a store was thrown away.
    pub(crate) discarded: u64,
}

/// What a start gets: the secret that makes keys, and the state if there is any.
pub(crate) struct Loaded {
    pub(crate) secret: [u8; 16],
    /// What was acknowledged as durable before.
    pub(crate) floor: Floor,
    pub(crate) restored: Option<Restored>,
}

/// How often is written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    /// Shortest pause between two writes.
    pub(crate) pause: Duration,
    /// And so many times as long as the write before took.
    pub(crate) share: u32,
}

/// The handle. Dropping it stops the thread without waiting.
#[derive(Debug)]
pub(crate) struct Store {
    mail: Arc<Mail>,
    state: watch::Receiver<StoreState>,
    thread: Option<JoinHandle<()>>,
}

/// Where the newest state waits to be written; a newer one replaces it.
#[derive(Debug, Default)]
struct Mail {
    slot: Mutex<Slot>,
    wake: Condvar,
}

#[derive(Debug, Default)]
struct Slot {
    latest: Option<Arc<Published>>,
    stop: bool,
}

impl Store {
    /// No store: nothing is ever durable. `trouble`: why, where one is configured.
    pub(crate) fn memory(trouble: Option<&str>) -> Self {
        let trouble = trouble.map(Arc::from);
        let (_, state) = watch::channel(StoreState { trouble, ..StoreState::default() });
        Self { mail: Arc::default(), state, thread: None }
    }

    /// Starts the thread, which opens `folder` and sends what it found. `fresh` is the secret of a new store.
    ///
    /// # Errors
    /// The thread could not be started; the system is out of resources.
    pub(crate) fn open(
        folder: PathBuf,
        chain: ChainId,
        fresh: [u8; 16],
    ) -> std::io::Result<(Self, oneshot::Receiver<Loaded>)> {
        Self::open_paced(folder, chain, fresh, Pace { pause: WRITE_PAUSE, share: WRITE_SHARE })
    }

    /// As [`Self::open`], at another pace.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub(crate) fn open_paced(
        folder: PathBuf,
        chain: ChainId,
        fresh: [u8; 16],
        pace: Pace,
    ) -> std::io::Result<(Self, oneshot::Receiver<Loaded>)> {
        let (sender, state) = watch::channel(StoreState::default());
        let (loaded, receiver) = oneshot::channel();
        let mail = Arc::new(Mail::default());
        let keeper = Keeper {
            folder,
            chain,
            pace,
            mail: Arc::clone(&mail),
            state: sender,
            secret: fresh,
            disk: None,
            floor: Floor::default(),
            unwritten: None,
            retry_at: BootClock.now().plus(RETRY_PAUSE),
        };
        let run = move || keeper.run(loaded);
        let thread = thread::Builder::new().name("rescind-store".to_owned()).spawn(run)?;
        Ok((Self { mail, state, thread: Some(thread) }, receiver))
    }

    /// Asks for `published` to be written; returns at once.
    pub(crate) fn persist(&self, published: Arc<Published>) {
        self.mail.put(|slot| slot.latest = Some(published));
    }

    /// How it fares; changes with every write.
    pub(crate) fn state(&self) -> watch::Receiver<StoreState> {
        self.state.clone()
    }

    /// Writes what waits, ends the thread and joins it, for a bounded time.
    pub(crate) async fn stop(mut self) {
        self.mail.put(|slot| slot.stop = true);
        let Some(thread) = self.thread.take() else { return };
        let join = tokio::task::spawn_blocking(move || thread.join().is_ok());
        match tokio::time::timeout(STOP_WAIT, join).await {
            Ok(Ok(true)) => {}
            Ok(Ok(false) | Err(_)) => tracing::error!("the store thread ended by a panic"),
            Err(_) => tracing::warn!("the store did not end in time; its last write may be lost"),
        }
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.mail.put(|slot| slot.stop = true);
    }
}

/// What woke the thread.
enum Letter {
    Write(Arc<Published>),
    /// Nothing came for the time that was given.
    Silence,
    Stop(Option<Arc<Published>>),
}

impl Mail {
    fn put(&self, change: impl FnOnce(&mut Slot)) {
        change(&mut self.slot.lock().unwrap_or_else(PoisonError::into_inner));
        self.wake.notify_all();
    }

    /// The next thing to do; waits for it, at most `wait` where given.
    fn take(&self, wait: Option<Duration>) -> Letter {
        let idle = |slot: &mut Slot| !slot.stop && slot.latest.is_none();
        let slot = self.slot.lock().unwrap_or_else(PoisonError::into_inner);
        let mut slot = match wait {
            None => self.wake.wait_while(slot, idle).unwrap_or_else(PoisonError::into_inner),
            Some(wait) => {
                self.wake.wait_timeout_while(slot, wait, idle).unwrap_or_else(PoisonError::into_inner).0
            }
        };
        match (slot.stop, slot.latest.take()) {
            (true, last) => Letter::Stop(last),
            (false, Some(latest)) => Letter::Write(latest),
            (false, None) => Letter::Silence,
        }
    }

    /// Sleeps for `pause`, or until there is reason to stop.
    fn pause(&self, pause: Duration) {
        let slot = self.slot.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.wake.wait_timeout_while(slot, pause, |slot| !slot.stop);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }
}

/// The thread's own state.
struct Keeper {
    folder: PathBuf,
    chain: ChainId,
    pace: Pace,
    mail: Arc<Mail>,
    state: watch::Sender<StoreState>,
    secret: [u8; 16],
    disk: Option<Disk>,
    /// What was acknowledged as durable, in this run or before.
    floor: Floor,
    /// What a failed store has not got.
    unwritten: Option<Arc<Published>>,
    /// No store is made before this.
    retry_at: BootNs,
}

impl Keeper {
    fn run(mut self, loaded: oneshot::Sender<Loaded>) {
        let restored = self.start();
        // Why ignored: a start that gave up waiting goes on in memory, with a secret of its own.
        let abandoned = loaded.send(Loaded { secret: self.secret, floor: self.floor, restored }).is_err();
        if abandoned {
            return;
        }
        let clock = BootClock;
        loop {
            let letter = self.mail.take(self.unwritten.as_ref().map(|_| RETRY_PAUSE));
            let begin = clock.now();
            match letter {
                Letter::Write(published) => self.write(published),
                Letter::Silence => {
                    if let Some(published) = self.unwritten.take() {
                        self.write(published);
                    }
                }
                Letter::Stop(last) => return last.into_iter().for_each(|published| self.write(published)),
            }
            let Pace { pause, share } = self.pace;
            self.mail.pause((clock.now().since(begin) * share).clamp(pause, RETRY_PAUSE));
        }
    }

    /// Opens the store, or a new one in its place, or none.
    fn start(&mut self) -> Option<Restored> {
        let is_in_doubt = match Floor::load(&self.folder, &self.chain) {
            Found::Nothing => false,
            Found::Doubt => true,
            Found::Floor(floor) => {
                self.floor = floor;
                false
            }
        };
        let floor = self.floor;
        let found = caught(|| match Disk::open(&self.folder, &self.chain)? {
            Some(_) if is_in_doubt => Err(StoreError::FloorInDoubt),
            Some((_, restored)) if !floor.is_reached(&restored.heads) => Err(StoreError::BelowFloor {
                deny: restored.heads.deny.position,
                grant: restored.heads.grant.position,
            }),
            found => Ok(found),
        });
        let damage = match found {
            Ok(Some((disk, restored))) => {
                self.secret = *disk.secret();
                self.disk = Some(disk);
                let durable = restored.heads;
                self.state
                    .send_modify(|state| *state = StoreState { on_disk: true, durable, ..state.clone() });
                return Some(restored);
            }
            Ok(None) => None,
            Err(error @ (StoreError::Folder { .. } | StoreError::Locked { .. })) => {
                self.give_up(&error);
                return None;
            }
            Err(error) => Some(error),
        };
        if let Some(error) = damage {
            self.discard(&error);
        }
        match caught(|| Disk::create(&self.folder, &self.chain, self.secret)) {
            Ok(disk) => {
                self.disk = Some(disk);
                self.state.send_modify(|state| state.on_disk = true);
            }
            Err(error) => self.give_up(&error),
        }
        None
    }

    fn write(&mut self, published: Arc<Published>) {
        let now = BootClock.now();
        if self.disk.is_none() && now >= self.retry_at {
            self.retry_at = now.plus(RETRY_PAUSE);
            self.disk = caught(|| Disk::create(&self.folder, &self.chain, self.secret)).ok();
        }
        let Some(disk) = &mut self.disk else {
            self.unwritten = Some(published);
            return;
        };
        let floor = self.floor.raised(&published.heads);
        let written = caught(|| disk.write(&published).map_err(StoreError::Disk)).and_then(|()| {
            // INVARIANT (S5): noted before anybody is told that it is durable.
            let is_same = floor == self.floor;
            if is_same { Ok(()) } else { floor.store(&self.folder, &self.chain).map_err(StoreError::Floor) }
        });
        match written {
            Ok(()) => {
                self.floor = floor;
                let durable = published.heads;
                self.state.send_modify(|state| {
                    let (writes, discarded) = (state.writes.saturating_add(1), state.discarded);
                    *state = StoreState { on_disk: true, durable, trouble: None, writes, discarded };
                });
            }
            Err(error) => {
                self.unwritten = Some(published);
                self.retry_at = now.plus(RETRY_PAUSE);
                self.discard(&error);
                self.give_up(&error);
            }
        }
    }

    /// Removes what cannot be trusted.
    fn discard(&mut self, error: &StoreError) {
        let disk = self.disk.take();
        let close = move || {
            drop(disk);
            Ok(())
        };
        if caught(close).is_err() {
            tracing::warn!("the store panicked while it was closed");
        }
        let reason = chain_text(error);
        tracing::warn!(folder = %self.folder.display(), reason, "the local store is thrown away");
        if let Err(error) = disk::remove(&self.folder) {
            tracing::warn!(folder = %self.folder.display(), %error, "the local store cannot be removed");
        }
        self.state.send_modify(|state| {
            state.trouble = Some(reason.into());
            state.discarded = state.discarded.saturating_add(1);
        });
    }

    /// Goes on in memory.
    fn give_up(&self, error: &StoreError) {
        let reason = chain_text(error);
        tracing::warn!(folder = %self.folder.display(), reason, "no local store; receipts are not durable");
        self.state.send_modify(|state| {
            state.on_disk = false;
            state.trouble = Some(reason.into());
        });
    }
}

/// Runs what may panic inside sled.
fn caught<T>(run: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
    // Why unwind safe: after a panic the store is thrown away as a whole.
    catch_unwind(AssertUnwindSafe(run)).unwrap_or(Err(StoreError::Panic))
}

/// An error with its causes, for one line.
fn chain_text(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// The folder that sled gets; its neighbour is the lock.
fn sled_folder(folder: &Path) -> PathBuf {
    folder.join("v1")
}
