//! Leases: the right to call a view fresh until a time. Source: protocol.md section 4.

use core::fmt;
use core::str::FromStr;
use core::time::Duration;

use thiserror::Error;

use crate::entry::Tick;
use crate::ids::{AgentId, InstanceId};
use crate::position::{Lane, Position};
use crate::seeded::{self, Bug};
use crate::time::{BootNs, UnixMs};

/// Clock rate error that the bound allows for, in thousandths: 0.5 % is 5.
pub const RHO_PERMILLE: u64 = 5;

const NS_PER_MS: u64 = 1_000_000;

/// How far apart two clocks can drift in this time, and one millisecond of rounding.
const fn rate_error(ms: u64) -> u64 {
    ms / (1000 / RHO_PERMILLE) + 1
}

/// Default lease.
pub const LEASE_DEFAULT: Duration = Duration::from_secs(5);
/// Shortest lease that can be asked for (critical services).
pub const LEASE_MIN: Duration = Duration::from_secs(2);
/// Longest lease (relaxed services).
pub const LEASE_MAX: Duration = Duration::from_secs(30);
/// Limit: nonces that an agent has under way at once.
pub const NONCES_OUTSTANDING_MAX: usize = 8;

/// A random number that is asked about once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Nonce(pub [u8; 16]);

/// What an agent sends to be called fresh.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseRequest {
    /// Who asks.
    pub agent: AgentId,
    /// Which run of it.
    pub instance: InstanceId,
    /// Fresh for every request.
    pub nonce: Nonce,
}

/// What the controller answers: a tick and the proof that the nonce is under its root. Verified by `codec`:
/// signature of the tick, key role, and the path from the nonce's leaf to the root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseGrant {
    /// The nonce that was proven.
    pub nonce: Nonce,
    /// The tick.
    pub tick: Tick,
}

/// What a controller says to a request for a lease while it knows that somebody holds more than it: no grants until
/// it has that too. Written `behind <lane> <epoch>-<revision>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Behind {
    /// The lane that it lost something of.
    pub lane: Lane,
    /// Where it stands there.
    pub at: Position,
}

impl Behind {
    /// Code of the refusal.
    pub const CODE: u16 = 409;
}

impl fmt::Display for Behind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "behind {} {}-{}", self.lane, self.at.epoch.0, self.at.revision.0)
    }
}

/// A text that is not written so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("it is not written `behind <lane> <epoch>-<revision>`")]
pub struct BehindError;

impl FromStr for Behind {
    type Err = BehindError;

    fn from_str(text: &str) -> Result<Self, BehindError> {
        let parse = || {
            let (lane, at) = text.strip_prefix("behind ")?.split_once(' ')?;
            let (epoch, revision) = at.split_once('-')?;
            let at = Position::new(epoch.parse().ok()?, revision.parse().ok()?);
            Some(Self { lane: Lane::from_name(lane)?, at })
        };
        parse().ok_or(BehindError)
    }
}

/// A lease as installed by an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// Agent's clock before the request was sent: the only anchor.
    pub asked_at: BootNs,
    /// Agent's clock when the grant arrived.
    pub granted_at: BootNs,
    /// Controller's clock somewhere between the two.
    pub controller_time: UnixMs,
    /// Lease length.
    pub length: Duration,
}

impl Lease {
    /// First reading at which the view is no longer fresh under a lease of `length` (at most this lease's):
    /// `asked_at + length / (1 + rho)`.
    #[must_use]
    pub fn fresh_until(&self, length: Duration) -> BootNs {
        let length = length.min(self.length);
        // Why not 128 bits: a lease is at most seconds long, and this is on the path of every decision.
        let nanos = length.as_secs().saturating_mul(1_000_000_000) + u64::from(length.subsec_nanos());
        let shrunk = nanos / (1000 + RHO_PERMILLE) * 1000;
        let shrunk = if seeded::active(Bug::LeaseTooLong) { nanos / 10 * 11 } else { shrunk };
        BootNs(self.asked_at.0.saturating_add(shrunk))
    }

    /// Latest time that the controller's clock can show at reading `now`: what `exp` and ends of windows are
    /// judged on (S15).
    #[must_use]
    pub const fn latest(&self, now: BootNs) -> UnixMs {
        let ms = now.0.saturating_sub(self.asked_at.0) / NS_PER_MS;
        UnixMs(self.controller_time.0.saturating_add_unsigned(ms + rate_error(ms)))
    }

    /// Earliest time that the controller's clock can show at reading `now`: what `nbf` and begins of windows
    /// are judged on (S15).
    #[must_use]
    pub const fn earliest(&self, now: BootNs) -> UnixMs {
        let ms = now.0.saturating_sub(self.granted_at.0) / NS_PER_MS;
        UnixMs(self.controller_time.0.saturating_add_unsigned(ms.saturating_sub(rate_error(ms))))
    }
}

#[cfg(test)]
mod tests;
