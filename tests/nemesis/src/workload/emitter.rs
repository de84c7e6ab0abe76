//! One emitter: sends until the answer is clear, and notes what was promised.

use std::time::Duration;

use rescind_checker::Effect;
use rescind_testkit::{Accepted, Answer, unique};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::{
    clock::mono_ns,
    dice::Dice,
    door::Door,
    evidence::{Change, Denial, Evidence},
};

/// Limit: how long one directive is repeated. Why so long: every controller may be dead for a while; after the heal
/// the workload gives it much less.
const REPEAT_WAIT: Duration = Duration::from_secs(120);

/// How often of 100 an accepted directive is sent once more.
const AGAIN_PERCENT: u64 = 30;

/// How long one question about a board waits.
const BOARD_WAIT_MS: u64 = 3_000;

/// Limit: how long a board is followed; the end of the run looks again.
const BOARD_FOLLOWED: Duration = Duration::from_secs(90);

/// A directive that takes access away.
#[derive(Debug, Clone, Copy)]
pub struct Deny<'a> {
    /// Its word.
    pub kind: &'static str,
    /// What is sent.
    pub body: &'a Value,
    /// What it does.
    pub effect: Effect,
    /// Whose question it answers.
    pub question: &'a str,
}

/// A client of the API that repeats.
#[derive(Debug)]
pub struct Emitter {
    door: Door,
    evidence: Evidence,
    dice: Dice,
}

impl Emitter {
    /// An emitter that sends through `door`.
    #[must_use]
    pub const fn new(door: Door, evidence: Evidence, dice: Dice) -> Self {
        Self { door, evidence, dice }
    }

    /// Sends a directive under one key until it is accepted; `None` where it was refused or time ran out, which is
    /// noted.
    pub async fn send(&mut self, body: &Value, effect: Effect) -> Option<Accepted> {
        self.send_timed(body, effect).await.map(|(accepted, _)| accepted)
    }

    /// As [`Emitter::send`], with the time when the answer was here.
    async fn send_timed(&mut self, body: &Value, effect: Effect) -> Option<(Accepted, u64)> {
        let key = unique("nemesis");
        let mut body = body.clone();
        if let Value::Object(fields) = &mut body {
            fields.insert("idempotency_key".to_owned(), key.clone().into());
        }
        let sent_ns = mono_ns();
        self.evidence.trace("sent", sent_ns, json!({ "key": key, "body": body }));
        self.evidence.seen().open += 1;
        let accepted = self.until_clear(&body, &key).await.map(|accepted| (accepted, mono_ns()));
        self.evidence.seen().open -= 1;
        if let Some((accepted, accepted_ns)) = &accepted
            && let Ok(id) = accepted.record()
        {
            self.evidence.seen().changes.push(Change { id, effect, sent_ns, accepted_ns: *accepted_ns });
        }
        if accepted.is_some() && self.dice.chance(AGAIN_PERCENT) {
            // The same key again, to whoever answers: the effect must be the same one.
            if let Ok(answer) = self.door.post(&body).await {
                self.note(&key, &answer);
            }
        }
        accepted
    }

    async fn until_clear(&mut self, body: &Value, key: &str) -> Option<Accepted> {
        let end = Instant::now() + REPEAT_WAIT;
        while Instant::now() < end {
            match self.door.post(body).await {
                Ok(answer) if answer.status == 200 => return self.note(key, &answer),
                Ok(answer) if answer.status < 500 => {
                    let text = format!("refused: {} {} to {body}", answer.status, answer.body);
                    self.evidence.broken("L4", mono_ns(), text);
                    return None;
                }
                // Unavailable or indeterminate: the same key makes a repetition harmless.
                Ok(_) | Err(_) => {}
            }
            sleep(Duration::from_millis(self.dice.within(50, 250))).await;
        }
        self.evidence.broken("L4", mono_ns(), format!("neither accepted nor refused: {body}"));
        None
    }

    /// Notes the effect of a key; a second effect is a violation.
    fn note(&self, key: &str, answer: &Answer) -> Option<Accepted> {
        if answer.status != 200 {
            return None;
        }
        let Ok(accepted) = answer.accepted() else {
            self.evidence.broken("L4", mono_ns(), format!("unreadable answer to {key}: {}", answer.body));
            return None;
        };
        let before = self.evidence.seen().effects.insert(key.to_owned(), accepted.id.clone());
        if let Some(before) = before.filter(|before| *before != accepted.id) {
            let text = format!("key {key} had the effect {before} and now {}", accepted.id);
            self.evidence.broken("L4", mono_ns(), text);
        }
        Some(accepted)
    }

    /// Takes access away; returns the id, and follows its board in the background.
    pub async fn deny(&mut self, deny: Deny<'_>) -> Option<String> {
        let Deny { kind, body, effect, question } = deny;
        let (accepted, accepted_ns) = self.send_timed(body, effect).await?;
        let id = accepted.id.clone();
        self.evidence.denied(Denial {
            id: id.clone(),
            lane: accepted.lane,
            position: accepted.position,
            question: question.to_owned(),
            kind,
            accepted_ns,
            until_ns: None,
            enforced_ns: None,
        });
        tokio::spawn(follow(self.door.clone(), self.evidence.clone(), id.clone()));
        Some(id)
    }

    /// What `id` took away is about to be given back.
    pub fn giving_back(&self, id: &str) {
        self.evidence.giving_back(id, mono_ns());
    }
}

/// Asks a board until it says `enforced`.
async fn follow(door: Door, evidence: Evidence, id: String) {
    let end = Instant::now() + BOARD_FOLLOWED;
    while Instant::now() < end {
        let answer = door.get(&format!("/v1/records/{id}/board?wait_ms={BOARD_WAIT_MS}")).await;
        if answer.is_ok_and(|answer| answer.field("state") == "enforced") {
            evidence.enforced(&id, mono_ns());
            return;
        }
        sleep(Duration::from_millis(100)).await;
    }
}
