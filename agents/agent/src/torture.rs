//! The local store on its own, without pauses between writes: for tests that kill and damage it.
//!
//! Behind the feature `torture`; nothing ships with it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rescind_core::agent::Restored;
use rescind_core::decide::Published;
use rescind_core::ids::ChainId;
use rescind_core::position::Heads;
use tokio::sync::oneshot::error::RecvError;

use crate::store::{Pace, Store};

/// A store and what it held.
#[derive(Debug)]
pub struct OpenedStore {
    /// The store.
    pub store: TortureStore,
    /// The secret that makes the keys of its states.
    pub secret: [u8; 16],
    /// What it gave back.
    pub restored: Option<Restored>,
}

/// The store could not be opened at all.
#[derive(Debug, thiserror::Error)]
pub enum TortureError {
    /// Its thread did not start.
    #[error("the thread of the store did not start; the system is out of resources")]
    Thread(#[from] std::io::Error),
    /// Its thread ended without an answer.
    #[error("the thread of the store ended by a panic; that is a bug")]
    Ended(#[from] RecvError),
}

/// How a store fares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TortureState {
    /// Whether what is written stays.
    pub on_disk: bool,
    /// What was acknowledged.
    pub durable: Heads,
    /// Why the last one was thrown away or is not used.
    pub trouble: Option<String>,
}

/// See the module's text.
#[derive(Debug)]
pub struct TortureStore(Store);

impl TortureStore {
    /// Opens a store as a start of the agent does; blocks until it is read.
    ///
    /// # Errors
    /// [`TortureError`].
    pub fn open(folder: PathBuf, chain: ChainId, fresh: [u8; 16]) -> Result<OpenedStore, TortureError> {
        let pace = Pace { pause: Duration::ZERO, share: 0 };
        let (store, loaded) = Store::open_paced(folder, chain, fresh, pace)?;
        let loaded = loaded.blocking_recv()?;
        Ok(OpenedStore { store: Self(store), secret: loaded.secret, restored: loaded.restored })
    }

    /// Asks for a state to be written; the newest wins.
    pub fn persist(&self, published: Arc<Published>) {
        self.0.persist(published);
    }

    /// How it fares now.
    #[must_use]
    pub fn state(&self) -> TortureState {
        let state = self.0.state().borrow().clone();
        let trouble = state.trouble.map(|trouble| trouble.as_ref().to_owned());
        TortureState { on_disk: state.on_disk, durable: state.durable, trouble }
    }
}
