//! One enforcement point of a test: the agent library in this process, restartable, behind a link that can be
//! hurt.

use std::{path::PathBuf, time::Duration};

use rescind_agent::{Agent, AgentConfig, Decision, Freshness, Query};

use crate::{
    error::{KitError, KitResult},
    proxy::{FaultProxy, LinkMode},
    wait::{SOON, until, until_some},
};

/// An agent with what is around it.
#[derive(Debug)]
pub struct TestAgent {
    id: String,
    config: PathBuf,
    agent: Option<Agent>,
    proxy: Option<FaultProxy>,
}

impl TestAgent {
    pub(crate) const fn new(id: String, config: PathBuf, proxy: Option<FaultProxy>) -> Self {
        Self { id, config, agent: None, proxy }
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Connects; does not wait until it is fresh.
    ///
    /// # Errors
    /// The configuration or the connection; it runs already.
    pub async fn connect(&mut self) -> KitResult<&Agent> {
        if self.agent.is_some() {
            return Err(KitError::new(format!("connect agent {}, which runs", self.id)));
        }
        let config = AgentConfig::load(&self.config)
            .map_err(KitError::because(format!("load the configuration of agent {}", self.id)))?;
        let agent =
            Agent::connect(config).await.map_err(KitError::because(format!("connect agent {}", self.id)))?;
        Ok(self.agent.insert(agent))
    }

    /// The library's handle.
    ///
    /// # Errors
    /// It does not run.
    pub fn handle(&self) -> KitResult<&Agent> {
        self.agent.as_ref().ok_or_else(|| KitError::new(format!("use agent {}, which does not run", self.id)))
    }

    /// Waits until it is fresh with all keys of its issuers.
    ///
    /// # Errors
    /// What is missing after a while.
    pub async fn ready(&self) -> KitResult {
        let ready = self.handle()?.ready_within(SOON).await;
        ready.map_err(KitError::because(format!("wait for agent {}", self.id)))
    }

    /// Stops it in order; its store stays.
    ///
    /// # Errors
    /// It does not run.
    pub async fn stop(&mut self) -> KitResult {
        let agent = self.agent.take();
        let agent =
            agent.ok_or_else(|| KitError::new(format!("stop agent {}, which does not run", self.id)))?;
        agent.stop().await;
        Ok(())
    }

    /// Hurts its link.
    ///
    /// # Errors
    /// It was not built with [`crate::RealmBuilder::proxied`].
    pub fn link(&self, mode: LinkMode) -> KitResult {
        let proxy = self.proxy.as_ref();
        let proxy = proxy.ok_or_else(|| KitError::new(format!("agent {} has no proxy", self.id)))?;
        proxy.set(mode);
        Ok(())
    }

    /// Asks for a decision.
    ///
    /// # Errors
    /// It does not run.
    pub fn ask(&self, token: &str, action: &str, resource: &str) -> KitResult<Decision> {
        self.ask_in(token, action, resource, None)
    }

    /// Asks for a decision in a tenant.
    ///
    /// # Errors
    /// It does not run.
    pub fn ask_in(
        &self,
        token: &str,
        action: &str,
        resource: &str,
        tenant: Option<&str>,
    ) -> KitResult<Decision> {
        Ok(self.handle()?.decide(&Query { token, action, resource, tenant }))
    }

    /// The code of a decision: `entitled` for an allow.
    ///
    /// # Errors
    /// It does not run.
    pub fn code(&self, token: &str, action: &str, resource: &str) -> KitResult<&'static str> {
        let decision = self.ask(token, action, resource)?;
        let code = decision.reason.code();
        if decision.is_allow() == (code == "entitled") {
            return Ok(code);
        }
        Err(KitError::new(format!("effect and reason differ: {decision:?}")))
    }

    /// Waits until a decision has this code; returns it and how long that took.
    ///
    /// # Errors
    /// The last code after `limit`.
    pub async fn until_code(
        &self,
        code: &str,
        limit: Duration,
        token: &str,
        action: &str,
        resource: &str,
    ) -> KitResult<(Decision, Duration)> {
        let agent = self.handle()?;
        let query = Query { token, action, resource, tenant: None };
        let mut last = "";
        let found = until_some("", limit, || {
            let decision = agent.decide(&query);
            last = decision.reason.code();
            (last == code).then_some(decision)
        });
        let found = found.await.ok();
        found.ok_or_else(|| {
            KitError::new(format!("agent {} still answers `{last}`, not `{code}`, after {limit:?}", self.id))
        })
    }

    /// Waits for a freshness; returns how long that took.
    ///
    /// # Errors
    /// Another one after `limit`.
    pub async fn until_freshness(&self, freshness: Freshness, limit: Duration) -> KitResult<Duration> {
        let agent = self.handle()?;
        until(&format!("agent {} is {freshness:?}", self.id), limit, || agent.freshness() == freshness).await
    }
}
