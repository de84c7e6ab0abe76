//! Names of all metrics in one place, the controller's metric registry, and the set-up of logs.
//!
//! Deliberately knows no other crate of the workspace: it takes words and numbers. Metrics carry the rates,
//! logs are few. Base units (seconds, bytes), counters end in `_total`; labels have few, fixed values: never
//! an id, a token or a user.
//!
//! Main items: [`names`], [`ControllerMetrics`], [`InvariantViolations`], [`init_tracing`].

mod controller;
mod invariants;
mod logs;
pub mod names;

pub use controller::{ControllerMetrics, LaneMetrics};
pub use invariants::InvariantViolations;
pub use logs::{LogFormat, LogFormatError, TracingError, init_tracing};
