//! Controllers: ticks, fences, take-overs, enforced claims: S1, S2, S6, S7, S9, S13.

use rescind_core::ids::RecordId;
use rescind_core::position::{Epoch, Heads, LANES, Lane, Position, Revision};

use crate::dues::Due;
use crate::event::{Effect, Event, Nanos, Run, Short, Writer};
use crate::{Checker, Guarantee};

impl Checker {
    pub(crate) fn controller(&mut self, event: &Event) {
        match event {
            Event::Enforced { at, id, .. } => self.enforced(*at, *id),
            Event::Tick { at, by, sent_at, epoch, heads } => self.tick(*at, *by, *sent_at, *epoch, heads),
            Event::WriterBegan { at, by, epoch, heads } => self.began(*at, *by, *epoch, heads),
            Event::WriterEnded { by, .. } => self.ended(*by),
            Event::Fence { at, lane, epoch, first, lost, approvals, .. } => {
                self.fence(*at, *lane, *epoch, *first, (*lost).then_some(*approvals));
            }
            Event::Confirmed { at, by, heads, digest } => {
                let there = *self.digests.entry(*heads).or_insert(*digest);
                if there != *digest {
                    let text = format!("{by} has another state than others at {}", Short(heads));
                    self.broken(Guarantee::S9, *at, None, text);
                }
                self.confirmed = Some((*heads, *digest));
            }
            _ => {}
        }
    }

    /// Without a writer nobody claims anything: what is open waits for the next one.
    fn ended(&mut self, by: Writer) {
        if self.writer.is_some_and(|writer| writer != by) {
            return;
        }
        self.writer = None;
        let open = self.dues.take(|due| matches!(due, Due::Enforced(_)));
        self.suspended.extend(open.into_iter().filter_map(|due| match due {
            Due::Enforced(id) => Some(id),
            Due::Fresh(_) | Due::Answer(_) | Due::Equal => None,
        }));
    }

    fn enforced(&mut self, at: Nanos, id: RecordId) {
        self.dues.drop(Due::Enforced(id));
        self.suspended.retain(|there| *there != id);
        if !self.history.holds(id) {
            return;
        }
        self.judge(Guarantee::S2);
        self.history.enforce(id);
        let fresh = self.runs.live().filter(|(_, state)| state.strict);
        let fresh: Vec<(Run, Heads)> =
            fresh.filter_map(|(run, state)| Some((run, state.fresh_at(at)?.heads))).collect();
        for (run, heads) in fresh {
            let behind =
                heads.get(id.lane()).is_some_and(|head| head.position.revision < id.position().revision);
            if behind {
                let text = format!("{id} is called enforced, but {run} is fresh at {}", Short(&heads));
                self.broken(Guarantee::S2, at, Some(run), text);
            }
        }
    }

    /// A tick proves that nothing accepted before it was read is missing in its heads.
    fn tick(&mut self, at: Nanos, by: Writer, sent_at: Nanos, epoch: Epoch, heads: &Heads) {
        if epoch < self.epoch {
            let text = format!("{by} appends a tick of epoch {} in epoch {}", epoch.0, self.epoch.0);
            self.broken(Guarantee::S13, at, None, text);
        }
        if let Some(time) = sent_at.checked_sub(1)
            && let Some((lane, placed)) = self.history.missing(heads, time)
        {
            let text = format!("{by} proves {}, which lacks {} ({lane})", Short(heads), placed.id);
            self.broken(Guarantee::S1, at, None, text);
        }
    }

    fn began(&mut self, at: Nanos, by: Writer, epoch: Epoch, heads: &Heads) {
        self.writer = Some(by);
        self.epoch = self.epoch.max(epoch);
        self.judge(Guarantee::S6);
        if let Some((lane, placed)) = self.history.missing(heads, at) {
            let text = format!("{by} writes on top of {}, which lacks {} ({lane})", Short(heads), placed.id);
            self.broken(Guarantee::S6, at, None, text);
        }
        for lane in LANES {
            let Some(head) = heads.get(lane).filter(|head| head.hash.0 != [0; 32]) else { continue };
            if self.history.hash_at(lane, head.position).is_some_and(|there| there != head.hash) {
                let text = format!("{by} writes on top of another history at {lane} {}", head.position);
                self.broken(Guarantee::S13, at, None, text);
            }
        }
        let deadline = at.saturating_add(self.settings.enforced_within());
        for id in core::mem::take(&mut self.suspended) {
            self.dues.demand(Due::Enforced(id), Guarantee::L5, deadline);
        }
        let open = self.dues.take(|due| matches!(due, Due::Enforced(_)));
        for due in open {
            self.dues.demand(due, Guarantee::L5, deadline);
        }
    }

    fn fence(&mut self, at: Nanos, lane: Lane, epoch: Epoch, first: Revision, approvals: Option<u8>) {
        if epoch < self.epoch {
            let text = format!("a fence of epoch {} in epoch {}", epoch.0, self.epoch.0);
            self.broken(Guarantee::S13, at, None, text);
        }
        // The fence of the deny lane comes last: only then the writer before cannot tick any more.
        if lane == Lane::Deny {
            self.epoch = self.epoch.max(epoch);
        }
        let left = self.history.fence(lane, epoch, first.0);
        match (left, approvals) {
            (_, Some(approvals)) if approvals < 2 => {
                let text = format!("history is released from {lane} {first} on by {approvals} people");
                self.broken(Guarantee::S7, at, None, text);
            }
            (Some(left), None) => {
                let text = format!("epoch {} leaves {left} behind, which was accepted", epoch.0);
                self.broken(Guarantee::S6, at, None, text);
            }
            (_, _) => {}
        }
        if let Some(id) = RecordId::new(lane, Position { epoch, revision: first }) {
            self.ordered(at, id, None, Effect::Other, false);
        }
    }
}
