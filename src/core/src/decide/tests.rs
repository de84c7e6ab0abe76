use core::time::Duration;

use super::*;
use crate::change::{Change, ChangeBody, Origin};
use crate::entitlement::{ActionPattern, Entitlement, Holder, Membership, ResourcePattern, Right, Window};
use crate::ids::{EmitterId, IdempotencyKey};
use crate::position::{Lane, Position};
use crate::record::Record;
use crate::target::Target;
use crate::time::UnixMs;

mod oracle;

const ISS: &str = "https://idp.example";
const START_MS: i64 = 1_000_000_000;

struct World {
    published: Published,
    enforcement: Enforcement,
    revision: u64,
}

fn second() -> BootNs {
    BootNs(1_000_000_000)
}

impl World {
    fn new(policies: StalePolicies) -> Self {
        let hasher = KeyHasher::new([3; 16]);
        let enforcement = Enforcement::new(&hasher, "payments", policies);
        let lease = Lease {
            asked_at: BootNs(0),
            granted_at: BootNs(0),
            controller_time: UnixMs(START_MS),
            length: Duration::from_secs(5),
        };
        let view = View::new(hasher);
        let published =
            Published { view, heads: Heads::default(), lease: Some(lease), extra: None, synced: true };
        Self { published, enforcement, revision: 0 }
    }

    fn apply(&mut self, lane: Lane, body: impl FnOnce(RecordId) -> ChangeBody) -> RecordId {
        self.revision += 1;
        let id = RecordId::new(lane, Position::new(1, self.revision)).unwrap();
        let origin = Origin {
            emitter: EmitterId::new("ir").unwrap(),
            key: IdempotencyKey::new("k").unwrap(),
            requested_by: None,
            reason_code: None,
            incident: None,
            known_at: None,
        };
        let change = Change { id, origin, reason_admin_sha256: None, body: body(id) };
        self.published.view.apply(&change).unwrap();
        id
    }

    fn record(&mut self, kind: RecordKind, target: &str, cutoff: Option<i64>) -> RecordId {
        self.apply(Lane::Deny, |id| {
            ChangeBody::Record(Record::new(id, kind, target.parse().unwrap(), cutoff.map(UnixS)).unwrap())
        })
    }

    fn lift(&mut self, record: RecordId, target: &str, cutoff: Option<i64>) {
        let target: Target = target.parse().unwrap();
        self.apply(Lane::Deny, |_| ChangeBody::Lift { record, target, cutoff: cutoff.map(UnixS) });
    }

    fn reinstate(&mut self, record: RecordId, target: &str) {
        let target: Target = target.parse().unwrap();
        self.apply(Lane::Deny, |_| ChangeBody::Reinstate { record, target });
    }

    fn grant(&mut self, holder: Holder, right: Right, tenant: Option<&str>, window: Window) -> RecordId {
        let tenant = tenant.map(Box::from);
        self.apply(Lane::Grant(0), |id| ChangeBody::Grant(Entitlement { id, holder, right, tenant, window }))
    }

    fn allow_user(&mut self) -> RecordId {
        self.grant(user(), permission("refund:*", "/orders/*"), None, Window::default())
    }

    fn ask(&self, bearer: &Bearer) -> Decision {
        self.ask_at(bearer, second())
    }

    fn ask_at(&self, bearer: &Bearer, now: BootNs) -> Decision {
        let query = Query { bearer, action: "refund:create", resource: "/orders/17", tenant: None };
        decide(&self.published, &self.enforcement, &query, || now)
    }

    fn bearer(&self, change: impl FnOnce(&mut TokenFacts<'_>)) -> Bearer {
        let mut facts = facts();
        change(&mut facts);
        Bearer::new(self.published.view.hasher(), &facts)
    }
}

fn user() -> Holder {
    Holder::User { issuer: ISS.into(), id: "u1".into() }
}

fn permission(action: &str, resource: &str) -> Right {
    Right::Permission {
        action: ActionPattern::new(action).unwrap(),
        resource: ResourcePattern::new(resource).unwrap(),
    }
}

fn member(role: &str) -> Right {
    Right::Member(Membership::Role(role.into()))
}

fn facts<'a>() -> TokenFacts<'a> {
    TokenFacts {
        issuer: ISS,
        subject: Some("u1"),
        jti: Some("j1"),
        session: Some("s1"),
        client: Some("app"),
        key_id: Some("k1"),
        tenant: Some("t1"),
        issued_at: Some(UnixS(START_MS / 1000 - 600)),
        not_before: None,
        expires_at: UnixS(START_MS / 1000 + 3000),
        leeway: Duration::ZERO,
        fingerprint: [5; 32],
        twin_fingerprint: None,
        roles: &[],
        groups: &[],
        permissions: &[],
    }
}

#[test]
fn nothing_is_allowed_without_a_live_entitlement() {
    let mut world = World::new(StalePolicies::default());
    let bearer = world.bearer(|_| {});
    assert_eq!(world.ask(&bearer).reason, Reason::EntitlementAbsent);
    let id = world.allow_user();
    let decision = world.ask(&bearer);
    assert!(decision.is_allow());
    assert_eq!(decision.entitlements.as_slice(), [id]);
    assert_eq!(decision.freshness, Freshness::Fresh);
    assert_eq!(decision.staleness, Duration::from_secs(1));
}

#[test]
fn s12_unsynced_and_faulty_views_deny_everything() {
    let mut world = World::new(StalePolicies { service: StalePolicy::BestEffort, actions: Vec::new() });
    world.allow_user();
    let bearer = world.bearer(|_| {});
    world.published.synced = false;
    assert_eq!(world.ask(&bearer).reason, Reason::NotReady);
    world.published.synced = true;
    world.published.lease = None;
    assert_eq!(world.ask(&bearer).reason, Reason::NotReady);
}

#[test]
fn s1_the_policy_decides_past_the_lease_and_the_strictest_wins() {
    let late = BootNs(6_000_000_000);
    let ask = |policies| {
        let mut world = World::new(policies);
        world.allow_user();
        world.ask_at(&world.bearer(|_| {}), late)
    };
    let only = |service| StalePolicies { service, actions: Vec::new() };
    assert_eq!(ask(only(StalePolicy::default())).reason, Reason::StaleStrict);
    let served = ask(only(StalePolicy::FailStatic(Duration::from_secs(300))));
    assert_eq!(
        (served.effect, served.freshness, served.valid_for),
        (Effect::Allow, Freshness::Stale, Duration::ZERO)
    );
    assert_eq!(ask(only(StalePolicy::FailStatic(Duration::from_secs(6)))).reason, Reason::StaleStrict);
    assert!(ask(only(StalePolicy::BestEffort)).is_allow());
    let strict_refunds = StalePolicies {
        service: StalePolicy::BestEffort,
        actions: vec![(ActionPattern::new("refund:*").unwrap(), StalePolicy::Strict(Duration::from_secs(2)))],
    };
    assert_eq!(ask(strict_refunds).reason, Reason::StaleStrict);
}

#[test]
fn s1_the_last_fresh_reading_is_just_before_the_bound() {
    let mut world = World::new(StalePolicies::default());
    world.allow_user();
    let bearer = world.bearer(|_| {});
    let bound = world.published.lease.unwrap().fresh_until(Duration::from_secs(5));
    assert!(world.ask_at(&bearer, BootNs(bound.0 - 1)).is_allow());
    assert_eq!(world.ask_at(&bearer, bound).reason, Reason::StaleStrict);
}

#[test]
fn each_target_denies_with_its_own_reason() {
    let cases = [
        (RecordKind::Revoke, "token:https://idp.example#j1", Reason::RevokedToken),
        (RecordKind::Revoke, "session:https://idp.example#s1", Reason::RevokedSession),
        (RecordKind::Revoke, "key:https://idp.example#k1", Reason::RevokedKey),
        (RecordKind::Hold, "user:u1", Reason::Held(TargetKind::User)),
        (RecordKind::Hold, "session:https://idp.example#s1", Reason::Held(TargetKind::Session)),
        (RecordKind::Kill, "client:app", Reason::Killed(TargetKind::Client)),
        (RecordKind::Kill, "tenant:t1", Reason::Killed(TargetKind::Tenant)),
        (RecordKind::Kill, "service:payments", Reason::Killed(TargetKind::Service)),
        (RecordKind::Kill, "all", Reason::Killed(TargetKind::All)),
    ];
    for (kind, target, reason) in cases {
        let mut world = World::new(StalePolicies::default());
        world.allow_user();
        let id = world.record(kind, target, None);
        let decision = world.ask(&world.bearer(|_| {}));
        assert_eq!((decision.reason, decision.records.as_slice()), (reason, &[id][..]), "{target}");
    }
    let mut world = World::new(StalePolicies::default());
    world.allow_user();
    for other in ["tenant:t2", "client:other", "service:crm"] {
        world.record(RecordKind::Kill, other, None);
    }
    world.record(RecordKind::Revoke, "session:https://other#s1", None);
    assert!(world.ask(&world.bearer(|_| {})).is_allow());
}

#[test]
fn d1_all_that_match_are_listed_in_order_and_the_highest_cutoff_counts() {
    let mut world = World::new(StalePolicies::default());
    world.allow_user();
    let cut = START_MS / 1000;
    let ids = [
        world.record(RecordKind::Revoke, "user:u1", Some(cut)),
        world.record(RecordKind::Revoke, "user:u1", Some(cut - 10_000)),
        world.record(RecordKind::Kill, "tenant:t1", None),
        world.record(RecordKind::Disable, "user:https://idp.example#u1", Some(cut - 10_000)),
    ];
    let decision = world.ask(&world.bearer(|_| {}));
    assert_eq!(decision.reason, Reason::Killed(TargetKind::Tenant));
    assert_eq!(decision.records.as_slice(), [ids[0], ids[2], ids[3]]);
}

#[test]
fn d5_the_second_of_the_cutoff_is_dead_and_says_when_to_retry() {
    let mut world = World::new(StalePolicies::default());
    world.allow_user();
    let cut = START_MS / 1000 - 5;
    world.record(RecordKind::Revoke, "user:u1", Some(cut));
    let at = |iat| world.ask(&world.bearer(|facts| facts.issued_at = Some(UnixS(iat))));
    assert_eq!((at(cut).reason, at(cut).retry_after_s), (Reason::RevokedCutoff, Some(1)));
    assert_eq!((at(cut - 1).reason, at(cut - 1).retry_after_s), (Reason::RevokedCutoff, None));
    assert!(at(cut + 1).is_allow());
}

#[test]
fn d6_missing_claims_are_the_worst_case() {
    let mut world = World::new(StalePolicies::default());
    world.allow_user();
    assert_eq!(world.ask(&world.bearer(|f| f.subject = None)).reason, Reason::EntitlementAbsent);
    world.record(RecordKind::Revoke, "user:u1", Some(0));
    assert_eq!(world.ask(&world.bearer(|f| f.issued_at = None)).reason, Reason::RevokedCutoff);
    assert!(world.ask(&world.bearer(|_| {})).is_allow());
    world.record(RecordKind::Revoke, &format!("token:sha256:{}", "05".repeat(32)), None);
    assert_eq!(world.ask(&world.bearer(|f| f.jti = None)).reason, Reason::RevokedToken);
    let twin = world.bearer(|f| (f.fingerprint, f.twin_fingerprint) = ([6; 32], Some([5; 32])));
    assert_eq!(world.ask(&twin).reason, Reason::RevokedToken);
}

#[test]
fn d3_d4_reinstate_and_lift() {
    let mut world = World::new(StalePolicies::default());
    world.allow_user();
    let cut = START_MS / 1000 - 5;
    let id = world.record(RecordKind::Disable, "user:u1", Some(cut));
    let (old, new) = (world.bearer(|_| {}), world.bearer(|f| f.issued_at = Some(UnixS(cut + 1))));
    assert_eq!(world.ask(&new).reason, Reason::DisabledIdentity);
    world.reinstate(id, "user:u1");
    assert_eq!(world.ask(&old).reason, Reason::RevokedCutoff);
    assert!(world.ask(&new).is_allow());

    let kill = world.record(RecordKind::Kill, "tenant:t1", None);
    assert!(!world.ask(&new).is_allow());
    world.lift(kill, "tenant:t1", None);
    assert!(world.ask(&new).is_allow());
    let kill = world.record(RecordKind::Kill, "tenant:t1", None);
    world.lift(kill, "tenant:t1", Some(cut + 1));
    assert_eq!(world.ask(&new).reason, Reason::RevokedCutoff);
    assert!(world.ask(&world.bearer(|f| f.issued_at = Some(UnixS(cut + 2)))).is_allow());
}

#[test]
fn a_kill_on_the_requests_tenant_counts_as_well_as_on_the_tokens() {
    let mut world = World::new(StalePolicies::default());
    world.allow_user();
    let id = world.record(RecordKind::Kill, "tenant:t2", None);
    let bearer = world.bearer(|_| {});
    let query =
        Query { bearer: &bearer, action: "refund:create", resource: "/orders/17", tenant: Some("t2") };
    let decision = decide(&world.published, &world.enforcement, &query, second);
    assert_eq!(
        (decision.reason, decision.records.as_slice()),
        (Reason::Killed(TargetKind::Tenant), &[id][..])
    );
}

#[test]
fn s15_expiry_is_judged_on_controller_time() {
    let mut world = World::new(StalePolicies::default());
    world.allow_user();
    let exp = START_MS / 1000 + 1;
    let bearer = world.bearer(|facts| facts.expires_at = UnixS(exp));
    assert!(world.ask_at(&bearer, BootNs(900_000_000)).is_allow());
    assert_eq!(world.ask_at(&bearer, second()).reason, Reason::Token(TokenFault::Expired));
    let early = world.bearer(|facts| facts.not_before = Some(UnixS(exp + 5)));
    assert_eq!(world.ask(&early).reason, Reason::Token(TokenFault::Invalid));
}

#[test]
fn roles_are_live_and_drift_is_named() {
    let mut world = World::new(StalePolicies::default());
    world.grant(Holder::Role("refunds".into()), permission("refund:*", "/orders/*"), None, Window::default());
    let roles = ["refunds".into()];
    let bearer = Bearer::new(world.published.view.hasher(), &TokenFacts { roles: &roles, ..facts() });
    let decision = world.ask(&bearer);
    assert_eq!((decision.reason, decision.drift), (Reason::EntitlementAbsent, Drift::ClaimSaysYes(0)));
    let id = world.grant(user(), member("refunds"), None, Window::default());
    let decision = world.ask(&bearer);
    assert_eq!(
        (decision.effect, decision.drift, decision.entitlements.len()),
        (Effect::Allow, Drift::None, 2)
    );
    let other = ["other".into()];
    let unnamed = Bearer::new(world.published.view.hasher(), &TokenFacts { roles: &other, ..facts() });
    assert_eq!(world.ask(&unnamed).drift, Drift::LiveSaysYes);
    let holder = user();
    world.apply(Lane::Grant(0), |_| ChangeBody::Withdraw { entitlement: id, holder });
    assert_eq!(world.ask(&bearer).reason, Reason::EntitlementAbsent);
}

#[test]
fn memberships_may_be_circles_and_nest_to_a_limit() {
    let mut world = World::new(StalePolicies::default());
    world.grant(user(), member("a"), None, Window::default());
    world.grant(Holder::Role("a".into()), member("b"), None, Window::default());
    world.grant(Holder::Role("b".into()), member("a"), None, Window::default());
    let bearer = world.bearer(|_| {});
    assert_eq!(world.ask(&bearer).reason, Reason::EntitlementAbsent);
    world.grant(Holder::Role("b".into()), permission("*", "*"), None, Window::default());
    assert!(world.ask(&bearer).is_allow());
}

#[test]
fn windows_and_tenants_bind() {
    let mut world = World::new(StalePolicies::default());
    let now = START_MS / 1000 + 1;
    let window = |from: i64, until: i64| Window::new(Some(UnixS(from)), Some(UnixS(until))).unwrap();
    let all = || permission("*", "*");
    world.grant(user(), all(), None, window(now - 100, now));
    world.grant(user(), all(), None, window(now + 1, now + 100));
    let bearer = world.bearer(|_| {});
    assert_eq!(world.ask(&bearer).reason, Reason::EntitlementExpired);
    world.grant(user(), all(), Some("t2"), window(now - 100, now + 100));
    assert_eq!(world.ask(&bearer).reason, Reason::EntitlementExpired);
    world.grant(user(), all(), Some("t1"), window(now - 100, now + 100));
    assert!(world.ask(&bearer).is_allow());
}

#[test]
fn stale_policies_parse_and_print() {
    for text in ["strict(5s)", "strict(2.5s)", "fail_static(300s)", "best_effort"] {
        assert_eq!(text.parse::<StalePolicy>().unwrap().to_string(), text);
    }
    assert_eq!("fail_static(5m)".parse(), Ok(StalePolicy::FailStatic(Duration::from_secs(300))));
    for bad in [
        "",
        "strict",
        "strict()",
        "strict(1s)",
        "strict(31s)",
        "fail_static(25h)",
        "fail_static(0s)",
        "strict(-5s)",
        "strict(5)",
        "strict(NaNs)",
    ] {
        assert!(bad.parse::<StalePolicy>().is_err(), "{bad}");
    }
}
