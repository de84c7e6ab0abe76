//! The tortured processes, seen from outside.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use tokio::time::Instant;

/// Limit: anything that a process is waited for.
const WAIT: Duration = Duration::from_secs(60);
/// Limit: what is kept of standard error.
const STDERR_BYTES_MAX: u64 = 64 * 1024;

/// What a writer says when its disk takes nothing more.
const LAST_LINES: [&str; 2] = ["memory", "refused"];

/// Who is tortured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// The store of an agent.
    Agent,
    /// The log of a controller.
    Log,
}

impl Subject {
    /// The word on the command line.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::Log => "log",
        }
    }
}

/// What stands around a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cage {
    /// Nothing.
    None,
    /// No file may grow past so many KiB: a full disk.
    FileKib(u64),
    /// Its folder is read-only.
    ReadOnly,
}

/// Starts processes of one program.
#[derive(Debug, Clone)]
pub struct Program {
    path: PathBuf,
}

/// What a process said and how it ended.
#[derive(Debug, Clone, Default)]
pub struct Said {
    /// Lines of standard output.
    pub lines: Vec<String>,
    /// The end of standard error.
    pub stderr: String,
    /// Exit code; `None`: a signal.
    pub code: Option<i32>,
}

/// A process that is killed when it is dropped.
#[derive(Debug)]
pub struct Running {
    child: Child,
    lines: Receiver<String>,
    seen: Vec<String>,
    stderr: Option<thread::JoinHandle<String>>,
}

impl Program {
    /// The program `rescind-torture`.
    #[must_use]
    pub const fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// Starts it with `word` (`write` or `check`) for a subject.
    ///
    /// # Errors
    /// It does not start.
    pub fn start(
        &self,
        word: &str,
        subject: Subject,
        folder: &Path,
        seed: u64,
        cage: Cage,
    ) -> Result<Running, String> {
        let mut command = match cage {
            Cage::None => Command::new(&self.path),
            Cage::FileKib(kib) => {
                // Why the trap: without it the signal of the limit kills the process; with it the write fails.
                let script = "trap '' XFSZ; ulimit -f \"$1\"; shift; exec \"$@\"";
                let mut shell = Command::new("bash");
                shell.args(["-c", script, "caged", &kib.to_string()]).arg(&self.path);
                shell
            }
            Cage::ReadOnly => {
                let script = "mount --bind \"$1\" \"$1\" && mount -o remount,bind,ro \"$1\" || exit 77; shift; exec \"$@\"";
                let mut shell = Command::new("unshare");
                shell.args(["-m", "bash", "-c", script, "caged"]).arg(folder).arg(&self.path);
                shell
            }
        };
        command.arg(word).arg(subject.word()).arg(folder).arg(seed.to_string());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| format!("a process does not start: {error}"))?;
        let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
            return Err("a process has no output".to_owned());
        };
        let lines = follow(stdout);
        let stderr = thread::spawn(move || {
            let mut bytes = Vec::new();
            stderr.take(STDERR_BYTES_MAX).read_to_end(&mut bytes).ok();
            String::from_utf8_lossy(&bytes).into_owned()
        });
        Ok(Running { child, lines, seen: Vec::new(), stderr: Some(stderr) })
    }
}

fn follow(stdout: ChildStdout) -> Receiver<String> {
    let (sender, lines) = channel();
    thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    lines
}

impl Running {
    /// Waits until so many lines came, or one that says that no more will come, or the process ended.
    ///
    /// # Errors
    /// Neither within a minute.
    pub fn until_lines(&mut self, count: usize) -> Result<(), String> {
        let until = Instant::now() + WAIT;
        while self.seen.len() < count {
            match self.lines.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    let is_last = LAST_LINES.contains(&line.as_str());
                    self.seen.push(line);
                    if is_last {
                        return Ok(());
                    }
                }
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
                Err(RecvTimeoutError::Timeout) => {
                    return Err(format!("a process said {} of {count} lines in {WAIT:?}", self.seen.len()));
                }
            }
        }
        Ok(())
    }

    /// Whether it ended by itself.
    pub fn has_ended(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(Some(_)) | Err(_))
    }

    /// Ends it as a crash would; gives everything that it said before.
    ///
    /// # Errors
    /// It does not go away.
    pub fn kill9(mut self) -> Result<Said, String> {
        let ended = self.child.try_wait().map_err(|error| error.to_string())?;
        self.child.kill().ok();
        let status = self.child.wait().map_err(|error| error.to_string())?;
        Ok(self.said(ended.unwrap_or(status).code()))
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// It goes on after a minute.
    pub fn wait(mut self) -> Result<Said, String> {
        let until = Instant::now() + WAIT;
        loop {
            match self.child.try_wait() {
                Ok(Some(status)) => return Ok(self.said(status.code())),
                Ok(None) if Instant::now() < until => thread::sleep(Duration::from_millis(2)),
                Ok(None) => return Err(format!("a process did not end within {WAIT:?}: {:?}", self.seen)),
                Err(error) => return Err(error.to_string()),
            }
        }
    }

    fn said(&mut self, code: Option<i32>) -> Said {
        // The pipe is closed, so this ends; what was written before the end is in it.
        let mut lines = std::mem::take(&mut self.seen);
        lines.extend(self.lines.iter());
        let stderr = self.stderr.take().and_then(|reader| reader.join().ok()).unwrap_or_default();
        Said { lines, stderr, code }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
