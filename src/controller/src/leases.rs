//! What agents send: lease requests and reports. Verified here, so that the engine sees only what an agent of
//! this realm signed.

use std::sync::Arc;

use rescind_bus::{Incoming, ReportEvent, ReportFeed, Requests, Responder};
use rescind_codec::{TrustBundle, decode_lease_request, decode_report};
use rescind_core::ids::{AgentId, InstanceId};
use rescind_core::lease::LeaseRequest;
use rescind_telemetry::ControllerMetrics;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::clock;
use crate::engine::EngineHandle;
use crate::roster::Roster;

/// Limit: first requests of runs that wait for the roster.
const FIRSTS_MAX: usize = 8192;
/// Limit: first requests of one durable step.
const FIRSTS_AT_ONCE: usize = 1024;

/// What it takes.
#[derive(Debug, Clone)]
pub(crate) struct Agents {
    pub(crate) trust: Arc<TrustBundle>,
    pub(crate) engine: EngineHandle,
    pub(crate) roster: Arc<Roster>,
    pub(crate) metrics: Arc<ControllerMetrics>,
}

type First = (LeaseRequest, Responder);

impl Agents {
    /// Takes lease requests until `stop`.
    pub(crate) async fn run_leases(self, mut requests: Requests, stop: CancellationToken) {
        let (firsts, waiting) = mpsc::channel(FIRSTS_MAX);
        let enrolling = tokio::spawn(self.clone().run_firsts(waiting));
        loop {
            let incoming = tokio::select! {
                () = stop.cancelled() => break,
                incoming = requests.next() => incoming,
            };
            let Some(incoming) = incoming else {
                tracing::error!(
                    reason = requests.refusal(),
                    "cannot take lease requests; correct this user's permissions"
                );
                break;
            };
            self.take_lease(incoming, &firsts).await;
        }
        drop(firsts);
        requests.close().await;
        if enrolling.await.is_err() {
            tracing::error!("the task of first lease requests failed");
        }
    }

    async fn take_lease(&self, incoming: Incoming, firsts: &mpsc::Sender<First>) {
        let Incoming { payload, responder } = incoming;
        let request = match decode_lease_request(&payload, &self.trust, clock::wall()) {
            Ok(request) => request,
            Err(error) => {
                self.metrics.rejected("lease_request", error.code());
                self.metrics.leases("refused", 1);
                responder.fail(403, &error.to_string()).await.ok();
                return;
            }
        };
        let taken = if self.roster.is_granted(&request.agent, request.instance) {
            self.engine.ask_lease(request, responder)
        } else {
            firsts.try_send((request, responder)).is_ok()
        };
        if !taken {
            self.metrics.leases("unanswered", 1);
        }
    }

    /// INVARIANT (S2): the first grant to a run is durable in the roster before it can be sent.
    async fn run_firsts(self, mut firsts: mpsc::Receiver<First>) {
        let mut group = Vec::new();
        while firsts.recv_many(&mut group, FIRSTS_AT_ONCE).await > 0 {
            let runs: Vec<(AgentId, InstanceId)> =
                group.iter().map(|(request, _)| (request.agent.clone(), request.instance)).collect();
            let roster = Arc::clone(&self.roster);
            let noted = tokio::task::spawn_blocking(move || roster.note_grants(&runs)).await;
            match noted {
                Ok(Ok(())) => {
                    for (request, responder) in group.drain(..) {
                        if !self.engine.ask_lease(request, responder) {
                            self.metrics.leases("unanswered", 1);
                        }
                    }
                }
                Ok(Err(error)) => {
                    tracing::warn!(%error, runs = group.len(), "runs that are new get no lease: the roster takes nothing");
                    self.metrics.leases("unanswered", group.len() as u64);
                    group.clear();
                }
                Err(error) => {
                    tracing::error!(%error, "writing the roster failed");
                    group.clear();
                }
            }
        }
    }

    /// Takes reports until `stop`.
    pub(crate) async fn run_reports(self, mut feed: ReportFeed, stop: CancellationToken) {
        let mut is_unsaved = false;
        loop {
            let event = tokio::select! {
                () = stop.cancelled() => break,
                event = feed.next() => event,
                // Why together: what one report says of its policy is worth no sync of its own.
                () = tokio::time::sleep(SAVE_PAUSE), if is_unsaved => {
                    is_unsaved = !self.save_roster().await;
                    continue;
                }
            };
            match event {
                Some(ReportEvent::Report { agent, bytes }) => is_unsaved |= self.take_report(&agent, &bytes),
                Some(ReportEvent::Overflow | ReportEvent::Reconnected) => {}
                Some(ReportEvent::Refused { reason }) => {
                    tracing::error!(reason, "cannot take reports; correct this user's permissions");
                }
                None => break,
            }
        }
        feed.close().await;
        if is_unsaved {
            self.save_roster().await;
        }
    }

    async fn save_roster(&self) -> bool {
        let roster = Arc::clone(&self.roster);
        match tokio::task::spawn_blocking(move || roster.save()).await {
            Ok(Ok(())) => true,
            Ok(Err(error)) => {
                tracing::warn!(%error, "the roster was not saved");
                false
            }
            Err(error) => {
                tracing::error!(%error, "saving the roster failed");
                false
            }
        }
    }

    /// `true`: the roster has something to save.
    fn take_report(&self, agent: &str, bytes: &[u8]) -> bool {
        let report = match decode_report(bytes, &self.trust, clock::wall()) {
            Ok(report) => report,
            Err(error) => {
                self.metrics.rejected("report", error.code());
                self.metrics.report("refused");
                return false;
            }
        };
        if report.agent.as_str() != agent {
            self.metrics.rejected("report", "wrong_subject");
            self.metrics.report("refused");
            return false;
        }
        let is_unsaved = self.roster.note_report(&report);
        if !self.engine.report(report) {
            self.metrics.report("full");
        }
        is_unsaved
    }
}

/// Pause before what reports changed in the roster is written.
const SAVE_PAUSE: std::time::Duration = std::time::Duration::from_millis(500);
