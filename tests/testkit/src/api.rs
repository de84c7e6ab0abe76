//! The controller's HTTP API as an emitter sees it.

use std::{
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use rescind_core::{
    ids::RecordId,
    position::{Lane, Position},
};
use serde_json::{Value, json};

use crate::{
    error::{KitError, KitResult},
    issuer::unique,
};

/// Limit: longest answer that a test waits for; directives end by themselves much earlier.
const ANSWER_WAIT: Duration = Duration::from_secs(30);

/// An answer of the API as it came.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Body; null where it is no JSON.
    pub body: Value,
}

/// A directive that was accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// The record's, entitlement's or change's id.
    pub id: String,
    /// Where it was ordered.
    pub lane: Lane,
    /// Its place.
    pub position: Position,
    /// Whether an earlier directive with the same key had made it.
    pub existing: bool,
    /// Controller's clock.
    pub accepted_at_ms: i64,
    /// The cutoff that was resolved, in seconds.
    pub cutoff: Option<i64>,
}

impl Answer {
    /// A field of the body; null where it is missing.
    #[must_use]
    pub fn field(&self, name: &str) -> &Value {
        self.body.get(name).unwrap_or(&Value::Null)
    }

    /// Reads an accepted directive.
    ///
    /// # Errors
    /// The whole answer, where it is another.
    pub fn accepted(&self) -> KitResult<Accepted> {
        if self.status != 200 {
            return Err(KitError::new(format!("not accepted: {} {}", self.status, self.body)));
        }
        Accepted::read(&self.body).ok_or_else(|| KitError::new(format!("unexpected answer: {}", self.body)))
    }

    /// The error's code and message.
    ///
    /// # Errors
    /// The whole answer, where it is no error.
    pub fn refused(&self) -> KitResult<(String, String)> {
        let error = self.field("error");
        let text = |name: &str| error.get(name).and_then(Value::as_str).map(str::to_owned);
        match (text("code"), text("message")) {
            (Some(code), Some(message)) if self.status >= 400 => Ok((code, message)),
            _ => Err(KitError::new(format!("no error: {} {}", self.status, self.body))),
        }
    }
}

impl Accepted {
    /// Reads one accepted result; `None` for anything else.
    #[must_use]
    pub fn read(body: &Value) -> Option<Self> {
        let id = body.get("id")?.as_str()?.to_owned();
        let record: RecordId = id.parse().ok()?;
        (body.get("state")?.as_str()? == "accepted").then_some(())?;
        let (epoch, revision) = body.get("position")?.as_str()?.split_once('/')?;
        Some(Self {
            id,
            lane: record.lane(),
            position: Position::new(epoch.parse().ok()?, revision.parse().ok()?),
            existing: body.get("existing")?.as_bool()?,
            accepted_at_ms: body.get("accepted_at_ms")?.as_i64()?,
            cutoff: body.get("cutoff").and_then(Value::as_i64),
        })
    }

    /// As a record id.
    ///
    /// # Errors
    /// Never for an id that [`Accepted::read`] took.
    pub fn record(&self) -> KitResult<RecordId> {
        self.id.parse().map_err(KitError::because("parse a record id"))
    }
}

/// One emitter's client; follows the controller over restarts.
#[derive(Debug, Clone)]
pub struct Api {
    base: Arc<RwLock<String>>,
    token: String,
    client: reqwest::Client,
}

impl Api {
    pub(crate) fn new(base: Arc<RwLock<String>>, token: String) -> KitResult<Self> {
        let client = reqwest::Client::builder().timeout(ANSWER_WAIT).no_proxy().build();
        Ok(Self { base, token, client: client.map_err(KitError::because("make an HTTP client"))? })
    }

    /// The same client with another bearer token.
    #[must_use]
    pub fn with_token(&self, token: &str) -> Self {
        Self { token: token.to_owned(), ..self.clone() }
    }

    /// Where the controller listens now.
    #[must_use]
    pub fn base(&self) -> String {
        self.base.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Sends a body as it is to `POST /v1/directives`.
    ///
    /// # Errors
    /// No answer.
    pub async fn post(&self, body: &Value) -> KitResult<Answer> {
        let url = format!("{}/v1/directives", self.base());
        answer(self.client.post(url).bearer_auth(&self.token).json(body)).await
    }

    /// Reads a path, for example `/v1/agents`.
    ///
    /// # Errors
    /// No answer.
    pub async fn get(&self, path: &str) -> KitResult<Answer> {
        answer(self.client.get(format!("{}{path}", self.base())).bearer_auth(&self.token)).await
    }

    /// Sends one directive with a fresh idempotency key where it has none.
    ///
    /// # Errors
    /// Not accepted.
    pub async fn directive(&self, mut body: Value) -> KitResult<Accepted> {
        if let Value::Object(fields) = &mut body {
            fields.entry("idempotency_key").or_insert_with(|| unique("kit").into());
        }
        self.post(&body).await?.accepted()
    }

    /// A record of this kind on this target.
    ///
    /// # Errors
    /// Not accepted.
    pub async fn record(&self, kind: &str, target: &str) -> KitResult<Accepted> {
        self.directive(json!({ "kind": kind, "target": target, "reason_code": "test" })).await
    }

    /// Ends a hold or kill; `cutoff` is `resume` or `now`.
    ///
    /// # Errors
    /// Not accepted.
    pub async fn lift(&self, record: &str, cutoff: &str) -> KitResult<Accepted> {
        self.directive(json!({ "kind": "lift", "record": record, "cutoff": cutoff })).await
    }

    /// Ends a disable.
    ///
    /// # Errors
    /// Not accepted.
    pub async fn reinstate(&self, record: &str) -> KitResult<Accepted> {
        self.directive(json!({ "kind": "reinstate", "record": record })).await
    }

    /// Gives a holder a permission.
    ///
    /// # Errors
    /// Not accepted.
    pub async fn grant(&self, holder: &str, action: &str, resource: &str) -> KitResult<Accepted> {
        self.directive(json!({ "kind": "grant", "holder": holder, "action": action, "resource": resource }))
            .await
    }

    /// Makes a holder a member of a role or group.
    ///
    /// # Errors
    /// Not accepted.
    pub async fn member(&self, holder: &str, of: &str) -> KitResult<Accepted> {
        self.directive(json!({ "kind": "grant", "holder": holder, "member_of": of })).await
    }

    /// Ends an entitlement.
    ///
    /// # Errors
    /// Not accepted.
    pub async fn withdraw(&self, entitlement: &str) -> KitResult<Accepted> {
        self.directive(json!({ "kind": "withdraw", "entitlement": entitlement })).await
    }

    /// The board of a change; waits for `enforced` as long as `wait` says.
    ///
    /// # Errors
    /// No answer.
    pub async fn board(&self, id: &str, wait: Duration) -> KitResult<Answer> {
        self.get(&format!("/v1/records/{id}/board?wait_ms={}", wait.as_millis())).await
    }
}

async fn answer(request: reqwest::RequestBuilder) -> KitResult<Answer> {
    let response = request.send().await.map_err(KitError::because("ask the controller"))?;
    let status = response.status().as_u16();
    let bytes = response.bytes().await.map_err(KitError::because("read the controller's answer"))?;
    Ok(Answer { status, body: serde_json::from_slice(&bytes).unwrap_or(Value::Null) })
}
