//! The issuer of `rescind dev`: JWKS over HTTP, tokens over a private socket. Its keys live in memory only.

use std::sync::Arc;

use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use rescind_token::{Algorithm, Issuer, SignOptions};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{DevRealm, ISSUER_SOCKET};
use crate::fault::{Fault, chain};
use crate::output::time;
use crate::settings::plain;
use crate::socket::{self, Bound, error};

/// Limit: longest life of a dev token.
const TTL_S_MAX: i64 = 24 * 3600;

/// A running issuer.
pub(crate) struct DevIssuer {
    tasks: Vec<JoinHandle<()>>,
    stop: CancellationToken,
}

impl DevIssuer {
    /// Makes keys and serves.
    ///
    /// # Errors
    /// Internal: the port or the socket cannot be had.
    pub(crate) async fn start(realm: &DevRealm) -> Result<Self, Fault> {
        let failed = |why: String| Fault::internal("issuer", format!("starting the issuer: {why}"));
        let issuer =
            Issuer::generate(realm.issuer(), &[Algorithm::Es256]).map_err(|error| failed(chain(&error)))?;
        let address = realm.issuer_address();
        let listener = TcpListener::bind(address).await.map_err(|error| {
            failed(format!(
                "cannot listen on {address}: {}; stop what uses it, or choose another --dir",
                plain(&error)
            ))
        })?;
        let bound = Bound::new(&realm.path(ISSUER_SOCKET))?;
        let stop = CancellationToken::new();
        let jwks = issuer.jwks_json();
        let router = axum::Router::new()
            .route("/jwks.json", get(async move || ([(CONTENT_TYPE, "application/jwk-set+json")], jwks)));
        let http = {
            let stop = stop.clone();
            tokio::spawn(async move {
                let serving = axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned());
                // Why ignored: accepting connections has no error that ends it.
                serving.await.ok();
            })
        };
        let audience = realm.service().to_owned();
        let answer: socket::Answer = Arc::new(move |line: &str| {
            let answer = answer(&issuer, &audience, line);
            Box::pin(async move { answer })
        });
        let tokens = tokio::spawn(socket::serve(bound, answer, stop.clone()));
        Ok(Self { tasks: vec![http, tokens], stop })
    }

    /// Ends when the issuer ends.
    pub(crate) fn stop_token(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Ends it in order.
    pub(crate) async fn stop(mut self) {
        self.stop.cancel();
        for task in self.tasks.drain(..) {
            task.await.ok();
        }
    }
}

impl Drop for DevIssuer {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// What `rescind dev-token` asks for.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    sub: String,
    #[serde(default)]
    roles: Vec<String>,
    #[serde(default)]
    groups: Vec<String>,
    #[serde(default)]
    scopes: Vec<String>,
    sid: Option<String>,
    jti: Option<String>,
    client_id: Option<String>,
    tenant: Option<String>,
    ttl_s: i64,
}

fn answer(issuer: &Issuer, audience: &str, line: &str) -> Value {
    let wanted: Wanted = match serde_json::from_str(line) {
        Ok(wanted) => wanted,
        Err(why) => return error("bad_line", &format!("this is no wish for a token ({why})")),
    };
    if wanted.sub.trim().is_empty() || !(0..=TTL_S_MAX).contains(&wanted.ttl_s) {
        return error("bad_token", "a token needs a --sub that is not blank and a --ttl of at most 24h");
    }
    let mut random = [0; 12];
    if getrandom::fill(&mut random).is_err() {
        return error("random", "cannot draw a token id");
    }
    let jti = wanted.jti.clone().unwrap_or_else(|| hex::encode(random));
    let now = time::now_s();
    let expires_at = now.saturating_add(wanted.ttl_s);
    match issuer.sign(&claims(&wanted, audience, &jti, now, expires_at), &SignOptions::default()) {
        Ok(token) => json!({"token": token, "issuer": issuer.url(), "jti": jti, "expires_at": expires_at}),
        Err(why) => error("sign", &why.to_string()),
    }
}

fn claims(wanted: &Wanted, audience: &str, jti: &str, now: i64, expires_at: i64) -> Value {
    let mut claims = Map::new();
    let mut put = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            claims.insert(name.to_owned(), value);
        }
    };
    let list = |items: &[String]| (!items.is_empty()).then(|| json!(items));
    put("sub", Some(json!(wanted.sub)));
    put("aud", Some(json!(audience)));
    put("iat", Some(json!(now)));
    put("exp", Some(json!(expires_at)));
    put("jti", Some(json!(jti)));
    put("sid", wanted.sid.as_ref().map(|sid| json!(sid)));
    put("client_id", wanted.client_id.as_ref().map(|client| json!(client)));
    put("tenant", wanted.tenant.as_ref().map(|tenant| json!(tenant)));
    put("roles", list(&wanted.roles));
    put("groups", list(&wanted.groups));
    put("scope", (!wanted.scopes.is_empty()).then(|| json!(wanted.scopes.join(" "))));
    Value::Object(claims)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(line: &str) -> Value {
        let issuer = Issuer::generate("http://127.0.0.1:1", &[Algorithm::Es256]).unwrap();
        answer(&issuer, "payments", line)
    }

    #[test]
    fn a_token_holds_what_was_wanted() {
        let answer = ask(r#"{"sub":"u1","roles":["r"],"sid":"s1","ttl_s":60}"#);
        assert_eq!(answer["token"].as_str().unwrap().split('.').count(), 3);
        let wanted: Wanted =
            serde_json::from_str(r#"{"sub":"u1","roles":["r"],"scopes":["a","b"],"sid":"s1","ttl_s":60}"#)
                .unwrap();
        assert_eq!(
            claims(&wanted, "payments", "j", 100, 160),
            json!({"sub": "u1", "aud": "payments", "iat": 100, "exp": 160, "jti": "j", "sid": "s1", "roles": ["r"], "scope": "a b"})
        );
    }

    #[test]
    fn blank_and_endless_tokens_are_not_made() {
        for line in
            [r#"{"sub":" ","ttl_s":60}"#, r#"{"sub":"u","ttl_s":100000}"#, r#"{"sub":"u","ttl_s":-1}"#, "x"]
        {
            assert!(ask(line).get("error").is_some(), "{line}");
        }
    }
}
