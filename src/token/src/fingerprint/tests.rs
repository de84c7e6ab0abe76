//! Tests of the fingerprints.

use super::*;
use crate::verify::kit::{Kit, good};

#[test]
fn is_the_plain_hash() {
    // Spec: FIPS 180-4, the published example for "abc".
    let expected = [
        0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea, 0x41, 0x41, 0x40, 0xde, 0x5d, 0xae, 0x22, 0x23, 0xb0,
        0x03, 0x61, 0xa3, 0x96, 0x17, 0x7a, 0x9c, 0xb4, 0x10, 0xff, 0x61, 0xf2, 0x00, 0x15, 0xad,
    ];
    assert_eq!(fingerprints("abc", Algorithm::Rs256), Fingerprints { token: expected, twin: None });
    assert_eq!(fingerprints("abc", Algorithm::Es256).twin, None);
}

#[test]
fn both_forms_of_an_es256_token_verify_and_share_their_fingerprints() {
    let kit = Kit::new(Algorithm::Es256);
    let token = kit.sign(&good());
    let other = twin(&token).unwrap();
    assert_ne!(token, other);
    assert!(kit.check(&token).is_ok() && kit.check(&other).is_ok());
    assert_eq!(twin(&other).as_ref(), Some(&token));
    let (a, b) = (fingerprints(&token, Algorithm::Es256), fingerprints(&other, Algorithm::Es256));
    assert_eq!((Some(a.token), a.twin), (b.twin, Some(b.token)));
}

#[test]
fn other_algorithms_have_one_form() {
    let kit = Kit::new(Algorithm::EdDsa);
    let token = kit.sign(&good());
    assert_eq!(fingerprints(&token, Algorithm::EdDsa).twin, None);
    assert!(kit.check(&twin(&token).unwrap()).is_err());
}
