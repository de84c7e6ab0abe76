//! From standby to writer: read the lanes, call the roll, recall what is missing, bring the stream in line, fence.

use rescind_core::controller::Now;
use rescind_core::controller::roll_call::RollCall;
use rescind_core::epoch::{EpochReason, EpochStart, LostHistory};
use rescind_core::ids::AgentId;
use rescind_core::position::{Epoch, LANES, Lane, Position, Revision};
use rescind_core::time::BootNs;
use std::sync::Arc;
use std::time::Duration;

use super::Engine;
use super::handle::Command;
use super::role::{Phase, RETRY_PAUSE, RoleNews};
use crate::follow::Followed;
use crate::health::Trouble;
use crate::lanes::PerLane;
use crate::writer::LaneJob;

/// How long ago an agent was heard that a roll call waits for.
const HEARD_LATELY: Duration = Duration::from_secs(3600);
/// Pause between two asks for lost history.
const RECALL_PAUSE: Duration = Duration::from_secs(2);

/// How far it is.
#[derive(Debug)]
pub(super) enum Stage {
    /// Both lanes are read once more.
    Following { read: PerLane<bool> },
    /// Others say what they hold.
    Calling(RollCall),
    /// Somebody holds more; others hand it over, or two persons give it up.
    Recalling { asked_at: Option<BootNs> },
    /// The stream is brought in line.
    Settling { sent: PerLane<bool>, done: PerLane<bool> },
}

impl Stage {
    pub(super) const fn settling() -> Self {
        Self::Settling {
            sent: PerLane { deny: false, grant: false },
            done: PerLane { deny: false, grant: false },
        }
    }
}

/// A controller that is about to write.
#[derive(Debug)]
pub(super) struct Claim {
    /// Why a new epoch has to begin, if it has.
    reason: Option<EpochReason>,
    lost: Option<LostHistory>,
    stage: Stage,
}

impl Claim {
    pub(super) const fn new(reason: Option<EpochReason>, stage: Stage) -> Self {
        Self { reason, lost: None, stage }
    }

    pub(super) const fn is_recalling(&self) -> bool {
        matches!(self.stage, Stage::Recalling { .. })
    }

    pub(super) const fn handle_answer(&mut self) {
        if let Stage::Calling(call) = &mut self.stage {
            call.handle_answer();
        }
    }

    pub(super) fn handle_report(&mut self, agent: &AgentId) {
        if let Stage::Calling(call) = &mut self.stage {
            call.handle_report(agent);
        }
    }

    pub(super) fn poll_timeout(&self, retry_at: BootNs) -> Option<BootNs> {
        match &self.stage {
            Stage::Calling(call) => Some(call.until()),
            Stage::Recalling { asked_at } => Some(asked_at.map_or(BootNs(0), |at| at.plus(RECALL_PAUSE))),
            Stage::Following { .. } | Stage::Settling { .. } => Some(retry_at),
        }
    }
}

impl Engine {
    pub(super) fn claim(&mut self, now: Now, claim: Claim) {
        self.health.raise(Trouble::Starting, "this controller is about to write; ask again in a moment");
        self.phase = Phase::Claiming(Box::new(claim));
        self.retry_at = now.boot;
        for role in self.lane_roles.each_mut() {
            role.follow_at = now.boot;
        }
        self.run_claim(now);
    }

    /// Begins at the roll call: the lanes were just read.
    pub(super) fn claim_at_start(&mut self, now: Now, reason: Option<EpochReason>) {
        let call = self.call_roll(now);
        self.claim(now, Claim::new(reason, Stage::Calling(call)));
    }

    /// What is known to be missing from the log.
    pub(super) fn missing(&self) -> Option<(Lane, Position)> {
        let heads = self.sequencer.heads();
        self.claims.beyond(|lane| heads.get(lane).map(|head| head.position).unwrap_or_default())
    }

    pub(super) fn raise_lost(&self, lane: Lane, at: Position) {
        let reason = format!(
            "somebody holds lane {lane} up to {at}, and the log of this controller ends before: it was restored \
             from an older copy; nothing is accepted until agents or other controllers hand it back, or two \
             persons give it up (`rescind recover plan`)"
        );
        self.health.raise(Trouble::HistoryLost, reason);
    }

    pub(super) fn run_claim(&mut self, now: Now) {
        let Phase::Claiming(claim) = &self.phase else { return };
        let is_take_over = claim.reason == Some(EpochReason::TakeOver);
        if is_take_over && !self.tenure.is_asked() && self.tenure.is_heard(now.boot) {
            return self.give_up_claim(now, "the writer is heard again");
        }
        match &claim.stage {
            Stage::Following { read } if read.each().into_iter().all(|read| *read) => {
                let call = self.call_roll(now);
                self.set_stage(Stage::Calling(call));
                self.run_claim(now);
            }
            Stage::Following { read } => {
                let read = *read;
                self.follow_unread(now, read);
            }
            Stage::Calling(call) if call.is_over(now.boot) => self.end_roll_call(now),
            Stage::Calling(_) => self.adopt_recalled(),
            Stage::Recalling { asked_at } => {
                let asked_at = *asked_at;
                self.run_recall(now, asked_at);
            }
            Stage::Settling { sent, done } => {
                let (sent, done) = (*sent, *done);
                self.run_settle(now, sent, done);
            }
        }
    }

    fn set_stage(&mut self, stage: Stage) {
        if let Phase::Claiming(claim) = &mut self.phase {
            claim.stage = stage;
        }
    }

    fn follow_unread(&mut self, now: Now, read: PerLane<bool>) {
        if self.retry_at > now.boot {
            return;
        }
        for lane in LANES {
            if !*read.of(lane) && !self.lane_role(lane).is_busy {
                self.send_job(lane, LaneJob::Follow);
            }
        }
    }

    fn call_roll(&mut self, now: Now) -> RollCall {
        let agents = self.roster.heard_since(rescind_core::time::UnixMs(
            now.wall.0.saturating_sub(i64::try_from(HEARD_LATELY.as_millis()).unwrap_or(i64::MAX)),
        ));
        let agents = agents.into_iter().filter(|agent| !self.reported.contains(agent));
        let agents: Vec<AgentId> = agents.collect();
        let Some(asking) = self.asking.clone() else { return RollCall::new(now.boot, agents, 0) };
        tracing::info!(agents = agents.len(), controllers = asking.peers, "calling the roll");
        self.ask_ranges();
        let news = self.news.clone();
        tokio::spawn(async move {
            let held = asking.snapshots().await;
            // Why ignored: an engine that is gone asks nothing.
            news.send(Command::Role(RoleNews::Answered(held))).await.ok();
        });
        RollCall::new(now.boot, agents, 2)
    }

    fn ask_ranges(&self) {
        let Some(asking) = self.asking.clone() else { return };
        let (news, heads) = (self.news.clone(), self.sequencer.heads());
        tokio::spawn(async move {
            let handed = asking.ranges(&heads).await;
            news.send(Command::Role(RoleNews::Handed(handed))).await.ok();
            news.send(Command::Role(RoleNews::Answered(Vec::new()))).await.ok();
        });
    }

    /// Asks other controllers for what this lane of the stream lacks.
    pub(super) fn ask_for(&self, lane: Lane, after: Revision) {
        let Some(asking) = self.asking.clone() else { return };
        let news = self.news.clone();
        tokio::spawn(async move {
            let handed = asking.range(lane, after).await;
            news.send(Command::Role(RoleNews::Handed(handed))).await.ok();
        });
    }

    fn end_roll_call(&mut self, now: Now) {
        self.adopt_recalled();
        if !self.are_lanes_idle() {
            return;
        }
        match self.missing() {
            Some((lane, at)) => {
                self.raise_lost(lane, at);
                self.set_stage(Stage::Recalling { asked_at: None });
            }
            None => self.set_stage(Stage::settling()),
        }
        self.run_claim(now);
    }

    fn run_recall(&mut self, now: Now, asked_at: Option<BootNs>) {
        self.adopt_recalled();
        let Some((lane, at)) = self.missing() else {
            if self.are_lanes_idle() {
                tracing::warn!("what was lost was handed back");
                self.health.clear(Trouble::HistoryLost);
                self.recalled.clear();
                self.set_stage(Stage::settling());
                self.run_claim(now);
            }
            return;
        };
        self.raise_lost(lane, at);
        if asked_at.is_none_or(|asked| asked.plus(RECALL_PAUSE) <= now.boot) {
            self.set_stage(Stage::Recalling { asked_at: Some(now.boot) });
            self.ask_ranges();
        }
    }

    fn run_settle(&mut self, now: Now, sent: PerLane<bool>, done: PerLane<bool>) {
        if done.each().into_iter().all(|done| *done) && self.are_lanes_idle() {
            return self.begin(now);
        }
        if self.retry_at > now.boot {
            return;
        }
        let mut sent = sent;
        for lane in LANES {
            if !*sent.of(lane) && !self.lane_role(lane).is_busy {
                *sent.of_mut(lane) = true;
                self.send_job(lane, LaneJob::Settle);
            }
        }
        self.set_stage(Stage::Settling { sent, done });
    }

    /// A lane was read for this claim.
    pub(super) fn claim_followed(&mut self, now: Now, lane: Lane, is_read: bool) {
        if let Phase::Claiming(claim) = &mut self.phase
            && let Stage::Following { read } = &mut claim.stage
        {
            *read.of_mut(lane) = is_read;
            if !is_read {
                self.retry_at = now.boot.plus(RETRY_PAUSE);
            }
        }
    }

    /// A lane was brought in line, or not.
    pub(super) fn on_settled(&mut self, now: Now, lane: Lane, settled: Result<(Box<Followed>, u64), String>) {
        let is_in_line = match settled {
            Ok((followed, republished)) => {
                if republished > 0
                    && let Phase::Claiming(claim) = &mut self.phase
                {
                    claim.reason = claim.reason.or(Some(EpochReason::StreamRestored));
                }
                self.take_followed(now, lane, *followed)
            }
            Err(reason) => {
                tracing::warn!(%lane, reason, "a lane is not in line with the log yet");
                false
            }
        };
        let Phase::Claiming(claim) = &mut self.phase else { return };
        let Stage::Settling { sent, done } = &mut claim.stage else { return };
        *done.of_mut(lane) = is_in_line;
        if !is_in_line {
            *sent.of_mut(lane) = false;
            self.retry_at = now.boot.plus(RETRY_PAUSE);
        }
    }

    /// Log and stream are one: the first fence, or the first tick.
    fn begin(&mut self, now: Now) {
        if self.missing().is_some() && !self.is_giving_up() {
            return self.set_stage(Stage::Recalling { asked_at: None });
        }
        let Phase::Claiming(claim) = &mut self.phase else { return };
        let lost = claim.lost.take();
        let heads = self.sequencer.heads();
        let is_uneven = heads.deny.position.epoch != heads.grant.position.epoch
            && heads.deny.position.epoch.max(heads.grant.position.epoch) > Epoch(1);
        // Fences of an epoch that began on one lane only: it begins again on all.
        let reason = claim.reason.or(is_uneven.then_some(EpochReason::TakeOver));
        let epoch = self.sequencer.next_epoch(self.tenure.epoch());
        let fence = match (lost, reason) {
            (Some(lost), _) => Some((epoch, EpochStart::losing(lost))),
            (None, Some(reason)) => Some((epoch, EpochStart::continuing(reason))),
            (None, None) => None,
        };
        let is_take_over = reason == Some(EpochReason::TakeOver);
        if let Some((epoch, EpochStart { lost: Some(_), .. })) = &fence {
            self.claims.forgo(*epoch);
        }
        self.note_writing(now, is_take_over);
        match self.sequencer.begin_writing(now, fence) {
            Ok(()) => {
                self.phase = Phase::Writing;
                self.recalled.clear();
                for trouble in [Trouble::Starting, Trouble::NoWriter, Trouble::HistoryLost, Trouble::Diverged]
                {
                    self.health.clear(trouble);
                }
                self.pump(now);
            }
            Err(error) => {
                tracing::error!(%error, "the epoch cannot begin");
                self.give_up_claim(now, "the epoch cannot begin");
            }
        }
    }

    fn is_giving_up(&self) -> bool {
        matches!(&self.phase, Phase::Claiming(claim) if claim.lost.is_some())
    }

    fn give_up_claim(&mut self, now: Now, reason: &str) {
        tracing::info!(reason, "following again");
        self.sequencer.stand_by();
        self.health.clear(Trouble::Starting);
        self.tenure.restart(now.boot);
        self.retry_at = now.boot.plus(RETRY_PAUSE);
        self.phase = Phase::Standby;
    }

    /// Who asks a person's agreement to give history up: what would be signed.
    pub(super) fn recovery(&self) -> Option<(Epoch, rescind_core::position::Heads)> {
        let Phase::Claiming(claim) = &self.phase else { return None };
        let epoch = self.sequencer.next_epoch(self.tenure.epoch());
        claim.is_recalling().then(|| (epoch, self.sequencer.heads()))
    }

    /// Two persons gave up what is missing. `false`: nothing is being recalled, or not from there.
    pub(super) fn give_up_history(&mut self, now: Now, epoch: Epoch, lost: LostHistory) -> bool {
        if self.recovery() != Some((epoch, lost.branch)) || !self.are_lanes_idle() {
            return false;
        }
        if let Phase::Claiming(claim) = &mut self.phase {
            claim.lost = Some(lost);
            claim.reason = Some(EpochReason::LostHistory);
        }
        self.set_stage(Stage::settling());
        self.run_claim(now);
        true
    }

    /// From now on agents without a remembered grant may have one of another controller.
    pub(super) fn note_shared(&self) {
        let roster = Arc::clone(&self.roster);
        tokio::task::spawn_blocking(move || {
            if let Err(error) = roster.set_shared() {
                tracing::warn!(%error, "the roster does not remember that others write as well");
            }
        });
    }
}
