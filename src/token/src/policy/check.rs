//! Checks a configuration as a whole and collects every mistake.

use std::collections::HashSet;
use std::net::IpAddr;

use reqwest::Url;

use super::{
    ClaimNames, ClaimPath, IssuerPolicy, IssuerPolicyInput, JwksSource, LEEWAY_S_MAX, LIFETIME_S_MAX,
    PolicyProblem, TrustConfigInput, without_application,
};
use crate::algorithm::Algorithm;
use crate::claims::CLAIM_TEXT_BYTES_MAX;

/// Limit: names in one list of a policy. Why: lists are searched linearly for every token.
const NAMES_MAX: usize = 64;

/// Limit: members in the path of a claim. Why: nothing real is deeper than three.
const PATH_NAMES_MAX: usize = 4;

/// Collects mistakes under the path of one issuer.
struct Problems {
    list: Vec<PolicyProblem>,
    at: String,
}

impl Problems {
    fn add(&mut self, field: &str, advice: impl Into<String>) {
        self.list.push(PolicyProblem { path: format!("{}{field}", self.at), advice: advice.into() });
    }
}

pub(super) fn trust_config(input: TrustConfigInput) -> Result<Vec<IssuerPolicy>, Vec<PolicyProblem>> {
    let mut problems = Problems { list: Vec::new(), at: String::new() };
    if input.issuers.is_empty() {
        problems.add("issuers", "is empty; name at least one issuer, else every token is refused");
    }
    let mut seen = HashSet::new();
    let mut checked = Vec::with_capacity(input.issuers.len());
    for (index, policy) in input.issuers.into_iter().enumerate() {
        problems.at = format!("issuers[{index}].");
        if !policy.issuer.is_empty() && !seen.insert(policy.issuer.clone()) {
            problems.add("issuer", format!("`{}` is listed twice; merge both entries", policy.issuer));
        }
        checked.extend(issuer(policy, &mut problems));
    }
    if problems.list.is_empty() { Ok(checked) } else { Err(problems.list) }
}

/// `None` only where a problem was added.
fn issuer(input: IssuerPolicyInput, problems: &mut Problems) -> Option<IssuerPolicy> {
    issuer_name(&input.issuer, problems);
    let algorithms = algorithms(&input.algorithms, problems);
    names("audiences", &input.audiences, problems);
    if input.audiences.iter().any(|audience| audience == "*") {
        problems.add("audiences", "`*` matches nothing here; list the audiences of this service by name");
    }
    names("typ", &input.typ, problems);
    if !(0..=LEEWAY_S_MAX).contains(&input.leeway_s) {
        problems.add(
            "leeway_s",
            format!("{} is out of range; write 0 to {LEEWAY_S_MAX} seconds", input.leeway_s),
        );
    }
    if let Some(seconds) = input.lifetime_max_s.filter(|seconds| !(1..=LIFETIME_S_MAX).contains(seconds)) {
        problems.add(
            "lifetime_max_s",
            format!("{seconds} is out of range; write 1 to {LIFETIME_S_MAX} seconds, or leave it out"),
        );
    }
    claim_names(&input.claims, problems);
    match &input.jwks {
        None => problems.add("jwks", "is missing; write `{ url = \"https://...\" }` or `{ file = \"...\" }`"),
        Some(JwksSource::File(path)) if path.as_os_str().is_empty() => {
            problems.add("jwks.file", "is blank; name a file with a JWKS document");
        }
        Some(JwksSource::File(_)) => {}
        Some(JwksSource::Url(url)) => {
            if let Err(advice) = jwks_url(url) {
                problems.add("jwks.url", advice);
            }
        }
    }
    Some(IssuerPolicy {
        issuer: input.issuer,
        jwks: input.jwks?,
        algorithms,
        audiences: input.audiences,
        typ: input.typ.iter().map(|typ| without_application(typ).to_ascii_lowercase()).collect(),
        leeway_s: input.leeway_s,
        lifetime_max_s: input.lifetime_max_s,
        claims: input.claims,
    })
}

fn issuer_name(issuer: &str, problems: &mut Problems) {
    if issuer.is_empty() {
        problems.add("issuer", "is blank; write the exact `iss` of the tokens");
    } else if issuer.contains(|c: char| c.is_whitespace() || c.is_control()) {
        problems.add("issuer", "contains white space; write the exact `iss` of the tokens");
    } else if issuer.len() > CLAIM_TEXT_BYTES_MAX {
        problems.add("issuer", format!("is longer than {CLAIM_TEXT_BYTES_MAX} bytes; no token could match"));
    }
}

fn algorithms(names: &[String], problems: &mut Problems) -> Vec<Algorithm> {
    if names.is_empty() {
        problems.add("algorithms", "is empty; list those that the issuer signs with, `ES256` say");
    }
    let mut known = Vec::new();
    for (index, name) in names.iter().enumerate() {
        let field = format!("algorithms[{index}]");
        match name.parse::<Algorithm>() {
            Ok(algorithm) if known.contains(&algorithm) => {
                problems.add(&field, format!("`{name}` is listed twice; remove one"));
            }
            Ok(algorithm) => known.push(algorithm),
            Err(_) if name.eq_ignore_ascii_case("none") => {
                problems.add(&field, "`none` is no signature; use RS256, PS256, ES256 or EdDSA");
            }
            Err(_) if name.to_ascii_uppercase().starts_with("HS") => problems.add(
                &field,
                format!(
                    "`{name}` is symmetric, so whoever verifies can forge; use RS256, PS256, ES256 or EdDSA"
                ),
            ),
            Err(unknown) => problems.add(&field, format!("`{name}`: {unknown}")),
        }
    }
    known
}

/// A list that must have entries, none of them blank.
fn names(field: &str, names: &[String], problems: &mut Problems) {
    if names.is_empty() {
        problems.add(field, "is empty; list at least one, else every token is refused");
    }
    if names.len() > NAMES_MAX {
        problems.add(field, format!("has more than {NAMES_MAX} entries; shorten it"));
    }
    for (index, name) in names.iter().enumerate() {
        if name.trim().is_empty() {
            problems.add(&format!("{field}[{index}]"), "is blank; remove it or write a name");
        }
    }
}

fn claim_names(claims: &ClaimNames, problems: &mut Problems) {
    claim_path("claims.subject", &claims.subject, problems);
    for (field, paths) in [
        ("claims.tenant", &claims.tenant),
        ("claims.roles", &claims.roles),
        ("claims.groups", &claims.groups),
        ("claims.permissions", &claims.permissions),
    ] {
        if paths.len() > NAMES_MAX {
            problems.add(field, format!("has more than {NAMES_MAX} entries; shorten it"));
        }
        for (index, path) in paths.iter().enumerate() {
            claim_path(&format!("{field}[{index}]"), path, problems);
        }
    }
    if !claims.selectors.is_empty() {
        names("claims.selectors", &claims.selectors, problems);
    }
}

fn claim_path(field: &str, path: &ClaimPath, problems: &mut Problems) {
    let members = path.names();
    if members.is_empty() || members.len() > PATH_NAMES_MAX {
        problems.add(field, format!("has {} names; write 1 to {PATH_NAMES_MAX}", members.len()));
    }
    if members.iter().any(|member| member.trim().is_empty()) {
        problems.add(field, "has a blank name; write the name of a claim");
    }
}

/// `Err` is the advice. Spec: RFC 8725 section 3.10 (no plain http, so nobody on the path can swap the keys).
pub(crate) fn jwks_url(text: &str) -> Result<Url, &'static str> {
    let url = Url::parse(text).map_err(|_| "is not an absolute url; write `https://host/path`")?;
    if url.host_str().is_none_or(str::is_empty) {
        return Err("has no host; write `https://host/path`");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("contains a user or password; a key set is public, remove them");
    }
    if url.fragment().is_some() {
        return Err("has a fragment; remove everything from `#` on");
    }
    match url.scheme() {
        "https" => Ok(url),
        "http" if is_loopback(&url) => Ok(url),
        "http" => Err("is plain http to another machine; use https (http is for loopback hosts only)"),
        _ => Err("is neither https nor loopback http; use https, or `file` for a file"),
    }
}

/// Whether the host can only be this machine: `localhost` or a loopback address.
pub(crate) fn is_loopback(url: &Url) -> bool {
    let Some(host) = url.host_str() else { return false };
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    bare.eq_ignore_ascii_case("localhost")
        || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}
