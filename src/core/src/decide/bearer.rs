//! Who calls: what decisions need of a verified token, with every key made once.

use core::time::Duration;

use crate::key::{Key, KeyHasher};
use crate::target::TargetKind;
use crate::time::UnixS;

/// What a verified token says. Made by the agent from the token crate's claims.
#[derive(Debug, Clone, Copy)]
pub struct TokenFacts<'a> {
    /// `iss`.
    pub issuer: &'a str,
    /// `sub`; without it no entitlement can be held (D6).
    pub subject: Option<&'a str>,
    /// `jti` or `uti`.
    pub jti: Option<&'a str>,
    /// `sid`.
    pub session: Option<&'a str>,
    /// `azp`, `client_id` or `appid`.
    pub client: Option<&'a str>,
    /// Header `kid`.
    pub key_id: Option<&'a str>,
    /// The tenant claim.
    pub tenant: Option<&'a str>,
    /// `iat`; without it any cutoff kills (D6).
    pub issued_at: Option<UnixS>,
    /// `nbf`.
    pub not_before: Option<UnixS>,
    /// `exp`, with the issuer's leeway already added.
    pub expires_at: UnixS,
    /// The issuer's leeway, for `nbf`.
    pub leeway: Duration,
    /// SHA-256 of the compact token.
    pub fingerprint: [u8; 32],
    /// SHA-256 of the token that anybody can make of this one without a key, and that verifies as well: for
    /// ES256 the one with the other signature `(r, n - s)`. A tombstone on either kills both.
    pub twin_fingerprint: Option<[u8; 32]>,
    /// `roles`.
    pub roles: &'a [Box<str>],
    /// `groups`.
    pub groups: &'a [Box<str>],
    /// `scope` or `scp`, split, and `permissions`.
    pub permissions: &'a [Box<str>],
}

/// The claim that a hint came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HintKind {
    /// `roles`.
    Role,
    /// `groups`.
    Group,
    /// `scope`, `scp` or `permissions`.
    Permission,
}

/// A claim about permissions: never grants anything, but tells drift.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hint {
    /// Which claim.
    pub kind: HintKind,
    /// What it says.
    pub name: Box<str>,
    key: Option<Key>,
}

impl Hint {
    /// Key of the role or group; `None` for permissions.
    pub(crate) const fn key(&self) -> Option<Key> {
        self.key
    }
}

const KEYS_MAX: usize = 8;

/// A verified token, ready for decisions. Belongs to the view whose hasher made it.
#[derive(Debug, Clone)]
#[repr(C, align(64))]
pub struct Bearer {
    // Why this order: what every decision reads lies in the first four cache lines.
    kinds: [TargetKind; KEYS_MAX],
    keys_len: usize,
    issued_at: Option<UnixS>,
    expires_at: UnixS,
    not_before: Option<UnixS>,
    keys: [Key; KEYS_MAX],
    holder: Option<Key>,
    tenant: Option<Key>,
    tenant_name: Option<Box<str>>,
    hints: Box<[Hint]>,
    leeway: Duration,
}

impl Bearer {
    /// Makes the keys; about 25 ns for each claim that is there.
    #[must_use]
    pub fn new(hasher: &KeyHasher, facts: &TokenFacts<'_>) -> Self {
        use TargetKind as T;
        let issuer = facts.issuer;
        let holder = facts.subject.map(|subject| hasher.user(issuer, subject));
        let wanted = [
            facts.jti.map(|jti| (T::Token, hasher.token(issuer, jti))),
            Some((T::TokenHash, hasher.token_hash(&facts.fingerprint))),
            facts.twin_fingerprint.map(|twin| (T::TokenHash, hasher.token_hash(&twin))),
            facts.session.map(|sid| (T::Session, hasher.session(issuer, sid))),
            facts.key_id.map(|kid| (T::Key, hasher.signing_key(issuer, kid))),
            holder.map(|key| (T::User, key)),
            facts.subject.map(|subject| (T::User, hasher.user_any_issuer(subject))),
            facts.client.map(|client| (T::Client, hasher.client(client))),
        ];
        let (mut kinds, mut keys) = ([T::All; KEYS_MAX], [Key { hi: 0, lo: 0 }; KEYS_MAX]);
        let mut keys_len = 0;
        for ((kind, key), wanted) in kinds.iter_mut().zip(&mut keys).zip(wanted.into_iter().flatten()) {
            (*kind, *key) = wanted;
            keys_len += 1;
        }
        Self {
            kinds,
            keys_len,
            keys,
            holder,
            tenant: facts.tenant.map(|tenant| hasher.tenant(tenant)),
            tenant_name: facts.tenant.map(Box::from),
            issued_at: facts.issued_at,
            not_before: facts.not_before,
            expires_at: facts.expires_at,
            leeway: facts.leeway,
            hints: hints(hasher, facts),
        }
    }

    /// What the token says about permissions.
    #[must_use]
    pub fn hints(&self) -> &[Hint] {
        &self.hints
    }

    /// When it expires, leeway included.
    #[must_use]
    pub const fn expires_at(&self) -> UnixS {
        self.expires_at
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = (TargetKind, Key)> + '_ {
        self.kinds.iter().copied().zip(self.keys.iter().copied()).take(self.keys_len)
    }

    pub(crate) const fn holder(&self) -> Option<Key> {
        self.holder
    }

    pub(crate) const fn tenant(&self) -> Option<Key> {
        self.tenant
    }

    pub(crate) fn tenant_name(&self) -> Option<&str> {
        self.tenant_name.as_deref()
    }

    pub(crate) const fn issued_at(&self) -> Option<UnixS> {
        self.issued_at
    }

    pub(crate) const fn not_before(&self) -> Option<UnixS> {
        self.not_before
    }

    pub(crate) const fn leeway(&self) -> Duration {
        self.leeway
    }
}

fn hints(hasher: &KeyHasher, facts: &TokenFacts<'_>) -> Box<[Hint]> {
    let roles = facts.roles.iter().map(|name| (HintKind::Role, name, Some(hasher.role(name))));
    let groups = facts.groups.iter().map(|name| (HintKind::Group, name, Some(hasher.group(name))));
    let permissions = facts.permissions.iter().map(|name| (HintKind::Permission, name, None));
    let all = roles.chain(groups).chain(permissions);
    all.map(|(kind, name, key)| Hint { kind, name: name.clone(), key }).collect()
}
