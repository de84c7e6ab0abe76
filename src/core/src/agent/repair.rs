//! When to ask for what is missing: deadlines and back-off with full jitter.

use core::time::Duration;

use super::jitter::Jitter;
use crate::time::BootNs;

/// Why wait before asking for a gap: the missing entry is most often right behind. Also the spread that keeps
/// all agents of a realm from asking at the same moment.
pub(super) const GAP_GRACE: Duration = Duration::from_millis(30);
/// An answer that takes longer is given up. Short, so that a black hole costs little after it heals (L2).
pub(super) const RANGE_DEADLINE: Duration = Duration::from_millis(500);
/// Longest wait between two asks for a range.
pub(super) const RANGE_BACKOFF_MAX: Duration = Duration::from_secs(2);
/// Longest wait where the lane is poisoned: people are needed, asking often does not help.
pub(super) const POISON_BACKOFF_MAX: Duration = Duration::from_secs(30);
/// First back-off; doubles with every failure.
const BACKOFF_MIN: Duration = Duration::from_millis(100);
/// A snapshot that takes longer is given up: the fetch of a million records takes seconds.
pub(super) const SNAPSHOT_DEADLINE: Duration = Duration::from_secs(60);
/// Limit: snapshots fetched in a row before longer pauses. Source: protocol.md section 3.
const SNAPSHOT_ROUNDS: u32 = 3;
/// Longest wait between two snapshots after the quick rounds.
const SNAPSHOT_BACKOFF_MAX: Duration = Duration::from_secs(30);

/// One thing that is asked for until it is there.
///
/// | state | event | next |
/// |---|---|---|
/// | idle | wanted | due after a grace |
/// | due | time comes | in flight until a deadline (the caller sends) |
/// | in flight | failed, or deadline passes | due after a back-off |
/// | any | paused | idle, back-off remembered |
/// | any | settled | idle, back-off forgotten |
#[derive(Debug, Clone)]
pub(super) struct Repair {
    state: State,
    failures: u32,
    not_before: BootNs,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Idle,
    Due(BootNs),
    InFlight { deadline: BootNs },
}

impl Repair {
    pub(super) const fn idle() -> Self {
        Self { state: State::Idle, failures: 0, not_before: BootNs(0) }
    }

    /// Asks at `at` or after the back-off, unless something is under way.
    pub(super) fn want(&mut self, at: BootNs) {
        if let State::Idle = self.state {
            self.state = State::Due(at.max(self.not_before));
        }
    }

    /// Not wanted for now; failures are remembered.
    pub(super) const fn pause(&mut self) {
        self.state = State::Idle;
    }

    /// Asks at `at`, whatever was planned.
    pub(super) const fn want_now(&mut self, at: BootNs) {
        self.state = State::Due(at);
    }

    /// Nothing is missing any more.
    pub(super) const fn settle(&mut self) {
        *self = Self::idle();
    }

    /// The way is free again: what waits for a back-off goes at `at`.
    pub(super) fn hurry(&mut self, at: BootNs) {
        self.failures = 0;
        self.not_before = BootNs(0);
        if let State::Due(due) = self.state {
            self.state = State::Due(due.min(at));
        }
    }

    pub(super) const fn is_idle(&self) -> bool {
        matches!(self.state, State::Idle)
    }

    /// Forgets failures: there was progress.
    pub(super) const fn progressed(&mut self) {
        self.failures = 0;
    }

    pub(super) fn fail_range(&mut self, now: BootNs, max: Duration, jitter: &mut Jitter) {
        let wait = backoff(self.failures, max, jitter);
        self.failures = self.failures.saturating_add(1);
        self.state = State::Due(now.plus(wait));
    }

    pub(super) fn fail_snapshot(&mut self, now: BootNs, jitter: &mut Jitter) {
        let rounds = self.failures.saturating_add(1);
        let wait = if rounds < SNAPSHOT_ROUNDS {
            jitter.around(BACKOFF_MIN)
        } else {
            // Why around, not full jitter from zero: a snapshot is dear, the pause must be one.
            let doublings = rounds.saturating_sub(SNAPSHOT_ROUNDS).min(16);
            jitter.around((Duration::from_secs(1) * 2_u32.pow(doublings)).min(SNAPSHOT_BACKOFF_MAX))
        };
        self.failures = rounds;
        self.not_before = now.plus(wait);
        self.state = State::Due(self.not_before);
    }

    /// True once when it is time to send; the answer is awaited for `patience`.
    pub(super) fn send(&mut self, now: BootNs, patience: Duration) -> bool {
        match self.state {
            State::Due(at) if at <= now => {
                self.state = State::InFlight { deadline: now.plus(patience) };
                true
            }
            State::Idle | State::Due(_) | State::InFlight { .. } => false,
        }
    }

    /// Whether an answer is overdue.
    pub(super) fn is_overdue(&self, now: BootNs) -> bool {
        matches!(self.state, State::InFlight { deadline } if deadline <= now)
    }

    pub(super) const fn wakes_at(&self) -> Option<BootNs> {
        match self.state {
            State::Idle => None,
            State::Due(at) | State::InFlight { deadline: at } => Some(at),
        }
    }
}

/// Full jitter: uniform up to a bound that doubles.
fn backoff(failures: u32, max: Duration, jitter: &mut Jitter) -> Duration {
    let bound = (BACKOFF_MIN * 2_u32.pow(failures.min(16))).min(max);
    jitter.up_to(bound).max(Duration::from_millis(1))
}
