//! Unix sockets that take one JSON object in a line and answer with one: the bare agent, the dev issuer.
//!
//! Only the owner may connect. Lines, connections and waits are bounded.

mod ask;
mod bind;
mod serve;
#[cfg(test)]
mod tests;

pub(crate) use ask::ask;
pub(crate) use bind::Bound;
pub(crate) use serve::{Answer, serve};

use serde_json::{Value, json};

/// Limit: one question in bytes; a token has at most 16 KiB, the rest is an action and a path.
const LINE_BYTES_MAX: usize = 64 * 1024;

/// An answer that says what is wrong with the question.
pub(crate) fn error(code: &str, message: &str) -> Value {
    json!({"error": {"code": code, "message": message}})
}
