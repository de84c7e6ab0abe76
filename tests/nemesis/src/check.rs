//! The exact comparison of what agents allowed with what emitters were told.
//!
//! All times are of one clock that every process of the machine shares, and every uncertainty is in favour of the
//! system: a change counts as accepted when its answer was *here*, an allow as given when its clock was read
//! *before* the decision, a return of access as possible from when it was *sent*. So a finding is never an artefact
//! of the measurement; what a paused process would have done in between shows as nothing.

use std::time::Duration;

use crate::{
    bound::Bound,
    clock::{between, nanos},
    evidence::{Allow, Denial, Seen, Violation},
};

#[cfg(test)]
mod tests;

/// An allow after acceptance: how stale an agent was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Late {
    /// When the change was accepted.
    pub accepted_ns: u64,
    /// When the allow was decided, at the earliest.
    pub allowed_ns: u64,
}

impl Late {
    /// From acceptance to the allow.
    #[must_use]
    pub fn staleness(&self) -> Duration {
        between(self.accepted_ns, self.allowed_ns)
    }
}

/// Whether the denial was in force during the whole decision.
fn in_force(denial: &Denial, allow: &Allow) -> bool {
    denial.until_ns.is_none_or(|until| allow.to_ns < until)
}

/// The latest allow after each accepted denial, where there is one.
#[must_use]
pub fn late_allows(seen: &Seen) -> Vec<Late> {
    let worst = |denial: &Denial| {
        let allows = seen.allows.get(&denial.question)?.iter();
        let after = allows.filter(|allow| allow.from_ns >= denial.accepted_ns && in_force(denial, allow));
        let allowed_ns = after.map(|allow| allow.from_ns).max()?;
        Some(Late { accepted_ns: denial.accepted_ns, allowed_ns })
    };
    seen.denials.iter().filter_map(worst).collect()
}

/// S1: nobody allows at or after acceptance and the bound.
#[must_use]
pub fn s1(seen: &Seen, bound: Bound) -> Vec<Violation> {
    let broken = |denial: &Denial, allow: &Allow| {
        let end = denial.accepted_ns.saturating_add(nanos(bound.staleness));
        (allow.from_ns >= end).then(|| {
            let late = between(denial.accepted_ns, allow.from_ns);
            format!(
                "agent-{} allowed {} {late:?} after {} ({} at {} {}) was accepted; the bound is {:?}",
                allow.agent,
                denial.question,
                denial.id,
                denial.kind,
                denial.lane,
                denial.position,
                bound.staleness,
            )
        })
    };
    each_first(seen, "S1", broken)
}

/// S2: nobody allows after the board said `enforced`.
#[must_use]
pub fn s2(seen: &Seen) -> Vec<Violation> {
    let broken = |denial: &Denial, allow: &Allow| {
        let enforced = denial.enforced_ns?;
        (allow.from_ns >= enforced).then(|| {
            let late = between(enforced, allow.from_ns);
            format!(
                "agent-{} allowed {} {late:?} after the board of {} ({}) said `enforced`",
                allow.agent, denial.question, denial.id, denial.kind,
            )
        })
    };
    each_first(seen, "S2", broken)
}

/// The first violation of each denial: one cause, one finding.
fn each_first(
    seen: &Seen,
    guarantee: &'static str,
    broken: impl Fn(&Denial, &Allow) -> Option<String>,
) -> Vec<Violation> {
    let of_denial = |denial: &Denial| {
        let allows = seen.allows.get(&denial.question)?.iter().filter(|allow| in_force(denial, allow));
        let found = allows.filter_map(|allow| Some((allow.from_ns, broken(denial, allow)?)));
        let (at_ns, text) = found.min()?;
        Some(Violation { guarantee, at_ns, text })
    };
    seen.denials.iter().filter_map(of_denial).collect()
}
