//! Runs other programs.

use std::{
    io::{BufRead, BufReader, IsTerminal, Read, Write},
    os::unix::process::CommandExt,
    process::{Command, Stdio},
    sync::mpsc,
    thread,
};

use crate::workspace::Workspace;

/// Limit: lines kept of a program's output; enough for the closing lines of a test run with its failures.
const LINES_KEPT_MAX: usize = 400;

/// Cargo in the repository's root, the same cargo that runs us.
pub(crate) fn cargo(workspace: &Workspace) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(&workspace.root);
    command
}

/// Runs a program to its end with our own output streams.
///
/// # Errors
/// A text that names `what` when it cannot be started or fails.
pub(crate) fn run(what: &str, command: &mut Command) -> Result<(), String> {
    let status = command.status().map_err(|error| format!("cannot start {what}: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("{what} failed ({status}); its output is above")) }
}

/// Becomes another program, so that signals and exit code are its own.
///
/// # Errors
/// Only when it cannot be started.
pub(crate) fn become_it(what: &str, command: &mut Command) -> Result<(), String> {
    let error = command.exec();
    Err(format!("cannot start {what}: {error}"))
}

/// Runs a program, passes its output on line by line, and keeps the last lines.
///
/// # Errors
/// A text that names `what`, and the lines that it left, when it cannot be started or fails.
pub(crate) fn run_and_keep(what: &str, command: &mut Command) -> (Result<(), String>, Vec<String>) {
    if std::io::stderr().is_terminal() {
        command.env("CARGO_TERM_COLOR", "always");
    }
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = match child {
        Ok(child) => child,
        Err(error) => return (Err(format!("cannot start {what}: {error}")), Vec::new()),
    };
    let (sender, receiver) = mpsc::channel();
    let readers: Vec<_> = [child.stdout.take().map(boxed), child.stderr.take().map(boxed)]
        .into_iter()
        .flatten()
        .map(|stream| {
            let sender = sender.clone();
            thread::spawn(move || pass_on(stream, &sender))
        })
        .collect();
    drop(sender);
    let mut kept = Kept::default();
    for line in receiver {
        // Why ignored: a closed terminal must not end a check.
        writeln!(std::io::stderr().lock(), "{line}").ok();
        kept.push(line);
    }
    for reader in readers {
        reader.join().ok();
    }
    let outcome = match child.wait() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{what} failed ({status}); its output is above")),
        Err(error) => Err(format!("cannot wait for {what}: {error}")),
    };
    (outcome, kept.lines)
}

fn boxed(stream: impl Read + Send + 'static) -> Box<dyn Read + Send> {
    Box::new(stream)
}

fn pass_on(stream: Box<dyn Read + Send>, sender: &mpsc::Sender<String>) {
    let mut reader = BufReader::new(stream);
    let mut bytes = Vec::new();
    while reader.read_until(b'\n', &mut bytes).is_ok_and(|count| count > 0) {
        let line = String::from_utf8_lossy(&bytes).trim_end().to_owned();
        bytes.clear();
        if sender.send(line).is_err() {
            return;
        }
    }
}

/// The last lines of an output.
#[derive(Debug, Default)]
struct Kept {
    lines: Vec<String>,
}

impl Kept {
    fn push(&mut self, line: String) {
        self.lines.push(line);
        if self.lines.len() >= LINES_KEPT_MAX * 2 {
            self.lines.drain(..LINES_KEPT_MAX);
        }
    }
}
