//! Why bytes were rejected. One variant per way of being wrong.

use prost::DecodeError;
use rescind_core::entitlement::EntitlementError;
use rescind_core::position::Lane;
use rescind_core::record::RecordError;
use rescind_core::text::TextError;
use thiserror::Error;

use crate::keys::KeyId;
use crate::trust::TrustRefusal;

/// Why a message was rejected. The caller drops the message, counts [`CodecError::code`], and goes on.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CodecError {
    /// Over the size limit; nothing of it was read.
    #[error("the {what} has {bytes} bytes; the limit is {limit}")]
    TooLarge {
        /// Kind of message.
        what: &'static str,
        /// Its bytes.
        bytes: usize,
        /// Most bytes that are read.
        limit: usize,
    },
    /// Not exactly the fields of an envelope, or of what wraps one.
    #[error("the {what} is not a strict envelope")]
    Framing {
        /// Kind of message.
        what: &'static str,
    },
    /// Not protobuf of this message.
    #[error("cannot read the {what}")]
    Malformed {
        /// Kind of message.
        what: &'static str,
        /// Where it broke.
        #[source]
        source: DecodeError,
    },
    /// A field that this version does not know, a field twice, or a longer encoding than needed.
    #[error("the {what} has a field that this version does not know, or one twice; update this reader first")]
    UnknownField {
        /// Kind of message.
        what: &'static str,
    },
    /// A required field is absent.
    #[error("`{field}` is missing")]
    Missing {
        /// Which.
        field: &'static str,
    },
    /// A field of fixed length has another one.
    #[error("`{field}` has {bytes} bytes instead of {expected}")]
    Length {
        /// Which.
        field: &'static str,
        /// Its bytes.
        bytes: usize,
        /// What it must have.
        expected: usize,
    },
    /// A number outside of its range, or one that contradicts the rest.
    #[error("`{field}` is out of range")]
    Range {
        /// Which.
        field: &'static str,
    },
    /// More elements than the limit, or fewer than one.
    #[error("`{field}` has {count} elements; 1 to {limit} are allowed")]
    Count {
        /// Which.
        field: &'static str,
        /// Its elements.
        count: usize,
        /// Most elements.
        limit: usize,
    },
    /// A text for people or machines is over its limit.
    #[error("`{field}` has {bytes} bytes; the limit is {limit}")]
    TextTooLong {
        /// Which.
        field: &'static str,
        /// Its bytes.
        bytes: usize,
        /// Most bytes.
        limit: usize,
    },
    /// A text for people that is blank or has control characters.
    #[error("`{field}` is blank or has a control character; leave it out or write one line")]
    NotALine {
        /// Which.
        field: &'static str,
    },
    /// A field that is set to what this version does not enforce. Ignoring it would change the record.
    #[error("`{field}` is set, and this version does not enforce it; update this reader first")]
    Unsupported {
        /// Which.
        field: &'static str,
    },
    /// A kind of change, target, holder, right or role that this version does not know.
    #[error("`{field}` is of a kind that this version does not know; update this reader first")]
    UnknownKind {
        /// Which.
        field: &'static str,
    },
    /// An identifier breaks rule D15.
    #[error(transparent)]
    Text(#[from] TextError),
    /// Kind, target and cutoff do not fit together.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// A holder, pattern or window is wrong.
    #[error(transparent)]
    Entitlement(#[from] EntitlementError),
    /// No certificate lets this key sign this message.
    #[error(transparent)]
    Trust(#[from] TrustRefusal),
    /// The signature is not the one of this key over these bytes in this domain.
    #[error("the {what} was not signed by key `{key_id}` as it is now")]
    BadSignature {
        /// Kind of message.
        what: &'static str,
        /// The key that it names.
        key_id: KeyId,
    },
    /// Signed for another realm's chain.
    #[error("the {what} belongs to chain `{seen}`, not to this realm's")]
    WrongChain {
        /// Kind of message.
        what: &'static str,
        /// The chain that it names, cut to 64 characters.
        seen: Box<str>,
    },
    /// Not for the lane that it was found on.
    #[error("`{field}` belongs to lane `{seen}` and was found on `{expected}`")]
    WrongLane {
        /// Which.
        field: &'static str,
        /// Lane that it names.
        seen: Lane,
        /// Lane that it was found on.
        expected: Lane,
    },
    /// A message in one name, signed with the key of another.
    #[error("the {what} claims to be of `{claimed}` and was signed by `{signer}`")]
    WrongName {
        /// Kind of message.
        what: &'static str,
        /// Name in the message, cut to 64 characters.
        claimed: Box<str>,
        /// Name in the certificate.
        signer: Box<str>,
    },
    /// History is given up without the consent of two persons who may.
    #[error("the recovery is not approved: {why}; two emitters that may `recover` have to sign it")]
    NotApproved {
        /// What is missing.
        why: &'static str,
    },
    /// The nonce is not under the tick's root.
    #[error("the grant does not prove the nonce of this request")]
    NotProven,
    /// A chunk whose length or hash is not the listed one.
    #[error("the chunk is not the one that the manifest lists")]
    WrongChunk,
    /// A directive's answer for somebody else or something else.
    #[error("the answer is not for this directive")]
    NotTheAnswer,
}

impl CodecError {
    /// A word for metrics: bounded, never anything from the message.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "too_large",
            Self::Framing { .. } => "framing",
            Self::Malformed { .. } => "malformed",
            Self::UnknownField { .. } => "unknown_field",
            Self::Missing { .. } => "missing",
            Self::Length { .. } => "length",
            Self::Range { .. } => "range",
            Self::Count { .. } => "count",
            Self::TextTooLong { .. } => "text_too_long",
            Self::NotALine { .. } => "not_a_line",
            Self::Unsupported { .. } => "unsupported",
            Self::UnknownKind { .. } => "unknown_kind",
            Self::Text(_) => "text",
            Self::Record(_) => "record",
            Self::Entitlement(_) => "entitlement",
            Self::Trust(refusal) => refusal.code(),
            Self::BadSignature { .. } => "bad_signature",
            Self::WrongChain { .. } => "wrong_chain",
            Self::WrongLane { .. } => "wrong_lane",
            Self::WrongName { .. } => "wrong_name",
            Self::NotApproved { .. } => "not_approved",
            Self::NotProven => "not_proven",
            Self::WrongChunk => "wrong_chunk",
            Self::NotTheAnswer => "not_the_answer",
        }
    }
}
