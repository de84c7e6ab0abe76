//! Why a token was refused.

use crate::verify::{HEADER_BYTES_MAX, TOKEN_BYTES_MAX};

/// The public reason of a refused token; a caller learns no more than this.
///
/// Spec: semantics, section 4 (reason codes).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TokenCode {
    /// Malformed, forged, not yet valid or over a limit.
    Invalid,
    /// `exp` has passed.
    Expired,
    /// Meant for somebody else.
    Audience,
    /// From an issuer that the configuration does not name.
    Issuer,
    /// Signed with a key that the issuer does not publish, or none is known yet.
    Key,
}

impl TokenCode {
    /// The code as written in answers, metrics and records.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Invalid => "token.invalid",
            Self::Expired => "token.expired",
            Self::Audience => "token.audience",
            Self::Issuer => "token.issuer",
            Self::Key => "token.key",
        }
    }
}

impl std::fmt::Display for TokenCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Every way a token can be wrong.
///
/// `Copy` and without a source on purpose: no byte of the token, of its claims or of a parser's message can
/// travel in it, so it is safe to log. Claims are named by our own words, never by the token's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum TokenError {
    /// Longer than [`crate::TOKEN_BYTES_MAX`].
    #[error("token is longer than {TOKEN_BYTES_MAX} bytes")]
    TooLarge,
    /// Not exactly `header.payload.signature`. Spec: RFC 7515 section 7.1.
    #[error("token does not have exactly three segments")]
    SegmentCount,
    /// The header is longer than [`crate::HEADER_BYTES_MAX`].
    #[error("token header is longer than {HEADER_BYTES_MAX} bytes")]
    HeaderTooLarge,
    /// A segment is not canonical base64url without padding. Spec: RFC 7515 section 2.
    #[error("{segment} is not canonical base64url without padding")]
    Encoding {
        /// `header`, `payload` or `signature`.
        segment: &'static str,
    },
    /// The signature segment is empty. Spec: RFC 8725 section 3.3.
    #[error("signature is blank")]
    SignatureBlank,
    /// A segment is not well-formed JSON.
    #[error("{segment} is not well-formed json")]
    Json {
        /// `header` or `payload`.
        segment: &'static str,
    },
    /// A segment is JSON, but no object.
    #[error("{segment} is not a json object")]
    NotObject {
        /// `header` or `payload`.
        segment: &'static str,
    },
    /// A member name occurs twice in one object. Spec: RFC 7515 section 4, RFC 7519 section 4.
    #[error("{segment} has a member twice")]
    DuplicateMember {
        /// `header` or `payload`.
        segment: &'static str,
    },
    /// An object has more than 128 members.
    #[error("{segment} has an object with too many members")]
    TooManyMembers {
        /// `header` or `payload`.
        segment: &'static str,
    },
    /// Objects and lists are nested more than 24 deep.
    #[error("{segment} is nested too deep")]
    TooDeep {
        /// `header` or `payload`.
        segment: &'static str,
    },
    /// A header member has the wrong JSON type, or is over its limit.
    #[error("header member {member} is malformed")]
    HeaderMember {
        /// The member.
        member: &'static str,
    },
    /// The header has `crit`; no extension is understood here. Spec: RFC 7515 section 4.1.11.
    #[error("token demands a critical extension that is not understood")]
    Critical,
    /// The header has no `alg`.
    #[error("token names no algorithm")]
    AlgorithmMissing,
    /// `alg` is `none` in any case. Spec: RFC 8725 section 3.2.
    #[error("token is unsigned")]
    AlgorithmNone,
    /// `alg` is symmetric or unknown.
    #[error("token is signed with an algorithm that is never accepted")]
    AlgorithmUnknown,
    /// `alg` is one we verify, but not for this issuer. Spec: RFC 8725 section 3.1.
    #[error("algorithm is not allowed for this issuer")]
    AlgorithmNotAllowed,
    /// The header has no `typ`. Spec: RFC 8725 section 3.11.
    #[error("token has no typ")]
    TypMissing,
    /// `typ` is not in the issuer's list.
    #[error("typ is not accepted from this issuer")]
    TypNotAllowed,
    /// No `iss`.
    #[error("token has no issuer")]
    IssuerMissing,
    /// `iss` is not configured, compared byte by byte.
    #[error("issuer is not trusted")]
    IssuerUnknown,
    /// No key set of this issuer was ever loaded.
    #[error("no keys of this issuer are loaded")]
    KeysNotLoaded,
    /// No usable key has this `kid`; a refresh has been asked for.
    #[error("key is not in the issuer's key set")]
    KeyUnknown,
    /// No `kid`, and not exactly one key of this algorithm.
    #[error("token names no key and the issuer has not exactly one of this algorithm")]
    KidMissing,
    /// The named key cannot be used with the token's `alg`. Spec: RFC 8725 section 3.1.
    #[error("key does not belong to the token's algorithm")]
    KeyMismatch,
    /// The signature is not by this key over these bytes.
    #[error("signature does not verify")]
    SignatureMismatch,
    /// A claim has the wrong JSON type, or is malformed.
    #[error("claim {claim} is malformed")]
    ClaimMalformed {
        /// What the claim is for, in our words.
        claim: &'static str,
    },
    /// An identifying claim is present and empty.
    #[error("claim {claim} is blank")]
    ClaimBlank {
        /// What the claim is for, in our words.
        claim: &'static str,
    },
    /// A text is longer than its limit; nothing is ever cut.
    #[error("claim {claim} is too long")]
    ClaimTooLong {
        /// What the claim is for, in our words.
        claim: &'static str,
    },
    /// A list has more than [`crate::CLAIM_ITEMS_MAX`] items.
    #[error("claim {claim} has too many items")]
    ClaimTooManyItems {
        /// What the claim is for, in our words.
        claim: &'static str,
    },
    /// A date is negative or after the year 9999 (milliseconds, say).
    #[error("claim {claim} is not a date in seconds since 1970")]
    DateOutOfRange {
        /// The claim.
        claim: &'static str,
    },
    /// The chain of `act` claims is deeper than [`crate::ACT_DEPTH_MAX`].
    #[error("delegation chain is too deep")]
    ActTooDeep,
    /// An `act` claim has no `sub`, so nobody could ever revoke that actor.
    #[error("actor in the delegation chain has no subject")]
    ActorWithoutSubject,
    /// No `aud`. Spec: RFC 9068 section 4.
    #[error("token has no audience")]
    AudienceMissing,
    /// `aud` has none of our audiences.
    #[error("token is for another audience")]
    AudienceMismatch,
    /// No `exp`.
    #[error("token has no expiry")]
    ExpiryMissing,
    /// `exp` plus leeway is not after now.
    #[error("token has expired")]
    Expired,
    /// `nbf` is after now plus leeway.
    #[error("token is not valid yet")]
    NotYetValid,
    /// `iat` is after now plus leeway.
    #[error("token was issued in the future")]
    IssuedInFuture,
    /// `exp - iat` is over the issuer's maximum.
    #[error("token lives longer than the issuer may grant")]
    LifetimeTooLong,
    /// The issuer has a maximum lifetime and the token no `iat` to measure it by.
    #[error("token has no issue time to bound its lifetime")]
    LifetimeUnknown,
}

impl TokenError {
    /// The public reason code. Everything that could help a forger is `token.invalid`.
    #[must_use]
    pub const fn code(self) -> TokenCode {
        match self {
            Self::Expired => TokenCode::Expired,
            Self::AudienceMissing | Self::AudienceMismatch => TokenCode::Audience,
            Self::IssuerMissing | Self::IssuerUnknown => TokenCode::Issuer,
            Self::KeysNotLoaded | Self::KeyUnknown | Self::KidMissing | Self::KeyMismatch => TokenCode::Key,
            Self::TooLarge
            | Self::SegmentCount
            | Self::HeaderTooLarge
            | Self::Encoding { .. }
            | Self::SignatureBlank
            | Self::Json { .. }
            | Self::NotObject { .. }
            | Self::DuplicateMember { .. }
            | Self::TooManyMembers { .. }
            | Self::TooDeep { .. }
            | Self::HeaderMember { .. }
            | Self::Critical
            | Self::AlgorithmMissing
            | Self::AlgorithmNone
            | Self::AlgorithmUnknown
            | Self::AlgorithmNotAllowed
            | Self::TypMissing
            | Self::TypNotAllowed
            | Self::SignatureMismatch
            | Self::ClaimMalformed { .. }
            | Self::ClaimBlank { .. }
            | Self::ClaimTooLong { .. }
            | Self::ClaimTooManyItems { .. }
            | Self::DateOutOfRange { .. }
            | Self::ActTooDeep
            | Self::ActorWithoutSubject
            | Self::ExpiryMissing
            | Self::NotYetValid
            | Self::IssuedInFuture
            | Self::LifetimeTooLong
            | Self::LifetimeUnknown => TokenCode::Invalid,
        }
    }
}
