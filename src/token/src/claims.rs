//! What a verified token says, as plain types.

mod read;
#[cfg(test)]
mod tests;

use std::fmt;

use crate::algorithm::Algorithm;

pub(crate) use read::{RawClaims, read};

/// Limit, in bytes: one id or name (`iss`, `sub`, `jti`, a role ...). Why: SPIFFE ids may have 2048; longer
/// ones are refused, never cut, since a cut id names somebody else.
pub const CLAIM_TEXT_BYTES_MAX: usize = 2048;

/// Limit, in bytes: a `scope` string.
pub const SCOPE_BYTES_MAX: usize = 8192;

/// Limit: items of one list (audiences, scopes, roles, groups, permissions). Why: issuers cap lists at 200;
/// each item may cost a lookup.
pub const CLAIM_ITEMS_MAX: usize = 512;

/// Limit: actors in the chain of `act` claims. Why: each costs lookups on every decision.
pub const ACT_DEPTH_MAX: usize = 16;

/// The claims of a token whose signature, issuer, audience and dates were right at the time given.
///
/// Dates are whole seconds since 1970-01-01 UTC, rounded down. Texts are at most [`CLAIM_TEXT_BYTES_MAX`] bytes
/// and never empty; lists at most [`CLAIM_ITEMS_MAX`] long. `Debug` shows ids of the token, never a person's.
#[derive(Clone, PartialEq, Eq)]
pub struct VerifiedClaims {
    /// `iss`, equal to a configured issuer.
    pub issuer: String,
    /// The principal: `sub`, or the claim that the policy names.
    pub subject: Option<String>,
    /// All of `aud`; at least one is ours.
    pub audience: Vec<String>,
    /// `jti`, else Entra's `uti`. Without it, a token is named by its [`crate::fingerprints`].
    pub jti: Option<String>,
    /// `sid`: the session at the issuer.
    pub sid: Option<String>,
    /// The OAuth client: `azp`, else `client_id`, else `appid`.
    pub client_id: Option<String>,
    /// The key that signed, if it has a name.
    pub kid: Option<String>,
    /// The algorithm that verified.
    pub algorithm: Algorithm,
    /// `iat`. `None` counts as issued at minus infinity: any cutoff kills the token (semantics D6).
    pub issued_at: Option<i64>,
    /// `exp`: the first second at which the token is dead, before leeway. A cache must ask again.
    pub expires_at: i64,
    /// `nbf`.
    pub not_before: Option<i64>,
    /// The customer inside the realm, from the claim that the policy names.
    pub tenant: Option<String>,
    /// What the token claims to be allowed. Never trusted: only compared, and denied by.
    pub hints: ClaimHints,
    /// Who acts for the subject, nearest first; at most [`ACT_DEPTH_MAX`]. Spec: RFC 8693 section 4.1.
    pub actors: Vec<ActorClaim>,
    /// `cnf.jkt`: thumbprint of the DPoP key, 43 characters. Spec: RFC 9449 section 6.1.
    pub cnf_jkt: Option<String>,
    /// `cnf.x5t#S256`: thumbprint of the client certificate, 43 characters. Spec: RFC 8705 section 3.1.
    pub cnf_x5t_s256: Option<String>,
    /// Claims that the policy names as selectors, in the order of the policy; those that are present.
    pub selectors: Vec<SelectorClaim>,
}

impl fmt::Debug for VerifiedClaims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Why: `sub` and role names may be e-mail addresses or names of people.
        f.debug_struct("VerifiedClaims")
            .field("issuer", &self.issuer)
            .field("jti", &self.jti)
            .field("kid", &self.kid)
            .field("algorithm", &self.algorithm)
            .field("issued_at", &self.issued_at)
            .field("expires_at", &self.expires_at)
            .field("has_subject", &self.subject.is_some())
            .field("actors", &self.actors.len())
            .finish_non_exhaustive()
    }
}

/// What a token says its bearer may do; hints only. Spec: semantics, introduction.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ClaimHints {
    /// `scope` split at spaces, and `scp` as a string or list.
    pub scopes: Vec<String>,
    /// Role names.
    pub roles: Vec<String>,
    /// Group names or ids.
    pub groups: Vec<String>,
    /// Permission names.
    pub permissions: Vec<String>,
}

impl fmt::Debug for ClaimHints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClaimHints")
            .field("scopes", &self.scopes.len())
            .field("roles", &self.roles.len())
            .field("groups", &self.groups.len())
            .field("permissions", &self.permissions.len())
            .finish()
    }
}

/// One identity in the delegation chain.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ActorClaim {
    /// `act.iss`; the token's own issuer where `act` has none.
    pub issuer: String,
    /// `act.sub`; never empty.
    pub subject: String,
}

impl fmt::Debug for ActorClaim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ActorClaim").field("issuer", &self.issuer).finish_non_exhaustive()
    }
}

/// A claim that targets may select on.
#[derive(Clone, PartialEq, Eq)]
pub struct SelectorClaim {
    /// The claim, as in the policy.
    pub name: String,
    /// Its text.
    pub value: String,
}

impl fmt::Debug for SelectorClaim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SelectorClaim").field("name", &self.name).finish_non_exhaustive()
    }
}
