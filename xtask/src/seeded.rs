//! Breaks rules of the core on purpose and writes down which layer of tests finds it.

use std::fs;
use std::process::Command;

use serde_json::Value;

use crate::command::{cargo, run};
use crate::workspace::Workspace;

#[cfg(test)]
mod tests;

/// Seeds that the simulator may use for one bug.
const SEEDS: &str = "400";
/// The bug that the core's unit tests run with. Only read where the feature is built in.
const VARIABLE: &str = "RESCIND_SEEDED_BUG";
/// The feature that puts bugs in.
const FEATURE: &str = "seeded-bugs";
/// Where the table is, and between what.
const PAGE: &str = "docs/testing.md";
const BEGIN: &str = "<!-- seeded bugs: written by `cargo xtask seeded` -->";
const END: &str = "<!-- end of seeded bugs -->";

/// One bug and what found it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Row {
    bug: String,
    breaks: String,
    /// Empty: nothing.
    found: String,
}

/// Hunts every bug, writes the table.
///
/// # Errors
/// Names the bugs that nothing found.
pub(crate) fn hunt(workspace: &Workspace, options: &[String]) -> Result<(), String> {
    let json = match options {
        [] => false,
        [one] if one == "--json" => true,
        [other, ..] => return Err(format!("`seeded` does not take `{other}`; see `cargo xtask help`")),
    };
    let mut rows = simulate(workspace)?;
    if rows.iter().any(|row| row.found.is_empty()) {
        let mut build = cargo(workspace);
        build.args(["test", "--quiet", "-p", "rescind-core", "--features", FEATURE, "--lib", "--no-run"]);
        run("the build of the core's tests", &mut build)?;
    }
    for row in rows.iter_mut().filter(|row| row.found.is_empty()) {
        row.found = unit_tests(workspace, &row.bug)?;
    }
    for row in &rows {
        if json {
            let line = serde_json::json!({ "bug": row.bug, "breaks": row.breaks, "found_by": row.found });
            println!("{line}");
        } else {
            println!("{:<28} {}", row.bug, if row.found.is_empty() { "NOT FOUND" } else { &row.found });
        }
    }
    let page = workspace.root.join(PAGE);
    let text = fs::read_to_string(&page).map_err(|error| format!("cannot read {PAGE}: {error}"))?;
    let text = insert(&text, &table(&rows)).ok_or_else(|| format!("{PAGE} lacks `{BEGIN}` or `{END}`"))?;
    fs::write(&page, text).map_err(|error| format!("cannot write {PAGE}: {error}"))?;
    let alive: Vec<&str> =
        rows.iter().filter(|row| row.found.is_empty()).map(|row| row.bug.as_str()).collect();
    if alive.is_empty() { Ok(()) } else { Err(format!("nothing finds {}", alive.join(", "))) }
}

/// The first layer: seeds.
fn simulate(workspace: &Workspace) -> Result<Vec<Row>, String> {
    let mut command = cargo(workspace);
    command.args(["run", "--quiet", "--profile", "sim", "-p", "rescind-simulator", "--features", FEATURE]);
    command.args(["--", "--bugs", "--json", "--seeds", SEEDS]);
    // Why not `status`: exit code 1 says that a bug survived, the next layer may find it.
    let output = command.output().map_err(|error| format!("cannot start the simulator: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let rows: Vec<Row> = text.lines().filter_map(row).collect();
    if rows.is_empty() {
        return Err(format!("the simulator failed: {}", String::from_utf8_lossy(&output.stderr)));
    }
    Ok(rows)
}

fn row(line: &str) -> Option<Row> {
    let value: Value = serde_json::from_str(line).ok()?;
    let text = |name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let seeds = value.get("seeds").and_then(Value::as_u64);
    let found = seeds.map(|seeds| match (text("found_by"), seeds) {
        (by, 1) => format!("simulator: {by}, first seed"),
        (by, seeds) => format!("simulator: {by}, {seeds} seeds"),
    });
    Some(Row { bug: text("bug"), breaks: text("breaks"), found: found.unwrap_or_default() })
}

/// The second layer: the core's own tests, run with the bug.
fn unit_tests(workspace: &Workspace, bug: &str) -> Result<String, String> {
    let mut command: Command = cargo(workspace);
    command
        .args(["test", "--quiet", "-p", "rescind-core", "--features", FEATURE, "--lib"])
        .env(VARIABLE, bug);
    let output = command.output().map_err(|error| format!("cannot start the core's tests: {error}"))?;
    let failed = failures(&String::from_utf8_lossy(&output.stdout));
    Ok(failed.map_or_else(String::new, |failed| format!("unit tests of the core: {failed} fail")))
}

/// How many tests failed, from the summary of the test program.
fn failures(text: &str) -> Option<u64> {
    let line = text.lines().find(|line| line.starts_with("test result: FAILED"))?;
    let part = line.split(';').find(|part| part.trim_end().ends_with("failed"))?;
    part.split_whitespace().next()?.parse().ok()
}

fn table(rows: &[Row]) -> String {
    let lines = rows.iter().map(|row| {
        let found = if row.found.is_empty() { "**nothing**" } else { &row.found };
        format!("| `{}` | {} | {found} |\n", row.bug, row.breaks)
    });
    format!("| bug | breaks | found by |\n|---|---|---|\n{}", lines.collect::<String>())
}

/// The page with another table; `None`: it has no place for one.
fn insert(page: &str, table: &str) -> Option<String> {
    let (before, rest) = page.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n\n{table}\n{END}{after}"))
}
