//! What was accepted, what it means and how to undo it.

use serde_json::{Map, Value, json};

use super::fields::{number, text};
use super::time;

/// How to undo a directive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Undo {
    /// Not at all.
    None,
    /// `rescind lift ID`; old credentials work again.
    Lift,
    /// `rescind lift ID`; old credentials stay dead, as after a compromise.
    LiftCompromise,
    /// `rescind reinstate ID`.
    Reinstate,
    /// `rescind withdraw ID`.
    Withdraw,
    /// It is itself an end; a new one has to be made.
    Again,
}

impl Undo {
    const fn word(self) -> Option<&'static str> {
        match self {
            Self::None => Some("none"),
            Self::Lift | Self::LiftCompromise => Some("lift"),
            Self::Reinstate => Some("reinstate"),
            Self::Withdraw => Some("withdraw"),
            Self::Again => None,
        }
    }

    fn line(self, id: &str) -> Option<String> {
        match self {
            Self::None => Some("undo: none, this is for good; new credentials work".to_owned()),
            Self::Lift => Some(format!(
                "undo: rescind lift {id}   (old credentials work again; with --with-cutoff they stay dead)"
            )),
            Self::LiftCompromise => Some(format!(
                "undo: rescind lift {id}   (old credentials stay dead, as after a compromise; with --resume they work again)"
            )),
            Self::Reinstate => {
                Some(format!("undo: rescind reinstate {id}   (new credentials work, old ones stay dead)"))
            }
            Self::Withdraw => Some(format!("undo: rescind withdraw {id}")),
            Self::Again => None,
        }
    }
}

/// What happens to credentials that were issued before, when a record ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OldCredentials {
    /// They work again.
    WorkAgain,
    /// They stay dead.
    StayDead,
}

impl OldCredentials {
    /// In JSON.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::WorkAgain => "work_again",
            Self::StayDead => "stay_dead",
        }
    }
}

/// A directive as a person thinks of it.
#[derive(Debug, Clone)]
pub(crate) struct Told {
    /// The command word.
    pub(crate) command: &'static str,
    /// What it names: field in JSON, and value.
    pub(crate) named: (&'static str, String),
    /// How to undo it.
    pub(crate) undo: Undo,
    /// For ends: what happens to old credentials.
    pub(crate) old: Option<OldCredentials>,
    /// What it means, after it was accepted.
    pub(crate) meaning: Option<String>,
}

impl Told {
    /// As it was typed, `kill tenant:acme`.
    pub(crate) fn attempt(&self) -> String {
        format!("{} {}", self.command, self.named.1)
    }

    /// For a person: exactly what was accepted.
    pub(crate) fn render(&self, answer: &Value) -> String {
        let id = text(answer, "id");
        let before = answer.get("existing").and_then(Value::as_bool) == Some(true);
        let mut lines = vec![format!(
            "accepted {}{id} at position {} (lane {}), {}",
            if before { "before, as " } else { "" },
            text(answer, "position"),
            text(answer, "lane"),
            time::ms(number(answer, "accepted_at_ms")),
        )];
        let mut what = self.attempt();
        if let Some(cutoff) = number(answer, "cutoff") {
            what.push_str(&format!(": what was issued until {} is dead", time::s(Some(cutoff))));
        }
        lines.push(what);
        lines.extend(self.meaning.clone());
        lines.extend(self.undo.line(&id));
        lines.join("\n")
    }

    /// For a script.
    pub(crate) fn json(&self, answer: &Value, key: &str, board: Option<&Value>) -> Value {
        let state = board.and_then(|board| board.get("state")).or_else(|| answer.get("state"));
        let mut object = Map::new();
        object.insert("command".to_owned(), json!(self.command));
        object.insert("state".to_owned(), state.cloned().unwrap_or_else(|| json!("accepted")));
        for name in ["id", "position", "lane", "existing", "accepted_at_ms", "cutoff"] {
            object.insert(name.to_owned(), answer.get(name).cloned().unwrap_or_default());
        }
        object.insert("idempotency_key".to_owned(), json!(key));
        object.insert(self.named.0.to_owned(), json!(self.named.1));
        object.insert("undo".to_owned(), json!(self.undo.word()));
        object.insert("old_credentials".to_owned(), json!(self.old.map(OldCredentials::word)));
        object.insert("board".to_owned(), board.cloned().unwrap_or_default());
        Value::Object(object)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kill() -> Told {
        Told {
            command: "kill",
            named: ("target", "tenant:acme".to_owned()),
            undo: Undo::Lift,
            old: None,
            meaning: None,
        }
    }

    fn answer() -> Value {
        json!({"state": "accepted", "id": "deny-1-3", "position": "1/3", "lane": "deny", "existing": false,
            "accepted_at_ms": 1_767_225_600_000_i64})
    }

    #[test]
    fn what_was_accepted_is_named_and_never_called_a_success() {
        let text = kill().render(&answer());
        assert_eq!(
            text,
            "accepted deny-1-3 at position 1/3 (lane deny), 2026-01-01T00:00:00.000Z\nkill tenant:acme\nundo: \
             rescind lift deny-1-3   (old credentials work again; with --with-cutoff they stay dead)"
        );
    }

    #[test]
    fn a_repeat_says_that_it_was_accepted_before() {
        let mut answer = answer();
        answer["existing"] = json!(true);
        assert!(kill().render(&answer).starts_with("accepted before, as deny-1-3"));
    }

    #[test]
    fn json_always_has_the_same_fields() {
        let value = kill().json(&answer(), "k", None);
        let names: Vec<_> = value.as_object().unwrap().keys().cloned().collect();
        let board = json!({"state": "enforced"});
        let with_board = kill().json(&answer(), "k", Some(&board));
        assert_eq!(names, with_board.as_object().unwrap().keys().cloned().collect::<Vec<_>>());
        assert_eq!((&value["state"], &with_board["state"]), (&json!("accepted"), &json!("enforced")));
        assert_eq!(value["undo"], json!("lift"));
    }
}
