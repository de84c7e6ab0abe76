//! One program of the fleet: its output goes to files, and it ends with its handle.

use std::{
    fs::{File, OpenOptions},
    io::{Read, Seek, SeekFrom},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use rescind_testkit::{KitError, KitResult, until};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};

/// Limit: how long an orderly end may take.
const END_WAIT: Duration = Duration::from_secs(10);

/// Bytes of a log that stand in an error text.
const TAIL_BYTES: u64 = 1200;

/// A running program in a process group of its own. Dropping it kills the group.
#[derive(Debug)]
pub struct Proc {
    child: Child,
    log: PathBuf,
}

impl Proc {
    /// Starts a program; standard output and error are appended to files.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(mut command: Command, out: &Path, log: &Path) -> KitResult<Self> {
        command.stdin(Stdio::null()).stdout(append(out)?).stderr(append(log)?).process_group(0);
        let child = command.spawn().map_err(KitError::because(format!("start {command:?}")))?;
        Ok(Self { child, log: log.to_owned() })
    }

    /// Process id, also its group.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether it runs; a stopped one does.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Signals the process and what it started.
    ///
    /// # Errors
    /// It has ended.
    pub fn signal(&mut self, signal: Signal) -> KitResult {
        if !self.is_running() {
            return Err(KitError::new("signal a process that has ended"));
        }
        kill_process_group(Pid::from_child(&self.child), signal)
            .map_err(KitError::because("signal a process"))
    }

    /// Ends it as a crash would, and waits until it is gone.
    ///
    /// # Errors
    /// It does not go away.
    pub fn kill9(&mut self) -> KitResult {
        if self.is_running() {
            kill_process_group(Pid::from_child(&self.child), Signal::KILL).ok();
            self.child.wait().map_err(KitError::because("wait for a killed process"))?;
        }
        Ok(())
    }

    /// Asks it to end and waits.
    ///
    /// # Errors
    /// It goes on; it is killed then.
    pub async fn stop(&mut self) -> KitResult {
        if !self.is_running() {
            return Ok(());
        }
        // Why only the process: a wrapper would die of the signal before what it started.
        kill_process(Pid::from_child(&self.child), Signal::TERM).ok();
        let ended = until("a process ends in order", END_WAIT, || !self.is_running()).await;
        if ended.is_err() {
            self.kill9()?;
        }
        ended.map(drop)
    }

    /// The end of what it logged.
    #[must_use]
    pub fn log_tail(&self) -> String {
        tail(&self.log)
    }
}

impl Drop for Proc {
    fn drop(&mut self) {
        // Why ignored: the process is what is to go, and it is ours alone.
        self.kill9().ok();
    }
}

/// The end of a file as text.
#[must_use]
pub fn tail(path: &Path) -> String {
    let Ok(mut file) = File::open(path) else { return String::new() };
    let length = file.metadata().map_or(0, |meta| meta.len());
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES))).ok();
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).ok();
    String::from_utf8_lossy(&bytes).into_owned()
}

fn append(path: &Path) -> KitResult<Stdio> {
    let file = OpenOptions::new().create(true).append(true).open(path);
    file.map(Stdio::from).map_err(KitError::because(format!("open {}", path.display())))
}

/// Runs a system tool to its end.
///
/// # Errors
/// What it said.
pub fn tool(program: &str, arguments: &[&str]) -> KitResult<String> {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output();
    let output = output.map_err(KitError::because(format!("run {program}")))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(KitError::new(format!("`{program} {}`: {}", arguments.join(" "), said.trim())))
}

/// The complete new lines of a file that somebody appends to.
#[derive(Debug)]
pub struct Tail {
    path: PathBuf,
    read: u64,
}

impl Tail {
    /// From the beginning of `path`, which may not exist yet.
    #[must_use]
    pub const fn new(path: PathBuf) -> Self {
        Self { path, read: 0 }
    }

    /// What was appended since the last call.
    pub fn lines(&mut self) -> Vec<String> {
        let Ok(mut file) = File::open(&self.path) else { return Vec::new() };
        let mut bytes = Vec::new();
        if file.seek(SeekFrom::Start(self.read)).is_err() || file.read_to_end(&mut bytes).is_err() {
            return Vec::new();
        }
        let complete = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        self.read += complete as u64;
        let text = String::from_utf8_lossy(bytes.get(..complete).unwrap_or_default()).into_owned();
        text.lines().map(str::to_owned).collect()
    }
}
