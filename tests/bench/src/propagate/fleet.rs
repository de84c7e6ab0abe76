//! A realm with many agents in this process.

use std::time::Duration;

use rescind_agent::{Agent, Lane, Position, Query};
use rescind_testkit::{Api, BusAuth, TestRealm};
use tokio::task::JoinSet;

use crate::Outcome;
use crate::data::{ACTION, SERVICE};
use crate::measure::wall_ms;

/// Lease of a small fleet, the default.
const LEASE: Duration = Duration::from_secs(5);
/// Lease of a large one: agents renew less often, so one machine can be all of them.
const LEASE_LARGE: Duration = Duration::from_secs(30);
/// Agents from which a fleet is large.
const LARGE: usize = 1000;

/// Limit: longest wait for one deny.
const DENY_WAIT: Duration = Duration::from_secs(30);
const RESOURCE: &str = "/orders/17";

pub(super) struct Fleet {
    realm: TestRealm,
    api: Api,
    agents: Vec<Agent>,
    next: Position,
}

/// When the last agent denied, in milliseconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Denied {
    pub(super) after_asked_ms: f64,
    pub(super) after_accepted_ms: f64,
}

impl Fleet {
    /// Starts everything and waits until every agent is fresh and allows what is going to be revoked.
    ///
    /// # Errors
    /// What did not come up.
    pub(super) async fn start(size: usize) -> Outcome<Self> {
        let lease = if size >= LARGE { LEASE_LARGE } else { LEASE };
        let mut builder = TestRealm::builder().auth(BusAuth::Open).lease(lease);
        for number in 0..size {
            builder = builder.agent(&format!("{SERVICE}-{number:04}"), SERVICE).memory_only();
        }
        let realm = builder.start().await?;
        let api = realm.api("ir")?;
        let holder = format!("user:{}#alice", realm.issuer().url());
        let granted = api.grant(&holder, "refund:*", "/orders/*").await?;
        realm.settle(&granted).await?;
        let before = api.record("revoke", &format!("session:{}#before", realm.issuer().url())).await?;
        realm.settle(&before).await?;
        let agents = realm.agents().map(|agent| agent.handle().cloned()).collect::<Result<Vec<_>, _>>()?;
        let next = following(before.position);
        Ok(Self { realm, api, agents, next })
    }

    pub(super) fn nats_url(&self) -> String {
        self.realm.nats().client_url()
    }

    /// A token that every agent has seen and allows.
    pub(super) fn token(&self, round: usize) -> Outcome<String> {
        let token = self.realm.issuer().token("alice").session(&format!("round-{round}")).sign()?;
        for agent in &self.agents {
            let decision = agent.decide(&query(&token));
            if !decision.is_allow() {
                return Err(format!(
                    "{} answers {} before the revocation",
                    agent.agent_id(),
                    decision.reason
                )
                .into());
            }
        }
        Ok(token)
    }

    /// Revokes the session of that token and waits until every agent has denied it.
    ///
    /// # Errors
    /// Not accepted, or an agent goes on allowing.
    pub(super) async fn revoke(&mut self, round: usize, token: &str) -> Outcome<Denied> {
        let mut waiting = JoinSet::new();
        for agent in &self.agents {
            waiting.spawn(deny(agent.clone(), self.next, token.to_owned()));
        }
        // Why: all of them must be waiting when the clock starts to run.
        tokio::time::sleep(Duration::from_millis(20)).await;
        let target = format!("session:{}#round-{round}", self.realm.issuer().url());
        let asked = wall_ms();
        let accepted = self.api.record("revoke", &target).await?;
        if accepted.position != self.next {
            return Err("somebody else revokes in this realm".into());
        }
        self.next = following(accepted.position);
        let mut last = 0.0_f64;
        while let Some(denied) = waiting.join_next().await {
            last = last.max(denied??);
        }
        let accepted_ms = accepted.accepted_at_ms as f64;
        Ok(Denied { after_asked_ms: last - asked, after_accepted_ms: last - accepted_ms })
    }

    /// Stops the agents in order; the rest ends with this value.
    pub(super) async fn stop(self) {
        let mut ending = JoinSet::new();
        for agent in self.agents {
            ending.spawn(async move { agent.stop().await });
        }
        ending.join_all().await;
    }
}

fn following(position: Position) -> Position {
    Position { revision: position.revision.next(), ..position }
}

const fn query(token: &str) -> Query<'_> {
    Query { token, action: ACTION, resource: RESOURCE, tenant: None }
}

/// The time at which this agent denies the token; it is asked as soon as it has applied `position`.
async fn deny(agent: Agent, position: Position, token: String) -> Outcome<f64> {
    agent.reach(Lane::Deny, position, DENY_WAIT).await?;
    let decision = agent.decide(&query(&token));
    let now = wall_ms();
    match decision.reason.code() {
        "revoked.session" => Ok(now),
        other => Err(format!("{} answers {other} after the revocation", agent.agent_id()).into()),
    }
}
