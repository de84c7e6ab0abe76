//! Small tasks that look after something while a controller runs.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rescind_bus::LinkState;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::health::{Health, Trouble};
use crate::roster::Roster;
use crate::startup::StartError;

/// Shortens what is remembered of leases, when the longer ones of the run before have ended.
pub(crate) struct LeaseMemory {
    pub(crate) roster: Arc<Roster>,
    pub(crate) now: Duration,
    pub(crate) after: Duration,
}

impl LeaseMemory {
    pub(crate) async fn run(self, stop: CancellationToken) {
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

/// Tells whether the bus is connected.
pub(crate) async fn watch_link(
    mut link: watch::Receiver<LinkState>,
    health: Health,
    stop: CancellationToken,
) {
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

/// Writes beside and renames, so that who waits for the file never reads half of it.
pub(crate) fn write_address(path: &Path, address: SocketAddr) -> Result<(), StartError> {
    let failed = |source| StartError::AddressFile { path: path.to_owned(), source };
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(failed)?;
    }
    let beside = path.with_extension("new");
    fs::write(&beside, format!("{address}\n")).map_err(failed)?;
    fs::rename(&beside, path).map_err(failed)
}

/// Runs what blocks on the disk.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, StartError> {
    tokio::task::spawn_blocking(work).await.map_err(|error| StartError::Task(error.to_string()))
}
