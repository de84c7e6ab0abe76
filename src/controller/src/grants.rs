//! Sends lease grants after their tick was appended.

use bytes::Bytes;
use rescind_bus::Responder;
use rescind_codec::{NonceTree, SignedTick, encode_grant};
use tokio::sync::mpsc;

/// Limit: ticks whose grants wait to be sent; two seconds' worth. More are dropped, agents ask again.
pub(crate) const GRANT_JOBS_MAX: usize = 8;

/// The grants of one tick.
#[derive(Debug)]
pub(crate) struct GrantJob {
    pub(crate) signed: SignedTick,
    pub(crate) tree: NonceTree,
    /// By leaf; `None` where nobody waits.
    pub(crate) responders: Vec<Option<Responder>>,
}

/// Runs until the engine is gone.
pub(crate) async fn run(mut jobs: mpsc::Receiver<GrantJob>) {
    while let Some(GrantJob { signed, tree, responders }) = jobs.recv().await {
        for (leaf, responder) in responders.into_iter().enumerate() {
            let (Some(responder), Some(path)) = (responder, tree.path(leaf)) else { continue };
            let grant = encode_grant(&signed, &path);
            if let Err(error) = responder.send(Bytes::from(grant)).await {
                tracing::debug!(%error, "a lease grant was not sent");
            }
        }
    }
}
