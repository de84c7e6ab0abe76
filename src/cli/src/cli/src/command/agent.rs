//! `rescind agent`: a bare agent behind a Unix socket.

use std::path::Path;
use std::sync::Arc;

use rescind_agent::{Agent, AgentConfig, Query};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::process;
use crate::args::AgentArgs;
use crate::exit::Exit;
use crate::fault::{Fault, chain};
use crate::output::Screen;
use crate::socket::{self, Bound, error};

/// Serves until told to end.
pub(super) async fn run(args: AgentArgs, screen: Screen) -> Result<Exit, Fault> {
    let config = load(&args.config)?;
    process::logs(screen, "info")?;
    let mut end = process::End::listen()?;
    let bound = Bound::new(&args.socket)?;
    let agent = tokio::select! {
        agent = connect(config) => agent?,
        () = end.asked() => return Ok(Exit::Ok),
    };
    let stop = CancellationToken::new();
    let serving = tokio::spawn(socket::serve(bound, answers(agent.clone()), stop.clone()));
    screen.show(
        &format!("agent {} for {} answers on {}", agent.agent_id(), agent.service(), args.socket.display()),
        &json!({"command": "agent", "agent": agent.agent_id(), "service": agent.service(), "socket": args.socket}),
    );
    end.asked().await;
    screen.note("ending in order");
    stop.cancel();
    serving.await.ok();
    agent.stop().await;
    Ok(Exit::Ok)
}

/// The configuration, or every mistake in it.
pub(super) fn load(path: &Path) -> Result<AgentConfig, Fault> {
    AgentConfig::load(path)
        .map_err(|error| Fault::usage(format!("cannot use `{}`: {}", path.display(), chain(&error))))
}

/// A running agent; not yet fresh.
pub(super) async fn connect(config: AgentConfig) -> Result<Agent, Fault> {
    Agent::connect(config)
        .await
        .map_err(|error| Fault::internal("start", format!("starting the agent: {}", chain(&error))))
}

/// One line of the socket.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    token: Option<String>,
    action: Option<String>,
    resource: Option<String>,
    tenant: Option<String>,
    #[serde(default)]
    status: bool,
}

/// What the socket answers.
pub(super) fn answers(agent: Agent) -> Arc<dyn Fn(&str) -> Value + Send + Sync> {
    Arc::new(move |line| answer(&agent, line))
}

fn answer(agent: &Agent, line: &str) -> Value {
    const WANTED: &str = "send {\"token\",\"action\",\"resource\",\"tenant\"} or {\"status\":true}";
    let line: Line = match serde_json::from_str(line) {
        Ok(line) => line,
        // Why without the parser's words: they could quote the token.
        Err(_) => return error("bad_line", &format!("the line is not a question; {WANTED}")),
    };
    if line.status {
        return serde_json::to_value(agent.status())
            .unwrap_or_else(|_| error("status", "the status has no json form"));
    }
    let (Some(token), Some(action), Some(resource)) = (&line.token, &line.action, &line.resource) else {
        return error("bad_line", &format!("a part of the question is missing; {WANTED}"));
    };
    decision(agent, &Query { token, action, resource, tenant: line.tenant.as_deref() })
}

fn decision(agent: &Agent, query: &Query<'_>) -> Value {
    let explained = agent.explain(query);
    json!({
        "effect": explained.effect,
        "reason": explained.code,
        "records": explained.records,
        "entitlements": explained.entitlements,
        "deny": explained.deny,
        "grant": explained.grant,
        "freshness": explained.freshness,
        "staleness_ms": explained.staleness_ms,
        "valid_for_ms": explained.valid_for_ms,
        "drift": explained.drift,
        "claims": explained.claims,
        "token_error": explained.token_error,
        "retry_after_s": explained.retry_after_s,
    })
}
