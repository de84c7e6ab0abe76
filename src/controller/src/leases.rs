//! What agents send: lease requests and reports. Verified here, so that the engine sees only what an agent of
//! this realm signed. The bus and the direct path end up in the same places.

use std::sync::Arc;
use std::time::Duration;

use rescind_bus::{Incoming, ReportEvent, ReportFeed, Requests};
use rescind_codec::{CodecError, TrustBundle, decode_lease_request, decode_report};
use rescind_core::ids::{AgentId, InstanceId};
use rescind_core::lease::LeaseRequest;
use rescind_core::report::Report;
use rescind_telemetry::ControllerMetrics;
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;

use crate::clock;
use crate::engine::EngineHandle;
use crate::grants::LeaseReply;
use crate::roster::Roster;
use crate::standing::Role;

/// Limit: first requests of runs that wait for the roster.
const FIRSTS_MAX: usize = 8192;
/// Limit: first requests of one durable step.
const FIRSTS_AT_ONCE: usize = 1024;
/// Limit: reports of the direct path that wait to be taken.
const DIRECT_REPORTS_MAX: usize = 8192;
/// Pause before what reports changed in the roster is written.
const SAVE_PAUSE: Duration = Duration::from_millis(500);

/// What the fault of an agent that cannot read a change begins with.
const POISON: &str = "poison";

/// What it takes.
#[derive(Debug)]
pub(crate) struct AgentsParts {
    pub(crate) trust: Arc<TrustBundle>,
    pub(crate) engine: EngineHandle,
    pub(crate) roster: Arc<Roster>,
    pub(crate) metrics: Arc<ControllerMetrics>,
    /// Told where an agent is stuck before a change that it cannot read.
    pub(crate) poisoned: Arc<Notify>,
}

/// Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Agents {
    trust: Arc<TrustBundle>,
    engine: EngineHandle,
    roster: Arc<Roster>,
    metrics: Arc<ControllerMetrics>,
    poisoned: Arc<Notify>,
    firsts: mpsc::Sender<First>,
    direct_reports: mpsc::Sender<Report>,
}

/// The receiving ends.
#[derive(Debug)]
pub(crate) struct AgentQueues {
    firsts: mpsc::Receiver<First>,
    direct_reports: mpsc::Receiver<Report>,
}

type First = (LeaseRequest, LeaseReply);

impl Agents {
    pub(crate) fn new(parts: AgentsParts) -> (Self, AgentQueues) {
        let AgentsParts { trust, engine, roster, metrics, poisoned } = parts;
        let (firsts_in, firsts) = mpsc::channel(FIRSTS_MAX);
        let (reports_in, direct_reports) = mpsc::channel(DIRECT_REPORTS_MAX);
        let agents =
            Self { trust, engine, roster, metrics, poisoned, firsts: firsts_in, direct_reports: reports_in };
        (agents, AgentQueues { firsts, direct_reports })
    }

    /// Takes lease requests of the bus until `stop`.
    pub(crate) async fn run_leases(self, mut requests: Requests, stop: CancellationToken) {
        loop {
            let incoming = tokio::select! {
                () = stop.cancelled() => break,
                incoming = requests.next() => incoming,
            };
            let Some(Incoming { payload, responder }) = incoming else {
                tracing::error!(
                    reason = requests.refusal(),
                    "cannot take lease requests; correct this user's permissions"
                );
                break;
            };
            let reply = LeaseReply::Bus(responder);
            match self.read_lease(&payload) {
                Ok(request) => self.take_lease(request, reply).await,
                Err(error) => reply.fail(403, &error.to_string()).await,
            }
        }
        requests.close().await;
    }

    /// Verifies a lease request.
    ///
    /// # Errors
    /// [`CodecError`]: no agent of this realm signed it.
    pub(crate) fn read_lease(&self, payload: &[u8]) -> Result<LeaseRequest, CodecError> {
        decode_lease_request(payload, &self.trust, clock::wall()).inspect_err(|error| {
            self.metrics.rejected("lease_request", error.code());
            self.metrics.leases("refused", 1);
        })
    }

    /// Hands a verified lease request on; it is answered after the next tick, or its reply is dropped.
    pub(crate) async fn take_lease(&self, request: LeaseRequest, reply: LeaseReply) {
        let (role, behind) = {
            let standing = self.engine.standing();
            let standing = standing.borrow();
            (standing.role, standing.behind)
        };
        if let Some((lane, at)) = behind {
            // Agents that hold more hand it back: protocol.md, restore.
            let text = format!("behind {lane} {}-{}", at.epoch.0, at.revision);
            return reply.fail(409, &text).await;
        }
        if role != Role::Writer {
            // Whoever writes answers.
            return;
        }
        let taken = if self.roster.is_granted(&request.agent, request.instance) {
            self.engine.ask_lease(request, reply)
        } else {
            self.firsts.try_send((request, reply)).is_ok()
        };
        if !taken {
            self.metrics.leases("unanswered", 1);
        }
    }

    /// Makes first grants durable, then hands them on; both queues end with `stop`.
    pub(crate) async fn run_queues(self, queues: AgentQueues, feed: ReportFeed, stop: CancellationToken) {
        let AgentQueues { firsts, direct_reports } = queues;
        let enrolling = tokio::spawn(self.clone().run_firsts(firsts, stop.clone()));
        self.run_reports(feed, direct_reports, stop).await;
        if enrolling.await.is_err() {
            tracing::error!("the task of first lease requests failed");
        }
    }

    /// INVARIANT (S2): the first grant to a run is durable in the roster before it can be sent.
    async fn run_firsts(self, mut firsts: mpsc::Receiver<First>, stop: CancellationToken) {
        let mut group = Vec::new();
        loop {
            let count = tokio::select! {
                () = stop.cancelled() => return,
                count = firsts.recv_many(&mut group, FIRSTS_AT_ONCE) => count,
            };
            if count == 0 {
                return;
            }
            let runs: Vec<(AgentId, InstanceId)> =
                group.iter().map(|(request, _)| (request.agent.clone(), request.instance)).collect();
            let roster = Arc::clone(&self.roster);
            let noted = tokio::task::spawn_blocking(move || roster.note_grants(&runs)).await;
            match noted {
                Ok(Ok(())) => {
                    for (request, reply) in group.drain(..) {
                        if !self.engine.ask_lease(request, reply) {
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

    /// Takes reports of both ways until `stop`.
    async fn run_reports(
        self,
        mut feed: ReportFeed,
        mut direct: mpsc::Receiver<Report>,
        stop: CancellationToken,
    ) {
        let mut is_unsaved = false;
        loop {
            let event = tokio::select! {
                () = stop.cancelled() => break,
                event = feed.next() => event,
                Some(report) = direct.recv() => {
                    is_unsaved |= self.note_report(report);
                    continue;
                }
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
        match tokio::task::spawn_blocking(move || roster.save().and_then(|()| roster.save_heard())).await {
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

    /// Verifies a report.
    ///
    /// # Errors
    /// [`CodecError`]: no agent of this realm signed it.
    pub(crate) fn read_report(&self, bytes: &[u8]) -> Result<Report, CodecError> {
        decode_report(bytes, &self.trust, clock::wall()).inspect_err(|error| {
            self.metrics.rejected("report", error.code());
            self.metrics.report("refused");
        })
    }

    /// Hands on a verified report of the direct path; `false` where there is no room.
    pub(crate) fn take_direct_report(&self, report: Report) -> bool {
        self.direct_reports.try_send(report).is_ok()
    }

    /// `true`: the roster has something to save.
    fn take_report(&self, agent: &str, bytes: &[u8]) -> bool {
        let Ok(report) = self.read_report(bytes) else { return false };
        if report.agent.as_str() != agent {
            self.metrics.rejected("report", "wrong_subject");
            self.metrics.report("refused");
            return false;
        }
        self.note_report(report)
    }

    fn note_report(&self, report: Report) -> bool {
        let is_writer = self.engine.standing().borrow().role == Role::Writer;
        let is_new = self.roster.note_heard(&report.agent, clock::wall());
        let is_unsaved = is_new
            | if is_writer {
                self.roster.note_report(&report)
            } else {
                self.roster.note_reported_elsewhere(&report)
            };
        if report.fault.starts_with(POISON) {
            self.poisoned.notify_one();
        }
        if !self.engine.report(report) {
            self.metrics.report("full");
        }
        is_unsaved
    }
}
