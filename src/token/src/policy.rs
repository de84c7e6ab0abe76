//! What the configuration says about each issuer; the only thing that decides how a token is judged.
//!
//! The input types are what serde reads. [`TrustConfig`] exists only checked: it is made by `try_from`, which
//! reads everything and then reports every mistake at once.

pub(crate) mod check;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use crate::algorithm::Algorithm;

/// Limit, in seconds: clock skew that an issuer may be granted. Spec: semantics, section 5 (D7).
pub const LEEWAY_S_MAX: i64 = 60;

/// Limit, in seconds: the longest lifetime that a policy can demand (one year). Why: more is a typing error,
/// and a cutoff must be kept as long as the longest token lives (D8).
pub const LIFETIME_S_MAX: i64 = 366 * 24 * 3600;

/// Where an issuer's keys come from.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JwksSource {
    /// A JWKS URL: https, or http for a loopback host; no user, password or fragment.
    Url(String),
    /// A JWKS file, read again when its modification time or length changes.
    File(PathBuf),
}

/// The path of member names to a claim; a single name in most cases.
///
/// Written as `"roles"` or as a list, `["realm_access", "roles"]`. Why a list: names may contain dots.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(from = "ClaimPathInput")]
pub struct ClaimPath(Vec<String>);

#[derive(Deserialize)]
#[serde(untagged)]
enum ClaimPathInput {
    Name(String),
    Path(Vec<String>),
}

impl From<ClaimPathInput> for ClaimPath {
    fn from(input: ClaimPathInput) -> Self {
        match input {
            ClaimPathInput::Name(name) => Self(vec![name]),
            ClaimPathInput::Path(names) => Self(names),
        }
    }
}

impl ClaimPath {
    /// A path of one or more member names, outermost first.
    #[must_use]
    pub fn new<S: Into<String>>(names: impl IntoIterator<Item = S>) -> Self {
        Self(names.into_iter().map(Into::into).collect())
    }

    /// The member names, outermost first.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.0
    }
}

/// Which claims carry what; the defaults fit RFC 9068, Entra ID and Keycloak.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ClaimNames {
    /// The immutable id of the principal; default `sub`. Entra ID: `oid`, which is stable over applications.
    pub subject: ClaimPath,
    /// The tenant: the first of these that is present; default `tenant`, then `tid`.
    pub tenant: Vec<ClaimPath>,
    /// Lists of role names, all merged; default `roles` and Keycloak's `realm_access` `roles`.
    pub roles: Vec<ClaimPath>,
    /// Lists of group names, all merged; default `groups`.
    pub groups: Vec<ClaimPath>,
    /// Lists of permission names, all merged; default `permissions`.
    pub permissions: Vec<ClaimPath>,
    /// Further text claims to hand out, for targets that select on claims (`repository`, `ref`,
    /// `agent_instance` ...); default none. Spec: semantics, section 3.
    pub selectors: Vec<String>,
}

impl Default for ClaimNames {
    fn default() -> Self {
        Self {
            subject: ClaimPath::new(["sub"]),
            tenant: vec![ClaimPath::new(["tenant"]), ClaimPath::new(["tid"])],
            roles: vec![ClaimPath::new(["roles"]), ClaimPath::new(["realm_access", "roles"])],
            groups: vec![ClaimPath::new(["groups"])],
            permissions: vec![ClaimPath::new(["permissions"])],
            selectors: Vec::new(),
        }
    }
}

/// One issuer as written in a configuration file; not yet checked.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IssuerPolicyInput {
    /// The exact `iss`, compared byte by byte.
    #[serde(default)]
    pub issuer: String,
    /// Where the keys come from.
    pub jwks: Option<JwksSource>,
    /// A subset of `RS256`, `PS256`, `ES256`, `EdDSA`; not empty.
    #[serde(default)]
    pub algorithms: Vec<String>,
    /// Our own names in `aud`; not empty.
    #[serde(default)]
    pub audiences: Vec<String>,
    /// Accepted `typ`, compared without case and without `application/`; default `at+jwt`, `JWT`.
    #[serde(default = "typ_default")]
    pub typ: Vec<String>,
    /// Clock skew granted to this issuer, in seconds; default 0, at most [`LEEWAY_S_MAX`].
    #[serde(default)]
    pub leeway_s: i64,
    /// Longest `exp - iat`, in seconds; default unbounded.
    #[serde(default)]
    pub lifetime_max_s: Option<i64>,
    /// Names of the claims that are read.
    #[serde(default)]
    pub claims: ClaimNames,
}

impl IssuerPolicyInput {
    /// An issuer with the defaults of the configuration file, to be built in code.
    #[must_use]
    pub fn new(issuer: &str, jwks: JwksSource, algorithms: &[Algorithm], audiences: &[&str]) -> Self {
        Self {
            issuer: issuer.to_owned(),
            jwks: Some(jwks),
            algorithms: algorithms.iter().map(|algorithm| algorithm.name().to_owned()).collect(),
            audiences: audiences.iter().map(|&audience| audience.to_owned()).collect(),
            typ: typ_default(),
            leeway_s: 0,
            lifetime_max_s: None,
            claims: ClaimNames::default(),
        }
    }
}

fn typ_default() -> Vec<String> {
    // Spec: RFC 9068 section 2.1 (`at+jwt`); many issuers still write `JWT` (RFC 7519 section 5.1).
    vec!["at+jwt".to_owned(), "JWT".to_owned()]
}

/// The list of issuers as written in a configuration file; not yet checked.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrustConfigInput {
    /// Each issuer once.
    #[serde(default)]
    pub issuers: Vec<IssuerPolicyInput>,
}

/// The issuers that are trusted, checked: never empty, each issuer once.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "TrustConfigInput")]
pub struct TrustConfig {
    issuers: Vec<IssuerPolicy>,
}

impl TrustConfig {
    /// The policies, in the order of the file.
    #[must_use]
    pub fn issuers(&self) -> &[IssuerPolicy] {
        &self.issuers
    }

    /// The policy of exactly this issuer.
    #[must_use]
    pub fn issuer(&self, issuer: &str) -> Option<&IssuerPolicy> {
        self.issuers.iter().find(|policy| policy.issuer == issuer)
    }
}

impl TryFrom<TrustConfigInput> for TrustConfig {
    type Error = TrustConfigError;

    fn try_from(input: TrustConfigInput) -> Result<Self, Self::Error> {
        check::trust_config(input)
            .map(|issuers| Self { issuers })
            .map_err(|problems| TrustConfigError { problems })
    }
}

/// What one issuer may do, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuerPolicy {
    issuer: String,
    jwks: JwksSource,
    algorithms: Vec<Algorithm>,
    audiences: Vec<String>,
    /// Lower case, without `application/`.
    typ: Vec<String>,
    leeway_s: i64,
    lifetime_max_s: Option<i64>,
    claims: ClaimNames,
}

impl IssuerPolicy {
    /// The exact `iss`.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Where the keys come from.
    #[must_use]
    pub const fn jwks(&self) -> &JwksSource {
        &self.jwks
    }

    /// Accepted algorithms; never empty.
    #[must_use]
    pub fn algorithms(&self) -> &[Algorithm] {
        &self.algorithms
    }

    /// Our names in `aud`; never empty.
    #[must_use]
    pub fn audiences(&self) -> &[String] {
        &self.audiences
    }

    /// Clock skew granted, at most [`LEEWAY_S_MAX`].
    #[must_use]
    pub fn leeway(&self) -> Duration {
        Duration::from_secs(self.leeway_s.unsigned_abs())
    }

    /// Longest lifetime of a token, if bounded; how long a cutoff must be kept (D8).
    #[must_use]
    pub fn lifetime_max(&self) -> Option<Duration> {
        self.lifetime_max_s.map(|seconds| Duration::from_secs(seconds.unsigned_abs()))
    }

    /// Names of the claims that are read.
    #[must_use]
    pub const fn claims(&self) -> &ClaimNames {
        &self.claims
    }

    pub(crate) const fn leeway_s(&self) -> i64 {
        self.leeway_s
    }

    pub(crate) const fn lifetime_max_s(&self) -> Option<i64> {
        self.lifetime_max_s
    }

    /// Whether a header's `typ` is accepted. Spec: RFC 7515 section 4.1.9 (case, `application/` left out).
    pub(crate) fn accepts_typ(&self, typ: &str) -> bool {
        let bare = without_application(typ);
        self.typ.iter().any(|accepted| accepted.eq_ignore_ascii_case(bare))
    }
}

const APPLICATION: &str = "application/";

fn without_application(typ: &str) -> &str {
    match typ.split_at_checked(APPLICATION.len()) {
        // Why: the prefix may be left out only when no other slash follows.
        Some((prefix, rest)) if prefix.eq_ignore_ascii_case(APPLICATION) && !rest.contains('/') => rest,
        _ => typ,
    }
}

/// One mistake in a configuration: where it is and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{path}`: {advice}")]
pub struct PolicyProblem {
    /// The field, as `issuers[0].audiences`.
    pub path: String,
    /// What is wrong and what to write instead.
    pub advice: String,
}

/// Every mistake in a [`TrustConfigInput`]; at least one, in the order of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustConfigError {
    /// The mistakes.
    pub problems: Vec<PolicyProblem>,
}

impl std::error::Error for TrustConfigError {}

impl std::fmt::Display for TrustConfigError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "trust configuration has {} mistake(s)", self.problems.len())?;
        for problem in &self.problems {
            write!(f, "; {problem}")?;
        }
        Ok(())
    }
}
