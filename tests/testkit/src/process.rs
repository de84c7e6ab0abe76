//! The binary `rescind` as processes of a test: they end with their handle, by their own id.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, BufReader, Lines},
    process::{Child, ChildStdout, Command},
    time::timeout,
};

use crate::{
    error::{KitError, KitResult},
    wait::SOON,
};

/// Names the binary to use instead of the one beside the test.
pub const BINARY_VARIABLE: &str = "RESCIND_BINARY";

/// Limit: lines of standard error that are kept for an error text.
const LINES_KEPT_MAX: usize = 200;

/// The binary `rescind` of the same build as the test that asks.
///
/// # Errors
/// Says how to build it.
pub fn binary() -> KitResult<PathBuf> {
    if let Some(path) = std::env::var_os(BINARY_VARIABLE) {
        return Ok(path.into());
    }
    let test = std::env::current_exe().map_err(KitError::because("find this test's own program"))?;
    // Why two up: tests lie in `<profile>/deps`, binaries in `<profile>`.
    let path = test.ancestors().nth(2).map(|folder| folder.join("rescind")).unwrap_or_default();
    if path.is_file() {
        return Ok(path);
    }
    Err(KitError::new(format!(
        "there is no `rescind` beside this test; run `cargo build -p rescind-cli` first, or `cargo xtask test`, \
         or name it in {BINARY_VARIABLE}"
    )))
}

/// Limit: how long a dropped process may take to end in order.
const END_WAIT: Duration = Duration::from_secs(5);

/// Pause between two looks at a process that was asked to end.
const END_LOOK: Duration = Duration::from_millis(5);

/// What a finished program left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    /// Exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Finished {
    /// Standard output as one JSON value.
    ///
    /// # Errors
    /// The output, where it is none.
    pub fn json(&self) -> KitResult<Value> {
        serde_json::from_str(self.stdout.trim())
            .map_err(KitError::because(format!("read JSON from `{}` / `{}`", self.stdout, self.stderr)))
    }
}

/// Runs `rescind` with these arguments to its end.
///
/// # Errors
/// It does not start or does not end in time.
pub async fn run(arguments: &[&str]) -> KitResult<Finished> {
    let mut command = Command::new(binary()?);
    command.args(arguments).stdin(Stdio::null()).kill_on_drop(true);
    let output = timeout(SOON, command.output()).await;
    let output = output
        .map_err(|_| KitError::new(format!("`rescind {}` did not end within {SOON:?}", arguments.join(" "))))?
        .map_err(KitError::because("run `rescind`"))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok(Finished { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) })
}

/// A program that runs in the background. Dropping it asks it to end, waits 5 s at most, and kills what is left
/// of it and of its process group.
#[derive(Debug)]
pub struct Process {
    child: Child,
    /// Its process group, which only it and its children are in; `None` once that was ended.
    group: Option<Pid>,
    stdout: Lines<BufReader<ChildStdout>>,
    stderr: Arc<Mutex<Vec<String>>>,
}

impl Process {
    /// Starts a program.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(mut command: Command) -> KitResult<Self> {
        // Why a group: what the program starts must not outlive it.
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        let mut child = command.spawn().map_err(KitError::because("start a process"))?;
        let lost = || KitError::new("the process has no output");
        let stdout = BufReader::new(child.stdout.take().ok_or_else(lost)?).lines();
        let stderr = Arc::new(Mutex::new(Vec::new()));
        tokio::spawn(collect(child.stderr.take().ok_or_else(lost)?, Arc::clone(&stderr)));
        let group = process_id(&child);
        Ok(Self { child, group, stdout, stderr })
    }

    /// Starts `rescind controller --config FILE --json`, with no file growing past `file_kib` KiB; the limit
    /// shows as a failed write, like a full disk.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn controller(config: &Path, file_kib: Option<u64>) -> KitResult<Self> {
        let binary = binary()?;
        let mut command = match file_kib {
            None => Command::new(&binary),
            Some(limit) => {
                let mut shell = Command::new("bash");
                // Why the trap: without it the signal of the limit kills the process; with it the write fails.
                // Why bash: it counts in KiB, other shells in blocks of 512 bytes.
                shell.args(["-c", "trap '' XFSZ; ulimit -f \"$1\"; shift; exec \"$@\"", "limited"]);
                shell.arg(limit.to_string()).arg(&binary);
                shell
            }
        };
        command.args(["controller", "--json", "--config"]).arg(config);
        Self::start(command)
    }

    /// The next line of standard output.
    ///
    /// # Errors
    /// None in time, or the end; with what it said on standard error.
    pub async fn line(&mut self) -> KitResult<String> {
        match timeout(SOON, self.stdout.next_line()).await {
            Ok(Ok(Some(line))) => Ok(line),
            Ok(Ok(None)) => Err(KitError::new(format!("the process ended: {}", self.stderr()))),
            Ok(Err(error)) => Err(KitError::because("read a line of a process")(error)),
            Err(_) => Err(KitError::new(format!("no line within {SOON:?}: {}", self.stderr()))),
        }
    }

    /// Reads lines until one is JSON with this member, as text.
    ///
    /// # Errors
    /// As [`Process::line`].
    pub async fn until_json(&mut self, member: &str) -> KitResult<String> {
        loop {
            let line = self.line().await?;
            let value: Value = serde_json::from_str(&line).unwrap_or(Value::Null);
            if let Some(text) = value.get(member).and_then(Value::as_str) {
                return Ok(text.to_owned());
            }
        }
    }

    /// The end of what it said on standard error.
    #[must_use]
    pub fn stderr(&self) -> String {
        self.stderr.lock().unwrap_or_else(PoisonError::into_inner).join("\n")
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// It has ended.
    pub fn signal(&self, signal: Signal) -> KitResult {
        let id = process_id(&self.child).ok_or_else(|| KitError::new("signal a process that has ended"))?;
        kill_process(id, signal).map_err(KitError::because("signal a process"))
    }

    /// Ends it as a crash would, and waits until it is gone.
    ///
    /// # Errors
    /// It does not go away.
    pub async fn kill9(&mut self) -> KitResult {
        self.end_group();
        self.child.wait().await.map_err(KitError::because("wait for a killed process")).map(drop)
    }

    /// Waits for its end and returns the exit code; `None` when a signal ended it.
    ///
    /// # Errors
    /// It goes on after `limit`.
    pub async fn wait(&mut self, limit: Duration) -> KitResult<Option<i32>> {
        let status = timeout(limit, self.child.wait()).await;
        let status = status.map_err(|_| KitError::new(format!("the process goes on after {limit:?}")))?;
        let code = status.map_err(KitError::because("wait for a process"))?.code();
        self.end_group();
        Ok(code)
    }

    /// Kills whatever is left of the group, once: afterwards its number may belong to somebody else.
    fn end_group(&mut self) {
        if let Some(group) = self.group.take() {
            // Why ignored: an empty group is what is wanted.
            kill_process_group(group, Signal::KILL).ok();
        }
    }
}

impl Drop for Process {
    /// Asks first and waits a moment: `rescind dev` has to end its nats-server, which is in a group of its own.
    fn drop(&mut self) {
        if self.signal(Signal::TERM).is_ok() {
            let looks = END_WAIT.as_millis() / END_LOOK.as_millis().max(1);
            for _ in 0..looks {
                if !matches!(self.child.try_wait(), Ok(None)) {
                    break;
                }
                std::thread::sleep(END_LOOK);
            }
        }
        self.end_group();
    }
}

/// The id of a child that was not yet waited for.
fn process_id(child: &Child) -> Option<Pid> {
    child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw)
}

#[cfg(test)]
mod tests;

async fn collect(stream: impl AsyncRead + Unpin, into: Arc<Mutex<Vec<String>>>) {
    let mut lines = BufReader::new(stream).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let mut kept = into.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= LINES_KEPT_MAX {
            kept.remove(0);
        }
        kept.push(line);
    }
}
