//! Directives over the bus: signed by the emitter, judged by its certificate.

use std::time::Duration;

use rescind_bus::Bus;
use rescind_codec::{DirectiveAnswer, SecretKey, decode_answer, encode_directive};
use rescind_core::{
    change::{Ask, Directive, Origin},
    ids::{EmitterId, IdempotencyKey},
    record::RecordKind,
};
use rescind_integration::Scene;
use rescind_testkit::{Accepted, KitError, KitResult, SOON, TestRealm};

fn ask(kind: RecordKind, target: &str, key: &str) -> KitResult<Directive> {
    let wrong = || KitError::because("build a directive");
    let target = target.parse().map_err(KitError::because("read a target"))?;
    Ok(Directive {
        origin: Origin {
            emitter: EmitterId::new("ir").map_err(wrong())?,
            key: IdempotencyKey::new(key).map_err(wrong())?,
            requested_by: Some("workflow 7".into()),
            reason_code: Some("leaver".into()),
            incident: None,
            known_at: None,
        },
        reason_admin: Some("private text".into()),
        ask: Ask::Record { kind, target, cutoff: None },
    })
}

/// Sends a directive as an emitter and reads the controller's signed answer.
async fn send(
    scene: &Scene,
    bus: &Bus,
    emitter: &str,
    signer: &SecretKey,
    directive: &Directive,
) -> KitResult<DirectiveAnswer> {
    let bytes = encode_directive(directive, &scene.realm.pin().chain, signer);
    let subject = scene.realm.subjects()?.directive();
    let answer =
        bus.request(&subject, bytes.into(), SOON).await.map_err(KitError::because("send a directive"))?;
    let to = EmitterId::new(emitter).map_err(KitError::because("name an emitter"))?;
    decode_answer(&answer, &to, &directive.origin.key, scene.realm.trust())
        .map_err(KitError::because("read the answer"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_directive_over_the_bus_is_enforced_once() -> KitResult {
    let scene = Scene::three().await?;
    let token = scene.clerk("alice").await?.sign()?;
    let bus = scene.realm.bus("emitter-ir").await?;
    let key = scene.realm.files().secret("emitter-ir")?;
    let directive = ask(RecordKind::Disable, &scene.user("alice"), "wf-1")?;
    let DirectiveAnswer::Accepted { id, position, existing: false, cutoff, .. } =
        send(&scene, &bus, "ir", &key, &directive).await?
    else {
        return Err(KitError::new("the directive was not accepted"));
    };
    assert!(cutoff.is_some());
    let record = Accepted {
        id: id.to_string(),
        lane: id.lane(),
        position,
        existing: false,
        accepted_at_ms: 0,
        cutoff: cutoff.map(|at| at.0),
    };
    scene.realm.settle(&record).await?;
    scene.denied(&token, "disabled.identity", &[&record])?;
    let again = send(&scene, &bus, "ir", &key, &directive).await?;
    assert!(
        matches!(again, DirectiveAnswer::Accepted { id: same, existing: true, .. } if same == id),
        "{again:?}"
    );
    let row = scene.ir.get(&format!("/v1/records/{id}")).await?;
    assert_eq!(row.field("emitter"), "ir", "{}", row.body);
    assert_eq!(row.field("requested_by"), "workflow 7", "{}", row.body);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_emitter_without_the_right_is_refused_with_a_reason() -> KitResult {
    let builder = TestRealm::builder().agent("payments-1", "payments").emitter("hr", &["disable"], 5);
    let scene = Scene::of(builder).await?;
    let token = scene.clerk("alice").await?.sign()?;
    let bus = scene.realm.bus("emitter-hr").await?;
    let key = scene.realm.files().secret("emitter-hr")?;
    for (kind, target) in [(RecordKind::Kill, "all"), (RecordKind::Revoke, scene.user("alice").as_str())] {
        let answer = send(&scene, &bus, "hr", &key, &ask(kind, target, "no")?).await?;
        let DirectiveAnswer::Refused { code, message } = answer else {
            return Err(KitError::new(format!("not refused: {answer:?}")));
        };
        assert!(&*code == "rights" && message.len() > 10, "{code}: {message}");
    }
    scene.allowed(&token)
}

/// Nothing unsigned, bent, or signed with a key that is no emitter's is ever accepted, even from a client that
/// may publish it.
#[tokio::test(flavor = "multi_thread")]
async fn a_directive_that_does_not_verify_has_no_effect() -> KitResult {
    let scene = Scene::one().await?;
    let token = scene.clerk("alice").await?.sign()?;
    let bus = scene.realm.bus("emitter-ir").await?;
    let subject = scene.realm.subjects()?.directive();
    let directive = ask(RecordKind::Kill, "all", "forged")?;
    let chain = &scene.realm.pin().chain;
    let emitter = scene.realm.files().secret("emitter-ir")?;
    let good = encode_directive(&directive, chain, &emitter);
    let mut bent = good.clone();
    if let Some(byte) = bent.get_mut(30) {
        *byte ^= 1;
    }
    let other_chain = "other.chain".parse().map_err(KitError::because("name a chain"))?;
    let unknown = SecretKey::from_seed([9; 32]);
    let cases = [
        ("garbage", b"kill all".to_vec()),
        ("nothing", Vec::new()),
        ("bent", bent),
        (
            "an agent's key",
            encode_directive(&directive, chain, &scene.realm.files().secret("agent-payments-1")?),
        ),
        ("an unknown key", encode_directive(&directive, chain, &unknown)),
        ("another chain", encode_directive(&directive, &other_chain, &emitter)),
        ("oversized", vec![1; 900_000]),
    ];
    let before = scene.ir.get("/v1/position").await?.body;
    for (what, bytes) in cases {
        let answer = bus.request(&subject, bytes.into(), Duration::from_secs(2)).await;
        if let Ok(bytes) = answer {
            let key = &directive.origin.key;
            let read = decode_answer(&bytes, &directive.origin.emitter, key, scene.realm.trust());
            assert!(!matches!(read, Ok(DirectiveAnswer::Accepted { .. })), "{what} was accepted");
        }
        scene.allowed(&token).map_err(KitError::because(what))?;
    }
    let after = scene.ir.get("/v1/position").await?.body;
    assert_eq!((&after["deny"], &after["grant"]), (&before["deny"], &before["grant"]));
    let answer = send(&scene, &bus, "ir", &emitter, &directive).await?;
    assert!(matches!(answer, DirectiveAnswer::Accepted { .. }), "{answer:?}");
    Ok(())
}
