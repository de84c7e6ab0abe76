//! Twenty runs of the torture; `cargo xtask torture` does two hundred.

use std::path::PathBuf;

use rescind_torture::process::Program;
use rescind_torture::torture;

fn program() -> Program {
    Program::new(PathBuf::from(env!("CARGO_BIN_EXE_rescind-torture")))
}

/// Fault rows: agent and controller killed at any point; their stores older, damaged, on a full or read-only disk.
#[test]
fn fault_stores_survive_kills_and_damage_or_refuse() {
    let tally = torture(&program(), 1_000, 20);
    assert_eq!(tally.runs(), 20);
    assert!(tally.violations().is_empty(), "{tally}");
}
