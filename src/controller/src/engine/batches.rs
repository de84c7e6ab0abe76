//! Requests with one or many directives: fed to the sequencer in small steps, answered as a whole.
//!
//! A bulk request costs one message, one map entry and one answer, however many directives it has.

use std::collections::{HashMap, VecDeque};

use rescind_core::change::{Ask, Directive};
use rescind_core::controller::Ticket;
use rescind_core::controller::refusal::Refusal;
use rescind_core::controller::rights::Rights;
use rescind_core::controller::sequencer::{Outcome, QUEUE_DIRECTIVES_MAX};
use rescind_core::ids::RecordId;
use rescind_core::position::Lane;
use rescind_core::time::{BootNs, UnixMs, UnixS};
use rescind_telemetry::ControllerMetrics;
use tokio::sync::oneshot;

/// Limit: directives handed over at once, before messages are looked at again: under a millisecond or two.
const FEED_MAX: usize = 256;

/// Limit: directives of one lane inside the sequencer, in flight or waiting for the next entry.
///
/// Why not as many as an entry holds: cutting one takes the engine some 10 µs for each, and a kill that comes
/// meanwhile waits. Two groups of a thousand keep a lane busy.
const LANE_MAX: usize = 2048;
const _: () = assert!(LANE_MAX < QUEUE_DIRECTIVES_MAX, "the sequencer never has to refuse what is fed to it");

/// Limit: directives that wait here, over all requests: about two seconds of work.
const WAITING_MAX: usize = 65_536;

/// Larger requests are not timed one by one: their boards work, without the time of enforcement.
const TRACKED_BATCH_MAX: usize = 256;

/// Limit: directives of a request that may go before others: what people do by hand, not a bulk.
const URGENT_BATCH_MAX: usize = 16;

/// Directives of one emitter, to be answered together.
#[derive(Debug)]
pub(crate) struct BatchRequest {
    pub(crate) directives: Vec<Directive>,
    pub(crate) rights: Rights,
    /// What was not handed to the sequencer by then is refused.
    pub(crate) until: BootNs,
    pub(crate) reply: oneshot::Sender<Vec<Answered>>,
}

impl BatchRequest {
    /// Whether it goes before the requests that came first. How much of that one emitter gets is for the
    /// sequencer to say.
    pub(super) fn is_urgent(&self) -> bool {
        self.directives.len() <= URGENT_BATCH_MAX
            && self.directives.iter().all(|directive| directive.ask.is_urgent())
    }
}

/// What became of one directive.
#[derive(Debug, Clone)]
pub(crate) struct Answered {
    pub(crate) outcome: Outcome,
    /// `None`: not accepted, or accepted so long ago that only the log knows.
    pub(crate) accepted_at: Option<UnixMs>,
    pub(crate) cutoff: Option<UnixS>,
}

/// What has to be known of a directive when its answer comes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Item {
    /// The record that it ends.
    pub(super) ends: Option<RecordId>,
    pub(super) is_tracked: bool,
    lane: Lane,
    /// It left the sequencer, or never was there.
    is_fed: bool,
}

#[derive(Debug)]
struct Batch {
    items: Vec<Item>,
    answers: Vec<Option<Answered>>,
    left: usize,
    rights: Rights,
    until: BootNs,
    reply: oneshot::Sender<Vec<Answered>>,
}

/// One lane's directives that are not in the sequencer yet, and the number of those that are.
#[derive(Debug, Default)]
struct Queue {
    /// Goes first, and past the limit of the lane.
    urgent: VecDeque<(Ticket, Directive)>,
    waiting: VecDeque<(Ticket, Directive)>,
    inside: usize,
}

impl Queue {
    fn can_feed(&self) -> bool {
        !self.urgent.is_empty() || (!self.waiting.is_empty() && self.inside < LANE_MAX)
    }

    fn pop(&mut self) -> Option<(Ticket, Directive)> {
        match self.urgent.pop_front() {
            None if self.inside < LANE_MAX => self.waiting.pop_front(),
            first => first,
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Batches {
    open: HashMap<u64, Batch>,
    next: u64,
    deny: Queue,
    grant: Queue,
    /// Answers of directives that never reached the sequencer.
    refused: Vec<(Ticket, Refusal)>,
}

/// A ticket names the request and the place in it.
const PLACE_BITS: u32 = 16;

impl Batches {
    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Whether another request may be taken.
    pub(super) fn has_room(&self) -> bool {
        self.waiting() < WAITING_MAX
    }

    /// Whether [`Self::feed`] would hand something over.
    pub(super) fn can_feed(&self) -> bool {
        self.deny.can_feed() || self.grant.can_feed()
    }

    fn waiting(&self) -> usize {
        self.deny.waiting.len().saturating_add(self.grant.waiting.len())
    }

    pub(super) fn open(&mut self, request: BatchRequest) {
        let is_urgent = request.is_urgent();
        let BatchRequest { directives, rights, until, reply } = request;
        self.next = self.next.wrapping_add(1);
        let number = self.next;
        let count = directives.len();
        let mut items = Vec::with_capacity(count);
        for (place, directive) in directives.into_iter().enumerate() {
            let lane = directive.ask.lane();
            let ends = match &directive.ask {
                Ask::Lift { record, .. } | Ask::Reinstate { record } => Some(*record),
                Ask::Record { .. } | Ask::Grant { .. } | Ask::Withdraw { .. } => None,
            };
            items.push(Item { ends, is_tracked: count <= TRACKED_BATCH_MAX, lane, is_fed: false });
            let place = u64::try_from(place).unwrap_or(u64::MAX) & ((1 << PLACE_BITS) - 1);
            let ticket = Ticket(number << PLACE_BITS | place);
            let queue = self.queue(lane);
            let waiting = if is_urgent { &mut queue.urgent } else { &mut queue.waiting };
            waiting.push_back((ticket, directive));
        }
        if count == 0 {
            // Nobody waits for an answer that says nothing.
            return drop(reply.send(Vec::new()));
        }
        let batch = Batch { items, answers: vec![None; count], left: count, rights, until, reply };
        self.open.insert(number, batch);
    }

    /// The next directives for the sequencer; denies first. Those whose time is over are refused, those whose
    /// sender is gone are dropped: nothing was ordered for them.
    pub(super) fn feed(
        &mut self,
        now: BootNs,
        metrics: &ControllerMetrics,
    ) -> Vec<(Ticket, Directive, Rights)> {
        let mut fed = Vec::new();
        for lane in [Lane::Deny, Lane::Grant(0)] {
            let mut looked_at = 0;
            while looked_at < FEED_MAX {
                let Some((ticket, directive)) = self.queue(lane).pop() else { break };
                looked_at += 1;
                let Some(batch) = self.open.get_mut(&number_of(ticket)) else { continue };
                if now >= batch.until || batch.reply.is_closed() {
                    self.refused.push((ticket, Refusal::Busy));
                    continue;
                }
                if let Some(item) = batch.items.get_mut(place_of(ticket)) {
                    item.is_fed = true;
                }
                fed.push((ticket, directive, batch.rights));
                self.queue(lane).inside += 1;
            }
        }
        for (ticket, refusal) in std::mem::take(&mut self.refused) {
            let answered = Answered { outcome: Outcome::Refused(refusal), accepted_at: None, cutoff: None };
            self.answer(ticket, answered, metrics);
        }
        fed
    }

    pub(super) fn item(&self, ticket: Ticket) -> Option<Item> {
        self.open.get(&number_of(ticket))?.items.get(place_of(ticket)).copied()
    }

    /// The answer to one directive.
    pub(super) fn answer(&mut self, ticket: Ticket, answered: Answered, metrics: &ControllerMetrics) {
        let number = number_of(ticket);
        let Some(batch) = self.open.get_mut(&number) else { return };
        let place = place_of(ticket);
        let (Some(item), Some(slot)) = (batch.items.get(place), batch.answers.get_mut(place)) else { return };
        let (lane, is_fed) = (item.lane, item.is_fed);
        if slot.is_none() {
            *slot = Some(answered);
            batch.left = batch.left.saturating_sub(1);
        }
        let is_done = batch.left == 0;
        if is_fed {
            let queue = self.queue(lane);
            queue.inside = queue.inside.saturating_sub(1);
        }
        if is_done && let Some(batch) = self.open.remove(&number) {
            let answers: Vec<Answered> = batch.answers.into_iter().flatten().collect();
            count(&answers, metrics);
            // Why ignored: a sender that is gone was told that the outcome is not known.
            batch.reply.send(answers).ok();
        }
    }

    const fn queue(&mut self, lane: Lane) -> &mut Queue {
        match lane {
            Lane::Deny => &mut self.deny,
            Lane::Grant(_) => &mut self.grant,
        }
    }
}

/// Counts outcomes, once per kind and request.
fn count(answers: &[Answered], metrics: &ControllerMetrics) {
    let mut counts: Vec<(&'static str, u64)> = Vec::new();
    for answered in answers {
        let word = match &answered.outcome {
            Outcome::Accepted { existing: false, .. } => "accepted",
            Outcome::Accepted { existing: true, .. } => "existing",
            Outcome::Indeterminate { .. } => "indeterminate",
            Outcome::Refused(refusal) => refusal.code(),
        };
        match counts.iter_mut().find(|(there, _)| *there == word) {
            Some((_, n)) => *n += 1,
            None => counts.push((word, 1)),
        }
    }
    for (word, n) in counts {
        metrics.directives(word, n);
    }
}

const fn number_of(ticket: Ticket) -> u64 {
    ticket.0 >> PLACE_BITS
}

fn place_of(ticket: Ticket) -> usize {
    usize::try_from(ticket.0 & ((1 << PLACE_BITS) - 1)).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests;
