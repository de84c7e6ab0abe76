//! Where verifiers find keys, and the task that puts them there.
//!
//! A verifier reads a snapshot without a lock. It never fetches: for a `kid` that it does not know it leaves a
//! mark and fails. One [`KeyRefresher`] owns all I/O, takes the marks, and swaps snapshots. However many tokens
//! with invented `kid`s arrive, an issuer is asked at most once per
//! [`RefreshOptions::unknown_kid_interval`] on their account.
//!
//! A failed fetch changes nothing: the last good set stays, for as long as it takes. Why: an attacker who can
//! silence an issuer must not be able to silence its users; keys that are burnt are revoked over the bus.

mod fetch;
mod refresh;
#[cfg(test)]
mod server;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption, Guard};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::jwks::KeySet;
use crate::policy::TrustConfig;

pub use fetch::FetchError;
pub use refresh::{KeyRefresher, RefreshOptions, RefreshOutcome, RefreshReport, RefreshSetupError};

/// The keys of every configured issuer; cheap to clone, all clones see the same keys.
#[derive(Clone)]
pub struct KeyDirectory {
    slots: Arc<HashMap<String, Arc<KeySlot>>>,
    wake: Arc<Notify>,
}

/// The issuer is not in the configuration that the directory was made from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("issuer is not configured")]
pub struct UnknownIssuerError;

impl std::fmt::Debug for KeyDirectory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyDirectory").field("issuers", &self.slots.keys()).finish_non_exhaustive()
    }
}

impl KeyDirectory {
    /// An empty directory: until keys arrive, every token is refused with `token.key`.
    #[must_use]
    pub fn new(trust: &TrustConfig) -> Self {
        let wake = Arc::new(Notify::new());
        let slots = trust
            .issuers()
            .iter()
            .map(|policy| (policy.issuer().to_owned(), Arc::new(KeySlot::new(&wake))))
            .collect();
        Self { slots: Arc::new(slots), wake }
    }

    /// Puts a key set in place at once, without a refresher: static keys, tests.
    ///
    /// # Errors
    /// [`UnknownIssuerError`] if the configuration does not name the issuer.
    pub fn install(&self, issuer: &str, keys: KeySet) -> Result<(), UnknownIssuerError> {
        self.slots.get(issuer).ok_or(UnknownIssuerError)?.install(keys);
        Ok(())
    }

    /// The keys of an issuer as of now; `None` until some were loaded, or for an unknown issuer.
    #[must_use]
    pub fn keys(&self, issuer: &str) -> Option<Arc<KeySet>> {
        self.slots.get(issuer)?.keys.load_full()
    }

    /// Whether every issuer has keys. Before that the process is not ready.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.slots.values().all(|slot| slot.keys.load().is_some())
    }

    /// How each source fares, in order of issuer; for readiness, metrics and the board.
    #[must_use]
    pub fn health(&self) -> Vec<SourceHealth> {
        let mut health: Vec<SourceHealth> =
            self.slots.iter().map(|(issuer, slot)| slot.health(issuer.clone())).collect();
        health.sort_by(|a, b| a.issuer.cmp(&b.issuer));
        health
    }

    /// The place of an issuer's keys; one that nobody will ever fill if it is not configured.
    pub(crate) fn slot(&self, issuer: &str) -> Arc<KeySlot> {
        self.slots.get(issuer).map_or_else(|| Arc::new(KeySlot::new(&self.wake)), Arc::clone)
    }

    fn wake(&self) -> &Notify {
        &self.wake
    }
}

/// How the key source of one issuer fares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceHealth {
    /// The issuer.
    pub issuer: String,
    /// Usable keys; 0 if none were ever loaded.
    pub keys: usize,
    /// Keys of the document that are skipped.
    pub skipped: usize,
    /// Time since the source last confirmed these keys; `None` if it never did.
    pub confirmed_ago: Option<Duration>,
    /// Failures since then.
    pub failures: u32,
    /// The last failure, without any content of the document.
    pub last_error: Option<String>,
}

/// The keys of one issuer, and the mark that new ones are wanted.
pub(crate) struct KeySlot {
    keys: ArcSwapOption<KeySet>,
    wanted: AtomicBool,
    wake: Arc<Notify>,
    record: ArcSwap<FetchRecord>,
}

/// What became of the last fetches.
#[derive(Debug, Clone, Default)]
struct FetchRecord {
    confirmed_at: Option<Instant>,
    failures: u32,
    last_error: Option<String>,
}

impl KeySlot {
    fn new(wake: &Arc<Notify>) -> Self {
        Self {
            keys: ArcSwapOption::empty(),
            wanted: AtomicBool::new(false),
            wake: Arc::clone(wake),
            record: ArcSwap::default(),
        }
    }

    /// A snapshot; wait-free.
    pub(crate) fn load(&self) -> Guard<Option<Arc<KeySet>>> {
        self.keys.load()
    }

    /// Marks that a key was asked for in vain. Only the first mark wakes the refresher; the rest cost one read.
    pub(crate) fn want(&self) {
        if !self.wanted.load(Ordering::Relaxed) && !self.wanted.swap(true, Ordering::AcqRel) {
            self.wake.notify_one();
        }
    }

    fn is_wanted(&self) -> bool {
        self.wanted.load(Ordering::Acquire)
    }

    fn clear_wanted(&self) {
        self.wanted.store(false, Ordering::Release);
    }

    fn install(&self, keys: KeySet) {
        self.keys.store(Some(Arc::new(keys)));
        self.confirm();
    }

    fn confirm(&self) {
        self.record.store(Arc::new(FetchRecord {
            confirmed_at: Some(Instant::now()),
            failures: 0,
            last_error: None,
        }));
    }

    /// Records a failure; returns how many there were in a row.
    fn fail(&self, error: String) -> u32 {
        let before = self.record.load();
        let failures = before.failures.saturating_add(1);
        let record = FetchRecord { confirmed_at: before.confirmed_at, failures, last_error: Some(error) };
        self.record.store(Arc::new(record));
        failures
    }

    fn health(&self, issuer: String) -> SourceHealth {
        let keys = self.keys.load();
        let record = self.record.load();
        SourceHealth {
            issuer,
            keys: keys.as_ref().map_or(0, |keys| keys.len()),
            skipped: keys.as_ref().map_or(0, |keys| keys.skipped().len()),
            confirmed_ago: record.confirmed_at.map(|at| at.elapsed()),
            failures: record.failures,
            last_error: record.last_error.clone(),
        }
    }
}
