//! The machine that the figures are from.

use std::fmt;
use std::fs;
use std::process::Command;

use serde_json::{Value, json};

/// Facts that a figure means nothing without.
#[derive(Debug, Clone)]
pub(crate) struct Facts {
    cores: usize,
    cpu: String,
    memory_mib: u64,
    kernel: String,
    load: String,
    rustc: String,
    nats_server: String,
    redis_server: String,
    commit: String,
    date: String,
}

impl Facts {
    /// Asks the machine; what cannot be found is `unknown`.
    pub(crate) fn gather() -> Self {
        Self {
            cores: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            cpu: field("/proc/cpuinfo", "model name"),
            memory_mib: kib("/proc/meminfo", "MemTotal") / 1024,
            kernel: file("/proc/sys/kernel/osrelease"),
            load: file("/proc/loadavg").split(' ').take(3).collect::<Vec<_>>().join(" "),
            rustc: said(Command::new("rustc").arg("--version")),
            nats_server: rescind_testkit::server::find()
                .map_or_else(|_| unknown(), |server| said(Command::new(&server.path).arg("--version"))),
            redis_server: said(Command::new("redis-server").arg("--version")),
            commit: said(Command::new("git").args(["describe", "--always", "--dirty"])),
            date: jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        }
    }

    pub(crate) fn json(&self) -> Value {
        json!({
            "cores": self.cores, "cpu": self.cpu, "memory_mib": self.memory_mib, "kernel": self.kernel,
            "load": self.load, "rustc": self.rustc, "nats_server": self.nats_server,
            "redis_server": self.redis_server, "commit": self.commit, "date": self.date,
        })
    }
}

impl fmt::Display for Facts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} x {}, {} MiB, kernel {}", self.cores, self.cpu, self.memory_mib, self.kernel)?;
        writeln!(f, "{}, {}, commit {}", self.rustc, self.nats_server, self.commit)?;
        write!(f, "{}, load {}", self.date, self.load)
    }
}

fn file(path: &str) -> String {
    fs::read_to_string(path).map_or_else(|_| unknown(), |text| text.trim().to_owned())
}

fn unknown() -> String {
    "unknown".to_owned()
}

/// The value after `name:` in a file of such lines.
pub(crate) fn field(path: &str, name: &str) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.trim_start().strip_prefix(':'));
    line.map_or_else(unknown, |value| value.trim().to_owned())
}

/// A value of `name: N kB`; 0 where there is none.
pub(crate) fn kib(path: &str, name: &str) -> u64 {
    field(path, name).split(' ').next().and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// The first line that a program prints.
fn said(command: &mut Command) -> String {
    let output = command.output().ok().filter(|output| output.status.success());
    let text = output.and_then(|output| String::from_utf8(output.stdout).ok()).unwrap_or_default();
    text.lines().next().map_or_else(unknown, str::to_owned)
}
