//! Roles, permissions and drift: what a token claims never grants, what is withdrawn is gone at once.

use rescind_agent::{Drift, Query};
use rescind_integration::{ACTION, RESOURCE, Scene};
use rescind_testkit::{KitResult, now_s};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn a_withdrawn_role_is_gone_while_the_token_still_claims_it() -> KitResult {
    let scene = Scene::three().await?;
    let member = scene.ir.member(&scene.user("alice"), "role:clerk").await?;
    scene.realm.settle(&member).await?;
    let token = scene.realm.issuer().token("alice").roles(&["clerk"]).sign()?;
    scene.allowed(&token)?;
    let withdrawn = scene.ir.withdraw(&member.id).await?;
    scene.settled(withdrawn).await?;
    for decision in scene.denied(&token, "entitlement.absent", &[])? {
        assert!(matches!(decision.drift, Drift::ClaimSaysYes(_)), "{decision:?}");
    }
    let agent = scene.realm.agent("payments-1")?.handle()?;
    let query = Query { token: &token, action: ACTION, resource: RESOURCE, tenant: None };
    let drift = agent.explain(&query).drift;
    assert!(format!("{drift:?}").contains("clerk"), "the drift is not named: {drift:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_alone_grants_nothing_and_a_live_role_needs_no_claim() -> KitResult {
    let scene = Scene::one().await?;
    let claims =
        scene.realm.issuer().token("mallory").roles(&["clerk"]).claim("scope", "refund:create").sign()?;
    scene.denied(&claims, "entitlement.absent", &[])?;
    let live = scene.clerk("alice").await?.roles(&["intern"]).sign()?;
    scene.allowed(&live)?;
    let decision = scene.realm.agent("payments-1")?.ask(&live, ACTION, RESOURCE)?;
    assert_eq!((decision.drift, decision.entitlements.len()), (Drift::LiveSaysYes, 2), "{decision:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn action_resource_and_tenant_are_all_asked_for() -> KitResult {
    let scene = Scene::one().await?;
    let grant = scene.ir.directive(json!({
        "kind": "grant", "holder": scene.user("bob"), "action": "read", "resource": "/reports/7", "tenant": "acme",
    }));
    scene.settled(grant.await?).await?;
    let token = scene.realm.issuer().token("bob").tenant("acme").sign()?;
    let agent = scene.realm.agent("payments-1")?;
    let code = |action: &str, resource: &str, tenant: Option<&str>| {
        agent.ask_in(&token, action, resource, tenant).map(|decision| decision.reason.code())
    };
    assert_eq!(code("read", "/reports/7", None)?, "entitled");
    assert_eq!(code("read", "/reports/7", Some("umbrella"))?, "entitlement.absent");
    assert_eq!(code("reads", "/reports/7", None)?, "entitlement.absent");
    assert_eq!(code("read", "/reports/70", None)?, "entitlement.absent");
    assert_eq!(code("read", "/reports", None)?, "entitlement.absent");
    assert_eq!(code("", "", None)?, "entitlement.absent");
    let elsewhere = scene.realm.issuer().token("bob").tenant("umbrella").sign()?;
    assert_eq!(agent.code(&elsewhere, "read", "/reports/7")?, "entitlement.absent");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entitlement_ends_by_itself_at_the_end_of_its_window() -> KitResult {
    let scene = Scene::one().await?;
    let holder = scene.user("carol");
    let window = |from: i64, to: i64| {
        json!({
            "kind": "grant", "holder": holder, "action": "refund:*", "resource": "/orders/*",
            "not_before": from, "not_after": to,
        })
    };
    let token = scene.realm.issuer().token("carol").sign()?;
    let later = scene.ir.directive(window(now_s() + 3000, now_s() + 3600)).await?;
    scene.settled(later).await?;
    scene.denied(&token, "entitlement.expired", &[])?;
    let now = scene.ir.directive(window(now_s() - 10, now_s() + 4)).await?;
    scene.settled(now).await?;
    scene.allowed(&token)?;
    scene.becomes(&token, "entitlement.expired").await
}
