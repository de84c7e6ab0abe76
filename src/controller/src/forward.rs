//! Directives that came to a standby: passed on to the controller that writes, and taken from standbys there.
//!
//! A standby authenticates the emitter and seals what it asked with its own key. The writer believes controllers
//! of the realm, and nobody else, who asked and with which rights; its own configuration narrows them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rescind_bus::{Bus, Incoming, Parts, RequestError, Requests};
use rescind_codec::{
    DirectiveAnswer, FORWARD_DIRECTIVES_MAX, decode_answer, decode_forward, encode_answer, encode_forward,
};
use rescind_core::change::Directive;
use rescind_core::controller::refusal::Refusal;
use rescind_core::controller::rights::Rights;
use rescind_core::controller::sequencer::Outcome;
use rescind_core::ids::EmitterId;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::clock;
use crate::directives::{narrowed, said};
use crate::door::{Door, Shut, check_texts};
use crate::engine::Answered;
use crate::writer::WriterIdentity;

/// Limit: until the writer has answered; a little longer than it takes to call something indeterminate.
const ANSWER_WAIT: Duration = Duration::from_millis(5500);
/// Limit: bytes of the answers to one forward.
const ANSWER_BYTES_MAX: usize = 4 << 20;
/// Limit: forwards under way at the writer; more wait in the subscription's buffer.
const FORWARDS_MAX: usize = 64;

/// The standby's side.
#[derive(Debug, Clone)]
pub(crate) struct Forwarder {
    pub(crate) bus: Bus,
    pub(crate) identity: WriterIdentity,
}

impl Forwarder {
    /// Passes directives of one emitter on; one answer each, in order. `None`: no certain outcome in time.
    pub(crate) async fn submit(
        &self,
        directives: &[Directive],
        rights: Rights,
    ) -> Result<Option<Vec<Answered>>, Shut> {
        let mut answers = Vec::with_capacity(directives.len());
        for (place, group) in directives.chunks(FORWARD_DIRECTIVES_MAX).enumerate() {
            match self.pass_on(group, rights).await {
                Ok(Some(more)) => answers.extend(more),
                Ok(None) => return Ok(None),
                // What was passed on before has an effect: only a repeat finds out which.
                Err(shut) if place == 0 => return Err(shut),
                Err(_) => return Ok(None),
            }
        }
        Ok(Some(answers))
    }

    async fn pass_on(&self, group: &[Directive], rights: Rights) -> Result<Option<Vec<Answered>>, Shut> {
        let trust = &self.identity.trust;
        let sealed = encode_forward(group, rights, &trust.pin().chain, &self.identity.key);
        let ask = Parts {
            subject: self.bus.subjects().forward(),
            payload: Bytes::from(sealed),
            parts_max: FORWARD_DIRECTIVES_MAX,
            bytes_max: ANSWER_BYTES_MAX,
            part_timeout: ANSWER_WAIT,
        };
        let parts = match self.bus.request_many(ask).await {
            Ok(parts) => parts,
            Err(RequestError::Remote { text, .. }) => return Err(Shut::NoWriter(text)),
            Err(error @ (RequestError::NoResponders { .. } | RequestError::NotSent { .. })) => {
                return Err(Shut::NoWriter(error.to_string()));
            }
            Err(error) => {
                tracing::debug!(%error, "a forward has no certain outcome");
                return Ok(None);
            }
        };
        let read = group.iter().zip(&parts).map(|(directive, bytes)| {
            let answer = decode_answer(bytes, &directive.origin.emitter, &directive.origin.key, trust);
            answer.map(answered)
        });
        let read: Result<Vec<Answered>, _> = read.collect();
        Ok(read.ok().filter(|read| read.len() == group.len()))
    }
}

/// What the writer said, as if this controller had said it.
fn answered(answer: DirectiveAnswer) -> Answered {
    match answer {
        DirectiveAnswer::Accepted { id, position, existing, accepted_at, cutoff } => Answered {
            outcome: Outcome::Accepted { id, position, existing },
            accepted_at: Some(accepted_at),
            cutoff,
        },
        DirectiveAnswer::Indeterminate { id } => {
            Answered { outcome: Outcome::Indeterminate { id }, accepted_at: None, cutoff: None }
        }
        DirectiveAnswer::Refused { code, message } => {
            let refusal = Refusal::Elsewhere { code: known_code(&code), message };
            Answered { outcome: Outcome::Refused(refusal), accepted_at: None, cutoff: None }
        }
    }
}

/// Words that refusals have; another version may have others.
fn known_code(code: &str) -> &'static str {
    const CODES: [&str; 22] = [
        "rights",
        "busy",
        "deadline",
        "not_writer",
        "no_writer",
        "not_ready",
        "log_full",
        "history_lost",
        "idempotency_conflict",
        "unknown_record",
        "unknown_entitlement",
        "already_ended",
        "cannot_lift",
        "cannot_reinstate",
        "bad_target",
        "cutoff",
        "reason_too_long",
        "holder_full",
        "does_not_fold",
        "too_large",
        "exhausted",
        "quota",
    ];
    CODES.into_iter().find(|known| *known == code).unwrap_or("refused")
}

/// The writer's side.
#[derive(Debug, Clone)]
pub(crate) struct ForwardDoor {
    pub(crate) door: Door,
    pub(crate) identity: WriterIdentity,
    /// Rights of this configuration, which narrow those that the standby names.
    pub(crate) emitters: Arc<BTreeMap<EmitterId, Rights>>,
}

impl ForwardDoor {
    /// Takes forwards until `stop`, then waits for those under way.
    pub(crate) async fn run(self, mut requests: Requests, stop: CancellationToken) {
        let room = Arc::new(Semaphore::new(FORWARDS_MAX));
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
                    "cannot take directives of standbys; correct this user's permissions"
                );
                break;
            };
            while answers.try_join_next().is_some() {}
            if !self.door.is_writer() {
                // Whoever writes answers; silence is an answer as well.
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
        let Incoming { payload, mut responder } = incoming;
        let trust = &self.identity.trust;
        let (directives, named) = match decode_forward(&payload, trust, clock::wall()) {
            Ok(decoded) => decoded,
            Err(error) => {
                self.door.metrics.rejected("forward", error.code());
                responder.fail(400, &error.to_string()).await.ok();
                return;
            }
        };
        let Some(emitter) = directives.first().map(|directive| directive.origin.emitter.clone()) else {
            return;
        };
        let one_emitter = directives.iter().all(|directive| directive.origin.emitter == emitter);
        if !one_emitter || directives.iter().any(|directive| check_texts(directive).is_err()) {
            self.door.metrics.rejected("forward", "malformed");
            responder.fail(400, "a forward has directives of one emitter, with valid texts").await.ok();
            return;
        }
        let rights = self.emitters.get(&emitter).map_or(named, |configured| narrowed(named, *configured));
        let origins: Vec<_> = directives.iter().map(|directive| directive.origin.key.clone()).collect();
        let answers = match self.door.submit(directives, rights, "forward").await {
            Ok(Some(answers)) => answers,
            Ok(None) => return,
            Err(shut) => {
                responder.fail(503, &shut.to_string()).await.ok();
                return;
            }
        };
        for (key, answered) in origins.iter().zip(answers) {
            let bytes = encode_answer(
                &said(answered),
                &emitter,
                key,
                &trust.pin().chain,
                clock::wall(),
                &self.identity.key,
            );
            if responder.send_part(Bytes::from(bytes)).await.is_err() {
                return;
            }
        }
        responder.end().await.ok();
    }
}
