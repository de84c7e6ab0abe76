//! Which role the engine has, and how it changes.
//!
//! | phase | event | next |
//! |---|---|---|
//! | standby | the writer is silent for [`TAKE_OVER_AFTER`](rescind_core::controller::tenure), or a person asks | claiming |
//! | claiming | lanes read, roll called, stream in line ([`super::claim`]) | writing, in a new epoch where one is due |
//! | claiming | another writer is heard, or was faster | standby |
//! | writing | a lane has another writer's entry or tick | stepping down |
//! | writing | the stream had gone back | held, claiming, writing in a new epoch |
//! | writing | somebody holds more than the log | held, claiming (recall) |
//! | stepping down | both lanes read; the log folded again if something was in flight | standby |

use rescind_core::controller::Now;
use rescind_core::controller::refusal::Deposed;
use rescind_core::controller::sequencer::Hold;
use rescind_core::entry::{ChainedEntry, Tick};
use rescind_core::epoch::EpochReason;
use rescind_core::position::{Epoch, Heads, LANES, Lane};
use rescind_core::time::BootNs;
use std::time::Duration;
use tokio::task::JoinHandle;

use super::claim::{Claim, Stage};
use super::{AcceptedTimes, Engine};
use crate::asking::Handed;
use crate::follow::{Followed, Stop};
use crate::health::Trouble;
use crate::lanes::PerLane;
use crate::standing::{Role, Standing};
use crate::startup::{Folded, StartError};
use crate::writer::LaneJob;

/// How often a standby looks at the stream without being told to: the live feed may have lost something.
const FOLLOW_PAUSE: Duration = Duration::from_secs(1);
/// Pause after an attempt that failed.
pub(super) const RETRY_PAUSE: Duration = Duration::from_millis(250);

/// See the module's table.
#[derive(Debug)]
pub(super) enum Phase {
    Standby,
    Claiming(Box<Claim>),
    Writing,
    SteppingDown {
        /// Lanes that were read since.
        read: PerLane<bool>,
        /// Something was in flight, or the log was cut.
        must_fold: bool,
    },
    Folding,
}

/// What a lane does for the role.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct LaneRole {
    /// A job is under way.
    pub(super) is_busy: bool,
    /// There may be something to read.
    pub(super) follow_at: BootNs,
}

pub(super) type Folding = JoinHandle<Result<Folded, StartError>>;

/// What others tell the engine about roles.
#[derive(Debug)]
pub(crate) enum RoleNews {
    /// A verified tick on the live lane.
    Tick(Box<Tick>),
    /// A verified entry on a live lane.
    Entry(Lane),
    /// Entries that others have.
    Handed(Vec<Handed>),
    /// One of the asks of a roll call is answered; somebody holds history up to these.
    Answered(Vec<Heads>),
}

impl Engine {
    pub(super) fn lane_role(&mut self, lane: Lane) -> &mut LaneRole {
        self.lane_roles.of_mut(lane)
    }

    pub(super) fn are_lanes_idle(&self) -> bool {
        self.lane_roles.each().into_iter().all(|lane| !lane.is_busy)
    }

    /// What is due for the role; called whenever something happened.
    pub(super) fn run_role(&mut self, now: Now) {
        match &self.phase {
            Phase::Standby => self.run_standby(now),
            Phase::Claiming(_) => self.run_claim(now),
            Phase::Writing => self.run_writing(now),
            Phase::SteppingDown { .. } => self.run_step_down(),
            Phase::Folding => {}
        }
        if !matches!(self.phase, Phase::Writing) {
            // INVARIANT (S2): another controller grants, so nothing is claimed here.
            self.ledger.begin(now.boot);
        }
        self.tell_standing(now);
    }

    pub(super) fn role_timeout(&self) -> Option<BootNs> {
        let follow = self.lane_roles.each().into_iter().map(|lane| lane.follow_at).min();
        match &self.phase {
            Phase::Standby => follow.into_iter().chain([self.tenure.due().max(self.retry_at)]).min(),
            Phase::Claiming(claim) => claim.poll_timeout(self.retry_at),
            Phase::SteppingDown { .. } => follow,
            Phase::Writing | Phase::Folding => None,
        }
    }

    fn run_standby(&mut self, now: Now) {
        self.follow_due(now);
        self.adopt_recalled();
        if self.tenure.is_heard(now.boot) {
            self.health.clear(Trouble::NoWriter);
        } else {
            self.health.raise(
                Trouble::NoWriter,
                "no controller that writes is heard; this one takes over in a few seconds",
            );
        }
        let may = !self.is_stopping && self.health.reason(Trouble::Fork).is_none();
        if may && self.tenure.due() <= now.boot && self.retry_at <= now.boot && self.are_lanes_idle() {
            tracing::warn!("the writer is silent or a person asked; taking over");
            self.note_shared();
            self.claim(
                now,
                Claim::new(Some(EpochReason::TakeOver), Stage::Following { read: PerLane::default() }),
            );
        }
    }

    /// Reads the lanes that have something, or were not looked at for a while.
    pub(super) fn follow_due(&mut self, now: Now) {
        for lane in LANES {
            let role = self.lane_role(lane);
            if !role.is_busy && role.follow_at <= now.boot {
                role.follow_at = now.boot.plus(FOLLOW_PAUSE);
                self.send_job(lane, LaneJob::Follow);
            }
        }
    }

    fn run_writing(&mut self, now: Now) {
        if let Some((lane, at)) = self.claims.beyond(|lane| self.sequencer.ordered(lane)) {
            self.raise_lost(lane, at);
            self.sequencer.hold(Hold::HistoryLost);
            if self.sequencer.is_idle() && self.are_lanes_idle() {
                // What waits hears now that it was not ordered.
                self.sequencer.handle_deposed(Deposed::HistoryLost);
                self.claim(now, Claim::new(None, Stage::Recalling { asked_at: None }));
                self.pump(now);
            }
        } else if self.restored {
            self.sequencer.hold(Hold::StreamRestored);
            if self.sequencer.is_idle() && self.are_lanes_idle() {
                self.restored = false;
                self.sequencer.stand_by();
                let reason = (self.republished > 0).then_some(EpochReason::StreamRestored);
                self.republished = 0;
                self.claim(now, Claim::new(reason, Stage::settling()));
            }
        }
    }

    /// Another writer was found.
    pub(super) fn step_down(&mut self, now: Now, reason: &str) {
        if matches!(self.phase, Phase::SteppingDown { .. } | Phase::Folding) {
            return;
        }
        tracing::warn!(reason, "this controller steps down and follows");
        let must_fold = !self.sequencer.is_quiet();
        self.sequencer.handle_deposed(Deposed::ForeignEntry);
        self.tenure.restart(now.boot);
        self.restored = false;
        self.republished = 0;
        self.phase = Phase::SteppingDown { read: PerLane::default(), must_fold };
        for role in self.lane_roles.each_mut() {
            role.follow_at = now.boot;
        }
        self.pump(now);
    }

    fn run_step_down(&mut self) {
        let Phase::SteppingDown { read, must_fold } = self.phase else { return };
        if read.each().into_iter().all(|read| *read) && self.are_lanes_idle() {
            if must_fold {
                self.fold_again();
            } else {
                self.sequencer.stand_by();
                self.phase = Phase::Standby;
            }
            return;
        }
        let now = crate::clock::now();
        for lane in LANES {
            let LaneRole { is_busy, follow_at } = *self.lane_role(lane);
            if !*read.of(lane) && !is_busy && follow_at <= now.boot {
                self.send_job(lane, LaneJob::Follow);
            }
        }
    }

    fn fold_again(&mut self) {
        let (logs, trust) = (self.logs.clone(), std::sync::Arc::clone(&self.trust));
        let retention = self.retention.clone();
        self.phase = Phase::Folding;
        self.folding = Some(tokio::task::spawn_blocking(move || Folded::of(&logs, &trust, retention)));
    }

    /// The log was folded again.
    pub(super) fn on_folded(&mut self, done: Result<Folded, StartError>) {
        let now = crate::clock::now();
        match done {
            Ok(Folded { registry, heads, forgone }) => {
                if forgone > Epoch(0) {
                    self.claims.forgo(forgone);
                }
                self.sequencer.reset(registry, heads);
                self.phase = Phase::Standby;
                self.note_heads();
                self.tenure.restart(now.boot);
            }
            Err(error) => {
                let reason = format!("the log cannot be folded: {error}; restart the controller");
                self.health.raise(Trouble::Fork, reason);
                self.phase = Phase::Standby;
            }
        }
        self.tell_standing(now);
    }

    pub(super) fn on_news(&mut self, now: Now, news: RoleNews) {
        match news {
            RoleNews::Tick(tick) => self.hear_tick(now, &tick),
            RoleNews::Entry(lane) => self.lane_role(lane).follow_at = now.boot,
            RoleNews::Handed(entries) => {
                if !matches!(self.phase, Phase::Writing) {
                    entries.into_iter().for_each(|handed| self.recalled.put(handed));
                }
            }
            RoleNews::Answered(held) => {
                for heads in &held {
                    self.claims.note(heads);
                }
                if let Phase::Claiming(claim) = &mut self.phase {
                    claim.handle_answer();
                }
            }
        }
    }

    fn is_mine(&self, tick: &Tick) -> bool {
        tick.controller == self.me && tick.boot == self.boot
    }

    pub(super) fn hear_tick(&mut self, now: Now, tick: &Tick) {
        if !self.is_mine(tick) {
            self.tenure.handle_tick(now.boot, tick);
            if tick.heads != self.sequencer.heads() {
                for role in self.lane_roles.each_mut() {
                    role.follow_at = role.follow_at.min(now.boot);
                }
            }
        }
    }

    /// A lane was read. `true`: to its end, and what was adopted is in the state.
    pub(super) fn take_followed(&mut self, now: Now, lane: Lane, followed: Followed) -> bool {
        let Followed { adopted, was_cut, diverged, tick, claimed, stop, is_cut_short, .. } = followed;
        if let Some(reason) = diverged {
            tracing::error!(reason, "divergence");
            self.health.raise(Trouble::Diverged, reason);
        }
        if let Some(tick) = tick {
            self.hear_tick(now, &tick);
        }
        self.claims.note(&claimed);
        match &stop {
            Some(Stop::Fork(reason)) => self.health.raise(Trouble::Fork, reason.clone()),
            Some(Stop::Gap { after, .. }) => self.ask_for(lane, *after),
            None => {}
        }
        if is_cut_short {
            self.lane_role(lane).follow_at = now.boot;
        }
        match &mut self.phase {
            Phase::SteppingDown { read, must_fold: true } => {
                *read.of_mut(lane) = !is_cut_short;
                return true;
            }
            Phase::Folding => return true,
            Phase::SteppingDown { read, .. } => *read.of_mut(lane) = !is_cut_short,
            Phase::Standby | Phase::Claiming(_) | Phase::Writing => {}
        }
        if was_cut || !self.adopt_all(&adopted) {
            self.phase = Phase::SteppingDown { read: PerLane::default(), must_fold: true };
            for role in self.lane_roles.each_mut() {
                role.follow_at = now.boot;
            }
            return false;
        }
        stop.is_none() && !is_cut_short
    }

    /// `false`: the state does not take them.
    pub(super) fn adopt_all(&mut self, entries: &[ChainedEntry]) -> bool {
        for entry in entries {
            if let Err(error) = self.sequencer.handle_adopted(entry) {
                tracing::error!(%error, lane = %entry.entry.lane, "an entry does not fold; folding the log again");
                return false;
            }
            if entry.entry.fence_start().is_some_and(|start| start.lost.is_some()) {
                self.claims.forgo(entry.entry.epoch);
            }
        }
        if !entries.is_empty() {
            self.note_heads();
        }
        true
    }

    /// Logs what was handed over and continues the log.
    pub(super) fn adopt_recalled(&mut self) {
        for lane in LANES {
            if self.lane_role(lane).is_busy {
                continue;
            }
            let head = self.sequencer.heads().get(lane).copied().unwrap_or_default();
            let next = self.recalled.next(lane, head);
            if !next.is_empty() {
                self.send_job(lane, LaneJob::Adopt(next));
            }
        }
    }

    pub(super) fn note_heads(&mut self) {
        let heads = self.sequencer.heads();
        for lane in LANES {
            let head = heads.get(lane).map(|head| head.position).unwrap_or_default();
            self.lane_mut(lane).metrics.set_head(head.revision.0);
        }
        self.heads.send_replace(heads);
        let view = self.sequencer.registry().view();
        self.metrics.set_state(view.records(), view.entitlements());
    }

    /// The engine writes from here on.
    pub(super) fn note_writing(&mut self, now: Now, is_take_over: bool) {
        self.ledger.begin(now.boot);
        if is_take_over {
            self.ledger.forget_never_granted();
        }
        let heads = self.sequencer.heads();
        for lane in LANES {
            let head = heads.get(lane).map(|head| head.position).unwrap_or_default();
            self.lane_mut(lane).accepted = AcceptedTimes::new(head);
        }
        self.ticked_at = now.boot;
    }

    pub(super) fn tell_standing(&mut self, now: Now) {
        let role = match &self.phase {
            // Before its fences are stored a new epoch has not begun.
            Phase::Writing if self.sequencer.is_fencing() => Role::Starting,
            Phase::Writing => Role::Writer,
            Phase::Claiming(_) => Role::Starting,
            Phase::Standby | Phase::SteppingDown { .. } | Phase::Folding => Role::Standby,
        };
        let writer = match role {
            Role::Writer => Some(self.me.clone()),
            Role::Standby | Role::Starting => self
                .tenure
                .incumbent()
                .filter(|_| self.tenure.is_heard(now.boot))
                .map(|incumbent| incumbent.controller.clone()),
        };
        let epoch = self.sequencer.epoch().max(self.tenure.epoch());
        let behind = match &self.phase {
            Phase::Claiming(claim) if claim.is_recalling() => self.missing(),
            _ => self.claims.beyond(|lane| self.sequencer.ordered(lane)).filter(|_| role == Role::Writer),
        };
        let standing = Standing { role, epoch, writer, behind };
        self.standing.send_if_modified(|there| {
            let is_new = *there != standing;
            if is_new {
                if there.role != standing.role {
                    tracing::info!(role = standing.role.word(), epoch = standing.epoch.0, "the role changed");
                    self.metrics.set_role(standing.role.word());
                }
                self.metrics.set_epoch(standing.epoch.0);
                *there = standing;
            }
            is_new
        });
    }
}
