//! One test for each way a key set can be wrong.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::*;
use crate::issue::Issuer;

fn jwk(algorithm: Algorithm) -> Value {
    let issuer = Issuer::generate("https://id.example", &[algorithm]).unwrap();
    let set: Value = serde_json::from_str(&issuer.jwks_json()).unwrap();
    let mut key = set["keys"][0].clone();
    key["kid"] = json!("k");
    key
}

fn with(mut key: Value, changes: Value) -> Value {
    for (name, value) in changes.as_object().unwrap() {
        if value.is_null() {
            key.as_object_mut().unwrap().remove(name);
        } else {
            key[name] = value.clone();
        }
    }
    key
}

fn parse(keys: &[Value]) -> Result<KeySet, JwksError> {
    KeySet::parse(json!({ "keys": keys }).to_string().as_bytes())
}

/// The fault of the only key.
fn fault(key: Value) -> KeyFaultError {
    match parse(&[key]) {
        Err(JwksError::Key { index: 0, reason, .. }) => reason,
        other => panic!("{other:?}"),
    }
}

/// Why the key is skipped beside a good one.
fn skip(key: Value) -> SkipReason {
    let set = parse(&[with(jwk(Algorithm::EdDsa), json!({ "kid": "good" })), key]).unwrap();
    let [skipped] = set.skipped() else { panic!("{:?}", set.skipped()) };
    assert_eq!((skipped.index, set.len()), (1, 1));
    skipped.reason
}

fn b64(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn rsa_with(changes: Value) -> Value {
    // A modulus that no small prime divides; its factors do not matter to a reader.
    let mut modulus = vec![0xc5_u8; 256];
    modulus[255] = 0x01;
    let mut key = json!({ "kty": "RSA", "kid": "k", "e": "AQAB", "n": "" });
    while rsa_weak::is_weak(&modulus) {
        modulus[254] = modulus[254].wrapping_add(1);
    }
    key["n"] = json!(b64(&modulus));
    with(key, changes)
}

#[test]
fn accepts_sound_keys() {
    for algorithm in Algorithm::ALL {
        let set = parse(&[jwk(algorithm)]).unwrap();
        assert!(set.contains("k") && set.by_kid("k").unwrap().verifies(algorithm));
        assert!(set.only_of(algorithm).is_some());
        let open = with(jwk(algorithm), json!({ "alg": null, "use": null, "kid": null }));
        assert_eq!(parse(&[open]).unwrap().len(), 1);
    }
    assert!(parse(&[rsa_with(json!({}))]).is_ok());
    let operations =
        with(jwk(Algorithm::Es256), json!({ "key_ops": ["verify"], "x5c": ["AA"], "unknown": {} }));
    assert!(parse(&[operations]).is_ok());
}

#[test]
fn a_key_with_alg_verifies_only_that() {
    let set = parse(&[jwk(Algorithm::Rs256)]).unwrap();
    assert!(!set.by_kid("k").unwrap().verifies(Algorithm::Ps256));
    let open = parse(&[with(jwk(Algorithm::Rs256), json!({ "alg": null }))]).unwrap();
    let key = open.by_kid("k").unwrap();
    assert!(
        key.verifies(Algorithm::Rs256) && key.verifies(Algorithm::Ps256) && !key.verifies(Algorithm::Es256)
    );
}

#[test]
fn refuses_documents_of_the_wrong_shape() {
    let read = |text: &str| KeySet::parse(text.as_bytes()).unwrap_err();
    assert_eq!(read(""), JwksError::Json);
    assert_eq!(read("<html>"), JwksError::Json);
    assert_eq!(read("[]"), JwksError::NotObject);
    assert_eq!(read("{}"), JwksError::KeysMissing);
    assert_eq!(read(r#"{"keys":{}}"#), JwksError::KeysMissing);
    assert_eq!(read(r#"{"keys":[]}"#), JwksError::NoUsableKey);
    assert_eq!(read(r#"{"keys":[],"keys":[]}"#), JwksError::DuplicateMember);
    assert_eq!(read(r#"{"keys":[{"kty":"RSA","kty":"oct"}]}"#), JwksError::DuplicateMember);
    assert_eq!(read(&format!(r#"{{"keys":{}{}}}"#, "[".repeat(60), "]".repeat(60))), JwksError::TooComplex);
}

#[test]
fn refuses_oversized_documents() {
    let padded = format!("{{\"keys\":[]{}}}", " ".repeat(JWKS_BYTES_MAX));
    assert_eq!(KeySet::parse(padded.as_bytes()).unwrap_err(), JwksError::TooLarge);
    let many: Vec<Value> = (0..=JWKS_KEYS_MAX).map(|i| json!({ "kty": "X", "kid": i.to_string() })).collect();
    assert_eq!(parse(&many).unwrap_err(), JwksError::TooManyKeys);
}

#[test]
fn refuses_duplicate_and_missing_kids() {
    let key = jwk(Algorithm::EdDsa);
    let duplicate = JwksError::DuplicateKid { index: 1, kid: "k".to_owned() };
    assert_eq!(parse(&[key.clone(), jwk(Algorithm::Es256)]).unwrap_err(), duplicate);
    let encryption = with(key.clone(), json!({ "use": "enc" }));
    assert_eq!(parse(&[key.clone(), encryption.clone()]).unwrap_err(), duplicate);
    assert_eq!(parse(&[encryption, key.clone()]).unwrap_err(), duplicate);
    let nameless = with(jwk(Algorithm::Es256), json!({ "kid": null }));
    assert_eq!(parse(&[key.clone(), nameless.clone()]).unwrap_err(), JwksError::KidMissing { index: 1 });
    assert_eq!(parse(&[nameless.clone(), key]).unwrap_err(), JwksError::KidMissing { index: 0 });
    let skipped = with(nameless.clone(), json!({ "use": "enc" }));
    assert_eq!(parse(&[nameless, skipped]).unwrap().len(), 1);
}

#[test]
fn refuses_malformed_entries() {
    assert_eq!(fault(json!("key")), KeyFaultError::NotObject);
    let key = jwk(Algorithm::EdDsa);
    for (member, value) in [
        ("kty", json!(1)),
        ("kty", json!(null)),
        ("kid", json!(1)),
        ("use", json!([])),
        ("alg", json!({})),
        ("x", json!(1)),
        ("x", json!(null)),
        ("crv", json!(null)),
        ("key_ops", json!("verify")),
    ] {
        assert_eq!(fault(with(key.clone(), json!({ member: value }))), KeyFaultError::Member { member });
    }
    assert_eq!(fault(with(key.clone(), json!({ "kid": "" }))), KeyFaultError::KidLength);
    assert_eq!(fault(with(key, json!({ "kid": "k".repeat(KID_BYTES_MAX + 1) }))), KeyFaultError::KidLength);
}

#[test]
fn refuses_shared_secrets_even_beside_good_keys() {
    let secret = json!({ "kty": "oct", "kid": "s", "k": "AAAA", "use": "enc" });
    assert_eq!(fault(secret.clone()), KeyFaultError::Symmetric);
    let refused = parse(&[jwk(Algorithm::EdDsa), secret]);
    assert!(matches!(refused, Err(JwksError::Key { index: 1, reason: KeyFaultError::Symmetric, .. })));
}

#[test]
fn refuses_private_members() {
    for member in ["d", "p", "q", "dp", "dq", "qi", "oth", "k"] {
        for purpose in ["sig", "enc"] {
            let key = with(jwk(Algorithm::EdDsa), json!({ member: "AAAA", "use": purpose }));
            assert_eq!(fault(key), KeyFaultError::PrivateMember { member });
        }
    }
    let shown = parse(&[with(jwk(Algorithm::EdDsa), json!({ "d": "c2VjcmV0" }))]).unwrap_err();
    assert!(!format!("{shown} {shown:?}").contains("c2VjcmV0"));
}

#[test]
fn skips_keys_for_something_else() {
    assert_eq!(skip(with(jwk(Algorithm::Es256), json!({ "use": "enc" }))), SkipReason::Use);
    assert_eq!(skip(with(jwk(Algorithm::Es256), json!({ "key_ops": ["encrypt"] }))), SkipReason::KeyOps);
    assert_eq!(skip(with(jwk(Algorithm::Es256), json!({ "key_ops": [] }))), SkipReason::KeyOps);
    assert_eq!(skip(json!({ "kty": "AKP", "kid": "k" })), SkipReason::KeyType);
    assert_eq!(skip(json!({ "kty": "EC", "crv": "P-384", "kid": "k", "alg": "ES384" })), SkipReason::Curve);
    assert_eq!(skip(json!({ "kty": "EC", "crv": "secp256k1", "kid": "k" })), SkipReason::Curve);
    assert_eq!(skip(json!({ "kty": "OKP", "crv": "X25519", "kid": "k" })), SkipReason::Curve);
    assert_eq!(skip(rsa_with(json!({ "alg": "RS512" }))), SkipReason::Algorithm);
    assert_eq!(skip(rsa_with(json!({ "alg": "RSA-OAEP" }))), SkipReason::Algorithm);
    assert_eq!(skip(with(jwk(Algorithm::Es256), json!({ "alg": "ECDH-ES" }))), SkipReason::Algorithm);
    let only = with(jwk(Algorithm::Es256), json!({ "use": "enc" }));
    assert_eq!(parse(&[only]).unwrap_err(), JwksError::NoUsableKey);
}

#[test]
fn refuses_contradictions() {
    for (algorithm, alg) in [
        (Algorithm::Es256, "RS256"),
        (Algorithm::Es256, "EdDSA"),
        (Algorithm::Es256, "ES384"),
        (Algorithm::Es256, "HS256"),
        (Algorithm::EdDsa, "ES256"),
        (Algorithm::EdDsa, "PS512"),
        (Algorithm::EdDsa, "none"),
    ] {
        assert_eq!(
            fault(with(jwk(algorithm), json!({ "alg": alg }))),
            KeyFaultError::AlgorithmMismatch,
            "{alg}"
        );
    }
    for alg in ["ES256", "EdDSA", "HS256", "none", "ES512"] {
        assert_eq!(fault(rsa_with(json!({ "alg": alg }))), KeyFaultError::AlgorithmMismatch, "{alg}");
    }
    for (kty, crv) in [("EC", "Ed25519"), ("OKP", "P-256"), ("RSA", "P-256")] {
        let key = json!({ "kty": kty, "crv": crv, "kid": "k", "x": "AA", "y": "AA", "n": "AA", "e": "AQAB" });
        assert_eq!(fault(key), KeyFaultError::AlgorithmMismatch);
    }
    let other_curve = json!({ "kty": "EC", "crv": "P-384", "kid": "k", "alg": "ES256" });
    assert_eq!(fault(other_curve), KeyFaultError::AlgorithmMismatch);
}

#[test]
fn refuses_short_and_long_rsa() {
    let ones = |bytes: usize| b64(&vec![0xff; bytes]);
    assert_eq!(fault(rsa_with(json!({ "n": ones(128) }))), KeyFaultError::RsaTooShort);
    assert_eq!(fault(rsa_with(json!({ "n": "" }))), KeyFaultError::RsaTooShort);
    let mut bits_2047 = vec![0xff; 256];
    bits_2047[0] = 0x7f;
    assert_eq!(fault(rsa_with(json!({ "n": b64(&bits_2047) }))), KeyFaultError::RsaTooShort);
    assert_eq!(fault(rsa_with(json!({ "n": ones(1025) }))), KeyFaultError::RsaTooLong);
}

#[test]
fn refuses_weak_rsa_moduli() {
    let mut even = vec![0xff; 256];
    even[255] = 0xfe;
    assert_eq!(fault(rsa_with(json!({ "n": b64(&even) }))), KeyFaultError::RsaWeakModulus);
    // 2^2048 - 1 is divisible by 3.
    assert_eq!(fault(rsa_with(json!({ "n": b64(&[0xff; 256]) }))), KeyFaultError::RsaWeakModulus);
}

#[test]
fn refuses_bad_rsa_exponents() {
    for (e, expected) in [
        (&[1][..], KeyFaultError::RsaExponentTooSmall),
        (&[3], KeyFaultError::RsaExponentTooSmall),
        (&[0x01, 0x00, 0x00], KeyFaultError::RsaExponentEven),
        (&[], KeyFaultError::RsaExponentEven),
        (&[0x02, 0x00, 0x00, 0x00, 0x01], KeyFaultError::RsaExponentTooLarge),
        (&[0xff; 9], KeyFaultError::RsaExponentTooLarge),
        (&[0, 1, 0, 1], KeyFaultError::LeadingZero { member: "e" }),
    ] {
        assert_eq!(fault(rsa_with(json!({ "e": b64(e) }))), expected, "{e:?}");
    }
}

#[test]
fn refuses_numbers_in_another_form() {
    // The last of them has bits set that no byte uses.
    for bad in ["AQAB=", "AQ+B", "AQ/B", "AQAB\n", "A", "AQABAB"] {
        assert_eq!(fault(rsa_with(json!({ "e": bad }))), KeyFaultError::Encoding { member: "e" }, "{bad}");
    }
    let leading = [&[0][..], &[0xff; 256]].concat();
    assert_eq!(fault(rsa_with(json!({ "n": b64(&leading) }))), KeyFaultError::LeadingZero { member: "n" });
    let key = with(jwk(Algorithm::EdDsa), json!({ "x": format!("{}=", "A".repeat(43)) }));
    assert_eq!(fault(key), KeyFaultError::Encoding { member: "x" });
    // 32 bytes leave two unused bits in the last letter.
    let lax = with(jwk(Algorithm::EdDsa), json!({ "x": format!("{}B", "A".repeat(42)) }));
    assert_eq!(fault(lax), KeyFaultError::Encoding { member: "x" });
}

#[test]
fn refuses_points_off_the_curve() {
    let key = jwk(Algorithm::Es256);
    let mut y = URL_SAFE_NO_PAD.decode(key["y"].as_str().unwrap()).unwrap();
    y[31] ^= 1;
    assert_eq!(fault(with(key.clone(), json!({ "y": b64(&y) }))), KeyFaultError::OffCurve);
    assert_eq!(
        fault(with(key.clone(), json!({ "x": b64(&[0; 32]), "y": b64(&[0; 32]) }))),
        KeyFaultError::OffCurve
    );
    assert_eq!(fault(with(key.clone(), json!({ "x": b64(&[0xff; 32]) }))), KeyFaultError::OffCurve);
    for (member, bytes) in [("x", 31), ("x", 33), ("y", 0), ("y", 64)] {
        let bad = with(key.clone(), json!({ member: b64(&vec![1; bytes]) }));
        assert_eq!(fault(bad), KeyFaultError::CoordinateLength { member });
    }
}

#[test]
fn refuses_bad_ed25519_keys() {
    for bytes in [0, 31, 33, 57] {
        let key = with(jwk(Algorithm::EdDsa), json!({ "x": b64(&vec![7; bytes]) }));
        assert_eq!(fault(key), KeyFaultError::Ed25519Length);
    }
    let mut one = [0; 32];
    one[0] = 1;
    let mut signed = one;
    signed[31] = 0x80;
    for point in [[0; 32], one, signed] {
        let key = with(jwk(Algorithm::EdDsa), json!({ "x": b64(&point) }));
        assert_eq!(fault(key), KeyFaultError::Ed25519SmallOrder);
    }
}

#[test]
fn names_the_key_that_is_refused() {
    let refused =
        parse(&[jwk(Algorithm::EdDsa), with(rsa_with(json!({ "e": "Aw" })), json!({ "kid": "weak" }))]);
    let Err(error @ JwksError::Key { .. }) = refused else { panic!("{refused:?}") };
    assert_eq!(error.to_string(), "key 1 (kid `weak`) is refused");
}
