//! A whole realm in a temporary directory, and handles to hurt it.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr, SocketAddrV4},
    path::Path,
    sync::{Arc, PoisonError, RwLock},
};

use rescind_bus::{Bus, BusConfig, Credentials, Subjects};
use rescind_codec::{RealmPin, TrustBundle};
use rescind_natsd::{Config, NatsProcess, ProcessError};
use tempfile::TempDir;
use tokio::task::block_in_place;

use crate::{
    agent::TestAgent,
    api::{Accepted, Api},
    controller::TestController,
    error::{KitError, KitResult},
    issuer::TestIssuer,
    proxy::FaultProxy,
    raw::RawClient,
    server,
    wait::{SOON, soon},
};

mod files;
mod plan;

/// Where the proxy of the direct path leads before there is a controller.
const NOWHERE: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 1));

pub use files::{RealmFiles, unknown_key, unknown_nkey};
pub use plan::{BusAuth, RealmBuilder};

/// A realm that runs: nats-server, controller, agents and an issuer. Everything ends and the directory goes
/// away when it is dropped.
///
/// The fields are dropped in this order, so nobody talks to a server that is gone.
#[derive(Debug)]
pub struct TestRealm {
    agents: BTreeMap<String, TestAgent>,
    controller: Option<TestController>,
    direct: Option<FaultProxy>,
    issuer: TestIssuer,
    nats: NatsProcess,
    plan: RealmBuilder,
    files: RealmFiles,
    pin: RealmPin,
    trust: TrustBundle,
    base: Arc<RwLock<String>>,
    _dir: TempDir,
}

impl TestRealm {
    /// A builder with the defaults: realm `test`, lease 2 s, nkeys, emitter `ir` with every right, no agent.
    #[must_use]
    pub fn builder() -> RealmBuilder {
        RealmBuilder::default()
    }

    pub(crate) async fn start(plan: RealmBuilder) -> KitResult<Self> {
        let dir = tempfile::Builder::new().prefix("rescind-test-").tempdir();
        let dir = dir.map_err(KitError::because("make a temporary directory"))?;
        let made = files::make_keys(dir.path(), &plan)?;
        let nats = block_in_place(|| start_nats(dir.path(), &made.server_conf))?;
        let issuer = TestIssuer::start().await?;
        files::write_controller(&made.files, &plan, &nats.client_url(), issuer.url())?;
        let direct = if plan.direct { Some(FaultProxy::start(NOWHERE).await?) } else { None };
        let mut agents = BTreeMap::new();
        for agent in &plan.agents {
            let proxy = if agent.proxied { Some(FaultProxy::start(nats.address()).await?) } else { None };
            let url = proxy.as_ref().map_or_else(|| nats.client_url(), FaultProxy::url);
            let direct = direct.as_ref().map(|proxy| format!("https://{}", proxy.address()));
            files::write_agent(&made.files, &plan, agent, &url, direct, &issuer)?;
            let config = made.files.agent_toml(&agent.id);
            agents.insert(agent.id.clone(), TestAgent::new(agent.id.clone(), config, proxy));
        }
        let (controller, connect) = (plan.controller, plan.connect_agents);
        let mut realm = Self {
            agents,
            controller: None,
            direct,
            issuer,
            nats,
            plan,
            files: made.files,
            pin: made.pin,
            trust: made.trust,
            base: Arc::new(RwLock::new(String::new())),
            _dir: dir,
        };
        if controller {
            realm.start_controller().await?;
        }
        if connect {
            for agent in realm.agents.values_mut() {
                agent.connect().await?;
            }
            realm.all_ready().await?;
        }
        Ok(realm)
    }

    /// Waits until every agent that runs is fresh.
    ///
    /// # Errors
    /// What is missing.
    pub async fn all_ready(&self) -> KitResult {
        for agent in self.agents.values().filter(|agent| agent.handle().is_ok()) {
            agent.ready().await?;
        }
        Ok(())
    }

    /// Starts the controller on what it left behind.
    ///
    /// # Errors
    /// Why it does not start.
    pub async fn start_controller(&mut self) -> KitResult {
        let started = soon("the controller", TestController::start(&self.files.controller_toml())).await??;
        self.serve_at(&started.url());
        if let (Some(proxy), Some(address)) = (&self.direct, started.direct_addr()) {
            proxy.retarget(address);
        }
        self.controller = Some(started);
        Ok(())
    }

    /// The proxy before the direct path.
    ///
    /// # Errors
    /// The realm was not built with [`RealmBuilder::direct`].
    pub fn direct(&self) -> KitResult<&FaultProxy> {
        self.direct.as_ref().ok_or_else(|| KitError::new("this realm has no direct path"))
    }

    /// Stops the controller in order.
    ///
    /// # Errors
    /// It does not end in time.
    pub async fn stop_controller(&mut self) -> KitResult {
        match self.controller.take() {
            Some(controller) => soon("the end of the controller", controller.stop()).await,
            None => Ok(()),
        }
    }

    /// Lets the API clients of this realm talk to another address, for a controller in a process of its own.
    pub fn serve_at(&self, url: &str) {
        *self.base.write().unwrap_or_else(PoisonError::into_inner) = url.to_owned();
    }

    /// An emitter's client; `ir` may do everything.
    ///
    /// # Errors
    /// There is no such emitter.
    pub fn api(&self, emitter: &str) -> KitResult<Api> {
        Api::new(Arc::clone(&self.base), self.files.token_text(emitter)?)
    }

    /// An agent by its id.
    ///
    /// # Errors
    /// There is no such agent.
    pub fn agent(&self, id: &str) -> KitResult<&TestAgent> {
        self.agents.get(id).ok_or_else(|| KitError::new(format!("there is no agent {id}")))
    }

    /// An agent by its id, to stop and start it.
    ///
    /// # Errors
    /// There is no such agent.
    pub fn agent_mut(&mut self, id: &str) -> KitResult<&mut TestAgent> {
        self.agents.get_mut(id).ok_or_else(|| KitError::new(format!("there is no agent {id}")))
    }

    /// Every agent that runs, in order of id.
    pub fn agents(&self) -> impl Iterator<Item = &TestAgent> {
        self.agents.values().filter(|agent| agent.handle().is_ok())
    }

    /// Waits until decisions of every running agent see this change.
    ///
    /// # Errors
    /// The first agent that does not reach it.
    pub async fn settle(&self, change: &Accepted) -> KitResult {
        for agent in self.agents() {
            let reached = agent.handle()?.reach(change.lane, change.position, SOON).await;
            reached.map_err(KitError::because(format!("wait until {} holds {}", agent.id(), change.id)))?;
        }
        Ok(())
    }

    /// The issuer.
    #[must_use]
    pub const fn issuer(&self) -> &TestIssuer {
        &self.issuer
    }

    /// The nats-server; pausing does not need `mut`.
    #[must_use]
    pub const fn nats(&self) -> &NatsProcess {
        &self.nats
    }

    /// The nats-server, to kill and restart it. Blocks for some 0.3 s.
    ///
    /// # Errors
    /// What `change` returns.
    pub fn with_nats<T>(
        &mut self,
        what: &str,
        change: impl FnOnce(&mut NatsProcess) -> Result<T, ProcessError>,
    ) -> KitResult<T> {
        block_in_place(|| change(&mut self.nats)).map_err(KitError::because(what))
    }

    /// Where the realm's files are.
    #[must_use]
    pub const fn files(&self) -> &RealmFiles {
        &self.files
    }

    /// The realm's pin.
    #[must_use]
    pub const fn pin(&self) -> &RealmPin {
        &self.pin
    }

    /// Every certificate.
    #[must_use]
    pub const fn trust(&self) -> &TrustBundle {
        &self.trust
    }

    /// Where the nats-server listens.
    #[must_use]
    pub fn nats_address(&self) -> SocketAddr {
        self.nats.address()
    }

    /// Names on the bus.
    ///
    /// # Errors
    /// Never for the realm's own name.
    pub fn subjects(&self) -> KitResult<Subjects> {
        Subjects::new(&self.plan.realm).map_err(KitError::because("name the realm"))
    }

    /// A bus connection of a participant: `controller`, `agent-<id>` or `emitter-<name>`.
    ///
    /// # Errors
    /// The connection fails.
    pub async fn bus(&self, participant: &str) -> KitResult<Bus> {
        let user = match participant {
            "controller" => files::CONTROLLER,
            other => other.split_once('-').map_or(other, |(_, name)| name),
        };
        let mut config = BusConfig::new(self.nats.client_url(), self.subjects()?);
        if self.plan.auth == BusAuth::Nkeys {
            config.credentials = Credentials::NkeySeedFile(self.files.nkey(participant));
        }
        let config = config.for_user(user).map_err(KitError::because("name a user of the bus"))?;
        Bus::connect(config).await.map_err(KitError::because(format!("connect as {participant}")))
    }

    /// A client with every right on the bus that signs nothing.
    ///
    /// # Errors
    /// The connection fails.
    pub async fn hostile(&self) -> KitResult<RawClient> {
        let (user, password) = files::HOSTILE;
        RawClient::connect(self.nats.address(), user, password).await
    }
}

fn start_nats(dir: &Path, conf: &str) -> KitResult<NatsProcess> {
    let mut config = Config::new(dir.join("data/nats"));
    // Why: the store is part of the realm's own configuration text.
    config.jetstream = None;
    config.extra = Some(conf.to_owned());
    NatsProcess::start(&server::find()?, config).map_err(KitError::because("start a nats-server"))
}
