//! A stream that went back, or is gone, while the controller runs: made again from the log.
//!
//! The log is the truth and the stream a copy, so what the stream lost is published again, at the same
//! positions and with the same hashes. Agents that have it ignore it; leases stay proven by ticks after it.

use rescind_bus::RefusedReason;
use rescind_core::position::Revision;

use super::Writer;
use crate::startup::{Comparison, Reconciled, StartError, reconcile};
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
        let logs = self.logs.clone();
        let heads = tokio::task::spawn_blocking(move || logs.heads());
        let heads = heads.await.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
        let comparison = Comparison {
            bus: &self.bus,
            logs: &self.logs,
            trust: &self.identity.trust,
            heads,
            max_age: self.stream.max_age,
            // Another name each time: the broker must not take this restoration for the last one.
            boot: u128::from_be_bytes(self.identity.boot.0).wrapping_add(u128::from(self.attempts)),
        };
        self.attempts = self.attempts.wrapping_add(1);
        match reconcile(&comparison, self.lane).await {
            Ok(Reconciled { tail, confirmed, republished }) => {
                tracing::warn!(lane = %self.lane, republished, "the stream had gone back; it is in line with the log again");
                self.tail.restored(tail);
                // Written down by the comparison.
                self.confirmed = None;
                Ok(confirmed.map_or(Restored::Nothing, |Confirmed { last, sequence }| Restored::Upto {
                    last,
                    sequence,
                }))
            }
            Err(StartError::Foreign { found, .. }) => Ok(Restored::Foreign(found)),
            Err(error) => Err(error.to_string()),
        }
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
