//! Entries: what is signed, chained and published. Source: protocol.md section 2.

use std::sync::Arc;

use crate::change::{Change, ChangeBody, Origin};
use crate::digest::StateDigest;
use crate::epoch::EpochStart;
use crate::ids::{ChainId, ControllerId, EmitterId, IdempotencyKey, InstanceId, RecordId};
use crate::position::{EntryHash, Epoch, Head, Heads, Lane, Position, Revision};
use crate::time::UnixMs;

/// Limit: changes of one entry. Bounds the size of a message and the time of one apply step.
pub const ENTRY_CHANGES_MAX: usize = 4096;

/// A signed group of changes: one signature, one hash, one sync (group commit).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The realm's chain.
    pub chain: ChainId,
    /// Generation.
    pub epoch: Epoch,
    /// Lane.
    pub lane: Lane,
    /// Revision of the first change; the others follow without gaps.
    pub first: Revision,
    /// The changes, 1 to [`ENTRY_CHANGES_MAX`].
    pub changes: Vec<Change>,
    /// Hash of the entry before it in this lane; zero for the first.
    pub prev_hash: EntryHash,
    /// Newest deny position when this was committed; on a grant lane the entry is inert until the agent has
    /// applied it (S4). Zero on the deny lane.
    pub deps: Position,
    /// Controller's clock at commit.
    pub committed_at: UnixMs,
    /// Who committed it.
    pub controller: ControllerId,
    /// Which run of that controller.
    pub boot: InstanceId,
}

/// What makes a fence: the first entry of an epoch in a lane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fence {
    /// The realm's chain.
    pub chain: ChainId,
    /// The epoch that begins.
    pub epoch: Epoch,
    /// In this lane.
    pub lane: Lane,
    /// What it continues.
    pub after: Head,
    /// As in [`Entry::deps`]: zero on the deny lane.
    pub deps: Position,
    /// Why it begins.
    pub start: EpochStart,
    /// Controller's clock.
    pub committed_at: UnixMs,
    /// The new writer.
    pub controller: ControllerId,
    /// Which run of it.
    pub boot: InstanceId,
}

impl Entry {
    /// The fence that begins an epoch in a lane; `None` where the place after `after` has no record id.
    ///
    /// Its origin names the controller, because no emitter asked for it.
    #[must_use]
    pub fn fence(fence: Fence) -> Option<Self> {
        let Fence { chain, epoch, lane, after, deps, start, committed_at, controller, boot } = fence;
        let first = after.position.revision.next();
        let origin = Origin {
            emitter: EmitterId::new(controller.as_str()).ok()?,
            key: IdempotencyKey::from_string(format!("epoch-{}-{lane}", epoch.0)).ok()?,
            requested_by: None,
            reason_code: None,
            incident: None,
            known_at: None,
        };
        let id = RecordId::new(lane, Position { epoch, revision: first })?;
        let change = Change { id, origin, reason_admin_sha256: None, body: ChangeBody::Epoch(start) };
        let changes = vec![change];
        Some(Self {
            chain,
            epoch,
            lane,
            first,
            changes,
            prev_hash: after.hash,
            deps,
            committed_at,
            controller,
            boot,
        })
    }

    /// Why an epoch begins here, where this is a fence.
    #[must_use]
    pub fn fence_start(&self) -> Option<&EpochStart> {
        match self.changes.as_slice() {
            [Change { body: ChangeBody::Epoch(start), .. }] => Some(start),
            _ => None,
        }
    }

    /// Position of the last change.
    #[must_use]
    pub fn last(&self) -> Position {
        let behind = u64::try_from(self.changes.len()).unwrap_or(u64::MAX).saturating_sub(1);
        Position { epoch: self.epoch, revision: Revision(self.first.0.saturating_add(behind)) }
    }
}

/// An entry whose signature was verified, with the hash over its signed bytes. Only `codec` makes these
/// from bytes; the controller makes them from what it just signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainedEntry {
    /// The content.
    pub entry: Entry,
    /// Hash that the next entry must name.
    pub hash: EntryHash,
    /// The message as it was signed, of an entry of the deny lane that was read: what an agent hands back to a
    /// controller that lost it. Opaque here.
    pub message: Option<Arc<[u8]>>,
}

/// Proof of the head: appended to the deny lane with compare-and-set, outside revisions and hashes.
///
/// Why outside: ticks come several times a second and may expire on the broker; the chain of changes stays
/// whole without them. The append proves that its author was the only writer at that time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tick {
    /// The realm's chain.
    pub chain: ChainId,
    /// Generation.
    pub epoch: Epoch,
    /// Heads of all lanes when the append was sent: nothing accepted before is missing.
    pub heads: Heads,
    /// Digest of the state at `heads`.
    pub digest: StateDigest,
    /// Lease length in milliseconds.
    pub lease_ms: u32,
    /// Controller's clock when the append was sent.
    pub controller_time: UnixMs,
    /// Root of the tree over the nonces that arrived before the append was sent; zero: none.
    pub nonce_root: [u8; 32],
    /// Oldest position that tails are still served from, deny lane.
    pub floor: Revision,
    /// Who appended it.
    pub controller: ControllerId,
    /// Which run of that controller.
    pub boot: InstanceId,
}

#[cfg(test)]
mod tests;
