//! A stream that went back, or is gone, while the controller runs: made again from the log.
//!
//! The log is the truth and the stream a copy, so what the stream lost is published again, at the same
//! positions and with the same hashes. The engine then begins a new epoch.

use rescind_bus::RefusedReason;
use rescind_core::position::Revision;

use super::{LaneEvent, Writer};
use crate::startup::{Comparison, Reconciled, reconcile};
use crate::wal::Confirmed;

/// How far a lane of the stream is in line with the log again.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Restored {
    /// Up to this revision, stored at this sequence.
    Upto { last: Revision, sequence: u64 },
    /// The log has nothing, or nothing that the stream would keep.
    Nothing,
    /// The stream has what the log lacks.
    Foreign(String),
}

impl Writer {
    /// Compares the lane with the log and publishes again what it lost. An error says why that has to wait.
    pub(super) async fn restore(&mut self) -> Result<Restored, String> {
        let Reconciled { followed, tail, confirmed, republished } = self.reconcile().await?;
        if let Some(reason) = followed.diverged {
            return Ok(Restored::Foreign(reason));
        }
        if !followed.adopted.is_empty() || followed.was_cut || followed.stop.is_some() {
            return Ok(Restored::Foreign("the stream has what the log lacks".to_owned()));
        }
        tracing::warn!(lane = %self.lane, republished, "the stream had gone back; it is in line with the log again");
        self.tail.restored(tail);
        // Written down by the comparison.
        self.confirmed = None;
        if !self.tell(LaneEvent::Restored { republished }).await {
            return Err("the controller is shutting down".to_owned());
        }
        Ok(confirmed
            .map_or(Restored::Nothing, |Confirmed { last, sequence }| Restored::Upto { last, sequence }))
    }

    pub(super) async fn reconcile(&mut self) -> Result<Reconciled, String> {
        self.attempts = self.attempts.wrapping_add(1);
        let comparison = Comparison {
            parts: self.follow_parts(),
            max_age: self.stream.max_age,
            // Another name each time: the broker must not take this restoration for the last one.
            boot: u128::from_be_bytes(self.identity.boot.0).wrapping_add(u128::from(self.attempts)),
        };
        reconcile(comparison).await.map_err(|error| error.to_string())
    }

    /// A stream that somebody deleted is made again; the next append finds that it is empty.
    pub(super) async fn make_stream_if_gone(&self, reason: &RefusedReason) {
        if *reason != RefusedReason::NoStream {
            return;
        }
        match self.bus.ensure_stream(&self.stream).await {
            Ok(report) if report.created => tracing::error!("the stream was gone and was made again"),
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "the stream is gone and cannot be made again"),
        }
    }
}
