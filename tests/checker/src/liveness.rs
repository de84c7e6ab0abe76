//! What has to happen in time: L1 to L8.

use rescind_core::position::Heads;

use crate::dues::Due;
use crate::event::{Event, Heal, Ms, Nanos, Run, Short};
use crate::settings::nanos;
use crate::{Checker, Guarantee};

/// Fewer applications than this have no meaningful percentile.
const SAMPLES_MIN: usize = 100;
/// L3: renewals that may be lost in a row.
const LOST_RENEWALS_MAX: u32 = 4;

impl Checker {
    pub(crate) fn weather(&mut self, event: &Event) {
        match event {
            Event::Upset { at, run } => {
                self.close_view(*run, *at);
                self.dues.drop(Due::Fresh(*run));
                if let Some(state) = self.runs.get(*run) {
                    state.is_upset = true;
                    state.well_since = None;
                }
            }
            Event::Healed { at, run, heal } => self.healed(*at, *run, *heal),
            Event::Lapsed { at, run, lost } => {
                self.judge(Guarantee::L3);
                if *lost <= LOST_RENEWALS_MAX {
                    let text = format!("{run} lapsed after {lost} lost renewals");
                    self.broken(Guarantee::L3, *at, Some(*run), text);
                }
            }
            Event::Crashed { at, run } => {
                let limit = self.settings.crashes_max;
                self.judge(Guarantee::L7);
                let agent = self.runs.agent(*run);
                agent.crashes = agent.crashes.saturating_add(1);
                if agent.crashes > limit {
                    let text = format!("{run} is the {}. start without ever being fresh", agent.crashes);
                    self.broken(Guarantee::L7, *at, Some(*run), text);
                }
            }
            Event::Calm { at, still } => {
                self.calm_since = Some(*at);
                if *still {
                    let deadline = at.saturating_add(nanos(self.settings.equal_after));
                    self.dues.demand(Due::Equal, Guarantee::L8, deadline);
                }
            }
            Event::Storm { at } => {
                self.close_all();
                self.dues.take(|due| matches!(due, Due::Fresh(_) | Due::Equal));
                self.calm_since = None;
                self.runs.runs.values_mut().for_each(|state| state.well_since = None);
                debug_assert!(*at <= self.now, "time goes on");
            }
            _ => {}
        }
    }

    fn healed(&mut self, at: Nanos, run: Run, heal: Heal) {
        let (guarantee, within) = match heal {
            Heal::Warm => (Guarantee::L2, self.settings.fresh_after_warm),
            Heal::Cold => (Guarantee::L2, self.settings.fresh_after_cold),
            Heal::Poison => (Guarantee::L6, self.settings.fresh_after_cold),
            Heal::Damage => (Guarantee::L7, self.settings.fresh_after_cold),
        };
        let Some(state) = self.runs.get(run) else { return };
        state.is_upset = false;
        let is_fresh = state.fresh_at(at).is_some();
        self.judge(guarantee);
        if is_fresh {
            self.fresh(at, run);
        } else {
            let deadline = at.saturating_add(nanos(within));
            self.dues.demand(Due::Fresh(run), guarantee, deadline);
        }
    }

    /// A run is fresh: what was due from it is there.
    pub(crate) fn fresh(&mut self, at: Nanos, run: Run) {
        self.dues.drop(Due::Fresh(run));
        self.runs.agent(run).crashes = 0;
        let is_calm = self.calm_since.is_some();
        if let Some(state) = self.runs.get(run)
            && is_calm
            && !state.is_upset
        {
            state.well_since.get_or_insert(at);
        }
    }

    /// Reports what did not happen in time.
    pub(crate) fn expire(&mut self) {
        while let Some((deadline, due, guarantee)) = self.dues.overdue(self.now) {
            match due {
                Due::Fresh(run) => {
                    let text = format!("{run} was to be fresh by {}", Ms(deadline));
                    self.broken(guarantee, deadline, Some(run), text);
                }
                Due::Answer(ticket) => {
                    let text = format!("ticket {ticket} was to be answered by {}", Ms(deadline));
                    self.broken(guarantee, deadline, None, text);
                }
                Due::Enforced(id) => {
                    let text = format!("{id} was to be enforced by {}", Ms(deadline));
                    self.broken(guarantee, deadline, None, text);
                }
                Due::Equal => self.check_equal(deadline),
            }
        }
    }

    fn check_equal(&mut self, at: Nanos) {
        self.judge(Guarantee::L8);
        let equal_after = nanos(self.settings.equal_after);
        let old = self.runs.live().filter(|(_, state)| !state.is_upset);
        let old = old.filter(|(_, state)| state.started_at.saturating_add(equal_after) <= at);
        let views: Vec<_> = old.filter_map(|(run, state)| Some((run, state.view?))).collect();
        let wanted =
            self.confirmed.or_else(|| views.first().and_then(|(_, view)| Some((view.heads, view.digest?))));
        let Some((heads, digest)) = wanted else { return };
        for (run, view) in views {
            let same_digest = view.digest.is_none_or(|there| there == digest);
            if !same_place(&view.heads, &heads) || !same_digest {
                let text = format!(
                    "{run} is at {} long after all faults, others at {}",
                    Short(&view.heads),
                    Short(&heads)
                );
                self.broken(Guarantee::L8, at, Some(run), text);
            }
        }
    }

    /// Judges every view up to now, and the delays of the whole trace.
    pub(crate) fn close_all(&mut self) {
        let live: Vec<Run> = self.runs.live().map(|(run, _)| run).collect();
        let now = self.now;
        for run in live {
            self.close_view(run, now);
        }
        if self.delays.len() < SAMPLES_MIN {
            return;
        }
        self.judge(Guarantee::L1);
        self.delays.sort_unstable();
        let place = self.delays.len().saturating_mul(99) / 100;
        let p99 = self.delays.get(place).copied().unwrap_or(0);
        if p99 > nanos(self.settings.applied_p99) {
            let text = format!("99 of 100 changes took up to {} to be applied in calm times", Ms(p99));
            self.broken(Guarantee::L1, now, None, text);
        }
    }
}

fn same_place(a: &Heads, b: &Heads) -> bool {
    a.deny.position == b.deny.position && a.grant.position == b.grant.position
}
