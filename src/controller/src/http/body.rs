//! Reads request bodies: JSON, bounded in bytes and time, every unknown field refused by name.

use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode, header};
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use super::errors::ApiError;

/// Limit: a request with 10,000 directives of a common length; larger bulks come in several.
pub(super) const BODY_BYTES_MAX: usize = 16 << 20;
/// Limit: until the whole body is there.
const BODY_WAIT: Duration = Duration::from_secs(10);

/// The whole body of a request that says it is JSON.
pub(super) async fn read(request: Request) -> Result<(HeaderMap, Bytes), ApiError> {
    let (parts, body) = request.into_parts();
    let kind =
        parts.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    if !kind.eq_ignore_ascii_case("application/json") {
        let message = "the body must be JSON; send `Content-Type: application/json`";
        return Err(ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not_json", message));
    }
    let bytes = collect(body, &parts.headers).await?;
    Ok((parts.headers, bytes))
}

async fn collect(body: Body, headers: &HeaderMap) -> Result<Bytes, ApiError> {
    let too_large = || {
        let message = format!("the body has more than {BODY_BYTES_MAX} bytes; send fewer directives at once");
        ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", message)
    };
    let length =
        headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if length.is_some_and(|length| length > BODY_BYTES_MAX) {
        return Err(too_large());
    }
    match timeout(BODY_WAIT, to_bytes(body, BODY_BYTES_MAX)).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(error)) => {
            let is_limit =
                std::error::Error::source(&error).is_some_and(|source| source.to_string().contains("limit"));
            Err(if is_limit {
                too_large()
            } else {
                ApiError::malformed("the body ended early; send it again")
            })
        }
        Err(_) => {
            let message = "the body did not arrive in time; send it again";
            Err(ApiError::new(StatusCode::REQUEST_TIMEOUT, "too_slow", message))
        }
    }
}

/// Parses; an error names the field or the place, never the content around it.
pub(super) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice(bytes)
        .map_err(|error| ApiError::malformed(format!("the body cannot be read: {error}")))
}
