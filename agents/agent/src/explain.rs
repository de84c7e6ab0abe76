//! A decision in words, for people: `rescind explain`, logs of staff, the board.

use std::time::Duration;

use rescind_core::decide::{Decision, Drift, Effect, HintKind};
use rescind_core::ids::RecordId;
use rescind_token::TokenError;
use serde::Serialize;

use crate::token_cache::Verified;

/// Limit: claims that are listed.
const HINTS_MAX: usize = 64;

/// A decision and what led to it.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Explained {
    /// The decision itself.
    #[serde(skip)]
    pub decision: Decision,
    /// `allow` or `deny`.
    pub effect: &'static str,
    /// The reason code, `revoked.session`.
    pub code: &'static str,
    /// Every record that matches, in order of revision.
    pub records: Vec<String>,
    /// The entitlements used: memberships first, then the permission.
    pub entitlements: Vec<String>,
    /// Deny position of the state that answered, `1/42`.
    pub deny: String,
    /// Grant position of the state that answered.
    pub grant: String,
    /// Milliseconds since the state was last proven current; `None`: never.
    pub staleness_ms: Option<u64>,
    /// How many milliseconds this answer may be used.
    pub valid_for_ms: u64,
    /// `fresh`, `stale` or `unsynced`.
    pub freshness: &'static str,
    /// Whether token and live entitlements say different things, and how.
    pub drift: Option<DriftWords>,
    /// What the token claims about permissions: `role:admin`, `group:eng`, `permission:refund:*`. At most 64.
    pub claims: Vec<String>,
    /// Why the token was refused; never a part of the token.
    pub token_error: Option<String>,
    /// Seconds after which a new login would help.
    pub retry_after_s: Option<u32>,
}

/// How token and live entitlements differ.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct DriftWords {
    /// `claim_says_yes` or `live_says_yes`.
    pub kind: &'static str,
    /// `role`, `group` or `permission`, where one claim is meant.
    pub claim: Option<&'static str>,
    /// Its name.
    pub name: Option<String>,
    /// The whole thing as a sentence.
    pub text: String,
}

impl Explained {
    pub(crate) fn new(decision: Decision, token: Result<&Verified, &TokenError>) -> Self {
        let names = |ids: &[RecordId]| ids.iter().map(ToString::to_string).collect();
        let verified = token.ok();
        Self {
            effect: match decision.effect {
                Effect::Allow => "allow",
                Effect::Deny => "deny",
            },
            code: decision.reason.code(),
            records: names(&decision.records),
            entitlements: names(&decision.entitlements),
            deny: decision.deny.to_string(),
            grant: decision.grant.to_string(),
            staleness_ms: (decision.staleness != Duration::MAX).then(|| millis(decision.staleness)),
            valid_for_ms: millis(decision.valid_for),
            freshness: decision.freshness.word(),
            drift: drift(decision.drift, verified),
            claims: verified.map(claims).unwrap_or_default(),
            token_error: token.err().map(ToString::to_string),
            retry_after_s: decision.retry_after_s,
            decision,
        }
    }
}

pub(crate) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

const fn word(kind: HintKind) -> &'static str {
    match kind {
        HintKind::Role => "role",
        HintKind::Group => "group",
        HintKind::Permission => "permission",
    }
}

fn claims(verified: &Verified) -> Vec<String> {
    let hints = verified.bearer().hints().iter().take(HINTS_MAX);
    hints.map(|hint| format!("{}:{}", word(hint.kind), hint.name)).collect()
}

fn drift(drift: Drift, verified: Option<&Verified>) -> Option<DriftWords> {
    match drift {
        Drift::None => None,
        Drift::LiveSaysYes => Some(DriftWords {
            kind: "live_says_yes",
            claim: None,
            name: None,
            text: "a live role or group that the token does not claim allows this".to_owned(),
        }),
        Drift::ClaimSaysYes(index) => {
            let hint = verified.and_then(|token| token.bearer().hints().get(usize::from(index)));
            let text = hint.map_or_else(
                || "a claim of the token would allow this, the live entitlements do not".to_owned(),
                |hint| {
                    let (kind, name) = (word(hint.kind), &hint.name);
                    format!("the token claims {kind} `{name}`, which would allow this; the live entitlements do not")
                },
            );
            let claim = hint.map(|hint| word(hint.kind));
            let name = hint.map(|hint| hint.name.to_string());
            Some(DriftWords { kind: "claim_says_yes", claim, name, text })
        }
    }
}
