//! What can be asked for, and what it leads to.

use std::process::Command;

use crate::{
    ci,
    command::{cargo, run},
    deep::{self, Deep},
    nats,
    workspace::Workspace,
};

#[cfg(test)]
mod tests;

/// The menu as it is shown by `cargo xtask help`.
pub(crate) const HELP: &str = "\
cargo xtask <command>

  demo [--json] [--keep] [..]  the whole system on this machine, from a revocation to a denied request;
                               other options go to `rescind demo`
  test [..]                    all tests (cargo-nextest when installed, else cargo test) and doc tests;
                               options go to the runner, for example `-p rescind-core`
  ci                           everything that must hold before a merge: format, architecture, generated
                               code, lints, tests, 1,000 simulated seeds; this is what .ci/run runs
  codegen [--check]            write the generated code of schemas/, or only compare it
  bench [names..]              benchmarks with their targets; without names all of them
  model [--deep | ..]          explores the lease and chain protocol to the end, then leaves out one rule after
                               the other and shows how soon a guarantee falls; seconds; --deep: minutes
  loom                         every interleaving of publishing a state and deciding on it; seconds
  miri [-p CRATE]              core and codec in the interpreter that finds undefined behaviour; some minutes
  fuzz [TARGET] [--seconds N]  hostile bytes for every decoder of the wire, JWKS and targets, 60 s each; without
                               a target all of them, one after the other
  mutants [PACKAGE]            breaks the code in small ways and shows which ones no test notices; hours for all
                               of core, codec, the stores; options of cargo-mutants may follow the package
  torture [--runs N] [--seed S]  kills and damages the stores of agents and controllers, 200 times without --runs
  sim [--seeds N] [--seed S] [--agents N] [--trace] [--json]
                               many agents and controllers in virtual time, with faults from seeds
  seeded [--json]              breaks rules of the core on purpose, one at a time, and writes into
                               docs/testing.md what found each; fails where nothing did
  nemesis [--minutes M] [..]   breaks real processes on purpose for 5 minutes, or M, and checks the guarantees;
                               `--mix NAME`, `--seed S`, `--cluster`, `--json`; see docs/testing.md
  help                         this text

A nats-server is looked for on PATH and else installed into target/nats; RESCIND_NATS_SERVER names another.";

/// Tells the test of the OpenAPI document to write it instead of only comparing.
#[cfg(not(feature = "codegen"))]
const WRITE_SCHEMAS: &str = "RESCIND_WRITE_SCHEMAS";

/// One entry of the menu with its arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Choice {
    /// Show the menu.
    Help,
    /// Run the demo; options for `rescind demo`.
    Demo(Vec<String>),
    /// Run the tests; options for the runner.
    Test(Vec<String>),
    /// Run everything.
    Ci,
    /// Write or compare the generated code.
    Codegen {
        /// Only compare.
        check: bool,
    },
    /// Kill and damage stores; options for the torture.
    Torture(Vec<String>),
    /// Run simulated seeds; options for the simulator.
    Sim(Vec<String>),
    /// Hunt seeded bugs; its options.
    Seeded(Vec<String>),
    /// Run benchmarks; names and options for the bench binary.
    Bench(Vec<String>),
    /// A check that takes too long, or needs too much, for every merge.
    Deep(Deep, Vec<String>),
    /// Break processes; options for `rescind-nemesis`.
    Nemesis(Vec<String>),
}

/// Reads the command line.
///
/// # Errors
/// A text that names the word that is not understood and points to the help.
pub(crate) fn choose(words: &[&str]) -> Result<Choice, String> {
    let (name, rest) = match words.split_first() {
        None => return Ok(Choice::Help),
        Some((name, rest)) => (*name, rest),
    };
    let owned = || rest.iter().map(|word| (*word).to_owned()).collect();
    match (name, rest) {
        ("help" | "--help" | "-h", _) => Ok(Choice::Help),
        ("demo", _) => Ok(Choice::Demo(owned())),
        ("test", _) => Ok(Choice::Test(owned())),
        ("bench", _) => Ok(Choice::Bench(owned())),
        ("sim", _) => Ok(Choice::Sim(owned())),
        ("seeded", _) => Ok(Choice::Seeded(owned())),
        ("torture", _) => Ok(Choice::Torture(owned())),
        ("model", _) => Ok(Choice::Deep(Deep::Model, owned())),
        ("loom", []) => Ok(Choice::Deep(Deep::Loom, Vec::new())),
        ("miri", _) => Ok(Choice::Deep(Deep::Miri, owned())),
        ("fuzz", _) => Ok(Choice::Deep(Deep::Fuzz, owned())),
        ("mutants", _) => Ok(Choice::Deep(Deep::Mutants, owned())),
        ("nemesis", _) => Ok(Choice::Nemesis(owned())),
        ("ci", []) => Ok(Choice::Ci),
        ("codegen", []) => Ok(Choice::Codegen { check: false }),
        ("codegen", ["--check"]) => Ok(Choice::Codegen { check: true }),
        ("ci" | "codegen" | "loom", [unknown, ..]) => {
            Err(format!("`{name}` does not take `{unknown}`; see `cargo xtask help`"))
        }
        _ => Err(format!("there is no command `{name}`; see `cargo xtask help`")),
    }
}

/// Does what was chosen.
///
/// # Errors
/// A text that says what failed and what to do about it.
pub(crate) fn perform(choice: Choice) -> Result<(), String> {
    if choice == Choice::Help {
        println!("{HELP}");
        return Ok(());
    }
    let workspace = Workspace::find()?;
    match choice {
        Choice::Help => Ok(()),
        Choice::Demo(options) => demo(&workspace, &options),
        Choice::Test(options) => ci::test(&workspace, &options),
        Choice::Ci => ci::run_all(&workspace),
        Choice::Codegen { check } => codegen(&workspace, check),
        Choice::Bench(names) => bench(&workspace, &names),
        Choice::Torture(options) => torture(&workspace, &options),
        Choice::Sim(options) => sim(&workspace, &options),
        Choice::Seeded(options) => crate::seeded::hunt(&workspace, &options),
        Choice::Deep(check, options) => deep::perform(check, &workspace, &options),
        Choice::Nemesis(options) => nemesis(&workspace, &options),
    }
}

fn sim(workspace: &Workspace, options: &[String]) -> Result<(), String> {
    let mut command = cargo(workspace);
    command.args(["run", "--quiet", "--profile", "sim", "-p", "rescind-simulator", "--"]).args(options);
    crate::command::become_it("the simulator", &mut command)
}

fn demo(workspace: &Workspace, options: &[String]) -> Result<(), String> {
    let server = nats::server(workspace)?;
    run("the build of `rescind`", cargo(workspace).args(["build", "--release", "-p", "rescind-cli"]))?;
    let binary = workspace.target.join("release").join("rescind");
    let mut command = Command::new(binary);
    command.arg("demo").args(options).env(nats::VARIABLE, &server.path);
    crate::command::become_it("the demo", &mut command)
}

fn bench(workspace: &Workspace, names: &[String]) -> Result<(), String> {
    let server = nats::server(workspace)?;
    let mut command = cargo(workspace);
    command.args(["run", "--release", "-p", "rescind-bench", "--"]).args(names);
    command.env(nats::VARIABLE, &server.path);
    crate::command::become_it("the benchmarks", &mut command)
}

/// Why not a release build: overflow checks and debug assertions are what a torture should run into.
fn torture(workspace: &Workspace, options: &[String]) -> Result<(), String> {
    let mut command = cargo(workspace);
    command.args(["run", "-p", "rescind-torture", "--", "run"]).args(options);
    crate::command::become_it("the torture", &mut command)
}

/// Why the profile of the tests: its assertions are on, and `cargo xtask test` has built most of it.
fn nemesis(workspace: &Workspace, options: &[String]) -> Result<(), String> {
    let mut build = cargo(workspace);
    run("the build of the fleet", build.args(["build", "-p", "rescind-cli", "-p", "rescind-nemesis"]))?;
    crate::command::become_it("the nemesis", &mut nemesis_command(workspace, options)?)
}

/// The nemesis with what it starts; all of it has to be built.
///
/// # Errors
/// There is no nats-server and none can be installed.
pub(crate) fn nemesis_command(workspace: &Workspace, options: &[String]) -> Result<Command, String> {
    let server = nats::server(workspace)?;
    let binaries = workspace.target.join("debug");
    let mut command = Command::new(binaries.join("rescind-nemesis"));
    command.args(options).env(nats::VARIABLE, &server.path).env("RESCIND_BINARY", binaries.join("rescind"));
    Ok(command)
}

#[cfg(feature = "codegen")]
fn codegen(_: &Workspace, check: bool) -> Result<(), String> {
    crate::codegen::run(check)
}

/// Starts the same program with the schema compiler built in, then the writer of the OpenAPI document.
#[cfg(not(feature = "codegen"))]
fn codegen(workspace: &Workspace, check: bool) -> Result<(), String> {
    run("codegen", &mut ci::codegen_command(workspace, check))?;
    let mut openapi = cargo(workspace);
    openapi.args(["test", "--quiet", "-p", "rescind-controller", "--test", "openapi"]);
    if !check {
        openapi.env(WRITE_SCHEMAS, "1");
    }
    run("the OpenAPI document", &mut openapi)
}
