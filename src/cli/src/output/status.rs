//! Whether all is well.

use serde_json::{Value, json};

use super::fields::{clean, opt, text};
use super::roles;

/// How many agents are in which state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct AgentCounts {
    known: usize,
    fresh: usize,
    stale: usize,
    unsynced: usize,
    silent: usize,
}

impl AgentCounts {
    /// Counts rows of `/v1/agents`. Silence comes first: what a silent agent last said is not what it is.
    pub(crate) fn of(agents: &[Value]) -> Self {
        let mut counts = Self { known: agents.len(), ..Self::default() };
        for agent in agents {
            match opt(agent, "freshness").as_deref() {
                _ if is_silent(agent) => counts.silent += 1,
                Some("fresh") => counts.fresh += 1,
                Some("stale") => counts.stale += 1,
                Some(_) => counts.unsynced += 1,
                None => counts.silent += 1,
            }
        }
        counts
    }
}

/// Whether nothing was heard of an agent lately.
pub(crate) fn is_silent(agent: &Value) -> bool {
    agent.get("heard").and_then(Value::as_bool) == Some(false)
}

/// Everything that `rescind status` found out.
#[derive(Debug, Clone)]
pub(crate) struct Status {
    /// The controller.
    pub(crate) url: String,
    /// Its process answers.
    pub(crate) healthy: bool,
    /// It accepts directives.
    pub(crate) ready: bool,
    /// Why it does not.
    pub(crate) reasons: Vec<String>,
    /// Its role, epoch, and who writes: `/v1/status`.
    pub(crate) standing: Value,
    /// Its heads.
    pub(crate) position: Value,
    /// The agents.
    pub(crate) agents: AgentCounts,
}

impl Status {
    /// Whether nothing needs attention.
    pub(crate) fn is_ok(&self) -> bool {
        self.healthy && self.ready && self.agents.fresh == self.agents.known
    }

    /// For a script.
    pub(crate) fn json(&self) -> Value {
        let AgentCounts { known, fresh, stale, unsynced, silent } = self.agents;
        json!({
            "url": self.url, "healthy": self.healthy, "ready": self.ready, "reasons": self.reasons,
            "controller": self.standing.get("controller"), "role": self.standing.get("role"),
            "epoch": self.standing.get("epoch"), "writer": self.standing.get("writer"),
            "behind": self.standing.get("behind"), "position": self.position,
            "agents": {"known": known, "fresh": fresh, "stale": stale, "unsynced": unsynced, "silent": silent},
            "state": if self.is_ok() { "ok" } else { "degraded" },
        })
    }

    /// For a person.
    pub(crate) fn render(&self) -> String {
        let AgentCounts { known, fresh, stale, unsynced, silent } = self.agents;
        let state = match (self.healthy, self.ready) {
            (true, true) => "accepts directives".to_owned(),
            (true, false) => {
                let why: Vec<String> = self.reasons.iter().map(|reason| clean(reason)).collect();
                format!("does not accept directives: {}", why.join("; "))
            }
            (false, _) => "is not healthy".to_owned(),
        };
        let mut lines = vec![format!("controller {} {state}", self.url)];
        lines.push(format!("role        {}", roles::standing(&self.standing)));
        if let Some(behind) = opt(&self.standing, "behind") {
            lines.push(format!("missing     somebody holds {behind}; see `rescind help recover`"));
        }
        lines.push(format!("position    {}", position(&self.position)));
        lines.push(match known {
            0 => "agents      none known".to_owned(),
            _ => format!("agents      {known} known: {fresh} fresh, {stale} stale, {unsynced} unsynced, {silent} silent"),
        });
        if fresh < known {
            lines.push("            see `rescind agents`".to_owned());
        }
        lines.join("\n")
    }
}

/// Heads as `deny 1/3, grant 1/7`, whatever else the object holds.
fn position(heads: &Value) -> String {
    let of = |name: &str| match heads.get(name) {
        Some(Value::Object(_)) => text(heads.get(name).unwrap_or(&Value::Null), "position"),
        _ => text(heads, name),
    };
    format!("deny {}, grant {}", of("deny"), of("grant"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(agents: &[Value], ready: bool) -> Status {
        Status {
            url: "http://c".to_owned(),
            healthy: true,
            ready,
            reasons: vec!["the bus is away".to_owned()],
            standing: json!({"controller": "c1", "role": "standby", "epoch": 2, "writer": "c2"}),
            position: json!({"deny": "1/3", "grant": "1/7"}),
            agents: AgentCounts::of(agents),
        }
    }

    #[test]
    fn one_stale_or_silent_agent_is_degraded() {
        assert!(status(&[json!({"freshness": "fresh"})], true).is_ok());
        let degraded = status(
            &[
                json!({"freshness": "fresh"}),
                json!({"freshness": "stale"}),
                json!({"heard": false, "freshness": "fresh"}),
            ],
            true,
        );
        assert!(!degraded.is_ok());
        assert_eq!(
            degraded.json()["agents"],
            json!({"known": 3, "fresh": 1, "stale": 1, "unsynced": 0, "silent": 1})
        );
        assert!(degraded.render().contains("3 known: 1 fresh, 1 stale, 0 unsynced, 1 silent"));
    }

    #[test]
    fn role_epoch_and_writer_are_told() {
        let mut status = status(&[], true);
        assert!(status.render().contains("role        c1 is standby in epoch 2; c2 writes"));
        assert_eq!(status.json()["writer"], "c2");
        assert!(!status.render().contains("missing"));
        status.standing =
            json!({"controller": "c1", "role": "writer", "epoch": 2, "writer": "c1", "behind": "deny 1/9"});
        assert!(status.render().contains("missing     somebody holds deny 1/9"), "{}", status.render());
    }

    #[test]
    fn a_controller_that_is_not_ready_says_why() {
        let text = status(&[], false).render();
        assert!(
            text.starts_with("controller http://c does not accept directives: the bus is away\n"),
            "{text}"
        );
        assert!(text.contains("deny 1/3, grant 1/7"), "{text}");
    }
}
