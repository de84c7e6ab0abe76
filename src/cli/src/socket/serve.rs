//! Answering lines until told to stop.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::{Bound, LINE_BYTES_MAX, error};

/// Limit: connections at a time; more wait to be accepted.
const CONNECTIONS_MAX: usize = 64;

/// Limit: a reader that takes no bytes for so long is cut off.
const WRITE_WAIT: Duration = Duration::from_secs(5);

/// An answer in the making; bounded in time.
pub(crate) type Answering = Pin<Box<dyn Future<Output = Value> + Send>>;

/// Answers a line.
pub(crate) type Answer = Arc<dyn Fn(&str) -> Answering + Send + Sync>;

/// Serves until `stop`; open connections are closed then, after the answer that is under way.
pub(crate) async fn serve(bound: Bound, answer: Answer, stop: CancellationToken) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    loop {
        let place = tokio::select! {
            () = stop.cancelled() => break,
            place = Arc::clone(&places).acquire_owned() => place,
        };
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = bound.listener().accept() => accepted,
        };
        while connections.try_join_next().is_some() {}
        let Ok((stream, _)) = accepted else {
            // Why a pause: out of file descriptors would otherwise spin.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let (answer, stop) = (Arc::clone(&answer), stop.clone());
        connections.spawn(async move {
            // Why ignored: a peer that goes away in the middle is its own affair.
            talk(stream, &answer, &stop).await.ok();
            drop(place);
        });
    }
    while connections.join_next().await.is_some() {}
}

async fn talk(mut stream: UnixStream, answer: &Answer, stop: &CancellationToken) -> io::Result<()> {
    let (read, mut write) = stream.split();
    let mut read = BufReader::new(read);
    let mut line = Vec::new();
    let limit = u64::try_from(LINE_BYTES_MAX).unwrap_or(u64::MAX);
    loop {
        line.clear();
        let mut bounded = (&mut read).take(limit);
        let length = tokio::select! {
            () = stop.cancelled() => return Ok(()),
            length = bounded.read_until(b'\n', &mut line) => length?,
        };
        if length == 0 {
            return Ok(());
        }
        let is_whole = line.last() == Some(&b'\n') || length < LINE_BYTES_MAX;
        let reply = match std::str::from_utf8(&line) {
            _ if !is_whole => error("too_long", &format!("the line is longer than {LINE_BYTES_MAX} bytes")),
            Ok(text) => answer(text.trim()).await,
            Err(_) => error("bad_line", "the line is not utf-8; send one json object in a line"),
        };
        timeout(WRITE_WAIT, write.write_all(format!("{reply}\n").as_bytes())).await??;
        if !is_whole {
            // Why: the rest of the line would be read as the next question.
            return Ok(());
        }
    }
}
