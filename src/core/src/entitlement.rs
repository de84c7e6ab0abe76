//! Entitlements: what a principal may do now. Source: semantics.md sections 4 and 5.

use core::fmt;
use core::str::FromStr;

use thiserror::Error;

use crate::ids::RecordId;
use crate::text::{ID_BYTES_MAX, TextError, check_id};
use crate::time::UnixS;

/// Who holds an entitlement.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the fields are the parts of the typed form")]
pub enum Holder {
    /// A user of one issuer, `user:ISS#ID`. The issuer is required: another issuer's same `sub` is somebody else.
    User { issuer: Box<str>, id: Box<str> },
    /// A role, `role:NAME`: everyone who is a member of it.
    Role(Box<str>),
    /// A group, `group:NAME`: everyone who is a member of it.
    Group(Box<str>),
}

/// A role or group that a holder can be a member of.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Membership {
    /// `role:NAME`.
    Role(Box<str>),
    /// `group:NAME`.
    Group(Box<str>),
}

/// What is held.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Right {
    /// To do something to something.
    Permission {
        /// Which actions.
        action: ActionPattern,
        /// Which resources.
        resource: ResourcePattern,
    },
    /// To be in a role or group, and so to hold what that holds.
    Member(Membership),
}

/// Actions: exact (`refund:create`), a prefix (`refund:*`), or all (`*`).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ActionPattern(Box<str>);

/// Resources: exact (`/orders/17`), everything below a path (`/orders/*`), or all (`*`).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ResourcePattern(Box<str>);

/// When an entitlement holds: from `not_before` (inclusive) until `not_after` (exclusive), both optional.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Window {
    /// First second; `None`: since ever.
    pub not_before: Option<UnixS>,
    /// First second at which it no longer holds; `None`: for ever.
    pub not_after: Option<UnixS>,
}

/// One entitlement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entitlement {
    /// Name for `withdraw`.
    pub id: RecordId,
    /// Who holds it.
    pub holder: Holder,
    /// What is held.
    pub right: Right,
    /// Only in this tenant; `None`: in every tenant.
    pub tenant: Option<Box<str>>,
    /// Only in this time.
    pub window: Window,
}

/// Why a text is no pattern or holder.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum EntitlementError {
    /// Blank, too long or unprintable.
    #[error(transparent)]
    Text(#[from] TextError),
    /// `*` in a place where it means nothing.
    #[error("`{text}`: `*` may only stand alone or as the last part, as in `refund:*` or `/orders/*`")]
    Wildcard {
        /// The input.
        text: Box<str>,
    },
    /// No `user:`, `role:` or `group:` in front.
    #[error("`{text}` cannot hold an entitlement; write `user:ISS#ID`, `role:NAME` or `group:NAME`")]
    NoHolder {
        /// The input, cut to 64 characters.
        text: Box<str>,
    },
    /// A user without an issuer.
    #[error(
        "`user:{id}` needs its issuer: write `user:ISS#{id}`, or set `default_issuer` for the controller"
    )]
    NoIssuer {
        /// The user id.
        id: Box<str>,
    },
    /// `not_after` is not after `not_before`.
    #[error("the time window is empty; its end must be after its begin")]
    EmptyWindow,
    /// Longer than the packed form holds.
    #[error("`{what}` has {bytes} bytes; the limit is {ID_BYTES_MAX}")]
    TooLong {
        /// Which part.
        what: &'static str,
        /// Its bytes.
        bytes: usize,
    },
}

fn check_pattern(what: &'static str, text: &str, separator: char) -> Result<(), EntitlementError> {
    let fixed = match text.strip_suffix('*') {
        Some("") => return Ok(()),
        Some(prefix) if prefix.ends_with(separator) && prefix.len() > separator.len_utf8() => prefix,
        Some(_) => return Err(EntitlementError::Wildcard { text: text.into() }),
        None => text,
    };
    check_id(what, fixed).map_err(|error| match error {
        TextError::Wildcard { text, .. } => EntitlementError::Wildcard { text },
        other => EntitlementError::Text(other),
    })
}

impl ActionPattern {
    /// Checks and wraps `text`.
    ///
    /// # Errors
    /// [`EntitlementError`] for blank text and misplaced wildcards.
    pub fn new(text: &str) -> Result<Self, EntitlementError> {
        check_pattern("action", text, ':')?;
        Ok(Self(text.into()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl ResourcePattern {
    /// Checks and wraps `text`.
    ///
    /// # Errors
    /// [`EntitlementError`] for blank text and misplaced wildcards.
    pub fn new(text: &str) -> Result<Self, EntitlementError> {
        check_pattern("resource", text, '/')?;
        Ok(Self(text.into()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether the action pattern `pattern` covers `action`. Total: works on any text, covers nothing blank.
#[must_use]
pub fn action_covers(pattern: &[u8], action: &[u8]) -> bool {
    match pattern.split_last() {
        Some((b'*', prefix)) => !action.is_empty() && action.starts_with(prefix),
        Some(_) => pattern == action,
        None => false,
    }
}

/// Whether the resource pattern `pattern` covers `resource`.
///
/// A path with empty, `.` or `..` segments is covered by no prefix: what it means is for the edge to say.
#[must_use]
pub fn resource_covers(pattern: &[u8], resource: &[u8]) -> bool {
    match pattern.split_last() {
        Some((b'*', [])) => !resource.is_empty(),
        Some((b'*', prefix)) => {
            resource.len() > prefix.len() && resource.starts_with(prefix) && plain_path(resource)
        }
        Some(_) => pattern == resource,
        None => false,
    }
}

fn plain_path(path: &[u8]) -> bool {
    let segments = path.strip_prefix(b"/").unwrap_or(path);
    let segments = segments.strip_suffix(b"/").unwrap_or(segments);
    segments.split(|byte| *byte == b'/').all(|segment| !matches!(segment, b"" | b"." | b".."))
}

impl Window {
    /// A window that is not empty.
    ///
    /// # Errors
    /// [`EntitlementError::EmptyWindow`] where the end is not after the begin.
    pub fn new(not_before: Option<UnixS>, not_after: Option<UnixS>) -> Result<Self, EntitlementError> {
        match (not_before, not_after) {
            (Some(from), Some(until)) if until <= from => Err(EntitlementError::EmptyWindow),
            _ => Ok(Self { not_before, not_after }),
        }
    }

    /// Whether there is any bound.
    #[must_use]
    pub const fn is_bounded(&self) -> bool {
        self.not_before.is_some() || self.not_after.is_some()
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User { issuer, id } => write!(f, "user:{issuer}#{id}"),
            Self::Role(name) => write!(f, "role:{name}"),
            Self::Group(name) => write!(f, "group:{name}"),
        }
    }
}

impl Holder {
    /// Checks every identifier of this holder (D15).
    ///
    /// # Errors
    /// [`TextError`] of the first part that is blank, has a wildcard or is too long.
    pub fn checked(self) -> Result<Self, TextError> {
        match &self {
            Self::User { issuer, id } => {
                check_id("issuer", issuer)?;
                check_id("user id", id)?;
            }
            Self::Role(name) => check_id("role", name)?,
            Self::Group(name) => check_id("group", name)?,
        }
        Ok(self)
    }

    /// Parses the typed form; `default_issuer` completes `user:ID`.
    ///
    /// # Errors
    /// [`EntitlementError`] says what is missing.
    pub fn parse(text: &str, default_issuer: Option<&str>) -> Result<Self, EntitlementError> {
        let no_holder = || EntitlementError::NoHolder { text: text.chars().take(64).collect() };
        let (kind, rest) = text.split_once(':').ok_or_else(no_holder)?;
        let holder = match kind {
            "user" => match (rest.split_once('#'), default_issuer) {
                (Some((issuer, id)), _) => Self::User { issuer: issuer.into(), id: id.into() },
                (None, Some(issuer)) => Self::User { issuer: issuer.into(), id: rest.into() },
                (None, None) => {
                    check_id("user id", rest)?;
                    return Err(EntitlementError::NoIssuer { id: rest.into() });
                }
            },
            "role" => Self::Role(rest.into()),
            "group" => Self::Group(rest.into()),
            _ => return Err(no_holder()),
        };
        Ok(holder.checked()?)
    }
}

impl FromStr for Holder {
    type Err = EntitlementError;

    fn from_str(text: &str) -> Result<Self, EntitlementError> {
        Self::parse(text, None)
    }
}

impl Membership {
    /// The holder that members of this hold the rights of.
    #[must_use]
    pub fn as_holder(&self) -> Holder {
        match self {
            Self::Role(name) => Holder::Role(name.clone()),
            Self::Group(name) => Holder::Group(name.clone()),
        }
    }

    /// The name without its kind.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Role(name) | Self::Group(name) => name,
        }
    }
}

impl fmt::Display for Membership {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_holder().fmt(f)
    }
}

#[cfg(test)]
mod tests;
