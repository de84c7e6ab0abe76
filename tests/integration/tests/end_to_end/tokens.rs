//! Bad tokens at a whole agent: each is denied with its own code, and none harms the next request.

use rescind_integration::{ACTION, RESOURCE, Scene};
use rescind_testkit::{KitResult, TestIssuer, now_s};

#[tokio::test(flavor = "multi_thread")]
async fn malformed_and_foreign_tokens_are_denied_by_name() -> KitResult {
    let scene = Scene::one().await?;
    let clerk = scene.clerk("alice").await?;
    let good = clerk.clone().sign()?;
    let stranger = TestIssuer::start().await?;
    let unknown = clerk.clone().claim("iss", "https://elsewhere.example").sign()?;
    let expired = clerk.clone().claim("exp", now_s() - 5).sign()?;
    let early = clerk.clone().claim("nbf", now_s() + 600).sign()?;
    let audience = clerk.claim("aud", "somebody-else").sign()?;
    let forged_key = stranger.token("alice").sign()?;
    let mut bent = good.clone();
    bent.truncate(good.len() - 4);
    bent.push_str("AAAA");
    let huge = format!("{good}{}", "A".repeat(64 * 1024));
    let cases = [
        ("", "token.invalid"),
        ("a.b.c", "token.invalid"),
        ("not a token", "token.invalid"),
        (bent.as_str(), "token.invalid"),
        (huge.as_str(), "token.invalid"),
        (unknown.as_str(), "token.issuer"),
        (forged_key.as_str(), "token.key"),
        (expired.as_str(), "token.expired"),
        (early.as_str(), "token.invalid"),
        (audience.as_str(), "token.audience"),
    ];
    let agent = scene.realm.agent("payments-1")?;
    for (token, code) in cases {
        let shown: String = token.chars().take(40).collect();
        assert_eq!(agent.code(token, ACTION, RESOURCE)?, code, "`{shown}`");
        scene.allowed(&good)?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_without_a_subject_holds_nothing() -> KitResult {
    let scene = Scene::one().await?;
    let token = scene.clerk("alice").await?.without("sub").sign()?;
    let code = scene.realm.agent("payments-1")?.code(&token, ACTION, RESOURCE)?;
    assert!(matches!(code, "entitlement.absent" | "token.invalid"), "{code}");
    Ok(())
}
