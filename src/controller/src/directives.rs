//! The bus door: directives signed by an emitter's key, answered with a signature of the controller.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use rescind_bus::{Incoming, Requests};
use rescind_codec::{DirectiveAnswer, decode_directive, encode_answer};
use rescind_core::controller::rights::{Rights, WordSet};
use rescind_core::controller::sequencer::Outcome;
use rescind_core::ids::EmitterId;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::clock;
use crate::door::{Door, check_texts};
use crate::engine::Answered;
use crate::writer::WriterIdentity;

/// Limit: directives of the bus under way at once; more wait in the subscription's buffer.
const DIRECTIVES_MAX: usize = 256;

/// What it takes.
#[derive(Debug, Clone)]
pub(crate) struct BusDoor {
    pub(crate) door: Door,
    pub(crate) identity: WriterIdentity,
    /// Rights of the configuration, which narrow those of the certificate.
    pub(crate) emitters: Arc<BTreeMap<EmitterId, Rights>>,
}

impl BusDoor {
    /// Takes directives until `stop`, then waits for those under way.
    pub(crate) async fn run(self, mut requests: Requests, stop: CancellationToken) {
        let room = Arc::new(Semaphore::new(DIRECTIVES_MAX));
        let mut answers = JoinSet::new();
        loop {
            let Ok(permit) = Arc::clone(&room).acquire_owned().await else { break };
            let incoming = tokio::select! {
                () = stop.cancelled() => break,
                incoming = requests.next() => incoming,
            };
            let Some(incoming) = incoming else {
                tracing::error!(
                    reason = requests.refusal(),
                    "cannot take directives; correct this user's permissions"
                );
                break;
            };
            while answers.try_join_next().is_some() {}
            if !self.door.is_writer() {
                // Whoever writes answers.
                continue;
            }
            let door = self.clone();
            answers.spawn(async move {
                door.answer(incoming).await;
                drop(permit);
            });
        }
        answers.join_all().await;
        requests.close().await;
    }

    async fn answer(&self, incoming: Incoming) {
        let Incoming { payload, responder } = incoming;
        let now = clock::wall();
        let trust = &self.identity.trust;
        let (directive, certified) = match decode_directive(&payload, trust, now) {
            Ok(decoded) => decoded,
            Err(error) => {
                self.door.metrics.rejected("directive", error.code());
                responder.fail(400, &error.to_string()).await.ok();
                return;
            }
        };
        let (emitter, key) = (directive.origin.emitter.clone(), directive.origin.key.clone());
        let rights =
            self.emitters.get(&emitter).map_or(certified, |configured| narrowed(certified, *configured));
        let answer = match check_texts(&directive) {
            Err(error) => refused(error.code(), &error.to_string()),
            Ok(()) => match self.door.submit(vec![directive], rights, "bus").await {
                Err(shut) => refused(shut.code(), &shut.to_string()),
                // Why no answer: without an id nothing can be said; the emitter's own wait ends, and it repeats.
                Ok(None) => {
                    responder.fail(504, "indeterminate: repeat with the same idempotency key").await.ok();
                    return;
                }
                Ok(Some(answers)) => match answers.into_iter().next() {
                    Some(answered) => said(answered),
                    None => return,
                },
            },
        };
        let bytes =
            encode_answer(&answer, &emitter, &key, &trust.pin().chain, clock::wall(), &self.identity.key);
        if let Err(error) = responder.send(Bytes::from(bytes)).await {
            tracing::debug!(%error, "the answer to a directive was not sent");
        }
    }
}

pub(crate) fn said(answered: Answered) -> DirectiveAnswer {
    match answered.outcome {
        Outcome::Accepted { id, position, existing } => DirectiveAnswer::Accepted {
            id,
            position,
            existing,
            accepted_at: answered.accepted_at.unwrap_or_default(),
            cutoff: answered.cutoff,
        },
        Outcome::Indeterminate { id } => DirectiveAnswer::Indeterminate { id },
        Outcome::Refused(refusal) => refused(refusal.code(), &refusal.to_string()),
    }
}

fn refused(code: &str, message: &str) -> DirectiveAnswer {
    DirectiveAnswer::Refused { code: code.into(), message: message.into() }
}

/// What both allow.
pub(crate) fn narrowed(one: Rights, other: Rights) -> Rights {
    let words: WordSet = one.words.iter().filter(|word| other.words.has(*word)).collect();
    Rights { words, rung_max: one.rung_max.min(other.rung_max) }
}
