//! Sends reports, one after the other, so that a slow connection never holds up the driver.

use std::sync::Arc;

use bytes::Bytes;
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
        let bytes = Bytes::from(encode_report(&report, &wire.chain, &wire.key));
        if wire.prefers_direct() {
            send_direct(&wire, &shared, bytes.clone());
        }
        match wire.bus.publish_report(report.agent.as_str(), bytes).await {
            Ok(()) => bump(&shared.counters.reports),
            Err(error) => {
                bump(&shared.counters.report_failures);
                tracing::debug!(%error, "a report was not sent");
            }
        }
    }
}

/// Why beside: the bus may well work, and a path that answers nothing must not hold its reports up.
fn send_direct(wire: &Arc<Wire>, shared: &Arc<Shared>, bytes: Bytes) {
    let (wire, shared) = (Arc::clone(wire), Arc::clone(shared));
    // Bounded: one at a time, and each by its own time-out.
    tokio::spawn(async move {
        if let Some(direct) = &wire.direct
            && direct.report(bytes).await == Some(true)
        {
            bump(&shared.counters.direct_reports);
        }
    });
}
