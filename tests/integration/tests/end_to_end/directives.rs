//! The HTTP path of directives: once per key, in bulk, inside rights, and nothing blank.

use std::collections::BTreeSet;

use rescind_integration::Scene;
use rescind_testkit::{Accepted, KitResult, TestRealm};
use serde_json::{Value, json};

/// Positions and digest of the controller: the same where nothing was accepted.
async fn place(scene: &Scene) -> KitResult<[Value; 3]> {
    let answer = scene.ir.get("/v1/position").await?;
    Ok(["deny", "grant", "digest"].map(|name| answer.field(name).clone()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeat_has_one_effect_and_the_same_id() -> KitResult {
    let scene = Scene::one().await?;
    let body = json!({ "kind": "hold", "target": scene.user("alice"), "idempotency_key": "k-1" });
    let first = scene.ir.post(&body).await?.accepted()?;
    assert!(!first.existing);
    for _ in 0..3 {
        let again = scene.ir.post(&body).await?.accepted()?;
        assert!(again.existing);
        assert_eq!((&again.id, again.position), (&first.id, first.position));
    }
    let token = scene.clerk("alice").await?.sign()?;
    scene.realm.settle(&first).await?;
    scene.denied(&token, "held.user", &[&first])?;
    let other = json!({ "kind": "hold", "target": scene.user("bob"), "idempotency_key": "k-1" });
    let answer = scene.ir.post(&other).await?;
    assert_eq!((answer.status, answer.refused()?.0.as_str()), (409, "idempotency_conflict"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn many_repeats_at_once_have_one_effect() -> KitResult {
    let scene = Scene::one().await?;
    let body = json!({ "kind": "hold", "target": scene.user("alice"), "idempotency_key": "k-1" });
    let posts: Vec<_> = (0..16)
        .map(|_| {
            let (ir, body) = (scene.ir.clone(), body.clone());
            tokio::spawn(async move { ir.post(&body).await?.accepted() })
        })
        .collect();
    let mut ids = BTreeSet::new();
    let mut new = 0;
    for post in posts {
        let accepted: Accepted = post.await.unwrap()?;
        ids.insert(accepted.id.clone());
        new += usize::from(!accepted.existing);
    }
    assert_eq!((ids.len(), new), (1, 1), "{ids:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn bulk_is_answered_one_by_one() -> KitResult {
    let scene = Scene::one().await?;
    let mut directives: Vec<Value> = (0..500)
        .map(|n| json!({ "kind": "revoke", "target": scene.target("session", &format!("s{n}")), "idempotency_key": format!("b{n}") }))
        .collect();
    directives[250] = json!({ "kind": "revoke", "target": "session:", "idempotency_key": "bad" });
    let answer = scene.ir.post(&json!({ "directives": directives })).await?;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let results = answer.field("results").as_array().cloned().unwrap_or_default();
    assert_eq!(results.len(), 500);
    let accepted: Vec<Accepted> = results.iter().filter_map(Accepted::read).collect();
    let ids: BTreeSet<&str> = accepted.iter().map(|one| one.id.as_str()).collect();
    assert_eq!((accepted.len(), ids.len()), (499, 499));
    assert_eq!(results[250]["state"], "refused", "{}", results[250]);
    let last = accepted.iter().max_by_key(|one| one.position).unwrap();
    scene.realm.settle(last).await?;
    let clerk = scene.clerk("alice").await?;
    for n in [0, 249, 251, 499] {
        let record = &accepted[if n > 250 { n - 1 } else { n }];
        scene.denied(&clerk.clone().session(&format!("s{n}")).sign()?, "revoked.session", &[record])?;
    }
    scene.allowed(&clerk.session("s250").sign()?)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_emitter_stays_inside_its_rights() -> KitResult {
    let builder = TestRealm::builder().agent("payments-1", "payments");
    let scene =
        Scene::of(builder.emitter("hr", &["disable", "reinstate"], 5).emitter("desk", &["kill"], 7)).await?;
    let (hr, desk) = (scene.realm.api("hr")?, scene.realm.api("desk")?);
    let kill = scene.record("kill", "tenant:acme").await?;
    let before = place(&scene).await?;
    let user = scene.user("alice");
    let refused = [
        (&hr, json!({ "kind": "revoke", "target": user })),
        (&hr, json!({ "kind": "kill", "target": "all" })),
        (&hr, json!({ "kind": "lift", "record": kill.id })),
        (&hr, json!({ "kind": "grant", "holder": user, "member_of": "role:clerk" })),
        (&desk, json!({ "kind": "kill", "target": "tenant:acme" })),
        (&desk, json!({ "kind": "kill", "target": "all" })),
        (&desk, json!({ "kind": "lift", "record": kill.id })),
    ];
    for (emitter, mut body) in refused {
        body["idempotency_key"] = "x".into();
        let answer = emitter.post(&body).await?;
        let (code, message) = answer.refused()?;
        assert_eq!((answer.status, code.as_str()), (403, "rights"), "{body}: {message}");
    }
    let stranger = scene.ir.with_token(&"0".repeat(64));
    assert_eq!(stranger.post(&json!({ "kind": "kill", "target": "all" })).await?.status, 401);
    assert_eq!(stranger.get("/v1/records").await?.status, 401);
    assert_eq!(place(&scene).await?, before, "a refusal changed something");
    hr.record("disable", &user).await?;
    desk.record("kill", "client:shop").await.map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn blank_wildcard_and_senseless_directives_are_refused() -> KitResult {
    let scene = Scene::one().await?;
    let before = place(&scene).await?;
    let user = scene.user("alice");
    let long = format!("user:{}", "x".repeat(10_000));
    let mut wrong: Vec<Value> = [
        "",
        " ",
        "user:",
        "user: ",
        "user:*",
        "session:https://idp.example#",
        "session:s1",
        "tenant:*",
        "ALL",
        "*",
        "nobody:x",
        long.as_str(),
    ]
    .iter()
    .map(|target| json!({ "kind": "hold", "target": target }))
    .collect();
    wrong.extend([
        json!({ "kind": "hold" }),
        json!({ "kind": "hold", "target": null }),
        json!({ "kind": "hold", "target": "all" }),
        json!({ "kind": "explode", "target": user }),
        json!({ "kind": "revoke", "target": "tenant:acme" }),
        json!({ "kind": "disable", "target": "client:shop" }),
        json!({ "kind": "kill", "target": user }),
        json!({ "kind": "revoke", "target": user, "cutoff": 99_999_999_999_i64 }),
        json!({ "kind": "hold", "target": user, "surprise": 1 }),
        json!({ "kind": "hold", "target": user, "reason_admin": "x".repeat(2000) }),
        json!({ "kind": "lift", "record": "deny-1-999" }),
        json!({ "kind": "lift", "record": "everything" }),
        json!({ "kind": "reinstate", "record": "grant0-1-1" }),
        json!({ "kind": "grant", "holder": user }),
        json!({ "kind": "grant", "holder": "user:", "action": "a", "resource": "/r" }),
        json!({ "kind": "grant", "holder": user, "action": "*a", "resource": "/r" }),
        json!([]),
        json!("hold"),
        json!({ "directives": "all" }),
    ]);
    for (number, mut body) in wrong.into_iter().enumerate() {
        if let Value::Object(fields) = &mut body {
            fields.entry("idempotency_key").or_insert_with(|| format!("w{number}").into());
        }
        let answer = scene.ir.post(&body).await?;
        let (code, message) = answer.refused()?;
        let shown: String = body.to_string().chars().take(120).collect();
        assert!((400..500).contains(&answer.status), "{shown}: {} {code} {message}", answer.status);
        assert!(message.len() > 10 && !code.is_empty(), "{shown}: `{message}` says too little");
    }
    assert_eq!(place(&scene).await?, before, "a refusal changed something");
    Ok(())
}
