//! Identifiers. Each is a type of its own; text was checked when it was made.

use core::fmt;
use core::str::FromStr;

use thiserror::Error;

use crate::position::{Epoch, Lane, Position, Revision};
use crate::text::{TextError, check_id, check_name};

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $what:literal, $check:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Box<str>);

        impl $name {
            /// Checks and wraps `text`.
            ///
            /// # Errors
            /// [`TextError`] names the rule that `text` broke.
            pub fn new(text: &str) -> Result<Self, TextError> {
                $check($what, text)?;
                Ok(Self(text.into()))
            }

            /// As [`Self::new`], without copying `text`.
            ///
            /// # Errors
            /// As [`Self::new`].
            pub fn from_string(text: String) -> Result<Self, TextError> {
                $check($what, &text)?;
                Ok(Self(text.into()))
            }

            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({:?})", stringify!($name), &self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = TextError;

            fn from_str(text: &str) -> Result<Self, TextError> {
                Self::new(text)
            }
        }
    };
}

text_id!(
    /// An agent: one enforcement point (a replica of a service).
    AgentId, "agent id", check_name
);
text_id!(
    /// An emitter: an identity that may send directives of named kinds.
    EmitterId, "emitter", check_name
);
text_id!(
    /// A service: what agents enforce for.
    ServiceName, "service", check_name
);
text_id!(
    /// A controller process by name.
    ControllerId, "controller id", check_name
);
text_id!(
    /// The chain of a realm: `<realm>.<random>`; two realms never share one.
    ChainId, "chain id", check_name
);
text_id!(
    /// Text that an emitter repeats to ask for the same effect once (rule D16).
    IdempotencyKey, "idempotency key", check_id
);

/// One run of a process: random, made at its start. Binds nonces and receipts to that run.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InstanceId(pub [u8; 16]);

impl fmt::Debug for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Name of a record or an entitlement: the lane and position at which it was accepted.
///
/// Printed `deny-1-1842` or `grant0-1-77` (lane, epoch, revision). It stays the same when the chain is
/// re-published in a later epoch. Fits 64 bits: 4 of lane, 16 of epoch, 44 of revision.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordId(u64);

const REVISION_BITS: u32 = 44;
const EPOCH_BITS: u32 = 16;

impl RecordId {
    /// The record accepted in `lane` at `position`; `None` where the position does not fit.
    #[must_use]
    pub fn new(lane: Lane, position: Position) -> Option<Self> {
        let epoch = u64::from(position.epoch.0);
        let revision = position.revision.0;
        let fits = epoch >> EPOCH_BITS == 0 && revision >> REVISION_BITS == 0 && revision > 0;
        fits.then(|| {
            let lane = u64::from(lane.number());
            Self(lane << (REVISION_BITS + EPOCH_BITS) | epoch << REVISION_BITS | revision)
        })
    }

    /// The packed form.
    #[must_use]
    pub const fn packed(self) -> u64 {
        self.0
    }

    /// Unpacks what [`Self::packed`] gave; `None` for a number that is no record id.
    #[must_use]
    pub fn from_packed(packed: u64) -> Option<Self> {
        let id = Self(packed);
        Lane::from_number(u8::try_from(packed >> (REVISION_BITS + EPOCH_BITS)).ok()?)?;
        (id.position().revision.0 > 0).then_some(id)
    }

    /// The lane that it was accepted in.
    #[must_use]
    pub fn lane(self) -> Lane {
        let number = u8::try_from(self.0 >> (REVISION_BITS + EPOCH_BITS)).unwrap_or(0);
        Lane::from_number(number).unwrap_or(Lane::Deny)
    }

    /// The position that it was accepted at.
    #[must_use]
    pub fn position(self) -> Position {
        let epoch = self.0 >> REVISION_BITS & ((1 << EPOCH_BITS) - 1);
        Position {
            epoch: Epoch(u32::try_from(epoch).unwrap_or(u32::MAX)),
            revision: Revision(self.0 & ((1 << REVISION_BITS) - 1)),
        }
    }
}

impl fmt::Display for RecordId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Position { epoch, revision } = self.position();
        match self.lane() {
            Lane::Deny => write!(f, "deny-{}-{}", epoch.0, revision.0),
            Lane::Grant(n) => write!(f, "grant{n}-{}-{}", epoch.0, revision.0),
        }
    }
}

impl fmt::Debug for RecordId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text that is no record id.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{text}` is no record id; it looks like `deny-1-1842` or `grant0-1-77`, see `rescind records`")]
pub struct RecordIdError {
    text: Box<str>,
}

impl FromStr for RecordId {
    type Err = RecordIdError;

    fn from_str(text: &str) -> Result<Self, RecordIdError> {
        let parse = || {
            let mut parts = text.split('-');
            let lane = match parts.next()? {
                "deny" => Lane::Deny,
                grant => Lane::Grant(canonical(grant.strip_prefix("grant")?)?),
            };
            let epoch: u32 = canonical(parts.next()?)?;
            let revision: u64 = canonical(parts.next()?)?;
            if parts.next().is_some() || lane.number() > crate::position::GRANT_LANES_MAX {
                return None;
            }
            Self::new(lane, Position::new(epoch, revision))
        };
        parse().ok_or_else(|| RecordIdError { text: text.chars().take(64).collect() })
    }
}

/// Parses a number that is written in its shortest form, so that every id has one spelling.
fn canonical<N: FromStr>(text: &str) -> Option<N> {
    let canonical = text == "0" || (!text.starts_with('0') && text.bytes().all(|b| b.is_ascii_digit()));
    canonical.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests;
