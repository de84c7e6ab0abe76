//! How the other tasks reach the engine. Every channel is bounded; whoever sends, waits or is refused.

use rescind_core::ids::RecordId;
use rescind_core::lease::LeaseRequest;
use rescind_core::position::Heads;
use rescind_core::report::Report;
use rescind_core::time::BootNs;
use tokio::sync::{mpsc, oneshot, watch};

use super::batches::BatchRequest;
use super::board::{BoardRequest, BoardView};
use super::inside::Inside;
use crate::grants::LeaseReply;

/// Limit: requests with directives under way to the engine.
const BATCHES_MAX: usize = 64;
/// Limit: lease requests under way; more than one renewal of 10,000 agents in the time of one tick.
const LEASES_MAX: usize = 8192;
/// Limit: reports under way.
const REPORTS_MAX: usize = 8192;
/// Limit: questions under way.
const COMMANDS_MAX: usize = 256;

/// The engine ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the controller is shutting down; ask the next one")]
pub(crate) struct EngineGone;

pub(super) type Question = Box<dyn FnOnce(&Inside<'_>) + Send>;

/// A question to the engine.
pub(super) enum Command {
    Inspect(Question),
    Board(BoardRequest),
}

/// The receiving ends.
#[derive(Debug)]
pub(super) struct Inbox {
    /// Goes before `batches`, however full these are.
    pub(super) urgent: mpsc::Receiver<BatchRequest>,
    pub(super) batches: mpsc::Receiver<BatchRequest>,
    pub(super) leases: mpsc::Receiver<(LeaseRequest, LeaseReply)>,
    pub(super) reports: mpsc::Receiver<Report>,
    pub(super) commands: mpsc::Receiver<Command>,
}

/// Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct EngineHandle {
    urgent: mpsc::Sender<BatchRequest>,
    batches: mpsc::Sender<BatchRequest>,
    leases: mpsc::Sender<(LeaseRequest, LeaseReply)>,
    reports: mpsc::Sender<Report>,
    commands: mpsc::Sender<Command>,
    heads: watch::Receiver<Heads>,
}

impl std::fmt::Debug for Command {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Inspect(_) => f.write_str("Inspect"),
            Self::Board(request) => request.fmt(f),
        }
    }
}

pub(super) fn channels(heads: watch::Receiver<Heads>) -> (EngineHandle, Inbox) {
    let (urgent_in, urgent) = mpsc::channel(BATCHES_MAX);
    let (batches_in, batches) = mpsc::channel(BATCHES_MAX);
    let (leases_in, leases) = mpsc::channel(LEASES_MAX);
    let (reports_in, reports) = mpsc::channel(REPORTS_MAX);
    let (commands_in, commands) = mpsc::channel(COMMANDS_MAX);
    let handle = EngineHandle {
        urgent: urgent_in,
        batches: batches_in,
        leases: leases_in,
        reports: reports_in,
        commands: commands_in,
        heads,
    };
    (handle, Inbox { urgent, batches, leases, reports, commands })
}

impl EngineHandle {
    /// Hands a request with directives over; waits while the engine has too many.
    pub(crate) async fn submit(&self, batch: BatchRequest) -> Result<(), EngineGone> {
        let sender = if batch.is_urgent() { &self.urgent } else { &self.batches };
        sender.send(batch).await.map_err(|_| EngineGone)
    }

    /// Hands a verified lease request over; `false` where there is no room: its agent asks again.
    pub(crate) fn ask_lease(&self, request: LeaseRequest, reply: LeaseReply) -> bool {
        self.leases.try_send((request, reply)).is_ok()
    }

    /// Hands a verified report over; `false` where there is no room: the next one says more.
    pub(crate) fn report(&self, report: Report) -> bool {
        self.reports.try_send(report).is_ok()
    }

    /// Asks the engine's state. `question` runs on the engine's task: it must be short.
    pub(crate) async fn inspect<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Inside<'_>) -> T + Send + 'static,
    ) -> Result<T, EngineGone> {
        let (reply, answer) = oneshot::channel();
        let question: Question = Box::new(move |inside| drop(reply.send(question(inside))));
        self.commands.send(Command::Inspect(question)).await.map_err(|_| EngineGone)?;
        answer.await.map_err(|_| EngineGone)
    }

    /// The board of a change, when it is enforced or at `until`; `None` for one that is not there.
    pub(crate) async fn board(&self, id: RecordId, until: BootNs) -> Result<Option<BoardView>, EngineGone> {
        let (reply, answer) = oneshot::channel();
        let request = BoardRequest { id, until, reply };
        self.commands.send(Command::Board(request)).await.map_err(|_| EngineGone)?;
        answer.await.map_err(|_| EngineGone)
    }

    /// Confirmed heads, followed.
    pub(crate) fn heads(&self) -> watch::Receiver<Heads> {
        self.heads.clone()
    }
}
