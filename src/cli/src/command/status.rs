//! `rescind status`.

use serde_json::Value;

use super::ask;
use crate::args::StatusArgs;
use crate::exit::Exit;
use crate::fault::Fault;
use crate::output::status::{AgentCounts, Status};
use crate::output::{Screen, fields};

/// Tells whether controller and agents are well.
pub(super) async fn run(args: StatusArgs, screen: Screen) -> Result<Exit, Fault> {
    let client = ask::client(&args.client, screen)?;
    let failed = |error: crate::client::ClientError| error.fault("asking for the status");
    let (healthy, _) = client.probe("healthz").await.map_err(failed)?;
    let (ready, readiness) = client.probe("readyz").await.map_err(failed)?;
    let standing = client.get(&["v1", "status"], &[]).await.map_err(failed)?;
    let position = client.get(&["v1", "position"], &[]).await.map_err(failed)?;
    let agents = client.get(&["v1", "agents"], &[]).await.map_err(failed)?;
    let reasons = fields::rows(&readiness, "reasons").iter().map(reason).collect();
    let status = Status {
        url: client.url().to_owned(),
        healthy,
        ready,
        reasons,
        standing,
        position,
        agents: AgentCounts::of(fields::rows(&agents, "agents")),
    };
    screen.show(&status.render(), &status.json());
    Ok(if status.is_ok() { Exit::Ok } else { Exit::Partial })
}

/// A reason is a text, or an object with a message.
fn reason(reason: &Value) -> String {
    reason
        .as_str()
        .map(str::to_owned)
        .or_else(|| fields::opt(reason, "message"))
        .unwrap_or_else(|| reason.to_string())
}
