//! The view: immutable local state that a decision reads, and the fold of changes into it.
//!
//! A view is cheap to clone (a few pointers). [`View::apply`] changes a clone; shards that an older view still
//! holds are copied first, so whoever reads the older one sees exactly the prefix that it was published with
//! (S3). What a snapshot restores and what the chain folds to are the same state with the same digest (S9).

mod cow;
mod filter;
mod held;
mod overlay;
mod standing;
mod undo;

use thiserror::Error;

pub use cow::CowMap;
pub use held::{HELD_PER_HOLDER_MAX, HeldSet};
pub(crate) use held::{Held, HeldRight};
pub use standing::{Standing, StandingList};
use undo::{Place, Undo, put_back};

use crate::change::{Change, ChangeBody};
use crate::digest::{ItemDigest, ItemHasher, StateDigest};
use crate::entitlement::{Entitlement, Holder, Right};
use crate::ids::RecordId;
use crate::key::{Key, KeyHasher};
use crate::record::{Record, RecordKind, RecordState};
use crate::seeded::{self, Bug};
use crate::snapshot::SnapshotItem;
use crate::target::{TARGET_KINDS, Target, TargetKind};
use crate::time::UnixS;

/// Why a change does not fold: the chain and this state contradict each other. An agent treats it as poison.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum FoldError {
    /// A record or entitlement of this id is there already.
    #[error("`{0}` is there already")]
    Duplicate(RecordId),
    /// Nothing of this id on the named target or holder.
    #[error("there is no `{0}` to end on its target")]
    Unknown(RecordId),
    /// The record ended before.
    #[error("`{0}` has already ended")]
    Ended(RecordId),
    /// A revoke cannot be ended; a hold is lifted, a disable reinstated.
    #[error("`{0}` is of a kind that this change cannot end")]
    WrongKind(RecordId),
    /// The holder has [`HELD_PER_HOLDER_MAX`] entitlements.
    #[error("the holder of `{0}` has {HELD_PER_HOLDER_MAX} entitlements already; use a role")]
    HolderFull(RecordId),
    /// Text longer than the packed form holds.
    #[error("an identifier of `{0}` is too long")]
    TooLong(RecordId),
}

/// Local state: tombstones, standing records, entitlements by holder.
#[derive(Debug, Clone)]
pub struct View {
    hasher: KeyHasher,
    tombstones: CowMap<u64>,
    standing: CowMap<StandingList>,
    holders: CowMap<HeldSet>,
    tombstone_kinds: [u32; TARGET_KINDS],
    standing_kinds: [u32; TARGET_KINDS],
    entitlements: u64,
    digest: StateDigest,
}

/// The three tables of a view, for a store that writes what changed. See [`CowMap::changed_since`].
#[derive(Debug)]
pub struct Tables<'a> {
    /// Token, session and key tombstones: packed [`RecordId`] by target key.
    pub tombstones: &'a CowMap<u64>,
    /// Everything with a cutoff or a lifecycle, by target key.
    pub standing: &'a CowMap<StandingList>,
    /// Entitlements by holder key.
    pub holders: &'a CowMap<HeldSet>,
}

/// The parts of a view that are not in its tables, for a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Totals {
    /// Tombstones by [`TargetKind`].
    pub tombstone_kinds: [u32; TARGET_KINDS],
    /// Standing records by [`TargetKind`].
    pub standing_kinds: [u32; TARGET_KINDS],
    /// Entitlements.
    pub entitlements: u64,
    /// Digest.
    pub digest: StateDigest,
}

impl View {
    /// An empty view that makes its keys with `hasher`.
    #[must_use]
    pub fn new(hasher: KeyHasher) -> Self {
        Self {
            hasher,
            tombstones: CowMap::new(),
            standing: CowMap::new(),
            holders: CowMap::new(),
            tombstone_kinds: [0; TARGET_KINDS],
            standing_kinds: [0; TARGET_KINDS],
            entitlements: 0,
            digest: StateDigest::default(),
        }
    }

    /// A view from what a store kept; `None` where tables and totals do not fit together.
    #[must_use]
    pub fn from_parts(
        hasher: KeyHasher,
        tombstones: CowMap<u64>,
        standing: CowMap<StandingList>,
        holders: CowMap<HeldSet>,
        totals: Totals,
    ) -> Option<Self> {
        let sum = |kinds: &[u32]| kinds.iter().map(|n| u64::from(*n)).sum::<u64>();
        let standing_records: usize = standing.values().map(StandingList::len).sum();
        let held: usize = holders.values().map(HeldSet::len).sum();
        let fits = sum(&totals.tombstone_kinds) == tombstones.len() as u64
            && sum(&totals.standing_kinds) == standing_records as u64
            && totals.entitlements == held as u64;
        fits.then_some(Self {
            hasher,
            tombstones,
            standing,
            holders,
            tombstone_kinds: totals.tombstone_kinds,
            standing_kinds: totals.standing_kinds,
            entitlements: totals.entitlements,
            digest: totals.digest,
        })
    }

    /// What makes this view's keys.
    #[must_use]
    pub const fn hasher(&self) -> &KeyHasher {
        &self.hasher
    }

    /// Digest of the state; equal for equal states, whatever the order of arrival.
    #[must_use]
    pub const fn digest(&self) -> StateDigest {
        self.digest
    }

    /// Records that can still deny something.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.tombstone_kinds.iter().chain(&self.standing_kinds).map(|n| u64::from(*n)).sum()
    }

    /// Entitlements that are held.
    #[must_use]
    pub const fn entitlements(&self) -> u64 {
        self.entitlements
    }

    /// The tables, for a store.
    #[must_use]
    pub const fn tables(&self) -> Tables<'_> {
        Tables { tombstones: &self.tombstones, standing: &self.standing, holders: &self.holders }
    }

    /// The rest, for a store.
    #[must_use]
    pub const fn totals(&self) -> Totals {
        Totals {
            tombstone_kinds: self.tombstone_kinds,
            standing_kinds: self.standing_kinds,
            entitlements: self.entitlements,
            digest: self.digest,
        }
    }

    /// Folds one change in. On an error the view is as before.
    ///
    /// # Errors
    /// [`FoldError`]: the change contradicts this state.
    pub fn apply(&mut self, change: &Change) -> Result<(), FoldError> {
        self.fold(change, &mut Undo::default())
    }

    /// Folds the changes of an entry in, all or none: on an error the view is as before.
    ///
    /// Why not on a clone: while a clone is held, every shard that changes has to be copied. Without one, catching
    /// up copies a shard once for all entries between two publications.
    ///
    /// # Errors
    /// [`FoldError`] of the first change that contradicts this state.
    pub fn apply_all(&mut self, changes: &[Change]) -> Result<(), FoldError> {
        let before = self.totals();
        let mut undo = Undo::noting(changes.len());
        let folded = changes.iter().try_for_each(|change| self.fold(change, &mut undo));
        if folded.is_err() {
            self.take_back(undo, before);
        }
        folded
    }

    fn take_back(&mut self, undo: Undo, before: Totals) {
        for place in undo.places() {
            match place {
                Place::Tombstone(key, before) => put_back(&mut self.tombstones, key, before),
                Place::Standing(key, list) => put_back(&mut self.standing, key, list.map(|list| *list)),
                Place::Holder(key, set) => put_back(&mut self.holders, key, set),
            }
        }
        self.tombstone_kinds = before.tombstone_kinds;
        self.standing_kinds = before.standing_kinds;
        self.entitlements = before.entitlements;
        self.digest = before.digest;
    }

    fn fold(&mut self, change: &Change, undo: &mut Undo) -> Result<(), FoldError> {
        match &change.body {
            ChangeBody::Record(record) => self.add_record(record, RecordState::Active, undo),
            ChangeBody::Lift { record, target, cutoff } => {
                let takes = |kind| matches!(kind, RecordKind::Hold | RecordKind::Kill);
                self.end(*record, target, *cutoff, takes, undo)
            }
            ChangeBody::Reinstate { record, target } => {
                self.end(*record, target, None, |kind| kind == RecordKind::Disable, undo)
            }
            ChangeBody::Forget { record, target } => self.forget(*record, target, undo),
            ChangeBody::Grant(entitlement) => self.grant(entitlement, undo),
            ChangeBody::Withdraw { entitlement, holder } => self.withdraw(*entitlement, holder, undo),
            ChangeBody::Epoch(_) | ChangeBody::Skipped => Ok(()),
        }
    }

    /// Adds one item of a snapshot. On an error the view is as before.
    ///
    /// # Errors
    /// [`FoldError`]: two items contradict each other.
    pub fn restore(&mut self, item: &SnapshotItem) -> Result<(), FoldError> {
        let undo = &mut Undo::default();
        match item {
            SnapshotItem::Record(record, state) => self.add_record(record, *state, undo),
            SnapshotItem::Entitlement(entitlement) => self.grant(entitlement, undo),
        }
    }

    fn add_record(&mut self, record: &Record, state: RecordState, undo: &mut Undo) -> Result<(), FoldError> {
        let standing = match state {
            RecordState::Active => Standing::active(record),
            RecordState::Ended { residual_cutoff: Some(cutoff) } => Standing::ended(record, cutoff),
            RecordState::Ended { residual_cutoff: None } => return Ok(()),
        };
        let key = self.hasher.target(&record.target);
        let kind = record.target.kind();
        let digest = standing.digest(&record.target);
        if standing.is_tombstone() && self.add_tombstone(key, record.id)? {
            count(&mut self.tombstone_kinds, kind, 1);
            undo.note(|| Place::Tombstone(key, None));
        } else {
            // INVARIANT (D1): a second record on the same target stands beside the first.
            let list = self.standing.get(key).cloned().unwrap_or_default();
            let before =
                self.standing.insert(key, list.with(standing).ok_or(FoldError::Duplicate(record.id))?);
            undo.note(|| Place::Standing(key, before.map(Box::new)));
            count(&mut self.standing_kinds, kind, 1);
        }
        self.digest.add(digest);
        Ok(())
    }

    /// True where the tombstone went into the compact table; false where another record holds the place.
    fn add_tombstone(&mut self, key: Key, id: RecordId) -> Result<bool, FoldError> {
        match self.tombstones.get(key) {
            Some(there) if *there == id.packed() => Err(FoldError::Duplicate(id)),
            Some(_) => Ok(false),
            None => {
                self.tombstones.insert(key, id.packed());
                Ok(true)
            }
        }
    }

    fn end(
        &mut self,
        id: RecordId,
        target: &Target,
        cutoff: Option<UnixS>,
        takes: impl Fn(RecordKind) -> bool,
        undo: &mut Undo,
    ) -> Result<(), FoldError> {
        let key = self.hasher.target(target);
        let Some(list) = self.standing.get(key) else {
            let tombstone = self.tombstones.get(key) == Some(&id.packed());
            return Err(if tombstone { FoldError::WrongKind(id) } else { FoldError::Unknown(id) });
        };
        let standing = *list.find(id).ok_or(FoldError::Unknown(id))?;
        if !takes(standing.kind) {
            return Err(FoldError::WrongKind(id));
        }
        if !standing.active {
            return Err(FoldError::Ended(id));
        }
        // INVARIANT (D3): a disable's own cutoff outlives it; (D4): a hold leaves one only where the lift says so.
        let forgets = seeded::active(Bug::ReinstateResurrects) && standing.kind == RecordKind::Disable;
        let residual = if forgets { None } else { standing.cutoff.max(cutoff) };
        let rest = if seeded::active(Bug::LiftByTarget) { StandingList::default() } else { list.without(id) };
        self.digest.remove(standing.digest(target));
        let rest = match residual {
            Some(cutoff) => {
                let ended = Standing { active: false, cutoff: Some(cutoff), ..standing };
                self.digest.add(ended.digest(target));
                rest.with(ended).unwrap_or_default()
            }
            None => {
                count(&mut self.standing_kinds, target.kind(), -1);
                rest
            }
        };
        let before =
            if rest.is_empty() { self.standing.remove(key) } else { self.standing.insert(key, rest) };
        undo.note(|| Place::Standing(key, before.map(Box::new)));
        Ok(())
    }

    /// INVARIANT (S14): only what is there, and only what ages with the tokens of one issuer: a standing deny,
    /// a session or a key is never forgotten, whoever says so.
    fn forget(&mut self, id: RecordId, target: &Target, undo: &mut Undo) -> Result<(), FoldError> {
        if target.aging_issuer().is_none() {
            return Err(FoldError::WrongKind(id));
        }
        let key = self.hasher.target(target);
        if self.tombstones.get(key) == Some(&id.packed()) {
            self.digest.remove(Standing::tombstone(id).digest(target));
            let before = self.tombstones.remove(key);
            undo.note(|| Place::Tombstone(key, before));
            count(&mut self.tombstone_kinds, target.kind(), -1);
            return Ok(());
        }
        let list = self.standing.get(key).ok_or(FoldError::Unknown(id))?;
        let standing = *list.find(id).ok_or(FoldError::Unknown(id))?;
        let is_cutoff = !standing.active && standing.cutoff.is_some();
        if !is_cutoff && !standing.is_tombstone() {
            return Err(FoldError::WrongKind(id));
        }
        let rest = list.without(id);
        self.digest.remove(standing.digest(target));
        count(&mut self.standing_kinds, target.kind(), -1);
        let before =
            if rest.is_empty() { self.standing.remove(key) } else { self.standing.insert(key, rest) };
        undo.note(|| Place::Standing(key, before.map(Box::new)));
        Ok(())
    }

    fn grant(&mut self, entitlement: &Entitlement, undo: &mut Undo) -> Result<(), FoldError> {
        let key = self.hasher.holder(&entitlement.holder);
        let member = match &entitlement.right {
            Right::Member(membership) => Some(self.hasher.membership(membership)),
            Right::Permission { .. } => None,
        };
        let set = self.holders.get(key).cloned().unwrap_or_default();
        let before = self.holders.insert(key, set.with(entitlement, member)?);
        undo.note(|| Place::Holder(key, before));
        self.entitlements = self.entitlements.saturating_add(1);
        self.digest.add(held_digest(entitlement.id, &entitlement.holder));
        Ok(())
    }

    fn withdraw(&mut self, id: RecordId, holder: &Holder, undo: &mut Undo) -> Result<(), FoldError> {
        let key = self.hasher.holder(holder);
        let set = self.holders.get(key).ok_or(FoldError::Unknown(id))?;
        let rest = set.without(id).ok_or(FoldError::Unknown(id))?;
        let rest = if seeded::active(Bug::WithdrawForgotten) { set.clone() } else { rest };
        let before = if rest.is_empty() { self.holders.remove(key) } else { self.holders.insert(key, rest) };
        undo.note(|| Place::Holder(key, before));
        self.entitlements = self.entitlements.saturating_sub(1);
        self.digest.remove(held_digest(id, holder));
        Ok(())
    }

    /// The tombstone on this key, where its kind has any.
    #[inline]
    pub(crate) fn tombstone(&self, kind: TargetKind, key: Key) -> Option<RecordId> {
        if self.tombstone_kinds.get(kind as usize) == Some(&0) {
            return None;
        }
        self.tombstones.get(key).and_then(|packed| RecordId::from_packed(*packed))
    }

    /// The standing records on this key, where its kind has any.
    #[inline]
    pub(crate) fn standing(&self, kind: TargetKind, key: Key) -> &[Standing] {
        if self.standing_kinds.get(kind as usize) == Some(&0) {
            return &[];
        }
        self.standing.get(key).map_or(&[], StandingList::as_slice)
    }

    /// Whether any standing record names a target of this kind.
    pub(crate) fn has_standing(&self, kind: TargetKind) -> bool {
        self.standing_kinds.get(kind as usize) != Some(&0)
    }

    /// What this holder holds.
    #[inline]
    pub(crate) fn held(&self, holder: Key) -> Option<&HeldSet> {
        self.holders.get_likely(holder)
    }
}

fn count(kinds: &mut [u32; TARGET_KINDS], kind: TargetKind, by: i32) {
    if let Some(n) = kinds.get_mut(kind as usize) {
        *n = n.saturating_add_signed(by);
    }
}

/// Why id and holder only: an id names one entitlement of the signed chain, its other parts follow from it.
fn held_digest(id: RecordId, holder: &Holder) -> ItemDigest {
    let hasher = ItemHasher::new(2).number(id.packed());
    match holder {
        Holder::User { issuer, id } => hasher.number(0).bytes(issuer.as_bytes()).bytes(id.as_bytes()),
        Holder::Role(name) => hasher.number(1).bytes(name.as_bytes()),
        Holder::Group(name) => hasher.number(2).bytes(name.as_bytes()),
    }
    .finish()
}

#[cfg(test)]
mod tests;
