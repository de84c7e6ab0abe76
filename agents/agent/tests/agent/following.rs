//! An agent on a real broker: starts, follows, heals, stops.

use std::sync::Arc;
use std::time::Duration;

use rescind_agent::{Agent, AgentConfig, Freshness, Lane, NotReadyError, Query};
use rescind_core::change::ChangeBody;
use rescind_core::entitlement::{ActionPattern, Entitlement, Holder, ResourcePattern, Right, Window};
use rescind_core::position::Position;
use rescind_core::record::RecordKind;
use rescind_token::{Algorithm, Issuer, SignOptions};
use serde_json::json;

use crate::controller::{Broker, Controller, now};
use crate::realm::{ISSUER, Realm};

const LIMIT: Duration = Duration::from_secs(20);

struct World {
    realm: Arc<Realm>,
    broker: Broker,
    controller: Controller,
    issuer: Issuer,
}

impl World {
    async fn start() -> Self {
        let realm = Arc::new(Realm::new());
        let broker = Broker::start();
        let controller = Controller::start(&realm, &broker).await;
        let issuer = Issuer::generate(ISSUER, &[Algorithm::Es256]).unwrap();
        std::fs::write(realm.path("jwks.json"), issuer.jwks_json()).unwrap();
        Self { realm, broker, controller, issuer }
    }

    fn token(&self, session: &str) -> String {
        let issued = now().0 / 1000 - 60;
        let claims = json!({
            "iss": ISSUER, "aud": "payments", "sub": "alice", "sid": session, "jti": format!("jti-{session}"),
            "iat": issued, "exp": issued + 3600, "roles": ["admin"],
        });
        self.issuer.sign(&claims, &SignOptions::default()).unwrap()
    }

    fn config(&self) -> AgentConfig {
        AgentConfig::parse(&self.realm.toml(&self.broker.url(), "jwks.json"), self.realm.folder()).unwrap()
    }

    async fn agent(&self) -> Agent {
        let agent = Agent::connect(self.config()).await.unwrap();
        agent.ready_within(LIMIT).await.unwrap();
        agent
    }

    async fn grant_alice(&self) {
        self.controller
            .commit(Lane::Grant(0), true, |id| {
                let right = Right::Permission {
                    action: ActionPattern::new("refund:*").unwrap(),
                    resource: ResourcePattern::new("*").unwrap(),
                };
                let holder = Holder::User { issuer: ISSUER.into(), id: "alice".into() };
                ChangeBody::Grant(Entitlement { id, holder, right, tenant: None, window: Window::default() })
            })
            .await;
    }

    /// Until decisions see everything that was committed.
    async fn settle(&self, agent: &Agent) {
        let heads = self.controller.heads();
        agent.reach(Lane::Deny, heads.deny.position, LIMIT).await.unwrap();
        agent.reach(Lane::Grant(0), heads.grant.position, LIMIT).await.unwrap();
    }
}

fn code(agent: &Agent, token: &str) -> &'static str {
    let query = Query { token, action: "refund:create", resource: "/orders/17", tenant: None };
    agent.decide(&query).reason.code()
}

/// Asks until the answer is the wanted one; every look is a decision of its own.
async fn until_code(agent: &Agent, token: &str, wanted: &str) {
    let look = async {
        while code(agent, token) != wanted {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let ended = tokio::time::timeout(LIMIT, look).await;
    assert!(ended.is_ok(), "still {} instead of {wanted}: {:?}", code(agent, token), agent.status());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_session_is_denied_and_another_one_is_not() {
    let world = World::start().await;
    world.grant_alice().await;
    let agent = world.agent().await;
    world.settle(&agent).await;
    let (one, two) = (world.token("s1"), world.token("s2"));
    assert_eq!((code(&agent, &one), code(&agent, &two)), ("entitled", "entitled"));
    let id = world.controller.record(RecordKind::Revoke, &format!("session:{ISSUER}#s1"), true).await;
    world.settle(&agent).await;
    assert_eq!((code(&agent, &one), code(&agent, &two)), ("revoked.session", "entitled"));
    let query = Query { token: &one, action: "refund:create", resource: "/orders/17", tenant: None };
    let explained = agent.explain(&query);
    assert_eq!((explained.effect, explained.records), ("deny", vec![id.to_string()]));
    agent.stop().await;
    assert_eq!(code(&agent, &two), "not_ready");
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_are_verified_once_and_bad_ones_are_named() {
    let world = World::start().await;
    world.grant_alice().await;
    let agent = world.agent().await;
    world.settle(&agent).await;
    let token = world.token("s1");
    for _ in 0..10 {
        assert_eq!(code(&agent, &token), "entitled");
    }
    let metrics = agent.metrics();
    assert_eq!((metrics.tokens_verified, metrics.decisions_allowed), (1, 10));
    let verified = agent.verify(&token).unwrap();
    assert!(agent.decide_verified(&verified, "refund:create", "/orders/17", None).is_allow());
    assert!(!agent.decide_verified(&verified, "orders:delete", "/orders/17", None).is_allow());
    assert_eq!(code(&agent, "not.a.token"), "token.invalid");
    let forged = format!("{}AAAA", token.split_at(token.len() - 4).0);
    assert_eq!(code(&agent, &forged), "token.invalid");
    let query = Query { token: &forged, action: "a", resource: "r", tenant: None };
    assert!(agent.explain(&query).token_error.is_some());
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_lease_the_agent_is_not_ready_and_says_what_is_missing() {
    let world = World::start().await;
    world.controller.granting(false);
    let agent = Agent::connect(world.config()).await.unwrap();
    let NotReadyError { missing, .. } = agent.ready_within(Duration::from_millis(300)).await.unwrap_err();
    assert!(missing.iter().any(|text| text.contains("lease")), "{missing:?}");
    assert_eq!(code(&agent, &world.token("s1")), "not_ready");
    assert_eq!(agent.freshness(), Freshness::Unsynced);
    world.controller.granting(true);
    agent.ready_within(LIMIT).await.unwrap();
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_is_cut_off_goes_stale_and_comes_back() {
    let world = World::start().await;
    world.grant_alice().await;
    let agent = world.agent().await;
    world.settle(&agent).await;
    let token = world.token("s1");
    assert_eq!(code(&agent, &token), "entitled");
    world.controller.granting(false);
    until_code(&agent, &token, "stale.strict").await;
    assert_eq!(agent.freshness(), Freshness::Stale);
    world.controller.granting(true);
    until_code(&agent, &token, "entitled").await;
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_never_came_live_is_fetched_before_the_next_lease() {
    let world = World::start().await;
    world.grant_alice().await;
    let agent = world.agent().await;
    world.settle(&agent).await;
    let token = world.token("s1");
    assert_eq!(code(&agent, &token), "entitled");
    world.controller.record(RecordKind::Revoke, &format!("session:{ISSUER}#s1"), false).await;
    until_code(&agent, &token, "revoked.session").await;
    assert!(agent.metrics().ranges >= 1);
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tail_that_is_gone_is_replaced_by_a_snapshot() {
    let world = World::start().await;
    for number in 0..20 {
        world.controller.record(RecordKind::Revoke, &format!("session:{ISSUER}#s{number}"), false).await;
    }
    world.controller.trim();
    world.grant_alice().await;
    let agent = world.agent().await;
    world.settle(&agent).await;
    assert_eq!(code(&agent, &world.token("s7")), "revoked.session");
    assert_eq!(code(&agent, &world.token("s77")), "entitled");
    assert!(agent.metrics().snapshots >= 1);
    assert_eq!(agent.status().records, 20);
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_controller_behind_agents_hand_back_what_it_signed() {
    let mut world = World::start().await;
    world.grant_alice().await;
    let agent = world.agent().await;
    for number in 1..=3 {
        world.controller.record(RecordKind::Revoke, &format!("session:{ISSUER}#s{number}"), true).await;
    }
    world.settle(&agent).await;
    world.controller.behind(Some(Position::new(1, 1)));
    for revision in [2, 3] {
        let entry = world.controller.handed_back().await;
        assert_eq!(entry.first.0, revision, "everything after the place, in order, as it was signed");
    }
    world.controller.report(|report| report.fault.starts_with("controller_behind deny 1/1")).await;
    let fault = agent.status().fault.unwrap_or_default();
    assert!(fault.starts_with("controller_behind"), "{fault}");
    world.controller.behind(None);
    world.controller.report(|report| report.fault.is_empty() && report.freshness == Freshness::Fresh).await;
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_warm_start_goes_on_from_the_store_and_needs_a_new_lease() {
    let mut world = World::start().await;
    world.grant_alice().await;
    world.controller.record(RecordKind::Revoke, &format!("session:{ISSUER}#s1"), true).await;
    let agent = world.agent().await;
    world.settle(&agent).await;
    let heads = world.controller.heads();
    world.controller.report(|report| report.durable == heads).await;
    assert_eq!(agent.durable(), heads);
    agent.stop().await;
    world.controller.granting(false);
    let agent = Agent::connect(world.config()).await.unwrap();
    assert_eq!(agent.position(), heads);
    assert_eq!(agent.status().store.mode, "disk");
    assert_eq!(code(&agent, &world.token("s1")), "not_ready");
    world.controller.granting(true);
    agent.ready_within(LIMIT).await.unwrap();
    assert_eq!(code(&agent, &world.token("s1")), "revoked.session");
    assert_eq!((agent.metrics().ranges, agent.metrics().snapshots), (0, 0));
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rubbish_on_the_lane_changes_nothing() {
    let world = World::start().await;
    world.grant_alice().await;
    let agent = world.agent().await;
    world.settle(&agent).await;
    world.controller.shout(vec![0xff; 300]).await;
    world.controller.record(RecordKind::Revoke, &format!("session:{ISSUER}#s1"), true).await;
    world.settle(&agent).await;
    assert!(agent.metrics().unreadable >= 1);
    assert_eq!(code(&agent, &world.token("s1")), "revoked.session");
    assert_eq!(code(&agent, &world.token("s2")), "entitled");
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_deny_by_a_record_is_reported() {
    let mut world = World::start().await;
    world.grant_alice().await;
    let agent = world.agent().await;
    world.controller.record(RecordKind::Kill, "client:other", true).await;
    world.controller.record(RecordKind::Revoke, &format!("session:{ISSUER}#s1"), true).await;
    world.settle(&agent).await;
    assert_eq!(code(&agent, &world.token("s1")), "revoked.session");
    let report = world.controller.report(|report| report.first_deny_at.is_some()).await;
    assert_eq!(report.applied, world.controller.heads());
    assert_eq!((report.agent.as_str(), report.stale_policy.as_ref()), ("payments-1", "strict(2s)"));
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn new_keys_of_an_issuer_make_cached_tokens_verify_again() {
    let mut world = World::start().await;
    world.grant_alice().await;
    let agent = world.agent().await;
    world.settle(&agent).await;
    let old = world.token("s1");
    assert_eq!(code(&agent, &old), "entitled");
    let other = Issuer::generate(ISSUER, &[Algorithm::Es256]).unwrap();
    std::fs::write(world.realm.path("jwks.json"), other.jwks_json()).unwrap();
    until_code(&agent, &old, "token.key").await;
    world.issuer = other;
    assert_eq!(code(&agent, &world.token("s1")), "entitled");
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_is_not_there_is_a_clear_error() {
    let realm = Realm::new();
    let config = AgentConfig::parse(&realm.toml("nats://127.0.0.1:1", "jwks.json"), realm.folder()).unwrap();
    let error = Agent::connect(config).await.map(|_| ()).unwrap_err();
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(cause.contains("127.0.0.1:1"), "{error}: {cause}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_restart_within_the_lease_changes_no_decision() {
    let mut world = World::start().await;
    world.grant_alice().await;
    let agent = world.agent().await;
    world.settle(&agent).await;
    let token = world.token("s1");
    world.broker.process.restart().unwrap();
    agent.ready_within(LIMIT).await.unwrap();
    world.controller.record(RecordKind::Revoke, &format!("session:{ISSUER}#s1"), false).await;
    until_code(&agent, &token, "revoked.session").await;
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dropping_the_last_handle_ends_the_agent() {
    let mut world = World::start().await;
    let agent = world.agent().await;
    let clone = agent.clone();
    drop(agent);
    assert_eq!(clone.freshness(), Freshness::Fresh);
    let instance = clone.status().instance;
    world.controller.report(|report| report.instance.to_string() == instance).await;
    drop(clone);
    // Its store is free again as soon as its tasks are gone.
    let free = async {
        loop {
            let agent = Agent::connect(world.config()).await.unwrap();
            let mode = agent.status().store.mode;
            agent.stop().await;
            if mode == "disk" {
                return;
            }
        }
    };
    tokio::time::timeout(LIMIT, free).await.unwrap();
}
