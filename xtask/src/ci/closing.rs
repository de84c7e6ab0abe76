//! What a test runner says at its end.

#[cfg(test)]
mod tests;

/// The runner's own summary: from nextest's `Summary` on, or all results of `cargo test` added up with the
/// names of the tests that failed. Empty for a program that runs no tests.
pub(super) fn of(lines: &[String]) -> Vec<String> {
    let plain: Vec<String> = lines.iter().map(|line| without_colours(line)).collect();
    if let Some(start) = plain.iter().rposition(|line| line.trim_start().starts_with("Summary [")) {
        return plain.into_iter().skip(start).collect();
    }
    let results: Vec<&String> = plain.iter().filter(|line| line.starts_with("test result:")).collect();
    if results.is_empty() {
        return Vec::new();
    }
    let mut closing: Vec<String> =
        plain.iter().filter(|line| line.ends_with("... FAILED")).cloned().collect();
    let (passed, failed) = (sum(&results, "passed"), sum(&results, "failed"));
    closing.push(format!("{} test programs: {passed} passed, {failed} failed", results.len()));
    closing
}

/// Adds the numbers that stand before `word` in `... 12 passed; 0 failed; ...`.
fn sum(results: &[&String], word: &str) -> u64 {
    let counts = results.iter().filter_map(|line| {
        let (before, _) = line.split_once(&format!(" {word}"))?;
        before.split_whitespace().last()?.parse::<u64>().ok()
    });
    counts.sum()
}

/// Drops the escape sequences of colours.
fn without_colours(line: &str) -> String {
    let mut parts = line.split("\u{1b}[");
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part.find(|c: char| c.is_ascii_alphabetic()).map_or(part.len(), |at| at + 1);
        plain.push_str(part.get(end..).unwrap_or_default());
    }
    plain
}
