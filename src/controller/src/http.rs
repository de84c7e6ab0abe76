//! The HTTP API. Every request is bounded in size and time, every answer is JSON (but metrics), every error
//! says what to do.

mod auth;
mod body;
mod errors;
mod listen;
mod openapi;
mod read;
mod roles;
#[cfg(test)]
mod tests;
mod views;
mod write;

use std::sync::Arc;

use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use rescind_telemetry::ControllerMetrics;
use tokio_util::sync::CancellationToken;

pub(crate) use auth::Emitters;
pub(crate) use listen::{HttpServer, bind};
pub use openapi::openapi_json;
pub use write::DIRECTIVES_MAX;

use self::errors::ApiError;
use crate::door::Door;
use crate::health::Health;

/// What all requests share.
#[derive(Debug, Clone)]
pub(crate) struct Api {
    pub(crate) door: Door,
    pub(crate) emitters: Arc<Emitters>,
    pub(crate) health: Health,
    pub(crate) metrics: Arc<ControllerMetrics>,
    pub(crate) facts: Arc<Facts>,
    /// Ends long polls.
    pub(crate) stop: CancellationToken,
}

/// What never changes while a controller runs.
#[derive(Debug, Clone)]
pub(crate) struct Facts {
    pub(crate) realm: String,
    pub(crate) chain_id: String,
    pub(crate) controller: String,
    pub(crate) default_issuer: Option<Box<str>>,
}

/// All routes.
pub(crate) fn router(api: Api) -> Router {
    let guarded = Router::new()
        .route("/v1/directives", post(write::directives))
        .route("/v1/records", get(read::records))
        .route("/v1/records/{id}", get(read::record))
        .route("/v1/records/{id}/board", get(read::board))
        .route("/v1/entitlements", get(read::entitlements))
        .route("/v1/entitlements/{id}", get(read::entitlement))
        .route("/v1/agents", get(read::agents))
        .route("/v1/board", get(read::overview))
        .route("/v1/position", get(read::position))
        .route("/v1/status", get(roles::status))
        .route("/v1/takeover", post(roles::take_over))
        .route("/v1/recovery/plan", post(roles::plan))
        .route("/v1/recovery/apply", post(roles::apply))
        .route_layer(middleware::from_fn_with_state(api.clone(), auth::guard));
    Router::new()
        .merge(guarded)
        .route("/healthz", get(read::healthz))
        .route("/readyz", get(read::readyz))
        .route("/metrics", get(metrics))
        .route("/openapi.json", get(openapi))
        .fallback(not_found)
        .method_not_allowed_fallback(wrong_method)
        .layer(middleware::from_fn_with_state(api.clone(), observe))
        .with_state(api)
}

/// Counts the request, and keeps answers out of caches.
async fn observe(State(api): State<Api>, request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let mut response = next.run(request).await;
    api.metrics.http(route.as_deref().unwrap_or("none"), response.status().as_u16());
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

async fn metrics(State(api): State<Api>) -> Response {
    let kind = HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
    ([(header::CONTENT_TYPE, kind)], api.metrics.encode()).into_response()
}

async fn openapi() -> Response {
    let kind = HeaderValue::from_static("application/json");
    ([(header::CONTENT_TYPE, kind)], openapi_json()).into_response()
}

async fn not_found() -> ApiError {
    ApiError::new(StatusCode::NOT_FOUND, "not_found", "there is nothing at this path; see `/openapi.json`")
}

async fn wrong_method() -> ApiError {
    let message = "this path takes another method; see `/openapi.json`";
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "wrong_method", message)
}
