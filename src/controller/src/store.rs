//! One file of the embedded store, opened again by itself after it failed. The only module that opens one.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{PoisonError, RwLock};

use redb::Database;

/// Limit: page cache of one file. Appends and tails are small; a restart reads every page once.
const CACHE_BYTES: usize = 32 << 20;

/// A file of the data directory that could not be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process has it.
    #[error("`{path}` is in use by another process; stop that controller or choose another data_dir", path = path.display())]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// The file system or the store said no.
    #[error("cannot {action} the {name}: {reason}; check room, rights and health of the disk")]
    Failed {
        /// What was attempted.
        action: &'static str,
        /// What it is.
        name: String,
        /// What the store said.
        reason: String,
    },
    /// What is in it cannot be what was written.
    #[error("the {name} is damaged: {reason}; restore data_dir from a copy, never edit it")]
    Damaged {
        /// What it is.
        name: String,
        /// What is wrong.
        reason: String,
    },
    /// It was written for another chain.
    #[error("`{path}` belongs to chain `{found}`, not `{wanted}`; choose another data_dir or correct realm_file", path = path.display())]
    OtherChain {
        /// The file.
        path: PathBuf,
        /// Its chain.
        found: String,
        /// The configured one.
        wanted: String,
    },
}

/// Opens the store; called again after a failure.
pub(crate) type Opener = Box<dyn Fn() -> Result<Database, redb::DatabaseError> + Send + Sync>;

/// One file. All calls block on the disk.
pub(crate) struct Store {
    path: PathBuf,
    name: String,
    open: Opener,
    database: RwLock<Option<Database>>,
    /// The store failed, or was never opened.
    broken: AtomicBool,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Store({})", self.name)
    }
}

impl Store {
    /// A file that is opened at its first use. `name` is for messages: `log of lane deny`.
    pub(crate) fn new(path: &Path, name: String) -> Self {
        let file = path.to_owned();
        let open = move || {
            let mut builder = Database::builder();
            builder.set_cache_size(CACHE_BYTES);
            builder.create(&file)
        };
        Self::with_opener(path, name, Box::new(open))
    }

    pub(crate) fn with_opener(path: &Path, name: String, open: Opener) -> Self {
        let (database, broken) = (RwLock::new(None), AtomicBool::new(true));
        Self { path: path.to_owned(), name, open, database, broken }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Runs `work`; opens the file first where that is needed.
    pub(crate) fn with<T>(
        &self,
        action: &'static str,
        work: impl Fn(&Database) -> Result<T, redb::Error>,
    ) -> Result<T, StoreError> {
        if self.broken.load(Ordering::Acquire) {
            self.reopen()?;
        }
        let database = self.database.read().unwrap_or_else(PoisonError::into_inner);
        let Some(database) = database.as_ref() else {
            return Err(self.failed(action, "it is being opened again"));
        };
        // Why caught: the store behind panics on some damage. Why unwind safe: it is opened again before the next use.
        match catch_unwind(AssertUnwindSafe(|| work(database))) {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(error)) => {
                self.broken.store(true, Ordering::Release);
                Err(match error {
                    redb::Error::Corrupted(reason) => self.damaged(reason),
                    error => self.failed(action, &error.to_string()),
                })
            }
            Err(_) => {
                self.broken.store(true, Ordering::Release);
                Err(self.damaged(format!("the store panicked; it could not {action} it")))
            }
        }
    }

    pub(crate) fn damaged(&self, reason: String) -> StoreError {
        StoreError::Damaged { name: self.name.clone(), reason }
    }

    fn reopen(&self) -> Result<(), StoreError> {
        let mut database = self.database.write().unwrap_or_else(PoisonError::into_inner);
        if !self.broken.load(Ordering::Acquire) {
            return Ok(());
        }
        // Why first: the store locks its file for as long as it is open.
        let before = database.take();
        let opened = catch_unwind(AssertUnwindSafe(|| {
            drop(before);
            (self.open)()
        }));
        let Ok(opened) = opened else {
            return Err(self.damaged("the store panicked while it was opened".to_owned()));
        };
        match opened {
            Ok(opened) => {
                *database = Some(opened);
                self.broken.store(false, Ordering::Release);
                Ok(())
            }
            Err(redb::DatabaseError::DatabaseAlreadyOpen) => {
                Err(StoreError::InUse { path: self.path.clone() })
            }
            Err(redb::DatabaseError::Storage(redb::StorageError::Corrupted(reason))) => {
                Err(self.damaged(reason))
            }
            Err(error) => Err(self.failed("open", &error.to_string())),
        }
    }

    fn failed(&self, action: &'static str, reason: &str) -> StoreError {
        StoreError::Failed { action, name: self.name.clone(), reason: reason.to_owned() }
    }
}
