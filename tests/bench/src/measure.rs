//! Time and samples.

#[cfg(test)]
mod tests;

use std::time::Duration;

use rescind_core::time::BootNs;
use rustix::time::{ClockId, clock_gettime};

/// How long something runs before it is measured.
const WARM_UP: Duration = Duration::from_millis(200);

/// A stopwatch on the monotonic clock, some 25 ns to read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stopwatch(u64);

impl Stopwatch {
    pub(crate) fn start() -> Self {
        Self(now_ns(ClockId::Monotonic))
    }

    pub(crate) fn ns(self) -> u64 {
        now_ns(ClockId::Monotonic).saturating_sub(self.0)
    }

    pub(crate) fn elapsed(self) -> Duration {
        Duration::from_nanos(self.ns())
    }

    pub(crate) fn micros(self) -> f64 {
        self.ns() as f64 / 1e3
    }

    pub(crate) fn seconds(self) -> f64 {
        self.ns() as f64 / 1e9
    }
}

/// The clock that agents judge freshness on.
#[inline]
pub(crate) fn boot_clock() -> BootNs {
    BootNs(now_ns(ClockId::Boottime))
}

/// Milliseconds since the Unix epoch, with their fraction.
pub(crate) fn wall_ms() -> f64 {
    now_ns(ClockId::Realtime) as f64 / 1e6
}

#[inline]
fn now_ns(clock: ClockId) -> u64 {
    let at = clock_gettime(clock);
    let seconds = u64::try_from(at.tv_sec).unwrap_or(0);
    seconds.saturating_mul(1_000_000_000).saturating_add(u64::try_from(at.tv_nsec).unwrap_or(0))
}

/// Measured values in one unit.
#[derive(Debug, Clone, Default)]
pub(crate) struct Samples {
    values: Vec<f64>,
}

/// How samples are spread.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Spread {
    /// What the machine does when nothing disturbs it.
    pub(crate) p10: f64,
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) max: f64,
    pub(crate) samples: usize,
}

impl Samples {
    pub(crate) fn push(&mut self, value: f64) {
        self.values.push(value);
    }

    pub(crate) fn extend(&mut self, other: &Self) {
        self.values.extend(&other.values);
    }

    pub(crate) fn len(&self) -> usize {
        self.values.len()
    }

    /// The value that this share of the samples does not exceed; not a number where there are none.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share of a length is an index"
    )]
    pub(crate) fn quantile(&self, share: f64) -> f64 {
        let mut sorted = self.values.clone();
        sorted.sort_unstable_by(f64::total_cmp);
        let rank = (share * sorted.len() as f64).ceil() as usize;
        sorted.get(rank.saturating_sub(1)).copied().unwrap_or(f64::NAN)
    }

    /// The share of samples above `limit`.
    pub(crate) fn share_above(&self, limit: f64) -> f64 {
        let above = self.values.iter().filter(|value| **value > limit).count();
        above as f64 / self.len().max(1) as f64
    }

    pub(crate) fn p50(&self) -> f64 {
        self.quantile(0.5)
    }

    pub(crate) fn spread(&self) -> Spread {
        Spread {
            p10: self.quantile(0.1),
            p50: self.p50(),
            p99: self.quantile(0.99),
            max: self.quantile(1.0),
            samples: self.len(),
        }
    }
}

/// Something that is measured alternately with others, in batches.
pub(crate) struct Case<'a> {
    batch: u32,
    /// Runs the operation this many times and tells how long that took.
    work: Box<dyn FnMut(u32) -> u64 + 'a>,
    /// Nanoseconds for one operation, all rounds.
    all: Samples,
    /// The median of each round.
    rounds: Samples,
}

impl<'a> Case<'a> {
    /// `work` prepares and runs its operation as often as it is told, and returns the nanoseconds of what counts;
    /// `batch` operations make one sample.
    pub(crate) fn new(batch: u32, work: impl FnMut(u32) -> u64 + 'a) -> Self {
        Self { batch, work: Box::new(work), all: Samples::default(), rounds: Samples::default() }
    }

    /// One operation in a sample, which counts as a whole.
    pub(crate) fn single(mut operation: impl FnMut() + 'a) -> Self {
        Self::new(1, move |times| {
            let watch = Stopwatch::start();
            (0..times).for_each(|_| operation());
            watch.ns()
        })
    }

    /// Nanoseconds for one operation.
    pub(crate) fn spread(&self) -> Spread {
        self.all.spread()
    }

    /// How many times longer than `other`, as the median over rounds measured one after the other.
    pub(crate) fn ratio_to(&self, other: &Self) -> f64 {
        let pairs = self.rounds.values.iter().zip(&other.rounds.values);
        let mut ratios = Samples::default();
        pairs.for_each(|(ours, theirs)| ratios.push(ours / theirs));
        ratios.p50()
    }

    fn round(&mut self, samples: usize) {
        let mut round = Samples::default();
        for _ in 0..samples {
            let ns = (self.work)(self.batch);
            round.push(ns as f64 / f64::from(self.batch));
        }
        self.rounds.push(round.p50());
        self.all.extend(&round);
    }

    fn warm_up(&mut self) {
        let watch = Stopwatch::start();
        while watch.elapsed() < WARM_UP {
            (self.work)(self.batch);
        }
    }
}

/// Measures all cases in turn, so that what disturbs the machine disturbs all of them.
pub(crate) fn alternate(cases: &mut [&mut Case<'_>], rounds: usize, samples: usize) {
    cases.iter_mut().for_each(|case| case.warm_up());
    for _ in 0..rounds {
        cases.iter_mut().for_each(|case| case.round(samples));
    }
}
