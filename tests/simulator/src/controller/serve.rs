//! What agents and clients ask of a controller.

use std::rc::Rc;

use rescind_core::agent::{RangeFailure, RangeRest};
use rescind_core::change::Directive;
use rescind_core::controller::Ticket;
use rescind_core::controller::refusal::{Deposed, Refusal};
use rescind_core::controller::rights::Rights;
use rescind_core::controller::sequencer::Outcome;
use rescind_core::entry::ChainedEntry;
use rescind_core::lease::LeaseRequest;
use rescind_core::position::{Lane, Revision};
use rescind_core::report::Report;

use super::Role;
use crate::event::ToAgent;
use crate::words;
use crate::world::World;

/// Entries of one answer.
const RANGE_MAX: usize = 8;

impl World {
    pub(super) fn serve_ask(&mut self, index: u32, run: u32, request: LeaseRequest) {
        self.tickets += 1;
        let ticket = self.tickets;
        let node = &mut self.controllers[index as usize];
        let now = node.now(self.now);
        let Role::Writing(writing) = &mut node.role else { return };
        let agent = words::process(request.instance).0;
        writing.askers.insert(ticket, (agent, run));
        match writing.gate.offer(&writing.ledger, Ticket(ticket), request) {
            Ok(Some((ticket, request))) => writing.sequencer.handle_lease_request(now, ticket, request),
            Ok(None) => {}
            Err(dropped) => {
                writing.askers.remove(&dropped.0);
            }
        }
    }

    pub(super) fn serve_report(&mut self, index: u32, report: &Rc<Report>) {
        let node = &mut self.controllers[index as usize];
        let now = node.now(self.now);
        let Role::Writing(writing) = &mut node.role else { return };
        writing.ledger.handle_report(now.boot, Report::clone(report));
        writing.ledger.handle_timeout(now.boot);
        for (ticket, request) in writing.gate.release(&report.agent, report.instance) {
            writing.sequencer.handle_lease_request(now, ticket, request);
        }
    }

    /// INVARIANT (S13): only what is confirmed leaves; what is pending may never become part of the chain.
    pub(super) fn serve_range(&mut self, index: u32, agent: u32, run: u32, lane: Lane, after: Revision) {
        let is_trimmed = !self.is_healed && !self.broker.snapshots.is_empty() && self.rng.permille(40);
        let message = if is_trimmed {
            ToAgent::RangeFailed(lane, RangeFailure::TooOld)
        } else {
            let wal = &self.controllers[index as usize].wal[words::slot(lane)];
            let from = wal.partition_point(|there| there.entry.entry.first <= after);
            let confirmed = wal[from..].iter().take_while(|there| there.confirmed);
            let mut entries: Vec<Rc<ChainedEntry>> =
                confirmed.take(RANGE_MAX + 1).map(|there| Rc::clone(&there.entry)).collect();
            let rest = if entries.len() > RANGE_MAX { RangeRest::More } else { RangeRest::Complete };
            entries.truncate(RANGE_MAX);
            ToAgent::Range(lane, Rc::new(entries), rest)
        };
        self.answer_agent(index, agent, run, message);
    }

    pub(super) fn serve_directive(&mut self, index: u32, ticket: u64, _: u64, directive: Directive) {
        let node = &mut self.controllers[index as usize];
        let now = node.now(self.now);
        match &mut node.role {
            Role::Writing(writing) => {
                writing.sequencer.handle_directive(now, Ticket(ticket), directive, &Rights::everything());
            }
            Role::Down | Role::Starting(_) | Role::Standby(_) => {
                let refusal = Refusal::NotWriter(Deposed::ForeignEntry);
                self.answered(ticket, Outcome::Refused(refusal));
            }
        }
    }
}
