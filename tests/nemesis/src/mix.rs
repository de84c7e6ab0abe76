//! Shifting mixes of faults from a seed, with quiet times between, and everything checked.

use std::{collections::BTreeMap, time::Duration};

use rescind_testkit::{KitError, KitResult};
use serde_json::json;
use tokio::time::Instant;

use crate::{
    check,
    clock::{between, mono_ns},
    dice::Dice,
    faults::{Fault, Fits, GROUPS, Heal, Injected},
    finale,
    fleet::{Fleet, Plan},
    report::{Report, Window, rows},
    workload::{Pace, Workload},
};

/// Limit: faults that are open at once.
const OPEN_MAX: u64 = 3;

/// Kept free at the end for the last quiet time and the last checks.
const END_NEEDS: Duration = Duration::from_secs(25);

/// Stories at once.
const STORIES: usize = 6;

/// People for each minute of a run; more than any run uses up.
const PEOPLE_PER_MINUTE: u64 = 60;

/// What to run.
#[derive(Debug, Clone)]
pub struct Mix {
    /// Name of a group of faults, of one fault, or `all`.
    pub name: String,
    /// How long, the end included.
    pub lasts: Duration,
    /// The fleet.
    pub plan: Plan,
}

/// The faults of a mix for a fleet.
///
/// # Errors
/// There is no such mix; names those that there are.
pub fn faults(name: &str, brokers: usize) -> KitResult<Vec<Fault>> {
    let fits = |fault: &&Fault| match fault.fits {
        Fits::Any => true,
        Fits::Single => brokers == 1,
        Fits::Cluster => brokers > 1,
    };
    let all = GROUPS.iter().filter(|(group, _)| name == "all" || name == *group);
    let mut chosen: Vec<Fault> = all.flat_map(|(_, faults)| faults.iter()).filter(fits).copied().collect();
    if chosen.is_empty() {
        chosen.extend(crate::faults::find(name));
    }
    if chosen.is_empty() {
        let names: Vec<&str> = GROUPS.iter().map(|(group, _)| *group).collect();
        return Err(KitError::new(format!("there is no mix `{name}`; choose all, {}", names.join(", "))));
    }
    Ok(chosen)
}

/// Runs a mix; `say` hears how it goes.
///
/// # Errors
/// The run could not be made. Violations are no error, they are in the report.
pub async fn run(mix: &Mix, say: &mut (dyn FnMut(&str) + Send)) -> KitResult<Report> {
    let chosen = faults(&mix.name, mix.plan.brokers)?;
    let mut fleet = Fleet::start(mix.plan.clone()).await?;
    say(&format!(
        "the fleet runs: {} agents, {} controllers, {} brokers; {} kinds of faults",
        fleet.agents.len(),
        fleet.controllers.len(),
        fleet.brokers.count(),
        chosen.len()
    ));
    let begun = Instant::now();
    let minutes = mix.lasts.as_secs().div_ceil(60).max(1);
    let people = usize::try_from(minutes * PEOPLE_PER_MINUTE).unwrap_or(600);
    let workload = Workload::start(&mut fleet, Pace { stories: STORIES, people })?;
    fleet.pass(Duration::from_secs(1)).await?;
    let mut course = Course::new(chosen, mix.plan.seed);
    let last = begun + mix.lasts.saturating_sub(END_NEEDS);
    while let Some(budget) = last.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
        course.round(&mut fleet, budget, say).await?;
    }
    say("everything is healed; the emitters finish, then the last checks");
    let with_access = workload.finish(&mut fleet).await?;
    finale::look(&mut fleet, &with_access).await?;
    let report = course.report(&fleet, begun.elapsed());
    fleet.end().await;
    Ok(report)
}

/// What happened so far.
struct Course {
    chosen: Vec<Fault>,
    dice: Dice,
    seed: u64,
    windows: Vec<Window>,
    skipped: Vec<(&'static str, String)>,
    queue: Vec<Fault>,
    rounds: usize,
}

/// A fault that waits for its heal.
struct Open {
    fault: Fault,
    from_ns: u64,
    until: Instant,
    heal: Heal,
}

impl Course {
    fn new(chosen: Vec<Fault>, seed: u64) -> Self {
        let dice = Dice::new(seed ^ 0xfa01);
        Self { chosen, dice, seed, windows: Vec::new(), skipped: Vec::new(), queue: Vec::new(), rounds: 0 }
    }

    /// The next faults, all different in what they take: every fault comes before any comes again.
    fn draw(&mut self, budget: Duration) -> Vec<Fault> {
        if self.queue.is_empty() {
            let skipped: Vec<&str> = self.skipped.iter().map(|(name, _)| *name).collect();
            self.queue = self.chosen.iter().filter(|fault| !skipped.contains(&fault.name)).copied().collect();
            self.dice.shuffle(&mut self.queue);
        }
        let wanted = usize::try_from(self.dice.within(1, OPEN_MAX)).unwrap_or(1);
        let mut drawn: Vec<Fault> = Vec::new();
        let mut left = Vec::new();
        for fault in self.queue.drain(..) {
            let fits = drawn.len() < wanted && drawn.iter().all(|one| one.goes_with(&fault));
            if fits && fault.longest() <= budget.max(Duration::from_secs(12)) {
                drawn.push(fault);
            } else {
                left.push(fault);
            }
        }
        self.queue = left;
        drawn
    }

    async fn round(
        &mut self,
        fleet: &mut Fleet,
        budget: Duration,
        say: &mut (dyn FnMut(&str) + Send),
    ) -> KitResult {
        let drawn = self.draw(budget);
        let names: Vec<&str> = drawn.iter().map(|fault| fault.name).collect();
        self.rounds += 1;
        let mut open = Vec::new();
        for fault in drawn {
            if let Some(one) = self.inject(fleet, fault).await? {
                open.push(one);
            }
            let stagger = Duration::from_millis(self.dice.within(0, 800));
            fleet.pass(stagger).await?;
        }
        let healed: Vec<(Fault, u64)> = heal_all(fleet, open).await?;
        let healed_ns = mono_ns();
        fleet.evidence.trace("healed", healed_ns, json!({ "round": self.rounds }));
        let fresh_after = fresh_for_good(fleet, healed_ns).await?;
        let quiet = Duration::from_millis(self.dice.within(300, 2_500));
        fleet.pass(quiet).await?;
        let to_ns = mono_ns();
        for (fault, from_ns) in healed {
            self.windows.push(Window { fault: fault.name, from_ns, to_ns, fresh_after });
        }
        let broken = fleet.evidence.seen().broken.len();
        say(&format!(
            "round {}: {}; fresh {} ms after the heal; violations {broken}",
            self.rounds,
            names.join(" + "),
            fresh_after.as_millis()
        ));
        Ok(())
    }

    async fn inject(&mut self, fleet: &mut Fleet, fault: Fault) -> KitResult<Option<Open>> {
        let from_ns = mono_ns();
        let lasts = Duration::from_millis(self.dice.within(fault.lasts_ms.0, fault.lasts_ms.1));
        fleet.evidence.trace(
            "inject",
            from_ns,
            json!({ "fault": fault.name, "lasts_ms": u64::try_from(lasts.as_millis()).unwrap_or(u64::MAX) }),
        );
        let turn = self.dice.roll();
        match (fault.inject)(fleet, turn).await? {
            Injected::Open(heal) => Ok(Some(Open { fault, from_ns, until: Instant::now() + lasts, heal })),
            Injected::Skipped(reason) => {
                self.skipped.push((fault.name, reason));
                Ok(None)
            }
        }
    }

    fn report(&self, fleet: &Fleet, ran: Duration) -> Report {
        let seen = fleet.evidence.seen();
        let late = check::late_allows(&seen);
        let (denials, changes, answers) = (seen.denials.len(), seen.effects.len(), seen.answers);
        drop(seen);
        let mut ended: BTreeMap<String, usize> = BTreeMap::new();
        for one in &fleet.ended {
            *ended.entry(one.name.clone()).or_default() += 1;
        }
        Report {
            seed: self.seed,
            ran,
            bound: fleet.bound,
            rows: rows(&self.windows, &self.skipped, &late),
            denials,
            changes,
            answers,
            ended,
            violations: finale::violations(fleet),
        }
    }
}

/// Heals each when its time has come.
async fn heal_all(fleet: &mut Fleet, mut open: Vec<Open>) -> KitResult<Vec<(Fault, u64)>> {
    let mut healed = Vec::new();
    open.sort_by_key(|one| one.until);
    for one in open {
        fleet.pass(one.until.saturating_duration_since(Instant::now())).await?;
        one.heal.now(fleet).await?;
        fleet.evidence.trace("heal", mono_ns(), json!({ "fault": one.fault.name }));
        healed.push((one.fault, one.from_ns));
    }
    Ok(healed)
}

/// Waits until every agent is fresh; says how long after the heal the last one was not (L2).
///
/// # Errors
/// The fleet cannot be watched.
pub async fn fresh_for_good(fleet: &mut Fleet, healed_ns: u64) -> KitResult<Duration> {
    let limit = finale::HEALED_WITHIN;
    let waited = crate::fleet::watch_until(fleet, "every agent is fresh", limit, |fleet| {
        fleet.all_fresh_since(healed_ns)
    });
    if waited.await.is_err() {
        let told = format!("{:?}", fleet.evidence.seen().told);
        let text = format!("not every agent is fresh {limit:?} after the heal: {told}");
        fleet.evidence.broken("L2", mono_ns(), text);
        return Ok(limit);
    }
    // Why a moment more: who was fresh at the heal can still lose its lease to what happened before.
    fleet.pass(Duration::from_millis(600)).await?;
    let seen = fleet.evidence.seen();
    let became = seen.freshness.values().filter_map(|history| {
        let last = history.last().filter(|(_, fresh)| *fresh)?;
        (last.0 > healed_ns).then(|| between(healed_ns, last.0))
    });
    Ok(became.max().unwrap_or(Duration::ZERO))
}
