//! Decisions over the token cache, without a bus. Following is tested from outside, in `tests/agent`.

use std::sync::Arc;
use std::time::Duration;

use rescind_core::change::{Change, ChangeBody, Origin};
use rescind_core::decide::{
    Decision, Enforcement, Published, Reason, StalePolicies, StalePolicy, TokenFault,
};
use rescind_core::entitlement::{ActionPattern, Entitlement, Holder, ResourcePattern, Right, Window};
use rescind_core::ids::{EmitterId, IdempotencyKey, RecordId};
use rescind_core::key::KeyHasher;
use rescind_core::lease::Lease;
use rescind_core::position::{Heads, Lane, Position};
use rescind_core::record::{Record, RecordKind};
use rescind_core::report::Freshness;
use rescind_core::target::Target;
use rescind_core::time::BootNs;
use rescind_core::view::View;
use rescind_token::{
    Algorithm, Issuer, IssuerPolicyInput, JwksSource, KeyDirectory, SignOptions, TrustConfig,
    TrustConfigInput,
};
use serde_json::json;

use super::{Query, Shared, SharedParts};
use crate::clock::{BootClock, wall_ms};
use crate::explain::Explained;
use crate::token_cache::TokenCache;

const ISSUER: &str = "https://idp.example";
const ACTION: &str = "refund:create";

struct Bench {
    issuer: Issuer,
    keys: KeyDirectory,
    shared: Arc<Shared>,
    view: View,
    next: u64,
}

impl Bench {
    fn new() -> Self {
        let issuer = Issuer::generate(ISSUER, &[Algorithm::Es256]).unwrap();
        let policy = IssuerPolicyInput::new(
            ISSUER,
            JwksSource::File("unused".into()),
            &[Algorithm::Es256],
            &["payments"],
        );
        let issuers = TrustConfig::try_from(TrustConfigInput { issuers: vec![policy] }).unwrap();
        let keys = KeyDirectory::new(&issuers);
        keys.install(ISSUER, issuer.key_set().unwrap()).unwrap();
        let hasher = KeyHasher::new([3; 16]);
        let view = View::new(hasher.clone());
        let published = Arc::new(Published::unsynced(view.clone(), Heads::default()));
        let policies =
            StalePolicies { service: StalePolicy::Strict(Duration::from_secs(5)), actions: vec![] };
        let shared = Arc::new(Shared::new(SharedParts {
            published,
            enforcement: Enforcement::new(&hasher, "payments", policies),
            hasher,
            issuers,
            keys: keys.clone(),
            tokens: TokenCache::new(65_536, [1, 2, 3, 4, 5]),
        }));
        Self { issuer, keys, shared, view, next: 0 }
    }

    fn apply(&mut self, lane: Lane, body: impl FnOnce(RecordId) -> ChangeBody) {
        self.next += 1;
        let id = RecordId::new(lane, Position::new(1, self.next)).unwrap();
        let origin = Origin {
            emitter: EmitterId::new("ir").unwrap(),
            key: IdempotencyKey::new("k").unwrap(),
            requested_by: None,
            reason_code: None,
            incident: None,
            known_at: None,
        };
        self.view.apply(&Change { id, origin, reason_admin_sha256: None, body: body(id) }).unwrap();
    }

    fn revoke(&mut self, target: &str) {
        let target: Target = target.parse().unwrap();
        self.apply(Lane::Deny, |id| {
            ChangeBody::Record(Record::new(id, RecordKind::Revoke, target, None).unwrap())
        });
    }

    fn grant(&mut self, user: &str) {
        let holder = Holder::User { issuer: ISSUER.into(), id: user.into() };
        self.apply(Lane::Grant(0), |id| {
            let right = Right::Permission {
                action: ActionPattern::new("refund:*").unwrap(),
                resource: ResourcePattern::new("/orders/*").unwrap(),
            };
            ChangeBody::Grant(Entitlement { id, holder, right, tenant: None, window: Window::default() })
        });
    }

    /// Publishes the view under a lease that was asked for this long ago.
    fn publish(&self, age: Duration) {
        let now = BootClock.now();
        let asked_at = BootNs(now.0 - u64::try_from(age.as_nanos()).unwrap());
        let length = Duration::from_secs(5);
        let lease = Lease { asked_at, granted_at: asked_at, controller_time: wall_ms(), length };
        let (view, heads) = (self.view.clone(), Heads::default());
        self.shared.publish(Arc::new(Published {
            view,
            heads,
            lease: Some(lease),
            extra: None,
            synced: true,
        }));
    }

    fn claims(user: &str, lifetime: i64) -> serde_json::Value {
        let issued = wall_ms().0 / 1000 - 60;
        json!({
            "iss": ISSUER, "aud": "payments", "sub": user, "sid": format!("s-{user}"), "jti": format!("j-{user}"),
            "iat": issued, "exp": issued + 60 + lifetime, "roles": ["admin"], "client_id": "app",
        })
    }

    fn sign(&self, claims: &serde_json::Value) -> String {
        self.issuer.sign(claims, &SignOptions::default()).unwrap()
    }

    fn token(&self, user: &str) -> String {
        self.sign(&Self::claims(user, 3600))
    }

    fn ask(&self, token: &str) -> Decision {
        self.shared.decide(&Query { token, action: ACTION, resource: "/orders/17", tenant: None })
    }
}

#[test]
fn nothing_is_verified_before_the_first_lease() {
    let bench = Bench::new();
    assert_eq!(bench.ask(&bench.token("alice")).reason, Reason::NotReady);
    assert_eq!(bench.ask("rubbish").reason, Reason::NotReady);
    assert_eq!(bench.shared.counters.read().tokens_verified, 0);
}

#[test]
fn a_token_is_verified_once_and_answers_are_equal() {
    let mut bench = Bench::new();
    bench.grant("alice");
    bench.publish(Duration::ZERO);
    let token = bench.token("alice");
    for _ in 0..3 {
        assert!(bench.ask(&token).is_allow());
    }
    let metrics = bench.shared.counters.read();
    assert_eq!((metrics.tokens_verified, metrics.decisions_allowed), (1, 3));
}

#[test]
fn a_record_reaches_a_cached_token() {
    let mut bench = Bench::new();
    bench.grant("alice");
    bench.publish(Duration::ZERO);
    let token = bench.token("alice");
    assert!(bench.ask(&token).is_allow());
    assert_eq!(bench.shared.take_first_deny(), None);
    bench.revoke(&format!("session:{ISSUER}#s-alice"));
    bench.publish(Duration::ZERO);
    assert_eq!(bench.ask(&token).reason, Reason::RevokedSession);
    assert!(bench.shared.take_first_deny().is_some());
    assert_eq!(bench.shared.take_first_deny(), None);
}

#[test]
fn an_expired_token_is_denied_and_leaves_the_cache() {
    let mut bench = Bench::new();
    bench.grant("alice");
    bench.publish(Duration::ZERO);
    let token = bench.sign(&Bench::claims("alice", 2));
    assert!(bench.ask(&token).is_allow());
    assert_eq!(bench.shared.tokens_cached(), 1);
    // The lease is three seconds old, so the controller's clock can be three seconds later.
    bench.publish(Duration::from_secs(3));
    assert_eq!(bench.ask(&token).reason, Reason::Token(TokenFault::Expired));
    assert_eq!(bench.shared.tokens_cached(), 0);
    assert_eq!(bench.ask(&token).reason, Reason::Token(TokenFault::Expired));
}

#[test]
fn past_the_lease_a_bad_token_is_stale_too() {
    let bench = Bench::new();
    bench.publish(Duration::from_secs(6));
    let decision = bench.ask("rubbish");
    assert_eq!((decision.reason, decision.freshness), (Reason::StaleStrict, Freshness::Stale));
    bench.publish(Duration::ZERO);
    let decision = bench.ask("rubbish");
    assert_eq!((decision.reason, decision.freshness), (Reason::Token(TokenFault::Invalid), Freshness::Fresh));
}

#[test]
fn keys_that_changed_make_a_cached_token_verify_again() {
    let mut bench = Bench::new();
    bench.grant("alice");
    bench.publish(Duration::ZERO);
    let token = bench.token("alice");
    assert!(bench.ask(&token).is_allow());
    let other = Issuer::generate(ISSUER, &[Algorithm::Es256]).unwrap();
    bench.keys.install(ISSUER, other.key_set().unwrap()).unwrap();
    bench.shared.forget_tokens();
    assert_eq!(bench.ask(&token).reason, Reason::Token(TokenFault::Key));
}

#[test]
fn both_texts_of_an_es256_token_are_revoked_by_the_hash_of_one() {
    let mut bench = Bench::new();
    bench.grant("alice");
    let token = bench.token("alice");
    let twin = rescind_token::fingerprints(&token, Algorithm::Es256).twin.unwrap();
    let hex: String = twin.iter().map(|byte| format!("{byte:02x}")).collect();
    bench.revoke(&format!("token:sha256:{hex}"));
    bench.publish(Duration::ZERO);
    assert_eq!(bench.ask(&token).reason, Reason::RevokedToken);
}

#[test]
fn drift_is_named() {
    let bench = Bench::new();
    bench.publish(Duration::ZERO);
    let token = bench.sign(&{
        let mut claims = Bench::claims("bob", 3600);
        claims["permissions"] = json!(["refund:create"]);
        claims
    });
    let verified = bench.shared.verify(&token).unwrap();
    let explained = Explained::new(bench.ask(&token), Ok(&verified));
    let drift = explained.drift.unwrap();
    assert_eq!(
        (drift.kind, drift.claim, drift.name.as_deref()),
        ("claim_says_yes", Some("permission"), Some(ACTION))
    );
    assert!(explained.claims.contains(&"role:admin".to_owned()));
    assert_eq!(explained.code, "entitlement.absent");
}

#[test]
fn debug_of_a_query_shows_no_token() {
    let query = Query { token: "eyJsecret", action: "a", resource: "/people/alice", tenant: None };
    let shown = format!("{query:?}");
    assert!(!shown.contains("eyJ") && !shown.contains("alice"), "{shown}");
}

#[test]
#[ignore = "measures: cargo nextest run --release -p rescind-agent --run-ignored only --no-capture ns_per"]
fn ns_per_decision() {
    const STATE: u64 = 1_000_000;
    let mut bench = Bench::new();
    for number in 0..STATE {
        bench.revoke(&format!("token:{ISSUER}#revoked-{number}"));
        bench.grant(&format!("u{number}"));
    }
    bench.publish(Duration::ZERO);
    for live in [1_000_u64, 20_000] {
        let step = STATE / live;
        let tokens: Vec<String> =
            (0..live).map(|number| bench.token(&format!("u{}", number * step))).collect();
        bench.publish(Duration::ZERO);
        let verified: Vec<_> = tokens.iter().map(|token| bench.shared.verify(token).unwrap()).collect();
        bench.publish(Duration::ZERO);
        // Why copied: a real token was just read from a socket, so its own bytes are near.
        let arrive = |at: usize| tokens[at].clone();
        measure(&format!("decide, {live} live tokens"), live, arrive, |token| bench.ask(token).is_allow());
        bench.publish(Duration::ZERO);
        let ask = super::Ask { action: ACTION, resource: "/orders/17", tenant: None };
        measure(
            &format!("decide_verified, {live} live tokens"),
            live,
            |at| at,
            |at| bench.shared.decide_verified(&verified[*at], &ask).is_allow(),
        );
        measure(&format!("cache hit, {live} live tokens"), live, arrive, |token| {
            let generation = bench.shared.key_generation.load(std::sync::atomic::Ordering::Acquire);
            bench.shared.tokens.get(token, generation).is_some()
        });
    }
}

/// Calls in random order; prints percentiles over single calls, without the cost of the clock.
fn measure<T>(what: &str, live: u64, arrive: impl Fn(usize) -> T, call: impl Fn(&T) -> bool) {
    let clock = BootClock;
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % live).unwrap()
    };
    let mut samples: Vec<u64> = Vec::with_capacity(200_000);
    let mut misses = 0;
    let begin = clock.now();
    for _ in 0..200_000 {
        std::hint::black_box(clock.now());
    }
    let clock_ns = (clock.now().0 - begin.0) / 200_000;
    for _ in 0..200_000 {
        let given = std::hint::black_box(arrive(next()));
        let begin = clock.now();
        let good = std::hint::black_box(call(&given));
        samples.push((clock.now().0 - begin.0).saturating_sub(clock_ns));
        misses += u64::from(!good);
    }
    samples.sort_unstable();
    let at = |permille: usize| samples[samples.len() * permille / 1000];
    println!(
        "{what}: p50 {} ns, p90 {} ns, p99 {} ns, {misses} misses (clock {clock_ns} ns)",
        at(500),
        at(900),
        at(990)
    );
}
