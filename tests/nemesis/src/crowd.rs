//! Many agents at once: the broker dies and comes back, everybody reconnects, nobody may lose its lease.
//!
//! The agents run in this process; each has its own identity, connection and view.

use std::time::Duration;

use rescind_agent::Freshness;
use rescind_testkit::{KitError, KitResult, TestRealm};
use tokio::time::{Instant, sleep};

/// How long an outage may last that expires nobody: the lease minus this. Source: protocol.md section 1, L8.
const LEASE_MARGIN: Duration = Duration::from_secs(2);

/// What the outage takes beyond the pause: the start of the broker itself.
const RESTART_TAKES: Duration = Duration::from_millis(700);

/// Limit: how long the crowd is watched after the broker is back.
const WATCHED: Duration = Duration::from_secs(20);

/// Pause between two looks at everybody.
const LOOK: Duration = Duration::from_millis(10);

/// What became of the crowd.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Crowd {
    /// How many there were.
    pub agents: usize,
    /// From the kill to the broker being back.
    pub outage: Duration,
    /// From the broker being back until everybody had a lease that was asked for afterwards.
    pub all_renewed_after: Duration,
    /// How many were seen without a lease at any time.
    pub expired: usize,
}

/// Starts `count` agents, lets the broker die for nearly as long as it may, and watches.
///
/// # Errors
/// Something does not come up, or not everybody renews.
pub async fn run(count: usize, lease: Duration) -> KitResult<Crowd> {
    let mut builder = TestRealm::builder().lease(lease);
    for number in 0..count {
        builder = builder.agent(&format!("crowd-{number}"), "orders").memory_only();
    }
    let mut realm = builder.start().await?;
    let begun = Instant::now();
    realm.with_nats("kill the broker", rescind_natsd::NatsProcess::kill9)?;
    sleep(lease.saturating_sub(LEASE_MARGIN + RESTART_TAKES)).await;
    realm.with_nats("restart the broker", rescind_natsd::NatsProcess::restart)?;
    let back = Instant::now();
    let mut crowd =
        Crowd { agents: count, outage: back - begun, all_renewed_after: Duration::ZERO, expired: 0 };
    let mut expired = vec![false; count];
    let mut waiting: Vec<usize> = (0..count).collect();
    while !waiting.is_empty() {
        let now = Instant::now();
        let agents: Vec<_> = realm.agents().collect();
        for (agent, expired) in agents.iter().zip(&mut expired) {
            *expired |= agent.handle()?.freshness() != Freshness::Fresh;
        }
        let since_back = u64::try_from((now - back).as_millis()).unwrap_or(u64::MAX);
        waiting.retain(|number| {
            let status =
                agents.get(*number).and_then(|agent| agent.handle().ok()).map(|agent| agent.status());
            status.is_none_or(|status| status.staleness_ms.is_none_or(|age| age >= since_back))
        });
        if waiting.is_empty() {
            crowd.all_renewed_after = now - back;
        } else if now - back > WATCHED {
            return Err(KitError::new(format!(
                "{} of {count} agents have no new lease after {WATCHED:?}",
                waiting.len()
            )));
        }
        sleep(LOOK).await;
    }
    crowd.expired = expired.iter().filter(|expired| **expired).count();
    Ok(crowd)
}
