//! Full-fidelity state of the controller: every record and entitlement with who asked for it, the keys that
//! were used, and a [`View`] that folds with the very code that agents fold with.
//!
//! Rebuilt at a start by applying the write-ahead log. Applied again when an entry is cut, so what is in flight
//! is seen by the checks that follow; what is accepted is known to the sequencer, not here.

mod book;
mod idempotency;
mod query;
mod retention;
mod rows;
mod table;

use core::time::Duration;

pub use book::{Book, ENDED_KEPT_MAX};
pub use idempotency::IDEMPOTENCY_KEYS_MAX;
pub use query::{PAGE_SCAN_MAX, Page, RecordFilter};
pub use retention::Retention;

use self::idempotency::{Seen, record_takes_cutoff};
use super::refusal::Refusal;
use crate::change::{Ask, Change, ChangeBody, Directive, LiftCutoff, Origin, REASON_ADMIN_BYTES_MAX};
use crate::digest::StateDigest;
use crate::entitlement::{Entitlement, Holder, Right, Window};
use crate::ids::RecordId;
use crate::key::KeyHasher;
use crate::record::{Record, RecordKind, RecordState};
use crate::snapshot::SnapshotItem;
use crate::target::TargetKind;
use crate::time::{UnixMs, UnixS};
use crate::view::{FoldError, View};

/// Limit: how far ahead of the controller's clock a cutoff may be: the skew between issuer and controller (D7).
pub const CUTOFF_AHEAD_MAX: Duration = Duration::from_secs(60);

/// A record and where it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordRow {
    /// The record.
    pub record: Record,
    /// Where it stands.
    pub state: RecordState,
    /// Who asked and why.
    pub origin: Origin,
    /// SHA-256 of the private reason.
    pub reason_admin_sha256: Option<[u8; 32]>,
    /// When it was committed.
    pub accepted_at: UnixMs,
    /// The change that ended it.
    pub ended_by: Option<RecordId>,
}

/// An entitlement and where it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntitlementRow {
    /// The entitlement.
    pub entitlement: Entitlement,
    /// Who asked and why.
    pub origin: Origin,
    /// When it was committed.
    pub accepted_at: UnixMs,
    /// The change that ended it; `None`: it is held.
    pub ended_by: Option<RecordId>,
}

/// A directive that passed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Checked {
    /// Order this.
    New(ChangeBody),
    /// The effect is there already, under this id: success without a second effect (D16).
    Existing(RecordId),
}

/// The state. See the module.
#[derive(Debug, Clone)]
pub struct Registry {
    view: View,
    book: Book,
}

impl Registry {
    /// An empty state. `hasher` is this controller's own; its keys mean nothing elsewhere.
    #[must_use]
    pub fn new(hasher: KeyHasher) -> Self {
        Self::with_keys_max(hasher, IDEMPOTENCY_KEYS_MAX)
    }

    /// As [`Self::new`], remembering fewer idempotency keys.
    #[must_use]
    pub fn with_keys_max(hasher: KeyHasher, keys_max: usize) -> Self {
        Self { book: Book::new(hasher.clone(), keys_max), view: View::new(hasher) }
    }

    /// Sets how long records are needed, now and for what comes. Without it nothing is ever forgotten.
    pub fn set_retention(&mut self, retention: Retention) {
        self.book.set_retention(retention);
    }

    /// At most `max` records that may be forgotten at this time, the oldest first.
    pub fn forgettable(&self, now: UnixMs, max: usize) -> impl Iterator<Item = &RecordRow> + '_ {
        self.book.forgettable(now).take(max)
    }

    /// Fold and book apart, so that a start can fill them side by side: whoever does folds every change into the
    /// view first, and notes it in the book only where that worked.
    pub const fn parts_mut(&mut self) -> (&mut View, &mut Book) {
        (&mut self.view, &mut self.book)
    }

    /// The fold, as agents have it.
    #[must_use]
    pub const fn view(&self) -> &View {
        &self.view
    }

    /// Digest of everything applied, in flight or not.
    #[must_use]
    pub const fn digest(&self) -> StateDigest {
        self.view.digest()
    }

    /// Kind and target kind of the record that an end names: what rights are judged on.
    #[must_use]
    pub fn ended_kind(&self, ask: &Ask) -> Option<(RecordKind, TargetKind)> {
        match ask {
            Ask::Lift { record, .. } | Ask::Reinstate { record } => {
                self.book.records.get(*record).map(|row| (row.record.kind, row.record.target.kind()))
            }
            Ask::Record { .. } | Ask::Grant { .. } | Ask::Withdraw { .. } => None,
        }
    }

    /// What this directive was accepted as before, in flight or not (D16).
    #[must_use]
    pub fn repeated(&self, directive: &Directive) -> Option<RecordId> {
        match self.book.idempotency.seen(&directive.origin, &directive.ask) {
            Seen::Same(id) => Some(id),
            Seen::Never | Seen::Other(_) => None,
        }
    }

    /// Judges a directive that would be ordered as `next`. Nothing changes, but that an answer with an existing
    /// entitlement is remembered under its key until the next start. Whether the change folds is for
    /// [`Self::apply`] to say, which runs the same code that agents run: what would poison them is refused there.
    ///
    /// # Errors
    /// [`Refusal`] says why it can have no effect and what to do.
    pub fn check(&mut self, directive: &Directive, next: RecordId, now: UnixMs) -> Result<Checked, Refusal> {
        let Directive { origin, reason_admin, ask } = directive;
        // INVARIANT (D16): first of all, so that a repeat is answered whatever became of its record since.
        match self.book.idempotency.seen(origin, ask) {
            Seen::Same(id) => return Ok(Checked::Existing(id)),
            Seen::Other(id) => return Err(Refusal::IdempotencyConflict { id }),
            Seen::Never => {}
        }
        match reason_admin.as_deref().map(str::len) {
            Some(bytes) if bytes > REASON_ADMIN_BYTES_MAX => return Err(Refusal::ReasonTooLong { bytes }),
            Some(_) | None => {}
        }
        if let Ask::Grant { holder, right, tenant, window } = ask
            && let Some(id) = self.find_held(holder, right, tenant.as_deref(), *window)
        {
            self.book.idempotency.note_existing(origin, ask, id);
            return Ok(Checked::Existing(id));
        }
        self.body(ask, next, now).map(Checked::New)
    }

    fn body(&self, ask: &Ask, next: RecordId, now: UnixMs) -> Result<ChangeBody, Refusal> {
        match ask {
            Ask::Record { kind, target, cutoff } => {
                let by_clock = record_takes_cutoff(*kind, target).then(|| now.floor_s());
                let cutoff = not_ahead(*cutoff, now)?.or(by_clock);
                Ok(ChangeBody::Record(Record::new(next, *kind, target.clone(), cutoff)?))
            }
            Ask::Lift { record: id, cutoff } => {
                let row = self.active(*id)?;
                let Record { kind, target, .. } = &row.record;
                match kind {
                    RecordKind::Hold | RecordKind::Kill => {}
                    RecordKind::Revoke | RecordKind::Disable => {
                        return Err(Refusal::CannotLift { id: *id, kind: *kind });
                    }
                }
                let cutoff = match cutoff {
                    LiftCutoff::Resume => None,
                    LiftCutoff::Now => Some(now.floor_s()),
                    LiftCutoff::At(second) => not_ahead(Some(*second), now)?,
                };
                Ok(ChangeBody::Lift { record: *id, target: target.clone(), cutoff })
            }
            Ask::Reinstate { record: id } => {
                let row = self.active(*id)?;
                let Record { kind, target, .. } = &row.record;
                match kind {
                    RecordKind::Disable => Ok(ChangeBody::Reinstate { record: *id, target: target.clone() }),
                    RecordKind::Revoke | RecordKind::Hold | RecordKind::Kill => {
                        Err(Refusal::CannotReinstate { id: *id, kind: *kind })
                    }
                }
            }
            Ask::Grant { holder, right, tenant, window } => Ok(ChangeBody::Grant(Entitlement {
                id: next,
                holder: holder.clone(),
                right: right.clone(),
                tenant: tenant.clone(),
                window: *window,
            })),
            Ask::Withdraw { entitlement: id } => {
                let row = self.book.entitlements.get(*id).ok_or(Refusal::UnknownEntitlement { id: *id })?;
                if row.ended_by.is_some() {
                    return Err(Refusal::AlreadyEnded { id: *id });
                }
                let holder = row.entitlement.holder.clone();
                Ok(ChangeBody::Withdraw { entitlement: *id, holder })
            }
        }
    }

    fn active(&self, id: RecordId) -> Result<&RecordRow, Refusal> {
        let row = self.book.records.get(id).ok_or(Refusal::UnknownRecord { id })?;
        match row.state {
            RecordState::Active => Ok(row),
            RecordState::Ended { .. } => Err(Refusal::AlreadyEnded { id }),
        }
    }

    fn find_held(
        &self,
        holder: &Holder,
        right: &Right,
        tenant: Option<&str>,
        window: Window,
    ) -> Option<RecordId> {
        self.by_holder(holder).into_iter().find_map(|row| {
            let held = &row.entitlement;
            let same = held.right == *right && held.tenant.as_deref() == tenant && held.window == window;
            (same && row.ended_by.is_none()).then_some(held.id)
        })
    }

    /// Applies a change: of the log at a start, or of an entry that was just cut. On an error nothing changed.
    ///
    /// # Errors
    /// [`FoldError`]: the change contradicts this state.
    pub fn apply(&mut self, change: &Change, committed_at: UnixMs) -> Result<(), FoldError> {
        self.view.apply(change)?;
        self.book.note(change.clone(), committed_at);
        Ok(())
    }

    /// Everything that a snapshot at this state has to hold; order does not matter (S9).
    pub fn items(&self) -> impl Iterator<Item = SnapshotItem> + '_ {
        let records = self.book.records.values().filter_map(|row| match row.state {
            // Nothing is left of it.
            RecordState::Ended { residual_cutoff: None } => None,
            RecordState::Active | RecordState::Ended { residual_cutoff: Some(_) } => {
                Some(SnapshotItem::Record(row.record.clone(), row.state))
            }
        });
        let held = self.book.entitlements.values().filter(|row| row.ended_by.is_none());
        records.chain(held.map(|row| SnapshotItem::Entitlement(row.entitlement.clone())))
    }
}

fn not_ahead(cutoff: Option<UnixS>, now: UnixMs) -> Result<Option<UnixS>, Refusal> {
    let latest = now.plus(CUTOFF_AHEAD_MAX).floor_s();
    match cutoff {
        Some(second) if second > latest => Err(Refusal::CutoffAhead),
        Some(_) | None => Ok(cutoff),
    }
}

#[cfg(test)]
mod tests;
