//! How the other tasks reach the engine. Every channel is bounded; whoever sends, waits or is refused.

use rescind_core::epoch::LostHistory;
use rescind_core::ids::RecordId;
use rescind_core::lease::LeaseRequest;
use rescind_core::position::{Epoch, Heads};
use rescind_core::report::Report;
use rescind_core::time::BootNs;
use tokio::sync::{mpsc, oneshot, watch};

use super::batches::BatchRequest;
use super::board::{BoardRequest, BoardView};
use super::inside::Inside;
use super::role::RoleNews;
use crate::grants::LeaseReply;
use crate::standing::Standing;

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
    /// Something that the role depends on.
    Role(RoleNews),
    /// A person wants this standby to write.
    TakeOver(oneshot::Sender<bool>),
    /// What two persons would sign.
    Recovery(oneshot::Sender<Option<(Epoch, Heads)>>),
    /// Two persons gave up what is missing.
    GiveUp {
        epoch: Epoch,
        lost: Box<LostHistory>,
        reply: oneshot::Sender<bool>,
    },
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
    standing: watch::Receiver<Standing>,
}

impl std::fmt::Debug for Command {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Inspect(_) => f.write_str("Inspect"),
            Self::Board(request) => request.fmt(f),
            Self::Role(_) => f.write_str("Role"),
            Self::TakeOver(_) => f.write_str("TakeOver"),
            Self::Recovery(_) => f.write_str("Recovery"),
            Self::GiveUp { .. } => f.write_str("GiveUp"),
        }
    }
}

pub(super) fn channels(
    heads: watch::Receiver<Heads>,
    standing: watch::Receiver<Standing>,
) -> (EngineHandle, Inbox) {
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
        standing,
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

    /// For tasks of the engine itself.
    pub(super) fn news(&self) -> mpsc::Sender<Command> {
        self.commands.clone()
    }

    /// Tells the engine something that its role depends on; dropped where it has no time, the next one says more.
    pub(crate) fn tell(&self, news: RoleNews) {
        self.commands.try_send(Command::Role(news)).ok();
    }

    /// As [`Self::tell`], waiting for room.
    pub(crate) async fn tell_surely(&self, news: RoleNews) {
        self.commands.send(Command::Role(news)).await.ok();
    }

    /// Asks a standby to take over now. `false`: it does not follow anybody.
    pub(crate) async fn take_over(&self) -> Result<bool, EngineGone> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(Command::TakeOver(reply)).await.map_err(|_| EngineGone)?;
        answer.await.map_err(|_| EngineGone)
    }

    /// What two persons would have to sign; `None`: nothing is missing.
    pub(crate) async fn recovery(&self) -> Result<Option<(Epoch, Heads)>, EngineGone> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(Command::Recovery(reply)).await.map_err(|_| EngineGone)?;
        answer.await.map_err(|_| EngineGone)
    }

    /// Gives up what is missing. `false`: nothing is missing, or not from there.
    pub(crate) async fn give_up(&self, epoch: Epoch, lost: LostHistory) -> Result<bool, EngineGone> {
        let (reply, answer) = oneshot::channel();
        let command = Command::GiveUp { epoch, lost: Box::new(lost), reply };
        self.commands.send(command).await.map_err(|_| EngineGone)?;
        answer.await.map_err(|_| EngineGone)
    }

    /// The role, followed.
    pub(crate) fn standing(&self) -> watch::Receiver<Standing> {
        self.standing.clone()
    }

    /// Confirmed heads, followed.
    pub(crate) fn heads(&self) -> watch::Receiver<Heads> {
        self.heads.clone()
    }
}
