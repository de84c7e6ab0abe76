//! Keyed 128-bit hashes of what targets and holders name: what hot tables are indexed by.
//!
//! `SipHash-1-3` under a secret of the agent: an attacker who chooses identifiers cannot make them collide.
//! Keys mean nothing outside the agent that made them. Source: measured.md section 4.

use core::fmt;
use core::hash::Hasher;

use siphasher::sip128::{Hasher128, SipHasher13};

use crate::entitlement::{Holder, Membership};
use crate::target::Target;

/// A keyed hash. Uniform, so tables may take any of its bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// First half.
    pub hi: u64,
    /// Second half.
    pub lo: u64,
}

/// Makes keys. One secret for the life of a store; about 25 ns per key.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyHasher {
    secret: [u8; 16],
}

impl fmt::Debug for KeyHasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyHasher")
    }
}

const TAG_TOKEN: u8 = 1;
const TAG_TOKEN_HASH: u8 = 2;
const TAG_SESSION: u8 = 3;
const TAG_USER: u8 = 4;
const TAG_USER_ANY_ISSUER: u8 = 5;
const TAG_KEY: u8 = 6;
const TAG_CLIENT: u8 = 7;
const TAG_TENANT: u8 = 8;
const TAG_SERVICE: u8 = 9;
const TAG_ALL: u8 = 10;
const TAG_ROLE: u8 = 11;
const TAG_GROUP: u8 = 12;
const TAG_IDEMPOTENCY: u8 = 64;

impl KeyHasher {
    /// A hasher with this secret: 16 random bytes.
    #[must_use]
    pub const fn new(secret: [u8; 16]) -> Self {
        Self { secret }
    }

    fn pair(&self, tag: u8, first: &[u8], second: &[u8]) -> Key {
        let mut hasher = SipHasher13::new_with_key(&self.secret);
        // Why the length of `first` only: with it, tag and total length, no two pairs give the same input.
        hasher.write_u64(((first.len() as u64) << 8) | u64::from(tag));
        hasher.write(first);
        hasher.write(second);
        let hash = hasher.finish128();
        Key { hi: hash.h1, lo: hash.h2 }
    }

    fn one(&self, tag: u8, text: &str) -> Key {
        self.pair(tag, text.as_bytes(), &[])
    }

    /// Key of a token by `iss` and `jti`.
    #[must_use]
    pub fn token(&self, issuer: &str, jti: &str) -> Key {
        self.pair(TAG_TOKEN, issuer.as_bytes(), jti.as_bytes())
    }

    /// Key of a token by the SHA-256 of its compact form.
    #[must_use]
    pub fn token_hash(&self, hash: &[u8; 32]) -> Key {
        self.pair(TAG_TOKEN_HASH, hash, &[])
    }

    /// Key of a session.
    #[must_use]
    pub fn session(&self, issuer: &str, sid: &str) -> Key {
        self.pair(TAG_SESSION, issuer.as_bytes(), sid.as_bytes())
    }

    /// Key of a user of one issuer: as a target and as a holder.
    #[must_use]
    pub fn user(&self, issuer: &str, id: &str) -> Key {
        self.pair(TAG_USER, issuer.as_bytes(), id.as_bytes())
    }

    /// Key of a user of any issuer: as a target only.
    #[must_use]
    pub fn user_any_issuer(&self, id: &str) -> Key {
        self.one(TAG_USER_ANY_ISSUER, id)
    }

    /// Key of a signing key.
    #[must_use]
    pub fn signing_key(&self, issuer: &str, kid: &str) -> Key {
        self.pair(TAG_KEY, issuer.as_bytes(), kid.as_bytes())
    }

    /// Key of a client.
    #[must_use]
    pub fn client(&self, id: &str) -> Key {
        self.one(TAG_CLIENT, id)
    }

    /// Key of a tenant.
    #[must_use]
    pub fn tenant(&self, id: &str) -> Key {
        self.one(TAG_TENANT, id)
    }

    /// Key of a service.
    #[must_use]
    pub fn service(&self, name: &str) -> Key {
        self.one(TAG_SERVICE, name)
    }

    /// Key of `all`.
    #[must_use]
    pub fn all(&self) -> Key {
        self.one(TAG_ALL, "")
    }

    /// Key of a role.
    #[must_use]
    pub fn role(&self, name: &str) -> Key {
        self.one(TAG_ROLE, name)
    }

    /// Key of a group.
    #[must_use]
    pub fn group(&self, name: &str) -> Key {
        self.one(TAG_GROUP, name)
    }

    /// Key of what an emitter sent under an idempotency key.
    #[must_use]
    pub fn idempotency(&self, emitter: &str, key: &str) -> Key {
        self.pair(TAG_IDEMPOTENCY, emitter.as_bytes(), key.as_bytes())
    }

    /// Key of any target.
    #[must_use]
    pub fn target(&self, target: &Target) -> Key {
        match target {
            Target::Token { issuer, jti } => self.token(issuer, jti),
            Target::TokenHash(hash) => self.token_hash(hash),
            Target::Session { issuer, sid } => self.session(issuer, sid),
            Target::User { issuer: Some(issuer), id } => self.user(issuer, id),
            Target::User { issuer: None, id } => self.user_any_issuer(id),
            Target::Key { issuer, kid } => self.signing_key(issuer, kid),
            Target::Client { id } => self.client(id),
            Target::Tenant { id } => self.tenant(id),
            Target::Service { name } => self.service(name),
            Target::All => self.all(),
        }
    }

    /// Key of any holder.
    #[must_use]
    pub fn holder(&self, holder: &Holder) -> Key {
        match holder {
            Holder::User { issuer, id } => self.user(issuer, id),
            Holder::Role(name) => self.role(name),
            Holder::Group(name) => self.group(name),
        }
    }

    /// Key of the role or group that a membership points to.
    #[must_use]
    pub fn membership(&self, membership: &Membership) -> Key {
        match membership {
            Membership::Role(name) => self.role(name),
            Membership::Group(name) => self.group(name),
        }
    }
}
