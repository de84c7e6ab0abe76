//! Sends lease grants after their tick was appended.

use bytes::Bytes;
use rescind_bus::Responder;
use rescind_codec::{NonceTree, SignedTick, encode_grant};
use tokio::sync::{mpsc, oneshot};

/// Limit: ticks whose grants wait to be sent; two seconds' worth. More are dropped, agents ask again.
pub(crate) const GRANT_JOBS_MAX: usize = 8;

/// Why a lease request gets no grant: a code as in HTTP, and a text for people.
pub(crate) type NoGrant = (u16, String);

/// Where the answer to a lease request goes: the way it came. Dropping it is no answer.
#[derive(Debug)]
pub(crate) enum LeaseReply {
    Bus(Responder),
    Direct(oneshot::Sender<Result<Bytes, NoGrant>>),
}

impl LeaseReply {
    pub(crate) async fn send(self, grant: Bytes) {
        match self {
            Self::Bus(responder) => {
                if let Err(error) = responder.send(grant).await {
                    tracing::debug!(%error, "a lease grant was not sent");
                }
            }
            // Why ignored: who asked has gone, or asked again.
            Self::Direct(waiting) => drop(waiting.send(Ok(grant))),
        }
    }

    pub(crate) async fn fail(self, code: u16, text: &str) {
        match self {
            Self::Bus(responder) => drop(responder.fail(code, text).await),
            Self::Direct(waiting) => drop(waiting.send(Err((code, text.to_owned())))),
        }
    }
}

/// The grants of one tick.
#[derive(Debug)]
pub(crate) struct GrantJob {
    pub(crate) signed: SignedTick,
    pub(crate) tree: NonceTree,
    /// By leaf; `None` where nobody waits.
    pub(crate) replies: Vec<Option<LeaseReply>>,
}

/// Runs until the engine is gone.
pub(crate) async fn run(mut jobs: mpsc::Receiver<GrantJob>) {
    while let Some(GrantJob { signed, tree, replies }) = jobs.recv().await {
        for (leaf, reply) in replies.into_iter().enumerate() {
            let (Some(reply), Some(path)) = (reply, tree.path(leaf)) else { continue };
            reply.send(Bytes::from(encode_grant(&signed, &path))).await;
        }
    }
}
