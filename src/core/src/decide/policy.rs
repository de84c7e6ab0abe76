//! Stale policies: what a view that is no longer fresh may still answer. Source: semantics.md section 7.

use core::fmt;
use core::str::FromStr;
use core::time::Duration;

use thiserror::Error;

use crate::entitlement::{ActionPattern, action_covers};
use crate::lease::{LEASE_DEFAULT, LEASE_MAX, LEASE_MIN, Lease};
use crate::time::BootNs;

/// What happens past the lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StalePolicy {
    /// Deny `stale.strict`. The length is at most the lease's.
    Strict(Duration),
    /// Serve the last view, marked, until this long after the lease was asked for; then deny.
    FailStatic(Duration),
    /// Serve the last view, marked.
    BestEffort,
}

impl Default for StalePolicy {
    fn default() -> Self {
        Self::Strict(LEASE_DEFAULT)
    }
}

/// A text that is no stale policy.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "`{text}` is no stale policy; write `strict(5s)` with 2s to 30s, `fail_static(300s)` with at most 24h, \
     or `best_effort`"
)]
pub struct StalePolicyError {
    text: Box<str>,
}

/// Limit: `fail_static` longer than a day is best effort in disguise.
const FAIL_STATIC_MAX: Duration = Duration::from_secs(24 * 3600);

impl StalePolicy {
    /// End of the time in which the view counts as fresh under this policy.
    #[must_use]
    pub fn fresh_until(self, lease: &Lease) -> BootNs {
        match self {
            Self::Strict(length) => lease.fresh_until(length),
            Self::FailStatic(_) | Self::BestEffort => lease.fresh_until(lease.length),
        }
    }

    /// Whether a view that is past its freshness still answers at `now`.
    #[must_use]
    pub fn serves_at(self, lease: &Lease, now: BootNs) -> bool {
        match self {
            Self::Strict(_) => false,
            Self::FailStatic(longest) => now < lease.asked_at.plus(longest),
            Self::BestEffort => true,
        }
    }
}

impl fmt::Display for StalePolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Strict(length) => write!(f, "strict({}s)", length.as_secs_f64()),
            Self::FailStatic(longest) => write!(f, "fail_static({}s)", longest.as_secs_f64()),
            Self::BestEffort => f.write_str("best_effort"),
        }
    }
}

impl FromStr for StalePolicy {
    type Err = StalePolicyError;

    fn from_str(text: &str) -> Result<Self, StalePolicyError> {
        let wrong = || StalePolicyError { text: text.chars().take(64).collect() };
        if text == "best_effort" {
            return Ok(Self::BestEffort);
        }
        let (name, rest) = text.split_once('(').ok_or_else(wrong)?;
        let length = rest.strip_suffix(')').and_then(parse_duration).ok_or_else(wrong)?;
        match name {
            "strict" if (LEASE_MIN..=LEASE_MAX).contains(&length) => Ok(Self::Strict(length)),
            "fail_static" if length <= FAIL_STATIC_MAX && length > Duration::ZERO => {
                Ok(Self::FailStatic(length))
            }
            _ => Err(wrong()),
        }
    }
}

/// `2500ms`, `5s`, `5 s`, `2.5s`, `10m` or `1h`.
fn parse_duration(text: &str) -> Option<Duration> {
    let text = text.trim();
    let unit_at = text.find(|c: char| c.is_ascii_alphabetic())?;
    let (number, unit) = text.split_at_checked(unit_at)?;
    let number: f64 = number.trim().parse().ok()?;
    let seconds = match unit {
        "ms" => number / 1000.0,
        "s" => number,
        "m" => number * 60.0,
        "h" => number * 3600.0,
        _ => return None,
    };
    Duration::try_from_secs_f64(seconds).ok()
}

/// The policies of one enforcement point: one for the service, stricter or looser ones by action. The
/// strictest that touches a request wins.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StalePolicies {
    /// For every request.
    pub service: StalePolicy,
    /// For requests whose action is covered, beside `service`.
    pub actions: Vec<(ActionPattern, StalePolicy)>,
}

impl StalePolicies {
    /// The strictest policy that touches `action`. Variants order from strict to loose, shorter first.
    #[must_use]
    #[inline]
    pub fn for_action(&self, action: &str) -> StalePolicy {
        let touching = self
            .actions
            .iter()
            .filter(|(pattern, _)| action_covers(pattern.as_str().as_bytes(), action.as_bytes()));
        touching.map(|(_, policy)| *policy).fold(self.service, StalePolicy::min)
    }

    /// The strictest of all, for renewal and boards.
    #[must_use]
    pub fn strictest(&self) -> StalePolicy {
        self.actions.iter().map(|(_, policy)| *policy).fold(self.service, StalePolicy::min)
    }

    /// The loosest of all: how long this enforcement point may go on allowing while cut off.
    #[must_use]
    pub fn loosest(&self) -> StalePolicy {
        self.service
    }
}
