//! Sending a directive, and following its board where that was asked for.

use std::time::Duration;

use serde_json::{Map, Value, json};
use tokio::time::Instant;

use crate::args::OriginArgs;
use crate::client::Client;
use crate::exit::Exit;
use crate::fault::Fault;
use crate::output::directive::Told;
use crate::output::{Screen, board, fields, time};

/// Limit: one long poll. Why so short: a person sees the board fill.
const POLL_WAIT: Duration = Duration::from_millis(400);

/// Limit: failed polls in a row before following ends; a controller may restart meanwhile.
const POLLS_FAILED_MAX: u32 = 10;

/// Sends what `told` says with the fields of `body`; waits for the board if `origin` says so.
pub(super) async fn carry_out(
    client: &Client,
    screen: Screen,
    told: &Told,
    body: Map<String, Value>,
    origin: &OriginArgs,
) -> Result<Exit, Fault> {
    let key = match &origin.key {
        Some(key) => key.as_str().to_owned(),
        None => random_key()?,
    };
    let directive = with_origin(body, origin, &key);
    let sent = client.direct(&told.attempt(), &directive, &key).await?;
    screen.text(&told.render(&sent.answer));
    if sent.attempts > 1 {
        screen.note(&format!("(sent {} times with one key, one effect)", sent.attempts));
    }
    let Some(id) = fields::opt(&sent.answer, "id") else {
        return Err(Fault::internal(
            "answer",
            format!("{}: accepted, but the answer names no id", told.attempt()),
        ));
    };
    let Some(wait) = origin.wait else {
        screen.text(&format!("enforced where? rescind board {id}   (follow it: rescind watch {id})"));
        screen.json(&told.json(&sent.answer, &key, None));
        return Ok(Exit::Ok);
    };
    let followed = follow(client, &id, Some(wait), &mut |board| screen.text(&board::line(board))).await;
    let board = match followed {
        Ok(board) => board,
        Err(fault) => {
            // Why: it was accepted; that must not get lost with the board.
            screen.json(&told.json(&sent.answer, &key, None));
            return Err(fault);
        }
    };
    screen.json(&told.json(&sent.answer, &key, Some(&board)));
    if board::is_enforced(&board) {
        return Ok(Exit::Ok);
    }
    screen.text(&format!("not enforced everywhere yet; go on with: rescind watch {id}"));
    Ok(Exit::Partial)
}

/// Follows a board until it is enforced or `limit` is over; `changed` sees each state once. Gives the last.
pub(super) async fn follow(
    client: &Client,
    id: &str,
    limit: Option<Duration>,
    changed: &mut dyn FnMut(&Value),
) -> Result<Value, Fault> {
    let deadline = limit.map(|limit| Instant::now() + limit);
    let mut last: Option<Value> = None;
    let mut failed = 0;
    loop {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let is_over = left.is_some_and(|left| left.is_zero());
        let begun = Instant::now();
        match client.board(id, left.unwrap_or(POLL_WAIT).min(POLL_WAIT)).await {
            Ok(board) => {
                failed = 0;
                if last.as_ref().is_none_or(|last| shape(last) != shape(&board)) {
                    changed(&board);
                }
                if board::is_enforced(&board) || is_over {
                    return Ok(board);
                }
                last = Some(board);
            }
            Err(error) if failed < POLLS_FAILED_MAX && !is_over && !error.is_not_found() => failed += 1,
            Err(error) => return Err(error.fault(&format!("following the board of {id}"))),
        }
        // Why: a controller that answers early must not be asked in a tight loop.
        tokio::time::sleep_until(begun + POLL_WAIT.min(left.unwrap_or(POLL_WAIT))).await;
    }
}

/// What counts as a change of a board: times and positions that only move on do not.
fn shape(board: &Value) -> (Option<&Value>, Vec<(Option<&Value>, Option<&Value>, Option<&Value>)>) {
    let rows = fields::rows(board, "rows").iter();
    (board.get("state"), rows.map(|row| (row.get("agent"), row.get("status"), row.get("detail"))).collect())
}

fn with_origin(mut body: Map<String, Value>, origin: &OriginArgs, key: &str) -> Value {
    let mut put = |name: &str, value: Option<&String>| {
        if let Some(value) = value {
            body.insert(name.to_owned(), json!(value));
        }
    };
    put("reason_code", origin.reason.as_ref());
    put("reason_admin", origin.reason_admin.as_ref());
    put("incident", origin.incident.as_ref());
    put("requested_by", origin.requested_by.as_ref());
    if let Some(known_at) = origin.known_at {
        body.insert("known_at_ms".to_owned(), json!(known_at.unix_s(time::now_s()).saturating_mul(1000)));
    }
    body.insert("idempotency_key".to_owned(), json!(key));
    Value::Object(body)
}

/// A key that nobody else has.
fn random_key() -> Result<String, Fault> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)
        .map_err(|error| Fault::internal("random", format!("cannot draw an idempotency key: {error}")))?;
    Ok(format!("cli-{}", hex::encode(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_origin_holds_what_was_given_and_a_key() {
        let origin = OriginArgs { reason: Some("leaver".to_owned()), ..OriginArgs::default() };
        let directive = with_origin(Map::new(), &origin, "k");
        assert_eq!(directive, json!({"reason_code": "leaver", "idempotency_key": "k"}));
    }

    #[test]
    fn keys_differ_and_are_keys() {
        let (one, two) = (random_key().unwrap(), random_key().unwrap());
        assert_ne!(one, two);
        assert!(rescind_core::ids::IdempotencyKey::new(&one).is_ok());
    }

    #[test]
    fn a_moving_position_is_no_change() {
        let board = |position: &str, status: &str| json!({"state": "accepted", "rows": [{"agent": "a", "status": status, "position": position}]});
        assert_eq!(shape(&board("1/1", "lagging")), shape(&board("1/2", "lagging")));
        assert_ne!(shape(&board("1/1", "lagging")), shape(&board("1/1", "applied")));
    }
}
