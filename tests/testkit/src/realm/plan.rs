//! What a realm is made of, before it exists.

use std::time::Duration;

use crate::{error::KitResult, realm::TestRealm};

/// One enforcement point.
#[derive(Debug, Clone)]
pub(crate) struct AgentPlan {
    pub(crate) id: String,
    pub(crate) service: String,
    /// Its stale policy, `strict(2s)` unless said otherwise.
    pub(crate) stale: String,
    /// Whether it keeps its state on disk.
    pub(crate) stored: bool,
    /// Whether a [`crate::FaultProxy`] stands between it and the server.
    pub(crate) proxied: bool,
}

/// One emitter and what it may ask for.
#[derive(Debug, Clone)]
pub(crate) struct EmitterPlan {
    pub(crate) name: String,
    pub(crate) words: Vec<String>,
    pub(crate) rung_max: u8,
}

/// Whether the bus asks who connects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BusAuth {
    /// One nkey user per participant with exact permissions, as `rescind init` writes it.
    Nkeys,
    /// Everybody may do everything: a realm on a trusted loopback.
    Open,
}

/// Builds a [`TestRealm`]; every setting has a default, so a test names only what it is about.
#[derive(Debug, Clone)]
pub struct RealmBuilder {
    pub(crate) realm: String,
    pub(crate) lease: Duration,
    pub(crate) auth: BusAuth,
    pub(crate) agents: Vec<AgentPlan>,
    pub(crate) emitters: Vec<EmitterPlan>,
    pub(crate) snapshot_every: Option<u64>,
    pub(crate) controller: bool,
    pub(crate) connect_agents: bool,
    pub(crate) direct: bool,
}

/// Every word an emitter can have.
const WORDS: [&str; 8] = ["revoke", "disable", "hold", "kill", "lift", "reinstate", "grant", "withdraw"];

impl Default for RealmBuilder {
    fn default() -> Self {
        let all = WORDS.iter().map(|word| (*word).to_owned()).collect();
        Self {
            realm: "test".to_owned(),
            lease: Duration::from_secs(2),
            auth: BusAuth::Nkeys,
            agents: Vec::new(),
            emitters: vec![EmitterPlan { name: "ir".to_owned(), words: all, rung_max: 16 }],
            snapshot_every: None,
            controller: true,
            connect_agents: true,
            direct: false,
        }
    }
}

impl RealmBuilder {
    /// The lease of the controller and the `strict` bound of agents added later; 2 s by default, the shortest.
    #[must_use]
    pub fn lease(mut self, lease: Duration) -> Self {
        self.lease = lease;
        self
    }

    /// Whether the bus asks who connects; nkeys by default.
    #[must_use]
    pub fn auth(mut self, auth: BusAuth) -> Self {
        self.auth = auth;
        self
    }

    /// Adds an agent: strict under the lease, with a store.
    #[must_use]
    pub fn agent(mut self, id: &str, service: &str) -> Self {
        let stale = format!("strict({}ms)", self.lease.as_millis());
        let (id, service) = (id.to_owned(), service.to_owned());
        self.agents.push(AgentPlan { id, service, stale, stored: true, proxied: false });
        self
    }

    /// Adds agents: `(id, service)`.
    #[must_use]
    pub fn agents(self, agents: &[(&str, &str)]) -> Self {
        agents.iter().fold(self, |builder, (id, service)| builder.agent(id, service))
    }

    /// The agent added last connects through a proxy that can cut it off.
    #[must_use]
    pub fn proxied(mut self) -> Self {
        if let Some(agent) = self.agents.last_mut() {
            agent.proxied = true;
        }
        self
    }

    /// The agent added last keeps nothing on disk.
    #[must_use]
    pub fn memory_only(mut self) -> Self {
        if let Some(agent) = self.agents.last_mut() {
            agent.stored = false;
        }
        self
    }

    /// The agent added last has this stale policy, for example `best_effort`.
    #[must_use]
    pub fn stale(mut self, policy: &str) -> Self {
        if let Some(agent) = self.agents.last_mut() {
            agent.stale = policy.to_owned();
        }
        self
    }

    /// Adds an emitter beside `ir`, which may do everything.
    #[must_use]
    pub fn emitter(mut self, name: &str, words: &[&str], rung_max: u8) -> Self {
        let words = words.iter().map(|word| (*word).to_owned()).collect();
        self.emitters.push(EmitterPlan { name: name.to_owned(), words, rung_max });
        self
    }

    /// Revisions between two snapshots of the controller; the product's default without it.
    #[must_use]
    pub fn snapshot_every(mut self, revisions: u64) -> Self {
        self.snapshot_every = Some(revisions);
        self
    }

    /// Gives the realm a direct path, through a proxy of its own: see [`TestRealm::direct`].
    #[must_use]
    pub fn direct(mut self) -> Self {
        self.direct = true;
        self
    }

    /// Starts no controller; its files are written.
    #[must_use]
    pub fn without_controller(mut self) -> Self {
        self.controller = false;
        self.connect_agents = false;
        self
    }

    /// Connects no agent; their files are written, [`TestRealm::connect`] does it later.
    #[must_use]
    pub fn agents_later(mut self) -> Self {
        self.connect_agents = false;
        self
    }

    /// Starts everything and returns when every agent is fresh.
    ///
    /// # Errors
    /// What did not come up and why.
    pub async fn start(self) -> KitResult<TestRealm> {
        TestRealm::start(self).await
    }
}
