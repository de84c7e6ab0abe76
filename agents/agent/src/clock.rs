//! The clocks of this machine: the boot clock that freshness is measured on, and a watch over it.
//!
//! Freshness is `CLOCK_BOOTTIME` alone: it counts suspended time and no step of the wall clock moves it. Two
//! other clocks only accuse: `CLOCK_MONOTONIC_RAW`, which no time service slews, and the wall clock. Where they
//! contradict it, what was measured is void and the lease goes. Source: protocol.md section 4, rule 5.

#[cfg(test)]
mod tests;

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use rescind_core::agent::ClockFault;
use rescind_core::lease::Lease;
use rescind_core::time::{BootNs, UnixMs};
use rustix::time::{ClockId, Timespec, clock_gettime};

/// Limit: how far two clocks may move apart between two looks without an accusation.
const MOVED_MAX: Duration = Duration::from_millis(250);
/// Allowance for honest clocks that run at different rates, in thousandths of the time between two looks. Why
/// 1: time services slew by at most 0.5 thousandths, twice that is no step.
const WALL_RATE_PERMILLE: u64 = 1;
/// The same between boot clock and raw clock: the rate error that leases allow for.
const RAW_RATE_PERMILLE: u64 = rescind_core::lease::RHO_PERMILLE;
/// Limit: a set of readings that took longer was interrupted, and says nothing.
const SPREAD_MAX: Duration = Duration::from_millis(5);
/// How often an interrupted reading is repeated.
const READ_ATTEMPTS: u32 = 3;

const NANOS: u64 = 1_000_000_000;

/// The boot clock: monotone, counts suspended time, read in user space in some 30 ns.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct BootClock;

impl BootClock {
    /// Nanoseconds since the machine started.
    #[inline]
    pub(crate) fn now(self) -> BootNs {
        BootNs(nanos(clock_gettime(ClockId::Boottime)))
    }
}

/// Limit: how far the controller's clock may be ahead of what the last lease makes possible.
const CONTROLLER_AHEAD_MAX: Duration = Duration::from_millis(250);

/// Whether the controller shows more time than can have passed since the last lease: then our boot clock stood still
/// meanwhile, as in a virtual machine that was paused, or another clock than ours jumped. The lease goes either way.
pub(crate) fn controller_is_ahead(lease: &Lease, shown: UnixMs, now: BootNs) -> bool {
    shown > lease.latest(now).plus(CONTROLLER_AHEAD_MAX)
}

/// The wall clock: shown to people and compared, never judged on.
pub(crate) fn wall_ms() -> UnixMs {
    let at = clock_gettime(ClockId::Realtime);
    UnixMs(at.tv_sec.saturating_mul(1000).saturating_add(at.tv_nsec / 1_000_000))
}

#[inline]
fn nanos(at: Timespec) -> u64 {
    let seconds = u64::try_from(at.tv_sec).unwrap_or(0);
    seconds.saturating_mul(NANOS).saturating_add(u64::try_from(at.tv_nsec).unwrap_or(0))
}

/// The three clocks, read together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Readings {
    pub(crate) boot_ns: u64,
    pub(crate) raw_ns: u64,
    pub(crate) wall_ns: u64,
}

impl Readings {
    /// Reads all three; `None` where the thread was interrupted every time.
    pub(crate) fn take() -> Option<Self> {
        (0..READ_ATTEMPTS).find_map(|_| {
            let before = nanos(clock_gettime(ClockId::Boottime));
            let wall_ns = nanos(clock_gettime(ClockId::Realtime));
            let raw_ns = nanos(clock_gettime(ClockId::MonotonicRaw));
            let after = nanos(clock_gettime(ClockId::Boottime));
            let spread = Duration::from_nanos(after.saturating_sub(before));
            (spread <= SPREAD_MAX).then_some(Self { boot_ns: before, raw_ns, wall_ns })
        })
    }
}

/// Which run of which machine the clocks belong to. Both change where a process is moved to another machine, or a
/// snapshot of one is resumed: then the boot clock starts over or jumps, and what was measured on it is void.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Place {
    /// The kernel's boot id; `None` where it cannot be read.
    pub(crate) boot_id: Option<String>,
    /// The time namespace of this process; `None` where the kernel has none.
    pub(crate) time_namespace: Option<PathBuf>,
}

impl Place {
    /// Reads both; some ten microseconds.
    pub(crate) fn take() -> Self {
        Self {
            boot_id: fs::read_to_string(BOOT_ID_FILE).ok(),
            time_namespace: fs::read_link(TIME_NAMESPACE_LINK).ok(),
        }
    }

    /// Whether it is another one; what cannot be read accuses nobody.
    fn differs(&self, other: &Self) -> bool {
        let boot_ids = self.boot_id.as_ref().zip(other.boot_id.as_ref());
        let namespaces = self.time_namespace.as_ref().zip(other.time_namespace.as_ref());
        boot_ids.is_some_and(|(a, b)| a != b) || namespaces.is_some_and(|(a, b)| a != b)
    }
}

/// Spec: random(4).
const BOOT_ID_FILE: &str = "/proc/sys/kernel/random/boot_id";
/// Spec: time_namespaces(7).
const TIME_NAMESPACE_LINK: &str = "/proc/self/ns/time";

/// Compares the clocks, at every lease and once a second.
///
/// | seen since the last look | verdict |
/// |---|---|
/// | wall and boot clock moved apart by more than 250 ms | [`ClockFault::WallMoved`] |
/// | raw clock ran ahead of the boot clock by more than 250 ms and 0.5 % | [`ClockFault::BootChanged`] |
/// | boot id or time namespace is another one | [`ClockFault::BootChanged`] |
/// | boot clock ran ahead of the raw clock | nothing: the machine was suspended, and the lease aged with it |
#[derive(Debug, Default)]
pub(crate) struct ClockWatch {
    /// The last look.
    last: Option<Readings>,
    /// An older look for the raw clock: a slow boot clock shows only over several seconds.
    base: Option<Readings>,
    place: Option<Place>,
}

/// How long one base of comparison with the raw clock lasts; bounds what honest rates add up to.
const BASE_AGE_MAX: Duration = Duration::from_secs(60);

impl ClockWatch {
    /// Takes a look; the first only records. A fault starts over from this look.
    pub(crate) fn look(&mut self, now: Readings) -> Option<ClockFault> {
        let last = self.last.replace(now)?;
        let base = *self.base.get_or_insert(last);
        let fault = wall_moved(&last, &now).or_else(|| boot_is_slow(&base, &now));
        let age = Duration::from_nanos(now.boot_ns.saturating_sub(base.boot_ns));
        if fault.is_some() || age > BASE_AGE_MAX {
            self.base = Some(now);
        }
        fault
    }

    /// Takes a look at where the clocks are; the first only records.
    pub(crate) fn look_at(&mut self, place: Place) -> Option<ClockFault> {
        let last = self.place.replace(place.clone())?;
        last.differs(&place).then_some(ClockFault::BootChanged)
    }
}

fn wall_moved(last: &Readings, now: &Readings) -> Option<ClockFault> {
    let boot = now.boot_ns.saturating_sub(last.boot_ns);
    let wall = i128::from(now.wall_ns) - i128::from(last.wall_ns);
    let moved = (wall - i128::from(boot)).unsigned_abs();
    (moved > allowed(boot, WALL_RATE_PERMILLE)).then_some(ClockFault::WallMoved)
}

fn boot_is_slow(base: &Readings, now: &Readings) -> Option<ClockFault> {
    let boot = now.boot_ns.saturating_sub(base.boot_ns);
    let raw = now.raw_ns.saturating_sub(base.raw_ns);
    let behind = u128::from(raw.saturating_sub(boot));
    let back = now.boot_ns < base.boot_ns;
    (back || behind > allowed(raw, RAW_RATE_PERMILLE)).then_some(ClockFault::BootChanged)
}

fn allowed(elapsed_ns: u64, permille: u64) -> u128 {
    MOVED_MAX.as_nanos() + u128::from(elapsed_ns / 1000 * permille)
}
