//! Asking everybody: the answers in parts of all servers of a subject, not only of the first.

use std::collections::BTreeMap;

use async_nats::{Message, StatusCode};
use bytes::Bytes;
use futures::StreamExt;
use tokio::time::{Instant, timeout, timeout_at};

use crate::{
    connect::Bus,
    request::{PARTS_MAX, Part, Parts, RequestError},
};

/// Limit: servers whose answers are collected; a realm has a handful of controllers.
const SERVERS_MAX: usize = 16;

#[derive(Debug, Default)]
struct Answer {
    parts: Vec<Bytes>,
    is_broken: bool,
    is_over: bool,
}

impl Bus {
    /// Asks, and collects the whole answers of every server that answers within `ask.part_timeout`, at least
    /// `wanted` of them if they come in time. Limits are for each answer; those that break them are left out.
    ///
    /// # Errors
    /// [`RequestError::NotSent`]; that nobody answers is an empty list.
    pub async fn request_all(&self, ask: Parts, wanted: usize) -> Result<Vec<Vec<Bytes>>, RequestError> {
        let client = &self.inner.client;
        let inbox = client.new_inbox();
        let not_sent = |reason: String| RequestError::NotSent { subject: ask.subject.clone(), reason };
        let sent = async {
            let answers =
                client.subscribe(inbox.clone()).await.map_err(|error| not_sent(error.to_string()))?;
            client
                .publish_with_reply(ask.subject.clone(), inbox, ask.payload.clone())
                .await
                .map_err(|error| not_sent(error.to_string()))?;
            Ok(answers)
        };
        let mut incoming = timeout(self.request_timeout(), sent)
            .await
            .map_err(|_| not_sent("the connection takes no commands".to_owned()))??;
        let end = Instant::now() + ask.part_timeout;
        let mut answers: BTreeMap<String, Answer> = BTreeMap::new();
        while let Ok(Some(message)) = timeout_at(end, incoming.next()).await {
            if message.status == Some(StatusCode::NO_RESPONDERS) {
                break;
            }
            take(&mut answers, message, &ask);
            if answers.values().filter(|answer| answer.is_over).count() >= wanted {
                break;
            }
        }
        let whole = answers.into_values().filter(|answer| answer.is_over && !answer.is_broken);
        Ok(whole.map(|answer| answer.parts).collect())
    }
}

fn take(answers: &mut BTreeMap<String, Answer>, message: Message, ask: &Parts) {
    let Some(Part { is_end, server, number }) = Part::of(&message) else { return };
    if answers.len() >= SERVERS_MAX && !answers.contains_key(&server) {
        return;
    }
    let answer = answers.entry(server).or_default();
    if is_end {
        answer.is_broken |= number != answer.parts.len();
        answer.is_over = true;
        return;
    }
    let bytes = answer.parts.iter().map(Bytes::len).sum::<usize>().saturating_add(message.payload.len());
    let fits = answer.parts.len() < ask.parts_max.min(PARTS_MAX) && bytes <= ask.bytes_max;
    if number == answer.parts.len() && fits && !answer.is_over {
        answer.parts.push(message.payload);
    } else {
        answer.is_broken = true;
    }
}
