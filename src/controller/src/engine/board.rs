//! Boards for those who ask, and those who wait for one to be enforced.

use std::collections::VecDeque;
use std::time::Duration;

use rescind_core::controller::Now;
use rescind_core::controller::ledger::{Board, BoardState, Enforced};
use rescind_core::ids::RecordId;
use rescind_core::position::Position;
use rescind_core::time::{BootNs, UnixMs};
use tokio::sync::oneshot;

/// Limit: entries whose time of acceptance is remembered; older ones are taken for later, which claims less.
const ACCEPTED_MAX: usize = 65_536;

/// Limit: waits at once; one more is answered at once.
const WAITS_MAX: usize = 256;

/// Pause between two looks at boards that somebody waits for.
const LOOK_PAUSE: Duration = Duration::from_millis(25);

/// Longest time without a look: time alone enforces, too.
const LOOK_PAUSE_MAX: Duration = Duration::from_millis(250);

/// A change as people see it.
#[derive(Debug, Clone)]
pub(crate) struct BoardView {
    pub(crate) id: RecordId,
    pub(crate) board: Board,
    /// As state knows it; `None`: only the log does.
    pub(crate) accepted_at: Option<UnixMs>,
    pub(crate) enforced: Option<Enforced>,
    /// By row: when the receipt came.
    pub(crate) applied_at: Vec<Option<UnixMs>>,
    pub(crate) now: Now,
}

impl BoardView {
    pub(crate) fn is_enforced(&self) -> bool {
        self.board.state == BoardState::Enforced
    }
}

/// Somebody who wants a board: at once, or when it is enforced.
#[derive(Debug)]
pub(crate) struct BoardRequest {
    pub(crate) id: RecordId,
    pub(crate) until: BootNs,
    /// `None` for a change that is not there.
    pub(crate) reply: oneshot::Sender<Option<BoardView>>,
}

impl BoardRequest {
    pub(super) fn answer(self, view: Option<BoardView>) {
        // Why ignored: who does not wait any more needs no answer.
        self.reply.send(view).ok();
    }
}

/// Everybody who waits.
#[derive(Debug, Default)]
pub(super) struct BoardWaits {
    waiting: Vec<BoardRequest>,
    /// Something came in that may enforce a change.
    pub(super) is_dirty: bool,
    looked_at: BootNs,
}

impl BoardWaits {
    /// Takes a request that has time, or gives it back to be answered at once.
    pub(super) fn admit(&mut self, request: BoardRequest, now: BootNs) -> Option<BoardRequest> {
        if request.until <= now || self.waiting.len() >= WAITS_MAX {
            return Some(request);
        }
        self.waiting.push(request);
        self.is_dirty = true;
        None
    }

    pub(super) fn keep(&mut self, request: BoardRequest) {
        self.waiting.push(request);
    }

    /// Those to look at now, all or none.
    pub(super) fn due(&mut self, now: BootNs) -> Vec<BoardRequest> {
        if self.poll_timeout().is_none_or(|at| at > now) {
            return Vec::new();
        }
        self.looked_at = now;
        self.is_dirty = false;
        self.waiting.retain(|request| !request.reply.is_closed());
        std::mem::take(&mut self.waiting)
    }

    pub(super) fn poll_timeout(&self) -> Option<BootNs> {
        let end = self.waiting.iter().map(|request| request.until).min()?;
        let pause = if self.is_dirty { LOOK_PAUSE } else { LOOK_PAUSE_MAX };
        Some(end.min(self.looked_at.plus(pause)))
    }
}

/// When the changes of this run were accepted on one lane, by entry.
#[derive(Debug)]
pub(super) struct AcceptedTimes {
    /// Newest position of the run before.
    before: Position,
    entries: VecDeque<(Position, BootNs)>,
}

impl AcceptedTimes {
    pub(super) const fn new(before: Position) -> Self {
        Self { before, entries: VecDeque::new() }
    }

    pub(super) fn note(&mut self, last: Position, at: BootNs) {
        if self.entries.len() >= ACCEPTED_MAX {
            self.entries.pop_front();
        }
        self.entries.push_back((last, at));
    }

    /// `None`: before this run.
    ///
    /// INVARIANT (S2): never earlier than it was; a fence counts from here.
    pub(super) fn of(&self, position: Position) -> Option<BootNs> {
        if position <= self.before {
            return None;
        }
        let place = self.entries.partition_point(|(last, _)| *last < position);
        self.entries.get(place).map(|(_, at)| *at)
    }
}

#[cfg(test)]
mod tests;
