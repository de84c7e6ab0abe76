//! Questions.

use std::time::Duration;

use axum::Json;
use axum::extract::{Extension, Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use rescind_core::controller::registry::RecordFilter;
use rescind_core::entitlement::Holder;
use rescind_core::ids::{EmitterId, RecordId};
use rescind_core::position::Lane;
use rescind_core::record::RecordState;
use rescind_core::target::Target;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::Api;
use super::auth::Caller;
use super::errors::{ApiError, ErrorBody};
use super::views::{AgentView, BoardBody, EntitlementView, RecordView, ms};
use crate::clock;
use crate::engine::Inside;

/// Limit: rows of one page.
const PAGE_MAX: usize = 1000;
/// Rows of one page where the caller does not say.
const PAGE_DEFAULT: usize = 100;
/// Limit: one long poll.
const WAIT_MAX: Duration = Duration::from_secs(60);
/// Records on the overview.
const OVERVIEW_RECORDS: u64 = 20;

/// Which records.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct RecordsQuery {
    /// `active` (default), `ended` or `all`.
    state: Option<String>,
    /// On exactly this target.
    target: Option<String>,
    /// Asked by this emitter.
    emitter: Option<String>,
    /// Continue after this id: `next` of the page before.
    after: Option<String>,
    /// 1 to 1,000; 100 where it is missing.
    limit: Option<usize>,
}

/// A page of records, oldest first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RecordsBody {
    records: Vec<RecordView>,
    /// Pass it as `after` to go on; a page may be empty although there is one.
    next: Option<String>,
}

fn bad_query(error: impl std::fmt::Display) -> ApiError {
    ApiError::malformed(format!("the query cannot be read: {error}"))
}

fn parse_id(text: &str) -> Result<RecordId, ApiError> {
    text.parse()
        .map_err(|error: rescind_core::ids::RecordIdError| ApiError::refused("bad_id", error.to_string()))
}

fn page_size(limit: Option<usize>) -> Result<usize, ApiError> {
    match limit {
        None => Ok(PAGE_DEFAULT),
        Some(limit @ 1..=PAGE_MAX) => Ok(limit),
        Some(_) => Err(bad_query(format_args!("`limit` must be 1 to {PAGE_MAX}"))),
    }
}

type Wanted<T> = Result<Query<T>, axum::extract::rejection::QueryRejection>;

/// Lists records.
#[utoipa::path(get, path = "/v1/records", tag = "records", params(RecordsQuery), security(("bearer" = [])), responses(
    (status = 200, body = RecordsBody), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
))]
pub(crate) async fn records(
    State(api): State<Api>,
    query: Wanted<RecordsQuery>,
) -> Result<Json<RecordsBody>, ApiError> {
    let Query(query) = query.map_err(|error| bad_query(error.body_text()))?;
    let (active_only, ended_only) = match query.state.as_deref() {
        None | Some("active") => (true, false),
        Some("ended") => (false, true),
        Some("all") => (false, false),
        Some(_) => return Err(bad_query("`state` must be `active`, `ended` or `all`")),
    };
    let target = query.target.map(|text| text.parse::<Target>()).transpose();
    let target = target.map_err(|error| ApiError::refused("bad_target", error.to_string()))?;
    let emitter = query.emitter.map(|text| EmitterId::new(&text)).transpose().map_err(bad_query)?;
    let after = query.after.as_deref().map(parse_id).transpose()?;
    let limit = page_size(query.limit)?;
    let filter = RecordFilter { target, emitter, active_only };
    let body = api.door.engine.inspect(move |inside: &Inside<'_>| {
        let page = inside.registry().records(&filter, after, limit);
        let rows = page.rows.into_iter().filter(|row| {
            // What is in flight is not accepted yet, so it is not shown.
            inside.is_accepted(row.record.id) && (!ended_only || row.state != RecordState::Active)
        });
        RecordsBody {
            records: rows.map(RecordView::from).collect(),
            next: page.next.map(|id| id.to_string()),
        }
    });
    Ok(Json(body.await?))
}

fn unknown(id: RecordId) -> ApiError {
    let message = format!("there is no record `{id}`; list them with `/v1/records`");
    ApiError::new(StatusCode::NOT_FOUND, "unknown_record", message)
}

/// One record.
#[utoipa::path(get, path = "/v1/records/{id}", tag = "records", params(("id" = String, Path, description = "`deny-1-3`")),
    security(("bearer" = [])), responses(
    (status = 200, body = RecordView), (status = 401, body = ErrorBody), (status = 404, body = ErrorBody),
    (status = 422, body = ErrorBody),
))]
pub(crate) async fn record(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<Json<RecordView>, ApiError> {
    let id = parse_id(&id)?;
    let found = api.door.engine.inspect(move |inside: &Inside<'_>| {
        let row = inside.registry().record(id).filter(|_| inside.is_accepted(id))?;
        let has_reason = row.reason_admin_sha256.is_some() && row.origin.emitter == caller.emitter;
        Some((RecordView::from(row), has_reason))
    });
    let (view, has_reason) = found.await?.ok_or_else(|| unknown(id))?;
    let reason = if has_reason { api.door.reason(id).await } else { None };
    Ok(Json(view.with_reason(reason)))
}

/// How long to wait.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct BoardQuery {
    /// Answer when it is enforced, or after so many milliseconds; at most 60,000.
    wait_ms: Option<u64>,
}

/// Where a change is enforced. Works for every accepted change: records, lifts, grants.
#[utoipa::path(get, path = "/v1/records/{id}/board", tag = "records",
    params(("id" = String, Path, description = "`deny-1-3` or `grant0-1-7`"), BoardQuery),
    security(("bearer" = [])), responses(
    (status = 200, body = BoardBody), (status = 401, body = ErrorBody), (status = 404, body = ErrorBody),
    (status = 422, body = ErrorBody),
))]
pub(crate) async fn board(
    State(api): State<Api>,
    Path(id): Path<String>,
    query: Wanted<BoardQuery>,
) -> Result<Json<BoardBody>, ApiError> {
    let Query(query) = query.map_err(|error| bad_query(error.body_text()))?;
    let id = parse_id(&id)?;
    let wait = Duration::from_millis(query.wait_ms.unwrap_or_default()).min(WAIT_MAX);
    let until = clock::now().boot.plus(wait);
    let view = tokio::select! {
        view = api.door.engine.board(id, until) => view?,
        // A shutdown ends the wait, not the answer.
        () = api.stop.cancelled(), if !wait.is_zero() => api.door.engine.board(id, clock::now().boot).await?,
    };
    let view = view.ok_or_else(|| unknown(id))?;
    let logged = match view.accepted_at {
        Some(_) => None,
        None => api.door.committed_at(id).await,
    };
    Ok(Json(BoardBody::new(&view, logged)))
}

/// Which entitlements.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct EntitlementsQuery {
    /// Of exactly this holder; then those that ended are listed, too.
    holder: Option<String>,
    /// Continue after this id: `next` of the page before.
    after: Option<String>,
    /// 1 to 1,000; 100 where it is missing.
    limit: Option<usize>,
}

/// A page of entitlements, oldest first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EntitlementsBody {
    entitlements: Vec<EntitlementView>,
    /// Pass it as `after` to go on.
    next: Option<String>,
}

/// Lists entitlements that are held, or all of one holder.
#[utoipa::path(get, path = "/v1/entitlements", tag = "entitlements", params(EntitlementsQuery),
    security(("bearer" = [])), responses(
    (status = 200, body = EntitlementsBody), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
    (status = 422, body = ErrorBody),
))]
pub(crate) async fn entitlements(
    State(api): State<Api>,
    query: Wanted<EntitlementsQuery>,
) -> Result<Json<EntitlementsBody>, ApiError> {
    let Query(query) = query.map_err(|error| bad_query(error.body_text()))?;
    let issuer = api.facts.default_issuer.as_deref();
    let holder = query.holder.map(|text| Holder::parse(&text, issuer)).transpose();
    let holder = holder.map_err(|error| ApiError::refused("bad_grant", error.to_string()))?;
    let after = query.after.as_deref().map(parse_id).transpose()?;
    let limit = page_size(query.limit)?;
    let body = api.door.engine.inspect(move |inside: &Inside<'_>| {
        let registry = inside.registry();
        let (rows, next) = match &holder {
            Some(holder) => {
                let rows = registry.by_holder(holder).into_iter();
                let mut rows = rows.filter(|row| after.is_none_or(|after| row.entitlement.id > after));
                let page: Vec<_> = rows.by_ref().take(limit).collect();
                let last = page.last().map(|row| row.entitlement.id);
                (page, rows.next().and(last))
            }
            None => {
                let page = registry.entitlements(after, limit);
                (page.rows, page.next)
            }
        };
        let rows = rows.into_iter().filter(|row| inside.is_accepted(row.entitlement.id));
        EntitlementsBody {
            entitlements: rows.map(EntitlementView::from).collect(),
            next: next.map(|id| id.to_string()),
        }
    });
    Ok(Json(body.await?))
}

/// One entitlement.
#[utoipa::path(get, path = "/v1/entitlements/{id}", tag = "entitlements",
    params(("id" = String, Path, description = "`grant0-1-7`")), security(("bearer" = [])), responses(
    (status = 200, body = EntitlementView), (status = 401, body = ErrorBody), (status = 404, body = ErrorBody),
    (status = 422, body = ErrorBody),
))]
pub(crate) async fn entitlement(
    State(api): State<Api>,
    Path(id): Path<String>,
) -> Result<Json<EntitlementView>, ApiError> {
    let id = parse_id(&id)?;
    let found = api.door.engine.inspect(move |inside: &Inside<'_>| {
        let row = inside.registry().entitlement(id).filter(|_| inside.is_accepted(id))?;
        Some(EntitlementView::from(row))
    });
    found.await?.map(Json).ok_or_else(|| {
        let message = format!("there is no entitlement `{id}`; list them with `/v1/entitlements`");
        ApiError::new(StatusCode::NOT_FOUND, "unknown_entitlement", message)
    })
}

/// All agents.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AgentsBody {
    agents: Vec<AgentView>,
}

fn agent_views(inside: &Inside<'_>) -> Vec<AgentView> {
    inside.ledger.agents(inside.now.boot).iter().map(|row| AgentView::new(row, inside.now)).collect()
}

/// Lists agents, one row per run.
#[utoipa::path(get, path = "/v1/agents", tag = "agents", security(("bearer" = [])), responses(
    (status = 200, body = AgentsBody), (status = 401, body = ErrorBody),
))]
pub(crate) async fn agents(State(api): State<Api>) -> Result<Json<AgentsBody>, ApiError> {
    Ok(Json(AgentsBody { agents: api.door.engine.inspect(agent_views).await? }))
}

/// A record with the state of its board.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OverviewRecord {
    #[serde(flatten)]
    record: RecordView,
    /// `accepted`, `partially_enforced` or `enforced`.
    board_state: &'static str,
}

/// The newest records and all agents.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OverviewBody {
    /// Newest first, at most 20.
    records: Vec<OverviewRecord>,
    agents: Vec<AgentView>,
}

/// The newest records and all agents.
#[utoipa::path(get, path = "/v1/board", tag = "records", security(("bearer" = [])), responses(
    (status = 200, body = OverviewBody), (status = 401, body = ErrorBody),
))]
pub(crate) async fn overview(State(api): State<Api>) -> Result<Json<OverviewBody>, ApiError> {
    let body = api.door.engine.inspect(|inside: &Inside<'_>| {
        let head = inside.sequencer.heads().deny.position;
        let newest = (0..head.revision.0.min(OVERVIEW_RECORDS)).filter_map(|back| {
            let revision = rescind_core::position::Revision(head.revision.0.saturating_sub(back));
            RecordId::new(Lane::Deny, rescind_core::position::Position { revision, ..head })
        });
        let records = newest.filter_map(|id| {
            let row = inside.registry().record(id)?;
            let board_state = inside.board(id)?.board.state.word();
            Some(OverviewRecord { record: RecordView::from(row), board_state })
        });
        OverviewBody { records: records.collect(), agents: agent_views(inside) }
    });
    Ok(Json(body.await?))
}

/// Where the chain stands.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PositionBody {
    /// Confirmed head of the records.
    #[schema(example = "1/3")]
    deny: String,
    /// Confirmed head of the entitlements.
    grant: String,
    epoch: u32,
    /// Digest of the state at these heads.
    digest: String,
    chain_id: String,
    realm: String,
    controller: String,
    controller_time_ms: i64,
}

/// Where the chain stands.
#[utoipa::path(get, path = "/v1/position", tag = "position", security(("bearer" = [])), responses(
    (status = 200, body = PositionBody), (status = 401, body = ErrorBody),
))]
pub(crate) async fn position(State(api): State<Api>) -> Result<Json<PositionBody>, ApiError> {
    let facts = std::sync::Arc::clone(&api.facts);
    let body = api.door.engine.inspect(move |inside: &Inside<'_>| {
        let heads = inside.sequencer.heads();
        PositionBody {
            deny: heads.deny.position.to_string(),
            grant: heads.grant.position.to_string(),
            epoch: heads.deny.position.epoch.0.max(heads.grant.position.epoch.0).max(1),
            digest: inside.sequencer.digest().to_string(),
            chain_id: facts.chain_id.clone(),
            realm: facts.realm.clone(),
            controller: facts.controller.clone(),
            controller_time_ms: ms(inside.now.wall),
        }
    });
    Ok(Json(body.await?))
}

/// The process answers.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct HealthBody {
    /// Always `ok`.
    state: &'static str,
}

/// Whether the process works.
#[utoipa::path(get, path = "/healthz", tag = "health", responses(
    (status = 200, body = HealthBody), (status = 503, description = "the engine is gone", body = ErrorBody),
))]
pub(crate) async fn healthz(State(api): State<Api>) -> Result<Json<HealthBody>, ApiError> {
    api.door.engine.inspect(|_| ()).await?;
    Ok(Json(HealthBody { state: "ok" }))
}

/// Whether directives are accepted.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ReadyBody {
    ready: bool,
    /// Why not, for people.
    reasons: Vec<String>,
}

/// Whether directives are accepted, and if not, why.
#[utoipa::path(get, path = "/readyz", tag = "health", responses(
    (status = 200, body = ReadyBody), (status = 503, body = ReadyBody),
))]
pub(crate) async fn readyz(State(api): State<Api>) -> Response {
    let readiness = api.health.readiness();
    let status = if readiness.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(ReadyBody { ready: readiness.ready, reasons: readiness.reasons })).into_response()
}
