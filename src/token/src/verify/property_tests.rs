//! Whatever arrives, the verifier answers; and it accepts nothing but what was signed.

use std::sync::OnceLock;

use proptest::prelude::*;
use serde_json::json;

use super::kit::*;
use super::*;

fn kit() -> &'static Kit {
    static KIT: OnceLock<Kit> = OnceLock::new();
    KIT.get_or_init(|| Kit::with(&[Algorithm::EdDsa, Algorithm::Es256], |policy| policy.leeway_s = 5))
}

fn any_json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(|value| json!(value)),
        any::<i64>().prop_map(|value| json!(value)),
        any::<f64>().prop_map(|value| json!(value)),
        ".{0,40}".prop_map(|value| json!(value)),
    ];
    leaf.prop_recursive(6, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(|list| json!(list)),
            prop::collection::btree_map(claim_name(), inner, 0..6).prop_map(|map| json!(map)),
        ]
    })
}

fn claim_name() -> impl Strategy<Value = String> {
    let names = vec![
        "iss",
        "sub",
        "aud",
        "exp",
        "nbf",
        "iat",
        "jti",
        "uti",
        "sid",
        "azp",
        "scope",
        "scp",
        "roles",
        "groups",
        "permissions",
        "realm_access",
        "act",
        "cnf",
        "jkt",
        "x5t#S256",
        "tenant",
        "tid",
    ];
    prop_oneof![9 => prop::sample::select(names).prop_map(str::to_owned), 1 => "[a-z]{1,8}"]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    #[test]
    fn arbitrary_text_is_refused(text in ".{0,400}", now in any::<i64>()) {
        prop_assert!(kit().verifier.verify(&text, now).is_err());
    }

    #[test]
    fn arbitrary_segments_are_refused(
        header in prop::collection::vec(any::<u8>(), 0..80),
        payload in prop::collection::vec(any::<u8>(), 0..200),
        signature in prop::collection::vec(any::<u8>(), 0..80),
    ) {
        let text = format!("{}.{}.{}", encode(header), encode(payload), encode(signature));
        prop_assert!(kit().check(&text).is_err());
    }

    #[test]
    fn any_changed_byte_is_refused(at in any::<prop::sample::Index>(), to in any::<char>()) {
        let token = kit().sign(&good());
        let mut letters: Vec<char> = token.chars().collect();
        let at = at.index(letters.len());
        prop_assume!(letters[at] != to);
        letters[at] = to;
        let changed: String = letters.into_iter().collect();
        prop_assert!(kit().check(&changed).is_err());
    }

    #[test]
    fn any_cut_is_refused(from in any::<prop::sample::Index>(), len in 1_usize..40) {
        let token = kit().sign(&good());
        let from = from.index(token.len());
        let end = (from + len).min(token.len());
        let cut: String = token.chars().enumerate().filter(|(at, _)| !(from..end).contains(at)).map(|(_, c)| c).collect();
        prop_assert!(kit().check(&cut).is_err());
    }

    #[test]
    fn any_signed_claims_get_an_answer(
        changes in prop::collection::btree_map(claim_name(), any_json(), 0..8),
        now in prop_oneof![Just(NOW), any::<i64>()],
    ) {
        let token = kit().sign(&changed(json!(changes)));
        if let Ok(claims) = kit().verifier.verify(&token, now) {
            prop_assert!(claims.expires_at + 5 > now);
            prop_assert!(claims.audience.iter().any(|name| name == AUDIENCE));
            prop_assert!(claims.issued_at.is_none_or(|at| at <= now + 5));
            prop_assert_eq!(claims.issuer.as_str(), ISSUER);
        }
    }

    #[test]
    fn any_signed_header_gets_an_answer(header in any_json()) {
        let _answer = kit().header(Algorithm::EdDsa, &header.to_string());
    }
}
