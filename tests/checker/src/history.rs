//! The one history that everybody is measured by: what is in the chain, since when it is accepted, and what a
//! prefix of it says about a request.

use std::collections::{BTreeMap, HashMap, HashSet};

use rescind_core::ids::RecordId;
use rescind_core::position::{EntryHash, Epoch, Heads, LANES, Lane, Position};

use crate::event::{Effect, Nanos, Request, Subject};

/// A change at its place.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Placed {
    pub(crate) id: RecordId,
    pub(crate) effect: Effect,
    pub(crate) accepted_at: Option<Nanos>,
    /// Newest deny revision that was accepted before this grant was asked for (S4).
    pub(crate) needs_deny: u64,
}

#[derive(Debug, Default)]
struct LaneHistory {
    changes: BTreeMap<u64, Placed>,
    borders: HashMap<Position, EntryHash>,
    fence: Option<(Epoch, u64)>,
    enforced: u64,
}

/// What a state at a position has to answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Nothing speaks against an allow.
    Allow,
    /// This record denies.
    Denied(RecordId),
    /// No entitlement is held.
    Absent,
    /// One is held, but its state must hold this deny revision.
    Early(u64),
}

#[derive(Debug, Default)]
pub(crate) struct History {
    deny: LaneHistory,
    grant: LaneHistory,
    records: HashMap<Subject, Vec<RecordId>>,
    ends: HashMap<RecordId, Vec<RecordId>>,
    grants: HashMap<(Subject, u64), Vec<RecordId>>,
    withdraws: HashMap<RecordId, Vec<RecordId>>,
    maybe_ended: HashSet<RecordId>,
    maybe_granted: HashSet<(Subject, u64)>,
    forgotten: HashSet<RecordId>,
    /// Newest accepted deny revision by time.
    accepted_denies: Vec<(Nanos, u64)>,
}

impl History {
    fn lane(&self, lane: Lane) -> &LaneHistory {
        if lane == Lane::Deny { &self.deny } else { &self.grant }
    }

    fn lane_mut(&mut self, lane: Lane) -> &mut LaneHistory {
        if lane == Lane::Deny { &mut self.deny } else { &mut self.grant }
    }

    /// The change that is at the place of this id.
    pub(crate) fn at(&self, id: RecordId) -> Option<&Placed> {
        self.lane(id.lane()).changes.get(&id.position().revision.0)
    }

    /// Whether this change is in the history.
    pub(crate) fn holds(&self, id: RecordId) -> bool {
        self.at(id).is_some_and(|placed| placed.id == id)
    }

    /// Puts a change at its place. The accepted one that it contradicts, if any.
    pub(crate) fn place(
        &mut self,
        id: RecordId,
        effect: Effect,
        asked_at: Option<Nanos>,
    ) -> Option<RecordId> {
        if self.holds(id) {
            return None;
        }
        let there = self.at(id).filter(|there| there.accepted_at.is_some()).map(|there| there.id);
        if there.is_some() {
            return there;
        }
        let needs_deny = match (effect, asked_at) {
            (Effect::Grant { .. }, Some(asked_at)) => self.accepted_before(asked_at),
            _ => 0,
        };
        match effect {
            Effect::Deny { subject, .. } => self.records.entry(subject).or_default().push(id),
            Effect::End { record, .. } => self.ends.entry(record).or_default().push(id),
            Effect::Grant { subject, right } => self.grants.entry((subject, right)).or_default().push(id),
            Effect::Withdraw { entitlement } => self.withdraws.entry(entitlement).or_default().push(id),
            Effect::Other => {}
        }
        let placed = Placed { id, effect, accepted_at: None, needs_deny };
        self.lane_mut(id.lane()).changes.insert(id.position().revision.0, placed);
        None
    }

    fn accepted_before(&self, time: Nanos) -> u64 {
        let upto = self.accepted_denies.partition_point(|(at, _)| *at < time);
        upto.checked_sub(1).and_then(|at| self.accepted_denies.get(at)).map_or(0, |(_, revision)| *revision)
    }

    /// The change is accepted from now on, unless it was before.
    pub(crate) fn accept(&mut self, id: RecordId, at: Nanos) {
        let revision = id.position().revision.0;
        let Some(placed) = self.lane_mut(id.lane()).changes.get_mut(&revision).filter(|there| there.id == id)
        else {
            return;
        };
        placed.accepted_at.get_or_insert(at);
        if id.lane() == Lane::Deny {
            let newest = self.accepted_denies.last().map_or(0, |(_, newest)| *newest);
            self.accepted_denies.push((at, newest.max(revision)));
        }
    }

    /// An indeterminate change may or may not have happened.
    pub(crate) fn maybe(&mut self, effect: Effect) {
        match effect {
            Effect::End { record, .. } => {
                self.maybe_ended.insert(record);
            }
            Effect::Grant { subject, right } => {
                self.maybe_granted.insert((subject, right));
            }
            Effect::Deny { .. } | Effect::Withdraw { .. } | Effect::Other => {}
        }
    }

    /// Notes an entry; the other hash at its place, if there is one.
    pub(crate) fn border(&mut self, lane: Lane, last: Position, hash: EntryHash) -> Option<EntryHash> {
        let there = *self.lane_mut(lane).borders.entry(last).or_insert(hash);
        (there != hash).then_some(there)
    }

    /// The hash of the entry that ends here.
    pub(crate) fn hash_at(&self, lane: Lane, last: Position) -> Option<EntryHash> {
        self.lane(lane).borders.get(&last).copied()
    }

    /// A new epoch of a lane from `first` on. The first accepted change that it leaves behind.
    pub(crate) fn fence(&mut self, lane: Lane, epoch: Epoch, first: u64) -> Option<RecordId> {
        let history = self.lane_mut(lane);
        history.fence = Some((epoch, first));
        let left = history.changes.split_off(&first);
        history.enforced = history.enforced.min(first.saturating_sub(1));
        // Changes of this epoch that were heard of before their fence stay.
        let (keep, left): (BTreeMap<_, _>, BTreeMap<_, _>) =
            left.into_iter().partition(|(_, placed)| placed.id.position().epoch >= epoch);
        history.changes.extend(keep);
        let lost = left.values().find(|placed| placed.accepted_at.is_some()).map(|placed| placed.id);
        if lane == Lane::Deny && lost.is_some() {
            self.accepted_denies.iter_mut().for_each(|(_, revision)| {
                *revision = (*revision).min(first.saturating_sub(1));
            });
        }
        lost
    }

    /// The newest fence of a lane: epoch and first revision.
    pub(crate) fn fenced(&self, lane: Lane) -> Option<(Epoch, u64)> {
        self.lane(lane).fence
    }

    pub(crate) fn forget(&mut self, record: RecordId) {
        self.forgotten.insert(record);
    }

    pub(crate) fn is_forgotten(&self, record: RecordId) -> bool {
        self.forgotten.contains(&record)
    }

    pub(crate) fn enforce(&mut self, id: RecordId) {
        let enforced = &mut self.lane_mut(id.lane()).enforced;
        *enforced = (*enforced).max(id.position().revision.0);
    }

    /// Revision that the ledger calls enforced.
    pub(crate) fn enforced(&self, lane: Lane) -> u64 {
        self.lane(lane).enforced
    }

    /// Changes that a state at `heads` lacks and that were accepted at or before `time`, oldest place first.
    pub(crate) fn missing(&self, heads: &Heads, time: Nanos) -> Option<(Lane, &Placed)> {
        LANES.into_iter().find_map(|lane| {
            let after = heads.get(lane)?.position.revision.0;
            let mut later = self.lane(lane).changes.range(after.saturating_add(1)..);
            later.find_map(|(_, placed)| {
                let accepted = placed.accepted_at.is_some_and(|at| at <= time);
                accepted.then_some((lane, placed))
            })
        })
    }

    /// Changes of a lane in `(after, upto]`.
    pub(crate) fn between(&self, lane: Lane, after: u64, upto: u64) -> impl Iterator<Item = &Placed> {
        let from = after.saturating_add(1);
        let range = from..=upto.max(from);
        self.lane(lane).changes.range(range).map(|(_, placed)| placed).filter(move |_| upto >= from)
    }

    /// What a state with exactly this prefix answers.
    pub(crate) fn verdict(&self, request: &Request, deny: u64, grant: u64) -> Verdict {
        let records = request.subjects.iter().filter_map(|subject| self.records.get(subject)).flatten();
        let mut records = records.filter(|id| id.position().revision.0 <= deny && self.holds(**id));
        if let Some(id) = records.find(|id| self.denies(**id, request.issued_at, Some(deny))) {
            return Verdict::Denied(*id);
        }
        let Some(right) = request.right else { return Verdict::Allow };
        let mut verdict = Verdict::Absent;
        for subject in &request.subjects {
            if self.maybe_granted.contains(&(*subject, right)) {
                return Verdict::Allow;
            }
            for id in self.grants.get(&(*subject, right)).into_iter().flatten() {
                let is_held = id.position().revision.0 <= grant
                    && self.holds(*id)
                    && !self.is_withdrawn(*id, |end| end.id.position().revision.0 <= grant);
                let needs = self.at(*id).map_or(0, |placed| placed.needs_deny);
                if is_held && needs <= deny {
                    return Verdict::Allow;
                }
                if is_held {
                    verdict = Verdict::Early(needs);
                }
            }
        }
        verdict
    }

    /// A change past this prefix that was accepted at or before `time`, was never undone, and denies.
    pub(crate) fn overdue(&self, request: &Request, deny: u64, grant: u64, time: Nanos) -> Option<RecordId> {
        let accepted =
            |id: RecordId| self.at(id).and_then(|placed| placed.accepted_at).is_some_and(|at| at <= time);
        let records = request.subjects.iter().filter_map(|subject| self.records.get(subject)).flatten();
        let later = records.copied().filter(|id| id.position().revision.0 > deny && self.holds(*id));
        let mut later = later.filter(|id| accepted(*id) && self.denies(*id, request.issued_at, None));
        if let Some(id) = later.next() {
            return Some(id);
        }
        let right = request.right?;
        let mut overdue = None;
        for subject in &request.subjects {
            for id in self.grants.get(&(*subject, right)).into_iter().flatten() {
                if id.position().revision.0 > grant || !self.holds(*id) {
                    continue;
                }
                let withdrawn = self.withdraws.get(id).into_iter().flatten();
                let mut withdrawn = withdrawn.filter(|end| self.holds(**end) && accepted(**end));
                match withdrawn.next() {
                    Some(end) => overdue = Some(*end),
                    None => return None,
                }
            }
        }
        overdue
    }

    fn is_withdrawn(&self, id: RecordId, counts: impl Fn(&Placed) -> bool) -> bool {
        let ends = self.withdraws.get(&id).into_iter().flatten();
        ends.filter(|end| self.holds(**end)).any(|end| self.at(*end).is_some_and(&counts))
    }

    /// Whether a record denies; `upto`: as seen from this deny revision, else with everything that may be.
    fn denies(&self, id: RecordId, issued_at: Option<i64>, upto: Option<u64>) -> bool {
        let Some(Placed { effect: Effect::Deny { standing, cutoff, .. }, .. }) = self.at(id) else {
            return false;
        };
        let ends = self.ends.get(&id).into_iter().flatten();
        let mut ends =
            ends.filter(|end| self.holds(**end) && upto.is_none_or(|upto| end.position().revision.0 <= upto));
        let cuts = |cutoff: Option<i64>| cutoff.is_some_and(|at| issued_at.is_none_or(|issued| issued <= at));
        match ends.next().and_then(|end| self.at(*end)) {
            Some(Placed { effect: Effect::End { cutoff: left, .. }, .. }) => cuts(*cutoff) || cuts(*left),
            Some(_) | None if self.maybe_ended.contains(&id) => cuts(*cutoff),
            Some(_) | None => *standing || cuts(*cutoff),
        }
    }

    /// The subject of a record.
    pub(crate) fn subject(&self, id: RecordId) -> Option<Subject> {
        match self.at(id) {
            Some(Placed { id: there, effect: Effect::Deny { subject, .. }, .. }) if *there == id => {
                Some(*subject)
            }
            Some(_) | None => None,
        }
    }
}
