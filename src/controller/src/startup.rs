//! Warm restart: open the logs, fold them, and bring the stream in line with them.
//!
//! The log is the truth; the stream is where others read it. What the stream lacks is published again, in
//! order, at the same positions, before this controller writes. What the stream has and the log lacks was
//! written by another controller, or this log went back: it is taken over, see [`crate::follow`].

mod fold;
mod origin;
mod reconcile;
#[cfg(test)]
mod tests;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rescind_bus::{ConnectError, ReadError, StreamError, SubjectError, SubscribeError};
use rescind_core::ids::ChainId;
use rescind_core::position::{Epoch, Lane, Revision};

pub(crate) use fold::{Folded, fold};
pub(crate) use origin::{Origin, Reading};
pub(crate) use reconcile::{Comparison, Reconciled, reconcile};

use crate::store::StoreError;
use crate::wal::{LaneLog, LogIdentity};

/// A controller that could not start. Nothing was accepted; what was accepted before is untouched.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data directory cannot be used.
    #[error("cannot use data_dir `{path}`; make it writable for this user", path = path.display())]
    DataDir {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file of the data directory.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The log is not a chain.
    #[error(
        "the log of lane {lane} does not hold together at revision {revision}: {reason}; restore data_dir from a copy"
    )]
    Chain {
        /// Which lane.
        lane: Lane,
        /// Where.
        revision: Revision,
        /// What is wrong.
        reason: String,
    },
    /// The realm cannot be a part of subjects.
    #[error(transparent)]
    Subject(#[from] SubjectError),
    /// No connection to the bus.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The stream cannot be used.
    #[error(transparent)]
    Stream(#[from] StreamError),
    /// The stream cannot be read.
    #[error("cannot compare the stream with the log")]
    Read(#[from] ReadError),
    /// A subject cannot be listened to.
    #[error("cannot listen on the bus")]
    Subscribe(#[from] SubscribeError),
    /// The stream cannot be read into the log.
    #[error(
        "cannot read lane {lane} of the stream into the log: {reason}; see that the bus works and start again"
    )]
    Follow {
        /// Which lane.
        lane: Lane,
        /// What happened.
        reason: String,
    },
    /// Somebody listens there.
    #[error(
        "`{address}` is in use; stop the other process or choose another `listen` (port 0 lets the system choose)"
    )]
    PortInUse {
        /// The address.
        address: std::net::SocketAddr,
    },
    /// The address cannot be used.
    #[error(
        "cannot listen on `{address}`; choose an address of this machine and a port that this user may use"
    )]
    Listen {
        /// The address.
        address: std::net::SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// The address file cannot be written.
    #[error("cannot write address_file `{path}`; make its folder writable", path = path.display())]
    AddressFile {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The server takes smaller messages than entries are.
    #[error("the nats-server takes messages of {found} bytes, entries need {wanted}; raise its max_payload")]
    Payload {
        /// What it takes.
        found: usize,
        /// What is needed.
        wanted: usize,
    },
    /// The system gives no random numbers.
    #[error("the system gives no random numbers; look at its kernel")]
    Random,
    /// A part of the start ended early.
    #[error("a part of the start ended early: {0}; this is a bug, keep the logs")]
    Task(String),
}

/// The logs of all lanes of this version.
#[derive(Debug, Clone)]
pub(crate) struct Logs {
    pub(crate) deny: Arc<LaneLog>,
    pub(crate) grant: Arc<LaneLog>,
}

impl Logs {
    /// Opens the logs in `dir`, making what is missing, with rights for their owner only.
    pub(crate) fn open(dir: &Path, chain: &ChainId) -> Result<Self, StartError> {
        prepare_dir(dir).map_err(|source| StartError::DataDir { path: dir.to_owned(), source })?;
        let open = |lane: Lane| {
            let identity = LogIdentity { chain: chain.clone(), epoch: Epoch(1), lane };
            LaneLog::open(&dir.join(format!("{lane}.redb")), identity).map(Arc::new)
        };
        Ok(Self { deny: open(Lane::Deny)?, grant: open(Lane::Grant(0))? })
    }

    /// The log of a lane; `None` for one that this version does not run.
    pub(crate) const fn get(&self, lane: Lane) -> Option<&Arc<LaneLog>> {
        match lane {
            Lane::Deny => Some(&self.deny),
            Lane::Grant(0) => Some(&self.grant),
            Lane::Grant(_) => None,
        }
    }
}

fn prepare_dir(dir: &Path) -> std::io::Result<()> {
    if !dir.is_dir() {
        fs::create_dir_all(dir)?;
        restrict(dir)?;
    }
    Ok(())
}

#[cfg(unix)]
fn restrict(dir: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(dir, fs::Permissions::from_mode(0o700))
}

#[cfg(not(unix))]
fn restrict(_: &Path) -> std::io::Result<()> {
    Ok(())
}
