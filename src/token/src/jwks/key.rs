//! One JWK: is it for us, and is it sound?

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::DecodingKey;

use super::{KID_BYTES_MAX, rsa_weak};
use crate::algorithm::Algorithm;
use crate::strict_json::{Node, Object};

/// Limit, in bits: the shortest RSA modulus. Spec: RFC 7518 section 3.3, NIST SP 800-131A.
pub const RSA_BITS_MIN: usize = 2048;

/// Limit, in bits: the longest RSA modulus. Why: the cost of a check grows with its square, and the
/// attacker may choose how often it is paid.
pub const RSA_BITS_MAX: usize = 8192;

/// Limit: the smallest public RSA exponent. Spec: FIPS 186-5 section 5.4 (odd, over 2^16).
pub const RSA_EXPONENT_MIN: u64 = 65_537;

/// Limit: the largest public RSA exponent (33 bits). Why: the backend takes no longer ones, and a long
/// exponent makes each check slow.
const RSA_EXPONENT_MAX: u64 = (1 << 33) - 1;

/// Bytes of a P-256 coordinate. Spec: RFC 7518 section 6.2.1.2.
const P256_COORDINATE_BYTES: usize = 32;

/// Bytes of an Ed25519 public key. Spec: RFC 8032 section 5.1.5.
const ED25519_KEY_BYTES: usize = 32;

/// Members that only a private or a shared key has. Spec: RFC 7518 sections 6.2.2, 6.3.2, 6.4.1.
const PRIVATE_MEMBERS: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

/// `y` of the points of small order on Ed25519, little-endian, sign bit cleared: 0, 1, -1, both of order 8, and
/// the non-canonical forms of 0 and 1. Why: under such a "key" one signature fits almost every message.
const ED25519_SMALL_ORDER: [[u8; ED25519_KEY_BYTES]; 7] = [
    [0; 32],
    with_ends(1, 0, 0),
    with_ends(0xec, 0xff, 0x7f),
    [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0, 0xd5,
        0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
    ],
    [
        0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f, 0x2a,
        0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a,
    ],
    with_ends(0xed, 0xff, 0x7f),
    with_ends(0xee, 0xff, 0x7f),
];

const fn with_ends(first: u8, middle: u8, last: u8) -> [u8; 32] {
    let m = middle;
    [first, m, m, m, m, m, m, m, m, m, m, m, m, m, m, m, m, m, m, m, m, m, m, m, m, m, m, m, m, m, m, last]
}

/// What a key can compute with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KeyKind {
    Rsa,
    P256,
    Ed25519,
}

impl KeyKind {
    pub(super) const fn of(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Rs256 | Algorithm::Ps256 => Self::Rsa,
            Algorithm::Es256 => Self::P256,
            Algorithm::EdDsa => Self::Ed25519,
        }
    }
}

/// Why a key is hostile or broken, so that its whole document is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum KeyFaultError {
    /// The entry in `keys` is no object.
    #[error("entry is not a json object")]
    NotObject,
    /// `kid`, `kty`, `use`, `key_ops`, `alg`, `crv` has the wrong type, or a number member is missing.
    #[error("member {member} is missing or has the wrong type")]
    Member {
        /// The member.
        member: &'static str,
    },
    /// `kid` is blank or over [`KID_BYTES_MAX`].
    #[error("kid is blank or longer than {KID_BYTES_MAX} bytes")]
    KidLength,
    /// `kty` is `oct`: whoever reads the document could sign.
    #[error("key is a shared secret")]
    Symmetric,
    /// Members of a private key are published; the key is burnt.
    #[error("document publishes private key material in member {member}")]
    PrivateMember {
        /// The member.
        member: &'static str,
    },
    /// `alg` is an algorithm of another key type or curve.
    #[error("alg contradicts kty or crv")]
    AlgorithmMismatch,
    /// A number is not canonical base64url without padding.
    #[error("member {member} is not canonical base64url without padding")]
    Encoding {
        /// The member.
        member: &'static str,
    },
    /// An RSA number has leading zero bytes. Spec: RFC 7518 section 2 (Base64urlUInt).
    #[error("member {member} has leading zero bytes")]
    LeadingZero {
        /// The member.
        member: &'static str,
    },
    /// The modulus is shorter than [`RSA_BITS_MIN`].
    #[error("rsa modulus is shorter than {RSA_BITS_MIN} bits")]
    RsaTooShort,
    /// The modulus is longer than [`RSA_BITS_MAX`].
    #[error("rsa modulus is longer than {RSA_BITS_MAX} bits")]
    RsaTooLong,
    /// The modulus is even, divisible by a small prime, or has the fingerprint of CVE-2017-15361 (ROCA).
    #[error("rsa modulus is known to be weak")]
    RsaWeakModulus,
    /// The exponent is even.
    #[error("rsa exponent is even")]
    RsaExponentEven,
    /// The exponent is smaller than [`RSA_EXPONENT_MIN`].
    #[error("rsa exponent is smaller than {RSA_EXPONENT_MIN}")]
    RsaExponentTooSmall,
    /// The exponent has more than 33 bits.
    #[error("rsa exponent is longer than 33 bits")]
    RsaExponentTooLarge,
    /// The backend takes modulus and exponent for no key.
    #[error("rsa numbers are not a public key")]
    RsaInvalid,
    /// A coordinate has not exactly 32 bytes.
    #[error("coordinate {member} has not 32 bytes")]
    CoordinateLength {
        /// `x` or `y`.
        member: &'static str,
    },
    /// The point is not on P-256.
    #[error("point is not on the curve")]
    OffCurve,
    /// An Ed25519 key has not exactly 32 bytes.
    #[error("ed25519 key has not 32 bytes")]
    Ed25519Length,
    /// The Ed25519 point has small order: forgeries are trivial.
    #[error("ed25519 key has small order")]
    Ed25519SmallOrder,
}

/// Why a sound key is not used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum SkipReason {
    /// `use` is something else than `sig`.
    #[error("use is not sig")]
    Use,
    /// `key_ops` does not contain `verify`.
    #[error("key_ops does not contain verify")]
    KeyOps,
    /// A `kty` that we do not verify with.
    #[error("kty is not used here")]
    KeyType,
    /// A curve that we do not verify with (P-384, X25519, Ed448 ...).
    #[error("curve is not used here")]
    Curve,
    /// An `alg` that we do not verify (RS512, RSA-OAEP ...).
    #[error("alg is not used here")]
    Algorithm,
}

pub(super) enum ReadKey {
    Use { kind: KeyKind, algorithm: Option<Algorithm>, decoding: DecodingKey },
    Skip(SkipReason),
}

/// Reads one entry; the `kid` comes back even when the key is skipped or refused, so that it can be named.
pub(super) fn read(node: &Node<'_>) -> (Option<String>, Result<ReadKey, KeyFaultError>) {
    let Node::Object(jwk) = node else { return (None, Err(KeyFaultError::NotObject)) };
    match kid(jwk) {
        Ok(kid) => (kid, classify(jwk)),
        Err(fault) => (None, Err(fault)),
    }
}

fn kid(jwk: &Object<'_>) -> Result<Option<String>, KeyFaultError> {
    let kid = text(jwk, "kid")?;
    if kid.is_some_and(|kid| kid.is_empty() || kid.len() > KID_BYTES_MAX) {
        return Err(KeyFaultError::KidLength);
    }
    Ok(kid.map(str::to_owned))
}

fn classify(jwk: &Object<'_>) -> Result<ReadKey, KeyFaultError> {
    let kty = required(jwk, "kty")?;
    // Why first: secrets make a document hostile whatever the key says it is for.
    if kty == "oct" {
        return Err(KeyFaultError::Symmetric);
    }
    if let Some(member) = PRIVATE_MEMBERS.into_iter().find(|member| jwk.contains(member)) {
        return Err(KeyFaultError::PrivateMember { member });
    }
    let crv = text(jwk, "crv")?;
    let alg = text(jwk, "alg")?;
    if text(jwk, "use")?.is_some_and(|purpose| purpose != "sig") {
        return Ok(ReadKey::Skip(SkipReason::Use));
    }
    if !may_verify(jwk)? {
        return Ok(ReadKey::Skip(SkipReason::KeyOps));
    }
    let kind = match (kty, crv) {
        ("RSA", None) => KeyKind::Rsa,
        ("RSA", Some(_)) => return Err(KeyFaultError::AlgorithmMismatch),
        ("EC", Some("P-256")) => KeyKind::P256,
        ("OKP", Some("Ed25519")) => KeyKind::Ed25519,
        ("EC" | "OKP", None) => return Err(KeyFaultError::Member { member: "crv" }),
        ("EC", Some("Ed25519" | "X25519" | "Ed448" | "X448"))
        | ("OKP", Some("P-256" | "P-384" | "P-521")) => {
            return Err(KeyFaultError::AlgorithmMismatch);
        }
        ("EC" | "OKP", Some(_)) => {
            // Why: `ES256` on another curve is a contradiction, not a key for somebody else.
            return match alg.map(str::parse::<Algorithm>) {
                Some(Ok(_)) => Err(KeyFaultError::AlgorithmMismatch),
                _ => Ok(ReadKey::Skip(SkipReason::Curve)),
            };
        }
        _ => return Ok(ReadKey::Skip(SkipReason::KeyType)),
    };
    let algorithm = match alg.map(|alg| (alg, alg.parse::<Algorithm>())) {
        None => None,
        Some((_, Ok(algorithm))) if KeyKind::of(algorithm) == kind => Some(algorithm),
        Some((_, Ok(_))) => return Err(KeyFaultError::AlgorithmMismatch),
        Some((alg, Err(_))) if contradicts(alg, kind) => return Err(KeyFaultError::AlgorithmMismatch),
        Some((_, Err(_))) => return Ok(ReadKey::Skip(SkipReason::Algorithm)),
    };
    let decoding = match kind {
        KeyKind::Rsa => rsa(jwk)?,
        KeyKind::P256 => p256(jwk)?,
        KeyKind::Ed25519 => ed25519(jwk)?,
    };
    Ok(ReadKey::Use { kind, algorithm, decoding })
}

/// Whether an `alg` that we do not verify belongs to another type of key. Unknown names contradict nothing.
fn contradicts(alg: &str, kind: KeyKind) -> bool {
    // Spec: RFC 7518 section 3.1; HMAC and `none` contradict every public key.
    if alg.starts_with("HS") || alg.eq_ignore_ascii_case("none") {
        return true;
    }
    match kind {
        KeyKind::Rsa => alg.starts_with("ES") || alg.starts_with("Ed"),
        KeyKind::P256 | KeyKind::Ed25519 => {
            alg.starts_with("RS") || alg.starts_with("PS") || alg.starts_with("ES") || alg.starts_with("Ed")
        }
    }
}

fn may_verify(jwk: &Object<'_>) -> Result<bool, KeyFaultError> {
    match jwk.get("key_ops") {
        None => Ok(true),
        Some(Node::List(operations)) => {
            Ok(operations.iter().any(|operation| matches!(operation, Node::Text(name) if name == "verify")))
        }
        Some(_) => Err(KeyFaultError::Member { member: "key_ops" }),
    }
}

fn rsa(jwk: &Object<'_>) -> Result<DecodingKey, KeyFaultError> {
    let n = unsigned(jwk, "n")?;
    let e = unsigned(jwk, "e")?;
    let bits = n.first().map_or(0, |first| {
        let leading: usize = first.leading_zeros().try_into().unwrap_or(0);
        (n.len().saturating_mul(8)).saturating_sub(leading)
    });
    if bits < RSA_BITS_MIN {
        return Err(KeyFaultError::RsaTooShort);
    }
    if bits > RSA_BITS_MAX {
        return Err(KeyFaultError::RsaTooLong);
    }
    if e.len() > size_of::<u64>() {
        return Err(KeyFaultError::RsaExponentTooLarge);
    }
    let exponent = e.iter().fold(0_u64, |sum, &byte| (sum << 8) | u64::from(byte));
    if exponent.is_multiple_of(2) {
        return Err(KeyFaultError::RsaExponentEven);
    }
    if exponent < RSA_EXPONENT_MIN {
        return Err(KeyFaultError::RsaExponentTooSmall);
    }
    if exponent > RSA_EXPONENT_MAX {
        return Err(KeyFaultError::RsaExponentTooLarge);
    }
    if rsa_weak::is_weak(&n) {
        return Err(KeyFaultError::RsaWeakModulus);
    }
    RsaPublicKeyComponents { n: &n, e: &e }
        .to_parsed_public_key(&RSA_PKCS1_2048_8192_SHA256)
        .map_err(|_| KeyFaultError::RsaInvalid)?;
    Ok(DecodingKey::from_rsa_raw_components(&n, &e))
}

fn p256(jwk: &Object<'_>) -> Result<DecodingKey, KeyFaultError> {
    // Spec: SEC 1 section 2.3.3, uncompressed form.
    let mut point = vec![0x04];
    for member in ["x", "y"] {
        let coordinate = bytes(jwk, member)?;
        if coordinate.len() != P256_COORDINATE_BYTES {
            return Err(KeyFaultError::CoordinateLength { member });
        }
        point.extend_from_slice(&coordinate);
    }
    ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &point).map_err(|_| KeyFaultError::OffCurve)?;
    Ok(DecodingKey::from_ec_der(&point))
}

fn ed25519(jwk: &Object<'_>) -> Result<DecodingKey, KeyFaultError> {
    let point = bytes(jwk, "x")?;
    let mut y =
        <[u8; ED25519_KEY_BYTES]>::try_from(point.as_slice()).map_err(|_| KeyFaultError::Ed25519Length)?;
    if let Some(last) = y.last_mut() {
        *last &= 0x7f;
    }
    if ED25519_SMALL_ORDER.contains(&y) {
        return Err(KeyFaultError::Ed25519SmallOrder);
    }
    Ok(DecodingKey::from_ed_der(&point))
}

fn text<'o>(jwk: &'o Object<'_>, member: &'static str) -> Result<Option<&'o str>, KeyFaultError> {
    match jwk.get(member) {
        None => Ok(None),
        Some(Node::Text(text)) => Ok(Some(text)),
        Some(_) => Err(KeyFaultError::Member { member }),
    }
}

fn required<'o>(jwk: &'o Object<'_>, member: &'static str) -> Result<&'o str, KeyFaultError> {
    text(jwk, member)?.ok_or(KeyFaultError::Member { member })
}

fn bytes(jwk: &Object<'_>, member: &'static str) -> Result<Vec<u8>, KeyFaultError> {
    URL_SAFE_NO_PAD.decode(required(jwk, member)?).map_err(|_| KeyFaultError::Encoding { member })
}

fn unsigned(jwk: &Object<'_>, member: &'static str) -> Result<Vec<u8>, KeyFaultError> {
    let number = bytes(jwk, member)?;
    if number.first() == Some(&0) { Err(KeyFaultError::LeadingZero { member }) } else { Ok(number) }
}
