//! What the demo plays on: broker, controller, issuer, three services, and the load on them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rescind_agent::{Agent, AgentConfig, Lane, Query};
use rescind_controller::{Controller, ControllerConfig};
use rescind_core::ids::RecordId;
use rescind_natsd::NatsProcess;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::expect::{ALLOW, Expectations, Verdict, Wrong};
use super::ground;
use super::issuer::DemoIssuer;
use super::load::{self, Callers};
use super::proxy::Proxy;
use super::service;
use super::timeline::Timeline;
use crate::client::Client;
use crate::fault::{Fault, chain};
use crate::output::Screen;

/// Service, and what its agent does when it is cut off.
pub(super) const SERVICES: [(&str, &str); 3] =
    [("payments", "strict(2s)"), ("crm", "strict(5s)"), ("support", "strict(5s)")];
/// Everybody may refund as long as they are in this role.
const ROLE: &str = "role:refunds";
/// Limit: time for the agents to become fresh, and to reach a position.
const READY_WITHIN: Duration = Duration::from_secs(20);

/// Everything that runs.
pub(super) struct Stage {
    pub(super) expectations: Arc<Expectations>,
    pub(super) proxy: Proxy,
    callers: Arc<Callers>,
    client: Client,
    issuer: DemoIssuer,
    agents: Vec<Agent>,
    addresses: Vec<SocketAddr>,
    controller: Controller,
    nats: NatsProcess,
    dir: PathBuf,
    memberships: BTreeMap<String, String>,
    load: JoinSet<()>,
    stop: CancellationToken,
}

/// What a token shall say beyond the user.
pub(super) struct Token {
    pub(super) session: Option<String>,
    pub(super) roles: Vec<&'static str>,
    pub(super) tenant: &'static str,
}

/// An accepted directive.
pub(super) struct Accepted {
    pub(super) id: String,
    /// Unix seconds; only for cutoffs.
    pub(super) cutoff: Option<i64>,
    at: Instant,
}

impl Accepted {
    /// Time from acceptance to `then`.
    pub(super) fn until(&self, then: Instant) -> Duration {
        then.saturating_duration_since(self.at)
    }
}

fn failed(what: &str) -> impl Fn(&dyn std::error::Error) -> Fault + '_ {
    move |error| Fault::internal("demo", format!("{what}: {}", chain(error)))
}

impl Stage {
    /// Starts everything and waits until all three services are fresh.
    pub(super) async fn set_up(nats_dir: Option<PathBuf>, timeline: &mut Timeline) -> Result<Self, Fault> {
        let dir = ground::realm()?;
        let nats = ground::nats(&dir, nats_dir, timeline).await?;
        let stop = CancellationToken::new();
        let proxy = Proxy::start(nats.address(), stop.clone())
            .await
            .map_err(|error| failed("cannot start the proxy of the demo")(&error))?;
        let issuer = DemoIssuer::start(stop.clone()).await?;
        timeline.say(&format!("       issuer at {} signs RS256 tokens", issuer.url()));
        let controller = start_controller(&dir, &nats).await?;
        let client = ground::client(&dir, controller.http_addr())?;
        timeline.say(&format!("       controller at {}", client.url()));
        let mut stage = Self {
            expectations: Arc::default(),
            proxy,
            callers: Arc::default(),
            client,
            issuer,
            agents: Vec::new(),
            addresses: Vec::new(),
            controller,
            nats,
            dir,
            memberships: BTreeMap::new(),
            load: JoinSet::new(),
            stop,
        };
        stage.start_services(timeline).await?;
        stage
            .direct(json!({"kind": "grant", "holder": ROLE, "action": "refund:*", "resource": "/orders/*"}))
            .await?;
        stage.load = load::start(&stage.addresses, &stage.callers, &stage.expectations, &stage.stop);
        Ok(stage)
    }

    async fn start_services(&mut self, timeline: &Timeline) -> Result<(), Fault> {
        for (number, (name, stale)) in SERVICES.iter().enumerate() {
            // The first one reaches the broker through the proxy, so that it can be cut off.
            let broker = if number == 0 { self.proxy.address } else { self.nats.address() };
            let config = agent_config(&self.dir, name, stale, broker, &self.issuer)?;
            let agent =
                Agent::connect(config).await.map_err(|error| failed("cannot start an agent")(&error))?;
            let address = service::serve(agent.clone(), self.stop.clone())
                .await
                .map_err(|error| failed("cannot start a service of the demo")(&error))?;
            self.agents.push(agent);
            self.addresses.push(address);
        }
        for agent in &self.agents {
            agent
                .ready_within(READY_WITHIN)
                .await
                .map_err(|error| failed("an agent did not get ready")(&error))?;
        }
        timeline.say("       three services with the agent embedded are fresh");
        Ok(())
    }

    /// The issuer's URL.
    pub(super) fn issuer(&self) -> &str {
        self.issuer.url()
    }

    /// A token of `sub`, who is made a member of the role first.
    pub(super) async fn mint(&self, sub: &str, change: impl FnOnce(&mut Token)) -> Result<String, Fault> {
        let mut token = Token::plain();
        change(&mut token);
        let claims = json!({
            "sub": sub, "sid": token.session, "roles": token.roles, "tenant": token.tenant,
        });
        self.issuer.mint(strip_nulls(claims), Duration::from_secs(3600))
    }

    /// A caller whose answers the load compares with `verdict` at every service from now on.
    pub(super) async fn caller(
        &mut self,
        sub: &str,
        change: impl FnOnce(&mut Token),
        verdict: Verdict,
    ) -> Result<usize, Fault> {
        if !self.memberships.contains_key(sub) {
            let holder = format!("user:{}#{sub}", self.issuer());
            let granted = self.direct(json!({"kind": "grant", "holder": holder, "member_of": ROLE})).await?;
            self.reach(&granted).await?;
            self.memberships.insert(sub.to_owned(), granted.id);
        }
        let token = self.mint(sub, change).await?;
        let caller = self.callers.add(&token);
        for service in 0..SERVICES.len() {
            self.expectations.set((caller, service), verdict);
        }
        Ok(caller)
    }

    async fn reach(&self, accepted: &Accepted) -> Result<(), Fault> {
        let id: RecordId = accepted
            .id
            .parse()
            .map_err(|_| Fault::internal("demo", "the controller's answer has no record id"))?;
        for agent in &self.agents {
            agent
                .reach(Lane::Grant(0), id.position(), READY_WITHIN)
                .await
                .map_err(|error| failed("an agent did not get a grant")(&error))?;
        }
        Ok(())
    }

    /// Id of the membership that `caller` gave to `sub`.
    pub(super) fn membership_of(&self, sub: &str) -> Result<&str, Fault> {
        let id = self.memberships.get(sub).map(String::as_str);
        id.ok_or_else(|| Fault::internal("demo", format!("`{sub}` was never made a member")))
    }

    /// From now on `caller` may get `verdict` at `service`, and nothing else once it came.
    pub(super) fn turn(&self, caller: usize, service: usize, verdict: Verdict) {
        self.expectations.turn((caller, service), verdict);
    }

    /// What each caller gets at `service` now.
    pub(super) fn verdicts(&self, service: usize) -> Vec<(usize, Verdict)> {
        self.expectations.verdicts(service)
    }

    /// Sends a directive as the emitter `ir` and gives what was accepted.
    pub(super) async fn direct(&self, mut ask: Value) -> Result<Accepted, Fault> {
        let key = ground::random_key()?;
        if let Some(ask) = ask.as_object_mut() {
            ask.insert("idempotency_key".to_owned(), json!(key));
        }
        let answer = self.client.direct("the demo's directive", &ask, &key).await?.answer;
        let number = |name| answer.get(name).and_then(Value::as_i64);
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let accepted = Duration::from_millis(
            number("accepted_at_ms").and_then(|ms| u64::try_from(ms).ok()).unwrap_or(0),
        );
        let now = Instant::now();
        Ok(Accepted {
            id: answer.get("id").and_then(Value::as_str).unwrap_or_default().to_owned(),
            cutoff: number("cutoff"),
            at: now.checked_sub(wall.saturating_sub(accepted)).unwrap_or(now),
        })
    }

    /// The board of a record, after waiting up to `wait` for it to become enforced.
    pub(super) async fn board(&self, id: &str, wait: Duration) -> Result<Value, Fault> {
        self.client.board(id, wait).await.map_err(|error| error.fault("the demo's board"))
    }

    fn ask(agent: &Agent, token: &str) -> &'static str {
        let query = Query { token, action: "refund:create", resource: "/orders/17", tenant: None };
        let decision = agent.decide(&query);
        if decision.is_allow() { ALLOW } else { decision.reason.code() }
    }

    /// Whether every agent says `verdict`, asked in the process.
    pub(super) fn all_decide(&self, token: &str, verdict: Verdict) -> bool {
        self.agents.iter().all(|agent| Self::ask(agent, token) == verdict)
    }

    /// Per agent: time from acceptance to its first decision that says `verdict`; `None` past `within`.
    pub(super) async fn first_denies(
        &self,
        token: &str,
        verdict: Verdict,
        accepted: &Accepted,
        within: Duration,
    ) -> Vec<Option<Duration>> {
        let deadline = Instant::now() + within;
        let mut took = vec![None; self.agents.len()];
        while took.iter().any(Option::is_none) && Instant::now() < deadline {
            for (took, agent) in took.iter_mut().zip(&self.agents) {
                if took.is_none() && Self::ask(agent, token) == verdict {
                    *took = Some(accepted.until(Instant::now()));
                }
            }
            tokio::task::yield_now().await;
        }
        took
    }

    /// Waits until the wall clock has left `second`: a login in the second of a cutoff is dead (rule D5).
    pub(super) async fn next_second(&self, second: i64) {
        let alive = Duration::from_secs(u64::try_from(second + 1).unwrap_or_default());
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        tokio::time::sleep(alive.saturating_sub(wall)).await;
    }

    /// The first wrong answers.
    pub(super) fn wrong(&self) -> Vec<Wrong> {
        self.expectations.wrong()
    }

    /// Leaves everything running until Ctrl-C.
    pub(super) async fn keep(&mut self, screen: Screen) -> Result<(), Fault> {
        self.load.shutdown().await;
        let token = self.mint("u-ada", |token| token.roles = vec!["refunds"]).await?;
        std::fs::write(self.dir.join("ada.token"), token)
            .map_err(|error| failed("cannot write a token")(&error))?;
        screen.text(&ground::commands_to_try(&self.dir, self.client.url(), self.issuer(), &self.addresses));
        screen.json(&json!({"keep": true, "config": self.dir.join("cli.toml"), "services": self.addresses}));
        tokio::signal::ctrl_c().await.map_err(|error| failed("cannot wait for Ctrl-C")(&error))
    }

    /// Stops everything and removes the demo's directory.
    pub(super) async fn stop(mut self) {
        self.stop.cancel();
        self.load.shutdown().await;
        for agent in &self.agents {
            agent.stop().await;
        }
        self.controller.stop().await;
        // What is left of a demo that could not be cleaned up is a folder in the system's temporary one.
        drop(self.nats.stop());
        drop(std::fs::remove_dir_all(&self.dir));
    }
}

async fn start_controller(dir: &Path, nats: &NatsProcess) -> Result<Controller, Fault> {
    let mut config = ControllerConfig::load(&dir.join("controller.toml"))
        .map_err(|error| failed("cannot read the demo's configuration")(&error))?;
    config.nats.urls = vec![nats.client_url()];
    Controller::start(config).await.map_err(|error| failed("cannot start the controller")(&error))
}

fn agent_config(
    dir: &Path,
    service: &str,
    stale: &str,
    broker: SocketAddr,
    issuer: &DemoIssuer,
) -> Result<AgentConfig, Fault> {
    let id = format!("{service}-1");
    AgentConfig::builder(&id, service)
        .realm_file(dir.join("realm.json"))
        .trust_file(dir.join("trust.json"))
        .key_file(dir.join(format!("secrets/agent-{id}.key")))
        .store_dir(dir.join(format!("data/agents/{id}")))
        .stale(stale)
        .nats_url(&format!("nats://{broker}"))
        .nats_nkey_file(dir.join(format!("secrets/nkeys/agent-{id}.nk")))
        .issuer(issuer.policy())
        .build()
        .map_err(|error| failed("cannot configure an agent")(&error))
}

/// A claim that is there must say something.
fn strip_nulls(mut claims: Value) -> Value {
    if let Some(claims) = claims.as_object_mut() {
        claims.retain(|_, value| !value.is_null());
    }
    claims
}
