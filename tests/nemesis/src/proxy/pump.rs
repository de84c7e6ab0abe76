//! One direction of one connection.

use std::{
    collections::VecDeque,
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::tcp::{OwnedReadHalf, OwnedWriteHalf},
    sync::watch,
    time::{Instant, sleep_until},
};

use super::{
    Direction, Mode,
    frames::{Frame, Splitter},
};
use crate::dice::Dice;

/// How long a message can be held back to be overtaken.
const REORDER_SPAN: Duration = Duration::from_millis(30);

/// Limit: messages that are under way; reading stops beyond it, as a full socket buffer does.
const UNDER_WAY_MAX: usize = 4096;

pub(super) struct Setup {
    pub(super) direction: Direction,
    pub(super) mode: watch::Receiver<Mode>,
    pub(super) dice: Dice,
    pub(super) hurt: Arc<AtomicU64>,
}

/// Frames that are under way, each with the time when it is due; in the order in which they leave.
struct UnderWay {
    frames: VecDeque<(Instant, Vec<u8>)>,
    dice: Dice,
    hurt: Arc<AtomicU64>,
}

/// What is left of a connection.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Lives,
    /// Nothing passes any more and nobody is told.
    Dead,
    /// The next message is its last, half of it.
    Torn,
}

/// Passes bytes until the connection ends.
pub(super) async fn run(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, setup: Setup) {
    let Setup { direction, mut mode, dice, hurt } = setup;
    let mut under_way = UnderWay { frames: VecDeque::new(), dice, hurt };
    let mut splitter = Splitter::default();
    let mut buffer = vec![0_u8; 64 * 1024];
    loop {
        let now_mode = *mode.borrow_and_update();
        let open = now_mode.passes(direction);
        let due = under_way.frames.front().map(|(due, _)| *due).filter(|_| open);
        let room = open && under_way.frames.len() < UNDER_WAY_MAX;
        tokio::select! {
            biased;
            changed = mode.changed() => {
                if changed.is_err() {
                    return;
                }
                let changed = *mode.borrow();
                if changed == Mode::HalfClosed && direction == Direction::ToClient {
                    to.shutdown().await.ok();
                }
                if changed == Mode::Forgotten || (changed == Mode::HalfClosed && direction == Direction::ToClient) {
                    // Limit: the other direction, or the end of the link, ends this one.
                    return pending().await;
                }
            }
            () = wait_until(due) => {
                if under_way.leave(&mut to).await == Fate::Dead {
                    return;
                }
            }
            count = from.read(&mut buffer), if room => {
                let Ok(count @ 1..) = count else { return };
                splitter.feed(buffer.get(..count).unwrap_or_default());
                while let Some(frame) = splitter.next_frame() {
                    if under_way.enter(frame, now_mode) == Fate::Torn {
                        under_way.leave_all(&mut to).await;
                        return;
                    }
                }
            }
        }
    }
}

async fn wait_until(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => pending().await,
    }
}

impl UnderWay {
    fn enter(&mut self, frame: Frame, mode: Mode) -> Fate {
        let now = Instant::now();
        let last = self.frames.back().map_or(now, |(due, _)| (*due).max(now));
        match (frame, mode) {
            (frame, Mode::Late(by)) => self.frames.push_back((last.max(now + by), frame.bytes().to_vec())),
            (Frame::Message(bytes), Mode::Repeated) => {
                self.count();
                self.frames.push_back((last, bytes.clone()));
                self.frames.push_back((last, bytes));
            }
            (Frame::Message(bytes), Mode::Reordered) => self.overtake(now, bytes),
            (Frame::Message(_), Mode::Lossy(percent)) if self.dice.chance(percent) => self.count(),
            (Frame::Message(bytes), Mode::TornInFrame) => {
                self.count();
                let half = bytes.len() / 2;
                self.frames.push_back((last, bytes.into_iter().take(half).collect()));
                return Fate::Torn;
            }
            // Why `last`: a control line never overtakes a message, or a PONG would prove what is not there yet.
            (Frame::Message(bytes) | Frame::Control(bytes), _) => self.frames.push_back((last, bytes)),
        }
        Fate::Lives
    }

    /// Puts a message at any place among those that wait, each of which waits for [`REORDER_SPAN`] at most.
    fn overtake(&mut self, now: Instant, bytes: Vec<u8>) {
        self.count();
        let waiting = self.frames.len();
        let place = usize::try_from(self.dice.within(0, waiting as u64)).unwrap_or(waiting).min(waiting);
        let wait = Duration::from_millis(self.dice.within(0, 30)).min(REORDER_SPAN);
        let due = self.frames.get(place).map_or(now + wait, |(due, _)| *due);
        self.frames.insert(place, (due, bytes));
    }

    async fn leave(&mut self, to: &mut OwnedWriteHalf) -> Fate {
        let Some((_, bytes)) = self.frames.pop_front() else { return Fate::Lives };
        if to.write_all(&bytes).await.is_ok() { Fate::Lives } else { Fate::Dead }
    }

    async fn leave_all(&mut self, to: &mut OwnedWriteHalf) {
        while !self.frames.is_empty() {
            if self.leave(to).await == Fate::Dead {
                return;
            }
        }
    }

    fn count(&self) {
        self.hurt.fetch_add(1, Ordering::Relaxed);
    }
}
