//! Records and entitlements as tables.

use serde_json::Value;

use super::fields::{number, opt, text};
use super::{table, time};

/// Records, oldest first, with the command that goes on where there are more.
pub(crate) fn records(rows: &[Value], next: &Value) -> String {
    if rows.is_empty() {
        return "no records match".to_owned();
    }
    let lines: Vec<Vec<String>> = rows
        .iter()
        .map(|row| {
            let cutoff = number(row, "residual_cutoff").or_else(|| number(row, "cutoff"));
            let because = [opt(row, "reason_code"), opt(row, "incident")];
            let because = because.into_iter().flatten().collect::<Vec<_>>().join(" ");
            vec![
                text(row, "id"),
                text(row, "kind"),
                text(row, "target"),
                text(row, "state"),
                time::s(cutoff),
                time::ms(number(row, "accepted_at_ms")),
                by(row),
                if because.is_empty() { "-".to_owned() } else { because },
            ]
        })
        .collect();
    let heading = ["ID", "KIND", "TARGET", "STATE", "DEAD IF ISSUED UNTIL", "ACCEPTED", "BY", "REASON"];
    with_rest(table::render(&heading, &lines), next)
}

/// Entitlements.
pub(crate) fn entitlements(rows: &[Value], next: &Value) -> String {
    if rows.is_empty() {
        return "no entitlements match".to_owned();
    }
    let lines: Vec<Vec<String>> = rows
        .iter()
        .map(|row| {
            vec![
                text(row, "id"),
                text(row, "holder"),
                right(row),
                text(row, "tenant"),
                time::s(number(row, "not_before")),
                time::s(number(row, "not_after")),
                text(row, "state"),
                by(row),
            ]
        })
        .collect();
    let heading = ["ID", "HOLDER", "RIGHT", "TENANT", "FROM", "UNTIL", "STATE", "BY"];
    with_rest(table::render(&heading, &lines), next)
}

/// What is held, in words.
pub(crate) fn right(row: &Value) -> String {
    match opt(row, "member_of") {
        Some(role) => format!("member of {role}"),
        None => format!("{} on {}", text(row, "action"), text(row, "resource")),
    }
}

/// Emitter, and the person or system behind it.
pub(crate) fn by(row: &Value) -> String {
    match opt(row, "requested_by") {
        Some(person) => format!("{} ({person})", text(row, "emitter")),
        None => text(row, "emitter"),
    }
}

fn with_rest(table: String, next: &Value) -> String {
    if next.is_string() { format!("{table}\n(there are more; raise --limit)") } else { table }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_record_shows_its_residual_cutoff_and_who_asked() {
        let row = json!({"id": "deny-1-3", "kind": "disable", "target": "user:u1", "state": "ended",
            "cutoff": 5, "residual_cutoff": 1_767_225_600, "emitter": "hr", "requested_by": "Ann", "incident": "I7"});
        let text = records(&[row], &Value::Null);
        assert!(
            text.contains("disable  user:u1  ended  2026-01-01T00:00:00Z  -         hr (Ann)  I7"),
            "{text}"
        );
    }

    #[test]
    fn a_right_is_a_permission_or_a_membership() {
        assert_eq!(right(&json!({"action": "a", "resource": "/x"})), "a on /x");
        assert_eq!(right(&json!({"member_of": "role:r"})), "member of role:r");
    }

    #[test]
    fn nothing_and_more_are_said() {
        assert_eq!(records(&[], &Value::Null), "no records match");
        assert!(entitlements(&[json!({})], &json!("grant0-1-1")).ends_with("raise --limit)"));
    }
}
