//! Runs a command with a bounded wait and keeps the end of what it printed.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::Duration,
};

/// Pause between two looks at a child or a file. Why: short enough for tests, long enough to cost nothing.
pub(crate) const POLL: Duration = Duration::from_millis(10);

/// Limit: bytes kept of a command's output or of a server log; enough for the last lines of an error.
pub(crate) const TAIL_BYTES_MAX: u64 = 16 * 1024;

/// Looks at `ready` every [`POLL`] until it gives a value or about `limit` has passed.
///
/// Why counted and not timed: the crate needs no clock, and a suspended machine must not end the wait.
pub(crate) fn poll_until<T>(limit: Duration, mut ready: impl FnMut() -> Option<T>) -> Option<T> {
    let rounds = limit.as_millis() / POLL.as_millis().max(1);
    for _ in 0..=rounds {
        if let Some(value) = ready() {
            return Some(value);
        }
        thread::sleep(POLL);
    }
    None
}

/// Waits for the end of a child; `None` after `limit`, the child is left running then.
pub(crate) fn wait_bounded(child: &mut Child, limit: Duration) -> io::Result<Option<ExitStatus>> {
    poll_until(limit, || child.try_wait().transpose()).transpose()
}

/// What a finished command left behind.
#[derive(Debug)]
pub(crate) struct Finished {
    /// Exit code zero.
    pub(crate) success: bool,
    /// The last [`TAIL_BYTES_MAX`] bytes of both output streams together.
    pub(crate) output: String,
}

/// Runs `command` to its end, output into `capture`, for at most `limit`; then it is killed.
pub(crate) fn run_bounded(command: &mut Command, capture: &Path, limit: Duration) -> io::Result<Finished> {
    let file = File::create(capture)?;
    let mut child = command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file).spawn()?;
    let status = wait_bounded(&mut child, limit)?;
    if status.is_none() {
        child.kill()?;
        child.wait()?;
    }
    let mut output = tail(capture).unwrap_or_default();
    if status.is_none() {
        output.push_str(&format!("\nstopped after {} s without an end", limit.as_secs()));
    }
    Ok(Finished { success: status.is_some_and(|status| status.success()), output })
}

/// The last [`TAIL_BYTES_MAX`] bytes of a file, invalid UTF-8 replaced.
pub(crate) fn tail(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES_MAX)))?;
    let mut bytes = Vec::new();
    file.take(TAIL_BYTES_MAX).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The last `lines` non-empty lines of a text, for an error message.
pub(crate) fn last_lines(text: &str, lines: usize) -> String {
    let all: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    all.get(all.len().saturating_sub(lines)..).unwrap_or_default().join("; ")
}
