//! Errors as callers see them.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use rescind_core::controller::refusal::{Deposed, Refusal};
use serde::Serialize;
use utoipa::ToSchema;

use crate::door::Shut;
use crate::engine::EngineGone;

/// An answer that is not what was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ApiError {
    status: StatusCode,
    code: &'static str,
    message: String,
    /// Seconds.
    retry_after: Option<u32>,
}

/// Body of every error.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ErrorBody {
    error: ErrorText,
}

/// What went wrong.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ErrorText {
    /// Stable word for programs.
    #[schema(example = "rights")]
    code: String,
    /// For people: what is wrong and what to do.
    message: String,
}

impl ApiError {
    pub(crate) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        let retry_after = (status == StatusCode::SERVICE_UNAVAILABLE).then_some(1);
        Self { status, code, message: message.into(), retry_after }
    }

    /// The request cannot be read.
    pub(crate) fn malformed(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "malformed", message)
    }

    /// The request can be read and means nothing.
    pub(crate) fn refused(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, message)
    }

    pub(crate) fn indeterminate() -> Self {
        let message = "it is not known whether the directive takes effect; repeat it with the same idempotency key, \
                       it has one effect however often it is sent";
        Self::new(StatusCode::GATEWAY_TIMEOUT, "indeterminate", message)
    }

    pub(crate) const fn code(&self) -> &'static str {
        self.code
    }

    pub(crate) fn message(&self) -> &str {
        &self.message
    }
}

impl From<&Refusal> for ApiError {
    fn from(refusal: &Refusal) -> Self {
        let (status, code) = match refusal {
            Refusal::Rights(_) => (StatusCode::FORBIDDEN, "rights"),
            Refusal::Quota { .. } => (StatusCode::TOO_MANY_REQUESTS, "quota"),
            Refusal::Busy | Refusal::Deadline => (StatusCode::SERVICE_UNAVAILABLE, "busy"),
            Refusal::NotWriter(Deposed::ForeignEntry | Deposed::Standby) => {
                (StatusCode::SERVICE_UNAVAILABLE, "no_writer")
            }
            Refusal::NotWriter(Deposed::HistoryLost) => (StatusCode::SERVICE_UNAVAILABLE, "history_lost"),
            Refusal::Elsewhere { code, .. } => (status_of(code), *code),
            Refusal::NotWriter(Deposed::LogFailed) => (StatusCode::SERVICE_UNAVAILABLE, "not_ready"),
            Refusal::IdempotencyConflict { .. } => (StatusCode::CONFLICT, "idempotency_conflict"),
            Refusal::UnknownRecord { .. }
            | Refusal::UnknownEntitlement { .. }
            | Refusal::AlreadyEnded { .. }
            | Refusal::CannotLift { .. }
            | Refusal::CannotReinstate { .. }
            | Refusal::Record(_)
            | Refusal::CutoffAhead
            | Refusal::ReasonTooLong { .. }
            | Refusal::Fold(_)
            | Refusal::TooLarge { .. }
            | Refusal::Exhausted => (StatusCode::UNPROCESSABLE_ENTITY, refusal.code()),
        };
        let mut error = Self::new(status, code, refusal.to_string());
        if let Refusal::Quota { retry_after_s, .. } = refusal {
            error.retry_after = Some(*retry_after_s);
        }
        error
    }
}

/// The status that this controller would have answered with.
fn status_of(code: &str) -> StatusCode {
    match code {
        "rights" => StatusCode::FORBIDDEN,
        "idempotency_conflict" => StatusCode::CONFLICT,
        "busy" | "deadline" | "not_writer" | "no_writer" | "not_ready" | "log_full" | "history_lost" => {
            StatusCode::SERVICE_UNAVAILABLE
        }
        _ => StatusCode::UNPROCESSABLE_ENTITY,
    }
}

impl From<Shut> for ApiError {
    fn from(shut: Shut) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, shut.code(), shut.to_string())
    }
}

impl From<EngineGone> for ApiError {
    fn from(gone: EngineGone) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "not_ready", gone.to_string())
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let Self { status, code, message, retry_after } = self;
        let body = ErrorBody { error: ErrorText { code: code.to_owned(), message } };
        let mut response = (status, Json(body)).into_response();
        if status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(seconds) = retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}
