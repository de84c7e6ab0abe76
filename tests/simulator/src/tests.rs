//! Seeds that run with every test run, and what the simulator promises about itself.

use super::*;

fn passes(seed: u64, options: &Options) -> Outcome {
    let outcome = simulate(seed, options);
    let broken: Vec<String> = outcome.violations.iter().map(ToString::to_string).collect();
    assert!(
        broken.is_empty(),
        "{}\n{}\nagain: cargo xtask sim --seed {seed} --trace",
        broken.join("\n"),
        outcome.standing.join("\n")
    );
    outcome
}

#[test]
fn seeds_that_once_failed_pass() {
    let text = include_str!("../seeds.txt");
    let lines = text.lines().filter_map(|line| line.split('#').next()).map(str::trim);
    let seeds: Vec<u64> = lines.filter(|line| !line.is_empty()).map(|line| line.parse().unwrap()).collect();
    assert!(!seeds.is_empty());
    for seed in seeds {
        passes(seed, &Options::default());
    }
}

#[test]
fn safe_under_faults_and_live_after_them() {
    let (mut accepted, mut allowed, mut faults, mut take_overs) = (0, 0, 0, 0);
    for seed in 0..100 {
        let outcome = passes(seed, &Options::default());
        assert!(outcome.virtual_ns >= 30_000_000_000, "seed {seed} ended early");
        accepted += outcome.accepted;
        allowed += outcome.decisions.1;
        faults += outcome.faults;
        take_overs += outcome.writers.saturating_sub(1);
    }
    // A run in which nothing happens proves nothing.
    assert!(accepted > 3_000, "{accepted} accepted");
    assert!(allowed > 500, "{allowed} allowed");
    assert!(faults > 300, "{faults} faults");
    assert!(take_overs > 30, "{take_overs} writers after the first");
}

#[test]
fn the_same_seed_is_the_same_run() {
    for seed in 0..10 {
        let runs = [simulate(seed, &Options::default()), simulate(seed, &Options::default())];
        assert_eq!(runs[0].trace_hash, runs[1].trace_hash, "seed {seed}");
        assert_eq!(runs[0].steps, runs[1].steps, "seed {seed}");
    }
    let hashes: std::collections::BTreeSet<u64> =
        (0..10).map(|seed| simulate(seed, &Options::default()).trace_hash).collect();
    assert_eq!(hashes.len(), 10, "other seeds are other runs");
}

#[test]
fn two_thousand_agents_fit_into_one_thread() {
    let options = Options { agents: Some(2_000), storm_s: 2 };
    let outcome = passes(3, &options);
    assert!(outcome.accepted > 5 && outcome.steps > 100_000, "{} steps", outcome.steps);
}

/// `cargo xtask seeded` writes the table; this says when it was not run, or when nothing found a bug.
#[test]
fn every_seeded_bug_is_found_by_some_layer() {
    let page = include_str!("../../../docs/testing.md");
    assert!(rescind_core::seeded::Bug::ALL.len() >= 30);
    for bug in rescind_core::seeded::Bug::ALL {
        let cell = format!("| `{}` |", bug.name());
        let row = page.lines().find(|line| line.starts_with(&cell));
        let row = row.unwrap_or_else(|| panic!("`{}` is not in docs/testing.md", bug.name()));
        assert!(row.contains("simulator: ") || row.contains("unit tests"), "nothing finds it: {row}");
    }
}
