//! The answer and its reasons.

use core::fmt;
use core::time::Duration;

use smallvec::SmallVec;

use crate::ids::RecordId;
use crate::position::{Heads, Position};
use crate::report::Freshness;
use crate::target::TargetKind;

/// Yes or no. The default is no.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Effect {
    /// The request may go on.
    Allow,
    /// It may not.
    #[default]
    Deny,
}

/// How a token was wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TokenFault {
    /// Malformed, badly signed, not yet valid.
    Invalid,
    /// Past its `exp`.
    Expired,
    /// Not for us.
    Audience,
    /// From nobody that we trust.
    Issuer,
    /// Signed by a key that we do not have.
    Key,
}

/// Why. Ordered as semantics.md section 4 orders the checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// Allowed by an entitlement.
    Entitled,
    /// No proof of being current since the start, or a fault.
    NotReady,
    /// The position that was asked for was not reached in time (S11).
    NotFresh,
    /// Past the bound of the stale policy.
    StaleStrict,
    /// The token itself.
    Token(TokenFault),
    /// A kill on a target of this kind.
    Killed(TargetKind),
    /// A hold on a target of this kind.
    Held(TargetKind),
    /// This token was revoked.
    RevokedToken,
    /// This session was revoked.
    RevokedSession,
    /// The key that signed it was revoked.
    RevokedKey,
    /// Issued at or before a cutoff.
    RevokedCutoff,
    /// The identity is disabled.
    DisabledIdentity,
    /// Nothing held covers it.
    EntitlementAbsent,
    /// Something held covers it, at another time.
    EntitlementExpired,
}

impl Reason {
    pub(super) const fn revoked(kind: TargetKind) -> Self {
        match kind {
            TargetKind::Token | TargetKind::TokenHash => Self::RevokedToken,
            TargetKind::Session => Self::RevokedSession,
            TargetKind::Key => Self::RevokedKey,
            TargetKind::User
            | TargetKind::Client
            | TargetKind::Tenant
            | TargetKind::Service
            | TargetKind::All => Self::RevokedCutoff,
        }
    }

    /// Which check it belongs to; lower comes first.
    pub(super) const fn rank(self) -> u8 {
        match self {
            Self::Entitled | Self::NotReady | Self::NotFresh | Self::StaleStrict => 1,
            Self::Token(_) => 2,
            Self::Killed(_) => 3,
            Self::Held(_) => 4,
            Self::RevokedToken | Self::RevokedSession | Self::RevokedKey => 5,
            Self::RevokedCutoff => 6,
            Self::DisabledIdentity => 7,
            Self::EntitlementAbsent | Self::EntitlementExpired => 8,
        }
    }

    /// The stable code. Source: semantics.md section 4.
    #[must_use]
    pub const fn code(self) -> &'static str {
        use TargetKind as T;
        match self {
            Self::Entitled => "entitled",
            Self::NotReady => "not_ready",
            Self::NotFresh => "not_fresh",
            Self::StaleStrict => "stale.strict",
            Self::Token(TokenFault::Invalid) => "token.invalid",
            Self::Token(TokenFault::Expired) => "token.expired",
            Self::Token(TokenFault::Audience) => "token.audience",
            Self::Token(TokenFault::Issuer) => "token.issuer",
            Self::Token(TokenFault::Key) => "token.key",
            Self::Killed(T::Client) => "killed.client",
            Self::Killed(T::Tenant) => "killed.tenant",
            Self::Killed(T::Service) => "killed.service",
            Self::Killed(T::All) => "killed.all",
            Self::Killed(T::Token | T::TokenHash) => "killed.token",
            Self::Killed(T::Session) => "killed.session",
            Self::Killed(T::User) => "killed.user",
            Self::Killed(T::Key) => "killed.key",
            Self::Held(T::Client) => "held.client",
            Self::Held(T::Tenant) => "held.tenant",
            Self::Held(T::Service) => "held.service",
            Self::Held(T::All) => "held.all",
            Self::Held(T::Token | T::TokenHash) => "held.token",
            Self::Held(T::Session) => "held.session",
            Self::Held(T::User) => "held.user",
            Self::Held(T::Key) => "held.key",
            Self::RevokedToken => "revoked.token",
            Self::RevokedSession => "revoked.session",
            Self::RevokedKey => "revoked.key",
            Self::RevokedCutoff => "revoked.cutoff",
            Self::DisabledIdentity => "disabled.identity",
            Self::EntitlementAbsent => "entitlement.absent",
            Self::EntitlementExpired => "entitlement.expired",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// Whether the token's claims and the live entitlements say different things.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Drift {
    /// They agree, or the token claims nothing.
    #[default]
    None,
    /// The claim alone would have allowed this; the live entitlements do not. Index into
    /// [`super::Bearer::hints`].
    ClaimSaysYes(u16),
    /// A live role or group that the token's claims do not name allowed this.
    LiveSaysYes,
}

/// The answer to a query. Public answers to callers are generic; this one is for staff, logs and the board.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// Yes or no.
    pub effect: Effect,
    /// Why: the first in the order of the checks.
    pub reason: Reason,
    /// Every record that matches, in order of revision.
    pub records: SmallVec<[RecordId; 4]>,
    /// The entitlements used: memberships first, then the permission.
    pub entitlements: SmallVec<[RecordId; 4]>,
    /// Deny position of the state that answered.
    pub deny: Position,
    /// Grant position of the state that answered.
    pub grant: Position,
    /// Time since the question whose answer proved that state current.
    pub staleness: Duration,
    /// How long this answer may be used; zero past the bound.
    pub valid_for: Duration,
    /// Whether the state was current.
    pub freshness: Freshness,
    /// Whether the token's claims say something else.
    pub drift: Drift,
    /// Seconds after which a new login would help.
    pub retry_after_s: Option<u32>,
}

impl Decision {
    /// A deny that no state was asked for.
    #[must_use]
    pub fn deny(reason: Reason, heads: &Heads) -> Self {
        Self {
            effect: Effect::Deny,
            reason,
            records: SmallVec::new(),
            entitlements: SmallVec::new(),
            deny: heads.deny.position,
            grant: heads.grant.position,
            staleness: Duration::MAX,
            valid_for: Duration::ZERO,
            freshness: Freshness::Unsynced,
            drift: Drift::None,
            retry_after_s: None,
        }
    }

    /// Whether the request may go on.
    #[must_use]
    pub fn is_allow(&self) -> bool {
        self.effect == Effect::Allow
    }
}
