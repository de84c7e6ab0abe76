//! `rescind lift` and `rescind reinstate`: both say, before and after, whether old credentials come back.

use serde_json::{Map, Value, json};

use super::{ask, send};
use crate::args::value::Moment;
use crate::args::{LiftArgs, ReinstateArgs};
use crate::client::Client;
use crate::exit::Exit;
use crate::fault::Fault;
use crate::output::directive::{OldCredentials, Told, Undo};
use crate::output::fields::opt;
use crate::output::{Screen, fields, time};

/// The reason that turns the default around. Source: semantics.md section 2.
pub(super) const COMPROMISE: &str = "compromise";

/// Limit: other records on one target that are named.
const OTHERS_MAX: usize = 20;

/// Ends a hold or kill.
pub(super) async fn run(args: LiftArgs, screen: Screen) -> Result<Exit, Fault> {
    let client = ask::client(&args.client, screen)?;
    let id = args.id.to_string();
    let record = record(&client, "lift", &id).await?;
    let choice = choose(args.with_cutoff, args.resume, &record);
    if stands(&record, &["hold", "kill"]) {
        screen.text(&before("lifting", &id, &record, &choice.before()));
        screen.text(&others(&client, &record).await);
    }
    let mut body = Map::new();
    body.insert("kind".to_owned(), json!("lift"));
    body.insert("record".to_owned(), json!(id));
    body.insert("cutoff".to_owned(), choice.cutoff(time::now_s()));
    let told = Told {
        command: "lift",
        named: ("ends", id),
        undo: Undo::Again,
        old: Some(choice.old()),
        meaning: Some(choice.after()),
    };
    send::carry_out(&client, screen, &told, body, &args.origin).await
}

/// Ends a disable.
pub(super) async fn reinstate(args: ReinstateArgs, screen: Screen) -> Result<Exit, Fault> {
    let client = ask::client(&args.client, screen)?;
    let id = args.id.to_string();
    let record = record(&client, "reinstate", &id).await?;
    let until = fields::number(&record, "cutoff")
        .map_or_else(|| "before the disable".to_owned(), |cutoff| format!("until {}", time::s(Some(cutoff))));
    let stays =
        format!("what was issued {until} STAYS DEAD, new ones work where no other record denies them");
    if stands(&record, &["disable"]) {
        screen.text(&before("reinstating", &id, &record, &stays));
        screen.text(&others(&client, &record).await);
    }
    let mut body = Map::new();
    body.insert("kind".to_owned(), json!("reinstate"));
    body.insert("record".to_owned(), json!(id));
    let told = Told {
        command: "reinstate",
        named: ("ends", id),
        undo: Undo::Again,
        old: Some(OldCredentials::StayDead),
        meaning: Some(format!("old credentials: {stays}")),
    };
    send::carry_out(&client, screen, &told, body, &args.origin).await
}

async fn record(client: &Client, verb: &str, id: &str) -> Result<Value, Fault> {
    client.get(&["v1", "records", id], &[]).await.map_err(|error| {
        if error.is_not_found() {
            let advice = "the controller has no such record; see `rescind records --state all`";
            return Fault::refused("unknown_record", format!("{verb} {id} was refused: {advice}"));
        }
        error.fault(&format!("{verb} {id}"))
    })
}

/// Whether the record can be ended by this command; where not, the controller says why.
fn stands(record: &Value, kinds: &[&str]) -> bool {
    let kind = opt(record, "kind").unwrap_or_default();
    kinds.contains(&kind.as_str()) && opt(record, "state").as_deref() == Some("active")
}

/// Other records on exactly the same target, which this command does not end; empty where there are none.
async fn others(client: &Client, record: &Value) -> String {
    let (Some(id), Some(target)) = (opt(record, "id"), opt(record, "target")) else { return String::new() };
    let filter = [("state", "active"), ("target", target.as_str())];
    // Why ignored: it is a courtesy, and what follows does not depend on it.
    let (rows, _) = client.list("records", &filter, OTHERS_MAX).await.unwrap_or_default();
    let rows = rows.iter().filter(|row| opt(row, "id").as_ref() != Some(&id));
    let named: Vec<String> =
        rows.map(|row| format!("{} ({})", fields::text(row, "id"), fields::text(row, "kind"))).collect();
    if named.is_empty() { String::new() } else { format!("stays in force on {target}: {}", named.join(", ")) }
}

fn before(verb: &str, id: &str, record: &Value, words: &str) -> String {
    format!("{verb} {id} ({} {}): {words}", fields::text(record, "kind"), fields::text(record, "target"))
}

/// What a lift does to old credentials, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Choice {
    /// They work again.
    Resume,
    /// What was issued until this time stays dead; because it was asked for.
    Cutoff(Moment),
    /// What was issued until now stays dead; because the reason was a compromise.
    Compromise,
}

fn choose(with_cutoff: Option<Moment>, resume: bool, record: &Value) -> Choice {
    let is_compromise = opt(record, "kind").as_deref() == Some("kill")
        && opt(record, "reason_code").as_deref() == Some(COMPROMISE);
    match (with_cutoff, resume) {
        (Some(moment), _) => Choice::Cutoff(moment),
        (None, false) if is_compromise => Choice::Compromise,
        (None, _) => Choice::Resume,
    }
}

impl Choice {
    fn cutoff(self, now_s: i64) -> Value {
        match self {
            Self::Resume => json!("resume"),
            Self::Cutoff(moment) => moment.cutoff(now_s),
            Self::Compromise => json!("now"),
        }
    }

    const fn old(self) -> OldCredentials {
        match self {
            Self::Resume => OldCredentials::WorkAgain,
            Self::Cutoff(_) | Self::Compromise => OldCredentials::StayDead,
        }
    }

    fn before(self) -> String {
        match self {
            Self::Resume => "credentials from before WILL WORK AGAIN".to_owned(),
            Self::Cutoff(moment) => format!("what was issued until {} STAYS DEAD, new ones work", until(moment)),
            Self::Compromise => {
                "what was issued until now STAYS DEAD, as after a compromise (--resume would let it work again)".to_owned()
            }
        }
    }

    fn after(self) -> String {
        match self {
            Self::Resume => "old credentials: WORK AGAIN, where no other record denies them".to_owned(),
            Self::Cutoff(moment) => {
                format!("old credentials: what was issued until {} STAYS DEAD, new ones work", until(moment))
            }
            Self::Compromise => "old credentials: STAY DEAD, new ones work".to_owned(),
        }
    }
}

fn until(moment: Moment) -> String {
    match moment {
        Moment::Now => "now".to_owned(),
        Moment::At(_) | Moment::FromNow(_) => time::s(Some(moment.unix_s(time::now_s()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_credentials_come_back_unless_told_otherwise() {
        let kill = json!({"kind": "kill", "reason_code": "maintenance"});
        assert_eq!(choose(None, false, &kill), Choice::Resume);
        assert_eq!(choose(Some(Moment::Now), false, &kill), Choice::Cutoff(Moment::Now));
    }

    #[test]
    fn after_a_compromise_they_stay_dead_unless_resumed() {
        let kill = json!({"kind": "kill", "reason_code": "compromise"});
        assert_eq!(choose(None, false, &kill), Choice::Compromise);
        assert_eq!(choose(None, true, &kill), Choice::Resume);
        let hold = json!({"kind": "hold", "reason_code": "compromise"});
        assert_eq!(choose(None, false, &hold), Choice::Resume);
    }

    #[test]
    fn the_words_before_and_after_agree_with_what_is_asked() {
        assert_eq!(Choice::Resume.cutoff(0), json!("resume"));
        assert!(
            Choice::Resume.before().contains("WILL WORK AGAIN")
                && Choice::Resume.after().contains("WORK AGAIN")
        );
        let cut = Choice::Cutoff(Moment::At(1_767_225_600));
        assert_eq!(cut.cutoff(0), json!(1_767_225_600));
        assert!(
            cut.before().contains("2026-01-01T00:00:00Z STAYS DEAD") && cut.after().contains("STAYS DEAD")
        );
        assert_eq!(Choice::Compromise.cutoff(0), json!("now"));
    }
}
