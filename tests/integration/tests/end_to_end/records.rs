//! What each kind of record does everywhere, and what its end gives back.

use rescind_integration::Scene;
use rescind_testkit::{KitResult, SOON, now_s, until};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_session_is_denied_everywhere_and_only_it() -> KitResult {
    let scene = Scene::three().await?;
    let clerk = scene.clerk("alice").await?;
    let (phone, laptop) = (clerk.clone().session("phone").sign()?, clerk.session("laptop").sign()?);
    scene.allowed(&phone)?;
    scene.allowed(&laptop)?;
    let record = scene.record("revoke", &scene.target("session", "phone")).await?;
    scene.denied(&phone, "revoked.session", &[&record])?;
    scene.allowed(&laptop)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_token_is_dead_by_its_jti_or_by_its_hash() -> KitResult {
    let scene = Scene::one().await?;
    let clerk = scene.clerk("alice").await?;
    let named = clerk.clone().jti("j-1").sign()?;
    let nameless = clerk.clone().without("jti").sign()?;
    let other = clerk.jti("j-2").sign()?;
    let by_jti = scene.record("revoke", &scene.target("token", "j-1")).await?;
    scene.denied(&named, "revoked.token", &[&by_jti])?;
    scene.allowed(&nameless)?;
    let digest = rescind_testkit::issuer::sha256_hex(&nameless);
    let by_hash = scene.record("revoke", &format!("token:sha256:{digest}")).await?;
    scene.denied(&nameless, "revoked.token", &[&by_hash])?;
    scene.allowed(&other)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_cutoff_kills_a_login_in_the_same_second_once() -> KitResult {
    let scene = Scene::three().await?;
    let clerk = scene.clerk("alice").await?;
    let old = clerk.clone().sign()?;
    let record = scene.record("revoke", &scene.user("alice")).await?;
    let cutoff = record.cutoff.unwrap_or_default();
    assert!((now_s() - cutoff).abs() <= 5, "cutoff {cutoff} is not now");
    scene.denied(&old, "revoked.cutoff", &[&record])?;
    for decision in scene.denied(&clerk.clone().issued_at(cutoff).sign()?, "revoked.cutoff", &[&record])? {
        assert_eq!(decision.retry_after_s, Some(1), "{decision:?}");
    }
    until("the next second", SOON, || now_s() > cutoff).await?;
    scene.allowed(&clerk.clone().issued_at(cutoff + 1).sign()?)?;
    // D6: without an issue time any cutoff kills.
    scene.denied(&clerk.without("iat").sign()?, "revoked.cutoff", &[&record])?;
    scene.allowed(&scene.clerk("bob").await?.sign()?)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reinstated_user_logs_in_again_but_old_tokens_stay_dead() -> KitResult {
    let scene = Scene::three().await?;
    let clerk = scene.clerk("alice").await?;
    let old = clerk.clone().sign()?;
    let record = scene.record("disable", &scene.user("alice")).await?;
    let cutoff = record.cutoff.unwrap_or_default();
    until("the next second", SOON, || now_s() > cutoff).await?;
    let new = clerk.issued_at(cutoff + 1).sign()?;
    // A standing deny: whatever the issue time.
    scene.denied(&new, "disabled.identity", &[&record])?;
    let end = scene.ir.reinstate(&record.id).await?;
    scene.settled(end).await?;
    scene.denied(&old, "revoked.cutoff", &[&record])?;
    scene.allowed(&new)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lifted_hold_gives_old_credentials_back_unless_it_is_lifted_with_a_cutoff() -> KitResult {
    let scene = Scene::three().await?;
    let clerk = scene.clerk("alice").await?;
    let old = clerk.clone().sign()?;
    let first = scene.record("hold", &scene.user("alice")).await?;
    scene.denied(&old, "held.user", &[&first])?;
    let end = scene.ir.lift(&first.id, "resume").await?;
    scene.settled(end).await?;
    scene.allowed(&old)?;
    let second = scene.record("hold", &scene.user("alice")).await?;
    let end = scene.ir.lift(&second.id, "now").await?;
    let cutoff = scene.settled(end).await?.cutoff.unwrap_or_default();
    scene.denied(&old, "revoked.cutoff", &[&second])?;
    until("a second after the cutoff", SOON, || now_s() > cutoff).await?;
    scene.allowed(&clerk.issued_at(now_s()).sign()?)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lift_ends_its_own_record_only() -> KitResult {
    let scene = Scene::one().await?;
    let token = scene.clerk("alice").await?.sign()?;
    let first = scene.record("hold", &scene.user("alice")).await?;
    let second = scene.record("hold", &scene.user("alice")).await?;
    scene.denied(&token, "held.user", &[&first, &second])?;
    let end = scene.ir.lift(&first.id, "resume").await?;
    scene.settled(end).await?;
    scene.denied(&token, "held.user", &[&second])?;
    let again =
        scene.ir.post(&json!({ "kind": "lift", "record": first.id, "idempotency_key": "again" })).await?;
    assert_eq!(again.refused()?.0, "already_ended");
    let end = scene.ir.lift(&second.id, "resume").await?;
    scene.settled(end).await?;
    scene.allowed(&token)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_client_or_tenant_comes_back_with_its_old_tokens() -> KitResult {
    let scene = Scene::three().await?;
    let clerk = scene.clerk("alice").await?;
    let inside = clerk.clone().client("shop").tenant("acme").sign()?;
    let outside = clerk.client("desk").tenant("umbrella").sign()?;
    for (target, code) in [("client:shop", "killed.client"), ("tenant:acme", "killed.tenant")] {
        scene.allowed(&inside)?;
        let kill = scene.record("kill", target).await?;
        scene.denied(&inside, code, &[&kill])?;
        scene.allowed(&outside)?;
        let end = scene.ir.lift(&kill.id, "resume").await?;
        scene.settled(end).await?;
        scene.allowed(&inside)?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_service_denies_at_its_own_agents_and_all_at_every_one() -> KitResult {
    let scene = Scene::three().await?;
    let token = scene.clerk("alice").await?.sign()?;
    let kill = scene.record("kill", "service:payments").await?;
    for agent in scene.realm.agents() {
        let code = agent.code(&token, rescind_integration::ACTION, rescind_integration::RESOURCE)?;
        let expected = if agent.id() == "payments-1" { "killed.service" } else { "entitled" };
        assert_eq!(code, expected, "{}", agent.id());
    }
    let end = scene.ir.lift(&kill.id, "resume").await?;
    scene.settled(end).await?;
    let kill = scene.record("kill", "all").await?;
    scene.denied(&token, "killed.all", &[&kill])?;
    let end = scene.ir.lift(&kill.id, "resume").await?;
    scene.settled(end).await?;
    scene.allowed(&token)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_signing_key_kills_what_it_signed() -> KitResult {
    let scene = Scene::three().await?;
    let clerk = scene.clerk("alice").await?;
    let (old, old_kid) = (clerk.clone().sign()?, scene.realm.issuer().kid()?);
    let new_kid = scene.realm.issuer().rotate()?;
    assert_ne!(old_kid, new_kid);
    let new = clerk.sign()?;
    scene.becomes(&new, "entitled").await?;
    let record = scene.record("revoke", &scene.target("key", &old_kid)).await?;
    scene.denied(&old, "revoked.key", &[&record])?;
    scene.allowed(&new)
}

#[tokio::test(flavor = "multi_thread")]
async fn all_that_match_are_listed_and_the_reason_is_the_first_in_order() -> KitResult {
    let scene = Scene::one().await?;
    let token = scene.clerk("alice").await?.session("s").tenant("acme").sign()?;
    let disable = scene.record("disable", &scene.user("alice")).await?;
    let session = scene.record("revoke", &scene.target("session", "s")).await?;
    let kill = scene.record("kill", "tenant:acme").await?;
    scene.denied(&token, "killed.tenant", &[&disable, &session, &kill])?;
    let end = scene.ir.lift(&kill.id, "resume").await?;
    scene.settled(end).await?;
    scene.denied(&token, "revoked.session", &[&disable, &session]).map(drop)
}
