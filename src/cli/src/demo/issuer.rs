//! The demo's identity provider: signs real tokens, serves its keys over HTTP.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::http::header;
use axum::routing::get;
use rescind_token::{Algorithm, Issuer, IssuerPolicyInput, JwksSource, SignOptions};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::ground;
use crate::fault::{Fault, chain};

/// Audience of the demo's services.
const AUDIENCE: &str = "rescind-demo";

/// The issuer; its keys live in memory only.
pub(super) struct DemoIssuer {
    issuer: Issuer,
}

impl DemoIssuer {
    /// Makes an RSA key and serves `/jwks.json` on a port that the system chooses, until `stop`.
    pub(super) async fn start(stop: CancellationToken) -> Result<Self, Fault> {
        let failed =
            |why: String| Fault::internal("demo", format!("cannot start the issuer of the demo: {why}"));
        let listener =
            TcpListener::bind(("127.0.0.1", 0)).await.map_err(|error| failed(error.to_string()))?;
        let address = listener.local_addr().map_err(|error| failed(error.to_string()))?;
        let issuer = Issuer::generate(format!("http://{address}"), &[Algorithm::Rs256])
            .map_err(|error| failed(chain(&error)))?;
        let keys = issuer.jwks_json();
        let serve = move || {
            let keys = keys.clone();
            async move { ([(header::CONTENT_TYPE, "application/jwk-set+json")], keys) }
        };
        let app = Router::new().route("/jwks.json", get(serve));
        tokio::spawn(async move {
            let served = axum::serve(listener, app).with_graceful_shutdown(stop.cancelled_owned()).await;
            drop(served);
        });
        Ok(Self { issuer })
    }

    /// `iss` of its tokens.
    pub(super) fn url(&self) -> &str {
        self.issuer.url()
    }

    /// What agents have to know of it.
    pub(super) fn policy(&self) -> IssuerPolicyInput {
        let jwks = JwksSource::Url(format!("{}/jwks.json", self.url()));
        IssuerPolicyInput::new(self.url(), jwks, &[Algorithm::Rs256], &[AUDIENCE])
    }

    /// Signs `claims`, with `aud`, `iat`, `exp` and a random `jti` added.
    pub(super) fn mint(&self, mut claims: Value, lives: Duration) -> Result<String, Fault> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let added = json!({
            "aud": AUDIENCE, "iat": now, "exp": now + lives.as_secs(), "jti": ground::random_key()?,
        });
        if let (Some(claims), Value::Object(added)) = (claims.as_object_mut(), added) {
            claims.extend(added);
        }
        let signed = self.issuer.sign(&claims, &SignOptions::default());
        signed.map_err(|error| Fault::internal("demo", format!("cannot sign a token: {}", chain(&error))))
    }
}
