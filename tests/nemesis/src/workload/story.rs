//! What happens to one person.

use rescind_checker::Effect;
use rescind_core::ids::RecordId;
use serde_json::json;

use super::{Deny, Run};
use crate::{
    judge::number,
    people::{ACTION, Person},
};

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
                    let body = json!({ "kind": "withdraw", "entitlement": permission.to_string() });
                    let effect = Effect::Withdraw { entitlement: permission };
                    let Some(id) = self.deny("withdraw", &body, effect, person).await else {
                        return End::HasNone;
                    };
                    self.away().await;
                    self.emitter.giving_back(&id);
                    let Some(next) = self.grant(person).await else { return End::HasNone };
                    permission = next;
                }
                Turn::Disable => {
                    self.disable(person).await;
                    return End::HasNone;
                }
                Turn::Revoke => {
                    let effect = standing(&person.session, None);
                    self.deny("revoke", &record("revoke", &person.session), effect, person).await;
                    self.away().await;
                    return End::HasNone;
                }
            }
        }
    }

    /// Why no `giving_back`: what was issued before a disable stays dead when it ends.
    async fn disable(&mut self, person: &Person) {
        let (body, effect) = (record("disable", &person.user), standing(&person.user, Some(0)));
        let Some(id) = self.deny("disable", &body, effect, person).await else { return };
        self.away().await;
        if let Ok(record) = id.parse() {
            let effect = Effect::End { record, cutoff: None };
            self.emitter.send(&json!({ "kind": "reinstate", "record": id }), effect).await;
        }
    }

    async fn grant(&mut self, person: &Person) -> Option<RecordId> {
        let body = json!({
            "kind": "grant", "holder": person.user, "action": ACTION, "resource": person.resource,
        });
        let effect = Effect::Grant { subject: number(&person.user), right: number(&person.resource).0 };
        self.emitter.send(&body, effect).await.and_then(|accepted| accepted.record().ok())
    }

    async fn deny(
        &mut self,
        kind: &'static str,
        body: &serde_json::Value,
        effect: Effect,
        person: &Person,
    ) -> Option<String> {
        self.emitter.deny(Deny { kind, body, effect, question: &person.name }).await
    }

    async fn record_and_lift(&mut self, kind: &'static str, target: &str, person: &Person) {
        let (body, effect) = (record(kind, target), standing(target, None));
        let Some(id) = self.deny(kind, &body, effect, person).await else { return };
        self.away().await;
        self.emitter.giving_back(&id);
        if let Ok(record) = id.parse() {
            let body = json!({ "kind": "lift", "record": id, "cutoff": "resume" });
            self.emitter.send(&body, Effect::End { record, cutoff: None }).await;
        }
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

/// A record that denies until it is ended; `cutoff`: what was issued before stays dead even then.
fn standing(target: &str, cutoff: Option<i64>) -> Effect {
    Effect::Deny { subject: number(target), standing: true, cutoff }
}
