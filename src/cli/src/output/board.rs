//! Boards: where a record is enforced, agent by agent.

use serde_json::Value;

use super::fields::{number, opt, rows, text};
use super::status::is_silent;
use super::{table, time};

/// The state that ends a wait.
const ENFORCED: &str = "enforced";

/// Whether every expected agent enforces it.
pub(crate) fn is_enforced(board: &Value) -> bool {
    board.get("state").and_then(Value::as_str) == Some(ENFORCED)
}

/// Whether an agent's row counts as enforcing.
fn row_enforces(row: &Value) -> bool {
    matches!(row.get("status").and_then(Value::as_str), Some("applied" | "durable" | "fenced" | "proven"))
}

/// One line: state, how many agents, who is missing.
pub(crate) fn line(board: &Value) -> String {
    let rows = rows(board, "rows");
    let there = rows.iter().filter(|row| row_enforces(row)).count();
    let state = text(board, "state").replace('_', " ");
    let mut line = format!("{state}: {there} of {} agents", rows.len());
    if let Some(took) = number(board, "accepted_to_enforced_ms") {
        line.push_str(&format!(", {} after it was accepted", time::length(took)));
    }
    let missing: Vec<String> = rows.iter().filter(|row| !row_enforces(row)).map(missing).collect();
    if !missing.is_empty() {
        line.push_str(&format!("; missing: {}", missing.join(", ")));
    }
    if rows.is_empty() {
        line.push_str("; no agent is enrolled or known yet");
    }
    if let Some(until) = number(board, "blind_until_ms") {
        let until = time::ms(Some(until));
        line.push_str(&format!(
            "; leases of an earlier controller may last until {until}, nothing is called enforced before"
        ));
    }
    line
}

fn missing(row: &Value) -> String {
    let detail = detail(row).map(|detail| format!(", {detail}")).unwrap_or_default();
    format!("{} ({}{detail})", text(row, "agent"), text(row, "status").replace('_', " "))
}

/// The whole board of one record.
pub(crate) fn render(board: &Value) -> String {
    let mut head = format!("{}  {}", text(board, "id"), line(board));
    head.push_str(&format!("\naccepted {}", time::ms(number(board, "accepted_at_ms"))));
    if let Some(at) = number(board, "enforced_at_ms") {
        head.push_str(&format!(", enforced {}", time::ms(Some(at))));
    }
    let rows = rows(board, "rows");
    if rows.is_empty() {
        return head;
    }
    let lines: Vec<Vec<String>> = rows.iter().map(row).collect();
    let heading =
        ["AGENT", "SERVICE", "STATUS", "APPLIED AT", "POSITION", "FRESHNESS", "WHEN CUT OFF", "DETAIL"];
    format!("{head}\n\n{}", table::render(&heading, &lines))
}

fn row(row: &Value) -> Vec<String> {
    vec![
        text(row, "agent"),
        text(row, "service"),
        text(row, "status").replace('_', " "),
        time::ms(number(row, "applied_at_ms")),
        text(row, "position"),
        text(row, "freshness"),
        text(row, "stale_policy"),
        detail(row).unwrap_or_else(|| "-".to_owned()),
    ]
}

/// The agents, as in `rescind agents` and the overview.
pub(crate) fn agents(agents: &[Value]) -> String {
    if agents.is_empty() {
        return "no agents; enroll one with `rescind init add-agent DIR ID:SERVICE`".to_owned();
    }
    let lines: Vec<Vec<String>> = agents
        .iter()
        .map(|agent| {
            let named = |names: &[&str]| {
                names
                    .iter()
                    .map(|name| text(agent, name))
                    .find(|text| text != "-")
                    .unwrap_or_else(|| "-".to_owned())
            };
            vec![
                text(agent, "agent"),
                text(agent, "service"),
                freshness(agent),
                text(agent, "deny"),
                text(agent, "grant"),
                text(agent, "stale_policy"),
                time::ms(number(agent, "last_seen_ms")),
                named(&["fault", "alarm"]),
            ]
        })
        .collect();
    let heading = ["AGENT", "SERVICE", "FRESHNESS", "DENY", "GRANT", "WHEN CUT OFF", "LAST SEEN", "DETAIL"];
    table::render(&heading, &lines)
}

/// What a silent agent last said is shown as that.
fn freshness(agent: &Value) -> String {
    match (is_silent(agent), opt(agent, "freshness")) {
        (true, Some(last)) => format!("silent (was {last})"),
        (true, None) => "silent".to_owned(),
        (false, last) => last.unwrap_or_else(|| "silent".to_owned()),
    }
}

/// What protects meanwhile or what is wrong, and alarms.
fn detail(row: &Value) -> Option<String> {
    let alarm = opt(row, "alarm").map(|alarm| format!("alarm: {}", alarm.replace('_', " ")));
    match (opt(row, "detail"), alarm) {
        (Some(detail), Some(alarm)) => Some(format!("{detail}; {alarm}")),
        (detail, alarm) => detail.or(alarm),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn partial() -> Value {
        json!({"id": "deny-1-3", "state": "partially_enforced", "accepted_at_ms": 1_767_225_600_000_i64, "rows": [
            {"agent": "p1", "service": "pay", "status": "applied", "applied_at_ms": 1_767_225_600_020_i64,
             "position": "1/3", "freshness": "fresh", "stale_policy": "strict(5s)"},
            {"agent": "p2", "service": "pay", "status": "unreachable", "detail": "denies at 00:00:05Z",
             "stale_policy": "strict(5s)"},
        ]})
    }

    #[test]
    fn a_silent_agent_is_named_with_what_protects_us() {
        assert_eq!(
            line(&partial()),
            "partially enforced: 1 of 2 agents; missing: p2 (unreachable, denies at 00:00:05Z)"
        );
        assert!(!is_enforced(&partial()));
    }

    #[test]
    fn a_board_has_a_row_for_each_agent() {
        let text = render(&partial());
        assert!(
            text.contains("p1     pay      applied      2026-01-01T00:00:00.020Z  1/3       fresh"),
            "{text}"
        );
        assert!(text.ends_with("p2     pay      unreachable  -                         -         -          strict(5s)    denies at 00:00:05Z"), "{text}");
    }

    #[test]
    fn enforced_says_how_long_it_took() {
        let board =
            json!({"state": "enforced", "accepted_to_enforced_ms": 41, "rows": [{"status": "durable"}]});
        assert!(is_enforced(&board));
        assert_eq!(line(&board), "enforced: 1 of 1 agents, 41 ms after it was accepted");
    }

    #[test]
    fn nobody_enrolled_is_not_called_enforced_by_us() {
        let board = json!({"state": "accepted", "rows": []});
        assert_eq!(line(&board), "accepted: 0 of 0 agents; no agent is enrolled or known yet");
    }
}
