//! The one task that owns the sequencer (with the registry) and the ledger. Everybody else sends it messages
//! on bounded channels; what it decides goes out as messages to the lane writers and to whoever waits.
//!
//! Nothing here waits for a disk or the bus, so a slow lane never holds up the other one, a lease or a board.

mod batches;
mod board;
mod claim;
mod handle;
mod inside;
mod recalled;
mod receipts;
mod role;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use rescind_codec::{NonceTree, SignedTick, TrustBundle};
use rescind_core::controller::ledger::{Ledger, Placed, Taken};
use rescind_core::controller::refusal::Deposed;
use rescind_core::controller::registry::Retention;
use rescind_core::controller::roll_call::Claims;
use rescind_core::controller::sequencer::{ControllerOutput, Outcome, Sequencer};
use rescind_core::controller::tenure::Tenure;
use rescind_core::controller::{Now, Ticket};
use rescind_core::ids::{AgentId, ControllerId, InstanceId, RecordId};
use rescind_core::lease::LeaseRequest;
use rescind_core::position::{EntryHash, Heads, Lane};
use rescind_core::report::Report;
use rescind_core::time::BootNs;
use rescind_telemetry::{ControllerMetrics, LaneMetrics};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

pub(crate) use batches::{Answered, BatchRequest};
pub(crate) use board::BoardView;
pub(crate) use handle::{EngineGone, EngineHandle};
pub(crate) use inside::Inside;
pub(crate) use role::RoleNews;

use self::batches::{Batches, Item};
use self::board::{AcceptedTimes, BoardWaits};
use self::handle::{Command, Inbox};
use self::recalled::Recalled;
use self::receipts::Receipts;
use self::role::{Folding, LaneRole, Phase};
use crate::aside;
use crate::asking::Asking;
use crate::clock;
use crate::grants::{GrantJob, LeaseReply};
use crate::health::{Health, Trouble};
use crate::lanes::PerLane;
use crate::roster::Roster;
use crate::standing::Standing;
use crate::startup::{Folded, Logs, StartError};
use crate::writer::{LaneEvent, LaneJob};

/// Why 3 s: several ticks; the shortest lease is 2 s, so agents notice at the same time.
const TICK_SILENCE_MAX: Duration = Duration::from_secs(3);

/// Limit: what is still under way when a stop was asked for.
const DRAIN_WAIT: Duration = Duration::from_secs(5);

/// Limit: agents of this run that are known to have reported.
const REPORTED_MAX: usize = 65_536;

/// Longest sleep: how often silence is looked at.
const LOOK_PAUSE: Duration = Duration::from_secs(1);

/// Where the lanes' work goes.
#[derive(Debug)]
pub(crate) struct LaneSenders {
    pub(crate) deny: mpsc::Sender<LaneJob>,
    pub(crate) grant: mpsc::Sender<LaneJob>,
}

/// What the engine is made of.
pub(crate) struct EngineParts {
    pub(crate) sequencer: Sequencer,
    pub(crate) ledger: Ledger,
    pub(crate) lanes: LaneSenders,
    pub(crate) events: mpsc::Receiver<LaneEvent>,
    pub(crate) grants: mpsc::Sender<GrantJob>,
    pub(crate) health: Health,
    pub(crate) metrics: Arc<ControllerMetrics>,
    /// Who this is.
    pub(crate) me: ControllerId,
    pub(crate) boot: InstanceId,
    pub(crate) roster: Arc<Roster>,
    /// `None` only in tests without a bus.
    pub(crate) asking: Option<Asking>,
    pub(crate) logs: Logs,
    pub(crate) trust: Arc<TrustBundle>,
    pub(crate) retention: Retention,
    /// What is known of the writer before this run.
    pub(crate) tenure: Tenure,
    pub(crate) claims: Claims,
    /// Nobody else wrote last: this controller goes on.
    pub(crate) may_go_on: bool,
}

/// What is in flight on a lane, as far as answers need it.
#[derive(Debug, Clone, Copy)]
struct InFlight {
    committed_at: rescind_core::time::UnixMs,
    changes: u64,
    cut_at: Instant,
}

#[derive(Debug)]
struct LaneState {
    in_flight: Option<InFlight>,
    accepted: AcceptedTimes,
    metrics: LaneMetrics,
}

impl LaneState {
    fn of(metrics: &ControllerMetrics, heads: &Heads) -> (Self, Self) {
        let lane = |lane: &'static str, head: rescind_core::position::Position| {
            let metrics = metrics.lane(lane);
            metrics.set_head(head.revision.0);
            Self { in_flight: None, accepted: AcceptedTimes::new(head), metrics }
        };
        (lane("deny", heads.deny.position), lane("grant.0", heads.grant.position))
    }
}

pub(crate) struct Engine {
    sequencer: Sequencer,
    ledger: Ledger,
    lanes: LaneSenders,
    events: mpsc::Receiver<LaneEvent>,
    grants: mpsc::Sender<GrantJob>,
    inbox: Inbox,
    heads: watch::Sender<Heads>,
    deny: LaneState,
    grant: LaneState,
    batches: Batches,
    boards: BoardWaits,
    receipts: Receipts,
    leases: HashMap<u64, LeaseReply>,
    next_lease: u64,
    signed: Option<(SignedTick, NonceTree)>,
    ticked_at: BootNs,
    health: Health,
    metrics: Arc<ControllerMetrics>,
    me: ControllerId,
    boot: InstanceId,
    roster: Arc<Roster>,
    asking: Option<Asking>,
    /// For tasks that ask others.
    news: mpsc::Sender<Command>,
    logs: Logs,
    trust: Arc<TrustBundle>,
    retention: Retention,
    phase: Phase,
    tenure: Tenure,
    claims: Claims,
    recalled: Recalled,
    lane_roles: PerLane<LaneRole>,
    folding: Option<Folding>,
    standing: watch::Sender<Standing>,
    /// The stream had gone back and this many entries were published again.
    restored: bool,
    republished: u64,
    retry_at: BootNs,
    /// Agents that reported in this run.
    reported: BTreeSet<AgentId>,
    is_stopping: bool,
}

impl Engine {
    pub(crate) fn new(parts: EngineParts, now: Now) -> (Self, EngineHandle) {
        let EngineParts {
            sequencer,
            ledger,
            lanes,
            events,
            grants,
            health,
            metrics,
            me,
            boot,
            roster,
            asking,
            logs,
            trust,
            retention,
            tenure,
            claims,
            may_go_on,
        } = parts;
        let heads = sequencer.heads();
        let (deny, grant) = LaneState::of(&metrics, &heads);
        let heads = watch::Sender::new(heads);
        let standing = watch::Sender::new(Standing::starting(sequencer.epoch()));
        let (handle, inbox) = handle::channels(heads.subscribe(), standing.subscribe());
        let mut engine = Self {
            sequencer,
            ledger,
            lanes,
            events,
            grants,
            inbox,
            heads,
            deny,
            grant,
            batches: Batches::default(),
            boards: BoardWaits::default(),
            receipts: Receipts::default(),
            leases: HashMap::new(),
            next_lease: 0,
            signed: None,
            ticked_at: now.boot,
            health,
            metrics,
            me,
            boot,
            roster,
            asking,
            news: handle.news(),
            logs,
            trust,
            retention,
            phase: Phase::Standby,
            tenure,
            claims,
            recalled: Recalled::default(),
            lane_roles: PerLane::default(),
            folding: None,
            standing,
            restored: false,
            republished: 0,
            retry_at: now.boot,
            reported: BTreeSet::new(),
            is_stopping: false,
        };
        engine.sequencer.stand_by();
        if may_go_on {
            engine.claim_at_start(now, None);
        }
        (engine, handle)
    }

    /// Runs until `stop` and everything under way is answered, or [`DRAIN_WAIT`] after `stop`.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        let mut drain_until: Option<BootNs> = None;
        loop {
            let now = clock::now();
            self.work(now);
            if let Some(until) = drain_until
                && (now.boot >= until
                    || (self.batches.is_empty()
                        && (self.sequencer.is_quiet() || !self.sequencer.is_writing())))
            {
                break;
            }
            let wake = self.next_wake(now, drain_until);
            let more = self.batches.can_feed();
            tokio::select! {
                Some(event) = self.events.recv() => self.on_event(event),
                Some(batch) = self.inbox.urgent.recv() => self.batches.open(batch),
                folded = finished(&mut self.folding) => self.on_folded(folded),
                Some(batch) = self.inbox.batches.recv(), if self.batches.has_room() => self.batches.open(batch),
                Some((request, reply)) = self.inbox.leases.recv() => self.on_lease(request, reply),
                Some(report) = self.inbox.reports.recv() => self.on_report(report),
                Some(command) = self.inbox.commands.recv() => self.on_command(command),
                () = stop.cancelled(), if drain_until.is_none() => {
                    drain_until = Some(now.boot.plus(DRAIN_WAIT));
                    self.is_stopping = true;
                }
                () = tokio::task::yield_now(), if more => {}
                () = sleep(wake) => {}
            }
        }
        aside::drop_aside(self.sequencer);
        tracing::debug!("the engine stopped");
    }

    /// Everything that is due, until there is nothing more to do without a new message.
    fn work(&mut self, now: Now) {
        for (ticket, directive, rights) in self.batches.feed(now.boot, &self.metrics) {
            self.sequencer.handle_directive(now, ticket, directive, &rights);
            self.pump(now);
        }
        if self.sequencer.poll_timeout().is_some_and(|at| at <= now.boot) {
            self.sequencer.handle_timeout(now);
        }
        if self.ledger.poll_timeout().is_some_and(|at| at <= now.boot) {
            self.ledger.handle_timeout(now.boot);
        }
        self.pump(now);
        self.run_role(now);
        self.answer_boards(now);
        let is_silent = now.boot.since(self.ticked_at) > TICK_SILENCE_MAX;
        if is_silent && self.sequencer.is_writing() {
            self.health
                .raise(Trouble::Ticks, "no tick was stored for 3 s, so agents get no leases; check the bus");
        }
    }

    fn next_wake(&self, now: Now, drain_until: Option<BootNs>) -> Duration {
        let times = [
            self.sequencer.poll_timeout(),
            self.ledger.poll_timeout(),
            self.boards.poll_timeout(),
            self.role_timeout(),
            drain_until,
        ];
        let next = times.into_iter().flatten().min().map_or(LOOK_PAUSE, |at| at.since(now.boot));
        next.min(LOOK_PAUSE)
    }

    fn on_lease(&mut self, request: LeaseRequest, reply: LeaseReply) {
        if !self.sequencer.is_writing() {
            // Another controller answers.
            return;
        }
        self.next_lease = self.next_lease.wrapping_add(1);
        let ticket = self.next_lease;
        self.leases.insert(ticket, reply);
        self.sequencer.handle_lease_request(clock::now(), Ticket(ticket), request);
    }

    fn on_report(&mut self, report: Report) {
        let now = clock::now();
        let (agent, instance) = (report.agent.clone(), report.instance);
        let applied = (report.applied.deny.position, report.applied.grant.position);
        // What somebody holds of this chain, this log has to have.
        self.claims.note(&report.applied);
        if let Phase::Claiming(claim) = &mut self.phase {
            claim.handle_report(&agent);
        }
        if self.reported.len() < REPORTED_MAX {
            self.reported.insert(agent.clone());
        }
        let outcome = self.ledger.handle_report(now.boot, report);
        self.metrics.report(match outcome.taken {
            Taken::Yes => "taken",
            Taken::Replayed => "replayed",
            Taken::Full => "full",
        });
        if let Some(alarm) = outcome.alarm {
            self.metrics.alarm(alarm.word());
            if outcome.has_regressed {
                self.metrics.invariants().note("S5");
            }
            tracing::warn!(%agent, alarm = alarm.word(), "an agent's report is suspicious");
        }
        if outcome.taken == Taken::Yes {
            self.receipts.note(agent, instance, applied, now.wall);
            self.boards.is_dirty = true;
        }
    }

    fn on_command(&mut self, command: Command) {
        let now = clock::now();
        match command {
            Command::Inspect(question) => question(&self.inside(now)),
            Command::Role(news) => self.on_news(now, news),
            Command::TakeOver(reply) => {
                reply.send(self.ask_take_over()).ok();
            }
            Command::Recovery(reply) => drop(reply.send(self.recovery())),
            Command::GiveUp { epoch, lost, reply } => {
                // Why ignored: who asked has gone.
                reply.send(self.give_up_history(now, epoch, *lost)).ok();
            }
            Command::Board(request) => {
                // Why `until` first: without a wait the answer must not be late.
                if let Some(request) = self.boards.admit(request, now.boot) {
                    let view = self.inside(now).board(request.id);
                    request.answer(view);
                }
            }
        }
    }

    fn inside(&self, now: Now) -> Inside<'_> {
        Inside {
            sequencer: &self.sequencer,
            ledger: &self.ledger,
            receipts: &self.receipts,
            accepted: [&self.deny.accepted, &self.grant.accepted],
            now,
        }
    }

    fn answer_boards(&mut self, now: Now) {
        let due = self.boards.due(now.boot);
        for request in due {
            let is_over = request.until <= now.boot;
            let view = self.inside(now).board(request.id);
            let is_enforced = view.as_ref().is_none_or(BoardView::is_enforced);
            if is_over || is_enforced {
                request.answer(view);
            } else {
                self.boards.keep(request);
            }
        }
    }

    fn on_event(&mut self, event: LaneEvent) {
        let now = clock::now();
        match event {
            LaneEvent::Committed { lane, hash } => {
                self.lane_role(lane).is_busy = false;
                self.on_committed(now, lane, hash);
            }
            LaneEvent::Indeterminate { lane } => self.sequencer.handle_commit_indeterminate(now, lane),
            LaneEvent::TickAppended { signed, tree } => {
                self.lane_role(Lane::Deny).is_busy = false;
                self.metrics.tick("appended");
                self.signed = Some((signed, tree));
                self.ticked_at = now.boot;
                self.health.clear(Trouble::Ticks);
                self.sequencer.handle_tick_appended(now);
            }
            LaneEvent::TickFailed => {
                self.lane_role(Lane::Deny).is_busy = false;
                self.metrics.tick("failed");
                self.sequencer.handle_tick_failed(now);
            }
            LaneEvent::Deposed { lane, reason } => {
                self.lane_role(lane).is_busy = false;
                self.step_down(now, &reason);
            }
            LaneEvent::Restored { republished } => {
                self.restored = true;
                self.republished = self.republished.saturating_add(republished);
            }
            LaneEvent::Followed { lane, followed } => {
                self.lane_role(lane).is_busy = false;
                let is_read = match followed {
                    Ok(followed) => self.take_followed(now, lane, *followed),
                    Err(reason) => {
                        tracing::debug!(%lane, reason, "a lane was not read");
                        self.lane_role(lane).follow_at = now.boot.plus(role::RETRY_PAUSE);
                        false
                    }
                };
                self.claim_followed(now, lane, is_read);
            }
            LaneEvent::Settled { lane, settled } => {
                self.lane_role(lane).is_busy = false;
                self.on_settled(now, lane, settled);
            }
            LaneEvent::Adopted { lane, entries } => {
                self.lane_role(lane).is_busy = false;
                if !self.adopt_all(&entries) {
                    self.step_down(now, "an entry that was handed over does not fold");
                }
            }
        }
        self.pump(now);
    }

    fn on_committed(&mut self, now: Now, lane: Lane, hash: EntryHash) {
        self.sequencer.handle_committed(now, lane, hash);
        let heads = self.sequencer.heads();
        let head = heads.get(lane).map(|head| head.position).unwrap_or_default();
        let state = self.lane_mut(lane);
        state.accepted.note(head, now.boot);
        // Stays until the next commit: the answers that come now need its time.
        if let Some(InFlight { changes, cut_at, .. }) = state.in_flight {
            state.metrics.committed(changes, cut_at.elapsed(), head.revision.0);
        }
        self.heads.send_replace(heads);
        let view = self.sequencer.registry().view();
        self.metrics.set_state(view.records(), view.entitlements());
    }

    /// `false`: this controller writes already, or cannot take over now.
    fn ask_take_over(&mut self) -> bool {
        let may = matches!(self.phase, Phase::Standby);
        if may {
            self.tenure.ask();
        }
        may
    }

    /// Performs what the machines want done.
    fn pump(&mut self, now: Now) {
        while let Some(output) = self.sequencer.poll_output() {
            match output {
                ControllerOutput::Commit { entry, reasons } => {
                    let lane = entry.lane;
                    let changes = u64::try_from(entry.changes.len()).unwrap_or(u64::MAX);
                    let in_flight =
                        InFlight { committed_at: entry.committed_at, changes, cut_at: Instant::now() };
                    self.lane_mut(lane).in_flight = Some(in_flight);
                    self.send_job(lane, LaneJob::Commit { entry, reasons });
                }
                ControllerOutput::AppendTick { tick, requests } => {
                    // INVARIANT (S2): noted before the append, see `Ledger::note_granted`.
                    for (_, request) in &requests {
                        self.ledger.note_granted(&request.agent, request.instance, now.boot);
                    }
                    let requests = requests.into_iter().map(|(_, request)| request).collect();
                    self.send_job(Lane::Deny, LaneJob::Tick { tick, requests });
                }
                ControllerOutput::Granted { requests, .. } => self.grant_leases(&requests),
                ControllerOutput::Unanswered(tickets) => {
                    self.metrics.leases("unanswered", tickets.len() as u64);
                    for Ticket(ticket) in tickets {
                        self.leases.remove(&ticket);
                    }
                }
                ControllerOutput::Answer { ticket, outcome } => self.answer(now, ticket, outcome),
            }
        }
        while let Some(enforced) = self.ledger.poll_output() {
            self.metrics.enforced(enforced.enforced_at.since(enforced.accepted_at));
            self.boards.is_dirty = true;
        }
    }

    fn send_job(&mut self, lane: Lane, job: LaneJob) {
        let sender = match lane {
            Lane::Deny => &self.lanes.deny,
            Lane::Grant(_) => &self.lanes.grant,
        };
        // One job per lane is under way, and the channel has room for one.
        let sent = sender.try_send(job);
        self.lane_role(lane).is_busy = true;
        if sent.is_err() {
            self.health
                .raise(Trouble::Fork, format!("the writer of lane {lane} is gone; restart the controller"));
            self.sequencer.handle_deposed(Deposed::LogFailed);
        }
    }

    fn grant_leases(&mut self, requests: &[(Ticket, LeaseRequest)]) {
        let replies: Vec<Option<LeaseReply>> =
            requests.iter().map(|(Ticket(ticket), _)| self.leases.remove(ticket)).collect();
        let Some((signed, tree)) = self.signed.take() else { return };
        if replies.is_empty() {
            return;
        }
        let count = requests.len() as u64;
        // Why not waiting: agents ask again within a second, and this task must not stand still.
        let sent = self.grants.try_send(GrantJob { signed, tree, replies });
        self.metrics.leases(if sent.is_ok() { "granted" } else { "unanswered" }, count);
    }

    fn answer(&mut self, now: Now, ticket: Ticket, outcome: Outcome) {
        let Some(Item { ends, is_tracked, .. }) = self.batches.item(ticket) else { return };
        let mut answered = Answered { outcome, accepted_at: None, cutoff: None };
        if let Outcome::Accepted { id, position, existing } = answered.outcome {
            let lane = id.lane();
            let in_flight = if existing { None } else { self.lane_mut(lane).in_flight };
            answered.accepted_at = in_flight.map(|one| one.committed_at);
            self.describe(&mut answered, id, ends);
            if is_tracked && !existing {
                let target = self.sequencer.registry().record(id).map(|row| row.record.target.kind());
                self.ledger.track(id, Placed { lane, position, target }, now.boot);
            }
        }
        self.batches.answer(ticket, answered, &self.metrics);
    }

    /// When it was accepted and what it cuts off, as state has it.
    fn describe(&self, answered: &mut Answered, id: RecordId, ends: Option<RecordId>) {
        let registry = self.sequencer.registry();
        if let Some(row) = registry.record(id) {
            answered.accepted_at = Some(row.accepted_at);
            answered.cutoff = row.record.cutoff;
        } else if let Some(row) = registry.entitlement(id) {
            answered.accepted_at = Some(row.accepted_at);
        } else if let Some(row) = ends.and_then(|ends| registry.record(ends)) {
            answered.cutoff = match row.state {
                rescind_core::record::RecordState::Active => None,
                rescind_core::record::RecordState::Ended { residual_cutoff } => residual_cutoff,
            };
        }
    }

    const fn lane_mut(&mut self, lane: Lane) -> &mut LaneState {
        match lane {
            Lane::Deny => &mut self.deny,
            Lane::Grant(_) => &mut self.grant,
        }
    }
}

/// Waits for the fold under way; for ever where there is none. Cancel safe.
async fn finished(folding: &mut Option<Folding>) -> Result<Folded, StartError> {
    let Some(handle) = folding else { return std::future::pending().await };
    let done = handle.await;
    *folding = None;
    done.unwrap_or_else(|error| Err(StartError::Task(error.to_string())))
}
