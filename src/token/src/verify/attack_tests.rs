//! The attacks of RFC 8725 section 2, and of published JWT attack collections.

use aws_lc_rs::hmac;
use serde_json::json;

use super::kit::*;
use super::*;
use crate::issue::Issuer;
use crate::jwks::{JwksError, KeySet};

#[test]
fn alg_none_in_every_spelling() {
    let kit = Kit::new(Algorithm::Es256);
    for name in ["none", "None", "NONE", "nOnE"] {
        let header = encode(format!(r#"{{"alg":"{name}","typ":"JWT"}}"#));
        let payload = encode(good().to_string());
        assert_eq!(kit.check(&format!("{header}.{payload}.")), Err(TokenError::SignatureBlank));
        assert_eq!(kit.check(&format!("{header}.{payload}.AA")), Err(TokenError::AlgorithmNone));
    }
    assert_eq!(kit.header(Algorithm::Es256, r#"{"typ":"JWT"}"#), Err(TokenError::AlgorithmMissing));
    let odd = kit.header(Algorithm::Es256, r#"{"alg":["ES256"],"typ":"JWT"}"#);
    assert_eq!(odd, Err(TokenError::HeaderMember { member: "alg" }));
}

#[test]
fn public_key_as_hmac_secret() {
    let kit = Kit::new(Algorithm::Rs256);
    for secret in [kit.issuer.jwks_json(), String::new()] {
        for name in ["HS256", "hs256", "HS512"] {
            let header = encode(format!(r#"{{"alg":"{name}","typ":"JWT","kid":"{}"}}"#, kit.kid()));
            let signed = format!("{header}.{}", encode(good().to_string()));
            let mac = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()), signed.as_bytes());
            let token = format!("{signed}.{}", encode(mac.as_ref()));
            assert_eq!(kit.check(&token), Err(TokenError::AlgorithmUnknown));
        }
    }
}

#[test]
fn another_algorithm_for_the_same_key() {
    // The issuer's policy allows both; the key itself says RS256.
    let kit = Kit::with(&[Algorithm::Rs256, Algorithm::Ps256, Algorithm::Es256], |_| {});
    let rsa = kit.kid().to_owned();
    for name in ["PS256", "ES256"] {
        let header = format!(r#"{{"alg":"{name}","typ":"JWT","kid":"{rsa}"}}"#);
        assert_eq!(kit.header(Algorithm::Rs256, &header), Err(TokenError::KeyMismatch), "{name}");
    }
    // A good signature, but the policy does not list the algorithm.
    let strict =
        Kit::with(&[Algorithm::EdDsa, Algorithm::Es256], |policy| policy.algorithms = vec!["EdDSA".into()]);
    let header = r#"{"alg":"ES256","typ":"JWT"}"#;
    assert_eq!(strict.header(Algorithm::Es256, header), Err(TokenError::AlgorithmNotAllowed));
    assert_eq!(
        strict.header(Algorithm::Es256, r#"{"alg":"RS384","typ":"JWT"}"#),
        Err(TokenError::AlgorithmUnknown)
    );
}

#[test]
fn keys_that_the_token_brings_are_ignored() {
    let kit = Kit::new(Algorithm::Es256);
    let attacker = Issuer::generate(ISSUER, &[Algorithm::Es256]).unwrap();
    let jwks: serde_json::Value = serde_json::from_str(&attacker.jwks_json()).unwrap();
    let kid = kit.kid();
    for extra in [
        json!({ "jwk": jwks["keys"][0], "kid": kid }),
        json!({ "jku": "https://evil.example/jwks", "kid": kid }),
        json!({ "x5u": "https://evil.example/cert", "x5c": ["AAAA"], "kid": kid }),
        json!({ "jwk": jwks["keys"][0] }),
    ] {
        let mut header = extra;
        header["alg"] = json!("ES256");
        header["typ"] = json!("JWT");
        let forged = attacker.sign_raw(Algorithm::Es256, &header.to_string(), good().to_string().as_bytes());
        assert_eq!(kit.check(&forged), Err(TokenError::SignatureMismatch));
        // Ignored means ignored: with the right key, the same header passes.
        assert!(kit.header(Algorithm::Es256, &header.to_string()).is_ok());
    }
}

#[test]
fn kid_is_only_ever_compared() {
    let kit = Kit::new(Algorithm::EdDsa);
    for kid in
        ["../../../../dev/null", "/etc/passwd", "' OR 1=1 --", "| id", "\\u0000", "http://evil.example", ""]
    {
        let header = format!(r#"{{"alg":"EdDSA","typ":"JWT","kid":"{kid}"}}"#);
        assert_eq!(kit.header(Algorithm::EdDsa, &header), Err(TokenError::KeyUnknown), "{kid}");
    }
    let long = "k".repeat(KID_BYTES_MAX + 1);
    for kid in [json!(long), json!(1), json!(["a"]), json!(null)] {
        let header = json!({ "alg": "EdDSA", "typ": "JWT", "kid": kid }).to_string();
        assert_eq!(kit.header(Algorithm::EdDsa, &header), Err(TokenError::HeaderMember { member: "kid" }));
    }
}

#[test]
fn blank_truncated_and_padded_signatures() {
    for algorithm in [Algorithm::Es256, Algorithm::EdDsa, Algorithm::Rs256] {
        let kit = Kit::new(algorithm);
        let token = kit.sign(&good());
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let bytes = URL_SAFE_NO_PAD.decode(signature).unwrap();
        let with = |bytes: &[u8]| kit.check(&format!("{signed}.{}", encode(bytes)));
        assert_eq!(with(&[]), Err(TokenError::SignatureBlank));
        for bad in [
            &bytes[..bytes.len() - 1],
            &bytes[..1],
            &bytes[1..],
            &[&bytes[..], &[0]].concat(),
            &[&[0], &bytes[..]].concat(),
            &vec![0; bytes.len()],
            &vec![0xff; bytes.len()],
            &vec![1; bytes.len()],
        ] {
            assert_eq!(with(bad), Err(TokenError::SignatureMismatch), "{algorithm}");
        }
        assert!(with(&bytes).is_ok());
    }
}

#[test]
fn psychic_signature() {
    // CVE-2022-21449: r = s = 0, and r = s = n.
    let kit = Kit::new(Algorithm::Es256);
    let token = kit.sign(&good());
    let (signed, _) = token.rsplit_once('.').unwrap();
    let order = URL_SAFE_NO_PAD.decode("_____wAAAAD__________7zm-q2nF56E87nKwvxjJVE").unwrap();
    for bytes in [vec![0; 64], [&order[..], &order[..]].concat()] {
        assert_eq!(kit.check(&format!("{signed}.{}", encode(bytes))), Err(TokenError::SignatureMismatch));
    }
}

#[test]
fn ecdsa_signature_as_der() {
    let kit = Kit::new(Algorithm::Es256);
    let token = kit.sign(&good());
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let bytes = URL_SAFE_NO_PAD.decode(signature).unwrap();
    let der = [&[0x30, 70, 0x02, 33, 0][..], &bytes[..32], &[0x02, 33, 0], &bytes[32..]].concat();
    assert_eq!(kit.check(&format!("{signed}.{}", encode(der))), Err(TokenError::SignatureMismatch));
}

#[test]
fn not_three_segments() {
    let kit = Kit::new(Algorithm::EdDsa);
    let token = kit.sign(&good());
    let parts: Vec<&str> = token.split('.').collect();
    for bad in [
        String::new(),
        parts[0].to_owned(),
        format!("{}.{}", parts[0], parts[1]),
        format!("{token}.AA"),
        format!("{}..{}.{}", parts[0], parts[1], parts[2]),
        format!("{}.{}.{}.{}.{}", parts[0], "AA", parts[1], "AA", parts[2]),
    ] {
        assert_eq!(kit.check(&bad), Err(TokenError::SegmentCount), "{bad}");
    }
    assert_eq!(kit.check(".."), Err(TokenError::SignatureBlank));
    assert_eq!(kit.check("..AA"), Err(TokenError::Json { segment: "header" }));
}

#[test]
fn base64_must_be_canonical() {
    let kit = Kit::new(Algorithm::Es256);
    let token = kit.sign(&good());
    let parts: Vec<&str> = token.split('.').collect();
    for (index, segment) in ["header", "payload", "signature"].into_iter().enumerate() {
        for spoil in [
            |text: &str| format!("{text}="),
            |text: &str| format!("{text}=="),
            |text: &str| format!("{text} "),
            |text: &str| format!("{text}\n"),
            |text: &str| format!("+{text}"),
            |text: &str| format!("\u{e9}{text}"),
        ] {
            let mut bad: Vec<String> = parts.iter().map(|&part| part.to_owned()).collect();
            bad[index] = spoil(&bad[index]);
            assert_eq!(kit.check(&bad.join(".")), Err(TokenError::Encoding { segment }));
        }
    }
    // 64 bytes leave four unused bits in the last letter: B decodes like A in a lax reader.
    let last = parts[2].chars().last().unwrap();
    let next = char::from_u32(u32::from(last) + 1).unwrap();
    let lax = format!("{}{next}", token.strip_suffix(last).unwrap());
    assert_eq!(kit.check(&lax), Err(TokenError::Encoding { segment: "signature" }));
}

#[test]
fn duplicate_members_anywhere() {
    let kit = Kit::new(Algorithm::EdDsa);
    let header = TokenError::DuplicateMember { segment: "header" };
    assert_eq!(kit.header(Algorithm::EdDsa, r#"{"alg":"EdDSA","typ":"JWT","alg":"none"}"#), Err(header));
    assert_eq!(kit.header(Algorithm::EdDsa, r#"{"alg":"EdDSA","typ":"JWT","x":1,"x":1}"#), Err(header));
    let good_header = format!(r#"{{"alg":"EdDSA","typ":"JWT","kid":"{}"}}"#, kit.kid());
    for extra in
        [r#""sub":"admin""#, r#""s\u0075b":"admin""#, r#""x":1,"x":1"#, r#""act":{"sub":"a","sub":"b"}"#]
    {
        let text = good().to_string();
        let payload = format!("{},{extra}}}", text.strip_suffix('}').unwrap());
        let token = kit.issuer.sign_raw(Algorithm::EdDsa, &good_header, payload.as_bytes());
        assert_eq!(kit.check(&token), Err(TokenError::DuplicateMember { segment: "payload" }), "{extra}");
    }
}

#[test]
fn critical_extensions() {
    let kit = Kit::new(Algorithm::EdDsa);
    for crit in [r#"["exp"]"#, r#"["b64"],"b64":false"#, "[]", "null", r#""x""#] {
        let header = format!(r#"{{"alg":"EdDSA","typ":"JWT","crit":{crit}}}"#);
        assert_eq!(kit.header(Algorithm::EdDsa, &header), Err(TokenError::Critical), "{crit}");
    }
}

#[test]
fn malformed_json() {
    let kit = Kit::new(Algorithm::EdDsa);
    let header = format!(r#"{{"alg":"EdDSA","typ":"JWT","kid":"{}"}}"#, kit.kid());
    let payload = |bytes: &[u8]| kit.check(&kit.issuer.sign_raw(Algorithm::EdDsa, &header, bytes));
    assert_eq!(payload(b""), Err(TokenError::Json { segment: "payload" }));
    assert_eq!(payload(b"{\"iss\":\"\xff\"}"), Err(TokenError::Json { segment: "payload" }));
    assert_eq!(payload(b"{} {}"), Err(TokenError::Json { segment: "payload" }));
    assert_eq!(payload(b"[]"), Err(TokenError::NotObject { segment: "payload" }));
    // A nested JWT (`cty`) is text, not an object. Spec: RFC 8725 section 2.5.
    assert_eq!(payload(b"eyJhbGciOiJub25lIn0.e30."), Err(TokenError::Json { segment: "payload" }));
    let deep = format!("{}1{}", "{\"a\":".repeat(100), "}".repeat(100));
    assert_eq!(payload(deep.as_bytes()), Err(TokenError::TooDeep { segment: "payload" }));
    let wide: Vec<String> = (0..200).map(|i| format!("\"{i}\":0")).collect();
    let wide = format!("{{{}}}", wide.join(","));
    assert_eq!(payload(wide.as_bytes()), Err(TokenError::TooManyMembers { segment: "payload" }));
}

#[test]
fn huge_tokens_and_headers() {
    let kit = Kit::new(Algorithm::EdDsa);
    assert_eq!(kit.check(&"A".repeat(TOKEN_BYTES_MAX + 1)), Err(TokenError::TooLarge));
    assert_eq!(kit.check(&".".repeat(TOKEN_BYTES_MAX)), Err(TokenError::SegmentCount));
    assert_eq!(kit.claims(json!({ "x": "y".repeat(TOKEN_BYTES_MAX) })), Err(TokenError::TooLarge));
    assert!(kit.claims(json!({ "x": "y".repeat(8000) })).is_ok());
    let header = json!({ "alg": "EdDSA", "typ": "JWT", "x5c": ["A".repeat(HEADER_BYTES_MAX)] }).to_string();
    assert_eq!(kit.header(Algorithm::EdDsa, &header), Err(TokenError::HeaderTooLarge));
}

#[test]
fn one_issuers_key_does_not_sign_for_another() {
    let other = "https://other.example";
    let issuers =
        [Issuer::generate(ISSUER, &[Algorithm::EdDsa]), Issuer::generate(other, &[Algorithm::EdDsa])]
            .map(Result::unwrap);
    let input = issuers
        .iter()
        .map(|issuer| {
            let source = crate::JwksSource::File("keys".into());
            crate::IssuerPolicyInput::new(issuer.url(), source, &[Algorithm::EdDsa], &[AUDIENCE])
        })
        .collect();
    let trust = TrustConfig::try_from(crate::TrustConfigInput { issuers: input }).unwrap();
    let directory = KeyDirectory::new(&trust);
    for issuer in &issuers {
        directory.install(issuer.url(), issuer.key_set().unwrap()).unwrap();
    }
    let verifier = Verifier::new(trust, directory);
    let options = crate::SignOptions::default();
    let honest = issuers[1].sign(&changed(json!({ "iss": other })), &options).unwrap();
    assert!(verifier.verify(&honest, NOW).is_ok());
    let forged = issuers[1].sign(&good(), &options).unwrap();
    assert_eq!(verifier.verify(&forged, NOW), Err(TokenError::KeyUnknown));
    let header = r#"{"alg":"EdDSA","typ":"JWT"}"#;
    let nameless = issuers[1].sign_raw(Algorithm::EdDsa, header, good().to_string().as_bytes());
    assert_eq!(verifier.verify(&nameless, NOW), Err(TokenError::SignatureMismatch));
}

#[test]
fn two_keys_under_one_kid_never_load() {
    let first = Issuer::generate(ISSUER, &[Algorithm::EdDsa]).unwrap();
    let second = Issuer::generate(ISSUER, &[Algorithm::EdDsa]).unwrap();
    let mut a: serde_json::Value = serde_json::from_str(&first.jwks_json()).unwrap();
    let b: serde_json::Value = serde_json::from_str(&second.jwks_json()).unwrap();
    let mut twin = b["keys"][0].clone();
    twin["kid"] = a["keys"][0]["kid"].clone();
    a["keys"].as_array_mut().unwrap().push(twin);
    let refused = KeySet::parse(a.to_string().as_bytes());
    assert!(matches!(refused, Err(JwksError::DuplicateKid { index: 1, .. })));
}
