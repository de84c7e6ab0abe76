//! What can be broken: each fault is a named function that hurts something and returns the way to heal it.

use std::{fmt, future::Future, pin::Pin, time::Duration};

use rescind_testkit::KitResult;

use crate::fleet::Fleet;

pub mod broker_store;
pub mod clocks;
pub mod cluster;
pub mod disks;
pub mod links;
pub mod network;
pub mod processes;

/// What a fault takes for itself; two faults that share a part are never open at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// The broker's process and store.
    Broker,
    /// The controllers' processes and data.
    Controller,
    /// The controller's link.
    ControllerLink,
    /// Agents' processes and stores.
    Agents,
    /// Agents' links.
    AgentLinks,
}

/// On which fleet a fault makes sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fits {
    /// Any.
    Any,
    /// One broker.
    Single,
    /// A cluster of three.
    Cluster,
}

/// How a fault is undone.
pub struct Heal(HealBox);

type HealBox = Box<dyn for<'a> FnOnce(&'a mut Fleet) -> Work<'a, ()> + Send>;

/// A future of a fault.
pub type Work<'a, T> = Pin<Box<dyn Future<Output = KitResult<T>> + Send + 'a>>;

impl fmt::Debug for Heal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Heal")
    }
}

impl Heal {
    /// A way to heal.
    pub fn new(heal: impl for<'a> FnOnce(&'a mut Fleet) -> Work<'a, ()> + Send + 'static) -> Self {
        Self(Box::new(heal))
    }

    /// Heals.
    ///
    /// # Errors
    /// It cannot be undone; the run is void.
    pub async fn now(self, fleet: &mut Fleet) -> KitResult {
        (self.0)(fleet).await
    }
}

/// Whether a fault was injected.
#[derive(Debug)]
pub enum Injected {
    /// It is open until it is healed.
    Open(Heal),
    /// This machine does not allow it, with the reason.
    Skipped(String),
}

/// Injects a fault; `turn` chooses among equals.
pub type Inject = for<'a> fn(&'a mut Fleet, turn: u64) -> Work<'a, Injected>;

/// A fault.
#[derive(Debug, Clone, Copy)]
pub struct Fault {
    /// Its name in reports.
    pub name: &'static str,
    /// What it takes for itself.
    pub uses: &'static [Part],
    /// Where it makes sense.
    pub fits: Fits,
    /// How long it lasts, in milliseconds: shortest and longest.
    pub lasts_ms: (u64, u64),
    /// Hurts.
    pub inject: Inject,
}

impl Fault {
    /// Whether both can be open at once.
    #[must_use]
    pub fn goes_with(&self, other: &Self) -> bool {
        !self.uses.iter().any(|part| other.uses.contains(part))
    }

    /// The longest that it lasts.
    #[must_use]
    pub const fn longest(&self) -> Duration {
        Duration::from_millis(self.lasts_ms.1)
    }
}

/// Every fault by group: the name of a group is the name of a mix.
pub const GROUPS: &[(&str, &[Fault])] = &[
    ("processes", processes::FAULTS),
    ("links", links::FAULTS),
    ("broker-store", broker_store::FAULTS),
    ("disks", disks::FAULTS),
    ("network", network::FAULTS),
    ("clocks", clocks::FAULTS),
    ("cluster", cluster::FAULTS),
];

/// A fault by its name.
#[must_use]
pub fn find(name: &str) -> Option<Fault> {
    GROUPS.iter().flat_map(|(_, faults)| faults.iter()).find(|fault| fault.name == name).copied()
}
