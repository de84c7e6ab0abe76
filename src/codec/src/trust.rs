//! Whose key may sign what: certificates under an offline root. Source: protocol.md section 6.
//!
//! Keys, roles and rights come from the reader's own bundle, never from a message.

mod bundle;
mod cert;
mod pin;

use core::fmt;

use rescind_core::controller::rights::Rights;
use rescind_core::ids::{AgentId, ControllerId, EmitterId};
use rescind_core::text::TextError;
use rescind_core::time::UnixMs;
use thiserror::Error;

pub(crate) use bundle::Signer;
pub use bundle::TrustBundle;
pub use cert::{IssuedCert, KeyCert, issue_cert};
pub use pin::RealmPin;

use crate::error::CodecError;
use crate::keys::{KeyError, KeyId};
use crate::limits::{BUNDLE_BYTES_MAX, BUNDLE_CERTS_MAX};

/// What a key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Signs entries, ticks, manifests and answers.
    Controller,
    /// Signs lease requests and reports.
    Agent,
    /// Signs directives.
    Emitter,
}

impl Role {
    /// The word in trust bundles and messages.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Controller => "controller",
            Self::Agent => "agent",
            Self::Emitter => "emitter",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// Who owns a key, in which role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    /// A controller.
    Controller(ControllerId),
    /// An agent.
    Agent(AgentId),
    /// An emitter and what it may ask for.
    Emitter(EmitterId, Rights),
}

impl Identity {
    /// The role.
    #[must_use]
    pub const fn role(&self) -> Role {
        match self {
            Self::Controller(_) => Role::Controller,
            Self::Agent(_) => Role::Agent,
            Self::Emitter(..) => Role::Emitter,
        }
    }

    /// The name, unique within its role.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Controller(id) => id.as_str(),
            Self::Agent(id) => id.as_str(),
            Self::Emitter(id, _) => id.as_str(),
        }
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.role(), self.name())
    }
}

/// Why a key may not sign a message, as far as the reader's bundle knows.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TrustRefusal {
    /// No certificate for this key.
    #[error("key `{0}` is in no certificate of the trust bundle; add its certificate or drop the sender")]
    UnknownKey(KeyId),
    /// The key is for something else.
    #[error("the key of {owner} signed what only a key of role `{wanted}` may sign")]
    WrongRole {
        /// Role and name of the key's owner.
        owner: Box<str>,
        /// Role that the message needs.
        wanted: Role,
    },
    /// Before the first certificate's begin.
    #[error(
        "the certificate of {owner} is valid from {not_before_ms} ms; check clocks or issue one that covers now"
    )]
    NotYetValid {
        /// Role and name of the key's owner.
        owner: Box<str>,
        /// Begin of the first, in milliseconds since the Unix epoch.
        not_before_ms: i64,
    },
    /// After the last certificate's end, or between two.
    #[error("the certificate of {owner} ended at {not_after_ms} ms; issue a new one")]
    Expired {
        /// Role and name of the key's owner.
        owner: Box<str>,
        /// End of the last one before, in milliseconds since the Unix epoch.
        not_after_ms: i64,
    },
}

impl TrustRefusal {
    /// A word for metrics.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::UnknownKey(_) => "unknown_key",
            Self::WrongRole { .. } => "wrong_role",
            Self::NotYetValid { .. } => "not_yet_valid",
            Self::Expired { .. } => "expired",
        }
    }
}

/// What is wrong with one certificate.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CertError {
    /// Not base64.
    #[error("it is not base64; copy it again as `rescind` printed it")]
    NotBase64,
    /// Not readable.
    #[error("it cannot be read; issue it again with this version")]
    Unreadable(#[source] CodecError),
    /// Signed by something else than this realm's root.
    #[error("it was signed by key `{seen}`, not by this realm's root; issue it again with the root key")]
    NotByRoot {
        /// The key that it names.
        seen: KeyId,
    },
    /// The root's signature does not match.
    #[error("the root's signature does not match; it was changed after it was issued, issue it again")]
    BadSignature,
    /// Made for another realm or chain.
    #[error("it is for `{seen}`, another realm or chain; issue one for this realm")]
    WrongRealm {
        /// Realm and chain that it names, cut to 64 characters.
        seen: Box<str>,
    },
    /// The name breaks rule D15.
    #[error("its name is not valid; issue it again under another name")]
    Name(#[from] TextError),
    /// The key is weak or no key.
    #[error("its public key is not usable; make a new key and certificate")]
    Key(#[from] KeyError),
    /// The end is not after the begin.
    #[error("it is valid at no time; issue one whose end is after its begin")]
    EmptyValidity,
    /// An emitter without rights, or somebody else with them.
    #[error("rights belong to emitters, to all of them and to nobody else; issue it again")]
    Rights,
    /// The bundle's label is not what is certified.
    #[error("the bundle lists it as `{label}` and it is for `{certified}`; correct the label")]
    Mislabelled {
        /// As listed, cut to 64 characters.
        label: Box<str>,
        /// As certified.
        certified: Box<str>,
    },
    /// One key with two owners or roles.
    #[error("its key `{key_id}` is also that of {other}; every owner and role needs a key of its own")]
    SharedKey {
        /// The key.
        key_id: KeyId,
        /// The other owner.
        other: Box<str>,
    },
}

/// Why a trust bundle or a realm file was not loaded. All or nothing: no bundle is used in part.
#[derive(Debug, Error)]
pub enum TrustError {
    /// Over the size limit.
    #[error("the {what} has {bytes} bytes; the limit is {BUNDLE_BYTES_MAX}")]
    TooLarge {
        /// Which file.
        what: &'static str,
        /// Its bytes.
        bytes: usize,
    },
    /// Not JSON of the known form.
    #[error("the {what} is not readable JSON of its form")]
    Json {
        /// Which file.
        what: &'static str,
        /// Where it broke.
        #[source]
        source: serde_json::Error,
    },
    /// Made by another version.
    #[error("the trust bundle has the form `{seen}`; this version reads `rescind-trust/1`")]
    Form {
        /// As written, cut to 64 characters.
        seen: Box<str>,
    },
    /// More certificates than the limit.
    #[error("the trust bundle has {count} certificates; the limit is {BUNDLE_CERTS_MAX}")]
    TooMany {
        /// Its certificates.
        count: usize,
    },
    /// The bundle is of another realm or chain.
    #[error("the trust bundle is for `{seen}`, and this realm is `{expected}`; use this realm's bundle")]
    WrongRealm {
        /// Realm and chain of the bundle, cut to 64 characters.
        seen: Box<str>,
        /// Realm and chain that are pinned.
        expected: Box<str>,
    },
    /// A realm or chain name is not valid.
    #[error("the realm file has a wrong name")]
    Name(#[source] TextError),
    /// The pinned root key is not usable.
    #[error("the realm file has an unusable root key; copy `root_public` from where the realm was made")]
    Root(#[source] KeyError),
    /// One certificate is wrong; none is used.
    #[error("certificate {place} (`{label}`) of the trust bundle is not usable")]
    Cert {
        /// From 1, in order.
        place: usize,
        /// Role and name, as listed, cut to 64 characters.
        label: Box<str>,
        /// What is wrong and what to do.
        #[source]
        source: CertError,
    },
}

/// Whether `at` lies in a validity.
const fn covers(not_before: UnixMs, not_after: UnixMs, at: UnixMs) -> bool {
    not_before.0 <= at.0 && at.0 < not_after.0
}

#[cfg(test)]
mod tests;
