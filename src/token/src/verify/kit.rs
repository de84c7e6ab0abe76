//! One issuer, its policy and a verifier, for the tests.

use serde_json::{Value, json};

use super::*;
use crate::issue::{Issuer, SignOptions};
use crate::policy::{IssuerPolicyInput, JwksSource, TrustConfigInput};

pub(crate) const NOW: i64 = 1_800_000_000;
pub(crate) const ISSUER: &str = "https://id.example";
pub(crate) const AUDIENCE: &str = "api";

pub(crate) struct Kit {
    pub(crate) issuer: Issuer,
    pub(crate) directory: KeyDirectory,
    pub(crate) verifier: Verifier,
}

impl Kit {
    pub(crate) fn new(algorithm: Algorithm) -> Self {
        Self::with(&[algorithm], |_| {})
    }

    pub(crate) fn with(algorithms: &[Algorithm], change: impl FnOnce(&mut IssuerPolicyInput)) -> Self {
        let issuer = Issuer::generate(ISSUER, algorithms).unwrap();
        let trust = trust(algorithms, change);
        let directory = KeyDirectory::new(&trust);
        directory.install(ISSUER, issuer.key_set().unwrap()).unwrap();
        let verifier = Verifier::new(trust, directory.clone());
        Self { issuer, directory, verifier }
    }

    pub(crate) fn sign(&self, claims: &Value) -> String {
        self.issuer.sign(claims, &SignOptions::default()).unwrap()
    }

    pub(crate) fn check(&self, compact: &str) -> Result<VerifiedClaims, TokenError> {
        self.verifier.verify(compact, NOW)
    }

    /// Signs the good claims with some members replaced (`null` removes one) and verifies.
    pub(crate) fn claims(&self, changes: Value) -> Result<VerifiedClaims, TokenError> {
        self.check(&self.sign(&changed(changes)))
    }

    /// Signs any header text over the good claims and verifies.
    pub(crate) fn header(&self, algorithm: Algorithm, header: &str) -> Result<VerifiedClaims, TokenError> {
        self.check(&self.issuer.sign_raw(algorithm, header, good().to_string().as_bytes()))
    }

    pub(crate) fn kid(&self) -> &str {
        self.issuer.kids().next().unwrap()
    }
}

pub(crate) fn trust(algorithms: &[Algorithm], change: impl FnOnce(&mut IssuerPolicyInput)) -> TrustConfig {
    let source = JwksSource::Url("https://id.example/jwks".to_owned());
    let mut policy = IssuerPolicyInput::new(ISSUER, source, algorithms, &[AUDIENCE]);
    change(&mut policy);
    TrustConfig::try_from(TrustConfigInput { issuers: vec![policy] }).unwrap()
}

pub(crate) fn good() -> Value {
    json!({ "iss": ISSUER, "sub": "u1", "aud": AUDIENCE, "iat": NOW - 10, "exp": NOW + 300, "jti": "t1" })
}

pub(crate) fn changed(changes: Value) -> Value {
    let mut claims = good();
    for (name, value) in changes.as_object().unwrap() {
        if value.is_null() {
            claims.as_object_mut().unwrap().remove(name);
        } else {
            claims[name] = value.clone();
        }
    }
    claims
}

pub(crate) fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
