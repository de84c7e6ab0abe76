//! What the stream says about the time before this run: entries that the log lacks, and who wrote last.

use std::path::Path;
use std::time::Duration;

use rescind_bus::{Bus, StoredMessage};
use rescind_codec::{LogItem, decode_log_message};
use rescind_core::controller::Now;
use rescind_core::controller::roll_call::Claims;
use rescind_core::controller::tenure::{TAKE_OVER_AFTER, TAKE_OVER_JITTER_MAX, Tenure};
use rescind_core::entry::Tick;
use rescind_core::position::{LANES, Lane};
use rescind_core::time::BootNs;

use super::{Logs, StartError};
use crate::follow::{FollowParts, Followed, From, Stop, follow};
use crate::health::{Health, Trouble};
use crate::lanes::PerLane;
use crate::writer::WriterIdentity;

/// A writer whose clock said this long ago that it was there is taken for silent at once.
const SILENT_FOR_MS: i64 = 10_000;

/// Where to read.
pub(crate) struct Reading<'a> {
    pub(crate) bus: &'a Bus,
    pub(crate) logs: &'a Logs,
    pub(crate) identity: &'a WriterIdentity,
    pub(crate) dir: &'a Path,
    pub(crate) health: &'a Health,
}

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Origin {
    /// Where the lanes end on the broker.
    pub(crate) tails: PerLane<u64>,
    /// What somebody once had.
    pub(crate) claims: Claims,
    is_forked: bool,
    /// Another controller wrote the newest message of the deny lane: its tick, if it was one.
    last: Option<Option<Tick>>,
}

impl Reading<'_> {
    /// Reads what the stream has and the log lacks into the log, and finds who wrote last.
    pub(crate) async fn read(&self) -> Result<Origin, StartError> {
        let mut origin = Origin::default();
        for lane in LANES {
            let followed = self.lane(lane).await?;
            *origin.tails.of_mut(lane) = followed.tail;
            origin.claims.note(&followed.claimed);
            if let Some(reason) = followed.diverged {
                tracing::error!(reason, "divergence");
                self.health.raise(Trouble::Diverged, reason);
            }
            if let Some(Stop::Fork(reason)) = followed.stop {
                origin.is_forked = true;
                self.health.raise(Trouble::Fork, reason);
            }
            if lane == Lane::Deny {
                let last = self.bus.last(&lane.to_string()).await?;
                origin.note_last(last, lane, self.identity);
            }
        }
        Ok(origin)
    }

    async fn lane(&self, lane: Lane) -> Result<Followed, StartError> {
        let log = self.logs.get(lane).ok_or_else(|| StartError::Task(format!("lane {lane} has no log")))?;
        let parts = FollowParts { bus: self.bus, log, trust: &self.identity.trust, dir: self.dir };
        let mut from = From::Confirmed;
        loop {
            let failed =
                |error: crate::follow::FollowError| StartError::Follow { lane, reason: error.to_string() };
            let followed = follow(parts, from).await.map_err(failed)?;
            if !followed.is_cut_short || followed.stop.is_some() {
                return Ok(followed);
            }
            from = From::After(followed.tail);
        }
    }
}

impl Origin {
    /// Nobody else wrote last, so that this controller goes on at once.
    pub(crate) const fn may_go_on(&self) -> bool {
        self.last.is_none() && !self.is_forked
    }

    fn note_last(&mut self, last: Option<StoredMessage>, lane: Lane, identity: &WriterIdentity) {
        let Some(last) = last else { return };
        match decode_log_message(&last.bytes, lane, &identity.trust) {
            Ok(LogItem::Tick(tick, _)) if tick.controller != identity.controller => {
                self.last = Some(Some(tick));
            }
            Ok(LogItem::Entry(entry)) if entry.entry.controller != identity.controller => {
                self.last = Some(None);
            }
            Ok(_) | Err(_) => {}
        }
    }

    /// How long the one who wrote last may be silent. `random` spreads the standbys of a realm.
    pub(crate) fn tenure(&self, now: Now, random: [u8; 16]) -> Tenure {
        let jitter_max = u64::try_from(TAKE_OVER_JITTER_MAX.as_millis()).unwrap_or(1);
        let random = u64::from_be_bytes(random.first_chunk().copied().unwrap_or_default());
        let jitter = Duration::from_millis(random % jitter_max.saturating_add(1));
        let Some(Some(tick)) = &self.last else { return Tenure::new(jitter, now.boot) };
        let is_silent = now.wall.0.saturating_sub(tick.controller_time.0) > SILENT_FOR_MS;
        let age = u64::try_from(TAKE_OVER_AFTER.as_nanos()).unwrap_or(u64::MAX);
        // Why a hint is enough: whether a take-over works is decided by compare-and-set.
        let heard_at = if is_silent { BootNs(now.boot.0.saturating_sub(age)) } else { now.boot };
        let mut tenure = Tenure::new(jitter, heard_at);
        tenure.handle_tick(heard_at, tick);
        tenure
    }
}
