//! Decisions in words.

use serde_json::Value;

use super::fields::{number, opt, rows, text};
use super::{lists, time};

/// Whether the request may go on; anything unclear is a no.
pub(crate) fn is_allow(decision: &Value) -> bool {
    decision.get("effect").and_then(Value::as_str) == Some("allow")
}

/// The answer in a few lines.
pub(crate) fn render(decision: &Value) -> String {
    let mut text = format!("{}  {}", text(decision, "effect"), text(decision, "reason"));
    for name in ["records", "entitlements"] {
        let ids = ids(decision, name);
        if !ids.is_empty() {
            text.push_str(&format!("  {name} {}", ids.join(",")));
        }
    }
    let more = [Some(freshness(decision)), drift(decision), token_error(decision), retry(decision)];
    for line in more.into_iter().flatten() {
        text.push_str(&format!("\n  {line}"));
    }
    text
}

/// Names in a list field.
pub(crate) fn ids(decision: &Value, name: &str) -> Vec<String> {
    rows(decision, name).iter().filter_map(Value::as_str).map(super::fields::clean).collect()
}

/// What `rescind explain` says; `record` and `entitlement` are the details of what the decision names.
pub(crate) fn explain(
    decision: &Value,
    agent: &Value,
    records: &[Value],
    entitlements: &[Value],
) -> Vec<String> {
    let code = text(decision, "reason");
    let mut words = vec![format!("{}: {} ({code})", text(decision, "effect"), reason(&code))];
    words.extend(token_error(decision));
    words.extend(records.iter().map(record));
    words.extend(entitlements.iter().map(entitlement));
    words.extend(drift(decision));
    words.push(freshness(decision));
    words.push(answered_by(decision, agent));
    words.extend(retry(decision));
    words.extend(advice(&code).map(|advice| format!("what helps: {advice}")));
    words
}

fn record(row: &Value) -> String {
    let id = text(row, "id");
    if let Some(why) = opt(row, "unavailable") {
        return format!("record {id}: no details ({why})");
    }
    let mut line = format!("record {id}: {} {}", text(row, "kind"), text(row, "target"));
    if let Some(cutoff) = number(row, "residual_cutoff").or_else(|| number(row, "cutoff")) {
        line.push_str(&format!(", what was issued until {} is dead", time::s(Some(cutoff))));
    }
    line.push_str(&format!(", accepted {} from {}", time::ms(number(row, "accepted_at_ms")), lists::by(row)));
    for (name, word) in [("reason_code", "reason"), ("incident", "incident")] {
        if let Some(value) = opt(row, name) {
            line.push_str(&format!(", {word} {value}"));
        }
    }
    if opt(row, "state").is_some_and(|state| state == "ended") {
        line.push_str("; it was ended, what it left behind still denies");
    }
    line
}

fn entitlement(row: &Value) -> String {
    let id = text(row, "id");
    if let Some(why) = opt(row, "unavailable") {
        return format!("entitlement {id}: no details ({why})");
    }
    let mut line = format!("entitlement {id}: {} holds {}", text(row, "holder"), lists::right(row));
    if let Some(tenant) = opt(row, "tenant") {
        line.push_str(&format!(", in tenant {tenant}"));
    }
    if let Some(until) = number(row, "not_after") {
        line.push_str(&format!(", until {}", time::s(Some(until))));
    }
    line
}

fn freshness(decision: &Value) -> String {
    let state = text(decision, "freshness");
    match number(decision, "staleness_ms") {
        Some(age) => {
            let valid = number(decision, "valid_for_ms").unwrap_or(0);
            format!(
                "{state}: proven current {} ago, may be used for {}",
                time::length(age),
                time::length(valid)
            )
        }
        None => format!("{state}: not proven current since the agent started"),
    }
}

fn answered_by(decision: &Value, agent: &Value) -> String {
    let policy =
        opt(agent, "stale_policy").map(|policy| format!(", when cut off: {policy}")).unwrap_or_default();
    format!(
        "answered by {} for {} at deny {}, grant {}{policy}",
        text(agent, "agent"),
        text(agent, "service"),
        text(decision, "deny"),
        text(decision, "grant")
    )
}

fn drift(decision: &Value) -> Option<String> {
    opt(decision.get("drift")?, "text").map(|drift| format!("drift: {drift}"))
}

fn token_error(decision: &Value) -> Option<String> {
    opt(decision, "token_error").map(|error| format!("token: {error}"))
}

fn retry(decision: &Value) -> Option<String> {
    let seconds = number(decision, "retry_after_s")?;
    Some(format!("a new login helps after {seconds} s: issue times have a resolution of one second"))
}

/// A reason code in words. Source: semantics.md section 4.
fn reason(code: &str) -> String {
    let words = match code {
        "entitled" => "something held covers it, and nothing takes it away",
        "not_ready" => "the agent has no proof of being current since its start",
        "not_fresh" => "the agent did not reach the change that was asked for in time",
        "stale.strict" => "the agent lost contact for longer than its stale policy allows",
        "token.invalid" => "the token is malformed, badly signed or not valid yet",
        "token.expired" => "the token has expired",
        "token.audience" => "the token is not for this service",
        "token.issuer" => "the token is from an issuer that this agent does not trust",
        "token.key" => "the token was signed with a key that the issuer does not publish",
        "revoked.token" => "this token was revoked",
        "revoked.session" => "its session was revoked",
        "revoked.key" => "the key that signed it was revoked",
        "revoked.cutoff" => "it was issued before a cutoff",
        "disabled.identity" => "the identity is disabled",
        "entitlement.absent" => "nothing that is held covers it",
        "entitlement.expired" => "what would cover it holds at another time",
        other => match other.split_once('.') {
            Some(("killed", what)) => return format!("a kill is in force ({what})"),
            Some(("held", what)) => return format!("a hold is in force ({what})"),
            _ => "for a reason that this version does not know",
        },
    };
    words.to_owned()
}

fn advice(code: &str) -> Option<&'static str> {
    let (kind, what) = code.split_once('.').unwrap_or((code, ""));
    match (kind, what) {
        ("killed" | "held", _) => Some("`rescind lift ID` for each record above, when it is over"),
        ("disabled", _) => Some("`rescind reinstate ID` for each disable above, then a new login"),
        ("revoked", "cutoff") => Some("a new login: what is issued after the cutoff works"),
        ("revoked", "key") => Some("a token that another key signed; a revoke is for good"),
        ("revoked", _) => Some("a new login; a revoke is for good"),
        ("entitlement", _) => Some(
            "`rescind grant ...` if it should be allowed; `rescind entitlements --holder ...` shows what is held",
        ),
        ("stale" | "not_ready", _) => Some("`rescind status`, and the agent's connection to the bus"),
        ("token", _) => {
            Some("a new token; `rescind agents` and the agent's [[issuers]] if new ones fail too")
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn denied() -> Value {
        json!({"effect": "deny", "reason": "revoked.session", "records": ["deny-1-3"], "entitlements": [],
            "deny": "1/3", "grant": "1/7", "freshness": "fresh", "staleness_ms": 120, "valid_for_ms": 4_800,
            "drift": {"kind": "claim_says_yes", "text": "the token claims role `admin`, which is not held"}})
    }

    #[test]
    fn a_decision_is_a_few_lines() {
        assert_eq!(
            render(&denied()),
            "deny  revoked.session  records deny-1-3\n  fresh: proven current 120 ms ago, may be used for 4.8 s\n  \
             drift: the token claims role `admin`, which is not held"
        );
        assert!(
            !is_allow(&denied()) && !is_allow(&json!({"effect": 1})) && is_allow(&json!({"effect": "allow"}))
        );
    }

    #[test]
    fn an_explanation_names_records_freshness_and_drift() {
        let row = json!({"id": "deny-1-3", "kind": "revoke", "target": "session:i#s", "emitter": "ir",
            "accepted_at_ms": 1_767_225_600_000_i64, "reason_code": "compromise"});
        let agent = json!({"agent": "p1", "service": "pay", "stale_policy": "strict(5s)"});
        let words = explain(&denied(), &agent, &[row], &[]);
        assert_eq!(words[0], "deny: its session was revoked (revoked.session)");
        assert_eq!(
            words[1],
            "record deny-1-3: revoke session:i#s, accepted 2026-01-01T00:00:00.000Z from ir, reason compromise"
        );
        assert!(words[2].starts_with("drift: "), "{words:?}");
        assert_eq!(words[4], "answered by p1 for pay at deny 1/3, grant 1/7, when cut off: strict(5s)");
    }

    #[test]
    fn what_was_never_current_says_so() {
        let decision =
            json!({"effect": "deny", "reason": "not_ready", "freshness": "unsynced", "staleness_ms": null});
        assert!(render(&decision).contains("unsynced: not proven current since the agent started"));
        assert_eq!(reason("killed.tenant"), "a kill is in force (tenant)");
    }
}
