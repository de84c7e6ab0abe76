//! Verification of one compact token: synchronous, no I/O, no lock, no clock.
//!
//! The order is fixed. Nothing from the payload is used before the signature is good, except `iss`, and that
//! only to choose the policy; nothing from the header chooses more than a key among the issuer's own.
//! Spec: RFC 7515 section 5.2, RFC 7519 section 7.2, RFC 8725, RFC 9068 section 4; semantics, section 4 step 2.

#[cfg(test)]
mod attack_tests;
#[cfg(test)]
pub(crate) mod kit;
#[cfg(test)]
mod property_tests;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::algorithm::{Algorithm, AlgorithmUnknownError};
use crate::claims::{self, RawClaims, VerifiedClaims};
use crate::error::TokenError;
use crate::jwks::KID_BYTES_MAX;
use crate::policy::{IssuerPolicy, TrustConfig};
use crate::source::{KeyDirectory, KeySlot};
use crate::strict_json::{self, JsonFault, Node, Object};

/// Limit, in bytes: a compact token. Why: proxies cap all headers together at 8 to 64 KiB.
pub const TOKEN_BYTES_MAX: usize = 16 * 1024;

/// Limit, in bytes: the encoded header. Why: it is read before anything is known; embedded certificate chains
/// are ignored, so there is no need for more.
pub const HEADER_BYTES_MAX: usize = 4096;

/// Limit, in bytes: `typ` and `alg`.
const HEADER_NAME_BYTES_MAX: usize = 128;

const HEADER: &str = "header";
const PAYLOAD: &str = "payload";
const SIGNATURE: &str = "signature";

/// Judges tokens by a fixed configuration and the keys that the directory holds at that moment.
///
/// Cheap to clone and to share; every call is independent.
#[derive(Clone)]
pub struct Verifier {
    issuers: Arc<HashMap<String, TrustedIssuer>>,
}

struct TrustedIssuer {
    policy: IssuerPolicy,
    keys: Arc<KeySlot>,
}

impl std::fmt::Debug for Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Verifier").field("issuers", &self.issuers.keys()).finish()
    }
}

impl Verifier {
    /// A verifier for these issuers. One that the directory does not know is refused with
    /// [`TokenError::KeysNotLoaded`] for ever.
    #[must_use]
    #[expect(clippy::needless_pass_by_value, reason = "the verifier is the end of the road for both")]
    pub fn new(trust: TrustConfig, directory: KeyDirectory) -> Self {
        let issuers = trust
            .issuers()
            .iter()
            .map(|policy| {
                let keys = directory.slot(policy.issuer());
                (policy.issuer().to_owned(), TrustedIssuer { policy: policy.clone(), keys })
            })
            .collect();
        Self { issuers: Arc::new(issuers) }
    }

    /// Verifies a compact token as of `now_unix_s`, in seconds since 1970-01-01 UTC.
    ///
    /// An unknown `kid` wakes the refresher and returns at once; the next try may succeed.
    /// Cost: the signature check and one pass over header and payload, together at most 1.3 times the bare
    /// check (target, measured by the bench crate); allocates for the claims that it returns.
    ///
    /// # Errors
    /// [`TokenError`]; answer 401 with [`TokenError::code`], which is all that the caller should see.
    pub fn verify(&self, compact: &str, now_unix_s: i64) -> Result<VerifiedClaims, TokenError> {
        let token = Segments::split(compact)?;
        let header_bytes = decode(token.header, HEADER)?;
        let header = Header::read(&parse(&header_bytes, HEADER)?)?;
        let payload_bytes = decode(token.payload, PAYLOAD)?;
        let payload = RawClaims(parse(&payload_bytes, PAYLOAD)?);
        let issuer = self.issuers.get(payload.issuer()?).ok_or(TokenError::IssuerUnknown)?;
        if !issuer.policy.algorithms().contains(&header.algorithm) {
            return Err(TokenError::AlgorithmNotAllowed);
        }
        if !issuer.policy.accepts_typ(&header.typ) {
            return Err(TokenError::TypNotAllowed);
        }
        let snapshot = issuer.keys.load();
        let keys = snapshot.as_ref().ok_or(TokenError::KeysNotLoaded).inspect_err(|_| issuer.keys.want())?;
        let key = match &header.kid {
            Some(kid) => {
                keys.by_kid(kid).ok_or(TokenError::KeyUnknown).inspect_err(|_| issuer.keys.want())?
            }
            None => keys.only_of(header.algorithm).ok_or(TokenError::KidMissing)?,
        };
        if !key.verifies(header.algorithm) {
            return Err(TokenError::KeyMismatch);
        }
        let sound = jsonwebtoken::crypto::verify(
            token.signature,
            token.signed.as_bytes(),
            key.decoding(),
            header.algorithm.backend(),
        );
        if !matches!(sound, Ok(true)) {
            return Err(TokenError::SignatureMismatch);
        }
        claims::read(&payload, &issuer.policy, key.kid(), header.algorithm, now_unix_s)
    }
}

/// The parts of a compact token. Spec: RFC 7515 section 3.1.
struct Segments<'t> {
    /// `header.payload`, the bytes that are signed.
    signed: &'t str,
    header: &'t str,
    payload: &'t str,
    signature: &'t str,
}

impl<'t> Segments<'t> {
    fn split(compact: &'t str) -> Result<Self, TokenError> {
        if compact.len() > TOKEN_BYTES_MAX {
            return Err(TokenError::TooLarge);
        }
        let (signed, signature) = compact.rsplit_once('.').ok_or(TokenError::SegmentCount)?;
        let (header, payload) = signed.split_once('.').ok_or(TokenError::SegmentCount)?;
        if payload.contains('.') {
            return Err(TokenError::SegmentCount);
        }
        if header.len() > HEADER_BYTES_MAX {
            return Err(TokenError::HeaderTooLarge);
        }
        if signature.is_empty() {
            return Err(TokenError::SignatureBlank);
        }
        // Why here: else the backend would report bad text as a bad signature.
        if !is_canonical(signature) {
            return Err(TokenError::Encoding { segment: SIGNATURE });
        }
        Ok(Self { signed, header, payload, signature })
    }
}

/// Whether the text is the one canonical form of some bytes, without decoding them.
///
/// Spec: RFC 4648 sections 3.5 and 5: unused bits of the last character are zero, no padding.
fn is_canonical(text: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    let Some(&last) = text.as_bytes().last() else { return true };
    let unused_are_zero = match text.len() % 4 {
        0 => true,
        2 => matches!(last, b'A' | b'Q' | b'g' | b'w'),
        3 => b"AEIMQUYcgkosw048".contains(&last),
        _ => false,
    };
    unused_are_zero && text.bytes().all(is_letter)
}

fn decode(text: &str, segment: &'static str) -> Result<Vec<u8>, TokenError> {
    URL_SAFE_NO_PAD.decode(text).map_err(|_| TokenError::Encoding { segment })
}

fn parse<'b>(bytes: &'b [u8], segment: &'static str) -> Result<Object<'b>, TokenError> {
    strict_json::parse_object(bytes).map_err(|fault| match fault {
        JsonFault::Syntax => TokenError::Json { segment },
        JsonFault::NotObject => TokenError::NotObject { segment },
        JsonFault::DuplicateMember => TokenError::DuplicateMember { segment },
        JsonFault::TooManyMembers => TokenError::TooManyMembers { segment },
        JsonFault::TooDeep => TokenError::TooDeep { segment },
    })
}

/// The members of a header that count. `jku`, `jwk`, `x5u`, `x5c` and the rest are not even looked at.
struct Header {
    algorithm: Algorithm,
    typ: String,
    kid: Option<String>,
}

impl Header {
    fn read(header: &Object<'_>) -> Result<Self, TokenError> {
        // Spec: RFC 7515 section 4.1.11: an extension that is not understood makes the token invalid.
        if header.contains("crit") {
            return Err(TokenError::Critical);
        }
        let name = member(header, "alg", HEADER_NAME_BYTES_MAX)?.ok_or(TokenError::AlgorithmMissing)?;
        if name.eq_ignore_ascii_case("none") {
            return Err(TokenError::AlgorithmNone);
        }
        let algorithm = name.parse().map_err(|AlgorithmUnknownError| TokenError::AlgorithmUnknown)?;
        let typ = member(header, "typ", HEADER_NAME_BYTES_MAX)?.ok_or(TokenError::TypMissing)?.to_owned();
        let kid = member(header, "kid", KID_BYTES_MAX)?.map(str::to_owned);
        Ok(Self { algorithm, typ, kid })
    }
}

fn member<'o>(
    header: &'o Object<'_>,
    member: &'static str,
    bytes_max: usize,
) -> Result<Option<&'o str>, TokenError> {
    match header.get(member) {
        None => Ok(None),
        Some(Node::Text(text)) if text.len() <= bytes_max => Ok(Some(text)),
        Some(_) => Err(TokenError::HeaderMember { member }),
    }
}
