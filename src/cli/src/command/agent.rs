//! `rescind agent`: a bare agent behind a Unix socket.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rescind_agent::{Agent, AgentConfig, Explained, Query};
use rescind_core::ids::RecordId;
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

/// Limit: changes that one question names.
const AT_LEAST_MAX: usize = 64;
/// How long a question waits for them when it says nothing.
const AT_LEAST_WAIT: Duration = Duration::from_secs(2);
/// Limit: how long it may wait; whoever asks gives up after five seconds.
const AT_LEAST_WAIT_MAX: Duration = Duration::from_secs(4);

/// One line of the socket.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    token: Option<String>,
    action: Option<String>,
    resource: Option<String>,
    tenant: Option<String>,
    /// Ids of changes that the answer must hold.
    #[serde(default)]
    at_least: Vec<String>,
    /// How long to wait for them.
    wait_ms: Option<u64>,
    #[serde(default)]
    status: bool,
}

/// What the socket answers.
pub(super) fn answers(agent: Agent) -> socket::Answer {
    Arc::new(move |line| {
        let (agent, line) = (agent.clone(), serde_json::from_str(line));
        Box::pin(async move { answer(&agent, line).await })
    })
}

async fn answer(agent: &Agent, line: Result<Line, serde_json::Error>) -> Value {
    const WANTED: &str = "send {\"token\",\"action\",\"resource\",\"tenant\",\"at_least\",\"wait_ms\"} or \
                          {\"status\":true}";
    let line = match line {
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
    let query = Query { token, action, resource, tenant: line.tenant.as_deref() };
    if line.at_least.is_empty() {
        return decision(&agent.explain(&query));
    }
    if line.at_least.len() > AT_LEAST_MAX {
        return error("bad_line", "at_least names too many changes; the newest of each lane is enough");
    }
    let wait = line.wait_ms.map_or(AT_LEAST_WAIT, Duration::from_millis).min(AT_LEAST_WAIT_MAX);
    let ids: Result<Vec<RecordId>, _> = line.at_least.iter().map(|id| id.parse()).collect();
    let Ok(ids) = ids else {
        return error("bad_line", "at_least holds something that is no id of a change; write `deny-1-3`");
    };
    let at_least: Vec<_> = ids.iter().map(|id| (id.lane(), id.position())).collect();
    decision(&agent.explain_at_least(&query, &at_least, wait).await)
}

fn decision(explained: &Explained) -> Value {
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
