//! Packets are lost on the way of one agent: it runs in a network namespace of its own, with a lossy firewall. Needs
//! root, `ip` and `iptables`; skipped by name without them.

use std::{fs, net::IpAddr};

use rescind_testkit::{KitError, KitResult};
use tokio::task::block_in_place;

use super::{Fault, Fits, Heal, Injected, Part, Work};
use crate::{fleet::Fleet, proxy::Link, room::Network};

/// All of them.
pub const FAULTS: &[Fault] = &[Fault {
    name: "agent_packets_lost",
    uses: &[Part::Agents, Part::AgentLinks],
    fits: Fits::Any,
    lasts_ms: (4_000, 10_000),
    inject: agent_packets_lost,
}];

/// Packets of 100 that are lost in each direction.
const LOSS_PERCENT: u32 = 30;

/// An agent moves into a namespace for good; there 30 % of all packets are lost in both directions.
pub fn agent_packets_lost(fleet: &mut Fleet, _: u64) -> Work<'_, Injected> {
    Box::pin(async move {
        if fleet.room.networks.is_empty() {
            let made = block_in_place(|| Network::make(std::process::id())).and_then(|network| {
                block_in_place(|| network.lose(LOSS_PERCENT))?;
                block_in_place(|| network.lose(0))?;
                Ok(network)
            });
            match made {
                Ok(network) => fleet.room.networks.push(network),
                Err(error) => return Ok(Injected::Skipped(format!("no network namespace: {error}"))),
            }
            // Why 0: the one that lives in the namespace is always the same.
            move_agent(fleet).await?;
        }
        lose(fleet, LOSS_PERCENT)?;
        Ok(Injected::Open(Heal::new(|fleet| Box::pin(async move { lose(fleet, 0) }))))
    })
}

fn lose(fleet: &Fleet, percent: u32) -> KitResult {
    let network = fleet.room.networks.first().ok_or_else(|| KitError::new("there is no network"))?;
    block_in_place(|| network.lose(percent))
}

async fn move_agent(fleet: &mut Fleet) -> KitResult {
    let network = fleet.room.networks.first().ok_or_else(|| KitError::new("there is no network"))?;
    let (near, prefix) = (IpAddr::V4(network.near), network.prefix());
    let (targets, dice) = (fleet.brokers.addresses(0), fleet.dice.fork());
    let link = Link::listen(near, targets, dice).await?;
    let jwks_url = fleet.realm.issuer().jwks_url();
    let answer = reqwest::get(&jwks_url).await.map_err(KitError::because("read the issuer's keys"))?;
    let keys = answer.bytes().await.map_err(KitError::because("read the issuer's keys"))?;
    let agent = fleet.agent(0)?;
    // Why a file: the issuer's server is on this side's loopback, which the namespace does not reach.
    let beside = agent.config.with_file_name("jwks-of-the-namespace.json");
    fs::write(&beside, keys).map_err(KitError::because("write the issuer's keys"))?;
    agent.reconfigure(&jwks_url, "jwks-of-the-namespace.json")?;
    agent.stop().await?;
    let line = agent.broker_line()?;
    agent.reconfigure(&line, &format!("url = \"{}\"", link.url()))?;
    agent.link = link;
    agent.prefix = prefix;
    agent.start()?;
    Ok(())
}
