//! What the machine asks for: published at once, everything else beside the driver.

use std::sync::Arc;
use std::time::Duration;

use rescind_core::agent::AgentOutput;
use rescind_core::decide::Published;
use rescind_core::lease::Nonce;
use rescind_core::position::{Heads, LANES, Lane};
use tokio::time::sleep;

use super::fetch::{self, Done};
use super::{Driver, random};
use crate::clock::BootClock;
use crate::metrics::bump;

/// Limit: requests under way at once: eight nonces, two ranges, a snapshot, and what was given up but still runs.
const RUNNING_MAX: usize = 32;
/// An ask that the bus has not answered after this part of a lease goes the direct way too: as soon as the machine
/// would repeat it.
const PATIENCE_PER_LEASE: u32 = 8;
/// Pause before a subscription that the server refused is tried again.
const SUBSCRIBE_PAUSE: Duration = Duration::from_secs(5);

impl Driver {
    /// Performs everything that the machine asks for.
    pub(super) fn perform(&mut self) {
        while let Some(output) = self.machine.poll_output() {
            match output {
                AgentOutput::Publish(published) => {
                    self.shared.publish(published);
                    self.shared.set_fault(self.machine.trouble().map(String::from));
                }
                AgentOutput::Persist(published) => self.persist(published),
                AgentOutput::Fault(fault) => {
                    bump(&self.shared.counters.faults);
                    tracing::warn!(code = fault.code(), %fault, "agent fault");
                }
                AgentOutput::AskLease => self.ask_lease(),
                AgentOutput::FetchRange { lane, after, entries_max } => {
                    let wire = Arc::clone(&self.wire);
                    self.spawn(
                        async move { Done::Range(fetch::range(&wire, lane, after, entries_max).await) },
                    );
                }
                AgentOutput::FetchSnapshot => {
                    let (wire, hasher) = (Arc::clone(&self.wire), self.machine.hasher().clone());
                    self.spawn(async move { Done::Snapshot(fetch::snapshot(wire, hasher).await) });
                }
                AgentOutput::HandBack(messages) => self.hand_back(messages),
                AgentOutput::Report(report) => {
                    if self.reports.try_send(*report).is_err() {
                        bump(&self.shared.counters.report_failures);
                    }
                }
            }
        }
    }

    /// INVARIANT (S5): what is on disk never goes back, also while a machine that started over catches up.
    fn persist(&self, published: Arc<Published>) {
        let durable = self.store_state.borrow().durable;
        let position = |heads: &Heads, lane| heads.get(lane).map(|head| head.position);
        let covers = |lane| position(&published.heads, lane) >= position(&durable, lane);
        if LANES.into_iter().all(covers) {
            self.store.persist(published);
        }
    }

    fn ask_lease(&mut self) {
        let nonce = match random() {
            Ok(nonce) => Nonce(nonce),
            Err(error) => return tracing::error!(%error, "no random numbers; cannot ask for a lease"),
        };
        bump(&self.shared.counters.lease_requests);
        // INVARIANT (S1): the clock is read before anything is sent; this is the only anchor of the lease.
        let asked_at = BootClock.now();
        let request = self.machine.begin_lease(asked_at, nonce);
        let wire = Arc::clone(&self.wire);
        let patience = self.settings.lease / PATIENCE_PER_LEASE;
        self.spawn(async move {
            let (answer, way) = fetch::lease(&wire, &request, patience).await;
            Done::Lease { request, answer, way }
        });
    }

    /// Gives a controller that lost something what it had signed. What does not arrive is asked for again.
    fn hand_back(&mut self, messages: Vec<Arc<[u8]>>) {
        tracing::warn!(
            entries = messages.len(),
            "handing signed entries back to a controller that lost them"
        );
        let (wire, agent) = (Arc::clone(&self.wire), self.settings.agent.clone());
        self.spawn(async move {
            for message in messages {
                let bytes = bytes::Bytes::copy_from_slice(&message);
                if let Err(error) = wire.bus.publish_tail(agent.as_str(), bytes).await {
                    tracing::debug!(%error, "an entry was not handed back");
                    break;
                }
            }
            Done::HandedBack
        });
    }

    /// Listens again after the server ended a subscription.
    pub(super) fn subscribe_again(&mut self, lane: Lane) {
        match lane {
            Lane::Deny => self.deny = None,
            Lane::Grant(_) => self.grant = None,
        }
        let wire = Arc::clone(&self.wire);
        self.running.spawn(async move {
            loop {
                sleep(SUBSCRIBE_PAUSE).await;
                match wire
                    .bus
                    .subscribe_live(&[lane.to_string().as_str()], rescind_bus::FeedLimits::default())
                    .await
                {
                    Ok(feed) => return Done::Subscribed { lane, feed },
                    Err(error) => tracing::warn!(%lane, %error, "cannot listen; trying again"),
                }
            }
        });
    }

    fn spawn(&mut self, request: impl Future<Output = Done> + Send + 'static) {
        if self.running.len() < RUNNING_MAX {
            self.running.spawn(request);
        }
    }
}
