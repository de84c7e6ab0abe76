//! An issuer with real keys: signs tokens and serves its JWKS over HTTP on loopback.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, PoisonError, RwLock},
    time::{SystemTime, UNIX_EPOCH},
};

use axum::{Router, routing::get};
use rescind_token::{Algorithm, Issuer, SignOptions};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use tokio::{net::TcpListener, task::JoinHandle};

use crate::error::{KitError, KitResult};

/// The audience that every agent of a test realm answers to.
pub const AUDIENCE: &str = "rescind-tests";

/// How long tokens live unless a test says otherwise.
const LIFETIME_S: i64 = 3600;

/// Seconds since the Unix epoch on this machine's clock, which the controller of a test shares.
#[must_use]
pub fn now_s() -> i64 {
    now_ms().div_euclid(1000)
}

/// Milliseconds since the Unix epoch.
#[must_use]
pub fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// SHA-256 of a text in hexadecimal: names a token that has no `jti`.
#[must_use]
pub fn sha256_hex(text: &str) -> String {
    hex::encode(Sha256::digest(text.as_bytes()))
}

/// A running issuer; dropping it stops serving keys.
#[derive(Debug)]
pub struct TestIssuer {
    issuer: Arc<RwLock<Issuer>>,
    url: String,
    address: SocketAddr,
    server: JoinHandle<()>,
}

impl TestIssuer {
    /// An issuer with one ES256 key.
    ///
    /// # Errors
    /// No key or no port.
    pub async fn start() -> KitResult<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .map_err(KitError::because("listen for the issuer"))?;
        let address = listener.local_addr().map_err(KitError::because("read the issuer's address"))?;
        let url = "https://idp.example".to_owned();
        let issuer = Issuer::generate(url.clone(), &[Algorithm::Es256])
            .map_err(KitError::because("make the issuer's key"))?;
        let issuer = Arc::new(RwLock::new(issuer));
        let served = Arc::clone(&issuer);
        let answer = move || {
            let json = served.read().unwrap_or_else(PoisonError::into_inner).jwks_json();
            async move { ([("content-type", "application/json")], json) }
        };
        let app = Router::new().route("/jwks.json", get(answer));
        let server = tokio::spawn(async move {
            axum::serve(listener, app).await.ok();
        });
        Ok(Self { issuer, url, address, server })
    }

    /// `iss` of its tokens.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Where its keys are.
    #[must_use]
    pub fn jwks_url(&self) -> String {
        format!("http://{}/jwks.json", self.address)
    }

    /// Name of the key that signs now.
    ///
    /// # Errors
    /// All keys were removed.
    pub fn kid(&self) -> KitResult<String> {
        let issuer = self.issuer.read().unwrap_or_else(PoisonError::into_inner);
        let kid = issuer.kids().last().map(str::to_owned);
        kid.ok_or_else(|| KitError::new("find a key of the issuer"))
    }

    /// Adds a key, which signs from now on, and returns its name.
    ///
    /// # Errors
    /// No randomness.
    pub fn rotate(&self) -> KitResult<String> {
        let mut issuer = self.issuer.write().unwrap_or_else(PoisonError::into_inner);
        issuer.add_key(Algorithm::Es256).map(str::to_owned).map_err(KitError::because("add a key"))
    }

    /// Begins a token for `subject`, issued a minute ago so that a cutoff of now kills it, good for an hour.
    #[must_use]
    pub fn token(&self, subject: &str) -> TokenDraft<'_> {
        let now = now_s();
        let claims = json!({
            "sub": subject, "aud": AUDIENCE, "iat": now - 60, "exp": now + LIFETIME_S, "jti": unique("jti"),
        });
        let Value::Object(claims) = claims else { return TokenDraft { issuer: self, claims: Map::new() } };
        TokenDraft { issuer: self, claims }
    }
}

impl Drop for TestIssuer {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// A token before it is signed.
#[derive(Debug, Clone)]
pub struct TokenDraft<'a> {
    issuer: &'a TestIssuer,
    claims: Map<String, Value>,
}

impl TokenDraft<'_> {
    /// Sets any claim.
    #[must_use]
    pub fn claim(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.claims.insert(name.to_owned(), value.into());
        self
    }

    /// Leaves a claim out.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.claims.remove(name);
        self
    }

    /// `sid`.
    #[must_use]
    pub fn session(self, sid: &str) -> Self {
        self.claim("sid", sid)
    }

    /// `jti`.
    #[must_use]
    pub fn jti(self, jti: &str) -> Self {
        self.claim("jti", jti)
    }

    /// `client_id`.
    #[must_use]
    pub fn client(self, id: &str) -> Self {
        self.claim("client_id", id)
    }

    /// `tenant`.
    #[must_use]
    pub fn tenant(self, id: &str) -> Self {
        self.claim("tenant", id)
    }

    /// `roles`.
    #[must_use]
    pub fn roles(self, names: &[&str]) -> Self {
        self.claim("roles", json!(names))
    }

    /// `iat`, in seconds since the Unix epoch.
    #[must_use]
    pub fn issued_at(self, at_s: i64) -> Self {
        self.claim("iat", at_s)
    }

    /// Signs it.
    ///
    /// # Errors
    /// The issuer has no key.
    pub fn sign(self) -> KitResult<String> {
        let issuer = self.issuer.issuer.read().unwrap_or_else(PoisonError::into_inner);
        issuer
            .sign(&Value::Object(self.claims), &SignOptions::default())
            .map_err(KitError::because("sign a token"))
    }
}

/// A name that no other call in this process gives.
#[must_use]
pub fn unique(prefix: &str) -> String {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(1);
    format!("{prefix}-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}
