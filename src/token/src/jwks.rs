//! A strict reader of JWKS documents.
//!
//! Why our own: the signature library takes any numbers for a key. Published attack sets get past it with short
//! RSA keys, keys for encryption, shared secrets and two keys under one name.
//!
//! Two outcomes for a key that is not accepted:
//!
//! | key | outcome |
//! |---|---|
//! | meant for something else: `use` not `sig`, `key_ops` without `verify`, other `kty`, curve or `alg` | skipped and reported ([`SkippedKey`]) |
//! | hostile, broken or ambiguous: shared secret, private members, weak RSA, point off the curve, `alg` that contradicts `kty`, a `kid` twice, no `kid` beside others | the whole document is refused ([`JwksError`]) |
//!
//! Why the whole: who publishes one such key has lost control of the document, and the last good set is still
//! there. Spec: RFC 7517 section 4, RFC 7518 section 6, RFC 8037 section 2, RFC 8725 sections 3.1 and 3.5.

mod key;
mod rsa_weak;
#[cfg(test)]
mod tests;

use jsonwebtoken::DecodingKey;

use crate::algorithm::Algorithm;
use crate::strict_json::{self, JsonFault, Node};

pub use key::{KeyFaultError, RSA_BITS_MAX, RSA_BITS_MIN, RSA_EXPONENT_MIN, SkipReason};
use key::{KeyKind, ReadKey};

/// Limit, in bytes: a JWKS document. Why: a hundred RSA keys with certificate chains fit; a hostile or broken
/// endpoint cannot fill memory.
pub const JWKS_BYTES_MAX: usize = 512 * 1024;

/// Limit: keys in one document, used or not. Why: the search by `kid` is linear; large providers publish ten.
pub const JWKS_KEYS_MAX: usize = 128;

/// Limit, in bytes: a `kid`, in a document and in a token.
pub const KID_BYTES_MAX: usize = 256;

/// Why a JWKS document was refused as a whole; the set in use before stays in use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JwksError {
    /// Over [`JWKS_BYTES_MAX`].
    #[error("key set is longer than {JWKS_BYTES_MAX} bytes")]
    TooLarge,
    /// Not well-formed JSON.
    #[error("key set is not well-formed json")]
    Json,
    /// The top level is no object.
    #[error("key set is not a json object")]
    NotObject,
    /// A member name occurs twice in one object.
    #[error("key set has a member twice")]
    DuplicateMember,
    /// An object has more than 128 members, or nesting is deeper than 24.
    #[error("key set is nested too deep or has an object with too many members")]
    TooComplex,
    /// There is no list `keys`.
    #[error("key set has no list of keys")]
    KeysMissing,
    /// Over [`JWKS_KEYS_MAX`].
    #[error("key set has more than {JWKS_KEYS_MAX} keys")]
    TooManyKeys,
    /// A `kid` is used twice, by usable keys or not. Which one a token means would depend on the reader.
    #[error("key {index} repeats the kid `{}`", .kid.escape_debug())]
    DuplicateKid {
        /// Position of the second of them, from 0.
        index: usize,
        /// The `kid`.
        kid: String,
    },
    /// A usable key has no `kid` although there are others.
    #[error("key {index} has no kid beside other keys")]
    KidMissing {
        /// Position in the document, from 0.
        index: usize,
    },
    /// A key is hostile or broken.
    #[error("key {index}{} is refused", named(.kid.as_deref()))]
    Key {
        /// Position in the document, from 0.
        index: usize,
        /// The `kid`, where it has a proper one.
        kid: Option<String>,
        /// What is wrong with it.
        #[source]
        reason: KeyFaultError,
    },
    /// Every key was skipped, or there was none.
    #[error("key set has no usable key")]
    NoUsableKey,
}

/// The `kid` as it stands in a message.
fn named(kid: Option<&str>) -> String {
    kid.map(|kid| format!(" (kid `{}`)", kid.escape_debug())).unwrap_or_default()
}

impl From<JsonFault> for JwksError {
    fn from(fault: JsonFault) -> Self {
        match fault {
            JsonFault::Syntax => Self::Json,
            JsonFault::NotObject => Self::NotObject,
            JsonFault::DuplicateMember => Self::DuplicateMember,
            JsonFault::TooManyMembers | JsonFault::TooDeep => Self::TooComplex,
        }
    }
}

/// A key that was left out because it is meant for something else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SkippedKey {
    /// Position in the document, from 0.
    pub index: usize,
    /// The `kid`, if any.
    pub kid: Option<String>,
    /// Why it is not used.
    pub reason: SkipReason,
}

/// The keys of one issuer that may verify signatures. Immutable; a refresh makes a new one.
///
/// INVARIANT: at least one key; each `kid` once; a key without `kid` stands alone.
pub struct KeySet {
    keys: Vec<VerifyKey>,
    skipped: Vec<SkippedKey>,
}

impl std::fmt::Debug for KeySet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeySet")
            .field("kids", &self.keys.iter().map(VerifyKey::kid).collect::<Vec<_>>())
            .field("skipped", &self.skipped)
            .finish()
    }
}

impl KeySet {
    /// Reads a JWKS document.
    ///
    /// # Errors
    /// [`JwksError`] names the key by position and `kid`. Keep the set in use before; tell the issuer's staff.
    pub fn parse(document: &[u8]) -> Result<Self, JwksError> {
        if document.len() > JWKS_BYTES_MAX {
            return Err(JwksError::TooLarge);
        }
        let object = strict_json::parse_object(document)?;
        let Some(Node::List(nodes)) = object.get("keys") else { return Err(JwksError::KeysMissing) };
        if nodes.len() > JWKS_KEYS_MAX {
            return Err(JwksError::TooManyKeys);
        }
        let mut keys: Vec<VerifyKey> = Vec::with_capacity(nodes.len());
        let mut skipped: Vec<SkippedKey> = Vec::new();
        let mut nameless = None;
        for (index, node) in nodes.iter().enumerate() {
            let (kid, read) = key::read(node);
            let taken = |kid: &String| {
                keys.iter().any(|key| key.kid.as_ref() == Some(kid))
                    || skipped.iter().any(|key| key.kid.as_ref() == Some(kid))
            };
            if let Some(kid) = kid.as_ref().filter(|kid| taken(kid)) {
                return Err(JwksError::DuplicateKid { index, kid: kid.clone() });
            }
            match read {
                Ok(ReadKey::Use { kind, algorithm, decoding }) => {
                    nameless = nameless.or(kid.is_none().then_some(index));
                    keys.push(VerifyKey { kid, kind, algorithm, decoding });
                }
                Ok(ReadKey::Skip(reason)) => skipped.push(SkippedKey { index, kid, reason }),
                Err(reason) => return Err(JwksError::Key { index, kid, reason }),
            }
        }
        match nameless {
            Some(index) if keys.len() > 1 => Err(JwksError::KidMissing { index }),
            _ if keys.is_empty() => Err(JwksError::NoUsableKey),
            _ => Ok(Self { keys, skipped }),
        }
    }

    /// How many keys may verify; at least 1.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a key set is never empty")]
    pub const fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether a usable key has exactly this `kid`.
    #[must_use]
    pub fn contains(&self, kid: &str) -> bool {
        self.by_kid(kid).is_some()
    }

    /// Keys of the document that are not used, and why.
    #[must_use]
    pub fn skipped(&self) -> &[SkippedKey] {
        &self.skipped
    }

    pub(crate) fn by_kid(&self, kid: &str) -> Option<&VerifyKey> {
        self.keys.iter().find(|key| key.kid.as_deref() == Some(kid))
    }

    /// The only key that can verify this algorithm; `None` if there is none or a choice.
    pub(crate) fn only_of(&self, algorithm: Algorithm) -> Option<&VerifyKey> {
        let mut fitting = self.keys.iter().filter(|key| key.verifies(algorithm));
        fitting.next().filter(|_| fitting.next().is_none())
    }
}

/// One key, ready to verify; nothing is parsed again per token.
pub(crate) struct VerifyKey {
    kid: Option<String>,
    kind: KeyKind,
    /// The key's own `alg`: then it verifies nothing else.
    algorithm: Option<Algorithm>,
    decoding: DecodingKey,
}

impl VerifyKey {
    pub(crate) fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    pub(crate) fn verifies(&self, algorithm: Algorithm) -> bool {
        self.kind == KeyKind::of(algorithm) && self.algorithm.is_none_or(|own| own == algorithm)
    }

    pub(crate) const fn decoding(&self) -> &DecodingKey {
        &self.decoding
    }
}
