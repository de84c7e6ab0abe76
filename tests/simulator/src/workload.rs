//! What clients ask for: a mix of records, lifts, grants and withdrawals, repeated where the answer is unsure.

use rescind_checker::{Answer, Effect, Event as Tell};
use rescind_core::change::{Ask, LiftCutoff};
use rescind_core::controller::sequencer::Outcome;
use rescind_core::ids::RecordId;
use rescind_core::position::Lane;
use rescind_core::record::RecordKind;

use crate::event::{Event, Phase, ToController};
use crate::plan::{MS, S};
use crate::words;
use crate::world::{Open, World};

/// L4: a directive waits at most 5 s for its turn and 4 s for its fate; the rest is the way.
const ANSWER_WITHIN: u64 = 10 * S;

impl World {
    /// Sends a new directive and plans the next.
    pub(crate) fn ask_something(&mut self) {
        if matches!(self.phase, Phase::Still) {
            return;
        }
        let pause = self.plan.directive_pause;
        let next = self.now + 1 + self.rng.below(pause * 2);
        self.queue.plan(next, Event::Directive);
        let key = self.asks.len() as u64 + 1;
        let ask = self.draw();
        self.asks.insert(key, ask);
        self.send_directive(key);
    }

    fn draw(&mut self) -> Ask {
        let user = self.rng.below(self.plan.users);
        let right = self.rng.below(words::RIGHTS);
        let known = (!self.records.is_empty()).then(|| self.records[self.rng.index(self.records.len())]);
        match (self.rng.below(14), known) {
            (0, _) => words::record(RecordKind::Disable, words::user(user)),
            (1, _) => words::record(RecordKind::Hold, words::user(user)),
            (2, _) => words::record(RecordKind::Revoke, words::user(user)),
            (3, _) => words::record(RecordKind::Hold, words::session(user)),
            (4, _) if self.rng.permille(150) => words::record(RecordKind::Kill, words::client()),
            (5 | 6, Some(record)) if record.lane() == Lane::Deny => {
                let cutoff = if self.rng.permille(700) { LiftCutoff::Resume } else { LiftCutoff::Now };
                Ask::Lift { record, cutoff }
            }
            (7, Some(record)) if record.lane() == Lane::Deny => Ask::Reinstate { record },
            (7, Some(entitlement)) => Ask::Withdraw { entitlement },
            (_, _) => words::grant(user, right),
        }
    }

    fn send_directive(&mut self, key: u64) {
        let Some(index) = self.contact() else { return self.plan_retry(key) };
        self.tickets += 1;
        let (ticket, at) = (self.tickets, self.now);
        let directive = Box::new(words::directive(key, self.asks[&key].clone()));
        self.open.insert(ticket, Open { key, controller: index });
        self.tell(&Tell::Asked { at, ticket, key, deadline: at + ANSWER_WITHIN });
        let wait = self.rng.between(MS / 2, 5 * MS);
        let message = ToController::Directive { ticket, key, directive };
        self.queue.plan(at + wait, Event::ToController { index, run: 0, message });
    }

    /// Most clients repeat with the same key; some give up.
    pub(crate) fn plan_retry(&mut self, key: u64) {
        if self.rng.permille(750) && !matches!(self.phase, Phase::Still) {
            let at = self.now + self.rng.between(200 * MS, 3 * S);
            self.queue.plan(at, Event::Retry { key });
        }
    }

    pub(crate) fn retry(&mut self, key: u64) {
        if !matches!(self.phase, Phase::Still) {
            self.send_directive(key);
        }
    }

    pub(crate) fn answered(&mut self, ticket: u64, outcome: Outcome) {
        // Its client is gone.
        let Some(open) = self.open.remove(&ticket) else { return };
        let at = self.now;
        match outcome {
            Outcome::Accepted { id, .. } => {
                let answer = Answer::Accepted { id, effect: Effect::Other };
                self.tell(&Tell::Answered { at, ticket, answer });
                self.note_accepted(id);
            }
            Outcome::Indeterminate { .. } => {
                let answer = Answer::Indeterminate { effect: Effect::Other };
                self.tell(&Tell::Answered { at, ticket, answer });
                self.plan_retry(open.key);
            }
            Outcome::Refused(refusal) => {
                self.tell(&Tell::Answered { at, ticket, answer: Answer::Refused });
                if refusal.is_passing() {
                    self.plan_retry(open.key);
                }
            }
        }
    }

    fn note_accepted(&mut self, id: RecordId) {
        if self.known.insert(id) {
            self.accepted += 1;
            self.records.push(id);
            self.unenforced.insert(id, ());
            // Whoever writes by now can be asked for its board.
            (0..self.plan.controllers).for_each(|index| self.track(index, id));
        }
    }
}
