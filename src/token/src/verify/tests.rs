//! Good tokens, dates, audiences and keys.

use serde_json::json;

use super::kit::*;
use super::*;
use crate::error::TokenCode;
use crate::issue::{Issuer, SignOptions};

#[test]
fn accepts_every_algorithm() {
    let kit = Kit::with(&Algorithm::ALL, |_| {});
    for algorithm in Algorithm::ALL {
        let options = SignOptions { algorithm: Some(algorithm), ..SignOptions::default() };
        let token = kit.issuer.sign(&good(), &options).unwrap();
        let claims = kit.check(&token).unwrap();
        assert_eq!((claims.algorithm, claims.issuer.as_str()), (algorithm, ISSUER));
        assert!(kit.issuer.kids().any(|kid| claims.kid.as_deref() == Some(kid)));
    }
}

#[test]
fn refuses_a_wrong_key_for_every_algorithm() {
    for algorithm in Algorithm::ALL {
        let kit = Kit::new(algorithm);
        let stranger = Issuer::generate(ISSUER, &[algorithm]).unwrap();
        let header = format!(r#"{{"alg":"{algorithm}","typ":"JWT","kid":"{}"}}"#, kit.kid());
        let token = stranger.sign_raw(algorithm, &header, good().to_string().as_bytes());
        assert_eq!(kit.check(&token), Err(TokenError::SignatureMismatch), "{algorithm}");
    }
}

#[test]
fn refuses_a_tampered_payload() {
    let kit = Kit::new(Algorithm::Es256);
    let token = kit.sign(&good());
    let mut parts: Vec<String> = token.split('.').map(str::to_owned).collect();
    parts[1] = encode(changed(json!({ "sub": "admin" })).to_string());
    assert_eq!(kit.check(&parts.join(".")), Err(TokenError::SignatureMismatch));
}

#[test]
fn the_fully_specified_name_of_ed25519_is_the_same_algorithm() {
    let kit = Kit::new(Algorithm::EdDsa);
    let header = format!(r#"{{"alg":"Ed25519","typ":"JWT","kid":"{}"}}"#, kit.kid());
    assert!(kit.header(Algorithm::EdDsa, &header).is_ok());
}

#[test]
fn expiry_boundary() {
    let kit = Kit::new(Algorithm::EdDsa);
    assert_eq!(kit.claims(json!({ "exp": NOW + 1 })).unwrap().expires_at, NOW + 1);
    assert_eq!(kit.claims(json!({ "exp": NOW })), Err(TokenError::Expired));
    assert_eq!(kit.claims(json!({ "exp": NOW - 1 })), Err(TokenError::Expired));
    assert_eq!(kit.claims(json!({ "exp": NOW as f64 + 0.9 })), Err(TokenError::Expired));
    assert_eq!(kit.claims(json!({ "exp": NOW as f64 + 1.9 })).unwrap().expires_at, NOW + 1);
    assert_eq!(kit.claims(json!({ "exp": null })), Err(TokenError::ExpiryMissing));
    assert_eq!(TokenError::Expired.code(), TokenCode::Expired);
}

#[test]
fn dates_before_their_time() {
    let kit = Kit::new(Algorithm::EdDsa);
    assert_eq!(kit.claims(json!({ "nbf": NOW })).unwrap().not_before, Some(NOW));
    assert_eq!(kit.claims(json!({ "nbf": NOW + 1 })), Err(TokenError::NotYetValid));
    assert_eq!(kit.claims(json!({ "iat": NOW })).unwrap().issued_at, Some(NOW));
    assert_eq!(kit.claims(json!({ "iat": NOW + 1 })), Err(TokenError::IssuedInFuture));
    assert_eq!(kit.claims(json!({ "iat": null })).unwrap().issued_at, None);
    assert_eq!(kit.claims(json!({ "iat": NOW as f64 - 0.5 })).unwrap().issued_at, Some(NOW - 1));
}

#[test]
fn leeway_moves_every_boundary_and_no_further() {
    let kit = Kit::with(&[Algorithm::EdDsa], |policy| policy.leeway_s = 60);
    assert!(kit.claims(json!({ "exp": NOW - 59 })).is_ok());
    assert_eq!(kit.claims(json!({ "exp": NOW - 60 })), Err(TokenError::Expired));
    assert!(kit.claims(json!({ "nbf": NOW + 60, "iat": NOW + 60 })).is_ok());
    assert_eq!(kit.claims(json!({ "nbf": NOW + 61 })), Err(TokenError::NotYetValid));
    assert_eq!(kit.claims(json!({ "iat": NOW + 61 })), Err(TokenError::IssuedInFuture));
}

#[test]
fn malformed_dates() {
    let kit = Kit::new(Algorithm::EdDsa);
    for claim in ["exp", "nbf", "iat"] {
        for value in [json!(-1), json!(-0.5), json!(NOW * 1000), json!(1e300), json!(u64::MAX)] {
            let result = kit.claims(json!({ claim: value }));
            assert_eq!(result, Err(TokenError::DateOutOfRange { claim }), "{claim} {value}");
        }
        for value in [json!("1800000300"), json!(true), json!([1]), json!({})] {
            assert_eq!(kit.claims(json!({ claim: value })), Err(TokenError::ClaimMalformed { claim }));
        }
    }
}

#[test]
fn no_clock_value_panics() {
    let kit = Kit::with(&[Algorithm::EdDsa], |policy| policy.leeway_s = 60);
    let token = kit.sign(&good());
    assert_eq!(kit.verifier.verify(&token, i64::MAX), Err(TokenError::Expired));
    assert_eq!(kit.verifier.verify(&token, i64::MIN), Err(TokenError::IssuedInFuture));
}

#[test]
fn lifetime_limit() {
    let kit = Kit::with(&[Algorithm::EdDsa], |policy| policy.lifetime_max_s = Some(310));
    assert!(kit.claims(json!({})).is_ok());
    assert_eq!(kit.claims(json!({ "exp": NOW + 301 })), Err(TokenError::LifetimeTooLong));
    assert_eq!(kit.claims(json!({ "iat": null })), Err(TokenError::LifetimeUnknown));
}

#[test]
fn audience_as_text_or_list() {
    let kit = Kit::new(Algorithm::EdDsa);
    assert_eq!(kit.claims(json!({ "aud": ["x", "api"] })).unwrap().audience, ["x", "api"]);
    for other in [json!("API"), json!("api2"), json!(["x"]), json!([])] {
        assert_eq!(kit.claims(json!({ "aud": other })), Err(TokenError::AudienceMismatch));
    }
    assert_eq!(kit.claims(json!({ "aud": null })), Err(TokenError::AudienceMissing));
    assert_eq!(kit.claims(json!({ "aud": { "a": 1 } })), Err(TokenError::ClaimMalformed { claim: "aud" }));
    assert_eq!(kit.claims(json!({ "aud": [1, "api"] })), Err(TokenError::ClaimMalformed { claim: "aud" }));
    assert_eq!(TokenError::AudienceMismatch.code().as_str(), "token.audience");
}

#[test]
fn issuer_is_compared_exactly() {
    let kit = Kit::new(Algorithm::EdDsa);
    for other in
        ["https://id.example/", "https://ID.example", "https://evil.example", "https://id.example\u{0}"]
    {
        assert_eq!(kit.claims(json!({ "iss": other })), Err(TokenError::IssuerUnknown), "{other}");
    }
    assert_eq!(kit.claims(json!({ "iss": 1 })), Err(TokenError::ClaimMalformed { claim: "iss" }));
    assert_eq!(kit.claims(json!({ "iss": [ISSUER] })), Err(TokenError::ClaimMalformed { claim: "iss" }));
    let mut claims = good();
    claims.as_object_mut().unwrap().remove("iss");
    let header = format!(r#"{{"alg":"EdDSA","typ":"JWT","kid":"{}"}}"#, kit.kid());
    let token = kit.issuer.sign_raw(Algorithm::EdDsa, &header, claims.to_string().as_bytes());
    assert_eq!(kit.check(&token), Err(TokenError::IssuerMissing));
}

#[test]
fn typ_without_case_and_prefix() {
    let kit = Kit::new(Algorithm::EdDsa);
    let with = |typ: &str| kit.header(Algorithm::EdDsa, &format!(r#"{{"alg":"EdDSA","typ":{typ}}}"#));
    for typ in [r#""jwt""#, r#""AT+JWT""#, r#""application/at+jwt""#, r#""APPLICATION/JWT""#] {
        assert!(with(typ).is_ok(), "{typ}");
    }
    for typ in [r#""dpop+jwt""#, r#""secevent+jwt""#, r#""logout+jwt""#, r#""""#, r#""JOSE""#] {
        assert_eq!(with(typ), Err(TokenError::TypNotAllowed), "{typ}");
    }
    assert_eq!(with("1"), Err(TokenError::HeaderMember { member: "typ" }));
    assert_eq!(kit.header(Algorithm::EdDsa, r#"{"alg":"EdDSA"}"#), Err(TokenError::TypMissing));
}

#[test]
fn no_kid_only_where_one_key_fits() {
    let single = Kit::with(&[Algorithm::EdDsa, Algorithm::Es256], |_| {});
    assert!(single.header(Algorithm::EdDsa, r#"{"alg":"EdDSA","typ":"JWT"}"#).is_ok());
    let mut double = Kit::new(Algorithm::EdDsa);
    double.issuer.add_key(Algorithm::EdDsa).unwrap();
    double.directory.install(ISSUER, double.issuer.key_set().unwrap()).unwrap();
    assert_eq!(
        double.header(Algorithm::EdDsa, r#"{"alg":"EdDSA","typ":"JWT"}"#),
        Err(TokenError::KidMissing)
    );
}

#[test]
fn keys_come_and_go() {
    let mut kit = Kit::new(Algorithm::EdDsa);
    let before = kit.sign(&good());
    let kid = kit.issuer.add_key(Algorithm::EdDsa).unwrap().to_owned();
    let after = kit.sign(&good());
    assert_eq!(kit.check(&after), Err(TokenError::KeyUnknown));
    assert_eq!(TokenError::KeyUnknown.code(), TokenCode::Key);
    kit.directory.install(ISSUER, kit.issuer.key_set().unwrap()).unwrap();
    assert!(kit.check(&before).is_ok() && kit.check(&after).is_ok());
    kit.issuer.remove_key(&kid).unwrap();
    kit.directory.install(ISSUER, kit.issuer.key_set().unwrap()).unwrap();
    assert_eq!(kit.check(&after), Err(TokenError::KeyUnknown));
}

#[test]
fn without_keys_nothing_passes() {
    let kit = Kit::new(Algorithm::EdDsa);
    let trust = trust(&[Algorithm::EdDsa], |_| {});
    let empty = Verifier::new(trust.clone(), KeyDirectory::new(&trust));
    assert_eq!(empty.verify(&kit.sign(&good()), NOW), Err(TokenError::KeysNotLoaded));
    let other = TrustConfig::try_from(crate::TrustConfigInput {
        issuers: vec![crate::IssuerPolicyInput::new(
            "https://other.example",
            crate::JwksSource::File("x".into()),
            &[Algorithm::EdDsa],
            &["a"],
        )],
    });
    let foreign = Verifier::new(trust, KeyDirectory::new(&other.unwrap()));
    assert_eq!(foreign.verify(&kit.sign(&good()), NOW), Err(TokenError::KeysNotLoaded));
}

#[test]
fn errors_and_debug_hold_nothing_of_the_token() {
    let kit = Kit::new(Algorithm::EdDsa);
    let secret = "ann.secret@mail.example";
    let claims = kit.claims(json!({
        "sub": secret, "roles": [secret], "scope": secret, "act": { "sub": secret }, "tenant": secret,
    }));
    assert!(!format!("{:?}", claims.as_ref().unwrap()).contains("secret"));
    let claims = claims.unwrap();
    assert!(!format!("{:?}{:?}", claims.hints, claims.actors).contains("secret"));
    let error = kit.claims(json!({ "exp": secret })).unwrap_err();
    assert!(!format!("{error:?} {error}").contains("secret"));
    assert!(!format!("{:?} {:?} {:?}", kit.verifier, kit.directory, kit.issuer).contains("secret"));
}

#[test]
fn canonical_base64url_agrees_with_the_decoder() {
    let letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_=+/ \n";
    for prefix in ["", "A", "AA", "AAA", "AAAA"] {
        for &last in letters {
            let text = format!("{prefix}{}", char::from(last));
            assert_eq!(is_canonical(&text), URL_SAFE_NO_PAD.decode(&text).is_ok(), "{text:?}");
        }
    }
}
