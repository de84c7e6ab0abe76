//! What is read from claims, and every limit.

use serde_json::{Value, json};

use super::*;
use crate::error::TokenError;
use crate::policy::ClaimPath;
use crate::verify::kit::{ISSUER, Kit};

const THUMBPRINT: &str = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I";

fn kit() -> Kit {
    Kit::new(Algorithm::EdDsa)
}

fn refused(changes: Value, error: TokenError) {
    assert_eq!(kit().claims(changes.clone()).unwrap_err(), error, "{changes}");
}

#[test]
fn a_full_token() {
    let claims = kit()
        .claims(json!({
            "sid": "s1", "azp": "web", "client_id": "other", "tenant": "acme", "tid": "t9",
            "scope": "read  write", "roles": ["admin"], "groups": ["g1", "g2"], "permissions": "p:x",
            "realm_access": { "roles": ["staff"] },
            "act": { "sub": "agent-1", "act": { "iss": "https://b.example", "sub": "agent-2" } },
            "cnf": { "jkt": THUMBPRINT, "x5t#S256": THUMBPRINT },
        }))
        .unwrap();
    assert_eq!(claims.subject.as_deref(), Some("u1"));
    assert_eq!(claims.jti.as_deref(), Some("t1"));
    assert_eq!(claims.sid.as_deref(), Some("s1"));
    assert_eq!(claims.client_id.as_deref(), Some("web"));
    assert_eq!(claims.tenant.as_deref(), Some("acme"));
    assert_eq!(claims.hints.scopes, ["read", "write"]);
    assert_eq!(claims.hints.roles, ["admin", "staff"]);
    assert_eq!(claims.hints.groups, ["g1", "g2"]);
    assert_eq!(claims.hints.permissions, ["p:x"]);
    let actors: Vec<(&str, &str)> =
        claims.actors.iter().map(|actor| (actor.issuer.as_str(), actor.subject.as_str())).collect();
    assert_eq!(actors, [(ISSUER, "agent-1"), ("https://b.example", "agent-2")]);
    assert_eq!(claims.cnf_jkt.as_deref(), Some(THUMBPRINT));
    assert_eq!(claims.cnf_x5t_s256.as_deref(), Some(THUMBPRINT));
}

#[test]
fn a_bare_token() {
    let claims = kit().claims(json!({ "sub": null, "jti": null, "iat": null })).unwrap();
    assert_eq!((claims.subject, claims.jti, claims.sid, claims.client_id), (None, None, None, None));
    assert_eq!((claims.tenant, claims.cnf_jkt, claims.cnf_x5t_s256), (None, None, None));
    assert!(claims.actors.is_empty() && claims.selectors.is_empty());
    assert_eq!(claims.hints, ClaimHints::default());
}

#[test]
fn entra_names() {
    let kit = Kit::with(&[Algorithm::EdDsa], |policy| policy.claims.subject = ClaimPath::new(["oid"]));
    let claims = kit
        .claims(json!({ "jti": null, "uti": "u-1", "oid": "o-1", "tid": "t-1", "appid": "a-1", "scp": "User.Read" }))
        .unwrap();
    assert_eq!(claims.jti.as_deref(), Some("u-1"));
    assert_eq!(claims.subject.as_deref(), Some("o-1"));
    assert_eq!(claims.tenant.as_deref(), Some("t-1"));
    assert_eq!(claims.client_id.as_deref(), Some("a-1"));
    assert_eq!(claims.hints.scopes, ["User.Read"]);
    assert_eq!(kit.claims(json!({ "scp": ["a", "b"] })).unwrap().hints.scopes, ["a", "b"]);
}

#[test]
fn configured_names() {
    let kit = Kit::with(&[Algorithm::EdDsa], |policy| {
        policy.claims.tenant = vec![ClaimPath::new(["org", "id"])];
        policy.claims.roles = vec![ClaimPath::new(["https://x.example/roles"])];
        policy.claims.selectors = vec!["repository".into(), "ref".into(), "absent".into()];
    });
    let claims = kit
        .claims(json!({
            "tenant": "not-this", "org": { "id": "acme" }, "roles": ["not-this"],
            "https://x.example/roles": ["r1"], "repository": "a/b", "ref": "refs/heads/main",
        }))
        .unwrap();
    assert_eq!(claims.tenant.as_deref(), Some("acme"));
    assert_eq!(claims.hints.roles, ["r1"]);
    let selectors: Vec<(&str, &str)> =
        claims.selectors.iter().map(|claim| (claim.name.as_str(), claim.value.as_str())).collect();
    assert_eq!(selectors, [("repository", "a/b"), ("ref", "refs/heads/main")]);
    assert_eq!(kit.claims(json!({ "repository": 1 })), Err(TokenError::ClaimMalformed { claim: "selector" }));
    assert_eq!(kit.claims(json!({ "org": "text" })).unwrap().tenant, None);
}

#[test]
fn blank_ids_are_refused() {
    for (name, claim) in [
        ("sub", "subject"),
        ("jti", "jti"),
        ("sid", "sid"),
        ("azp", "azp"),
        ("tenant", "tenant"),
        ("iss", "iss"),
    ] {
        refused(json!({ name: "" }), TokenError::ClaimBlank { claim });
        refused(json!({ name: " \t" }), TokenError::ClaimBlank { claim });
    }
    refused(json!({ "groups": ["a", ""] }), TokenError::ClaimBlank { claim: "groups" });
    refused(json!({ "act": { "sub": "" } }), TokenError::ClaimBlank { claim: "act.sub" });
}

#[test]
fn mistyped_claims_are_refused() {
    for (name, claim) in [("sub", "subject"), ("jti", "jti"), ("client_id", "client_id"), ("tid", "tenant")] {
        for value in [json!(1), json!(true), json!(["a"]), json!({ "a": 1 })] {
            refused(json!({ name: value }), TokenError::ClaimMalformed { claim });
        }
    }
    refused(json!({ "roles": { "a": 1 } }), TokenError::ClaimMalformed { claim: "roles" });
    refused(json!({ "groups": [1] }), TokenError::ClaimMalformed { claim: "groups" });
    refused(json!({ "scope": 1 }), TokenError::ClaimMalformed { claim: "scope" });
    refused(json!({ "act": "a" }), TokenError::ClaimMalformed { claim: "act" });
    refused(json!({ "act": { "sub": "a", "act": [] } }), TokenError::ClaimMalformed { claim: "act" });
    refused(json!({ "cnf": "a" }), TokenError::ClaimMalformed { claim: "cnf" });
}

#[test]
fn long_texts_are_refused_not_cut() {
    let limit = "x".repeat(CLAIM_TEXT_BYTES_MAX);
    let over = "x".repeat(CLAIM_TEXT_BYTES_MAX + 1);
    assert_eq!(kit().claims(json!({ "sub": limit })).unwrap().subject.unwrap().len(), CLAIM_TEXT_BYTES_MAX);
    refused(json!({ "sub": over }), TokenError::ClaimTooLong { claim: "subject" });
    refused(json!({ "roles": [over] }), TokenError::ClaimTooLong { claim: "roles" });
    refused(json!({ "scope": over }), TokenError::ClaimTooLong { claim: "scope" });
    refused(
        json!({ "scope": "x ".repeat(SCOPE_BYTES_MAX / 2 + 1) }),
        TokenError::ClaimTooLong { claim: "scope" },
    );
}

#[test]
fn long_lists_are_refused_not_cut() {
    let list = |count: usize| vec!["x"; count];
    assert_eq!(
        kit().claims(json!({ "groups": list(CLAIM_ITEMS_MAX) })).unwrap().hints.groups.len(),
        CLAIM_ITEMS_MAX
    );
    let over = list(CLAIM_ITEMS_MAX + 1);
    refused(json!({ "groups": over }), TokenError::ClaimTooManyItems { claim: "groups" });
    refused(json!({ "aud": over }), TokenError::ClaimTooManyItems { claim: "aud" });
    refused(json!({ "scp": over }), TokenError::ClaimTooManyItems { claim: "scope" });
    refused(json!({ "scope": over.join(" ") }), TokenError::ClaimTooManyItems { claim: "scope" });
    let half = list(CLAIM_ITEMS_MAX / 2 + 1);
    refused(
        json!({ "roles": half, "realm_access": { "roles": half } }),
        TokenError::ClaimTooManyItems { claim: "roles" },
    );
}

#[test]
fn delegation_chains() {
    let chain = |depth: usize| {
        (0..depth).fold(Value::Null, |inner, index| {
            let mut act = json!({ "sub": format!("a{index}") });
            if !inner.is_null() {
                act["act"] = inner;
            }
            act
        })
    };
    let claims = kit().claims(json!({ "act": chain(ACT_DEPTH_MAX) })).unwrap();
    assert_eq!(claims.actors.len(), ACT_DEPTH_MAX);
    assert_eq!(claims.actors.last().unwrap().subject, "a0");
    refused(json!({ "act": chain(ACT_DEPTH_MAX + 1) }), TokenError::ActTooDeep);
    refused(json!({ "act": { "iss": "x" } }), TokenError::ActorWithoutSubject);
    refused(json!({ "act": { "sub": "a", "act": {} } }), TokenError::ActorWithoutSubject);
}

#[test]
fn thumbprints_must_be_canonical() {
    for member in ["jkt", "x5t#S256"] {
        let claim = if member == "jkt" { "cnf.jkt" } else { "cnf.x5t#S256" };
        for bad in [
            format!("{THUMBPRINT}="),
            "AAAA".to_owned(),
            THUMBPRINT.replace('-', "+"),
            format!("{THUMBPRINT}A"),
        ] {
            refused(json!({ "cnf": { member: bad } }), TokenError::ClaimMalformed { claim });
        }
        // The last letter of 32 bytes has two unused bits: J would decode like I.
        refused(
            json!({ "cnf": { member: THUMBPRINT.replace("4I", "4J") } }),
            TokenError::ClaimMalformed { claim },
        );
    }
    assert!(kit().claims(json!({ "cnf": {} })).is_ok());
}
