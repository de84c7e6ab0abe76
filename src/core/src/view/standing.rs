//! Records with a lifecycle or a cutoff, by target.

use smallvec::SmallVec;

use crate::digest::{ItemDigest, ItemHasher};
use crate::ids::RecordId;
use crate::record::{Record, RecordKind};
use crate::seeded::{self, Bug};
use crate::target::Target;
use crate::time::UnixS;

/// A record as decisions need it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Its name.
    pub record: RecordId,
    /// Its kind.
    pub kind: RecordKind,
    /// Whether it denies whatever the issue time.
    pub active: bool,
    /// Credentials issued at or before this second are dead.
    pub cutoff: Option<UnixS>,
}

impl Standing {
    pub(super) const fn active(record: &Record) -> Self {
        // A revoked user is dead by cutoff only: what is issued later lives.
        let by_cutoff_only = matches!(record.kind, RecordKind::Revoke) && record.cutoff.is_some();
        Self { record: record.id, kind: record.kind, active: !by_cutoff_only, cutoff: record.cutoff }
    }

    /// As the compact table holds it.
    pub(super) const fn tombstone(id: RecordId) -> Self {
        Self { record: id, kind: RecordKind::Revoke, active: true, cutoff: None }
    }

    pub(super) const fn ended(record: &Record, cutoff: UnixS) -> Self {
        Self { record: record.id, kind: record.kind, active: false, cutoff: Some(cutoff) }
    }

    /// Whether this is a plain, irreversible deny: what the compact table can hold.
    pub(super) const fn is_tombstone(&self) -> bool {
        matches!(self.kind, RecordKind::Revoke) && self.active
    }

    /// Whether a credential issued at that second is dead by the cutoff. INVARIANT (D5): equal is dead.
    /// INVARIANT (D6): without an issue time it counts as issued at minus infinity.
    #[must_use]
    pub fn cuts(&self, issued_at: Option<UnixS>) -> bool {
        self.cutoff.is_some_and(|cutoff| {
            issued_at.is_none_or(|issued| {
                issued < cutoff || (issued == cutoff && !seeded::active(Bug::BoundaryIatLess))
            })
        })
    }

    pub(super) fn digest(&self, target: &Target) -> ItemDigest {
        let hasher = ItemHasher::new(1)
            .number(self.record.packed())
            .number(self.kind as u64)
            .number(u64::from(self.active))
            .maybe(self.cutoff.map(|cutoff| cutoff.0))
            .number(target.kind() as u64);
        match target {
            Target::Token { issuer, jti: id }
            | Target::Session { issuer, sid: id }
            | Target::Key { issuer, kid: id }
            | Target::User { issuer: Some(issuer), id } => {
                hasher.bytes(issuer.as_bytes()).bytes(id.as_bytes())
            }
            Target::TokenHash(hash) => hasher.bytes(hash),
            Target::User { issuer: None, id }
            | Target::Client { id }
            | Target::Tenant { id }
            | Target::Service { name: id } => hasher.bytes(id.as_bytes()),
            Target::All => hasher,
        }
        .finish()
    }
}

/// The records on one target, in order of id. Usually one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StandingList(SmallVec<[Standing; 1]>);

impl StandingList {
    /// A list of these, in any order; `None` where two have one id.
    #[must_use]
    pub fn from_records(records: impl IntoIterator<Item = Standing>) -> Option<Self> {
        records.into_iter().try_fold(Self::default(), |list, standing| list.with(standing))
    }

    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none; a table keeps no empty list.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The records, ordered by id.
    #[must_use]
    pub fn as_slice(&self) -> &[Standing] {
        &self.0
    }

    pub(super) fn find(&self, id: RecordId) -> Option<&Standing> {
        self.0.iter().find(|standing| standing.record == id)
    }

    /// With one more; `None` where its id is there already.
    pub(super) fn with(mut self, standing: Standing) -> Option<Self> {
        match self.0.binary_search_by_key(&standing.record, |there| there.record) {
            Ok(_) => None,
            Err(place) => {
                self.0.insert(place, standing);
                Some(self)
            }
        }
    }

    pub(super) fn without(&self, id: RecordId) -> Self {
        Self(self.0.iter().filter(|standing| standing.record != id).copied().collect())
    }
}
