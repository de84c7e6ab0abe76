//! The keys of a made-up realm, and its signed chain.

use rescind_codec::{
    ENTRY_CHANGES_BYTES_MAX, Identity, KeyCert, RealmPin, SecretKey, TrustBundle, encode_entry,
    encoded_change_len, issue_cert,
};
use rescind_core::change::Change;
use rescind_core::entry::{ENTRY_CHANGES_MAX, Entry};
use rescind_core::ids::{ChainId, ControllerId, InstanceId};
use rescind_core::position::{Epoch, Head, Lane, Position, Revision};
use rescind_core::time::UnixMs;

use crate::Outcome;
use crate::data::now_s;

/// Seeds of keys that protect nothing.
const ROOT: [u8; 32] = [1; 32];
const CONTROLLER: [u8; 32] = [2; 32];

/// A realm with one controller.
pub(crate) struct Realm {
    pub(crate) chain: ChainId,
    pub(crate) trust: TrustBundle,
    controller: ControllerId,
    key: SecretKey,
}

impl Realm {
    pub(crate) fn new() -> Outcome<Self> {
        let (root, key) = (SecretKey::from_seed(ROOT), SecretKey::from_seed(CONTROLLER));
        let chain = ChainId::new("bench.0001")?;
        let pin = RealmPin::new("bench", chain.clone(), root.public())?;
        let controller = ControllerId::new("c1")?;
        let day_ms = 24 * 3600 * 1000;
        let cert = KeyCert {
            identity: Identity::Controller(controller.clone()),
            key: key.public(),
            not_before: UnixMs(now_s() * 1000 - day_ms),
            not_after: UnixMs(now_s() * 1000 + day_ms),
        };
        let trust = TrustBundle::new(&pin, [issue_cert(&root, &pin, &cert)])?;
        Ok(Self { chain, trust, controller, key })
    }

    /// Signs entries that follow `head` in `lane`, each with as many of the changes as fit and at most
    /// `changes_max`. Returns the message of each with its number of changes, and moves `head`.
    pub(crate) fn sign(
        &self,
        lane: Lane,
        head: &mut Head,
        changes: Vec<Change>,
        changes_max: usize,
    ) -> Vec<Vec<u8>> {
        let mut messages = Vec::new();
        let mut rest = changes.into_iter().peekable();
        while rest.peek().is_some() {
            let mut entry_changes = Vec::new();
            let mut bytes = 0;
            while let Some(change) = rest.next_if(|change| {
                bytes += encoded_change_len(change);
                entry_changes.len() < changes_max.min(ENTRY_CHANGES_MAX) && bytes <= ENTRY_CHANGES_BYTES_MAX
            }) {
                entry_changes.push(change);
            }
            let entry = self.entry(lane, *head, entry_changes);
            let (message, hash) = encode_entry(&entry, &self.key);
            *head = Head { position: entry.last(), hash };
            messages.push(message);
        }
        messages
    }

    fn entry(&self, lane: Lane, after: Head, changes: Vec<Change>) -> Entry {
        Entry {
            chain: self.chain.clone(),
            epoch: Epoch(1),
            lane,
            first: Revision(after.position.revision.0 + 1),
            changes,
            prev_hash: after.hash,
            deps: Position::default(),
            committed_at: UnixMs(now_s() * 1000),
            controller: self.controller.clone(),
            boot: InstanceId([7; 16]),
        }
    }
}
