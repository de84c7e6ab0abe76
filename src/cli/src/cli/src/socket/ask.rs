//! One question over a Unix socket.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use super::LINE_BYTES_MAX;
use crate::fault::Fault;
use crate::settings::plain;

/// Limit: sending, and waiting for the answer.
const WAIT: Duration = Duration::from_secs(5);

/// Limit: bytes of an answer.
const ANSWER_BYTES_MAX: u64 = 1024 * 1024;

/// Sends `question` to the `who` (`agent`, `dev issuer`) on `path` and gives its answer.
///
/// # Errors
/// Internal: nobody listens, or no usable answer comes in time. Usage: the question is too long, or the other
/// side says that it is wrong.
pub(crate) fn ask(path: &Path, who: &str, question: &Value) -> Result<Value, Fault> {
    let failed = |error: io::Error| {
        let advice = match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
                "; is it running, and is this its socket?"
            }
            io::ErrorKind::PermissionDenied => "; only the user that runs it may ask",
            _ => "; look at that process",
        };
        let why = match error.kind() {
            io::ErrorKind::WouldBlock => "no answer in time".to_owned(),
            _ => plain(&error),
        };
        Fault::internal("socket", format!("cannot ask the {who} at `{}`: {why}{advice}", path.display()))
    };
    let line = format!("{question}\n");
    if line.len() > LINE_BYTES_MAX {
        return Err(Fault::usage(format!(
            "the question is longer than {LINE_BYTES_MAX} bytes; is the token file a token?"
        )));
    }
    let reply = exchange(path, &line).map_err(failed)?;
    let reply: Value = serde_json::from_slice(&reply).map_err(|_| {
        Fault::internal("answer", format!("`{}` does not answer like a {who}", path.display()))
    })?;
    match reply.get("error").and_then(|error| error.get("message")).and_then(Value::as_str) {
        Some(message) => Err(Fault::usage(format!("the {who} did not take the question: {message}"))),
        None => Ok(reply),
    }
}

fn exchange(path: &Path, line: &str) -> io::Result<Vec<u8>> {
    let mut stream = UnixStream::connect(path)?;
    stream.set_read_timeout(Some(WAIT))?;
    stream.set_write_timeout(Some(WAIT))?;
    stream.write_all(line.as_bytes())?;
    let mut reply = Vec::new();
    BufReader::new(stream.take(ANSWER_BYTES_MAX)).read_until(b'\n', &mut reply)?;
    Ok(reply)
}
