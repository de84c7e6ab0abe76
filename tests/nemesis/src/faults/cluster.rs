//! Nodes of a cluster of three crash, hang, and lose their majority.

use super::{Fault, Fits, Heal, Injected, Part, Work};
use crate::fleet::Fleet;

/// All of them.
pub const FAULTS: &[Fault] = &[
    Fault {
        name: "node_killed",
        uses: &[Part::Broker],
        fits: Fits::Cluster,
        lasts_ms: (500, 5_000),
        inject: node_killed,
    },
    Fault {
        name: "node_paused",
        uses: &[Part::Broker],
        fits: Fits::Cluster,
        lasts_ms: (1_000, 9_000),
        inject: node_paused,
    },
    Fault {
        name: "quorum_lost",
        uses: &[Part::Broker],
        fits: Fits::Cluster,
        lasts_ms: (1_000, 9_000),
        inject: quorum_lost,
    },
];

fn node(fleet: &Fleet, turn: u64) -> usize {
    usize::try_from(turn % fleet.brokers.count().max(1) as u64).unwrap_or(0)
}

/// One of three servers dies and comes back on its store.
pub fn node_killed(fleet: &mut Fleet, turn: u64) -> Work<'_, Injected> {
    Box::pin(async move {
        let number = node(fleet, turn);
        fleet.brokers.with(number, "kill a node", rescind_natsd::NatsProcess::kill9)?;
        Ok(Injected::Open(Heal::new(move |fleet| {
            Box::pin(async move {
                fleet.brokers.with(number, "restart a node", rescind_natsd::NatsProcess::restart)
            })
        })))
    })
}

/// One of three servers stands still: to the others it is gone, to its clients it is there.
pub fn node_paused(fleet: &mut Fleet, turn: u64) -> Work<'_, Injected> {
    Box::pin(async move {
        let number = node(fleet, turn);
        fleet.brokers.with(number, "pause a node", |broker| broker.pause())?;
        Ok(Injected::Open(Heal::new(move |fleet| {
            Box::pin(async move { fleet.brokers.with(number, "resume a node", |broker| broker.resume()) })
        })))
    })
}

/// Two of three servers stand still: nothing can be stored, nothing may be half accepted.
pub fn quorum_lost(fleet: &mut Fleet, turn: u64) -> Work<'_, Injected> {
    Box::pin(async move {
        let pair = [node(fleet, turn), node(fleet, turn + 1)];
        for number in pair {
            fleet.brokers.with(number, "pause a node", |broker| broker.pause())?;
        }
        Ok(Injected::Open(Heal::new(move |fleet| {
            Box::pin(async move {
                for number in pair {
                    fleet.brokers.with(number, "resume a node", |broker| broker.resume())?;
                }
                Ok(())
            })
        })))
    })
}
