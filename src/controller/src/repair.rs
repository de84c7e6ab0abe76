//! Serves missing ranges from the log: agents need no JetStream.
//!
//! INVARIANT (S13): only confirmed entries leave; what is pending may never become part of the chain.

use std::sync::Arc;

use rescind_bus::{Incoming, Requests};
use rescind_codec::{RepairRequest, decode_repair};
use rescind_core::position::Heads;
use rescind_telemetry::ControllerMetrics;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::startup::Logs;
use crate::wal::{LoggedEntry, ReadLimits};

/// Limit: answers under way at once. Why few: each holds up to [`ANSWER_BYTES_MAX`], and the disk is one.
const ANSWERS_MAX: usize = 8;
/// Limit: bytes of one answer; the agent asks for the rest.
const ANSWER_BYTES_MAX: usize = 8 << 20;

/// What it takes to serve.
#[derive(Debug, Clone)]
pub(crate) struct Repair {
    pub(crate) logs: Logs,
    pub(crate) heads: watch::Receiver<Heads>,
    pub(crate) metrics: Arc<ControllerMetrics>,
}

impl Repair {
    /// Serves until `stop`, then waits for the answers under way.
    pub(crate) async fn run(self, mut requests: Requests, stop: CancellationToken) {
        let room = Arc::new(Semaphore::new(ANSWERS_MAX));
        let mut answers = JoinSet::new();
        loop {
            let incoming = tokio::select! {
                () = stop.cancelled() => break,
                incoming = requests.next() => incoming,
            };
            let Some(incoming) = incoming else {
                tracing::error!(
                    reason = requests.refusal(),
                    "cannot serve ranges; correct this user's permissions"
                );
                break;
            };
            while answers.try_join_next().is_some() {}
            let Ok(permit) = Arc::clone(&room).acquire_owned().await else { break };
            let repair = self.clone();
            answers.spawn(async move {
                let outcome = repair.answer(incoming).await;
                repair.metrics.repair("range", outcome);
                drop(permit);
            });
        }
        requests.close().await;
        answers.join_all().await;
    }

    async fn answer(&self, incoming: Incoming) -> &'static str {
        let Incoming { payload, mut responder } = incoming;
        let request = match decode_repair(&payload) {
            Ok(request) => request,
            Err(error) => {
                self.metrics.rejected("repair", error.code());
                responder.fail(400, &error.to_string()).await.ok();
                return "refused";
            }
        };
        let Some(entries) = self.read(request).await else {
            responder.fail(503, "the log cannot be read now; ask again").await.ok();
            return "failed";
        };
        for entry in entries {
            if responder.send_part(entry.bytes).await.is_err() {
                return "failed";
            }
        }
        if responder.end().await.is_ok() { "served" } else { "failed" }
    }

    /// `None`: the log cannot be read. An unknown lane has no entries.
    pub(crate) async fn read(&self, request: RepairRequest) -> Option<Vec<LoggedEntry>> {
        let Some(log) = self.logs.get(request.lane).cloned() else { return Some(Vec::new()) };
        let until =
            self.heads.borrow().get(request.lane).map(|head| head.position.revision).unwrap_or_default();
        let entries = usize::try_from(request.entries_max).unwrap_or(usize::MAX);
        let limits = ReadLimits { entries, bytes: ANSWER_BYTES_MAX };
        let read = tokio::task::spawn_blocking(move || log.range(request.after, until, limits)).await;
        match read {
            Ok(Ok(entries)) => Some(entries),
            Ok(Err(error)) => {
                tracing::warn!(%error, "a range was not read");
                None
            }
            Err(error) => {
                tracing::error!(%error, "reading a range failed");
                None
            }
        }
    }
}
