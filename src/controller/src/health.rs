//! Why directives are not accepted right now, if they are not: one list, told by every task, read by all.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rescind_core::position::Lane;
use rescind_telemetry::ControllerMetrics;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

/// Whether directives are accepted, and if not, why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Readiness {
    /// They are.
    pub ready: bool,
    /// Why not, each for a person; empty where they are.
    pub reasons: Vec<String>,
}

/// What can be wrong. Ordered as it is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Trouble {
    /// Somebody holds accepted changes that the log lacks.
    HistoryLost,
    /// Two histories, or a log that does not fold: somebody has to look.
    Fork,
    /// Confirmed entries gave way to another controller's.
    Diverged,
    /// About to write.
    Starting,
    /// This controller follows, and nobody is heard who writes.
    NoWriter,
    /// The controller is shutting down; final.
    Stopping,
    /// The log of this lane takes nothing.
    Log(Lane),
    /// An entry of this lane is not known to be stored.
    Settling(Lane),
    /// No connection.
    Bus,
    /// No tick was appended for a while, so nobody gets a lease.
    Ticks,
}

/// Cheap to clone; all clones are one.
#[derive(Debug, Clone)]
pub(crate) struct Health {
    troubles: Arc<watch::Sender<BTreeMap<Trouble, String>>>,
    metrics: Arc<ControllerMetrics>,
}

impl Health {
    pub(crate) fn new(metrics: Arc<ControllerMetrics>) -> Self {
        metrics.set_ready(true);
        Self { troubles: Arc::new(watch::Sender::new(BTreeMap::new())), metrics }
    }

    /// Something is wrong, or it is wrong in another way.
    pub(crate) fn raise(&self, trouble: Trouble, reason: impl Into<String>) {
        let reason = reason.into();
        self.troubles.send_if_modified(|troubles| {
            let is_new = troubles.get(&trouble) != Some(&reason);
            if is_new {
                if !troubles.contains_key(&trouble) {
                    tracing::warn!(%reason, "not ready");
                }
                troubles.insert(trouble, reason);
                self.metrics.set_ready(false);
            }
            is_new
        });
    }

    /// It is right again.
    pub(crate) fn clear(&self, trouble: Trouble) {
        self.troubles.send_if_modified(|troubles| {
            let was_there = troubles.remove(&trouble).is_some();
            if was_there {
                tracing::info!(?trouble, "cleared");
                self.metrics.set_ready(troubles.is_empty());
            }
            was_there
        });
    }

    /// The reason of one trouble, if it is there.
    pub(crate) fn reason(&self, trouble: Trouble) -> Option<String> {
        self.troubles.borrow().get(&trouble).cloned()
    }

    pub(crate) fn readiness(&self) -> Readiness {
        let troubles = self.troubles.borrow();
        Readiness { ready: troubles.is_empty(), reasons: troubles.values().cloned().collect() }
    }

    /// Waits until nothing is wrong.
    pub(crate) async fn wait_ready(&self, wait: Duration) -> Result<(), Readiness> {
        let mut troubles = self.troubles.subscribe();
        let end = Instant::now() + wait;
        let ready = timeout_at(end, troubles.wait_for(BTreeMap::is_empty)).await;
        match ready {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(self.readiness()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn reasons_come_and_go() {
        let health = Health::new(Arc::new(ControllerMetrics::new()));
        assert!(health.readiness().ready);
        health.raise(Trouble::Bus, "the bus is away");
        health.raise(Trouble::Log(Lane::Deny), "the disk is full");
        let seen = health.readiness();
        assert_eq!(
            (seen.ready, seen.reasons),
            (false, vec!["the disk is full".to_owned(), "the bus is away".to_owned()])
        );
        health.wait_ready(Duration::from_millis(5)).await.unwrap_err();
        health.clear(Trouble::Log(Lane::Deny));
        health.clear(Trouble::Bus);
        health.wait_ready(Duration::from_millis(5)).await.unwrap();
    }
}
