//! Set-up of logs: structured, to standard error.

use std::io::{self, IsTerminal};
use std::str::FromStr;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::SubscriberInitExt;

#[cfg(test)]
mod tests;

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For a person, coloured on a terminal.
    Human,
    /// One JSON object per line.
    Json,
}

/// A word that is no log format.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{word}` is no log format; use `human` or `json`")]
pub struct LogFormatError {
    word: String,
}

impl FromStr for LogFormat {
    type Err = LogFormatError;

    fn from_str(word: &str) -> Result<Self, LogFormatError> {
        match word {
            "human" => Ok(Self::Human),
            "json" => Ok(Self::Json),
            other => Err(LogFormatError { word: other.chars().take(32).collect() }),
        }
    }
}

/// Logs that could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TracingError {
    /// The filter cannot be parsed.
    #[error("`{filter}` is no log filter; write it as `info` or `info,rescind_controller=debug`")]
    Filter {
        /// What was given.
        filter: String,
        /// What is wrong.
        source: tracing_subscriber::filter::ParseError,
    },
    /// Logs are set up already.
    #[error("logs are set up already in this process; call `init_tracing` once, at the start")]
    Twice,
}

/// Sends the logs of the whole process to standard error. Call it once, from `main`.
///
/// # Errors
/// [`TracingError`] for a wrong filter or a second call; nothing has changed then.
pub fn init_tracing(format: LogFormat, filter: &str) -> Result<(), TracingError> {
    let filter = parse_filter(filter)?;
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    let done = match format {
        LogFormat::Human => lines.with_ansi(io::stderr().is_terminal()).finish().try_init(),
        LogFormat::Json => lines.json().flatten_event(true).finish().try_init(),
    };
    done.map_err(|_| TracingError::Twice)
}

fn parse_filter(filter: &str) -> Result<EnvFilter, TracingError> {
    EnvFilter::builder()
        .parse(filter)
        .map_err(|source| TracingError::Filter { filter: filter.chars().take(128).collect(), source })
}
