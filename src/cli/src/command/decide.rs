//! `rescind decide`, and the question that `explain` asks too.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use serde_json::{Value, json};

use crate::args::{DecideArgs, QueryArgs};
use crate::exit::Exit;
use crate::fault::Fault;
use crate::output::{Screen, decision};
use crate::settings::plain;
use crate::socket;

/// Limit: a token file; verifiers take less.
const TOKEN_BYTES_MAX: u64 = 32 * 1024;

/// Asks and shows.
pub(super) fn run(args: &DecideArgs, screen: Screen) -> Result<Exit, Fault> {
    let decision = ask(&args.query)?;
    screen.show(&decision::render(&decision), &decision);
    Ok(ended(&decision))
}

/// Allow or deny as an exit code.
pub(super) fn ended(decision: &Value) -> Exit {
    if decision::is_allow(decision) { Exit::Ok } else { Exit::Refused }
}

/// Asks the agent.
pub(super) fn ask(query: &QueryArgs) -> Result<Value, Fault> {
    let token = read_token(&query.token_file)?;
    let mut question =
        json!({"token": token, "action": query.action, "resource": query.resource, "tenant": query.tenant});
    if !query.at_least.is_empty()
        && let Some(question) = question.as_object_mut()
    {
        let ids: Vec<String> = query.at_least.iter().map(ToString::to_string).collect();
        question.insert("at_least".to_owned(), json!(ids));
        question.insert("wait_ms".to_owned(), json!(query.at_least_wait.as_millis()));
    }
    let answer = socket::ask(&query.socket, "agent", &question)?;
    match answer.get("effect").and_then(Value::as_str) {
        Some("allow" | "deny") => Ok(answer),
        _ => Err(Fault::internal(
            "answer",
            format!("`{}` does not answer like an agent", query.socket.display()),
        )),
    }
}

fn read_token(path: &Path) -> Result<String, Fault> {
    let cannot = |why: &str| Fault::usage(format!("cannot read the token from `{}`: {why}", path.display()));
    let mut text = String::new();
    let read = match path.to_str() {
        Some("-") => io::stdin().lock().take(TOKEN_BYTES_MAX).read_to_string(&mut text),
        _ => File::open(path).and_then(|file| file.take(TOKEN_BYTES_MAX).read_to_string(&mut text)),
    };
    read.map_err(|error| cannot(&plain(&error)))?;
    match text.trim() {
        "" => Err(cannot("it is empty; give the compact token, as `rescind dev-token` prints it")),
        token => Ok(token.to_owned()),
    }
}
