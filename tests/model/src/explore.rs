//! Runs the explorer.

use std::time::Duration;

use stateright::{Checker, HasDiscoveries, Model};

use crate::properties::REACHED;
use crate::protocol::{Bound, Protocol, Step};
use crate::rules::{Guarantee, Rule};

/// What an exhausted bound showed.
#[derive(Debug, Clone)]
pub struct Explored {
    /// Different states.
    pub states: usize,
    /// States that were made, repeats counted.
    pub made: usize,
    /// Longest way from the first state.
    pub depth: usize,
    /// How long it took.
    pub took: Duration,
    /// Guarantees that are broken somewhere, with the way there. Empty is what is wanted.
    pub broken: Vec<(&'static str, Vec<Step>)>,
    /// Situations that were reached; together the bounds must reach all of [`REACHED`].
    pub reached: Vec<&'static str>,
}

/// A way to break a guarantee.
#[derive(Debug, Clone)]
pub struct Refuted {
    /// The shortest steps that lead there.
    pub steps: Vec<Step>,
    /// Different states that were looked at.
    pub states: usize,
    /// How long it took.
    pub took: Duration,
}

/// Visits every state of the whole protocol within a bound.
#[must_use]
pub fn exhaust(bound: Bound) -> Explored {
    let watch = Stopwatch::start();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let checker = Protocol::whole(bound)
        .checker()
        .threads(threads)
        // Why never early: the count of states is part of the result.
        .finish_when(HasDiscoveries::AnyFailures)
        .spawn_bfs()
        .join();
    let discoveries = checker.discoveries();
    let mut broken = Vec::new();
    for guarantee in Guarantee::ALL {
        if let Some(path) = discoveries.get(guarantee.name()) {
            broken.push((guarantee.name(), path.clone().into_actions()));
        }
    }
    let reached = REACHED.into_iter().filter(|name| discoveries.contains_key(name)).collect();
    Explored {
        states: checker.unique_state_count(),
        made: checker.state_count(),
        depth: checker.max_depth(),
        took: watch.elapsed(),
        broken,
        reached,
    }
}

/// Looks for the shortest way to break what `rule` guards once it is left out; `None`: there is none in
/// [`Bound::of`] it, so either the rule is not needed or the model does not see why it is.
#[must_use]
pub fn refute(rule: Rule) -> Option<Refuted> {
    let watch = Stopwatch::start();
    let name = rule.guards().name();
    // Why one thread: only then the first way found is a shortest one.
    let checker = Protocol::without(rule)
        .checker()
        .finish_when(HasDiscoveries::AllOf(std::iter::once(name).collect()))
        .spawn_bfs()
        .join();
    let path = checker.discovery(name)?;
    Some(Refuted { steps: path.into_actions(), states: checker.unique_state_count(), took: watch.elapsed() })
}

#[expect(clippy::disallowed_types, reason = "how long an exploration takes; nobody's freshness rests on it")]
struct Stopwatch(std::time::Instant);

#[expect(clippy::disallowed_types, reason = "as above")]
impl Stopwatch {
    fn start() -> Self {
        Self(std::time::Instant::now())
    }

    fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}
