//! `POST /v1/directives`: one directive, or up to 10,000.

mod ask;

use axum::Json;
use axum::extract::{Extension, Request, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse as _, Response};
use rescind_core::change::{Directive, Origin};
use rescind_core::controller::refusal::Refusal;
use rescind_core::controller::sequencer::Outcome;
use rescind_core::ids::{EmitterId, IdempotencyKey};
use rescind_core::time::UnixMs;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Api;
use super::auth::Caller;
use super::errors::{ApiError, ErrorBody};
use super::{body, views};
use crate::door::check_texts;
use crate::engine::Answered;

/// Limit: directives of one request.
pub const DIRECTIVES_MAX: usize = 10_000;

/// Header that may carry the idempotency key of a single directive.
const KEY_HEADER: &str = "idempotency-key";

/// One directive. Which fields belong to which `kind`: see each field; others must be left out.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DirectiveBody {
    /// `revoke`, `disable`, `hold`, `kill`, `lift`, `reinstate`, `grant` or `withdraw`.
    #[schema(example = "revoke")]
    pub(crate) kind: String,
    /// Of `revoke`, `disable`, `hold`, `kill`: `user:ISS#ID`, `user:ID`, `session:ISS#SID`, `token:ISS#JTI`,
    /// `token:sha256:HEX`, `key:ISS#KID`, `client:ID`, `tenant:ID`, `service:NAME` or `all`.
    #[schema(example = "session:https://idp.example#s-17")]
    pub(crate) target: Option<String>,
    /// Of `revoke` and `disable` of a user: `"now"` (default) or Unix seconds; what was issued at or before is
    /// dead. Of `lift`: `"resume"` (default), `"now"` or Unix seconds.
    #[schema(value_type = Option<CutoffSchema>)]
    pub(crate) cutoff: Option<ask::CutoffBody>,
    /// Of `lift` and `reinstate`: the record that ends.
    #[schema(example = "deny-1-3")]
    pub(crate) record: Option<String>,
    /// Of `withdraw`: the entitlement that ends.
    #[schema(example = "grant0-1-7")]
    pub(crate) entitlement: Option<String>,
    /// Of `grant`: `user:ISS#ID`, `role:NAME` or `group:NAME`.
    pub(crate) holder: Option<String>,
    /// Of `grant`: exact, `refund:*` or `*`; with `resource`, instead of `member_of`.
    pub(crate) action: Option<String>,
    /// Of `grant`: exact, `/orders/*` or `*`.
    pub(crate) resource: Option<String>,
    /// Of `grant`: `role:NAME` or `group:NAME`, instead of `action` and `resource`.
    pub(crate) member_of: Option<String>,
    /// Of `grant`: only in this tenant.
    pub(crate) tenant: Option<String>,
    /// Of `grant`: Unix seconds, inclusive.
    pub(crate) not_before: Option<i64>,
    /// Of `grant`: Unix seconds, exclusive.
    pub(crate) not_after: Option<i64>,
    /// A repeat with the same key has one effect; made by the controller where it is missing.
    pub(crate) idempotency_key: Option<String>,
    /// The person or system behind the emitter.
    pub(crate) requested_by: Option<String>,
    /// Short machine-readable reason (`compromise`, `leaver`).
    pub(crate) reason_code: Option<String>,
    /// Private reason for staff, at most 1 KiB: never leaves the controller.
    pub(crate) reason_admin: Option<String>,
    /// Incident that this belongs to.
    pub(crate) incident: Option<String>,
    /// When the emitter knew, Unix milliseconds.
    pub(crate) known_at_ms: Option<i64>,
}

/// Several directives.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct BulkBody {
    /// 1 to 10,000.
    #[schema(min_items = 1, max_items = 10_000)]
    directives: Vec<DirectiveBody>,
}

/// One directive, or several.
#[derive(Deserialize, ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "only for the schema; the two forms are told apart by the field `directives`")]
pub(crate) enum DirectivesBody {
    /// One.
    One(Box<DirectiveBody>),
    /// Several.
    Bulk(BulkBody),
}

/// A word or Unix seconds.
#[derive(Deserialize, ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "only for the schema")]
pub(crate) enum CutoffSchema {
    /// `now` or `resume`.
    Word(String),
    /// Unix seconds.
    Second(i64),
}

/// An accepted directive.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AcceptedBody {
    /// Always `accepted`.
    #[schema(example = "accepted")]
    state: &'static str,
    /// The record or entitlement that it made, or the change itself where it ended one.
    #[schema(example = "deny-1-3")]
    id: String,
    /// Epoch and revision.
    #[schema(example = "1/3")]
    position: String,
    /// `deny` or `grant.0`.
    lane: String,
    /// It was there before: no second effect.
    existing: bool,
    /// Controller's clock, Unix milliseconds.
    accepted_at_ms: Option<i64>,
    /// Unix seconds: what was issued at or before is dead.
    cutoff: Option<i64>,
}

/// One line of a bulk answer.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum ResultBody {
    /// It is in the chain.
    Accepted(AcceptedBody),
    /// It is not, or nobody knows.
    Not(NotAcceptedBody),
}

/// A directive of a bulk that was not accepted.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct NotAcceptedBody {
    /// `refused` (no effect), or `indeterminate` (repeat with the same key).
    state: &'static str,
    /// Stable word for programs.
    code: String,
    /// What to do.
    message: String,
}

/// Answers in the order of the directives.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ResultsBody {
    results: Vec<ResultBody>,
}

/// Tells the two forms apart without reading them.
#[derive(Deserialize)]
struct Probe {
    directives: Option<IgnoredAny>,
}

/// Asks for one change, or for up to 10,000.
#[utoipa::path(
    post,
    path = "/v1/directives",
    tag = "directives",
    request_body(content = DirectivesBody, content_type = "application/json"),
    params(("Idempotency-Key" = Option<String>, Header, description = "key of a single directive, instead of the field")),
    responses(
        (status = 200, description = "accepted; for several: one result each, in order", body = inline(AnswersSchema)),
        (status = 400, description = "the body cannot be read; an unknown field is named", body = ErrorBody),
        (status = 401, description = "no token, or of nobody", body = ErrorBody),
        (status = 403, description = "outside the emitter's rights", body = ErrorBody),
        (status = 409, description = "the key was used for another ask", body = ErrorBody),
        (status = 413, description = "more than 16 MiB", body = ErrorBody),
        (status = 415, description = "no JSON", body = ErrorBody),
        (status = 422, description = "it means nothing here; the message says what to do", body = ErrorBody),
        (status = 429, description = "over the emitter's budget: nothing was ordered; `Retry-After` says when to repeat", body = ErrorBody),
        (status = 503, description = "busy, not_ready, no_writer, history_lost or log_full: nothing was ordered", body = ErrorBody),
        (status = 504, description = "indeterminate: repeat with the same key", body = ErrorBody),
    ),
    security(("bearer" = []))
)]
pub(crate) async fn directives(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<Response, ApiError> {
    let (headers, bytes) = body::read(request).await?;
    let probe: Probe = body::parse(&bytes)?;
    if probe.directives.is_some() {
        bulk(&api, caller, &headers, &bytes).await
    } else {
        single(&api, caller, &headers, &bytes).await
    }
}

/// What a 200 holds.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "only for the schema")]
enum AnswersSchema {
    One(AcceptedBody),
    Bulk(ResultsBody),
}

async fn single(api: &Api, caller: Caller, headers: &HeaderMap, bytes: &[u8]) -> Result<Response, ApiError> {
    let mut body: DirectiveBody = body::parse(bytes)?;
    if let Some(key) = header_key(headers)? {
        match &body.idempotency_key {
            Some(there) if *there != key => {
                return Err(ApiError::malformed(
                    "`idempotency_key` and the header `Idempotency-Key` differ; send one",
                ));
            }
            Some(_) | None => body.idempotency_key = Some(key),
        }
    }
    let directive = directive(body, &caller.emitter, api.facts.default_issuer.as_deref())?;
    let answers = api.door.submit(vec![directive], caller.rights, "http").await?;
    let answered =
        answers.and_then(|answers| answers.into_iter().next()).ok_or_else(ApiError::indeterminate)?;
    Ok(Json(accepted(&answered)?).into_response())
}

async fn bulk(api: &Api, caller: Caller, headers: &HeaderMap, bytes: &[u8]) -> Result<Response, ApiError> {
    if headers.contains_key(KEY_HEADER) {
        return Err(ApiError::malformed(
            "the header `Idempotency-Key` is for one directive; give each its own field",
        ));
    }
    let BulkBody { directives: bodies } = body::parse(bytes)?;
    if bodies.is_empty() || bodies.len() > DIRECTIVES_MAX {
        let message = format!("`directives` has {} items; send 1 to {DIRECTIVES_MAX}", bodies.len());
        return Err(ApiError::refused("too_many", message));
    }
    let mut results: Vec<Option<ResultBody>> = Vec::with_capacity(bodies.len());
    let mut directives = Vec::with_capacity(bodies.len());
    for body in bodies {
        match directive(body, &caller.emitter, api.facts.default_issuer.as_deref()) {
            Ok(directive) => {
                directives.push(directive);
                results.push(None);
            }
            Err(error) => results.push(Some(not_accepted(&error))),
        }
    }
    let answers = if directives.is_empty() {
        Vec::new()
    } else {
        let answers = api.door.submit(directives, caller.rights, "http").await?;
        answers.ok_or_else(ApiError::indeterminate)?
    };
    if let Some(refusal) = all_over_budget(&answers, results.len()) {
        return Err(ApiError::from(refusal));
    }
    let mut answers = answers.into_iter();
    let results = results.into_iter().map(|result| {
        result.unwrap_or_else(|| match answers.next().as_ref().map(accepted) {
            Some(Ok(body)) => ResultBody::Accepted(body),
            Some(Err(error)) => not_accepted(&error),
            None => not_accepted(&ApiError::indeterminate()),
        })
    });
    Ok(Json(ResultsBody { results: results.collect() }).into_response())
}

/// A bulk of which nothing passed is refused as one directive is, with the time to wait.
fn all_over_budget(answers: &[Answered], asked: usize) -> Option<&Refusal> {
    let mut over = answers.iter().filter_map(|answered| match &answered.outcome {
        Outcome::Refused(refusal @ Refusal::Quota { .. }) => Some(refusal),
        Outcome::Refused(_) | Outcome::Accepted { .. } | Outcome::Indeterminate { .. } => None,
    });
    if over.clone().count() == asked { over.next_back() } else { None }
}

fn header_key(headers: &HeaderMap) -> Result<Option<String>, ApiError> {
    let Some(value) = headers.get(KEY_HEADER) else { return Ok(None) };
    match value.to_str() {
        Ok(text) => Ok(Some(text.to_owned())),
        Err(_) => Err(ApiError::malformed("the header `Idempotency-Key` must be printable ASCII")),
    }
}

fn directive(
    mut body: DirectiveBody,
    emitter: &EmitterId,
    default_issuer: Option<&str>,
) -> Result<Directive, ApiError> {
    let key = match body.idempotency_key.take() {
        Some(text) => IdempotencyKey::new(&text),
        None => IdempotencyKey::new(&random_key()?),
    };
    let key = key.map_err(|error| ApiError::refused("bad_key", error.to_string()))?;
    let boxed = |text: Option<String>| text.map(String::into_boxed_str);
    let origin = Origin {
        emitter: emitter.clone(),
        key,
        requested_by: boxed(body.requested_by.take()),
        reason_code: boxed(body.reason_code.take()),
        incident: boxed(body.incident.take()),
        known_at: body.known_at_ms.take().map(UnixMs),
    };
    let reason_admin = boxed(body.reason_admin.take());
    let ask = ask::ask(body, default_issuer)?;
    let directive = Directive { origin, reason_admin, ask };
    check_texts(&directive).map_err(|error| ApiError::refused("bad_text", error.to_string()))?;
    Ok(directive)
}

fn random_key() -> Result<String, ApiError> {
    let mut bytes = [0; 16];
    let filled = getrandom::fill(&mut bytes);
    filled.map(|()| hex::encode(bytes)).map_err(|_| ApiError::from(crate::engine::EngineGone))
}

fn accepted(answered: &Answered) -> Result<AcceptedBody, ApiError> {
    match &answered.outcome {
        Outcome::Accepted { id, position, existing } => Ok(AcceptedBody {
            state: "accepted",
            id: id.to_string(),
            position: position.to_string(),
            lane: id.lane().to_string(),
            existing: *existing,
            accepted_at_ms: answered.accepted_at.map(views::ms),
            cutoff: answered.cutoff.map(views::s),
        }),
        Outcome::Indeterminate { .. } => Err(ApiError::indeterminate()),
        Outcome::Refused(refusal) => Err(ApiError::from(refusal)),
    }
}

fn not_accepted(error: &ApiError) -> ResultBody {
    let state = if error.code() == "indeterminate" { "indeterminate" } else { "refused" };
    ResultBody::Not(NotAcceptedBody {
        state,
        code: error.code().to_owned(),
        message: error.message().to_owned(),
    })
}
