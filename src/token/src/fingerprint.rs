//! Names for a token that carries no `jti`.

#[cfg(test)]
mod tests;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::algorithm::Algorithm;

/// SHA-256 of a compact token, as the 32 bytes themselves; written in hex by those who show it.
///
/// Spec: semantics, section 3 (token target without a `jti`).
pub type Fingerprint = [u8; 32];

/// The order of P-256, big-endian. Spec: FIPS 186-5, SP 800-186 section 3.2.1.3.
const P256_ORDER: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc,
    0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
];

/// All fingerprints under which a token may have been revoked: deny if **either** is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprints {
    /// SHA-256 of exactly this text.
    pub token: Fingerprint,
    /// SHA-256 of the other text that verifies just as well; ES256 only.
    ///
    /// Why: whoever holds an ECDSA signature `(r, s)` can write `(r, n - s)` without any key. A bearer could
    /// slip out of a revocation by hash that way. Spec: SEC 1 section 4.1.4.
    pub twin: Option<Fingerprint>,
}

/// Fingerprints of a compact token that verified with this algorithm.
///
/// Needed only where [`crate::VerifiedClaims::jti`] is `None`. Cost: one hash, about 0.7 µs for 700 bytes; two
/// for ES256. Tokens that do not verify have fingerprints too, but no meaning.
#[must_use]
pub fn fingerprints(compact: &str, algorithm: Algorithm) -> Fingerprints {
    let twin = match algorithm {
        Algorithm::Es256 => twin(compact).map(|twin| sha256(twin.as_bytes())),
        // Why none: PKCS #1 v1.5 has one encoding per message, PSS needs the key, Ed25519 refuses s >= L.
        Algorithm::Rs256 | Algorithm::Ps256 | Algorithm::EdDsa => None,
    };
    Fingerprints { token: sha256(compact.as_bytes()), twin }
}

fn sha256(bytes: &[u8]) -> Fingerprint {
    let mut out = [0; 32];
    // Why: the digest has as many bytes as the array, by the algorithm chosen.
    for (to, from) in out.iter_mut().zip(digest(&SHA256, bytes).as_ref()) {
        *to = *from;
    }
    out
}

/// The same token with `n - s` in place of `s`.
fn twin(compact: &str) -> Option<String> {
    let (signed, signature) = compact.rsplit_once('.')?;
    let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
    let (r, s) = signature.split_at_checked(32)?;
    let mut other = r.to_vec();
    other.extend_from_slice(&negate(s.try_into().ok()?));
    Some(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(other)))
}

/// `n - s`, for `s < n`.
fn negate(s: [u8; 32]) -> [u8; 32] {
    let mut out = [0; 32];
    let mut borrow = false;
    for ((to, order), digit) in out.iter_mut().zip(P256_ORDER).zip(s).rev() {
        let (difference, below) = order.overflowing_sub(digit);
        let (difference, again) = difference.overflowing_sub(u8::from(borrow));
        *to = difference;
        borrow = below || again;
    }
    out
}
