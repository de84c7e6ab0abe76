//! Sends reports, one after the other, so that a slow connection never holds up the driver.

use std::sync::Arc;

use rescind_codec::encode_report;
use rescind_core::report::Report;
use tokio::sync::mpsc;

use super::Wire;
use crate::clock::wall_ms;
use crate::metrics::bump;
use crate::shared::Shared;

/// Signs and sends until the driver is gone.
pub(super) async fn run(wire: Arc<Wire>, shared: Arc<Shared>, mut reports: mpsc::Receiver<Report>) {
    while let Some(mut report) = reports.recv().await {
        report.at = wall_ms();
        let bytes = encode_report(&report, &wire.chain, &wire.key);
        match wire.bus.publish_report(report.agent.as_str(), bytes.into()).await {
            Ok(()) => bump(&shared.counters.reports),
            Err(error) => {
                bump(&shared.counters.report_failures);
                tracing::debug!(%error, "a report was not sent");
            }
        }
    }
}
