//! The checks that look deeper than the tests of a merge: too long, or in need of a nightly toolchain or of tools
//! that are not everywhere. Each says what is missing and how to get it.

use std::process::{Command, Stdio};

use crate::{
    command::{become_it, cargo, run},
    workspace::Workspace,
};

/// Which check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Deep {
    /// Explore the protocol.
    Model,
    /// Explore interleavings of threads.
    Loom,
    /// Interpret, looking for undefined behaviour.
    Miri,
    /// Feed hostile bytes.
    Fuzz,
    /// Break the code and see who notices.
    Mutants,
}

/// What cargo-mutants goes through without a name.
const MUTATED: [&str; 4] = ["rescind-core", "rescind-codec", "rescind-agent", "rescind-controller"];
/// Of crates that are more than that: the stores, whose tests are quick and need no broker.
const STORES: [(&str, &str, &str); 2] = [
    ("rescind-agent", "agents/agent/src/store*/**", "store::"),
    ("rescind-controller", "src/controller/src/wal*/**", "wal::"),
];
/// How long one target is fuzzed unless told.
const FUZZ_SECONDS: &str = "60";

/// Runs it.
///
/// # Errors
/// What failed, or what is missing and how to install it.
pub(crate) fn perform(check: Deep, workspace: &Workspace, options: &[String]) -> Result<(), String> {
    match check {
        Deep::Model => model(workspace, options),
        Deep::Loom => loom(workspace),
        Deep::Miri => miri(workspace, options),
        Deep::Fuzz => fuzz(workspace, options),
        Deep::Mutants => mutants(workspace, options),
    }
}

fn model(workspace: &Workspace, options: &[String]) -> Result<(), String> {
    let mut command = cargo(workspace);
    command.args(["run", "--quiet", "-p", "rescind-model", "--"]).args(options);
    become_it("the model", &mut command)
}

/// Why a target folder of its own: the flag changes how everything is built.
fn loom(workspace: &Workspace) -> Result<(), String> {
    let mut command = cargo(workspace);
    command.args(["test", "--release", "-p", "rescind-loom", "--", "--nocapture"]);
    command.env("RUSTFLAGS", "--cfg loom").env("CARGO_TARGET_DIR", workspace.target.join("loom"));
    run("loom", &mut command)
}

fn miri(workspace: &Workspace, options: &[String]) -> Result<(), String> {
    if !answers(nightly(workspace).args(["miri", "--version"])) {
        return Err("miri is not installed; `rustup +nightly component add miri rust-src`".to_owned());
    }
    let packages: &[&str] =
        if options.is_empty() { &["-p", "rescind-core", "-p", "rescind-codec"] } else { &[] };
    let mut command = nightly(workspace);
    command.args(["miri", "test", "--lib"]).args(packages).args(options);
    // Why: golden vectors are read from files, and proptest asks for the folder it runs in.
    command.env("MIRIFLAGS", "-Zmiri-disable-isolation");
    command.env("PROPTEST_CASES", "2").env("CARGO_TARGET_DIR", workspace.target.join("miri"));
    run("miri", &mut command)
}

fn fuzz(workspace: &Workspace, options: &[String]) -> Result<(), String> {
    let (targets, seconds) = read_fuzz(options)?;
    let folder = workspace.root.join("tests/fuzz");
    if !answers(nightly(workspace).args(["fuzz", "--version"])) {
        return Err("cargo-fuzz or a nightly toolchain is missing; `rustup toolchain install nightly` and \
                    `cargo install cargo-fuzz --locked`"
            .to_owned());
    }
    let listed = nightly(workspace).current_dir(&folder).args(["fuzz", "list", "--fuzz-dir", "."]).output();
    let listed = listed.map_err(|error| format!("cannot list the fuzz targets: {error}"))?;
    let known = String::from_utf8_lossy(&listed.stdout).into_owned();
    let known: Vec<&str> = known.lines().collect();
    if let Some(unknown) = targets.iter().find(|target| !known.contains(&target.as_str())) {
        return Err(format!("there is no fuzz target `{unknown}`; one of {}", known.join(", ")));
    }
    let chosen: Vec<&str> =
        if targets.is_empty() { known } else { targets.iter().map(String::as_str).collect() };
    for target in chosen {
        eprintln!("\n=== fuzz {target}, {seconds} s");
        let mut command = nightly(workspace);
        command.current_dir(&folder).args(["fuzz", "run", "--fuzz-dir", ".", target]);
        // Why two folders: what is found goes into the first, which git does not see; the second is only read.
        command.args([format!("work/{target}"), "../../schemas/golden".to_owned(), "--".to_owned()]);
        command.args([format!("-max_total_time={seconds}"), "-rss_limit_mb=1024".to_owned()]);
        let made = std::fs::create_dir_all(folder.join("work").join(target));
        made.map_err(|error| format!("cannot make a folder for what fuzzing finds: {error}"))?;
        run(&format!("fuzzing `{target}`"), &mut command)?;
    }
    Ok(())
}

/// Targets and seconds.
fn read_fuzz(options: &[String]) -> Result<(Vec<String>, String), String> {
    let (mut targets, mut seconds) = (Vec::new(), FUZZ_SECONDS.to_owned());
    let mut words = options.iter();
    while let Some(word) = words.next() {
        if word == "--seconds" {
            let given = words.next().filter(|given| given.parse::<u32>().is_ok());
            seconds.clone_from(given.ok_or("`--seconds` needs a number")?);
        } else if word.starts_with('-') {
            return Err(format!("`fuzz` does not take `{word}`; see `cargo xtask help`"));
        } else {
            targets.push(word.clone());
        }
    }
    Ok((targets, seconds))
}

fn mutants(workspace: &Workspace, options: &[String]) -> Result<(), String> {
    if !answers(cargo(workspace).args(["mutants", "--version"])) {
        return Err("cargo-mutants is not installed; `cargo install cargo-mutants --locked`".to_owned());
    }
    let (package, rest) = match options.split_first() {
        Some((package, rest)) => (Some(package.as_str()), rest),
        None => (None, options),
    };
    let packages = package.map_or(MUTATED.to_vec(), |package| vec![package]);
    let mut survived = Vec::new();
    for package in packages {
        let mut command = cargo(workspace);
        command.args(["mutants", "--package", package, "--test-tool", "nextest", "-j1"]);
        command.arg("--output").arg(workspace.target.join("mutants").join(package)).args(rest);
        let mut filter = vec!["--lib".to_owned()];
        if let Some((_, files, tests)) = STORES.iter().find(|(store, ..)| *store == package) {
            command.args(["--file", files]);
            filter.push((*tests).to_owned());
        }
        command.args(filter.iter().map(|word| format!("--cargo-test-arg={word}")));
        if run(package, &mut command).is_err() {
            survived.push(package);
        }
    }
    let list = survived.join(", ");
    if survived.is_empty() { Ok(()) } else { Err(format!("changes that no test notices: {list}; see above")) }
}

/// Cargo of the nightly toolchain.
fn nightly(workspace: &Workspace) -> Command {
    let mut command = Command::new("cargo");
    command.arg("+nightly").current_dir(&workspace.root);
    // Why: a cargo that runs us names its own toolchain to its children.
    command.env_remove("RUSTUP_TOOLCHAIN").env_remove("CARGO").env_remove("RUSTC");
    command
}

fn answers(command: &mut Command) -> bool {
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests;
