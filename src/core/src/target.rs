//! What a record names. Source: semantics.md section 3.

use core::fmt;
use core::str::FromStr;

use thiserror::Error;

use crate::text::{TextError, check_id, check_name};

/// What a record names, resolved and exact. Shown as it is typed: `user:ID`, `session:ISS#SID` ...
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the fields are the claims that the variant's text names")]
pub enum Target {
    /// One token by `iss` and `jti` (Entra: `uti`).
    Token { issuer: Box<str>, jti: Box<str> },
    /// One token without a `jti`: SHA-256 of the compact form.
    TokenHash([u8; 32]),
    /// One session by `iss` and `sid`.
    Session { issuer: Box<str>, sid: Box<str> },
    /// One user by `sub`. Without an issuer it matches that `sub` from every trusted issuer.
    User { issuer: Option<Box<str>>, id: Box<str> },
    /// One signing key by `iss` and `kid`: every token that it signed.
    Key { issuer: Box<str>, kid: Box<str> },
    /// An `OAuth` client by `azp`, `client_id` or `appid`.
    Client { id: Box<str> },
    /// A customer inside the realm: the request's tenant or the token's.
    Tenant { id: Box<str> },
    /// Every request that the agents of this service decide.
    Service { name: Box<str> },
    /// Everything. Written `all`; never the meaning of something blank (D15).
    All,
}

/// The kind of a target, without its selector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
#[expect(missing_docs, reason = "as in Target")]
pub enum TargetKind {
    Token = 0,
    TokenHash = 1,
    Session = 2,
    User = 3,
    Key = 4,
    Client = 5,
    Tenant = 6,
    Service = 7,
    All = 8,
}

/// Number of target kinds.
pub const TARGET_KINDS: usize = 9;

impl TargetKind {
    /// Every kind, narrow to wide as far as they can be compared.
    pub const ALL_KINDS: [Self; TARGET_KINDS] = [
        Self::Token,
        Self::TokenHash,
        Self::Session,
        Self::User,
        Self::Key,
        Self::Client,
        Self::Tenant,
        Self::Service,
        Self::All,
    ];

    /// The word used in reason codes and on the command line.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Token | Self::TokenHash => "token",
            Self::Session => "session",
            Self::User => "user",
            Self::Key => "key",
            Self::Client => "client",
            Self::Tenant => "tenant",
            Self::Service => "service",
            Self::All => "all",
        }
    }

    /// Rung of the kill ladder. Source: semantics.md section 6.
    #[must_use]
    pub const fn rung(self) -> u8 {
        match self {
            Self::Token | Self::TokenHash => 1,
            Self::Session => 2,
            Self::User => 5,
            Self::Client => 7,
            Self::Service => 10,
            Self::Tenant => 12,
            Self::Key => 14,
            Self::All => 16,
        }
    }
}

impl Target {
    /// The kind.
    #[must_use]
    pub const fn kind(&self) -> TargetKind {
        match self {
            Self::Token { .. } => TargetKind::Token,
            Self::TokenHash(_) => TargetKind::TokenHash,
            Self::Session { .. } => TargetKind::Session,
            Self::User { .. } => TargetKind::User,
            Self::Key { .. } => TargetKind::Key,
            Self::Client { .. } => TargetKind::Client,
            Self::Tenant { .. } => TargetKind::Tenant,
            Self::Service { .. } => TargetKind::Service,
            Self::All => TargetKind::All,
        }
    }

    /// The issuer whose tokens alone this names by themselves, so that it names nothing any more when they have
    /// expired; `None` for everything that may name something for ever.
    #[must_use]
    pub fn aging_issuer(&self) -> Option<&str> {
        match self {
            Self::Token { issuer, .. } | Self::User { issuer: Some(issuer), .. } => Some(issuer),
            Self::TokenHash(_)
            | Self::Session { .. }
            | Self::User { issuer: None, .. }
            | Self::Key { .. }
            | Self::Client { .. }
            | Self::Tenant { .. }
            | Self::Service { .. }
            | Self::All => None,
        }
    }

    /// Checks every identifier of this target (D15), for targets that came as parts and not as text.
    ///
    /// # Errors
    /// [`TextError`] of the first part that is blank, has a wildcard or is too long.
    pub fn checked(self) -> Result<Self, TextError> {
        let issuer_and = |issuer: &str, what, id: &str| {
            check_id("issuer", issuer)?;
            check_id(what, id)
        };
        match &self {
            Self::Token { issuer, jti } => issuer_and(issuer, "token id", jti)?,
            Self::Session { issuer, sid } => issuer_and(issuer, "session id", sid)?,
            Self::Key { issuer, kid } => issuer_and(issuer, "key id", kid)?,
            Self::User { issuer: Some(issuer), id } => issuer_and(issuer, "user id", id)?,
            Self::User { issuer: None, id } => check_id("user id", id)?,
            Self::Client { id } => check_id("client id", id)?,
            Self::Tenant { id } => check_id("tenant id", id)?,
            Self::Service { name } => check_name("service", name)?,
            Self::TokenHash(_) | Self::All => {}
        }
        Ok(self)
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Token { issuer, jti } => write!(f, "token:{issuer}#{jti}"),
            Self::TokenHash(hash) => {
                f.write_str("token:sha256:")?;
                hash.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
            Self::Session { issuer, sid } => write!(f, "session:{issuer}#{sid}"),
            Self::User { issuer: Some(issuer), id } => write!(f, "user:{issuer}#{id}"),
            Self::User { issuer: None, id } => write!(f, "user:{id}"),
            Self::Key { issuer, kid } => write!(f, "key:{issuer}#{kid}"),
            Self::Client { id } => write!(f, "client:{id}"),
            Self::Tenant { id } => write!(f, "tenant:{id}"),
            Self::Service { name } => write!(f, "service:{name}"),
            Self::All => f.write_str("all"),
        }
    }
}

/// Why a text is no target.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TargetError {
    /// No `kind:` in front, or nothing at all.
    #[error(
        "`{text}` is no target; write `user:ID`, `token:ISS#JTI`, `session:ISS#SID`, `client:ID`, \
         `key:ISS#KID`, `tenant:ID`, `service:NAME` or `all`"
    )]
    NoKind {
        /// The input, cut to 64 characters.
        text: Box<str>,
    },
    /// The kind needs an issuer.
    #[error("`{kind}` needs its issuer: write `{kind}:ISS#ID`")]
    NoIssuer {
        /// The kind that was typed.
        kind: &'static str,
    },
    /// Not 64 hexadecimal digits after `token:sha256:`.
    #[error("`token:sha256:` needs the 64 hexadecimal digits of the token's SHA-256")]
    BadHash,
    /// A part is blank, has a wildcard or is too long.
    #[error(transparent)]
    Text(#[from] TextError),
}

impl FromStr for Target {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        if text == "all" {
            return Ok(Self::All);
        }
        let no_kind = || TargetError::NoKind { text: text.chars().take(64).collect() };
        let (kind, rest) = text.split_once(':').ok_or_else(no_kind)?;
        let issued = |kind| match rest.split_once('#') {
            Some((issuer, id)) => Ok((Box::from(issuer), Box::from(id))),
            None if rest.trim().is_empty() => Err(TextError::Blank { what: kind }.into()),
            None => Err(TargetError::NoIssuer { kind }),
        };
        let target = match kind {
            "token" => match rest.strip_prefix("sha256:") {
                Some(hex) => Self::TokenHash(parse_hash(hex).ok_or(TargetError::BadHash)?),
                None => issued("token").map(|(issuer, jti)| Self::Token { issuer, jti })?,
            },
            "session" => issued("session").map(|(issuer, sid)| Self::Session { issuer, sid })?,
            "key" => issued("key").map(|(issuer, kid)| Self::Key { issuer, kid })?,
            "user" => match rest.split_once('#') {
                Some((issuer, id)) => Self::User { issuer: Some(issuer.into()), id: id.into() },
                None => Self::User { issuer: None, id: rest.into() },
            },
            "client" => Self::Client { id: rest.into() },
            "tenant" => Self::Tenant { id: rest.into() },
            "service" => Self::Service { name: rest.into() },
            _ => return Err(no_kind()),
        };
        Ok(target.checked()?)
    }
}

fn parse_hash(hex: &str) -> Option<[u8; 32]> {
    let mut hash = [0; 32];
    if hex.len() != 64 || !hex.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    for (byte, pair) in hash.iter_mut().zip(hex.as_bytes().chunks_exact(2)) {
        *byte = u8::from_str_radix(core::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(hash)
}

#[cfg(test)]
mod tests;
