//! Figures, the tables that people read, and the files that machines read.

#[cfg(test)]
mod tests;

use std::error::Error;
use std::fmt::{self, Write as _};
use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::Outcome;
use crate::arguments::Scale;
use crate::machine::Facts;
use crate::measure::Spread;

/// What a figure must be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Target {
    AtMost(f64),
    AtLeast(f64),
}

/// One line of a table.
#[derive(Debug, Clone)]
pub(crate) struct Figure {
    name: String,
    unit: &'static str,
    value: f64,
    spread: Option<Spread>,
    target: Option<Target>,
}

impl Figure {
    /// A single value.
    pub(crate) fn value(name: impl Into<String>, unit: &'static str, value: f64) -> Self {
        Self { name: name.into(), unit, value, spread: None, target: None }
    }

    /// A distribution; its median is the value.
    pub(crate) fn spread(name: impl Into<String>, unit: &'static str, spread: Spread) -> Self {
        Self { name: name.into(), unit, value: spread.p50, spread: Some(spread), target: None }
    }

    /// A distribution whose 99th percentile is the value.
    pub(crate) fn tail(name: impl Into<String>, unit: &'static str, spread: Spread) -> Self {
        Self { value: spread.p99, ..Self::spread(name, unit, spread) }
    }

    pub(crate) fn at_most(mut self, limit: f64) -> Self {
        self.target = Some(Target::AtMost(limit));
        self
    }

    pub(crate) fn at_least(mut self, limit: f64) -> Self {
        self.target = Some(Target::AtLeast(limit));
        self
    }

    /// Whether the target is reached; `None` where there is none.
    fn reached(&self) -> Option<bool> {
        Some(match self.target? {
            Target::AtMost(limit) => self.value <= limit,
            Target::AtLeast(limit) => self.value >= limit,
        })
    }

    fn verdict(&self) -> &'static str {
        match self.reached() {
            None => "",
            Some(true) => "reached",
            Some(false) => "missed",
        }
    }

    fn target_text(&self) -> String {
        match self.target {
            None => String::new(),
            Some(Target::AtMost(limit)) => format!("<= {}", short(limit)),
            Some(Target::AtLeast(limit)) => format!(">= {}", short(limit)),
        }
    }

    fn json(&self) -> Value {
        let spread = self.spread.map(|spread| {
            json!({
                "p10": spread.p10, "p50": spread.p50, "p99": spread.p99, "max": spread.max,
                "samples": spread.samples,
            })
        });
        let target = self.target.map(|target| match target {
            Target::AtMost(limit) => json!({ "at_most": limit }),
            Target::AtLeast(limit) => json!({ "at_least": limit }),
        });
        json!({
            "name": self.name, "unit": self.unit, "value": self.value, "spread": spread, "target": target,
            "reached": self.reached(),
        })
    }

    fn cells(&self) -> [String; 8] {
        let of =
            |value: fn(&Spread) -> f64| self.spread.as_ref().map(|s| short(value(s))).unwrap_or_default();
        [
            self.name.clone(),
            short(self.value),
            self.unit.to_owned(),
            of(|spread| spread.p10),
            of(|spread| spread.p99),
            of(|spread| spread.max),
            self.target_text(),
            self.verdict().to_owned(),
        ]
    }
}

/// The figures of one benchmark.
#[derive(Debug, Clone)]
pub(crate) struct Sheet {
    bench: &'static str,
    figures: Vec<Figure>,
    notes: Vec<String>,
}

impl Sheet {
    pub(crate) const fn new(bench: &'static str) -> Self {
        Self { bench, figures: Vec::new(), notes: Vec::new() }
    }

    pub(crate) fn add(&mut self, figure: Figure) {
        self.figures.push(figure);
    }

    /// Something to know beside the figures.
    pub(crate) fn note(&mut self, text: impl Into<String>) {
        self.notes.push(text.into());
    }

    /// Writes `target/bench/<name>.json`.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(crate) fn write(&self, facts: &Facts, scale: Scale) -> Outcome<PathBuf> {
        let folder = folder()?;
        fs::create_dir_all(&folder)?;
        let path = folder.join(format!("{}.json", self.bench));
        let figures: Vec<Value> = self.figures.iter().map(Figure::json).collect();
        let document = json!({
            "bench": self.bench, "scale": scale.name(), "machine": facts.json(), "figures": figures,
            "notes": self.notes,
        });
        fs::write(&path, serde_json::to_string_pretty(&document)?)?;
        Ok(path)
    }
}

/// `target/bench`, wherever this build's target folder is.
fn folder() -> Outcome<PathBuf> {
    let program = std::env::current_exe()?;
    // Why two up: the program lies in `<target>/<profile>`.
    let target = program.ancestors().nth(2).ok_or("this program has no folder")?;
    Ok(target.join("bench"))
}

impl fmt::Display for Sheet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = ["", "value", "unit", "p10", "p99", "max", "target", ""].map(str::to_owned);
        let rows: Vec<_> = std::iter::once(head).chain(self.figures.iter().map(Figure::cells)).collect();
        write_rows(f, &rows)?;
        self.notes.iter().try_for_each(|note| writeln!(f, "   note: {note}"))
    }
}

/// Every figure that has a target, over all benchmarks.
pub(crate) fn summary(sheets: &[Sheet]) -> String {
    let mut rows = vec![["all targets", "value", "unit", "target", ""].map(str::to_owned)];
    let (mut reached, mut all) = (0, 0);
    for (sheet, figure) in sheets.iter().flat_map(|sheet| sheet.figures.iter().map(move |one| (sheet, one))) {
        let Some(fine) = figure.reached() else { continue };
        all += 1;
        reached += usize::from(fine);
        let [name, value, unit, _, _, _, target, verdict] = figure.cells();
        rows.push([format!("{}: {name}", sheet.bench), value, unit, target, verdict]);
    }
    let mut text = String::new();
    // Why ignored: writing to a string cannot fail.
    write_rows(&mut text, &rows).ok();
    writeln!(text, "{reached} of {all} targets reached").ok();
    text
}

fn write_rows<const N: usize>(out: &mut impl fmt::Write, rows: &[[String; N]]) -> fmt::Result {
    let mut widths = [0; N];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    for row in rows {
        let mut line = String::from("  ");
        for (index, (cell, width)) in row.iter().zip(widths).enumerate() {
            let is_number = index > 0 && cell.starts_with(|c: char| c.is_ascii_digit());
            if is_number { write!(line, " {cell:>width$} ")? } else { write!(line, " {cell:<width$} ")? }
        }
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

/// Three significant digits or so, with separators of thousands.
fn short(value: f64) -> String {
    if !value.is_finite() {
        return "-".to_owned();
    }
    let text = match value.abs() {
        size if size >= 100.0 || size == 0.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 0.1 => format!("{value:.2}"),
        _ => format!("{value:.4}"),
    };
    let (whole, fraction) = text.split_once('.').map_or((text.as_str(), ""), |(whole, rest)| (whole, rest));
    let mut grouped = String::new();
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index).is_multiple_of(3) && digit.is_ascii_digit() {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    let fraction = fraction.trim_end_matches('0');
    if fraction.is_empty() { grouped } else { format!("{grouped}.{fraction}") }
}

/// An error with everything below it, in one line.
pub(crate) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut below = error.source();
    while let Some(cause) = below {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        below = cause.source();
    }
    text
}
