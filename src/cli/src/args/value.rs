//! Values that are typed on the command line: times, durations, emitters, agents.

use std::str::FromStr;
use std::time::Duration;

use jiff::Timestamp;
use rescind_core::controller::rights::{Word, WordSet};
use rescind_core::ids::{AgentId, EmitterId, ServiceName};
use rescind_core::target::TargetKind;

/// Limit: longest duration, ten years. Why: more is a typing error.
const DURATION_MAX: Duration = Duration::from_secs(3653 * 24 * 3600);

/// A text that is no value of its kind; says what to write.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct ValueError(String);

/// A point in time as it is typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    /// `now`: for cutoffs the controller's clock says when that is.
    Now,
    /// Unix seconds, or an RFC 3339 time.
    At(i64),
    /// Seconds from now: `+8h`, `-10m`.
    FromNow(i64),
}

impl Moment {
    /// Unix seconds, with `now_s` in the place of `now`.
    pub(crate) const fn unix_s(self, now_s: i64) -> i64 {
        match self {
            Self::Now => now_s,
            Self::At(at) => at,
            Self::FromNow(offset) => now_s.saturating_add(offset),
        }
    }

    /// For the controller: `"now"`, or Unix seconds.
    pub(crate) fn cutoff(self, now_s: i64) -> serde_json::Value {
        match self {
            Self::Now => "now".into(),
            Self::At(_) | Self::FromNow(_) => self.unix_s(now_s).into(),
        }
    }
}

impl FromStr for Moment {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let wrong = || {
            ValueError(
                "not a time; write `now`, Unix seconds, `2026-03-01T12:00:00Z`, or `+8h` / `-10m` from now"
                    .to_owned(),
            )
        };
        let offset = |text: &str| {
            let length = duration(text).map_err(|_| wrong())?;
            i64::try_from(length.as_secs()).map_err(|_| wrong())
        };
        if text == "now" {
            return Ok(Self::Now);
        }
        if let Some(later) = text.strip_prefix('+') {
            return offset(later).map(Self::FromNow);
        }
        if let Some(earlier) = text.strip_prefix('-') {
            return offset(earlier).map(|seconds| Self::FromNow(-seconds));
        }
        if text.bytes().all(|byte| byte.is_ascii_digit()) && !text.is_empty() {
            return text.parse().ok().filter(in_range).map(Self::At).ok_or_else(wrong);
        }
        let at: Timestamp = text.parse().map_err(|_| wrong())?;
        Ok(Self::At(at.as_second()))
    }
}

/// Why: a time in milliseconds, typed by mistake, lies in the year 50,000 and would kill everything to come.
fn in_range(seconds: &i64) -> bool {
    *seconds < 100_000_000_000
}

/// `500ms`, `10s`, `5m`, `1h`, `7d`.
pub(crate) fn duration(text: &str) -> Result<Duration, ValueError> {
    let wrong = || {
        let mut advice = "not a duration; write `500ms`, `10s`, `5m`, `1h` or `7d`".to_owned();
        if text.parse::<rescind_core::target::Target>().is_ok() {
            advice.push_str("; the target goes before this option, or write the option with `=`");
        }
        ValueError(advice)
    };
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits).ok_or_else(wrong)?;
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let seconds_of_unit = match unit {
        "ms" => return Some(Duration::from_millis(number)).filter(|d| *d <= DURATION_MAX).ok_or_else(wrong),
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 24 * 3600,
        _ => return Err(wrong()),
    };
    let seconds = number.checked_mul(seconds_of_unit).ok_or_else(wrong)?;
    Some(Duration::from_secs(seconds)).filter(|d| *d <= DURATION_MAX).ok_or_else(wrong)
}

/// An emitter to enroll: `NAME:WORD,WORD:RUNG`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EmitterSpec {
    /// Its name.
    pub(crate) name: EmitterId,
    /// What it may ask for.
    pub(crate) allow: WordSet,
    /// The widest rung of the kill ladder that it may use, 1 to 16.
    pub(crate) rung_max: u8,
}

impl EmitterSpec {
    /// The words in their usual order.
    pub(crate) fn words(&self) -> Vec<&'static str> {
        self.allow.iter().map(Word::word).collect()
    }
}

impl FromStr for EmitterSpec {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let wrong = |why: String| {
            ValueError(format!("{why}; write NAME:WORD,WORD:RUNG as in `hr:disable,reinstate:5`"))
        };
        let mut parts = text.split(':');
        let (Some(name), Some(words), Some(rung), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(wrong("an emitter has three parts".to_owned()));
        };
        let name = EmitterId::new(name).map_err(|error| wrong(error.to_string()))?;
        let mut allow = WordSet::new();
        for word in words.split(',') {
            let known = || Word::ALL.iter().map(|word| word.word()).collect::<Vec<_>>().join(", ");
            let word = match word {
                "all" => {
                    allow = Word::ALL.iter().fold(allow, |allow, word| allow.with(*word));
                    continue;
                }
                word => Word::from_word(word)
                    .ok_or_else(|| wrong(format!("`{word}` is none of {}, or `all`", known())))?,
            };
            allow = allow.with(word);
        }
        let widest = TargetKind::All.rung();
        let rung_max = rung.parse().ok().filter(|rung| (1..=widest).contains(rung));
        let rung_max = rung_max.ok_or_else(|| wrong(format!("the rung `{rung}` is not 1 to {widest}")))?;
        Ok(Self { name, allow, rung_max })
    }
}

/// An agent to enroll: `ID:SERVICE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AgentSpec {
    /// Its id.
    pub(crate) id: AgentId,
    /// What it enforces for.
    pub(crate) service: ServiceName,
}

impl FromStr for AgentSpec {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let wrong = |why: String| ValueError(format!("{why}; write ID:SERVICE as in `payments-1:payments`"));
        let (id, service) = text.split_once(':').ok_or_else(|| wrong("an agent has two parts".to_owned()))?;
        let id = AgentId::new(id).map_err(|error| wrong(error.to_string()))?;
        // Why: the id is a part of subjects, where a dot separates.
        if id.as_str().contains('.') || id.as_str().len() > 64 {
            return Err(wrong(format!("agent id `{id}` must have no dot and at most 64 characters")));
        }
        let service = ServiceName::new(service).map_err(|error| wrong(error.to_string()))?;
        Ok(Self { id, service })
    }
}

#[cfg(test)]
mod tests;
