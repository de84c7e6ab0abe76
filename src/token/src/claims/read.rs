//! From the strict JSON of a payload to typed claims; every limit is an error, nothing is cut.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::{
    ACT_DEPTH_MAX, ActorClaim, CLAIM_ITEMS_MAX, CLAIM_TEXT_BYTES_MAX, ClaimHints, SCOPE_BYTES_MAX,
    SelectorClaim, VerifiedClaims,
};
use crate::algorithm::Algorithm;
use crate::error::TokenError;
use crate::policy::{ClaimPath, IssuerPolicy};
use crate::strict_json::{Node, Object};

/// Limit, in seconds since 1970: the end of the year 9999. Why: milliseconds in place of seconds land beyond.
const DATE_S_MAX: i64 = 253_402_300_799;

/// Bytes of a SHA-256 thumbprint.
const THUMBPRINT_BYTES: usize = 32;

/// A payload that is well-formed, and of which nothing is proven yet.
pub(crate) struct RawClaims<'a>(pub(crate) Object<'a>);

impl RawClaims<'_> {
    /// `iss`, unproven: good for choosing the policy and nothing else.
    pub(crate) fn issuer(&self) -> Result<&str, TokenError> {
        text(&self.0, "iss", "iss")?.ok_or(TokenError::IssuerMissing)
    }
}

/// Turns the payload of a token with a good signature into claims, and checks audience and dates.
pub(crate) fn read(
    raw: &RawClaims<'_>,
    policy: &IssuerPolicy,
    kid: Option<&str>,
    algorithm: Algorithm,
    now_unix_s: i64,
) -> Result<VerifiedClaims, TokenError> {
    let claims = &raw.0;
    let (issued_at, expires_at, not_before) = dates(claims, policy, now_unix_s)?;
    let audience = audience(claims, policy)?;
    let names = policy.claims();
    let (cnf_jkt, cnf_x5t_s256) = confirmation(claims)?;
    Ok(VerifiedClaims {
        issuer: policy.issuer().to_owned(),
        subject: at_path(claims, &names.subject).map(|node| id(node, "subject")).transpose()?,
        audience,
        jti: first(claims, &["jti", "uti"])?,
        sid: first(claims, &["sid"])?,
        client_id: first(claims, &["azp", "client_id", "appid"])?,
        kid: kid.map(str::to_owned),
        algorithm,
        issued_at,
        expires_at,
        not_before,
        tenant: tenant(claims, &names.tenant)?,
        hints: ClaimHints {
            scopes: scopes(claims)?,
            roles: merged(claims, &names.roles, "roles")?,
            groups: merged(claims, &names.groups, "groups")?,
            permissions: merged(claims, &names.permissions, "permissions")?,
        },
        actors: actors(claims, policy.issuer())?,
        cnf_jkt,
        cnf_x5t_s256,
        selectors: selectors(claims, &names.selectors)?,
    })
}

/// Spec: RFC 7519 sections 4.1.4 to 4.1.6; semantics, section 4 step 2.
fn dates(
    claims: &Object<'_>,
    policy: &IssuerPolicy,
    now: i64,
) -> Result<(Option<i64>, i64, Option<i64>), TokenError> {
    let leeway = policy.leeway_s();
    let expires_at = date(claims, "exp")?.ok_or(TokenError::ExpiryMissing)?;
    let not_before = date(claims, "nbf")?;
    let issued_at = date(claims, "iat")?;
    // Why: the boundary belongs to the past; at `exp` itself the token is dead.
    if expires_at.saturating_add(leeway) <= now {
        return Err(TokenError::Expired);
    }
    let latest = now.saturating_add(leeway);
    // Why before `nbf`, which issuers set to the same: it accuses a clock, and somebody should look at it.
    if issued_at.is_some_and(|date| date > latest) {
        return Err(TokenError::IssuedInFuture);
    }
    if not_before.is_some_and(|date| date > latest) {
        return Err(TokenError::NotYetValid);
    }
    if let Some(longest) = policy.lifetime_max_s() {
        let issued_at = issued_at.ok_or(TokenError::LifetimeUnknown)?;
        if expires_at.saturating_sub(issued_at) > longest {
            return Err(TokenError::LifetimeTooLong);
        }
    }
    Ok((issued_at, expires_at, not_before))
}

/// A date in whole seconds, rounded down. Why: D5 compares whole seconds, and earlier is the safe side.
fn date(claims: &Object<'_>, claim: &'static str) -> Result<Option<i64>, TokenError> {
    let seconds = match claims.get(claim) {
        None => return Ok(None),
        Some(Node::Int(seconds)) => *seconds,
        Some(Node::Float(seconds)) => whole_seconds(*seconds).ok_or(TokenError::DateOutOfRange { claim })?,
        Some(_) => return Err(TokenError::ClaimMalformed { claim }),
    };
    if (0..=DATE_S_MAX).contains(&seconds) {
        Ok(Some(seconds))
    } else {
        Err(TokenError::DateOutOfRange { claim })
    }
}

fn whole_seconds(seconds: f64) -> Option<i64> {
    const BEYOND: f64 = 253_402_300_800.0;
    #[expect(clippy::cast_possible_truncation, reason = "between 0 and 2^38, and not a NaN, by the filter")]
    Some(seconds).filter(|seconds| (0.0..BEYOND).contains(seconds)).map(|seconds| seconds.floor() as i64)
}

/// Spec: RFC 7519 section 4.1.3: one string or a list; exact comparison.
fn audience(claims: &Object<'_>, policy: &IssuerPolicy) -> Result<Vec<String>, TokenError> {
    let node = claims.get("aud").ok_or(TokenError::AudienceMissing)?;
    let audience = match node {
        Node::Text(_) => vec![id(node, "aud")?],
        Node::List(_) => {
            let mut list = Vec::new();
            extend(&mut list, node, "aud")?;
            list
        }
        _ => return Err(TokenError::ClaimMalformed { claim: "aud" }),
    };
    if audience.iter().any(|name| policy.audiences().contains(name)) {
        Ok(audience)
    } else {
        Err(TokenError::AudienceMismatch)
    }
}

/// Spec: RFC 8693 section 4.2 (`scope`); `scp` is Entra's string and Okta's list.
fn scopes(claims: &Object<'_>) -> Result<Vec<String>, TokenError> {
    let mut scopes = Vec::new();
    for name in ["scope", "scp"] {
        match claims.get(name) {
            None => {}
            Some(Node::Text(words)) if words.len() > SCOPE_BYTES_MAX => {
                return Err(TokenError::ClaimTooLong { claim: "scope" });
            }
            Some(Node::Text(words)) => {
                scopes.extend(words.split(' ').filter(|word| !word.is_empty()).map(str::to_owned));
            }
            Some(node) => extend(&mut scopes, node, "scope")?,
        }
    }
    if scopes.len() > CLAIM_ITEMS_MAX {
        return Err(TokenError::ClaimTooManyItems { claim: "scope" });
    }
    if scopes.iter().any(|scope| scope.len() > CLAIM_TEXT_BYTES_MAX) {
        return Err(TokenError::ClaimTooLong { claim: "scope" });
    }
    Ok(scopes)
}

fn merged(claims: &Object<'_>, paths: &[ClaimPath], claim: &'static str) -> Result<Vec<String>, TokenError> {
    let mut list = Vec::new();
    for node in paths.iter().filter_map(|path| at_path(claims, path)) {
        match node {
            // Why: some issuers write a list of one as a plain string.
            Node::Text(_) => list.push(id(node, claim)?),
            _ => extend(&mut list, node, claim)?,
        }
    }
    if list.len() > CLAIM_ITEMS_MAX {
        return Err(TokenError::ClaimTooManyItems { claim });
    }
    Ok(list)
}

fn extend(list: &mut Vec<String>, node: &Node<'_>, claim: &'static str) -> Result<(), TokenError> {
    let Node::List(items) = node else { return Err(TokenError::ClaimMalformed { claim }) };
    if items.len() > CLAIM_ITEMS_MAX {
        return Err(TokenError::ClaimTooManyItems { claim });
    }
    list.reserve(items.len());
    for item in items {
        list.push(id(item, claim)?);
    }
    Ok(())
}

/// Spec: RFC 8693 section 4.1: the outermost `act` is the current actor, nested ones are prior.
fn actors(claims: &Object<'_>, issuer: &str) -> Result<Vec<ActorClaim>, TokenError> {
    let mut chain = Vec::new();
    let mut next = claims.get("act");
    while let Some(node) = next {
        let Node::Object(act) = node else { return Err(TokenError::ClaimMalformed { claim: "act" }) };
        if chain.len() >= ACT_DEPTH_MAX {
            return Err(TokenError::ActTooDeep);
        }
        let subject = text(act, "sub", "act.sub")?.ok_or(TokenError::ActorWithoutSubject)?;
        let issuer = text(act, "iss", "act.iss")?.unwrap_or(issuer);
        chain.push(ActorClaim { issuer: issuer.to_owned(), subject: subject.to_owned() });
        next = act.get("act");
    }
    Ok(chain)
}

/// Spec: RFC 7800 section 3.1, RFC 9449 section 6.1, RFC 8705 section 3.1.
fn confirmation(claims: &Object<'_>) -> Result<(Option<String>, Option<String>), TokenError> {
    match claims.get("cnf") {
        None => Ok((None, None)),
        Some(Node::Object(cnf)) => {
            Ok((thumbprint(cnf, "jkt", "cnf.jkt")?, thumbprint(cnf, "x5t#S256", "cnf.x5t#S256")?))
        }
        Some(_) => Err(TokenError::ClaimMalformed { claim: "cnf" }),
    }
}

/// Only the canonical form, so that equal thumbprints are equal texts.
fn thumbprint(cnf: &Object<'_>, name: &str, claim: &'static str) -> Result<Option<String>, TokenError> {
    let Some(text) = text(cnf, name, claim)? else { return Ok(None) };
    match URL_SAFE_NO_PAD.decode(text) {
        Ok(bytes) if bytes.len() == THUMBPRINT_BYTES => Ok(Some(text.to_owned())),
        _ => Err(TokenError::ClaimMalformed { claim }),
    }
}

fn tenant(claims: &Object<'_>, paths: &[ClaimPath]) -> Result<Option<String>, TokenError> {
    paths.iter().find_map(|path| at_path(claims, path)).map(|node| id(node, "tenant")).transpose()
}

fn selectors(claims: &Object<'_>, names: &[String]) -> Result<Vec<SelectorClaim>, TokenError> {
    let mut found = Vec::new();
    for name in names {
        if let Some(node) = claims.get(name) {
            found.push(SelectorClaim { name: name.clone(), value: id(node, "selector")? });
        }
    }
    Ok(found)
}

/// The first of several claims that is present.
fn first(claims: &Object<'_>, names: &[&'static str]) -> Result<Option<String>, TokenError> {
    for name in names {
        if let Some(text) = text(claims, name, name)? {
            return Ok(Some(text.to_owned()));
        }
    }
    Ok(None)
}

/// Follows a path of members. `None` where a member is absent or an outer one is no object.
fn at_path<'o, 'a>(claims: &'o Object<'a>, path: &ClaimPath) -> Option<&'o Node<'a>> {
    let (last, outer) = path.names().split_last()?;
    let mut object = claims;
    for name in outer {
        let Some(Node::Object(inner)) = object.get(name) else { return None };
        object = inner;
    }
    object.get(last)
}

fn text<'o>(claims: &'o Object<'_>, name: &str, claim: &'static str) -> Result<Option<&'o str>, TokenError> {
    claims.get(name).map(|node| id_text(node, claim)).transpose()
}

fn id(node: &Node<'_>, claim: &'static str) -> Result<String, TokenError> {
    id_text(node, claim).map(str::to_owned)
}

/// A text that names something: a string, not blank, not over the limit. Spec: semantics D15.
fn id_text<'o>(node: &'o Node<'_>, claim: &'static str) -> Result<&'o str, TokenError> {
    let Node::Text(text) = node else { return Err(TokenError::ClaimMalformed { claim }) };
    if text.len() > CLAIM_TEXT_BYTES_MAX {
        return Err(TokenError::ClaimTooLong { claim });
    }
    if text.trim().is_empty() {
        return Err(TokenError::ClaimBlank { claim });
    }
    Ok(text)
}
