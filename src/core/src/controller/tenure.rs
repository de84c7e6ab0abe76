//! Who writes, as far as a standby can tell, and when it should take over.
//!
//! Time only says when to try. Whether it works is decided by compare-and-set: a writer that was only slow
//! keeps its place, or finds the fences and steps down.

use core::time::Duration;

use crate::entry::Tick;
use crate::ids::{ControllerId, InstanceId};
use crate::position::Epoch;
use crate::time::{BootNs, UnixMs};

/// A writer that was not heard for this long is taken over. Several ticks: less would depose a writer over one
/// slow sync, more would cost leases of 5 s.
pub const TAKE_OVER_AFTER: Duration = Duration::from_secs(3);
/// Longest addition to [`TAKE_OVER_AFTER`], drawn once by each standby, so that two do not try at once.
pub const TAKE_OVER_JITTER_MAX: Duration = Duration::from_secs(1);

/// The writer that was heard last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Incumbent {
    /// Who.
    pub controller: ControllerId,
    /// Which run.
    pub boot: InstanceId,
    /// Its epoch.
    pub epoch: Epoch,
    /// Its clock in its newest tick.
    pub said_at: UnixMs,
    /// When it was heard here.
    pub heard_at: BootNs,
}

/// What a standby knows of the writer.
#[derive(Debug)]
pub struct Tenure {
    jitter: Duration,
    since: BootNs,
    incumbent: Option<Incumbent>,
    is_asked: bool,
}

impl Tenure {
    /// Knows nobody. `jitter` is random, up to [`TAKE_OVER_JITTER_MAX`].
    #[must_use]
    pub const fn new(jitter: Duration, now: BootNs) -> Self {
        Self { jitter, since: now, incumbent: None, is_asked: false }
    }

    /// A verified tick of another controller, or of another run of this one.
    ///
    /// A tick that says nothing newer than the last one is a replay and proves nobody alive.
    pub fn handle_tick(&mut self, now: BootNs, tick: &Tick) {
        if let Some(known) = &self.incumbent {
            let is_older = tick.epoch < known.epoch;
            let is_replay = tick.boot == known.boot && tick.controller_time <= known.said_at;
            if is_older || is_replay {
                return;
            }
        }
        self.incumbent = Some(Incumbent {
            controller: tick.controller.clone(),
            boot: tick.boot,
            epoch: tick.epoch,
            said_at: tick.controller_time,
            heard_at: now,
        });
    }

    /// A person asked this standby to take over now.
    pub const fn ask(&mut self) {
        self.is_asked = true;
    }

    /// Whether a person asked.
    #[must_use]
    pub const fn is_asked(&self) -> bool {
        self.is_asked
    }

    /// The take-over failed, or this controller stepped down: the next one counts from now.
    pub const fn restart(&mut self, now: BootNs) {
        self.since = now;
        self.is_asked = false;
    }

    /// Who writes, as it was last heard.
    #[must_use]
    pub const fn incumbent(&self) -> Option<&Incumbent> {
        self.incumbent.as_ref()
    }

    /// Highest epoch that was heard.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.incumbent.as_ref().map_or(Epoch(0), |incumbent| incumbent.epoch)
    }

    /// Whether the writer was heard lately.
    #[must_use]
    pub fn is_heard(&self, now: BootNs) -> bool {
        self.incumbent.as_ref().is_some_and(|incumbent| now.since(incumbent.heard_at) < TAKE_OVER_AFTER)
    }

    /// When to take over if nothing is heard until then.
    #[must_use]
    pub fn due(&self) -> BootNs {
        if self.is_asked {
            return BootNs(0);
        }
        let heard_at = self.incumbent.as_ref().map_or(self.since, |incumbent| incumbent.heard_at);
        heard_at.max(self.since).plus(TAKE_OVER_AFTER).plus(self.jitter)
    }
}

#[cfg(test)]
mod tests;
