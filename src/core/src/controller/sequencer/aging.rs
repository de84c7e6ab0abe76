//! Forgetting what every token that it names has outlived (D8, S14): changes that nobody asks for.

use super::Sequencer;
use crate::change::{Change, ChangeBody, Origin};
use crate::controller::Now;
use crate::entry::ENTRY_CHANGES_MAX;
use crate::ids::{EmitterId, IdempotencyKey, RecordId};
use crate::position::{Lane, Position, Revision};

/// Limit: records that one entry forgets: a fraction of a millisecond of work.
const FORGETS_MAX: usize = 256;
/// How far the wall clock may move against the other one in one run. A clock that jumped makes everything look
/// old; then nothing is forgotten until the next start.
const DRIFT_MAX_MS: i64 = 60_000;

/// Whether the wall clock can be believed.
#[derive(Debug, Default)]
pub(super) struct Aging {
    /// Wall clock less boot clock when this began.
    offset_ms: Option<i64>,
    jumped: bool,
}

impl Aging {
    /// INVARIANT (S15): a step of the wall clock never turns a deny into an allow.
    fn believes(&mut self, now: Now) -> bool {
        let boot_ms = i64::try_from(now.boot.0 / 1_000_000).unwrap_or(i64::MAX);
        let offset = now.wall.0.saturating_sub(boot_ms);
        let first = *self.offset_ms.get_or_insert(offset);
        self.jumped |= offset.saturating_sub(first).saturating_abs() > DRIFT_MAX_MS;
        !self.jumped
    }
}

impl Sequencer {
    /// Adds what may be forgotten now to an entry of the deny lane, as far as there is room.
    pub(super) fn add_forgets(&mut self, changes: &mut Vec<Change>, bytes: &mut usize, now: Now) {
        if !self.aging.believes(now) {
            return;
        }
        let room = ENTRY_CHANGES_MAX.saturating_sub(changes.len()).min(FORGETS_MAX);
        let rows = self.registry.forgettable(now.wall, room);
        let due: Vec<_> = rows.map(|row| (row.record.id, row.record.target.clone())).collect();
        let Ok(emitter) = EmitterId::new(self.config.controller.as_str()) else { return };
        let first = self.slot(Lane::Deny).head.position.revision.next();
        for (record, target) in due {
            let revision = Revision(first.0.saturating_add(changes.len() as u64));
            let id = RecordId::new(Lane::Deny, Position { epoch: self.config.epoch, revision });
            let (Some(id), Ok(key)) = (id, IdempotencyKey::new(&format!("forget-{record}"))) else { return };
            let origin = Origin {
                emitter: emitter.clone(),
                key,
                requested_by: None,
                reason_code: Some("expired".into()),
                incident: None,
                known_at: None,
            };
            let body = ChangeBody::Forget { record, target };
            let change = Change { id, origin, reason_admin_sha256: None, body };
            let more = (self.config.change_bytes)(&change);
            let is_full = bytes.saturating_add(more) > self.config.entry_bytes_max;
            if is_full || self.registry.apply(&change, now.wall).is_err() {
                return;
            }
            *bytes = bytes.saturating_add(more);
            changes.push(change);
        }
    }
}
