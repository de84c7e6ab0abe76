//! Sending a directive until its outcome is known, with one idempotency key, for a bounded time.

use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::{Client, ClientError};
use crate::fault::Fault;

/// Limit: how long one directive is repeated.
const REPEAT_WAIT: Duration = Duration::from_secs(20);

/// First pause; doubles up to [`PAUSE_MAX`].
const PAUSE_FIRST: Duration = Duration::from_millis(100);

/// Limit: longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// An accepted directive.
#[derive(Debug)]
pub(crate) struct Sent {
    /// The controller's answer.
    pub(crate) answer: Value,
    /// How often it was sent; more than once where an answer was lost.
    pub(crate) attempts: u32,
}

impl Client {
    /// Sends `directive` (which holds its `idempotency_key`) and repeats it while the outcome is not known.
    ///
    /// # Errors
    /// Refused: as the controller says. Internal: unreachable, or the outcome is still not known; the message
    /// then says how to ask again without a second effect.
    pub(crate) async fn direct(&self, attempt: &str, directive: &Value, key: &str) -> Result<Sent, Fault> {
        let deadline = Instant::now() + REPEAT_WAIT;
        let mut pause = PAUSE_FIRST;
        let mut attempts = 1;
        let mut unknown = false;
        loop {
            let error = match self.post_directive(directive).await {
                Ok(answer) => return Ok(Sent { answer, attempts }),
                Err(error) => error,
            };
            unknown |= error.is_indeterminate();
            // Why: once something may have been accepted, a controller that is away may come back.
            let again = error.is_passing() || (unknown && matches!(error, ClientError::Unreachable { .. }));
            if !again || Instant::now() + pause >= deadline {
                return Err(if unknown && !is_answer(&error) {
                    outcome_unknown(attempt, &error, key)
                } else {
                    error.fault(attempt)
                });
            }
            sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
            attempts += 1;
        }
    }
}

/// Whether the controller itself told the outcome: the key makes its last word final.
fn is_answer(error: &ClientError) -> bool {
    matches!(error, ClientError::Refused { status, .. } if *status < 500)
}

fn outcome_unknown(attempt: &str, error: &ClientError, key: &str) -> Fault {
    let message = format!(
        "{attempt}: the outcome is not known ({error}); repeat the command with `--key {key}`: it takes effect \
         once, however often it is sent"
    );
    Fault::internal("indeterminate", message)
}
