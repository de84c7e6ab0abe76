//! Orders directives into entries and proves heads with ticks: one append in flight per lane.
//!
//! | slot of a lane | event | next |
//! |---|---|---|
//! | free | directive, tick not due | entry in flight, with all that waits and fits (group commit) |
//! | free (deny) | tick due | tick in flight; its nonces came before it was made |
//! | entry in flight | committed | free; its directives are accepted, only now |
//! | entry in flight | indeterminate | settling: its directives hear so, the slot stays taken |
//! | settling | committed | free; repeats of the same keys are accepted |
//! | tick in flight | appended | free; its nonces are granted, only now |
//! | tick in flight | failed | free; its nonces are dropped, agents ask again |
//! | any | held | what is in flight settles, nothing new begins |
//! | all free | fence due | a fence in flight, grant lanes first, then deny; then the new epoch |
//! | any | deposed | nothing is accepted or granted; queued directives hear so |
//! | free, not writing | adopted | the entry of another writer is the new head |
//!
//! INVARIANT (S13): between the first fence of an epoch and its last one nothing is accepted and no tick goes
//! out. Compare-and-set on the deny lane alone would let a deposed writer accept on a grant lane.
//!
//! INVARIANT (S1): a tick's heads are the confirmed heads when it was made, so nothing accepted before is
//! missing, and its digest is that of the state at exactly these heads.

mod aging;
mod cut;
mod fence;
mod output;
mod slot;

use core::time::Duration;
use std::collections::VecDeque;

pub use fence::{FenceRefusal, Hold};
pub use output::{ControllerOutput, Outcome};

use self::aging::Aging;
use self::fence::Fence;
use self::slot::{InFlight, Queued, Slot, Waiter};
use super::quota::{Budget, Quotas};
use super::refusal::{Deposed, Refusal};
use super::registry::Registry;
use super::rights::Rights;
use super::{Now, Ticket};
use crate::change::{Change, Directive};
use crate::digest::StateDigest;
use crate::entry::Tick;
use crate::ids::{ChainId, ControllerId, EmitterId, InstanceId, RecordId};
use crate::lease::LeaseRequest;
use crate::position::{EntryHash, Epoch, Head, Heads, LANES, Lane, Revision};
use crate::seeded::{self, Bug};
use crate::time::BootNs;

/// Limit: directives that wait per lane: a few entries' worth, a second or two of work.
pub const QUEUE_DIRECTIVES_MAX: usize = 16_384;
/// Limit: nonces that wait for a tick. More agents than one realm has; the oldest is dropped, its agent repeats.
pub const NONCES_WAITING_MAX: usize = 65_536;
/// A directive that was not ordered within this is refused, so that its sender hears something (L4).
pub const DIRECTIVE_WAIT_MAX: Duration = Duration::from_secs(5);
/// Pause between ticks while nonces or new heads wait. Source: protocol.md section 4, rule 8.
pub const TICK_PAUSE_BUSY: Duration = Duration::from_millis(250);
/// Pause between ticks otherwise.
pub const TICK_PAUSE_IDLE: Duration = Duration::from_secs(1);

/// What a sequencer is told once.
#[derive(Debug, Clone)]
pub struct SequencerConfig {
    /// The realm's chain.
    pub chain: ChainId,
    /// Its epoch at the start.
    pub epoch: Epoch,
    /// Who this is.
    pub controller: ControllerId,
    /// Which run.
    pub boot: InstanceId,
    /// Lease that ticks name.
    pub lease: Duration,
    /// Limit: bytes of the changes of one entry, below what the broker takes.
    pub entry_bytes_max: usize,
    /// Estimates the bytes of a change on the wire, from above.
    pub change_bytes: fn(&Change) -> usize,
    /// SHA-256 of a private reason.
    pub reason_sha256: fn(&str) -> [u8; 32],
}

#[derive(Debug)]
struct TickInFlight {
    tick: Box<Tick>,
    requests: Vec<(Ticket, LeaseRequest)>,
}

/// The machine. See the module's table.
#[derive(Debug)]
pub struct Sequencer {
    config: SequencerConfig,
    registry: Registry,
    deny: Slot,
    grant: Slot,
    /// Digest of the state at the confirmed heads.
    digest: StateDigest,
    tick: Option<TickInFlight>,
    ticked_at: Option<BootNs>,
    ticked_heads: Heads,
    nonces: VecDeque<(Ticket, LeaseRequest)>,
    floor: Revision,
    quotas: Quotas,
    aging: Aging,
    epoch: Epoch,
    fence: Option<Fence>,
    held: Option<Hold>,
    deposed: Option<Deposed>,
    outputs: VecDeque<ControllerOutput>,
}

impl Sequencer {
    /// A sequencer that goes on after `heads`. The log is settled: `registry` is the state at exactly `heads`.
    #[must_use]
    pub fn new(config: SequencerConfig, registry: Registry, heads: Heads) -> Self {
        let digest = registry.digest();
        let epoch = config.epoch;
        Self {
            epoch,
            fence: None,
            held: None,
            config,
            registry,
            deny: Slot::new(heads.deny),
            grant: Slot::new(heads.grant),
            digest,
            tick: None,
            ticked_at: None,
            ticked_heads: heads,
            nonces: VecDeque::new(),
            floor: Revision(1),
            quotas: Quotas::default(),
            aging: Aging::default(),
            deposed: None,
            outputs: VecDeque::new(),
        }
    }

    /// State, with what is in flight.
    #[must_use]
    pub const fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Confirmed heads: what is accepted.
    #[must_use]
    pub const fn heads(&self) -> Heads {
        Heads { deny: self.deny.head, grant: self.grant.head }
    }

    /// Digest of the state at [`Self::heads`].
    #[must_use]
    pub const fn digest(&self) -> StateDigest {
        self.digest
    }

    /// Whether nothing is in flight, so that the registry is exactly at [`Self::heads`]: when a snapshot can be
    /// taken from it.
    #[must_use]
    pub const fn is_quiet(&self) -> bool {
        self.deny.in_flight.is_none() && self.grant.in_flight.is_none()
    }

    /// Whether a commit of any lane is indeterminate.
    #[must_use]
    pub fn is_settling(&self) -> bool {
        [&self.deny, &self.grant].iter().any(|slot| slot.is_settling())
    }

    /// Why this controller stopped writing, if it did.
    #[must_use]
    pub const fn deposed(&self) -> Option<Deposed> {
        self.deposed
    }

    /// Oldest deny revision that tails are still served from, for ticks.
    pub const fn set_floor(&mut self, floor: Revision) {
        self.floor = floor;
    }

    /// Sets what each emitter may ask for in time; the others are not limited.
    pub fn set_budgets(&mut self, budgets: impl IntoIterator<Item = (EmitterId, Budget)>) {
        self.quotas.set(budgets);
    }

    /// A directive of an emitter that authenticated, with that emitter's rights.
    pub fn handle_directive(&mut self, now: Now, ticket: Ticket, directive: Directive, rights: &Rights) {
        let lane = directive.ask.lane();
        if let Err(refusal) = self.admit(&directive, rights) {
            return self.answer(ticket, Outcome::Refused(refusal));
        }
        if let Some(id) = self.registry.repeated(&directive) {
            self.answer_existing(lane, ticket, id);
            return self.run(now);
        }
        // Why only now: a repeat of what was ordered has no effect of its own and costs nothing.
        let class = match self.quotas.charge(now.boot, &directive) {
            Ok(class) => class,
            Err(refusal) => return self.answer(ticket, Outcome::Refused(refusal)),
        };
        if self.slot(lane).waiting(class) >= QUEUE_DIRECTIVES_MAX {
            return self.answer(ticket, Outcome::Refused(Refusal::Busy));
        }
        let deadline = now.boot.plus(DIRECTIVE_WAIT_MAX);
        self.slot_mut(lane).push(Queued { class, ticket, directive, rights: *rights, deadline });
        self.run(now);
    }

    fn admit(&self, directive: &Directive, rights: &Rights) -> Result<(), Refusal> {
        if let Some(why) = self.deposed {
            return Err(Refusal::NotWriter(why));
        }
        if self.held == Some(Hold::HistoryLost) {
            return Err(Refusal::NotWriter(Deposed::HistoryLost));
        }
        rights.allows(&directive.ask, self.registry.ended_kind(&directive.ask))?;
        Ok(())
    }

    /// A lease request, its signature verified. It is granted by the next tick that is appended.
    pub fn handle_lease_request(&mut self, now: Now, ticket: Ticket, request: LeaseRequest) {
        if self.deposed.is_some() {
            return self.outputs.push_back(ControllerOutput::Unanswered(vec![ticket]));
        }
        if self.nonces.len() >= NONCES_WAITING_MAX
            && let Some((dropped, _)) = self.nonces.pop_front()
        {
            self.outputs.push_back(ControllerOutput::Unanswered(vec![dropped]));
        }
        self.nonces.push_back((ticket, request));
        self.run(now);
    }

    /// The entry in flight on `lane` is in the log and acknowledged by the broker, under this hash.
    pub fn handle_committed(&mut self, now: Now, lane: Lane, hash: EntryHash) {
        if self.deposed.is_some() {
            return;
        }
        let slot = self.slot_mut(lane);
        if let Some(InFlight { last, delta, .. }) = slot.in_flight.take() {
            slot.head = Head { position: last, hash };
            let waiters = core::mem::take(&mut slot.waiters);
            self.digest = StateDigest(self.digest.0.wrapping_add(delta));
            for Waiter { ticket, id, existing } in waiters {
                self.answer(ticket, Outcome::Accepted { id, position: id.position(), existing });
            }
            self.fence_stored(lane, last);
        }
        self.run(now);
    }

    /// Nobody knows yet whether the entry in flight on `lane` was appended. The shell goes on settling.
    pub fn handle_commit_indeterminate(&mut self, now: Now, lane: Lane) {
        let slot = self.slot_mut(lane);
        if let Some(in_flight) = &mut slot.in_flight {
            in_flight.is_settling = true;
            self.answer_indeterminate(lane);
        }
        self.run(now);
    }

    /// The tick in flight was appended. INVARIANT (S1): only now are its nonces granted.
    pub fn handle_tick_appended(&mut self, now: Now) {
        if self.deposed.is_none()
            && let Some(TickInFlight { tick, requests }) = self.tick.take()
        {
            self.outputs.push_back(ControllerOutput::Granted { tick, requests, appended_at: now.boot });
        }
        self.run(now);
    }

    /// The tick in flight was refused, or nobody knows. Its nonces get no grant.
    pub fn handle_tick_failed(&mut self, now: Now) {
        self.drop_tick();
        self.run(now);
    }

    /// This controller does not write any more, until [`Self::begin_writing`].
    pub fn handle_deposed(&mut self, why: Deposed) {
        self.deposed = Some(why);
        self.fence = None;
        self.held = None;
        self.drop_tick();
        let nonces: Vec<Ticket> = self.nonces.drain(..).map(|(ticket, _)| ticket).collect();
        if !nonces.is_empty() {
            self.outputs.push_back(ControllerOutput::Unanswered(nonces));
        }
        for lane in LANES {
            // What was in flight may still be in the chain: another controller can tell.
            self.answer_indeterminate(lane);
            while let Some(queued) = self.slot_mut(lane).pop() {
                self.answer(queued.ticket, Outcome::Refused(Refusal::NotWriter(why)));
            }
        }
    }

    /// The time of [`Self::poll_timeout`] came, or any later one.
    pub fn handle_timeout(&mut self, now: Now) {
        self.run(now);
    }

    /// Next effect; `None`: all done until the next input.
    pub fn poll_output(&mut self) -> Option<ControllerOutput> {
        self.outputs.pop_front()
    }

    /// When [`Self::handle_timeout`] is due at the latest. Before the first input: at once.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<BootNs> {
        if self.deposed.is_some() {
            return None;
        }
        let deadlines = [&self.deny, &self.grant].into_iter().filter_map(Slot::next_deadline);
        let may_tick = self.is_deny_free() && self.held.is_none() && self.fence.is_none();
        let tick = may_tick.then(|| self.tick_due());
        deadlines.chain(tick).min()
    }

    fn run(&mut self, now: Now) {
        if self.deposed.is_some() {
            return;
        }
        for lane in LANES {
            self.expire(lane, now.boot);
        }
        if self.held.is_some() {
            return;
        }
        if self.fence.is_some() {
            self.run_fence(now);
            if self.fence.is_some() {
                return;
            }
        }
        // Why the tick first where it is due: entries back to back must not starve it.
        if self.is_deny_free() && self.tick_due() <= now.boot {
            self.append_tick(now);
        }
        if self.is_deny_free() {
            self.cut(Lane::Deny, now);
        }
        if self.grant.in_flight.is_none() {
            self.cut(Lane::Grant(0), now);
        }
    }

    const fn is_deny_free(&self) -> bool {
        self.deny.in_flight.is_none() && self.tick.is_none()
    }

    fn tick_due(&self) -> BootNs {
        let is_busy = !self.nonces.is_empty() || self.heads() != self.ticked_heads;
        let pause = if is_busy { TICK_PAUSE_BUSY } else { TICK_PAUSE_IDLE };
        self.ticked_at.map_or(BootNs(0), |at| at.plus(pause))
    }

    fn append_tick(&mut self, now: Now) {
        let heads = self.heads();
        let tick = Box::new(Tick {
            chain: self.config.chain.clone(),
            epoch: self.epoch,
            heads,
            digest: if seeded::active(Bug::TickOfOrdered) { self.registry.digest() } else { self.digest },
            lease_ms: u32::try_from(self.config.lease.as_millis()).unwrap_or(u32::MAX),
            controller_time: now.wall,
            nonce_root: [0; 32],
            floor: self.floor,
            controller: self.config.controller.clone(),
            boot: self.config.boot,
        });
        let requests: Vec<_> = self.nonces.drain(..).collect();
        self.ticked_at = Some(now.boot);
        self.ticked_heads = heads;
        self.outputs
            .push_back(ControllerOutput::AppendTick { tick: tick.clone(), requests: requests.clone() });
        if seeded::active(Bug::GrantBeforeAppend) {
            let (tick, requests) = (tick.clone(), requests.clone());
            self.outputs.push_back(ControllerOutput::Granted { tick, requests, appended_at: now.boot });
        }
        self.tick = Some(TickInFlight { tick, requests });
    }

    fn drop_tick(&mut self) {
        if let Some(TickInFlight { requests, .. }) = self.tick.take() {
            let tickets: Vec<Ticket> = requests.into_iter().map(|(ticket, _)| ticket).collect();
            if !tickets.is_empty() {
                self.outputs.push_back(ControllerOutput::Unanswered(tickets));
            }
        }
    }

    /// Something is there already. It is `accepted` only where its commit is.
    fn answer_existing(&mut self, lane: Lane, ticket: Ticket, id: RecordId) {
        let slot = self.slot(lane);
        if id.position() <= slot.head.position {
            let outcome = Outcome::Accepted { id, position: id.position(), existing: true };
            self.answer(ticket, outcome);
        } else if slot.is_settling() || self.deposed.is_some() {
            self.answer(ticket, Outcome::Indeterminate { id });
        } else {
            self.slot_mut(lane).waiters.push(Waiter { ticket, id, existing: true });
        }
    }

    fn answer_indeterminate(&mut self, lane: Lane) {
        for Waiter { ticket, id, .. } in core::mem::take(&mut self.slot_mut(lane).waiters) {
            self.answer(ticket, Outcome::Indeterminate { id });
        }
    }

    /// Refuses what waited too long and was never ordered. A repeat of what is in flight was: it hears that.
    fn expire(&mut self, lane: Lane, now: BootNs) {
        while let Some(queued) = self.slot_mut(lane).pop_late(now) {
            match self.registry.repeated(&queued.directive) {
                Some(id) => self.answer_existing(lane, queued.ticket, id),
                None => self.answer(queued.ticket, Outcome::Refused(Refusal::Deadline)),
            }
        }
    }

    fn answer(&mut self, ticket: Ticket, outcome: Outcome) {
        self.outputs.push_back(ControllerOutput::Answer { ticket, outcome });
    }

    const fn slot(&self, lane: Lane) -> &Slot {
        match lane {
            Lane::Deny => &self.deny,
            Lane::Grant(_) => &self.grant,
        }
    }

    const fn slot_mut(&mut self, lane: Lane) -> &mut Slot {
        match lane {
            Lane::Deny => &mut self.deny,
            Lane::Grant(_) => &mut self.grant,
        }
    }
}

#[cfg(test)]
mod tests;
