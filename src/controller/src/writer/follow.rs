//! What a lane's task does while another controller writes, and before this one begins.

use std::sync::Arc;

use bytes::Bytes;
use rescind_core::entry::ChainedEntry;

use super::{LaneEvent, Writer};
use crate::follow::{FollowParts, From, follow};
use crate::startup::Reconciled;
use crate::wal::LoggedEntry;

impl Writer {
    pub(super) fn follow_parts(&self) -> FollowParts<'_> {
        FollowParts { bus: &self.bus, log: &self.log, trust: &self.identity.trust, dir: &self.dir }
    }

    /// `true`: this writer is over.
    pub(super) async fn follow(&mut self) -> bool {
        // What is known to be stored must not be taken for pending.
        self.write_confirmed().await;
        let from = From::After(self.tail.judged());
        let abort = self.abort.clone();
        let done = tokio::select! {
            done = follow(self.follow_parts(), from) => done,
            () = abort.cancelled() => return true,
        };
        let followed = match done {
            Ok(followed) => {
                self.tail.restored(followed.tail);
                self.tail.has_not_appended();
                Ok(Box::new(followed))
            }
            Err(error) => Err(error.to_string()),
        };
        !self.tell(LaneEvent::Followed { lane: self.lane, followed }).await
    }

    /// `true`: this writer is over.
    pub(super) async fn settle(&mut self) -> bool {
        self.write_confirmed().await;
        let abort = self.abort.clone();
        if let Err(error) = self.bus.ensure_stream(&self.stream).await {
            let settled = Err(error.to_string());
            return !self.tell(LaneEvent::Settled { lane: self.lane, settled }).await;
        }
        let done = tokio::select! {
            done = self.reconcile() => done,
            () = abort.cancelled() => return true,
        };
        let settled = done.map(|Reconciled { followed, tail, republished, .. }| {
            self.tail.restored(tail);
            self.tail.has_not_appended();
            (Box::new(followed), republished)
        });
        !self.tell(LaneEvent::Settled { lane: self.lane, settled }).await
    }

    /// `true`: this writer is over.
    pub(super) async fn adopt(&mut self, entries: Vec<(ChainedEntry, Bytes)>) -> bool {
        let logged = entries.iter().map(|(chained, bytes)| LoggedEntry {
            first: chained.entry.first,
            last: chained.entry.last().revision,
            hash: chained.hash,
            bytes: bytes.clone(),
        });
        let logged: Vec<LoggedEntry> = logged.collect();
        let log = Arc::clone(&self.log);
        let done = tokio::task::spawn_blocking(move || log.adopt(&logged, None)).await;
        let entries = match done {
            Ok(Ok(())) => entries.into_iter().map(|(chained, _)| chained).collect(),
            Ok(Err(error)) => {
                self.log_failed(&error);
                Vec::new()
            }
            Err(error) => {
                tracing::error!(lane = %self.lane, %error, "logging entries of others failed");
                Vec::new()
            }
        };
        !self.tell(LaneEvent::Adopted { lane: self.lane, entries }).await
    }
}
