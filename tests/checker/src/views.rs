//! What agents publish, store and acknowledge: S1 to S5, S7, S9, S10, S12, L1.

use rescind_core::position::{Heads, LANES, Lane, Revision};
use rescind_core::report::ReceiptLevel;

use crate::dues::Due;
use crate::event::{Event, Fault, Nanos, Run, Short, Store};
use crate::runs::{Live, RunState, later, reaches};
use crate::{Checker, Guarantee};

impl Checker {
    pub(crate) fn view(&mut self, event: &Event) {
        match event {
            Event::Started { at, run, strict, store, heads } => {
                self.started(*at, *run, *strict, *store, *heads)
            }
            Event::Stopped { at, run } => {
                self.close_view(*run, *at);
                self.dues.drop(Due::Fresh(*run));
                if let Some(state) = self.runs.get(*run) {
                    state.stopped_at = Some(*at);
                    state.well_since = None;
                }
            }
            Event::Published { at, run, heads, digest, asked_at, fresh_until } => {
                let next = Live { heads: *heads, digest: *digest, since: *at, fresh_until: *fresh_until };
                self.published(*at, *run, next, *asked_at);
            }
            Event::LeaseMoved { at, run, fresh_until } => {
                self.close_view(*run, *at);
                if let Some(view) = self.runs.get(*run).and_then(|state| state.view.as_mut()) {
                    view.since = *at;
                    view.fresh_until = view.fresh_until.map(|_| *fresh_until);
                }
            }
            Event::Stored { run, heads, .. } => {
                if let Some(state) = self.runs.get(*run) {
                    state.stored = *heads;
                }
            }
            Event::Receipt { at, run, level, heads } => self.receipt(*at, *run, *level, heads),
            Event::Faulted { at, run, fault } => {
                if let Some(state) = self.runs.get(*run) {
                    match fault {
                        Fault::Standing => state.has_standing_fault = true,
                        Fault::Lease => state.void_before = *at,
                    }
                }
            }
            Event::Recovered { run, .. } => {
                if let Some(state) = self.runs.get(*run) {
                    state.has_standing_fault = false;
                }
            }
            _ => {}
        }
    }

    fn started(&mut self, at: Nanos, run: Run, strict: bool, store: Store, heads: Heads) {
        let agent = self.runs.agent(run);
        match store {
            Store::Intact if !reaches(&heads, &agent.durable) => {
                let text = format!(
                    "{run} starts at {} from an intact store, but acknowledged {} as durable",
                    Short(&heads),
                    Short(&agent.durable)
                );
                self.broken(Guarantee::S5, at, Some(run), text);
            }
            Store::Intact => {}
            Store::Doubtful => agent.durable = Heads::default(),
        }
        self.judge(Guarantee::S5);
        self.has_loose_runs |= !strict;
        self.runs.runs.insert(run, RunState::new(strict, at, heads));
    }

    fn published(&mut self, at: Nanos, run: Run, next: Live, asked_at: Option<Nanos>) {
        self.close_view(run, at);
        let Some(state) = self.runs.get(run) else { return };
        let before = state.view.replace(next);
        let is_fresh = state.fresh_at(at).is_some();
        let (started_at, void_before) = (state.started_at, state.void_before);
        let (strict, standing) = (state.strict, state.has_standing_fault);
        if let Some(before) = before
            && !reaches(&next.heads, &before.heads)
        {
            let text = format!("{run} goes back from {} to {}", Short(&before.heads), Short(&next.heads));
            self.broken(Guarantee::S5, at, Some(run), text);
        }
        if next.fresh_until.is_some_and(|until| at < until) {
            if asked_at.is_some_and(|asked| asked < started_at.max(void_before)) {
                let text = format!("{run} uses a lease that was asked for before its start or a fault");
                self.broken(Guarantee::S12, at, Some(run), text);
            }
            if standing {
                let text = format!("{run} is fresh with a fault that denies everything");
                self.broken(Guarantee::S12, at, Some(run), text);
            }
            self.judge(Guarantee::S12);
        }
        self.check_hashes(at, run, &next.heads);
        self.check_digest(at, run, &next);
        self.check_grants(at, run, before.map(|before| before.heads), &next.heads);
        if is_fresh && strict {
            self.check_enforced(at, run, &next.heads);
        }
        if is_fresh {
            self.fresh(at, run);
        }
        self.note_applied(at, run, before.map(|before| before.heads), &next.heads);
    }

    /// S3, S7, S13: what a view is at has to be a place of the one history.
    fn check_hashes(&mut self, at: Nanos, run: Run, heads: &Heads) {
        for lane in LANES {
            let Some(head) = heads.get(lane) else { continue };
            if head.position.revision == Revision(0) || head.hash.0 == [0; 32] {
                continue;
            }
            if self.forged.contains(&head.hash) {
                let text = format!("{run} applied a forged entry at {lane} {}", head.position);
                self.broken(Guarantee::S7, at, Some(run), text);
                continue;
            }
            self.judge(Guarantee::S3);
            match self.history.hash_at(lane, head.position) {
                Some(there) if there == head.hash => {}
                Some(_) => {
                    let text = format!("{run} is at {lane} {} by another history", head.position);
                    self.broken(Guarantee::S3, at, Some(run), text);
                }
                None if self.settings.sees_chain => {
                    let text = format!("{run} is at {lane} {}, where no entry ends", head.position);
                    self.broken(Guarantee::S3, at, Some(run), text);
                }
                None => {}
            }
        }
    }

    fn check_digest(&mut self, at: Nanos, run: Run, view: &Live) {
        let Some(digest) = view.digest else { return };
        self.judge(Guarantee::S9);
        let there = *self.digests.entry(view.heads).or_insert(digest);
        if there != digest {
            let text = format!("{run} has another state than others at {}", Short(&view.heads));
            self.broken(Guarantee::S9, at, Some(run), text);
        }
    }

    fn check_grants(&mut self, at: Nanos, run: Run, before: Option<Heads>, heads: &Heads) {
        let after = before.map_or(0, |before| before.grant.position.revision.0);
        let (deny, grant) = (heads.deny.position.revision.0, heads.grant.position.revision.0);
        let early =
            self.history.between(Lane::Grant(0), after, grant).find(|placed| placed.needs_deny > deny);
        if let Some(early) = early {
            let text = format!(
                "{run} holds {} at deny {deny}, but deny {} was accepted before it was asked for",
                early.id, early.needs_deny
            );
            self.broken(Guarantee::S4, at, Some(run), text);
        }
        self.judge(Guarantee::S4);
    }

    /// S2 for a view that becomes fresh, or is.
    pub(crate) fn check_enforced(&mut self, at: Nanos, run: Run, heads: &Heads) {
        for lane in LANES {
            let Some(head) = heads.get(lane) else { continue };
            let enforced = self.history.enforced(lane);
            if head.position.revision.0 < enforced {
                let text = format!(
                    "{run} is fresh at {lane} {}, below {enforced}, which is called enforced",
                    head.position
                );
                self.broken(Guarantee::S2, at, Some(run), text);
            }
        }
    }

    /// S1 and L1 for the time in which a view was read: it ends now, or goes on and is judged up to now.
    pub(crate) fn close_view(&mut self, run: Run, now: Nanos) {
        let bound = self.settings.bound();
        let Some(state) = self.runs.get(run) else { return };
        let (strict, well_since) = (state.strict, state.well_since);
        if !state.is_live() {
            return;
        }
        let Some(view) = state.view else { return };
        let end = view.fresh_until.unwrap_or(0).min(now);
        self.judge(Guarantee::S1);
        if strict
            && end > view.since
            && let Some(time) = end.checked_sub(bound.saturating_add(1))
            && let Some((lane, placed)) = self.history.missing(&view.heads, time)
        {
            let id = placed.id;
            let late = end - placed.accepted_at.unwrap_or(end);
            let text = format!(
                "{run} was fresh at {} without {id} ({lane}) {} us after it was accepted; the bound is {} us",
                Short(&view.heads),
                late / 1000,
                bound / 1000
            );
            self.broken(Guarantee::S1, end, Some(run), text);
        }
        if let (Some(well), Some(time)) = (well_since, now.checked_sub(bound.saturating_add(1)))
            && let Some((lane, placed)) = self.history.missing(&view.heads, time)
            && placed.accepted_at.is_some_and(|at| at >= well)
        {
            let text = format!("{run} is connected and lacks {} ({lane}) past the bound", placed.id);
            self.broken(Guarantee::L1, now, Some(run), text);
        }
    }

    /// L1: how long what is new in this view took.
    fn note_applied(&mut self, at: Nanos, run: Run, before: Option<Heads>, heads: &Heads) {
        let Some(well) = self.runs.get(run).and_then(|state| state.well_since) else { return };
        let Some(before) = before else { return };
        for lane in LANES {
            let (Some(from), Some(to)) = (before.get(lane), heads.get(lane)) else { continue };
            let new = self.history.between(lane, from.position.revision.0, to.position.revision.0);
            let accepted = new.filter_map(|placed| placed.accepted_at).filter(|accepted| *accepted >= well);
            self.delays.extend(accepted.map(|accepted| at.saturating_sub(accepted)));
        }
    }

    fn receipt(&mut self, at: Nanos, run: Run, level: ReceiptLevel, heads: &Heads) {
        let sees_disk = self.settings.sees_disk;
        let Some(state) = self.runs.get(run) else { return };
        let shown = state.view.map_or_else(Heads::default, |view| view.heads);
        let stored = state.stored;
        let is_true = match level {
            ReceiptLevel::Applied => reaches(&shown, heads),
            ReceiptLevel::Durable => !sees_disk || reaches(&stored, heads),
        };
        if level == ReceiptLevel::Applied {
            let before = state.receipt.map_or_else(Heads::default, |(_, heads)| heads);
            state.receipt = Some((at, later(before, *heads)));
        } else {
            let agent = self.runs.agent(run);
            agent.durable = later(agent.durable, *heads);
        }
        self.judge(Guarantee::S10);
        if !is_true {
            let really = if level == ReceiptLevel::Applied { shown } else { stored };
            let text = format!("{run} acknowledges {level:?} {}, but has {}", Short(heads), Short(&really));
            self.broken(Guarantee::S10, at, Some(run), text);
        }
    }
}
