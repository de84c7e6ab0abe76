//! The scene that most end-to-end tests play in; the tests themselves are in `tests/`.
//!
//! Three services with one agent each, and a clerk: `role:clerk` may `refund:*` on `/orders/*`, and users
//! become clerks by membership. Every check here looks at every running agent and compares the whole answer:
//! effect, reason and the exact list of records.

use std::time::Duration;

use rescind_agent::{Decision, Query};
use rescind_core::ids::RecordId;
use rescind_testkit::{
    Accepted, Api, KitError, KitResult, RealmBuilder, SOON, TestAgent, TestRealm, issuer::TokenDraft,
};

/// What the clerk does in every test.
pub const ACTION: &str = "refund:create";

/// What the clerk does it with.
pub const RESOURCE: &str = "/orders/17";

/// The lease of tests that judge its bound: the shortest that the product allows.
pub const LEASE: Duration = Duration::from_secs(2);

/// The scene.
#[derive(Debug)]
pub struct Scene {
    /// What runs.
    pub realm: TestRealm,
    /// The emitter that may do everything.
    pub ir: Api,
}

impl Scene {
    /// Payments, orders and ledger with one agent each; lease 2 s.
    ///
    /// # Errors
    /// Something did not come up.
    pub async fn three() -> KitResult<Self> {
        let agents = [("payments-1", "payments"), ("orders-1", "orders"), ("ledger-1", "ledger")];
        Self::of(TestRealm::builder().agents(&agents)).await
    }

    /// One agent of the service payments; lease 2 s.
    ///
    /// # Errors
    /// Something did not come up.
    pub async fn one() -> KitResult<Self> {
        Self::of(TestRealm::builder().agent("payments-1", "payments")).await
    }

    /// Any realm, with the role that the scene needs.
    ///
    /// # Errors
    /// Something did not come up.
    pub async fn of(builder: RealmBuilder) -> KitResult<Self> {
        let realm = builder.start().await?;
        let ir = realm.api("ir")?;
        let scene = Self { realm, ir };
        let role = scene.ir.grant("role:clerk", "refund:*", "/orders/*").await?;
        scene.realm.settle(&role).await?;
        Ok(scene)
    }

    /// `user:ISS#ID`.
    #[must_use]
    pub fn user(&self, id: &str) -> String {
        format!("user:{}#{id}", self.realm.issuer().url())
    }

    /// A target or holder that has the issuer in it: `session`, `token`, `key`, `user`.
    #[must_use]
    pub fn target(&self, kind: &str, id: &str) -> String {
        format!("{kind}:{}#{id}", self.realm.issuer().url())
    }

    /// Makes a user a clerk and begins a token for them that claims nothing.
    ///
    /// # Errors
    /// Not accepted, or an agent does not hear of it.
    pub async fn clerk(&self, id: &str) -> KitResult<TokenDraft<'_>> {
        let member = self.ir.member(&self.user(id), "role:clerk").await?;
        self.realm.settle(&member).await?;
        Ok(self.realm.issuer().token(id))
    }

    /// Accepts a record and waits until every running agent holds it.
    ///
    /// # Errors
    /// Not accepted, or an agent does not hear of it.
    pub async fn record(&self, kind: &str, target: &str) -> KitResult<Accepted> {
        self.settled(self.ir.record(kind, target).await?).await
    }

    /// Waits until every running agent holds this.
    ///
    /// # Errors
    /// An agent does not hear of it.
    pub async fn settled(&self, change: Accepted) -> KitResult<Accepted> {
        self.realm.settle(&change).await?;
        Ok(change)
    }

    /// Every running agent allows the clerk's request with this token.
    ///
    /// # Errors
    /// The first other answer.
    pub fn allowed(&self, token: &str) -> KitResult {
        self.every(token, "entitled", &[]).map(drop)
    }

    /// Every running agent denies it with this reason and exactly these records, in this order.
    ///
    /// # Errors
    /// The first other answer.
    pub fn denied(&self, token: &str, code: &str, records: &[&Accepted]) -> KitResult<Vec<Decision>> {
        self.every(token, code, records)
    }

    fn every(&self, token: &str, code: &str, records: &[&Accepted]) -> KitResult<Vec<Decision>> {
        let decisions: Vec<Decision> =
            self.realm.agents().map(|agent| answer(agent, token, code, records)).collect::<KitResult<_>>()?;
        if decisions.is_empty() {
            return Err(KitError::new("no agent runs, so nothing was checked"));
        }
        Ok(decisions)
    }

    /// Waits until every running agent gives this answer; for what comes by itself (time, keys of an issuer).
    ///
    /// # Errors
    /// The last answer of the first agent that does not.
    pub async fn becomes(&self, token: &str, code: &str) -> KitResult {
        for agent in self.realm.agents() {
            agent.until_code(code, SOON, token, ACTION, RESOURCE).await?;
        }
        Ok(())
    }
}

/// One agent's answer to the clerk's request, compared as a whole.
///
/// # Errors
/// Another answer.
pub fn answer(agent: &TestAgent, token: &str, code: &str, records: &[&Accepted]) -> KitResult<Decision> {
    let query = Query { token, action: ACTION, resource: RESOURCE, tenant: None };
    let decision = agent.handle()?.decide(&query);
    let wanted: Vec<RecordId> = records.iter().map(|record| record.record()).collect::<KitResult<_>>()?;
    let allow = code == "entitled";
    let same = decision.reason.code() == code
        && decision.is_allow() == allow
        && decision.records.as_slice() == wanted.as_slice()
        && decision.entitlements.is_empty() != allow;
    if same {
        return Ok(decision);
    }
    Err(KitError::new(format!("agent {}: expected `{code}` with {wanted:?}, got {decision:?}", agent.id())))
}
