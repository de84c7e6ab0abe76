//! The direction of dependencies, over `cargo metadata`.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// One dependency of one of our crates, as its manifest states it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Dependency {
    name: String,
    /// Only for tests and benches: it does not ship.
    dev: bool,
}

/// One of our crates.
#[derive(Debug, Clone)]
struct Crate {
    name: String,
    /// Folder from the root, `src/core`.
    folder: String,
    dependencies: Vec<Dependency>,
}

/// Which of our crates a crate may ship with. A new crate must be entered here before it can use another.
const MAY_KNOW: &[(&str, &[&str])] = &[
    ("rescind-schemas", &[]),
    ("rescind-core", &[]),
    ("rescind-token", &[]),
    ("rescind-natsd", &[]),
    ("rescind-telemetry", &[]),
    ("rescind-codec", &["rescind-core", "rescind-schemas"]),
    ("rescind-bus", &["rescind-core", "rescind-codec"]),
    ("rescind-controller", &["rescind-core", "rescind-codec", "rescind-bus", "rescind-telemetry"]),
    (
        "rescind-agent",
        &["rescind-core", "rescind-codec", "rescind-token", "rescind-bus", "rescind-telemetry"],
    ),
    (
        "rescind-cli",
        &[
            "rescind-core",
            "rescind-codec",
            "rescind-token",
            "rescind-natsd",
            "rescind-bus",
            "rescind-telemetry",
            "rescind-controller",
            "rescind-agent",
        ],
    ),
    ("xtask", &["rescind-natsd"]),
];

/// Outside technology that belongs to one crate, so that it can be replaced there.
const ONLY_IN: &[(&str, &[&str])] = &[
    ("async-nats", &["rescind-bus"]),
    ("nkeys", &["rescind-bus", "rescind-cli", "rescind-controller", "rescind-testkit"]),
    ("jsonwebtoken", &["rescind-token"]),
    ("sled", &["rescind-agent"]),
    ("redb", &["rescind-controller"]),
    ("prost", &["rescind-schemas", "rescind-codec"]),
    ("prost-build", &["xtask"]),
    ("protox", &["xtask", "rescind-schemas"]),
    ("clap", &["rescind-cli"]),
    ("ed25519-dalek", &["rescind-codec"]),
];

/// All that the rules themselves may use; none of it does I/O, keeps time or serializes.
const CORE_USES: &[&str] = &["siphasher", "smallvec", "thiserror"];

fn crates() -> Vec<Crate> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let json = super::output(&cargo, &["metadata", "--no-deps", "--offline", "--format-version", "1"]);
    read(&serde_json::from_str(&json).unwrap())
}

fn read(metadata: &Value) -> Vec<Crate> {
    let root = metadata["workspace_root"].as_str().unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    packages
        .iter()
        .map(|package| {
            let manifest = package["manifest_path"].as_str().unwrap();
            let folder = manifest.strip_prefix(root).unwrap().trim_matches('/');
            let folder = folder.strip_suffix("Cargo.toml").unwrap().trim_end_matches('/');
            let dependencies = package["dependencies"].as_array().unwrap().iter();
            Crate {
                name: package["name"].as_str().unwrap().to_owned(),
                folder: folder.to_owned(),
                dependencies: dependencies
                    .map(|dependency| Dependency {
                        name: dependency["name"].as_str().unwrap().to_owned(),
                        dev: dependency["kind"] == "dev",
                    })
                    .collect(),
            }
        })
        .collect()
}

/// Every broken rule, as a sentence.
fn violations(crates: &[Crate]) -> Vec<String> {
    let ours: BTreeSet<&str> = crates.iter().map(|one| one.name.as_str()).collect();
    let may_know: BTreeMap<&str, &[&str]> = MAY_KNOW.iter().copied().collect();
    let mut broken = Vec::new();
    for one in crates {
        let is_test = one.folder.starts_with("tests/");
        if !is_test && !may_know.contains_key(one.name.as_str()) {
            broken.push(format!("`{}` is not entered in MAY_KNOW; say there what it may use", one.name));
        }
        for dependency in &one.dependencies {
            broken.extend(of_dependency(one, dependency, &ours, &may_know));
        }
        let expected = one.folder.rsplit('/').next().unwrap_or_default();
        if one.name.strip_prefix("rescind-").unwrap_or(&one.name) != expected {
            broken.push(format!("`{}` lives in `{}`: folder and name differ", one.name, one.folder));
        }
    }
    broken
}

fn of_dependency(
    one: &Crate,
    dependency: &Dependency,
    ours: &BTreeSet<&str>,
    may_know: &BTreeMap<&str, &[&str]>,
) -> Vec<String> {
    let mut broken = Vec::new();
    let (from, to) = (one.name.as_str(), dependency.name.as_str());
    let is_test = one.folder.starts_with("tests/");
    let allowed = may_know.get(from).is_some_and(|allowed| allowed.contains(&to));
    if ours.contains(to) && !is_test && !dependency.dev && !allowed {
        broken.push(format!("`{from}` must not know `{to}`"));
    }
    // Why dev too: an enforcement point and its controller must not meet even in each other's tests, or the
    // wire between them is no longer what is tested.
    let pair = [from, to];
    let rivals =
        ["rescind-controller", "rescind-agent", "rescind-intake", "rescind-sidecar", "rescind-tower"];
    let both = rivals.contains(&from) && rivals.contains(&to);
    let among_agents = !pair.contains(&"rescind-controller") && !pair.contains(&"rescind-intake");
    if both && !among_agents && from != to {
        broken.push(format!("`{from}` and `{to}` must never know each other, not even in tests"));
    }
    for (technology, homes) in ONLY_IN {
        if to == *technology && !homes.contains(&from) {
            broken.push(format!("only {homes:?} may depend on `{technology}`, not `{from}`"));
        }
    }
    if from == "rescind-core" && !dependency.dev && !CORE_USES.contains(&to) {
        broken.push(format!("`rescind-core` is pure: it must not use `{to}`"));
    }
    broken
}

#[test]
fn dependencies_point_in_one_direction() {
    let broken = violations(&crates());
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn every_crate_takes_the_lints_of_the_workspace() {
    for one in crates() {
        let text = std::fs::read_to_string(super::root().join(&one.folder).join("Cargo.toml")).unwrap();
        assert!(
            text.contains("[lints]\nworkspace = true"),
            "`{}` has no `[lints] workspace = true`",
            one.name
        );
        assert!(text.contains("publish.workspace = true"), "`{}` could be published by accident", one.name);
    }
}

fn example(name: &str, folder: &str, dependencies: &[(&str, bool)]) -> Crate {
    let dependencies = dependencies.iter().map(|&(name, dev)| Dependency { name: name.to_owned(), dev });
    Crate { name: name.to_owned(), folder: folder.to_owned(), dependencies: dependencies.collect() }
}

#[test]
fn each_rule_finds_what_breaks_it() {
    let known = [
        example("rescind-core", "src/core", &[("tokio", false), ("proptest", true)]),
        example("rescind-controller", "src/controller", &[("rescind-agent", true), ("sled", false)]),
        example("rescind-agent", "agents/agent", &[("rescind-controller", false), ("sled", false)]),
        example("rescind-testkit", "tests/testkit", &[("rescind-agent", false), ("async-nats", false)]),
        example("rescind-novel", "src/novelty", &[("rescind-testkit", true)]),
    ];
    let broken = violations(&known);
    let expected = [
        "`rescind-core` is pure: it must not use `tokio`",
        "`rescind-controller` and `rescind-agent` must never know each other, not even in tests",
        "only [\"rescind-agent\"] may depend on `sled`, not `rescind-controller`",
        "`rescind-agent` must not know `rescind-controller`",
        "`rescind-agent` and `rescind-controller` must never know each other, not even in tests",
        "only [\"rescind-bus\"] may depend on `async-nats`, not `rescind-testkit`",
        "`rescind-novel` is not entered in MAY_KNOW; say there what it may use",
        "`rescind-novel` lives in `src/novelty`: folder and name differ",
    ];
    assert_eq!(broken, expected, "{broken:#?}");
}

/// Seeded bugs are in no program that ships: the feature is asked for by the simulator alone, on request.
#[test]
fn seeded_bugs_are_built_only_on_request() {
    for one in crates() {
        let manifest = root_manifest(&one);
        let uses: Vec<&str> = manifest.lines().filter(|line| line.contains("seeded-bugs")).collect();
        let expected: &[&str] = match one.name.as_str() {
            "rescind-core" => &["seeded-bugs = []"],
            "rescind-simulator" => &["seeded-bugs = [\"rescind-core/seeded-bugs\"]"],
            _ => &[],
        };
        assert_eq!(uses, expected, "`{}`", one.name);
        let is_default = manifest.lines().any(|line| line.starts_with("default = "));
        assert!(expected.is_empty() || !is_default, "`{}` must have no default features", one.name);
    }
}

fn root_manifest(one: &Crate) -> String {
    std::fs::read_to_string(super::root().join(&one.folder).join("Cargo.toml")).unwrap()
}
