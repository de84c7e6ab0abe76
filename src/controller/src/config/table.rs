//! Takes values out of a TOML table and writes down everything that is wrong with them.

use std::time::Duration;

use toml::{Table, Value};

use super::ConfigMistake;

/// All mistakes of one configuration.
#[derive(Debug, Default)]
pub(super) struct Mistakes(pub(super) Vec<ConfigMistake>);

impl Mistakes {
    pub(super) fn add(&mut self, field: impl Into<String>, advice: impl Into<String>) {
        self.0.push(ConfigMistake { field: field.into(), advice: advice.into() });
    }

    /// The value, or its mistake.
    pub(super) fn take<T, E: std::fmt::Display>(&mut self, field: &str, result: Result<T, E>) -> Option<T> {
        result.map_err(|error| self.add(field, error.to_string())).ok()
    }
}

/// A table that is emptied key by key; what is left at the end is unknown.
pub(super) struct Section {
    prefix: String,
    table: Table,
    known: Vec<&'static str>,
}

impl Section {
    pub(super) fn new(prefix: impl Into<String>, table: Table) -> Self {
        Self { prefix: prefix.into(), table, known: Vec::new() }
    }

    /// Name of a key as it is written in the file, from its top.
    pub(super) fn path(&self, key: &str) -> String {
        if self.prefix.is_empty() { key.to_owned() } else { format!("{}.{key}", self.prefix) }
    }

    fn take(&mut self, key: &'static str) -> Option<Value> {
        self.known.push(key);
        self.table.remove(key)
    }

    /// A text, if it is there.
    pub(super) fn text(&mut self, key: &'static str, mistakes: &mut Mistakes) -> Option<String> {
        match self.take(key)? {
            Value::String(text) if !text.trim().is_empty() => Some(text),
            Value::String(_) => {
                mistakes.add(self.path(key), "it is empty; give a value or leave the line out");
                None
            }
            other => self.wrong(key, "a text in quotes", &other, mistakes),
        }
    }

    /// A text that must be there.
    pub(super) fn required(
        &mut self,
        key: &'static str,
        example: &str,
        mistakes: &mut Mistakes,
    ) -> Option<String> {
        if !self.table.contains_key(key) {
            self.known.push(key);
            mistakes.add(self.path(key), format!("it is missing; write for example `{key} = \"{example}\"`"));
            return None;
        }
        self.text(key, mistakes)
    }

    /// A whole number from 0 up, if it is there.
    pub(super) fn number(&mut self, key: &'static str, mistakes: &mut Mistakes) -> Option<u64> {
        match self.take(key)? {
            Value::Integer(number) if number >= 0 => u64::try_from(number).ok(),
            other => self.wrong(key, "a whole number from 0 up", &other, mistakes),
        }
    }

    /// A length of time, if it is there: `5s`, `250ms`, `10m`, `12h`, `7d`.
    pub(super) fn duration(&mut self, key: &'static str, mistakes: &mut Mistakes) -> Option<Duration> {
        let text = self.text(key, mistakes)?;
        let parsed = parse_duration(&text);
        if parsed.is_none() {
            mistakes.add(
                self.path(key),
                format!("`{text}` is no length of time; write `250ms`, `5s`, `10m`, `12h` or `7d`"),
            );
        }
        parsed
    }

    /// A list of texts, if it is there.
    pub(super) fn texts(&mut self, key: &'static str, mistakes: &mut Mistakes) -> Option<Vec<String>> {
        let value = self.take(key)?;
        let Value::Array(items) = value else {
            return self.wrong(key, "a list of texts, `[\"a\", \"b\"]`", &value, mistakes);
        };
        let texts: Option<Vec<String>> = items.iter().map(|item| item.as_str().map(str::to_owned)).collect();
        if texts.is_none() {
            mistakes.add(self.path(key), "every item must be a text in quotes");
        }
        texts
    }

    /// A section, if it is there.
    pub(super) fn section(&mut self, key: &'static str, mistakes: &mut Mistakes) -> Option<Self> {
        match self.take(key)? {
            Value::Table(table) => Some(Self::new(self.path(key), table)),
            other => self.wrong(key, "a section, `[name]`", &other, mistakes),
        }
    }

    /// A list of sections; empty where it is not there.
    pub(super) fn sections(&mut self, key: &'static str, mistakes: &mut Mistakes) -> Vec<Self> {
        let Some(value) = self.take(key) else { return Vec::new() };
        let Value::Array(items) = value else {
            self.wrong::<()>(key, "sections, `[[name]]`", &value, mistakes);
            return Vec::new();
        };
        let mut sections = Vec::new();
        for (place, item) in items.into_iter().enumerate() {
            let path = format!("{}[{place}]", self.path(key));
            match item {
                Value::Table(table) => sections.push(Self::new(path, table)),
                _ => mistakes.add(path, "it must be a section, `[[name]]`"),
            }
        }
        sections
    }

    /// Names every key that nobody asked for.
    pub(super) fn finish(self, mistakes: &mut Mistakes) {
        for key in self.table.keys() {
            let known = self.known.join(", ");
            mistakes.add(self.path(key), format!("there is no such setting here; known are {known}"));
        }
    }

    fn wrong<T>(&self, key: &str, wanted: &str, found: &Value, mistakes: &mut Mistakes) -> Option<T> {
        mistakes.add(self.path(key), format!("it must be {wanted}, not a {}", found.type_str()));
        None
    }
}

/// `5s`, `250ms`, `10m`, `12h`, `7d`; whole numbers only.
fn parse_duration(text: &str) -> Option<Duration> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at_checked(digits)?;
    let number: u64 = number.parse().ok()?;
    let seconds = |factor: u64| number.checked_mul(factor).map(Duration::from_secs);
    match unit {
        "ms" => Some(Duration::from_millis(number)),
        "s" => seconds(1),
        "m" => seconds(60),
        "h" => seconds(3600),
        "d" => seconds(86_400),
        _ => None,
    }
}
