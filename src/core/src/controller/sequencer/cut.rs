//! Cutting entries: what waits is judged in order, one after the other, and what passes is committed together.

use super::slot::{InFlight, Queued, Waiter};
use super::{ControllerOutput, Outcome, Sequencer};
use crate::change::Change;
use crate::controller::Now;
use crate::controller::refusal::Refusal;
use crate::controller::registry::Checked;
use crate::entry::{ENTRY_CHANGES_MAX, Entry};
use crate::ids::RecordId;
use crate::position::{Lane, Position, Revision};
use crate::seeded::{self, Bug};

/// Limit: changes of one entry of a grant lane. Why fewer than an entry holds: judging and answering them takes
/// the one task that decides some microseconds each, and a kill that comes meanwhile waits.
const GRANT_CUT_MAX: usize = 1024;

const fn cut_max(lane: Lane) -> usize {
    match lane {
        Lane::Deny => ENTRY_CHANGES_MAX,
        Lane::Grant(_) => GRANT_CUT_MAX,
    }
}

enum Ordered {
    Change(Box<Change>),
    Existing(RecordId),
}

impl Sequencer {
    /// Makes an entry of what waits on a free lane, as far as it fits.
    pub(super) fn cut(&mut self, lane: Lane, now: Now) {
        let before = self.registry.digest();
        let head = self.slot(lane).head;
        let first = head.position.revision.next();
        let (mut changes, mut reasons, mut bytes) = (Vec::new(), Vec::new(), 0_usize);
        while changes.len() < cut_max(lane) {
            let Some(queued) = self.slot_mut(lane).pop() else { break };
            let revision = Revision(first.0.saturating_add(changes.len() as u64));
            let next = RecordId::new(lane, Position { epoch: self.epoch, revision });
            match self.order(&queued, next, now) {
                Ok(Ordered::Existing(id)) => self.answer_existing(lane, queued.ticket, id),
                Ok(Ordered::Change(change)) => {
                    let more = (self.config.change_bytes)(&change);
                    if bytes.saturating_add(more) > self.config.entry_bytes_max && !changes.is_empty() {
                        // It leads the next entry.
                        self.slot_mut(lane).put_back(queued);
                        break;
                    }
                    if let Err(error) = self.registry.apply(&change, now.wall) {
                        self.answer(queued.ticket, Outcome::Refused(Refusal::Fold(error)));
                        continue;
                    }
                    bytes = bytes.saturating_add(more);
                    let waiter = Waiter { ticket: queued.ticket, id: change.id, existing: false };
                    self.slot_mut(lane).waiters.push(waiter);
                    reasons.extend(queued.directive.reason_admin.map(|reason| (change.id, reason)));
                    changes.push(*change);
                }
                Err(refusal) => self.answer(queued.ticket, Outcome::Refused(refusal)),
            }
        }
        if lane == Lane::Deny {
            self.add_forgets(&mut changes, &mut bytes, now);
        }
        if seeded::active(Bug::AcceptBeforeCommit) {
            for Waiter { ticket, id, existing } in core::mem::take(&mut self.slot_mut(lane).waiters) {
                self.answer(ticket, Outcome::Accepted { id, position: id.position(), existing });
            }
        }
        if !changes.is_empty() {
            let delta = self.registry.digest().0.wrapping_sub(before.0);
            self.commit(lane, changes, reasons, delta, now);
        }
    }

    fn order(&mut self, queued: &Queued, next: Option<RecordId>, now: Now) -> Result<Ordered, Refusal> {
        let Queued { directive, rights, .. } = queued;
        // Again: the record that it names may have been queued when it came.
        rights.allows(&directive.ask, self.registry.ended_kind(&directive.ask))?;
        let next = next.ok_or(Refusal::Exhausted)?;
        let body = match self.registry.check(directive, next, now.wall)? {
            Checked::Existing(id) => return Ok(Ordered::Existing(id)),
            Checked::New(body) => body,
        };
        let reason_admin_sha256 = directive.reason_admin.as_deref().map(self.config.reason_sha256);
        let change = Change { id: next, origin: directive.origin.clone(), reason_admin_sha256, body };
        let (bytes, bytes_max) = ((self.config.change_bytes)(&change), self.config.entry_bytes_max);
        if bytes > bytes_max {
            return Err(Refusal::TooLarge { bytes, bytes_max });
        }
        Ok(Ordered::Change(Box::new(change)))
    }

    fn commit(
        &mut self,
        lane: Lane,
        changes: Vec<Change>,
        reasons: Vec<(RecordId, Box<str>)>,
        delta: u128,
        now: Now,
    ) {
        let head = self.slot(lane).head;
        let entry = Box::new(Entry {
            chain: self.config.chain.clone(),
            epoch: self.epoch,
            lane,
            first: head.position.revision.next(),
            changes,
            prev_hash: head.hash,
            // INVARIANT (S4): every deny that was accepted before this grant was ordered.
            deps: if lane == Lane::Deny || seeded::active(Bug::DepsForgotten) {
                Position::default()
            } else {
                self.deny.head.position
            },
            committed_at: now.wall,
            controller: self.config.controller.clone(),
            boot: self.config.boot,
        });
        self.slot_mut(lane).in_flight = Some(InFlight { last: entry.last(), delta, is_settling: false });
        self.outputs.push_back(ControllerOutput::Commit { entry, reasons });
    }
}
