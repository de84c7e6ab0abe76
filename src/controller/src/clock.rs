//! Reads both clocks of this machine. Nothing else in the crate asks for the time.

use rescind_core::controller::Now;
use rescind_core::time::{BootNs, UnixMs};
use rustix::time::{ClockId, Timespec, clock_gettime};

/// Both clocks, read together. The boot clock counts suspended time.
#[must_use]
pub(crate) fn now() -> Now {
    let boot = clock_gettime(ClockId::Boottime);
    Now { boot: BootNs(nanos(boot)), wall: wall() }
}

/// The wall clock.
#[must_use]
pub(crate) fn wall() -> UnixMs {
    let wall = clock_gettime(ClockId::Realtime);
    UnixMs(wall.tv_sec.saturating_mul(1000).saturating_add(wall.tv_nsec / 1_000_000))
}

/// Wall time of a reading of the boot clock, judged from `now`: for people.
#[must_use]
pub(crate) fn wall_of(boot: BootNs, now: Now) -> UnixMs {
    let ms = |ns: u64| i64::try_from(ns / 1_000_000).unwrap_or(i64::MAX);
    if boot <= now.boot {
        UnixMs(now.wall.0.saturating_sub(ms(now.boot.0.saturating_sub(boot.0))))
    } else {
        UnixMs(now.wall.0.saturating_add(ms(boot.0.saturating_sub(now.boot.0))))
    }
}

fn nanos(time: Timespec) -> u64 {
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    seconds.saturating_mul(1_000_000_000).saturating_add(u64::try_from(time.tv_nsec).unwrap_or_default())
}
