//! What a controller asks others before it writes, and where its own log and the stream have a gap.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rescind_bus::{BucketSettings, Bus, Parts};
use rescind_codec::{
    LogItem, MANIFEST_BYTES_MAX, REPAIR_ENTRIES_MAX, RepairRequest, TrustBundle, decode_log_message,
    decode_manifest, encode_repair,
};
use rescind_core::entry::ChainedEntry;
use rescind_core::position::{Heads, LANES, Lane, Revision};

/// Limit: until the other controllers have answered.
const ANSWER_WAIT: Duration = Duration::from_millis(700);
/// Limit: bytes of one answer.
const ANSWER_BYTES_MAX: usize = 16 << 20;

/// An entry that somebody handed over, verified, with its message.
pub(crate) type Handed = (ChainedEntry, Bytes);

/// Whom to ask.
#[derive(Debug, Clone)]
pub(crate) struct Asking {
    pub(crate) bus: Bus,
    pub(crate) trust: Arc<TrustBundle>,
    pub(crate) bucket: BucketSettings,
    /// Other controllers of the realm, by their certificates.
    pub(crate) peers: usize,
}

impl Asking {
    /// Entries of this lane after `after` that other controllers have.
    pub(crate) async fn range(&self, lane: Lane, after: Revision) -> Vec<Handed> {
        if self.peers == 0 {
            return Vec::new();
        }
        let request = RepairRequest { lane, after, entries_max: REPAIR_ENTRIES_MAX };
        let ask = Parts {
            subject: self.bus.subjects().repair(),
            payload: Bytes::from(encode_repair(&request)),
            parts_max: usize::try_from(REPAIR_ENTRIES_MAX).unwrap_or(usize::MAX),
            bytes_max: ANSWER_BYTES_MAX,
            part_timeout: ANSWER_WAIT,
        };
        // This controller serves ranges itself and is one of those that answer.
        let answers = match self.bus.request_all(ask, self.peers.saturating_add(1)).await {
            Ok(answers) => answers,
            Err(error) => {
                tracing::debug!(%lane, %error, "other controllers cannot be asked");
                return Vec::new();
            }
        };
        let parts = answers.into_iter().flatten();
        parts.filter_map(|bytes| verified(bytes, lane, &self.trust)).collect()
    }

    /// As [`Self::range`], of all lanes.
    pub(crate) async fn ranges(&self, heads: &Heads) -> Vec<Handed> {
        let after = |lane| heads.get(lane).map(|head| head.position.revision).unwrap_or_default();
        let [deny, grant] = LANES;
        let (mut one, other) = tokio::join!(self.range(deny, after(deny)), self.range(grant, after(grant)));
        one.extend(other);
        one
    }

    /// Where the newest snapshots are: somebody once had everything up to there.
    pub(crate) async fn snapshots(&self) -> Vec<Heads> {
        let work = async {
            let bucket = self.bus.snapshots(&self.bucket).await.ok()?;
            let objects = bucket.list().await.ok()?;
            let mut heads = Vec::new();
            for object in objects.iter().filter(|object| object.name.ends_with("/manifest")) {
                let bytes = bucket.get(&object.name, MANIFEST_BYTES_MAX).await.ok()?;
                if let Ok((manifest, _)) = decode_manifest(&bytes, &self.trust) {
                    heads.push(manifest.heads);
                }
            }
            Some(heads)
        };
        let done = tokio::time::timeout(ANSWER_WAIT, work).await;
        done.ok().flatten().unwrap_or_default()
    }
}

/// An entry whose signature holds; `None` for anything else.
pub(crate) fn verified(bytes: Bytes, lane: Lane, trust: &TrustBundle) -> Option<Handed> {
    match decode_log_message(&bytes, lane, trust) {
        Ok(LogItem::Entry(entry)) => Some((entry, bytes)),
        Ok(LogItem::Tick(..)) | Err(_) => None,
    }
}
