//! What questions may see.

use rescind_core::controller::Now;
use rescind_core::controller::ledger::{BoardState, Enforced, Ledger, Placed};
use rescind_core::controller::registry::Registry;
use rescind_core::controller::sequencer::Sequencer;
use rescind_core::ids::RecordId;
use rescind_core::position::Lane;

use super::board::{AcceptedTimes, BoardView};
use super::receipts::Receipts;

/// The engine's state, to be read.
#[derive(Debug)]
pub(crate) struct Inside<'a> {
    pub(crate) sequencer: &'a Sequencer,
    pub(crate) ledger: &'a Ledger,
    pub(super) receipts: &'a Receipts,
    pub(super) accepted: [&'a AcceptedTimes; 2],
    pub(crate) now: Now,
}

impl Inside<'_> {
    pub(crate) const fn registry(&self) -> &Registry {
        self.sequencer.registry()
    }

    /// Whether a change is accepted, that is, confirmed.
    pub(crate) fn is_accepted(&self, id: RecordId) -> bool {
        let heads = self.sequencer.heads();
        heads.get(id.lane()).is_some_and(|head| id.position() <= head.position)
    }

    /// The board of a change; `None` for one that is not accepted.
    pub(crate) fn board(&self, id: RecordId) -> Option<BoardView> {
        if !self.is_accepted(id) {
            return None;
        }
        let registry = self.registry();
        let record = registry.record(id);
        let target = record.map(|row| row.record.target.kind());
        let placed = Placed { lane: id.lane(), position: id.position(), target };
        let [deny, grant] = self.accepted;
        let times = match id.lane() {
            Lane::Deny => deny,
            Lane::Grant(_) => grant,
        };
        let accepted = times.of(id.position());
        let board = self.ledger.board(self.now.boot, placed, accepted);
        // Why: the ledger looks at all open changes now and then, this board was looked at just now.
        let seen_now = accepted.filter(|_| board.state == BoardState::Enforced);
        let seen_now = seen_now.map(|accepted_at| Enforced { id, accepted_at, enforced_at: self.now.boot });
        let applied_at = board.rows.iter().map(|row| self.receipts.applied_at(row, placed)).collect();
        let accepted_at =
            record.map(|row| row.accepted_at).or_else(|| registry.entitlement(id).map(|row| row.accepted_at));
        Some(BoardView {
            id,
            board,
            accepted_at,
            enforced: self.ledger.enforced_at(id).or(seen_now),
            applied_at,
            now: self.now,
        })
    }
}
