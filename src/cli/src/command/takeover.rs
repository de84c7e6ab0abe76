//! `rescind takeover`.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::ask;
use crate::args::TakeoverArgs;
use crate::client::{Client, ClientError};
use crate::exit::Exit;
use crate::fault::Fault;
use crate::output::{Screen, fields, roles};

const ATTEMPT: &str = "taking over";

/// Limit: how often it is asked. Why more than once: an entry of the old writer in the same moment wins against the
/// fence, and the next attempt stands behind it.
const ASKED_MAX: u32 = 4;

/// Limit: how long one attempt may take; fences and the roll call take 2 s at most.
const ATTEMPT_WAIT: Duration = Duration::from_secs(5);

/// How often the role is looked at.
const POLL: Duration = Duration::from_millis(100);

/// Makes the controller that is asked the writer.
pub(super) async fn run(args: TakeoverArgs, screen: Screen) -> Result<Exit, Fault> {
    let client = ask::client(&args.client, screen)?;
    let failed = |error: ClientError| error.fault(ATTEMPT);
    let before = client.get(&["v1", "status"], &[]).await.map_err(failed)?;
    let mut last = before.clone();
    for asked in 1..=ASKED_MAX {
        match client.post(&["v1", "takeover"], &json!({})).await {
            // Why only later: it may be on the way since the last attempt.
            Err(ClientError::Refused { status: 409, .. }) if asked > 1 => {}
            answer => drop(answer.map_err(failed)?),
        }
        last = settled(&client).await.map_err(failed)?;
        if role(&last) == "writer" {
            screen.show(&told(&before, &last), &json_of(&before, &last, asked));
            return Ok(Exit::Ok);
        }
    }
    let standing = roles::standing(&last);
    if role(&last) == "standby" {
        return Err(Fault::refused(
            "not_taken_over",
            format!(
                "{ATTEMPT}: asked {ASKED_MAX} times, and {standing}; see `rescind status`, then ask again"
            ),
        ));
    }
    Err(Fault::internal(
        "indeterminate",
        format!("{ATTEMPT}: it is not known yet whether it writes ({standing}); look with `rescind status`"),
    ))
}

/// Looks until it writes, or the attempt's time is over; gives the last state.
async fn settled(client: &Client) -> Result<Value, ClientError> {
    let deadline = Instant::now() + ATTEMPT_WAIT;
    loop {
        let status = client.get(&["v1", "status"], &[]).await?;
        if role(&status) == "writer" || Instant::now() >= deadline {
            return Ok(status);
        }
        sleep(POLL).await;
    }
}

fn role(status: &Value) -> &str {
    status.get("role").and_then(Value::as_str).unwrap_or_default()
}

fn told(before: &Value, after: &Value) -> String {
    let was = fields::opt(before, "writer").unwrap_or_else(|| "nobody".to_owned());
    format!(
        "{} writes now, in epoch {}; before: {was}, epoch {}",
        fields::text(after, "controller"),
        fields::text(after, "epoch"),
        fields::text(before, "epoch")
    )
}

fn json_of(before: &Value, after: &Value, asked: u32) -> Value {
    let of = |status: &Value, name: &str| status.get(name).cloned().unwrap_or_default();
    json!({
        "command": "takeover", "state": "writer", "writer": of(after, "controller"), "epoch": of(after, "epoch"),
        "before": {"writer": of(before, "writer"), "epoch": of(before, "epoch")}, "asked": asked,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_writers_and_epochs_are_told() {
        let before = json!({"controller": "c2", "role": "standby", "epoch": 1, "writer": "c1"});
        let after = json!({"controller": "c2", "role": "writer", "epoch": 2, "writer": "c2"});
        assert_eq!(told(&before, &after), "c2 writes now, in epoch 2; before: c1, epoch 1");
        let object = json_of(&before, &after, 2);
        assert_eq!((&object["before"]["writer"], &object["asked"]), (&json!("c1"), &json!(2)));
        let silent = json!({"controller": "c2", "role": "standby", "epoch": 1});
        assert!(told(&silent, &after).ends_with("before: nobody, epoch 1"));
    }
}
