//! An agent's state machine that follows a chain and publishes, without bus and disk.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use rescind_codec::{LogItem, TrustBundle, decode_log_message};
use rescind_core::agent::{AgentConfig, AgentMachine, AgentOutput, RangeRest, Restored};
use rescind_core::decide::Published;
use rescind_core::entry::ChainedEntry;
use rescind_core::ids::{AgentId, InstanceId, ServiceName};
use rescind_core::position::{Head, Heads, Lane};
use rescind_core::view::View;

use crate::Outcome;
use crate::data::{self, SERVICE, hasher};
use crate::measure::boot_clock;
use crate::realm::Realm;

/// When a follower publishes.
#[derive(Debug, Clone, Copy)]
pub(super) enum Publish {
    /// After this many entries.
    Every(usize),
}

pub(super) struct Follower<'a> {
    trust: &'a TrustBundle,
    machine: AgentMachine,
    published: Arc<ArcSwap<Published>>,
}

impl<'a> Follower<'a> {
    pub(super) fn new(realm: &'a Realm, view: View, deny: Head) -> Outcome<Self> {
        let config = AgentConfig {
            agent: AgentId::new("bench-1")?,
            instance: InstanceId([3; 16]),
            service: ServiceName::new(SERVICE)?,
            chain: realm.chain.clone(),
            lease: Duration::from_secs(5),
            stale_policy: "strict(5s)".into(),
            target_kinds: u32::MAX,
            version: "bench".into(),
            report_every: Duration::from_secs(5),
        };
        let restored = Restored { view, heads: Heads { deny, grant: Head::default() } };
        let machine = AgentMachine::new(config, 1, hasher(), Some(restored), boot_clock());
        let published = Arc::new(ArcSwap::new(data::published(machine.published().view.clone())));
        let mut follower = Self { trust: &realm.trust, machine, published };
        follower.drain();
        Ok(follower)
    }

    /// Where decisions would read.
    pub(super) fn published(&self) -> Arc<ArcSwap<Published>> {
        Arc::clone(&self.published)
    }

    /// Revision of the newest applied change.
    pub(super) fn applied(&self) -> u64 {
        self.machine.heads().deny.position.revision.0
    }

    pub(super) fn decode(&self, message: &[u8]) -> Outcome<ChainedEntry> {
        match decode_log_message(message, Lane::Deny, self.trust)? {
            LogItem::Entry(entry) => Ok(entry),
            LogItem::Tick(..) => Err("a tick where an entry was expected".into()),
        }
    }

    /// Takes entries in and publishes once.
    pub(super) fn take(&mut self, mut entries: Vec<ChainedEntry>) -> Outcome {
        let now = boot_clock();
        let wanted: u64 =
            self.applied() + entries.iter().map(|one| one.entry.changes.len() as u64).sum::<u64>();
        match (entries.pop(), entries.is_empty()) {
            (Some(entry), true) => self.machine.handle_entry(now, entry),
            (Some(entry), false) => {
                entries.push(entry);
                self.machine.handle_range(now, Lane::Deny, entries, RangeRest::Complete);
            }
            (None, _) => {}
        }
        self.drain();
        if self.applied() == wanted { Ok(()) } else { Err("entries were not applied".into()) }
    }

    fn drain(&mut self) {
        while let Some(output) = self.machine.poll_output() {
            if let AgentOutput::Publish(published) = output {
                // Why made fresh: no controller grants leases here, and a decision that denies at once costs less.
                self.published.store(data::published(published.view.clone()));
            }
        }
    }
}
