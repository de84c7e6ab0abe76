//! The checks of a merge, in the order in which they fail fastest: what is written, what is tested, what is broken.

use std::{
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use crate::{
    command::{cargo, run_and_keep},
    nats,
    workspace::Workspace,
};

mod closing;

/// Simulated runs of every merge; more of them by `cargo xtask sim`.
const SIM_SEEDS: &str = "1000";

/// What became of one step.
struct Done {
    name: &'static str,
    took: Duration,
    outcome: Result<(), String>,
    /// What the runner said last, if the step ran tests.
    closing: Vec<String>,
}

/// Runs every check; stops at the first that fails, since the later ones build on the earlier.
///
/// # Errors
/// The step that failed.
pub(crate) fn run_all(workspace: &Workspace) -> Result<(), String> {
    let mut done = Vec::new();
    let steps: [(&'static str, Command); 4] = [
        ("format", with(workspace, &["fmt", "--all", "--check"])),
        ("architecture", with(workspace, &["test", "--quiet", "-p", "xtask", "--test", "architecture"])),
        ("codegen", codegen_command(workspace, true)),
        ("clippy", clippy(workspace)),
    ];
    for (name, mut command) in steps {
        if !take(&mut done, name, &mut command) {
            return report(&done);
        }
    }
    test_steps(workspace, &[], &mut done)?;
    if done.iter().all(|step| step.outcome.is_ok()) {
        fault_steps(workspace, &mut done);
    }
    report(&done)
}

/// Simulated seeds, after the tests: they find rarer things and take longer to read.
fn fault_steps(workspace: &Workspace, done: &mut Vec<Done>) {
    let mut sim = with(workspace, &["run", "--quiet", "--profile", "sim", "-p", "rescind-simulator"]);
    sim.args(["--", "--seeds", SIM_SEEDS]);
    take(done, "simulation", &mut sim);
}

/// Runs the tests only.
///
/// # Errors
/// The step that failed.
pub(crate) fn test(workspace: &Workspace, options: &[String]) -> Result<(), String> {
    let mut done = Vec::new();
    test_steps(workspace, options, &mut done)?;
    report(&done)
}

fn test_steps(workspace: &Workspace, options: &[String], done: &mut Vec<Done>) -> Result<(), String> {
    let server = nats::server(workspace)?;
    let all = options.is_empty();
    let nextest = has_nextest(workspace);
    let mut command = if nextest {
        let mut command = with(workspace, &["nextest", "run"]);
        // Why a profile: in CI every failure is wanted, and the names of the passed ones are not.
        command.args(if all { ["--workspace", "--profile", "ci"].as_slice() } else { &[] });
        command
    } else {
        eprintln!("xtask: cargo-nextest is not installed, using cargo test");
        let mut command = with(workspace, &["test", "--no-fail-fast"]);
        command.args(all.then_some("--workspace"));
        command
    };
    command.args(options).env(nats::VARIABLE, &server.path);
    // Why: cargo test has run the doc tests already.
    if !take(done, "test", &mut command) || !all || !nextest {
        return Ok(());
    }
    take(done, "doc tests", &mut with(workspace, &["test", "--quiet", "--workspace", "--doc"]));
    Ok(())
}

/// The program itself with the schema compiler built in.
pub(crate) fn codegen_command(workspace: &Workspace, check: bool) -> Command {
    let mut command = with(workspace, &["run", "--quiet", "-p", "xtask", "--features", "codegen"]);
    command.args(["--", "codegen"]).args(check.then_some("--check"));
    command
}

fn clippy(workspace: &Workspace) -> Command {
    let flags = ["clippy", "--quiet", "--workspace", "--all-targets", "--features", "xtask/codegen"];
    let mut command = with(workspace, &flags);
    command.args(["--", "-D", "warnings"]);
    command
}

fn with(workspace: &Workspace, arguments: &[&str]) -> Command {
    let mut command = cargo(workspace);
    command.args(arguments);
    command
}

fn has_nextest(workspace: &Workspace) -> bool {
    let mut command = with(workspace, &["nextest", "--version"]);
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

/// Runs one step and writes down what became of it; `false` when it failed.
fn take(done: &mut Vec<Done>, name: &'static str, command: &mut Command) -> bool {
    eprintln!("\n=== {name}: {}", shown(command));
    let watch = Stopwatch::start();
    let (outcome, lines) = run_and_keep(&format!("step `{name}`"), command);
    let took = watch.elapsed();
    let verdict = if outcome.is_ok() { "ok" } else { "FAILED" };
    eprintln!("=== {name}: {verdict} after {:.1} s", took.as_secs_f64());
    let good = outcome.is_ok();
    done.push(Done { name, took, outcome, closing: closing::of(&lines) });
    good
}

/// A command as a person would type it.
fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or(command.get_program());
    let words = std::iter::once(program).chain(command.get_args());
    words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}

/// The table of steps and the runner's closing lines, last, where a person looks.
fn report(done: &[Done]) -> Result<(), String> {
    eprintln!("\n=== summary");
    for step in done {
        let verdict = if step.outcome.is_ok() { "ok" } else { "FAILED" };
        eprintln!("{:<14} {verdict:<7} {:>7.1} s", step.name, step.took.as_secs_f64());
    }
    for step in done.iter().filter(|step| !step.closing.is_empty()) {
        eprintln!("--- {}", step.name);
        step.closing.iter().for_each(|line| eprintln!("{line}"));
    }
    done.iter().find_map(|step| step.outcome.clone().err()).map_or(Ok(()), Err)
}

#[expect(clippy::disallowed_types, reason = "durations of build steps, which nobody's freshness rests on")]
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
