//! sled, and what is read from and written to it.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::time::Duration;

use rescind_core::agent::Restored;
use rescind_core::decide::Published;
use rescind_core::ids::ChainId;
use rescind_core::key::KeyHasher;
use rescind_core::view::{CowMap, HeldSet, StandingList, View};
use rustix::fs::{FlockOperation, flock};

use super::format::{Checker, Meta, Stored};
use super::{StoreError, sled_folder};

/// Memory that sled may use for its own cache: everything is in our view already.
const CACHE_BYTES: u64 = 16 << 20;
/// Where the secret is. Keys of shards have three bytes, so they never meet these.
const SECRET_KEY: &[u8] = b"secret";
/// Where the pin is.
const META_KEY: &[u8] = b"meta";
/// Name of the lock file.
const LOCK_FILE: &str = "lock";

/// How often, and how far apart, sled's own lock is tried: two seconds in all.
const SLED_LOCK_ATTEMPTS: u32 = 100;
const SLED_LOCK_PAUSE: Duration = Duration::from_millis(20);

/// What is wrong with a store.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DiskError {
    #[error("sled failed")]
    Sled(#[from] sled::Error),
    #[error("it is damaged: {what}")]
    Damaged { what: &'static str },
    #[error("it belongs to another chain")]
    OtherChain,
}

const fn damaged(what: &'static str) -> DiskError {
    DiskError::Damaged { what }
}

/// An open store, and what was written last.
pub(super) struct Disk {
    db: sled::Db,
    checker: Checker,
    chain: ChainId,
    view: View,
    sums: Sums,
    /// Held as long as the store is open.
    _lock: File,
}

/// Checks of the shards on disk, so that a write need not read them.
#[derive(Default)]
struct Sums {
    /// By table and shard; zero: not there. A check that happens to be zero only costs a false alarm.
    checks: [Vec<u128>; 3],
    shards: u32,
    sum: u128,
}

impl Sums {
    /// Notes that a shard now has this check; `None`: it is gone.
    fn set(&mut self, table: u8, number: u16, check: Option<u128>) {
        let Some(table) = self.checks.get_mut(usize::from(table)) else { return };
        let number = usize::from(number);
        if table.len() <= number {
            table.resize(number + 1, 0);
        }
        let Some(slot) = table.get_mut(number) else { return };
        let before = std::mem::replace(slot, check.unwrap_or(0));
        self.sum = self.sum.wrapping_sub(before).wrapping_add(check.unwrap_or(0));
        self.shards =
            self.shards.saturating_sub(u32::from(before != 0)).saturating_add(u32::from(check.is_some()));
    }
}

impl Disk {
    /// Opens what is there; `None` where nothing was ever written.
    pub(super) fn open(folder: &Path, chain: &ChainId) -> Result<Option<(Self, Restored)>, StoreError> {
        let lock = lock(folder)?;
        if !sled_folder(folder).exists() {
            return Ok(None);
        }
        let db = open_sled(folder)?;
        match read(&db, chain)? {
            Some((checker, restored, sums)) => {
                let view = restored.view.clone();
                let disk = Self { db, checker, chain: chain.clone(), view, sums, _lock: lock };
                Ok(Some((disk, restored)))
            }
            None => Err(damaged("it has no position").into()),
        }
    }

    /// A new, empty store in place of whatever is there.
    pub(super) fn create(folder: &Path, chain: &ChainId, secret: [u8; 16]) -> Result<Self, StoreError> {
        let lock = lock(folder)?;
        remove(folder).map_err(|source| StoreError::Folder { path: folder.display().to_string(), source })?;
        let db = open_sled(folder)?;
        let view = View::new(KeyHasher::new(secret));
        let checker = Checker::new(secret);
        let mut disk = Self {
            db,
            checker,
            chain: chain.clone(),
            view: view.clone(),
            sums: Sums::default(),
            _lock: lock,
        };
        disk.write(&Published::unsynced(view, rescind_core::position::Heads::default()))?;
        Ok(disk)
    }

    /// The secret that makes this store's keys.
    pub(super) const fn secret(&self) -> &[u8; 16] {
        self.checker.secret()
    }

    /// Writes the shards that changed since the last write and the new position, all or nothing. On an error the
    /// store must be thrown away.
    pub(super) fn write(&mut self, published: &Published) -> Result<(), DiskError> {
        let mut batch = sled::Batch::default();
        let Self { checker, sums, view, chain, .. } = self;
        let (now, then) = (published.view.tables(), view.tables());
        put(&mut batch, checker, sums, now.tombstones, then.tombstones);
        put(&mut batch, checker, sums, now.standing, then.standing);
        put(&mut batch, checker, sums, now.holders, then.holders);
        let meta = Meta {
            chain: chain.clone(),
            heads: published.heads,
            totals: published.view.totals(),
            shards: sums.shards,
            sum: sums.sum,
        };
        // INVARIANT (S10): the position goes with the state that it names, in one batch, and last.
        batch.insert(SECRET_KEY, checker.secret());
        batch.insert(META_KEY, meta.seal(checker));
        self.db.apply_batch(batch)?;
        self.db.flush()?;
        self.view = published.view.clone();
        Ok(())
    }
}

fn put<V: Stored>(
    batch: &mut sled::Batch,
    checker: &Checker,
    sums: &mut Sums,
    now: &CowMap<V>,
    then: &CowMap<V>,
) {
    for (number, entries) in now.changed_since(then) {
        let key = shard_key(V::TABLE, number);
        if entries.is_empty() {
            sums.set(V::TABLE, number, None);
            batch.remove(&key);
        } else {
            let (sealed, check) = checker.seal_shard(number, entries);
            sums.set(V::TABLE, number, Some(check));
            batch.insert(&key, sealed);
        }
    }
}

const fn shard_key(table: u8, number: u16) -> [u8; 3] {
    let [high, low] = number.to_be_bytes();
    [table, high, low]
}

/// Reads and checks everything; `None` where nothing was written.
fn read(db: &sled::Db, chain: &ChainId) -> Result<Option<(Checker, Restored, Sums)>, DiskError> {
    let (Some(secret), Some(meta)) = (db.get(SECRET_KEY)?, db.get(META_KEY)?) else { return Ok(None) };
    let secret: [u8; 16] =
        secret.as_ref().try_into().map_err(|_| damaged("its secret has another length"))?;
    let checker = Checker::new(secret);
    let meta = Meta::open(&checker, &meta).ok_or_else(|| damaged("its position does not fit its check"))?;
    if meta.chain != *chain {
        return Err(DiskError::OtherChain);
    }
    let mut sums = Sums::default();
    let (mut tombstones, mut standing, mut holders) = (CowMap::new(), CowMap::new(), CowMap::new());
    for item in db.iter() {
        let (key, sealed) = item?;
        let Ok([table, high, low]) = <[u8; 3]>::try_from(key.as_ref()) else {
            let known = *key == *SECRET_KEY || *key == *META_KEY;
            if known {
                continue;
            }
            return Err(damaged("it has a key that nobody wrote"));
        };
        let number = u16::from_be_bytes([high, low]);
        match table {
            u64::TABLE => get(&checker, &mut sums, &mut tombstones, number, &sealed)?,
            StandingList::TABLE => get(&checker, &mut sums, &mut standing, number, &sealed)?,
            HeldSet::TABLE => get(&checker, &mut sums, &mut holders, number, &sealed)?,
            _ => return Err(damaged("it has a table that nobody wrote")),
        }
    }
    if (sums.shards, sums.sum) != (meta.shards, meta.sum) {
        return Err(damaged("its shards are not those of its position"));
    }
    let view = View::from_parts(KeyHasher::new(secret), tombstones, standing, holders, meta.totals)
        .ok_or_else(|| damaged("its shards do not give its totals"))?;
    Ok(Some((checker, Restored { view, heads: meta.heads }, sums)))
}

fn get<V: Stored>(
    checker: &Checker,
    sums: &mut Sums,
    table: &mut CowMap<V>,
    number: u16,
    sealed: &[u8],
) -> Result<(), DiskError> {
    let (entries, check) =
        checker.open_shard::<V>(number, sealed).ok_or_else(|| damaged("a shard does not fit its check"))?;
    sums.set(V::TABLE, number, Some(check));
    if table.restore_shard(number, entries) {
        Ok(())
    } else {
        Err(damaged("a shard has keys of another one"))
    }
}

/// Makes the folder and locks it for this process: two agents on one store would each throw away the other's.
fn lock(folder: &Path) -> Result<File, StoreError> {
    let shown = || folder.display().to_string();
    let unusable = |source: io::Error| StoreError::Folder { path: shown(), source };
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(unusable)?;
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(folder.join(LOCK_FILE))
        .map_err(unusable)?;
    flock(&file, FlockOperation::NonBlockingLockExclusive).map_err(|errno| match errno {
        rustix::io::Errno::WOULDBLOCK => StoreError::Locked { path: shown() },
        other => unusable(other.into()),
    })?;
    Ok(file)
}

/// Opens sled. Why patiently: its own lock outlives a handle of this process by a moment; other processes are
/// kept out by ours.
pub(super) fn open_sled(folder: &Path) -> Result<sled::Db, StoreError> {
    let config = sled::Config::new()
        .path(sled_folder(folder))
        .cache_capacity(CACHE_BYTES)
        .mode(sled::Mode::LowSpace)
        // Why none: every write is flushed by us, a timer would only wake an idle machine.
        .flush_every_ms(None);
    let mut attempts = SLED_LOCK_ATTEMPTS;
    loop {
        match config.open() {
            Ok(db) => return Ok(db),
            Err(error) if !is_locked(&error) => return Err(StoreError::Disk(error.into())),
            Err(_) if attempts == 0 => return Err(StoreError::Locked { path: folder.display().to_string() }),
            Err(_) => {
                attempts -= 1;
                std::thread::sleep(SLED_LOCK_PAUSE);
            }
        }
    }
}

/// Why by text: sled wraps the error of its lock into one without a kind.
fn is_locked(error: &sled::Error) -> bool {
    matches!(error, sled::Error::Io(error) if error.to_string().contains("could not acquire lock"))
}

/// Removes the store, not the lock.
pub(super) fn remove(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(sled_folder(folder)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}
