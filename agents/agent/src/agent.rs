//! The handle that services hold, and how it starts and stops.

mod start;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rescind_bus::{Bus, LinkState};
use rescind_core::decide::{Decision, Reason};
use rescind_core::ids::InstanceId;
use rescind_core::position::{Heads, Lane, Position};
use rescind_core::report::Freshness;
use rescind_token::TokenError;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::clock::BootClock;
use crate::config::AgentConfig;
use crate::explain::Explained;
use crate::metrics::Metrics;
use crate::shared::{Ask, Query, Shared};
use crate::status::{self, AgentStatus};
use crate::store::StoreState;
use crate::token_cache::Verified;

pub use start::ConnectError;

/// Limit: how long a stop waits for the tasks before it lets go of them.
const STOP_WAIT: Duration = Duration::from_secs(5);
/// How often readiness looks at what has no signal of its own: the issuers' keys, and the passing of time.
const READY_LOOK: Duration = Duration::from_millis(20);

/// An agent: follows the chain of one realm and answers decisions for one service.
///
/// Cloning is cheap and all clones are the same agent. Its tasks end with [`Agent::stop`], or when the last clone
/// is dropped. Every decision call is synchronous, takes no lock, does no I/O and can be made from any thread.
#[derive(Clone)]
pub struct Agent {
    inner: Arc<Inner>,
}

struct Inner {
    shared: Arc<Shared>,
    identity: Identity,
    store: watch::Receiver<StoreState>,
    link: watch::Receiver<LinkState>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
    cancel: CancellationToken,
    /// Ends the tasks when the last clone is dropped.
    _guard: DropGuard,
}

/// Who this agent is, for status and logs.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    pub(crate) agent: String,
    pub(crate) service: String,
    pub(crate) realm: String,
    pub(crate) stale_policy: String,
    pub(crate) instance: InstanceId,
}

/// The agent did not become fresh in time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not ready after {waited:?}: {}; see the controller's board and this agent's log", .missing.join(", "))]
pub struct NotReadyError {
    /// How long was waited.
    pub waited: Duration,
    /// What is missing, in words; at least one.
    pub missing: Vec<String>,
}

/// The position was not reached in time (`not_fresh`, S11).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{lane} is at {applied} after {waited:?}, not at {wanted}; ask again later")]
pub struct NotReachedError {
    /// The lane.
    pub lane: Lane,
    /// What was asked for.
    pub wanted: Position,
    /// Where the agent is.
    pub applied: Position,
    /// How long was waited.
    pub waited: Duration,
}

impl fmt::Debug for Agent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Agent")
            .field("agent", &self.inner.identity.agent)
            .field("service", &self.inner.identity.service)
            .field("freshness", &self.freshness())
            .finish_non_exhaustive()
    }
}

impl Agent {
    /// Connects to the bus and starts following the chain. The agent denies `not_ready` until its first lease:
    /// wait with [`Agent::ready_within`] before the service takes traffic.
    ///
    /// Must be called inside a tokio runtime; the tasks run there.
    ///
    /// # Errors
    /// [`ConnectError`]: no connection to the bus, or the process lacks something that it cannot run without. A
    /// local store that cannot be used is no error: the agent runs in memory and says so in its status.
    pub async fn connect(config: AgentConfig) -> Result<Self, ConnectError> {
        start::connect(config).await
    }

    /// Waits until the agent is fresh and has the keys of every issuer; without an end of its own.
    pub async fn ready(&self) {
        let mut heads = self.inner.shared.heads();
        while !self.missing().is_empty() {
            tokio::select! {
                // Why ignored: the sender lives as long as this agent.
                _ = heads.changed() => {}
                () = sleep(READY_LOOK) => {}
            }
        }
    }

    /// As [`Agent::ready`], for `wait` at most.
    ///
    /// # Errors
    /// [`NotReadyError`] names what is missing. The agent goes on trying.
    pub async fn ready_within(&self, wait: Duration) -> Result<(), NotReadyError> {
        match timeout(wait, self.ready()).await {
            Ok(()) => Ok(()),
            Err(_) => match self.missing() {
                missing if missing.is_empty() => Ok(()),
                missing => Err(NotReadyError { waited: wait, missing }),
            },
        }
    }

    /// Answers a question about a token. Never an error: a token that does not verify is a deny with
    /// [`crate::Reason::Token`], an agent that is not fresh one with `not_ready` or `stale.strict`.
    ///
    /// Cost: some 300 ns for a token that was seen before, otherwise the signature check (20 to 90 µs).
    ///
    /// ```no_run
    /// # fn example(agent: &rescind_agent::Agent, token: &str) {
    /// use rescind_agent::Query;
    /// let decision = agent.decide(&Query { token, action: "orders:read", resource: "/orders/17", tenant: None });
    /// assert!(decision.is_allow() || decision.reason.code() != "entitled");
    /// # }
    /// ```
    #[must_use]
    pub fn decide(&self, query: &Query<'_>) -> Decision {
        self.inner.shared.decide(query)
    }

    /// Verifies a token once, for several decisions or a long connection. A token that was seen before costs no
    /// signature check.
    ///
    /// # Errors
    /// [`TokenError`]; tell the caller no more than its code.
    pub fn verify(&self, token: &str) -> Result<Verified, TokenError> {
        self.inner.shared.verify(token)
    }

    /// Answers a question about a token that was verified before. Expiry, records and freshness are judged anew.
    #[must_use]
    pub fn decide_verified(
        &self,
        token: &Verified,
        action: &str,
        resource: &str,
        tenant: Option<&str>,
    ) -> Decision {
        self.inner.shared.decide_verified(token, &Ask { action, resource, tenant })
    }

    /// Answers a question in words, for people. Allocates; not for the request path.
    #[must_use]
    pub fn explain(&self, query: &Query<'_>) -> Explained {
        let verified = self.verify(query.token);
        let decision = self.decide(query);
        Explained::new(decision, verified.as_ref())
    }

    /// [`Self::decide_at_least`] in words.
    pub async fn explain_at_least(
        &self,
        query: &Query<'_>,
        at_least: &[(Lane, Position)],
        wait: Duration,
    ) -> Explained {
        let decision = self.decide_at_least(query, at_least, wait).await;
        Explained::new(decision, self.verify(query.token).as_ref())
    }

    /// Puts a decision that was already made into words; `token` must be the one that it was made for.
    #[must_use]
    pub fn explain_decision(&self, decision: Decision, token: &Verified) -> Explained {
        Explained::new(decision, Ok(token))
    }

    /// Positions that decisions which start now see.
    #[must_use]
    pub fn position(&self) -> Heads {
        self.inner.shared.published().heads
    }

    /// Positions that are on disk; zero without a store.
    #[must_use]
    pub fn durable(&self) -> Heads {
        self.inner.store.borrow().durable
    }

    /// Whether the view is current right now, under the strictest stale policy of this agent.
    #[must_use]
    pub fn freshness(&self) -> Freshness {
        status::freshness(&self.inner.shared, BootClock.now())
    }

    /// Waits until decisions see `position` of `lane`: read your own writes (S11).
    ///
    /// # Errors
    /// [`NotReachedError`] after `wait`; the answer to give is `not_fresh`.
    pub async fn reach(&self, lane: Lane, position: Position, wait: Duration) -> Result<(), NotReachedError> {
        let at = |heads: &Heads| heads.get(lane).map(|head| head.position).unwrap_or_default();
        let mut heads = self.inner.shared.heads();
        let reached = timeout(wait, heads.wait_for(|heads| at(heads) >= position)).await;
        match reached {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) | Err(_) => {
                Err(NotReachedError { lane, wanted: position, applied: at(&self.position()), waited: wait })
            }
        }
    }

    /// As [`Self::decide`], on a state that holds every position of `at_least`; waits for it, `wait` at most. Denies
    /// `not_fresh` where that is not reached in time: read your own writes (S11). Positions are those that the
    /// controller answered with `accepted`.
    ///
    /// ```no_run
    /// # async fn example(agent: &rescind_agent::Agent, token: &str) {
    /// use std::time::Duration;
    /// use rescind_agent::{Lane, Position, Query};
    ///
    /// let query = Query { token, action: "refund:create", resource: "/orders/17", tenant: None };
    /// let revoked = (Lane::Deny, Position::new(1, 42));
    /// let decision = agent.decide_at_least(&query, &[revoked], Duration::from_millis(500)).await;
    /// # }
    /// ```
    pub async fn decide_at_least(
        &self,
        query: &Query<'_>,
        at_least: &[(Lane, Position)],
        wait: Duration,
    ) -> Decision {
        let mut heads = self.inner.shared.heads();
        let until = Instant::now() + wait;
        loop {
            // Why before the decision: what is published while it is made wakes the next turn.
            let seen = *heads.borrow_and_update();
            if holds(&seen, at_least) {
                let decision = self.decide(query);
                // INVARIANT (S11): judged on the state that answered, which a restart of the machine may have put back.
                let answered = |lane| match lane {
                    Lane::Deny => Some(decision.deny),
                    Lane::Grant(0) => Some(decision.grant),
                    Lane::Grant(_) => None,
                };
                if at_least.iter().all(|(lane, position)| answered(*lane) >= Some(*position)) {
                    return decision;
                }
            }
            if !matches!(timeout_at(until, heads.changed()).await, Ok(Ok(()))) {
                return Decision::deny(Reason::NotFresh, &self.position());
            }
        }
    }

    /// How this agent fares, for status pages and the board. Reads the whole token cache; not for every request.
    #[must_use]
    pub fn status(&self) -> AgentStatus {
        let Inner { shared, identity, store, link, .. } = &*self.inner;
        let connected = *link.borrow() == LinkState::Up;
        status::collect(shared, identity, &store.borrow(), connected, BootClock.now())
    }

    /// What was counted since the start.
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        status::metrics(&self.inner.shared, &self.inner.store.borrow())
    }

    /// Who this agent is.
    #[must_use]
    pub fn agent_id(&self) -> &str {
        &self.inner.identity.agent
    }

    /// What it enforces for.
    #[must_use]
    pub fn service(&self) -> &str {
        &self.inner.identity.service
    }

    /// Stops following, writes what waits to the store and joins every task, within five seconds. Afterwards every
    /// decision is denied `not_ready`. Calling it again does nothing.
    pub async fn stop(&self) {
        let inner = &*self.inner;
        inner.cancel.cancel();
        let tasks = std::mem::take(&mut *inner.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        let join = async {
            for task in tasks {
                if task.await.is_err() {
                    tracing::error!(agent = inner.identity.agent, "a task of the agent ended by a panic");
                }
            }
        };
        if timeout(STOP_WAIT, join).await.is_err() {
            tracing::warn!(agent = inner.identity.agent, "the agent's tasks did not end in time");
        }
        inner.shared.close();
    }

    /// What stands against being ready, in words.
    fn missing(&self) -> Vec<String> {
        let shared = &self.inner.shared;
        let mut missing = Vec::new();
        if self.freshness() != Freshness::Fresh {
            missing.push(match shared.fault() {
                Some(fault) => format!("the view is not usable ({fault})"),
                None => "no lease from a controller yet".to_owned(),
            });
        }
        let keyless = shared.keys().health().into_iter().filter(|source| source.keys == 0);
        missing.extend(keyless.map(|source| match source.last_error {
            Some(error) => format!("no keys of issuer `{}` ({error})", source.issuer),
            None => format!("no keys of issuer `{}` yet", source.issuer),
        }));
        missing
    }

    pub(crate) fn assemble(
        shared: Arc<Shared>,
        identity: Identity,
        store: watch::Receiver<StoreState>,
        bus: &Bus,
        tasks: Vec<JoinHandle<()>>,
        cancel: CancellationToken,
    ) -> Self {
        let guard = cancel.clone().drop_guard();
        let link = bus.link();
        let inner = Inner { shared, identity, store, link, tasks: Mutex::new(tasks), cancel, _guard: guard };
        Self { inner: Arc::new(inner) }
    }
}

/// Whether every position is reached.
fn holds(heads: &Heads, at_least: &[(Lane, Position)]) -> bool {
    at_least.iter().all(|(lane, position)| heads.get(*lane).is_some_and(|head| head.position >= *position))
}
