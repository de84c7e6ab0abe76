//! What decisions read and the driver writes: no lock between them, no wait, no I/O.

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

use arc_swap::{ArcSwap, ArcSwapOption};
use rescind_core::decide::{self, Bearer, Decision, Enforcement, Published, Reason, TokenFacts, TokenFault};
use rescind_core::key::KeyHasher;
use rescind_core::lease::Lease;
use rescind_core::position::Heads;
use rescind_core::report::Freshness;
use rescind_core::time::{UnixMs, UnixS};
use rescind_token::{
    KeyDirectory, TokenCode, TokenError, TrustConfig, VerifiedClaims, Verifier, fingerprints,
};
use tokio::sync::watch;

use crate::clock::{BootClock, wall_ms};
use crate::metrics::{Counters, bump};
use crate::token_cache::{TokenCache, Verified};

/// A question as a service asks it. Texts are taken as they are; blank covers nothing.
#[derive(Clone, Copy)]
pub struct Query<'a> {
    /// The compact JWT, without `Bearer `.
    pub token: &'a str,
    /// What the bearer wants to do, `refund:create`.
    pub action: &'a str,
    /// What with, `/orders/17`.
    pub resource: &'a str,
    /// The tenant of the request; `None`: the token's.
    pub tenant: Option<&'a str>,
}

impl std::fmt::Debug for Query<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Query")
            .field("action", &self.action)
            .field("tenant", &self.tenant)
            .finish_non_exhaustive()
    }
}

/// What a bearer wants to do; [`Query`] without the token.
#[derive(Clone, Copy)]
pub(crate) struct Ask<'a> {
    pub(crate) action: &'a str,
    pub(crate) resource: &'a str,
    pub(crate) tenant: Option<&'a str>,
}

/// See the module's text.
pub(crate) struct Shared {
    published: ArcSwap<Published>,
    /// Tells those who wait for a position; changes right after `published`.
    heads: watch::Sender<Heads>,
    enforcement: Enforcement,
    hasher: KeyHasher,
    issuers: TrustConfig,
    verifier: Verifier,
    keys: KeyDirectory,
    /// Generation of the issuers' keys that cached tokens belong to.
    key_generation: AtomicU64,
    tokens: TokenCache,
    /// Wall clock of the first deny by a record that the driver has not taken yet; zero: none.
    first_deny_ms: AtomicI64,
    /// A token that an issuer signed is from the future, by the time that the lease gives; the driver judges it.
    has_future_token: AtomicBool,
    /// What stands against being fresh, in words.
    fault: ArcSwapOption<String>,
    pub(crate) counters: Counters,
}

/// What a [`Shared`] is made of.
pub(crate) struct SharedParts {
    pub(crate) published: Arc<Published>,
    pub(crate) enforcement: Enforcement,
    pub(crate) hasher: KeyHasher,
    pub(crate) issuers: TrustConfig,
    pub(crate) keys: KeyDirectory,
    pub(crate) tokens: TokenCache,
}

impl Shared {
    pub(crate) fn new(parts: SharedParts) -> Self {
        let SharedParts { published, enforcement, hasher, issuers, keys, tokens } = parts;
        Self {
            heads: watch::Sender::new(published.heads),
            published: ArcSwap::new(published),
            enforcement,
            hasher,
            verifier: Verifier::new(issuers.clone(), keys.clone()),
            issuers,
            keys,
            key_generation: AtomicU64::new(1),
            tokens,
            first_deny_ms: AtomicI64::new(0),
            has_future_token: AtomicBool::new(false),
            fault: ArcSwapOption::empty(),
            counters: Counters::default(),
        }
    }

    /// Answers a question about a token.
    #[inline]
    pub(crate) fn decide(&self, query: &Query<'_>) -> Decision {
        let published = self.published.load();
        let ask = Ask { action: query.action, resource: query.resource, tenant: query.tenant };
        let generation = self.key_generation.load(Ordering::Acquire);
        let decision = match self.tokens.get(query.token, generation) {
            Some(hit) => match hit.bearer() {
                Some(bearer) => self.judge(&published, bearer, &ask),
                None => Decision::deny(Reason::Token(TokenFault::Invalid), &published.heads),
            },
            None => self.decide_unknown(&published, query.token, &ask, generation),
        };
        if decision.reason == Reason::Token(TokenFault::Expired) {
            self.tokens.remove(query.token);
        }
        self.note(&decision);
        decision
    }

    /// Answers a question about a token that was verified before.
    #[inline]
    pub(crate) fn decide_verified(&self, token: &Verified, ask: &Ask<'_>) -> Decision {
        let published = self.published.load();
        let decision = self.judge(&published, token.bearer(), ask);
        self.note(&decision);
        decision
    }

    #[inline]
    fn judge(&self, published: &Published, bearer: &Bearer, ask: &Ask<'_>) -> Decision {
        let query = decide::Query { bearer, action: ask.action, resource: ask.resource, tenant: ask.tenant };
        decide::decide(published, &self.enforcement, &query, || BootClock.now())
    }

    #[cold]
    fn decide_unknown(&self, published: &Published, token: &str, ask: &Ask<'_>, generation: u64) -> Decision {
        // Why before the token: semantics.md section 4 asks for freshness first, and it is cheaper.
        let Some(lease) = published.lease.filter(|_| published.synced) else {
            return Decision::deny(Reason::NotReady, &published.heads);
        };
        let now = lease.latest(BootClock.now()).floor_s();
        match self.verify_new(token, now, generation) {
            Ok(verified) => self.judge(published, verified.bearer(), ask),
            Err(error) => {
                if error == TokenError::IssuedInFuture {
                    self.blame_clock();
                }
                self.refuse(published, &lease, ask.action, fault_of(error))
            }
        }
    }

    /// A deny for a token that did not verify, unless the state is too old to say even that.
    fn refuse(&self, published: &Published, lease: &Lease, action: &str, fault: TokenFault) -> Decision {
        let policy = self.enforcement.policies().for_action(action);
        let now = BootClock.now();
        let fresh_until = policy.fresh_until(lease);
        let fresh = now < fresh_until;
        let too_old = !fresh && !policy.serves_at(lease, now);
        let reason = if too_old { Reason::StaleStrict } else { Reason::Token(fault) };
        Decision {
            staleness: now.since(lease.asked_at),
            valid_for: fresh_until.since(now),
            freshness: if fresh { Freshness::Fresh } else { Freshness::Stale },
            ..Decision::deny(reason, &published.heads)
        }
    }

    /// Verifies a token, or finds it in the cache.
    pub(crate) fn verify(&self, token: &str) -> Result<Verified, TokenError> {
        let generation = self.key_generation.load(Ordering::Acquire);
        if let Some(verified) = self.tokens.get(token, generation).and_then(|hit| hit.verified()) {
            return Ok(verified);
        }
        // Why the wall clock is good enough without a lease: the decision judges the dates again, on the
        // controller's time, and denies everything until then.
        let lease = self.published.load().lease;
        let now = lease.map_or_else(wall_ms, |lease| lease.latest(BootClock.now()));
        self.verify_new(token, now.floor_s(), generation)
    }

    fn verify_new(&self, token: &str, now: UnixS, generation: u64) -> Result<Verified, TokenError> {
        let claims =
            self.verifier.verify(token, now.0).inspect_err(|_| bump(&self.counters.tokens_refused))?;
        bump(&self.counters.tokens_verified);
        let verified = self.prepare(token, claims, generation);
        self.tokens.insert(&verified, now);
        Ok(verified)
    }

    fn prepare(&self, token: &str, claims: VerifiedClaims, generation: u64) -> Verified {
        let boxed = |names: Vec<String>| names.into_iter().map(String::into_boxed_str);
        let hints = claims.hints;
        let roles: Vec<Box<str>> = boxed(hints.roles).collect();
        let groups: Vec<Box<str>> = boxed(hints.groups).collect();
        let permissions: Vec<Box<str>> = boxed(hints.scopes).chain(boxed(hints.permissions)).collect();
        let leeway =
            self.issuers.issuer(&claims.issuer).map(rescind_token::IssuerPolicy::leeway).unwrap_or_default();
        let leeway_s = i64::try_from(leeway.as_secs()).unwrap_or(0);
        let prints = fingerprints(token, claims.algorithm);
        let facts = TokenFacts {
            issuer: &claims.issuer,
            subject: claims.subject.as_deref(),
            jti: claims.jti.as_deref(),
            session: claims.sid.as_deref(),
            client: claims.client_id.as_deref(),
            key_id: claims.kid.as_deref(),
            tenant: claims.tenant.as_deref(),
            issued_at: claims.issued_at.map(UnixS),
            not_before: claims.not_before.map(UnixS),
            expires_at: UnixS(claims.expires_at.saturating_add(leeway_s)),
            leeway,
            fingerprint: prints.token,
            twin_fingerprint: prints.twin,
            roles: &roles,
            groups: &groups,
            permissions: &permissions,
        };
        Verified::new(token, Bearer::new(&self.hasher, &facts), generation)
    }

    /// Counts, and keeps the time of the first deny by a record for the next report.
    #[inline]
    fn note(&self, decision: &Decision) {
        self.counters.decided(decision.is_allow());
        if !decision.records.is_empty()
            && by_record(decision.reason)
            && self.first_deny_ms.load(Ordering::Relaxed) == 0
        {
            let now = wall_ms().0.max(1);
            // Why ignored: another thread was first.
            self.first_deny_ms.compare_exchange(0, now, Ordering::Relaxed, Ordering::Relaxed).ok();
        }
    }

    /// The first deny by a record since the last call.
    pub(crate) fn take_first_deny(&self) -> Option<UnixMs> {
        if self.first_deny_ms.load(Ordering::Relaxed) == 0 {
            return None;
        }
        let at = self.first_deny_ms.swap(0, Ordering::Relaxed);
        (at != 0).then_some(UnixMs(at))
    }

    /// A token from the future came.
    pub(crate) fn blame_clock(&self) {
        self.has_future_token.store(true, Ordering::Relaxed);
    }

    /// Whether a token from the future came since the last call.
    pub(crate) fn take_future_token(&self) -> bool {
        self.has_future_token.load(Ordering::Relaxed) && self.has_future_token.swap(false, Ordering::Relaxed)
    }

    /// Lets decisions read `published` from now on.
    pub(crate) fn publish(&self, published: Arc<Published>) {
        let heads = published.heads;
        self.published.store(published);
        bump(&self.counters.published);
        self.heads.send_replace(heads);
    }

    /// Denies everything until the next [`Self::publish`].
    pub(crate) fn close(&self) {
        let published = self.published.load();
        self.publish(Arc::new(Published::unsynced(published.view.clone(), published.heads)));
    }

    /// What decisions read now.
    pub(crate) fn published(&self) -> Arc<Published> {
        self.published.load_full()
    }

    /// Changes after every publication.
    pub(crate) fn heads(&self) -> watch::Receiver<Heads> {
        self.heads.subscribe()
    }

    pub(crate) const fn keys(&self) -> &KeyDirectory {
        &self.keys
    }

    pub(crate) const fn enforcement(&self) -> &Enforcement {
        &self.enforcement
    }

    pub(crate) fn tokens_cached(&self) -> usize {
        self.tokens.len()
    }

    /// The issuers' keys changed: what was verified under older ones is verified again.
    pub(crate) fn forget_tokens(&self) {
        self.key_generation.fetch_add(1, Ordering::AcqRel);
        bump(&self.counters.key_changes);
    }

    pub(crate) fn set_fault(&self, fault: Option<String>) {
        self.fault.store(fault.map(Arc::new));
    }

    pub(crate) fn fault(&self) -> Option<String> {
        self.fault.load().as_deref().cloned()
    }
}

const fn by_record(reason: Reason) -> bool {
    match reason {
        Reason::Killed(_)
        | Reason::Held(_)
        | Reason::RevokedToken
        | Reason::RevokedSession
        | Reason::RevokedKey
        | Reason::RevokedCutoff
        | Reason::DisabledIdentity => true,
        Reason::Entitled
        | Reason::NotReady
        | Reason::NotFresh
        | Reason::StaleStrict
        | Reason::Token(_)
        | Reason::EntitlementAbsent
        | Reason::EntitlementExpired => false,
    }
}

const fn fault_of(error: TokenError) -> TokenFault {
    match error.code() {
        TokenCode::Invalid => TokenFault::Invalid,
        TokenCode::Expired => TokenFault::Expired,
        TokenCode::Audience => TokenFault::Audience,
        TokenCode::Issuer => TokenFault::Issuer,
        TokenCode::Key => TokenFault::Key,
    }
}
