//! An issuer with real keys, and its tokens.

use std::thread;

use rescind_token::{
    Algorithm, Issuer, IssuerPolicyInput, JwksSource, KeyDirectory, SignOptions, TrustConfig,
    TrustConfigInput,
};
use serde_json::{Value, json};

use crate::Outcome;
use crate::data::{ISSUER, SERVICE, now_s, user, user_of};

/// Signs with one algorithm.
pub(super) struct Tokens {
    issuer: Issuer,
    pub(super) algorithm: Algorithm,
    pub(super) trust: TrustConfig,
    pub(super) keys: KeyDirectory,
}

/// The session of live token `number`.
pub(super) fn live_session(number: u64) -> String {
    format!("5e55107a-0000-4000-8000-{number:012x}")
}

impl Tokens {
    pub(super) fn new(algorithm: Algorithm) -> Outcome<Self> {
        let issuer = Issuer::generate(ISSUER, &[algorithm])?;
        let source = JwksSource::Url(format!("{ISSUER}/jwks.json"));
        let policy = IssuerPolicyInput::new(ISSUER, source, &[algorithm], &[SERVICE]);
        let trust = TrustConfig::try_from(TrustConfigInput { issuers: vec![policy] })?;
        let keys = KeyDirectory::new(&trust);
        keys.install(ISSUER, issuer.key_set()?)?;
        Ok(Self { issuer, algorithm, trust, keys })
    }

    /// The public key as the issuer serves it.
    pub(super) fn jwk(&self) -> Outcome<Value> {
        let document: Value = serde_json::from_str(&self.issuer.jwks_json())?;
        Ok(document.pointer("/keys/0").ok_or("the issuer has no key")?.clone())
    }

    /// A token of some 800 characters with RSA.
    pub(super) fn sign(&self, number: u64, users: u64) -> Outcome<String> {
        let now = now_s();
        let claims = json!({
            "sub": user(user_of(number, users)), "aud": SERVICE, "iat": now - 60, "exp": now + 86_400,
            "jti": format!("11fe0000-0000-4000-8000-{number:012x}"), "sid": live_session(number),
            "client_id": "web-shop", "tenant": "acme", "scope": "order:read profile", "roles": ["clerk"],
            "name": "Jo Doe", "email": "jo.doe@example.com", "auth_time": now - 3600, "acr": "2",
        });
        Ok(self.issuer.sign(&claims, &SignOptions::default())?)
    }

    /// Tokens of `first..first + count`, signed by two threads.
    pub(super) fn sign_all(&self, first: u64, count: u64, users: u64) -> Outcome<Vec<String>> {
        let half = first + count / 2;
        let sign = |from: u64, to: u64| {
            (from..to).map(|number| self.sign(number, users)).collect::<Outcome<Vec<_>>>()
        };
        thread::scope(|scope| {
            let other = scope.spawn(|| sign(half, first + count));
            let mut tokens = sign(first, half)?;
            tokens.extend(other.join().map_err(|_| "signing failed")??);
            Ok(tokens)
        })
    }
}
