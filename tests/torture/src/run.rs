//! One run from its seed, and its verdict.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use crate::damage::{Damage, copy_tree};
use crate::dice::Dice;
use crate::process::{Cage, Program, Said, Subject};
use crate::writer::prepare;

/// Most acknowledgements before a kill.
const ACKS_MAX: u64 = 24;
/// Longest wait after them, in microseconds: some writes are always under way.
const KILL_US_MAX: u64 = 4000;
/// Largest file of a run with a full disk, in KiB: some stores cannot even begin, most meet it while they write.
const fn file_kib(subject: Subject, dice: &mut Dice) -> u64 {
    match (subject, dice.below(5)) {
        (Subject::Agent, 0) => 1 + dice.below(4),
        (Subject::Agent, _) => 8 + dice.below(24),
        (Subject::Log, 0) => 1 + dice.below(72),
        (Subject::Log, _) => 96 + dice.below(256),
    }
}

/// Exit code of a cage that cannot be built here.
const NO_CAGE: i32 = 77;

/// What is done in a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plan {
    /// Killed once or twice.
    Kill,
    /// Killed, then a file is damaged.
    Damage,
    /// Killed, continued, killed, then the store of the first kill is put back (agents).
    PutBack,
    /// The disk is full at some point, then killed.
    FullDisk,
    /// Killed, then opened on a read-only disk.
    ReadOnly,
}

impl Plan {
    const fn roll(dice: &mut Dice, subject: Subject) -> Self {
        match (dice.below(100), subject) {
            (0..40, _) => Self::Kill,
            (40..80, _) => Self::Damage,
            (80..85, Subject::Agent) => Self::PutBack,
            (80..95, _) => Self::FullDisk,
            _ => Self::ReadOnly,
        }
    }
}

/// How a run that held ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Everything acknowledged came back.
    Whole,
    /// The store was thrown away, or the log refused: said so, and nothing older was believed.
    Refused,
    /// The log came back one commit short, after damage: a single copy cannot know; the stream has it.
    OneShort,
    /// The read-only disk cannot be made on this machine.
    Skipped,
}

/// Counts of many runs.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    rows: Vec<(Subject, Plan, Outcome)>,
    violations: Vec<String>,
}

impl Tally {
    /// What did not hold, with seeds.
    #[must_use]
    pub fn violations(&self) -> &[String] {
        &self.violations
    }

    /// Runs that were judged.
    #[must_use]
    pub fn runs(&self) -> usize {
        self.rows.len() + self.violations.len()
    }

    fn count(&self, wanted: impl Fn(&(Subject, Plan, Outcome)) -> bool) -> usize {
        self.rows.iter().filter(|row| wanted(row)).count()
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "subject  plan      runs  whole  refused  one short  skipped")?;
        for subject in [Subject::Agent, Subject::Log] {
            for plan in [Plan::Kill, Plan::Damage, Plan::PutBack, Plan::FullDisk, Plan::ReadOnly] {
                let of = |outcome| self.count(|row| *row == (subject, plan, outcome));
                let all = self.count(|row| (row.0, row.1) == (subject, plan));
                if all > 0 {
                    let name = format!("{plan:?}");
                    writeln!(
                        f,
                        "{:8} {name:9} {all:>4}  {:>5}  {:>7}  {:>9}  {:>7}",
                        subject.word(),
                        of(Outcome::Whole),
                        of(Outcome::Refused),
                        of(Outcome::OneShort),
                        of(Outcome::Skipped)
                    )?;
                }
            }
        }
        write!(f, "{} runs, {} violations", self.runs(), self.violations.len())?;
        self.violations.iter().try_for_each(|violation| write!(f, "\n  {violation}"))
    }
}

/// Runs seeds `first..first + runs`; agents and logs in turn.
#[must_use]
pub fn torture(program: &Program, first: u64, runs: u64) -> Tally {
    let mut tally = Tally::default();
    for seed in first..first.saturating_add(runs) {
        let subject = if seed % 2 == 0 { Subject::Agent } else { Subject::Log };
        let mut dice = Dice::new(seed);
        let plan = Plan::roll(&mut dice, subject);
        match one(program, seed, subject, plan, &mut dice) {
            Ok(outcome) => tally.rows.push((subject, plan, outcome)),
            Err(why) => tally.violations.push(format!("seed {seed} ({} {plan:?}): {why}", subject.word())),
        }
    }
    tally
}

/// What is known when the kills are over.
#[derive(Debug, Default)]
struct Known {
    /// Newest acknowledged number.
    acked: u64,
    /// A full disk made the store give up: then it may be gone.
    gave_up: bool,
}

struct Scene<'a> {
    program: &'a Program,
    seed: u64,
    subject: Subject,
    folder: &'a Path,
}

fn one(
    program: &Program,
    seed: u64,
    subject: Subject,
    plan: Plan,
    dice: &mut Dice,
) -> Result<Outcome, String> {
    let dir = tempfile::tempdir().map_err(|error| error.to_string())?;
    let folder = dir.path().join("store");
    prepare(&folder)?;
    let scene = Scene { program, seed, subject, folder: &folder };
    let mut known = Known::default();
    match plan {
        Plan::Kill => {
            for _ in 0..=dice.below(2) {
                scene.write(Cage::None, dice, &mut known)?;
            }
            scene.judge(&known, &scene.check(Cage::None)?, None)
        }
        Plan::Damage => {
            scene.write(Cage::None, dice, &mut known)?;
            let struck = Damage::roll(dice).strike(&folder, dice).map_err(|error| error.to_string())?;
            scene.judge(&known, &scene.check(Cage::None)?, Some(&struck.to_string()))
        }
        Plan::PutBack => {
            scene.write(Cage::None, dice, &mut known)?;
            let (store, copy) = (folder.join("v1"), dir.path().join("copy"));
            copy_tree(&store, &copy).map_err(|error| error.to_string())?;
            scene.write(Cage::None, dice, &mut known)?;
            std::fs::remove_dir_all(&store)
                .and_then(|()| copy_tree(&copy, &store))
                .map_err(|error| error.to_string())?;
            scene.judge(&known, &scene.check(Cage::None)?, Some("an older store was put back"))
        }
        Plan::FullDisk => {
            scene.write(Cage::FileKib(file_kib(subject, dice)), dice, &mut known)?;
            scene.judge(&known, &scene.check(Cage::None)?, None)
        }
        Plan::ReadOnly => {
            scene.write(Cage::None, dice, &mut known)?;
            let said = scene.check(Cage::ReadOnly)?;
            if said.code == Some(NO_CAGE) || said.stderr.contains("unshare") {
                return Ok(Outcome::Skipped);
            }
            sane(&said)?;
            if said.lines.iter().any(|line| line == "usable" || line.ends_with("wrong")) {
                return Err(format!("on a read-only disk it says {:?}", said.lines));
            }
            scene.judge(&known, &scene.check(Cage::None)?, None)
        }
    }
}

/// Whatever happened: the process ended by itself, without a panic.
fn sane(said: &Said) -> Result<(), String> {
    match said.code {
        Some(0) => Ok(()),
        code => Err(format!("a process ended with {code:?} and {:?}: {}", said.lines, said.stderr.trim())),
    }
}

impl Scene<'_> {
    /// Lets a process write and kills it after some acknowledgements.
    fn write(&self, cage: Cage, dice: &mut Dice, known: &mut Known) -> Result<(), String> {
        let mut running = self.program.start("write", self.subject, self.folder, self.seed, cage)?;
        let acks = usize::try_from(1 + dice.below(ACKS_MAX)).unwrap_or(1);
        match cage {
            // A full disk ends the acknowledgements, and one line says so.
            Cage::FileKib(_) => running.until_lines(acks * 64)?,
            Cage::None | Cage::ReadOnly => running.until_lines(acks)?,
        }
        std::thread::sleep(Duration::from_micros(dice.below(KILL_US_MAX)));
        let has_ended = running.has_ended();
        let said = running.kill9()?;
        if has_ended {
            sane(&said)?;
        }
        for line in &said.lines {
            match line.split_once(' ') {
                Some(("durable" | "logged", number)) => {
                    known.acked = known.acked.max(number.parse().unwrap_or(0));
                }
                Some(("failed", why)) if cage == Cage::None => {
                    return Err(format!("the log does not open: {why}"));
                }
                _ => known.gave_up |= matches!(cage, Cage::FileKib(_)),
            }
        }
        Ok(())
    }

    fn check(&self, cage: Cage) -> Result<Said, String> {
        self.program.start("check", self.subject, self.folder, self.seed, cage)?.wait()
    }

    fn judge(&self, known: &Known, said: &Said, damage: Option<&str>) -> Result<Outcome, String> {
        sane(said)?;
        let told = || {
            format!("acknowledged {}, then {:?} ({})", known.acked, said.lines, damage.unwrap_or("no damage"))
        };
        let first = said.lines.first().map(String::as_str).unwrap_or_default();
        let words: Vec<&str> = first.split(' ').collect();
        let (found, verdict) = match words.as_slice() {
            ["state" | "head", number, verdict] => (number.parse::<u64>().ok(), *verdict),
            _ => (None, ""),
        };
        if verdict == "wrong" {
            return Err(format!("a state that nobody wrote: {}", told()));
        }
        let is_usable = said.lines.get(1).is_some_and(|line| line == "usable");
        match (found, self.subject, damage) {
            (Some(number), _, _) if number >= known.acked && is_usable => Ok(Outcome::Whole),
            (Some(number), _, _) if number >= known.acked => Err(format!("not usable: {}", told())),
            // Damage only: a commit is up to three revisions.
            (Some(number), Subject::Log, Some(_)) if number + 3 >= known.acked && is_usable => {
                Ok(Outcome::OneShort)
            }
            (Some(_), _, _) => Err(format!("older than what was acknowledged: {}", told())),
            (None, Subject::Agent, Some(_)) if first == "none" && is_usable => Ok(Outcome::Refused),
            (None, Subject::Agent, None) if first == "none" && is_usable && known.gave_up => {
                Ok(Outcome::Refused)
            }
            (None, Subject::Agent, None) if first == "none" && is_usable && known.acked == 0 => {
                Ok(Outcome::Whole)
            }
            (None, Subject::Log, Some(_)) if words.first() == Some(&"damaged") => Ok(Outcome::Refused),
            (None, _, _) => Err(format!("lost: {}", told())),
        }
    }
}
