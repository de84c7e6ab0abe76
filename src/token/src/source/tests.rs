//! Keys over HTTP and from files.

use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::refresh::RefreshOutcome;
use super::server::{Answer, Server};
use super::*;
use crate::algorithm::Algorithm;
use crate::issue::{Issuer, SignOptions};
use crate::jwks::{JWKS_BYTES_MAX, JwksError};
use crate::policy::{IssuerPolicyInput, JwksSource, TrustConfigInput};
use crate::verify::Verifier;
use crate::verify::kit::{AUDIENCE, ISSUER, NOW, good};
use crate::{FetchError, TokenError};

fn trust(jwks: JwksSource) -> TrustConfig {
    let policy = IssuerPolicyInput::new(ISSUER, jwks, &[Algorithm::EdDsa], &[AUDIENCE]);
    TrustConfig::try_from(TrustConfigInput { issuers: vec![policy] }).unwrap()
}

fn issuer() -> Issuer {
    Issuer::generate(ISSUER, &[Algorithm::EdDsa]).unwrap()
}

fn refresher(jwks: JwksSource, options: RefreshOptions) -> (KeyDirectory, KeyRefresher, Verifier) {
    let trust = trust(jwks);
    let directory = KeyDirectory::new(&trust);
    let refresher = KeyRefresher::new(&trust, directory.clone(), options).unwrap();
    (directory.clone(), refresher, Verifier::new(trust, directory))
}

async fn once(refresher: &mut KeyRefresher) -> RefreshOutcome {
    let mut reports = refresher.refresh_once().await;
    assert_eq!(reports.len(), 1);
    reports.remove(0).outcome
}

fn failure(outcome: RefreshOutcome) -> FetchError {
    match outcome {
        RefreshOutcome::Failed(error) => error,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn loads_keys_and_uses_etags() {
    let issuer = issuer();
    let tagged = |issuer: &Issuer, etag: &str| Answer {
        etag: Some(etag.to_owned()),
        ..Answer::ok(issuer.jwks_json())
    };
    let server = Server::start(tagged(&issuer, "\"one\"")).await;
    let (directory, mut refresher, verifier) =
        refresher(JwksSource::Url(server.url()), RefreshOptions::default());
    let token = issuer.sign(&good(), &SignOptions::default()).unwrap();
    assert!(!directory.is_complete());
    assert_eq!(verifier.verify(&token, NOW), Err(TokenError::KeysNotLoaded));

    assert!(matches!(once(&mut refresher).await, RefreshOutcome::Updated { keys: 1, skipped: 0 }));
    assert!(directory.is_complete() && verifier.verify(&token, NOW).is_ok());
    assert!(matches!(once(&mut refresher).await, RefreshOutcome::Unchanged));
    assert_eq!((server.requests(), server.not_modified()), (2, 1));

    let next = self::issuer();
    server.set(tagged(&next, "\"two\""));
    assert!(matches!(once(&mut refresher).await, RefreshOutcome::Updated { .. }));
    assert_eq!(verifier.verify(&token, NOW), Err(TokenError::KeyUnknown));
}

#[tokio::test]
async fn the_same_document_without_etag_is_unchanged() {
    let server = Server::start(Answer::ok(issuer().jwks_json())).await;
    let (directory, mut refresher, _) = refresher(JwksSource::Url(server.url()), RefreshOptions::default());
    assert!(matches!(once(&mut refresher).await, RefreshOutcome::Updated { .. }));
    let first = directory.keys(ISSUER).unwrap();
    assert!(matches!(once(&mut refresher).await, RefreshOutcome::Unchanged));
    assert!(Arc::ptr_eq(&first, &directory.keys(ISSUER).unwrap()));
}

#[tokio::test]
async fn unknown_kids_cause_one_fetch_per_interval() {
    let mut issuer = issuer();
    let server = Server::start(Answer::ok(issuer.jwks_json())).await;
    let options = RefreshOptions::default();
    let interval = options.unknown_kid_interval;
    let (_, mut refresher, verifier) = refresher(JwksSource::Url(server.url()), options);
    let start = Instant::now();
    assert_eq!(refresher.refresh_due(start).await.len(), 1);
    assert!(refresher.refresh_due(start).await.is_empty(), "nothing is due or wanted");

    // A new key, not published yet: many tokens, one fetch.
    issuer.add_key(Algorithm::EdDsa).unwrap();
    let token = issuer.sign(&good(), &SignOptions::default()).unwrap();
    for _ in 0..100 {
        assert_eq!(verifier.verify(&token, NOW), Err(TokenError::KeyUnknown));
    }
    assert_eq!(refresher.refresh_due(start).await.len(), 1);
    assert_eq!(server.requests(), 2);

    // Published now, but asked for too soon; the wish is kept until the interval is over.
    server.set(Answer::ok(issuer.jwks_json()));
    assert_eq!(verifier.verify(&token, NOW), Err(TokenError::KeyUnknown));
    assert!(refresher.refresh_due(start + interval - Duration::from_millis(1)).await.is_empty());
    assert_eq!(refresher.refresh_due(start + interval).await.len(), 1);
    assert!(verifier.verify(&token, NOW).is_ok());
    assert!(refresher.refresh_due(start + interval * 2).await.is_empty(), "no wish is left");
    assert_eq!(server.requests(), 3);
}

#[tokio::test]
async fn known_kids_cause_no_fetch() {
    let issuer = issuer();
    let server = Server::start(Answer::ok(issuer.jwks_json())).await;
    let (_, mut refresher, verifier) = refresher(JwksSource::Url(server.url()), RefreshOptions::default());
    let start = Instant::now();
    refresher.refresh_due(start).await;
    let token = issuer.sign(&good(), &SignOptions::default()).unwrap();
    assert!(verifier.verify(&token, NOW).is_ok());
    assert!(verifier.verify(&format!("{token}AAAA"), NOW).is_err());
    assert!(refresher.refresh_due(start + Duration::from_secs(1)).await.is_empty());
}

#[tokio::test]
async fn stops_reading_at_the_size_limit() {
    let server = Server::start(Answer::ok(vec![b' '; JWKS_BYTES_MAX + 1])).await;
    let (directory, mut refresher, _) = refresher(JwksSource::Url(server.url()), RefreshOptions::default());
    assert!(matches!(failure(once(&mut refresher).await), FetchError::TooLarge));
    assert!(directory.keys(ISSUER).is_none());
}

#[tokio::test]
async fn follows_no_redirect() {
    let target = Server::start(Answer::ok(issuer().jwks_json())).await;
    for status in [301, 302, 303, 307, 308] {
        let redirect = Answer { location: Some(target.url()), ..Answer::status(status) };
        let server = Server::start(redirect).await;
        let (_, mut refresher, _) = refresher(JwksSource::Url(server.url()), RefreshOptions::default());
        let error = failure(once(&mut refresher).await);
        assert!(matches!(error, FetchError::Redirect { status: found } if found == status));
    }
    assert_eq!(target.requests(), 0);
}

#[tokio::test]
async fn refuses_other_answers() {
    for status in [204, 304, 404, 500] {
        let server = Server::start(Answer::status(status)).await;
        let (_, mut refresher, _) = refresher(JwksSource::Url(server.url()), RefreshOptions::default());
        let error = failure(once(&mut refresher).await);
        assert!(matches!(error, FetchError::Status { status: found } if found == status), "{error:?}");
    }
}

#[tokio::test]
async fn gives_up_on_a_silent_server() {
    let server = Server::start(Answer { hangs: true, ..Answer::status(200) }).await;
    let options = RefreshOptions { timeout: Duration::from_millis(50), ..RefreshOptions::default() };
    let (_, mut refresher, _) = refresher(JwksSource::Url(server.url()), options);
    let error = failure(once(&mut refresher).await);
    assert!(matches!(&error, FetchError::Request(cause) if cause.is_timeout()), "{error:?}");
}

#[tokio::test]
async fn keeps_the_last_good_set() {
    let issuer = issuer();
    let server = Server::start(Answer::ok(issuer.jwks_json())).await;
    let (directory, mut refresher, verifier) =
        refresher(JwksSource::Url(server.url()), RefreshOptions::default());
    once(&mut refresher).await;
    let token = issuer.sign(&good(), &SignOptions::default()).unwrap();

    let mut poisoned: serde_json::Value = serde_json::from_str(&issuer.jwks_json()).unwrap();
    poisoned["keys"]
        .as_array_mut()
        .unwrap()
        .push(serde_json::json!({ "kty": "oct", "kid": "s", "k": "AAAA" }));
    let answers = [
        Answer::status(503),
        Answer::ok("{}"),
        Answer::ok(r#"{"keys":[]}"#),
        Answer::ok(poisoned.to_string()),
    ];
    for (failures, answer) in (1..).zip(answers) {
        server.set(answer);
        failure(once(&mut refresher).await);
        assert!(verifier.verify(&token, NOW).is_ok());
        let health = directory.health().remove(0);
        assert_eq!((health.failures, health.keys), (failures, 1));
        assert!(health.confirmed_ago.is_some() && health.last_error.is_some());
    }
    let cause = directory.health().remove(0).last_error.unwrap();
    assert_eq!(cause, "key set was refused: key 1 (kid `s`) is refused: key is a shared secret");

    server.set(Answer::ok(issuer.jwks_json()));
    assert!(matches!(once(&mut refresher).await, RefreshOutcome::Unchanged));
    assert_eq!(directory.health().remove(0).failures, 0);
}

#[tokio::test]
async fn retries_sooner_after_a_failure() {
    let server = Server::start(Answer::status(500)).await;
    let options = RefreshOptions::default();
    let (_, mut refresher, _) = refresher(JwksSource::Url(server.url()), options.clone());
    let start = Instant::now();
    refresher.refresh_due(start).await;
    assert!(refresher.refresh_due(start + options.retry_interval / 2).await.is_empty());
    let second = start + options.retry_interval * 2;
    assert_eq!(refresher.refresh_due(second).await.len(), 1);
    // The wait has doubled; a tenth is left to chance.
    assert!(refresher.refresh_due(second + options.retry_interval * 3 / 2).await.is_empty());
    let mut now = second;
    for _ in 0..40 {
        now += options.refresh_interval * 2;
        assert_eq!(refresher.refresh_due(now).await.len(), 1, "the wait is never over the interval");
    }
}

#[tokio::test]
async fn a_file_is_read_again_when_it_changes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.json");
    let (directory, mut refresher, verifier) =
        refresher(JwksSource::File(path.clone()), RefreshOptions::default());
    assert!(matches!(failure(once(&mut refresher).await), FetchError::File(_)));

    let mut issuer = issuer();
    std::fs::write(&path, issuer.jwks_json()).unwrap();
    assert!(matches!(once(&mut refresher).await, RefreshOutcome::Updated { keys: 1, .. }));
    assert!(matches!(once(&mut refresher).await, RefreshOutcome::Unchanged));

    issuer.add_key(Algorithm::EdDsa).unwrap();
    std::fs::write(&path, issuer.jwks_json()).unwrap();
    assert!(matches!(once(&mut refresher).await, RefreshOutcome::Updated { keys: 2, .. }));
    let token = issuer.sign(&good(), &SignOptions::default()).unwrap();
    assert!(verifier.verify(&token, NOW).is_ok());

    std::fs::write(&path, "half").unwrap();
    let error = failure(once(&mut refresher).await);
    assert!(matches!(error, FetchError::Refused(JwksError::Json)));
    std::fs::write(&path, vec![b' '; JWKS_BYTES_MAX + 1]).unwrap();
    assert!(matches!(failure(once(&mut refresher).await), FetchError::TooLarge));
    std::fs::remove_file(&path).unwrap();
    assert!(matches!(failure(once(&mut refresher).await), FetchError::File(_)));
    assert_eq!(directory.keys(ISSUER).unwrap().len(), 2);
    assert!(verifier.verify(&token, NOW).is_ok());
}

#[tokio::test]
async fn runs_until_cancelled_and_wakes_for_an_unknown_kid() {
    let mut issuer = issuer();
    let server = Server::start(Answer::ok(issuer.jwks_json())).await;
    let (directory, refresher, verifier) =
        refresher(JwksSource::Url(server.url()), RefreshOptions::default());
    let cancel = CancellationToken::new();
    let task = tokio::spawn(refresher.run(cancel.clone()));
    until(|| directory.is_complete()).await;

    let kid = issuer.add_key(Algorithm::EdDsa).unwrap().to_owned();
    server.set(Answer::ok(issuer.jwks_json()));
    let token = issuer.sign(&good(), &SignOptions::default()).unwrap();
    assert_eq!(verifier.verify(&token, NOW), Err(TokenError::KeyUnknown));
    until(|| directory.keys(ISSUER).is_some_and(|keys| keys.contains(&kid))).await;
    assert!(verifier.verify(&token, NOW).is_ok());

    cancel.cancel();
    tokio::time::timeout(Duration::from_secs(5), task).await.unwrap().unwrap();
}

#[test]
fn install_knows_only_configured_issuers() {
    let directory = KeyDirectory::new(&trust(JwksSource::File("keys".into())));
    assert_eq!(directory.install("https://x.example", issuer().key_set().unwrap()), Err(UnknownIssuerError));
    assert!(directory.keys("https://x.example").is_none());
    let health = directory.health().remove(0);
    assert_eq!((health.keys, health.confirmed_ago, health.last_error), (0, None, None));
    directory.install(ISSUER, issuer().key_set().unwrap()).unwrap();
    assert!(directory.is_complete());
}

/// Waits until it is so, at most five seconds.
async fn until(is_so: impl Fn() -> bool) {
    let wait = async {
        while !is_so() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), wait).await.unwrap();
}

#[tokio::test]
async fn extreme_intervals_neither_flood_nor_overflow() {
    for wait in [Duration::ZERO, Duration::MAX] {
        let server = Server::start(Answer::ok(issuer().jwks_json())).await;
        let options = RefreshOptions {
            refresh_interval: wait,
            unknown_kid_interval: wait,
            retry_interval: wait,
            ..RefreshOptions::default()
        };
        let (_, mut refresher, _) = refresher(JwksSource::Url(server.url()), options);
        let start = Instant::now();
        assert_eq!(refresher.refresh_due(start).await.len(), 1);
        assert!(refresher.refresh_due(start + Duration::from_millis(50)).await.is_empty());
        assert_eq!(refresher.refresh_due(start + Duration::from_secs(2 * 24 * 3600)).await.len(), 1);
    }
}
