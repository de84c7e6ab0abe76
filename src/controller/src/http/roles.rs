//! Roles of controllers: what this one is, taking over, and giving up lost history.

use axum::Json;
use axum::extract::{Extension, Request, State};
use axum::http::StatusCode;
use rescind_codec::{check_note, decode_approval, encode_statement};
use rescind_core::controller::rights::{Rights, RightsError, Word};
use rescind_core::epoch::{Approval, LostHistory, RecoveryStatement};
use rescind_core::ids::ChainId;
use rescind_core::position::{Epoch, Heads};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Api;
use super::auth::Caller;
use super::body;
use super::errors::{ApiError, ErrorBody};
use crate::clock;

/// What this controller is.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct StatusBody {
    controller: String,
    /// `writer`, `standby` or `starting`.
    #[schema(example = "writer")]
    role: &'static str,
    /// Epoch of the chain, as far as this controller knows.
    epoch: u32,
    /// Who writes; missing where nobody was heard lately.
    writer: Option<String>,
    ready: bool,
    /// Why not, for people.
    reasons: Vec<String>,
    /// Lane and position that somebody holds and this controller lacks: nothing is accepted until it is back.
    #[schema(example = "deny 1/9")]
    behind: Option<String>,
}

/// What this controller is.
#[utoipa::path(get, path = "/v1/status", tag = "roles", security(("bearer" = [])), responses(
    (status = 200, body = StatusBody), (status = 401, body = ErrorBody),
))]
pub(crate) async fn status(State(api): State<Api>) -> Json<StatusBody> {
    let readiness = api.health.readiness();
    let standing = api.door.engine.standing().borrow().clone();
    Json(StatusBody {
        controller: api.facts.controller.clone(),
        role: standing.role.word(),
        epoch: standing.epoch.0,
        writer: standing.writer.map(|writer| writer.to_string()),
        ready: readiness.ready,
        reasons: readiness.reasons,
        behind: standing.behind.map(|(lane, at)| format!("{lane} {at}")),
    })
}

fn may_recover(rights: &Rights) -> Result<(), ApiError> {
    if rights.words.has(Word::Recover) {
        return Ok(());
    }
    let refusal = RightsError::Word { word: Word::Recover };
    Err(ApiError::new(StatusCode::FORBIDDEN, "rights", refusal.to_string()))
}

/// A standby that was asked to take over.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TakeOverBody {
    /// Always `asked`; `/v1/status` says when it writes.
    state: &'static str,
}

/// Asks a standby to take over now; the writer before is fenced and follows.
#[utoipa::path(post, path = "/v1/takeover", tag = "roles", security(("bearer" = [])), responses(
    (status = 202, body = TakeOverBody), (status = 401, body = ErrorBody),
    (status = 403, description = "the emitter may not `recover`", body = ErrorBody),
    (status = 409, description = "it writes already, or is about to", body = ErrorBody),
))]
pub(crate) async fn take_over(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
) -> Result<(StatusCode, Json<TakeOverBody>), ApiError> {
    may_recover(&caller.rights)?;
    if api.door.engine.take_over().await? {
        tracing::warn!(emitter = %caller.emitter, "asked to take over");
        return Ok((StatusCode::ACCEPTED, Json(TakeOverBody { state: "asked" })));
    }
    let message = "this controller does not follow another one; ask the standby";
    Err(ApiError::new(StatusCode::CONFLICT, "not_standby", message))
}

/// What two persons have to sign, if they want to give up what is missing.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RecoveryBody {
    /// The epoch that would begin.
    epoch: u32,
    /// Records after this position are given up.
    deny: String,
    /// Entitlements after this position are given up.
    grant: String,
    /// What is known to be missing.
    behind: Option<String>,
    /// The statement to sign, hexadecimal: see `rescind recover approve`. Its reason is the one that was asked for.
    statement: String,
}

/// What a plan is for.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PlanBody {
    /// Why the history is given up, one line: it stands in the chain.
    reason: String,
}

/// Plans to give up history that nobody can hand back.
#[utoipa::path(post, path = "/v1/recovery/plan", tag = "roles", security(("bearer" = [])),
    request_body(content = PlanBody, content_type = "application/json"), responses(
    (status = 200, body = RecoveryBody), (status = 401, body = ErrorBody),
    (status = 403, description = "the emitter may not `recover`", body = ErrorBody),
    (status = 409, description = "nothing is missing", body = ErrorBody),
))]
pub(crate) async fn plan(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<Json<RecoveryBody>, ApiError> {
    may_recover(&caller.rights)?;
    let (_, bytes) = body::read(request).await?;
    let PlanBody { reason } = body::parse(&bytes)?;
    check_note("reason", &reason).map_err(|error| ApiError::refused("bad_text", error.to_string()))?;
    let (epoch, branch) = missing(&api).await?;
    let statement = statement(&api, epoch, branch, &reason)?;
    let behind = api.door.engine.standing().borrow().behind;
    Ok(Json(RecoveryBody {
        epoch: epoch.0,
        deny: branch.deny.position.to_string(),
        grant: branch.grant.position.to_string(),
        behind: behind.map(|(lane, at)| format!("{lane} {at}")),
        statement: hex::encode(encode_statement(&statement)),
    }))
}

/// Two persons' consent.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ApplyBody {
    /// Two signed statements, hexadecimal, of different emitters that may `recover`.
    #[schema(min_items = 2, max_items = 2)]
    approvals: Vec<String>,
}

/// History that is given up.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AppliedBody {
    /// The epoch that begins.
    epoch: u32,
    /// Who agreed.
    approved_by: Vec<String>,
}

/// Gives up history that nobody can hand back, in a new epoch.
#[utoipa::path(post, path = "/v1/recovery/apply", tag = "roles", security(("bearer" = [])),
    request_body(content = ApplyBody, content_type = "application/json"), responses(
    (status = 200, body = AppliedBody), (status = 401, body = ErrorBody),
    (status = 403, description = "the emitter may not `recover`", body = ErrorBody),
    (status = 409, description = "nothing is missing, or the log moved since", body = ErrorBody),
    (status = 422, description = "not two approvals of two emitters that may `recover`", body = ErrorBody),
))]
pub(crate) async fn apply(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<Json<AppliedBody>, ApiError> {
    may_recover(&caller.rights)?;
    let (_, bytes) = body::read(request).await?;
    let ApplyBody { approvals } = body::parse(&bytes)?;
    let (statement, approvals) = read_approvals(&api, &approvals)?;
    let (epoch, branch) = missing(&api).await?;
    if (statement.epoch, statement.branch) != (epoch, branch) {
        return Err(moved());
    }
    let approved_by = approvals.iter().map(|approval| approval.principal.to_string()).collect();
    let lost = LostHistory { branch, reason: statement.reason, approvals };
    if !api.door.engine.give_up(epoch, lost).await? {
        return Err(moved());
    }
    tracing::warn!(epoch = epoch.0, "two persons gave up history that nobody could hand back");
    Ok(Json(AppliedBody { epoch: epoch.0, approved_by }))
}

/// INVARIANT (S7): two different persons signed one statement, each with the word `recover`.
fn read_approvals(api: &Api, texts: &[String]) -> Result<(RecoveryStatement, [Approval; 2]), ApiError> {
    let refuse = |message: String| ApiError::refused("not_approved", message);
    let [one, other] = texts else {
        return Err(refuse(format!("{} approvals; it takes those of two persons", texts.len())));
    };
    let read = |text: &String| {
        let bytes =
            hex::decode(text.trim()).map_err(|_| refuse("an approval is not hexadecimal".to_owned()))?;
        let decoded = decode_approval(&bytes, &api.door.trust, clock::wall());
        let (principal, statement) = decoded.map_err(|error| refuse(error.to_string()))?;
        Ok::<_, ApiError>((Approval { principal, statement: bytes.into() }, statement))
    };
    let ((one, statement), (other, same)) = (read(one)?, read(other)?);
    if one.principal == other.principal {
        let message = format!("both approvals are of `{}`; it takes two persons", one.principal);
        return Err(refuse(message));
    }
    if statement != same {
        return Err(refuse("the approvals are for different statements; plan again".to_owned()));
    }
    Ok((statement, [one, other]))
}

async fn missing(api: &Api) -> Result<(Epoch, Heads), ApiError> {
    api.door.engine.recovery().await?.ok_or_else(|| {
        let message =
            "nothing is known to be missing from this controller's log; there is nothing to give up";
        ApiError::new(StatusCode::CONFLICT, "nothing_lost", message)
    })
}

fn moved() -> ApiError {
    let message = "the log or the epoch moved since the statement was signed; plan and sign again";
    ApiError::new(StatusCode::CONFLICT, "moved", message)
}

fn statement(api: &Api, epoch: Epoch, branch: Heads, reason: &str) -> Result<RecoveryStatement, ApiError> {
    let chain = ChainId::new(&api.facts.chain_id)
        .map_err(|error| ApiError::refused("bad_text", error.to_string()))?;
    Ok(RecoveryStatement { chain, epoch, branch, reason: reason.into() })
}
