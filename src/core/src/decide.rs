//! The decision: may the bearer of this token do this action on this resource right now?
//!
//! One pass over immutable state, no lock, no I/O, no allocation unless more than four records match. The
//! order of the reasons is that of semantics.md section 4; the clock is read last (protocol.md section 4,
//! rule 4), so an answer is never fresher than the state that it was made from.

mod bearer;
mod decision;
mod entitled;
mod policy;

pub use bearer::{Bearer, Hint, HintKind, TokenFacts};
pub use decision::{Decision, Drift, Effect, Reason, TokenFault};
pub use policy::{StalePolicies, StalePolicy, StalePolicyError};

use std::sync::Arc;

use smallvec::SmallVec;

use self::entitled::{Entitled, Evaluation};
use crate::ids::RecordId;
use crate::key::{Key, KeyHasher};
use crate::lease::Lease;
use crate::position::Heads;
use crate::record::RecordKind;
use crate::report::Freshness;
use crate::seeded::{self, Bug};
use crate::target::TargetKind;
use crate::time::{BootNs, UnixS};
use crate::view::View;

/// What decisions read: one immutable value, replaced as a whole.
///
/// INVARIANT (S12): state and lease are in one value, so no reader pairs an old state with a new lease.
#[derive(Debug, Clone)]
pub struct Published {
    /// The state.
    pub view: View,
    /// Where the state is.
    pub heads: Heads,
    /// Until when it may be called fresh; `None`: never proven since the start.
    pub lease: Option<Lease>,
    /// Records that deny beside those of the view: verified denies past a gap, orphans of lost history. Made with
    /// the view's hasher; only its records are read. `None`, almost always.
    pub extra: Option<Arc<View>>,
    /// False after a fault (poison, fork, clock): denies `not_ready` until healed.
    pub synced: bool,
}

impl Published {
    /// A state that nothing vouches for: denies everything.
    #[must_use]
    pub const fn unsynced(view: View, heads: Heads) -> Self {
        Self { view, heads, lease: None, extra: None, synced: false }
    }

    /// Whether the view is current at `now`, under the full lease.
    #[must_use]
    pub fn freshness(&self, now: BootNs) -> Freshness {
        match self.lease {
            Some(lease) if self.synced && now < lease.fresh_until(lease.length) => Freshness::Fresh,
            Some(_) if self.synced => Freshness::Stale,
            Some(_) | None => Freshness::Unsynced,
        }
    }
}

/// What this enforcement point is, fixed by its configuration.
#[derive(Debug, Clone)]
pub struct Enforcement {
    service: Key,
    all: Key,
    policies: StalePolicies,
}

impl Enforcement {
    /// Enforcement for `service` under these stale policies. `hasher` must be that of the view.
    #[must_use]
    pub fn new(hasher: &KeyHasher, service: &str, policies: StalePolicies) -> Self {
        Self { service: hasher.service(service), all: hasher.all(), policies }
    }

    /// The stale policies.
    #[must_use]
    pub const fn policies(&self) -> &StalePolicies {
        &self.policies
    }
}

/// A question about a token that was verified. Texts are taken as they are; blank covers nothing.
#[derive(Debug, Clone, Copy)]
pub struct Query<'a> {
    /// Who calls, from the verified token.
    pub bearer: &'a Bearer,
    /// What they want to do, `refund:create`.
    pub action: &'a str,
    /// What with, `/orders/17`.
    pub resource: &'a str,
    /// The tenant of the request; `None`: the token's.
    pub tenant: Option<&'a str>,
}

/// Answers `query` on `published`. `clock` is the agent's boot clock.
#[must_use]
pub fn decide(
    published: &Published,
    enforcement: &Enforcement,
    query: &Query<'_>,
    clock: impl Fn() -> BootNs,
) -> Decision {
    let Some(lease) = published.lease.filter(|_| published.synced) else {
        return Decision::deny(Reason::NotReady, &published.heads);
    };
    let matches = Matches::collect(published, enforcement, query);
    let entitled = match matches.reason {
        Some(_) => Entitled::default(),
        None => {
            let tenant = query.tenant.or_else(|| query.bearer.tenant_name());
            let evaluation = Evaluation {
                view: &published.view,
                action: query.action.as_bytes(),
                resource: query.resource.as_bytes(),
                tenant: tenant.map(str::as_bytes),
                time: || {
                    let now = clock();
                    (lease.earliest(now).floor_s(), lease.latest(now).floor_s())
                },
            };
            evaluation.bearer(query.bearer)
        }
    };
    let policy = enforcement.policies.for_action(query.action);
    let now = clock();
    let fresh_until = policy.fresh_until(&lease);
    let fresh = now < fresh_until;
    let serves = policy.serves_at(&lease, now) || seeded::active(Bug::StaleStillServed);
    let reason = if !fresh && !serves {
        Some(Reason::StaleStrict)
    } else if let Some(fault) = time_fault(query.bearer, &lease, now) {
        Some(Reason::Token(fault))
    } else {
        matches.reason.or(entitled.reason)
    };
    let retry = retry_after(query.bearer, &matches, reason);
    Decision {
        effect: if reason.is_none() { Effect::Allow } else { Effect::Deny },
        reason: reason.unwrap_or(Reason::Entitled),
        records: matches.records,
        entitlements: entitled.ids,
        deny: published.heads.deny.position,
        grant: published.heads.grant.position,
        staleness: now.since(lease.asked_at),
        valid_for: fresh_until.since(now),
        freshness: if fresh { Freshness::Fresh } else { Freshness::Stale },
        drift: entitled.drift,
        retry_after_s: retry,
    }
}

fn latest(lease: &Lease, now: BootNs) -> crate::time::UnixMs {
    if seeded::active(Bug::ExpiryOnEarliest) { lease.earliest(now) } else { lease.latest(now) }
}

/// INVARIANT (S15): `exp` against the latest, `nbf` against the earliest time that the controller can have.
fn time_fault(bearer: &Bearer, lease: &Lease, now: BootNs) -> Option<TokenFault> {
    if bearer.expires_at().start_ms() <= latest(lease, now) && !seeded::active(Bug::ExpiryNotChecked) {
        return Some(TokenFault::Expired);
    }
    let too_early = |from: UnixS| from.start_ms() > lease.earliest(now).plus(bearer.leeway());
    bearer.not_before().is_some_and(too_early).then_some(TokenFault::Invalid)
}

/// D5: a login in the second of the cutoff fails once; a second later it would be alive.
fn retry_after(bearer: &Bearer, matches: &Matches, reason: Option<Reason>) -> Option<u32> {
    let at_boundary = matches.highest_cutoff.is_some() && matches.highest_cutoff == bearer.issued_at();
    (reason == Some(Reason::RevokedCutoff) && at_boundary).then_some(1)
}

/// Records that match, in order of revision, and the reason that comes first in the order of section 4.
#[derive(Debug, Default)]
struct Matches {
    records: SmallVec<[RecordId; 4]>,
    reason: Option<Reason>,
    highest_cutoff: Option<UnixS>,
}

impl Matches {
    #[inline]
    fn collect(published: &Published, enforcement: &Enforcement, query: &Query<'_>) -> Self {
        let mut matches = Self::default();
        matches.gather(&published.view, enforcement, query);
        if let Some(extra) = &published.extra {
            matches.gather_beside(extra, enforcement, query);
        }
        if matches.records.len() > 1 {
            matches.records.sort_unstable_by_key(|id| id.position());
            // A record may be in both.
            matches.records.dedup();
        }
        matches
    }

    /// Why apart: almost no decision comes here, and the way of the others stays short.
    #[cold]
    #[inline(never)]
    fn gather_beside(&mut self, extra: &View, enforcement: &Enforcement, query: &Query<'_>) {
        self.gather(extra, enforcement, query);
    }

    #[inline]
    fn gather(&mut self, view: &View, enforcement: &Enforcement, query: &Query<'_>) {
        use TargetKind as T;
        let bearer = query.bearer;
        let issued_at = bearer.issued_at();
        for (kind, key) in bearer.keys() {
            if kind == T::Session && seeded::active(Bug::SessionNotMatched) {
                continue;
            }
            self.tombstone(view, kind, key);
            self.standing(view, kind, key, issued_at);
        }
        if view.has_standing(T::Tenant) {
            if let Some(tenant) = bearer.tenant() {
                self.standing(view, T::Tenant, tenant, issued_at);
            }
            if let Some(tenant) = query.tenant.filter(|tenant| bearer.tenant_name() != Some(*tenant)) {
                self.standing(view, T::Tenant, view.hasher().tenant(tenant), issued_at);
            }
        }
        self.standing(view, T::Service, enforcement.service, issued_at);
        self.standing(view, T::All, enforcement.all, issued_at);
    }

    #[inline]
    fn tombstone(&mut self, view: &View, kind: TargetKind, key: Key) {
        if let Some(id) = view.tombstone(kind, key) {
            self.add(id, Reason::revoked(kind));
        }
    }

    /// INVARIANT (D1): every record on every key counts; the reason is the first, the effect is the union.
    #[inline]
    fn standing(&mut self, view: &View, kind: TargetKind, key: Key, issued_at: Option<UnixS>) {
        let all = view.standing(kind, key);
        let from = if seeded::active(Bug::CutoffNewestWins) { all.len().saturating_sub(1) } else { 0 };
        for standing in all.iter().skip(from) {
            let cut = standing.cuts(issued_at);
            if cut {
                self.highest_cutoff = self.highest_cutoff.max(standing.cutoff);
            }
            let reason = match (standing.active, standing.kind) {
                (true, RecordKind::Kill) => Reason::Killed(kind),
                (true, RecordKind::Hold) => Reason::Held(kind),
                (true, RecordKind::Revoke) => Reason::revoked(kind),
                (true, RecordKind::Disable) => Reason::DisabledIdentity,
                (false, _) if cut => Reason::RevokedCutoff,
                (false, _) => continue,
            };
            self.add(standing.record, reason);
        }
    }

    fn add(&mut self, id: RecordId, reason: Reason) {
        self.records.push(id);
        let first = self.reason.is_none_or(|there| reason.rank() < there.rank());
        if first {
            self.reason = Some(reason);
        }
    }
}

#[cfg(test)]
mod tests;
