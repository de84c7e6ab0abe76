//! What happens to one person.

use serde_json::json;

use super::Run;
use crate::people::{ACTION, Person};

/// How a story ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// The person may do it now.
    HasAccess,
    /// The person may not, for good.
    HasNone,
}

/// Ways to take access away.
#[derive(Debug, Clone, Copy)]
enum Turn {
    /// A hold on the user, lifted later: the same token works again.
    Hold,
    /// A kill of the client, lifted later.
    Kill,
    /// The permission is withdrawn and given anew.
    Withdraw,
    /// The user is disabled and reinstated: the old token stays dead.
    Disable,
    /// The session is revoked, for good.
    Revoke,
}

const TURNS: &[Turn] =
    &[Turn::Hold, Turn::Hold, Turn::Kill, Turn::Withdraw, Turn::Withdraw, Turn::Disable, Turn::Revoke];

impl Run {
    /// Until the person has no access for good, or nothing new is to begin.
    pub(super) async fn story(&mut self, person: &Person) -> End {
        let Some(mut permission) = self.grant(person).await else { return End::HasNone };
        loop {
            self.pause(200, 1_500).await;
            if self.stopping() {
                return End::HasAccess;
            }
            let turn = self.dice.pick(TURNS).copied().unwrap_or(Turn::Revoke);
            match turn {
                Turn::Hold => self.record_and_lift("hold", &person.user, person).await,
                Turn::Kill => self.record_and_lift("kill", &person.client, person).await,
                Turn::Withdraw => {
                    let body = json!({ "kind": "withdraw", "entitlement": permission });
                    let Some(id) = self.deny("withdraw", &body, person).await else { return End::HasNone };
                    self.away().await;
                    self.emitter.giving_back(&id);
                    let Some(next) = self.grant(person).await else { return End::HasNone };
                    permission = next;
                }
                Turn::Disable => {
                    let body = record("disable", &person.user);
                    if let Some(id) = self.deny("disable", &body, person).await {
                        self.away().await;
                        // Why no `giving_back`: what was issued before the disable stays dead.
                        self.emitter.send(&json!({ "kind": "reinstate", "record": id })).await;
                    }
                    return End::HasNone;
                }
                Turn::Revoke => {
                    self.deny("revoke", &record("revoke", &person.session), person).await;
                    self.away().await;
                    return End::HasNone;
                }
            }
        }
    }

    async fn grant(&mut self, person: &Person) -> Option<String> {
        let body = json!({
            "kind": "grant", "holder": person.user, "action": ACTION, "resource": person.resource,
        });
        self.emitter.send(&body).await.map(|accepted| accepted.id)
    }

    async fn deny(
        &mut self,
        kind: &'static str,
        body: &serde_json::Value,
        person: &Person,
    ) -> Option<String> {
        self.emitter.deny(kind, body, &person.name).await
    }

    async fn record_and_lift(&mut self, kind: &'static str, target: &str, person: &Person) {
        let Some(id) = self.deny(kind, &record(kind, target), person).await else { return };
        self.away().await;
        self.emitter.giving_back(&id);
        self.emitter.send(&json!({ "kind": "lift", "record": id, "cutoff": "resume" })).await;
    }

    /// Access is away for less than the bound or for longer.
    async fn away(&mut self) {
        let bound = u64::try_from(self.bound.staleness.as_millis()).unwrap_or(5_000);
        self.pause(bound / 4, bound * 3 / 2).await;
    }
}

fn record(kind: &str, target: &str) -> serde_json::Value {
    json!({ "kind": kind, "target": target, "reason_code": "nemesis" })
}
