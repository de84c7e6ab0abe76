//! Snapshots: the full state at positions, as items that fold in any order.

use crate::digest::StateDigest;
use crate::entitlement::Entitlement;
use crate::ids::ChainId;
use crate::position::Heads;
use crate::record::{Record, RecordState};
use crate::time::UnixMs;

/// One piece of state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SnapshotItem {
    /// A record in force, or one that ended and left a cutoff.
    Record(Record, RecordState),
    /// An entitlement that is held.
    Entitlement(Entitlement),
}

/// What a snapshot is, signed. A snapshot never makes anybody fresh.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// The realm's chain.
    pub chain: ChainId,
    /// Positions and hashes of all lanes that the state is at.
    pub heads: Heads,
    /// Digest of that state.
    pub digest: StateDigest,
    /// Number of items over all chunks.
    pub items: u64,
    /// Length in bytes and SHA-256 of each chunk, in order.
    pub chunks: Vec<(u32, [u8; 32])>,
    /// Controller's clock.
    pub made_at: UnixMs,
}
