//! When a record may be forgotten (D8, S14).
//!
//! A revoke says nothing any more once every token that it names is refused by `exp`. That is known only for
//! tokens and users of an issuer whose longest token lifetime somebody declared. Everything else is kept.

use core::time::Duration;
use std::collections::BTreeMap;

use super::RecordRow;
use crate::record::{RecordKind, RecordState};
use crate::time::UnixMs;

/// Longest leeway of a verifier past `exp`. Source: semantics.md section 4.
const LEEWAY_MAX: Duration = Duration::from_secs(60);
/// Furthest that an issuer's clock may be ahead (D7), so that a token may be issued after it was revoked.
const SKEW_MAX: Duration = Duration::from_secs(60);
/// How far the clocks of controller and agents may be apart, of which agents judge `exp` by their own.
const CLOCKS_MAX: Duration = Duration::from_secs(60);

/// Longest token lifetimes, by issuer. Empty: nothing is ever forgotten.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Retention {
    lifetimes: BTreeMap<Box<str>, Duration>,
}

impl Retention {
    /// Declares that no token of `issuer` lives longer than this.
    pub fn declare(&mut self, issuer: &str, token_lifetime_max: Duration) {
        self.lifetimes.insert(issuer.into(), token_lifetime_max);
    }

    /// When the record of this row may be forgotten; `None`: not as it stands.
    pub(super) fn due(&self, row: &RecordRow) -> Option<UnixMs> {
        let lifetime = *self.lifetimes.get(row.record.target.aging_issuer()?)?;
        let cutoff = match row.state {
            // INVARIANT (S14): a standing deny does not age.
            RecordState::Active if row.record.kind != RecordKind::Revoke => return None,
            RecordState::Active => row.record.cutoff,
            RecordState::Ended { residual_cutoff } => Some(residual_cutoff?),
        };
        let cutoff = cutoff.map_or(row.accepted_at, |second| UnixMs(second.0.saturating_mul(1_000)));
        let issued_until = cutoff.max(row.accepted_at).plus(SKEW_MAX);
        Some(issued_until.plus(lifetime).plus(LEEWAY_MAX).plus(CLOCKS_MAX))
    }
}

#[cfg(test)]
mod tests;
