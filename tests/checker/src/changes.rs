//! Directives, answers and what the chain holds: L4, S13, and the history for everything else.

use rescind_core::ids::RecordId;

use crate::dues::Due;
use crate::event::{Answer, Effect, Event, Nanos};
use crate::{Asked, Checker, Guarantee};

impl Checker {
    pub(crate) fn change(&mut self, event: &Event) {
        match event {
            Event::Asked { at, ticket, key, deadline } => {
                self.asked.insert(*ticket, Asked { key: *key, at: *at });
                self.first_asked.entry(*key).or_insert(*at);
                self.dues.demand(Due::Answer(*ticket), Guarantee::L4, *deadline);
                self.judge(Guarantee::L4);
            }
            Event::Answered { at, ticket, answer } => self.answered(*at, *ticket, *answer),
            Event::Abandoned { ticket, .. } => {
                self.dues.drop(Due::Answer(*ticket));
                self.asked.remove(ticket);
            }
            Event::Ordered { at, id, key, effect } => self.ordered(*at, *id, Some(*key), *effect, false),
            Event::Entry { at, lane, last, hash } => {
                if let Some(there) = self.history.border(*lane, *last, *hash) {
                    let text = format!("{lane} {last} has two entries, {there} and {hash}");
                    self.broken(Guarantee::S13, *at, None, text);
                }
            }
            Event::Forged { hash, .. } => {
                self.forged.insert(*hash);
            }
            Event::Forgot { record, .. } => self.history.forget(*record),
            _ => {}
        }
    }

    fn answered(&mut self, at: Nanos, ticket: u64, answer: Answer) {
        self.dues.drop(Due::Answer(ticket));
        let Some(asked) = self.asked.remove(&ticket) else {
            return self.broken(Guarantee::L4, at, None, format!("ticket {ticket} is answered twice"));
        };
        match answer {
            Answer::Accepted { id, effect } => {
                self.ordered(at, id, Some(asked.key), effect, true);
                let is_news =
                    self.history.at(id).is_some_and(|there| there.id == id && there.accepted_at.is_none());
                self.history.accept(id, at);
                if is_news && !self.has_loose_runs {
                    let deadline = at.saturating_add(self.settings.enforced_within());
                    self.dues.demand(Due::Enforced(id), Guarantee::L5, deadline);
                }
            }
            Answer::Indeterminate { effect } => {
                if !self.settings.sees_chain {
                    self.history.maybe(effect);
                }
            }
            Answer::Refused => {}
        }
        debug_assert!(asked.at <= at, "an answer before its question");
    }

    pub(crate) fn ordered(
        &mut self,
        at: Nanos,
        id: RecordId,
        key: Option<u64>,
        effect: Effect,
        is_accepted: bool,
    ) {
        let position = id.position();
        if let Some((epoch, first)) = self.history.fenced(id.lane())
            && position.epoch < epoch
            && position.revision.0 >= first
        {
            // What a deposed writer stored late is no part of the chain; only accepting it is wrong.
            if is_accepted {
                let text = format!("{id} is accepted past the fence of epoch {} at {first}", epoch.0);
                self.broken(Guarantee::S13, at, None, text);
            }
            return;
        }
        let asked_at = key.and_then(|key| self.first_asked.get(&key).copied());
        if let Some(there) = self.history.place(id, effect, asked_at) {
            return self.broken(Guarantee::S13, at, None, format!("{id} stands where {there} was accepted"));
        }
        let Some(key) = key else { return };
        match self.keys.get(&key) {
            Some(there) if *there != id && self.history.holds(*there) => {
                let text = format!("one directive has two effects, {there} and {id}");
                self.broken(Guarantee::L4, at, None, text);
            }
            Some(_) | None => {
                self.keys.insert(key, id);
            }
        }
    }
}
