//! A service of the demo: axum with the agent embedded, as a team would write it.

use std::net::SocketAddr;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::routing::post;
use axum::{Json, Router};
use rescind_agent::{Agent, Query};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// What a service tells the demo about a decision. A real service would tell callers less.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Answer {
    pub(super) allow: bool,
    pub(super) code: String,
    pub(super) records: Vec<String>,
    pub(super) position: String,
    pub(super) drift: Option<String>,
}

/// Serves `POST /orders/{id}/refund` on a port that the system chooses, until `stop`.
pub(super) async fn serve(agent: Agent, stop: CancellationToken) -> std::io::Result<SocketAddr> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let address = listener.local_addr()?;
    let app = Router::new().route("/orders/{id}/refund", post(refund)).with_state(agent);
    tokio::spawn(async move {
        let served = axum::serve(listener, app).with_graceful_shutdown(stop.cancelled_owned()).await;
        drop(served);
    });
    Ok(address)
}

async fn refund(
    State(agent): State<Agent>,
    Path(order): Path<String>,
    headers: HeaderMap,
) -> (StatusCode, Json<Answer>) {
    let bearer = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token = bearer.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
    let resource = format!("/orders/{order}");
    let query = Query { token, action: "refund:create", resource: &resource, tenant: None };
    let explained = agent.explain(&query);
    let status = if explained.decision.is_allow() { StatusCode::OK } else { StatusCode::FORBIDDEN };
    let answer = Answer {
        allow: explained.decision.is_allow(),
        code: explained.code.to_owned(),
        records: explained.records,
        position: explained.position,
        drift: explained.drift,
    };
    (status, Json(answer))
}
