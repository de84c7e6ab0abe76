//! The one path of directives into the engine, shared by the HTTP and the bus door: limits, the deadline, and
//! what an answer needs that state does not have any more.

use std::sync::Arc;
use std::time::Duration;

use rescind_codec::{CodecError, LogItem, TrustBundle, check_note, decode_log_message};
use rescind_core::change::Directive;
use rescind_core::controller::rights::Rights;
use rescind_core::controller::sequencer::Outcome;
use rescind_core::ids::RecordId;
use rescind_core::position::Lane;
use rescind_core::time::UnixMs;
use rescind_telemetry::ControllerMetrics;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout, timeout_at};

use crate::clock;
use crate::engine::{Answered, BatchRequest, EngineHandle};
use crate::forward::Forwarder;
use crate::health::{Health, Trouble};
use crate::standing::Role;
use crate::startup::Logs;

/// A directive that has no certain outcome after this time is answered as indeterminate (L4).
pub(crate) const DIRECTIVE_WAIT: Duration = Duration::from_secs(5);

/// Limit: until the engine takes a request.
const HAND_OVER_WAIT: Duration = Duration::from_secs(2);

/// Why a request was not taken at all: nothing was ordered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Shut {
    /// The log takes nothing.
    #[error(
        "the controller's log takes nothing now ({0}); nothing was ordered, repeat with the same idempotency key"
    )]
    LogFull(String),
    /// Nobody writes, or nobody who was heard.
    #[error("{0}; nothing was ordered, repeat with the same idempotency key")]
    NoWriter(String),
    /// Somebody holds accepted changes that this controller lacks.
    #[error("{0}")]
    HistoryLost(String),
    /// The engine has too many requests.
    #[error("too many requests wait; nothing was ordered, repeat with the same idempotency key")]
    Busy,
    /// It is going down.
    #[error("the controller is shutting down; nothing was ordered, repeat with the same idempotency key")]
    Stopping,
}

impl Shut {
    pub(crate) const fn code(&self) -> &'static str {
        match self {
            Self::LogFull(_) => "log_full",
            Self::NoWriter(_) => "no_writer",
            Self::HistoryLost(_) => "history_lost",
            Self::Busy => "busy",
            Self::Stopping => "not_ready",
        }
    }
}

/// Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Door {
    pub(crate) engine: EngineHandle,
    pub(crate) health: Health,
    /// `None` only in tests without a log.
    pub(crate) logs: Option<Logs>,
    pub(crate) trust: Arc<TrustBundle>,
    pub(crate) metrics: Arc<ControllerMetrics>,
    /// `None` only in tests without a bus.
    pub(crate) forwarder: Option<Forwarder>,
}

/// Texts of a directive that a reader of the chain would refuse.
pub(crate) fn check_texts(directive: &Directive) -> Result<(), CodecError> {
    let origin = &directive.origin;
    let notes = [
        ("requested_by", &origin.requested_by),
        ("reason_code", &origin.reason_code),
        ("incident", &origin.incident),
    ];
    for (what, note) in notes {
        if let Some(note) = note {
            check_note(what, note)?;
        }
    }
    Ok(())
}

impl Door {
    /// Orders directives of one emitter; one answer each, in order. `None`: no certain outcome in time.
    pub(crate) async fn submit(
        &self,
        directives: Vec<Directive>,
        rights: Rights,
        door: &'static str,
    ) -> Result<Option<Vec<Answered>>, Shut> {
        let needed: Vec<Lane> = [Lane::Deny, Lane::Grant(0)]
            .into_iter()
            .filter(|lane| directives.iter().any(|directive| directive.ask.lane() == *lane))
            .collect();
        self.is_open(&needed)?;
        let started = Instant::now();
        if self.is_standby().await? {
            if self.engine.standing().borrow().writer.is_none() {
                return Err(Shut::NoWriter("no controller that writes is heard".to_owned()));
            }
            let Some(forwarder) = &self.forwarder else { return Err(Shut::Stopping) };
            let answers = forwarder.submit(&directives, rights).await;
            self.metrics.directive_took(door, started.elapsed());
            return answers;
        }
        let (reply, answer) = oneshot::channel();
        let until = clock::now().boot.plus(DIRECTIVE_WAIT);
        let batch = BatchRequest { directives, rights, until, reply };
        let work = async {
            // Certain: a request that was not handed over is not ordered later.
            let handed = timeout_at(started + HAND_OVER_WAIT, self.engine.submit(batch)).await;
            handed.map_err(|_| Shut::Busy)?.map_err(|_| Shut::Stopping)?;
            // An engine that ended after it took the request leaves the outcome open.
            Ok(answer.await.ok())
        };
        let done = timeout_at(started + DIRECTIVE_WAIT, work).await;
        self.metrics.directive_took(door, started.elapsed());
        let mut answers = match done {
            Ok(answers) => answers?,
            Err(_) => {
                self.metrics.directives("indeterminate", 1);
                None
            }
        };
        for answered in answers.iter_mut().flatten() {
            if let Outcome::Accepted { id, .. } = answered.outcome
                && answered.accepted_at.is_none()
            {
                answered.accepted_at = self.committed_at(id).await;
            }
        }
        Ok(answers)
    }

    /// Whether this controller orders changes.
    pub(crate) fn is_writer(&self) -> bool {
        self.engine.standing().borrow().role == Role::Writer
    }

    /// Whether another controller writes. Waits a little where this one is about to.
    pub(crate) async fn is_standby(&self) -> Result<bool, Shut> {
        let mut standing = self.engine.standing();
        let settled = standing.wait_for(|standing| standing.role != Role::Starting);
        match timeout(HAND_OVER_WAIT, settled).await {
            Ok(Ok(standing)) => Ok(standing.role == Role::Standby),
            Ok(Err(_)) => Err(Shut::Stopping),
            Err(_) => Err(Shut::NoWriter("this controller is not ready to write yet".to_owned())),
        }
    }

    fn is_open(&self, lanes: &[Lane]) -> Result<(), Shut> {
        if let Some(reason) = self.health.reason(Trouble::HistoryLost) {
            return Err(Shut::HistoryLost(reason));
        }
        if self.health.reason(Trouble::Stopping).is_some() {
            return Err(Shut::Stopping);
        }
        match lanes.iter().find_map(|lane| self.health.reason(Trouble::Log(*lane))) {
            Some(reason) => Err(Shut::LogFull(reason)),
            None => Ok(()),
        }
    }

    /// The private reason of a change, from the log.
    pub(crate) async fn reason(&self, id: RecordId) -> Option<String> {
        let log = Arc::clone(self.logs.as_ref()?.get(id.lane())?);
        let read = tokio::task::spawn_blocking(move || log.reason(id).ok().flatten());
        read.await.ok().flatten()
    }

    /// When a change was committed, from the log.
    pub(crate) async fn committed_at(&self, id: RecordId) -> Option<UnixMs> {
        let log = Arc::clone(self.logs.as_ref()?.get(id.lane())?);
        let trust = Arc::clone(&self.trust);
        let read = tokio::task::spawn_blocking(move || {
            let entry = log.holding(id.position().revision).ok()??;
            match decode_log_message(&entry.bytes, id.lane(), &trust) {
                Ok(LogItem::Entry(entry)) => Some(entry.entry.committed_at),
                Ok(LogItem::Tick(..)) | Err(_) => None,
            }
        });
        read.await.ok().flatten()
    }
}
