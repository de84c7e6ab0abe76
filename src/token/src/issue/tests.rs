//! Tests of the issuer.

use super::*;

#[test]
fn key_set_is_accepted_by_our_own_reader() {
    let mut issuer = Issuer::generate("https://id.example", &Algorithm::ALL).unwrap();
    let set = issuer.key_set().unwrap();
    assert_eq!((set.len(), set.skipped().len()), (4, 0));
    assert!(issuer.kids().all(|kid| set.contains(kid) && kid.len() == 43));
    let kids: Vec<String> = issuer.kids().map(str::to_owned).collect();
    for kid in &kids {
        issuer.remove_key(kid).unwrap();
    }
    assert_eq!(issuer.remove_key(&kids[0]), Err(IssueError::KeyNotFound));
    assert_eq!(issuer.key_set().unwrap_err(), JwksError::NoUsableKey);
}

#[test]
fn picks_the_key_that_was_asked_for() {
    let mut issuer = Issuer::generate("https://id.example", &[Algorithm::EdDsa]).unwrap();
    let first = issuer.kids().next().unwrap().to_owned();
    let second = issuer.add_key(Algorithm::Es256).unwrap().to_owned();
    let header = |options: &SignOptions| {
        let token = issuer.sign(&json!({}), options).unwrap();
        let bytes = URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap()).unwrap();
        serde_json::from_slice::<Value>(&bytes).unwrap()
    };
    assert_eq!(header(&SignOptions::default())["kid"], json!(second));
    let by_kid = header(&SignOptions { kid: Some(first.clone()), ..SignOptions::default() });
    assert_eq!((&by_kid["kid"], &by_kid["alg"]), (&json!(first), &json!("EdDSA")));
    let by_algorithm = header(&SignOptions { algorithm: Some(Algorithm::EdDsa), ..SignOptions::default() });
    assert_eq!(by_algorithm["kid"], json!(first));
    let both = SignOptions { kid: Some(first), algorithm: Some(Algorithm::Es256), ..SignOptions::default() };
    assert_eq!(issuer.sign(&json!({}), &both), Err(IssueError::KeyNotFound));
    assert_eq!(issuer.sign(&json!([]), &SignOptions::default()), Err(IssueError::ClaimsNotObject));
}
