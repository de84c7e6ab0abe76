//! One running `nats-server` that belongs to us.

use std::os::unix::process::CommandExt as _;
use std::{
    fs::{self, File, OpenOptions},
    io,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};

use crate::{
    command::{last_lines, poll_until, tail, wait_bounded},
    locate::NatsServer,
};

mod conf;
#[cfg(test)]
mod tests;

/// Limit: a start takes about 0.2 s; a loaded machine or a large store gets some time.
const START_WAIT: Duration = Duration::from_secs(10);

/// Limit: an orderly stop flushes the store; after this the process is killed.
const STOP_WAIT: Duration = Duration::from_secs(10);

/// Limit: the kernel removes a killed process at once, unless it sits in the disk driver.
const KILL_WAIT: Duration = Duration::from_secs(10);

/// When JetStream makes a write durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SyncPolicy {
    /// fsync before every acknowledgement: what a revocation log needs. A server before 2.10 cannot do it
    /// and runs with its own default.
    Always,
    /// The server's own default, every two minutes: acknowledged writes can be lost.
    ServerDefault,
}

/// Settings of the broker's store.
#[derive(Debug, Clone)]
pub struct JetStream {
    /// Directory of the store; kept over [`NatsProcess::restart`].
    pub store_dir: PathBuf,
    /// When a write is durable.
    pub sync: SyncPolicy,
    /// Largest store in bytes; `None` leaves it to the server (three quarters of the free disk).
    pub max_store_bytes: Option<u64>,
}

/// How to run a server.
#[derive(Debug, Clone)]
pub struct Config {
    /// Working directory for the configuration, the ports file and, unless given, the log; created.
    pub data_dir: PathBuf,
    /// Address to listen on.
    pub host: Ipv4Addr,
    /// Port to listen on; 0 lets the system choose, see [`NatsProcess::port`].
    pub port: u16,
    /// The store; `None` for a broker without one, or when `extra` has a `jetstream` block.
    pub jetstream: Option<JetStream>,
    /// More configuration text, for example users and permissions; written as it is.
    pub extra: Option<String>,
    /// A configuration file to include; it must not set the port.
    pub include: Option<PathBuf>,
    /// Where the server writes its log; appended to.
    pub log_file: PathBuf,
    /// Largest message in bytes; `None` for the server's default of 1 MiB.
    pub max_payload_bytes: Option<u32>,
}

impl Config {
    /// A server on loopback, on a port of the system's choice, with a store below `data_dir` that syncs
    /// every write.
    #[must_use]
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        let data_dir = data_dir.into();
        Self {
            host: Ipv4Addr::LOCALHOST,
            port: 0,
            jetstream: Some(JetStream {
                store_dir: data_dir.join("store"),
                sync: SyncPolicy::Always,
                max_store_bytes: None,
            }),
            extra: None,
            include: None,
            log_file: data_dir.join("nats-server.log"),
            max_payload_bytes: None,
            data_dir,
        }
    }
}

/// A server that could not be started, stopped or signalled.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// A file or directory of the server could not be prepared.
    #[error("cannot prepare `{path}`; make it writable or choose another data directory", path = path.display())]
    Prepare {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The configuration cannot be written down.
    #[error("path `{path}` cannot be written into a configuration file; use a path of plain UTF-8", path = path.display())]
    Path {
        /// The offending path.
        path: PathBuf,
    },
    /// The binary could not be run.
    #[error("cannot run `{path}`; check that it exists and is executable", path = path.display())]
    Spawn {
        /// The binary.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Somebody else listens on the port.
    #[error(
        "port {port} is already in use; stop the other server or choose another port (0 lets the system choose)"
    )]
    PortInUse {
        /// The port that was asked for.
        port: u16,
    },
    /// The server ended while starting.
    #[error("nats-server ended while starting: {reason}; see `{log}`", log = log.display())]
    Exited {
        /// The last lines of its log.
        reason: String,
        /// The whole log.
        log: PathBuf,
    },
    /// The server did not get ready.
    #[error("nats-server was not ready after {seconds} s; see `{log}`", log = log.display())]
    NotReady {
        /// How long was waited.
        seconds: u64,
        /// The whole log.
        log: PathBuf,
    },
    /// A signal could not be sent or the end not be waited for.
    #[error("cannot {action} the nats-server with process id {pid}; look at that process")]
    Signal {
        /// What was attempted.
        action: &'static str,
        /// The process.
        pid: u32,
        /// What the system said.
        source: io::Error,
    },
    /// It is not running.
    #[error("the nats-server is not running; restart it first")]
    NotRunning,
}

/// A running server; dropping it kills the process.
#[derive(Debug)]
pub struct NatsProcess {
    server: NatsServer,
    config: Config,
    child: Option<Child>,
    port: u16,
    /// The process id of the last start, also after its end.
    pid: u32,
}

impl NatsProcess {
    /// Writes the configuration, starts the server and waits until it accepts clients (10 s at most,
    /// usually 0.2 s).
    ///
    /// # Errors
    /// [`ProcessError::PortInUse`], or what the server's log said when it ended, or that it was not ready
    /// in time. Nothing is left running then.
    pub fn start(server: &NatsServer, config: Config) -> Result<Self, ProcessError> {
        let port = config.port;
        let mut process = Self { server: server.clone(), config, child: None, port, pid: 0 };
        process.launch()?;
        Ok(process)
    }

    /// Where clients connect, `nats://127.0.0.1:<port>`.
    #[must_use]
    pub fn client_url(&self) -> String {
        format!("nats://{}", self.address())
    }

    /// Where clients connect.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from((self.config.host, self.port))
    }

    /// The port in use; stays the same over restarts.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Process id of the current or last run.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// The configuration it was started with.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The binary and its version.
    #[must_use]
    pub fn server(&self) -> &NatsServer {
        &self.server
    }

    /// Whether the process exists (a paused one does).
    pub fn is_running(&mut self) -> bool {
        self.child.as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(None)))
    }

    /// Stops it in order and waits (10 s at most, then it is killed). Does nothing when it is not running.
    ///
    /// # Errors
    /// [`ProcessError::Signal`] when the process cannot be signalled or does not end even when killed.
    pub fn stop(&mut self) -> Result<(), ProcessError> {
        if !self.is_running() {
            self.child = None;
            return Ok(());
        }
        // Why first: a paused process keeps the request to stop for later.
        self.signal(Signal::CONT, "resume")?;
        self.signal(Signal::TERM, "stop")?;
        let ended = match self.child.as_mut() {
            Some(child) => wait_bounded(child, STOP_WAIT),
            None => return Ok(()),
        };
        match ended {
            Ok(Some(_)) => {
                self.child = None;
                Ok(())
            }
            Ok(None) => self.kill9(),
            Err(source) => Err(ProcessError::Signal { action: "wait for", pid: self.pid, source }),
        }
    }

    /// Kills it at once, as a crash would, and waits until it is gone.
    ///
    /// # Errors
    /// [`ProcessError::Signal`] when the process does not go away within 10 s.
    pub fn kill9(&mut self) -> Result<(), ProcessError> {
        let Some(mut child) = self.child.take() else { return Ok(()) };
        let failed = |source| ProcessError::Signal { action: "kill", pid: self.pid, source };
        child.kill().map_err(failed)?;
        match wait_bounded(&mut child, KILL_WAIT).map_err(failed)? {
            Some(_) => Ok(()),
            None => Err(failed(io::Error::from(io::ErrorKind::TimedOut))),
        }
    }

    /// Freezes it: connections stay open and nothing answers, like a black hole. All its threads have
    /// stopped when the call returns.
    ///
    /// # Errors
    /// [`ProcessError::NotRunning`] or [`ProcessError::Signal`].
    pub fn pause(&self) -> Result<(), ProcessError> {
        self.signal(Signal::STOP, "pause")?;
        let child = self.child.as_ref().ok_or(ProcessError::NotRunning)?;
        // Why: the signal stops one thread after the other; the kernel tells the parent after the last one.
        // Only looked at (NOWAIT), and only at stops: the end of the child stays for `Child` to collect.
        let look = WaitIdOptions::STOPPED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        let stopped = poll_until(STOP_WAIT, || waitid(WaitId::Pid(Pid::from_child(child)), look).transpose());
        let failed = |source| ProcessError::Signal { action: "pause", pid: self.pid, source };
        match stopped {
            Some(Ok(_)) => Ok(()),
            Some(Err(error)) => Err(failed(error.into())),
            None => Err(failed(io::Error::from(io::ErrorKind::TimedOut))),
        }
    }

    /// Continues after [`NatsProcess::pause`].
    ///
    /// # Errors
    /// [`ProcessError::NotRunning`] or [`ProcessError::Signal`].
    pub fn resume(&self) -> Result<(), ProcessError> {
        self.signal(Signal::CONT, "resume")
    }

    /// Starts it again on the same port and store; stops it in order first if it runs.
    ///
    /// # Errors
    /// As [`NatsProcess::stop`] and [`NatsProcess::start`].
    pub fn restart(&mut self) -> Result<(), ProcessError> {
        self.stop()?;
        self.launch()
    }

    /// Signals our own child only: the child is not reaped as long as we hold it, so the id is still its.
    fn signal(&self, signal: Signal, action: &'static str) -> Result<(), ProcessError> {
        let child = self.child.as_ref().ok_or(ProcessError::NotRunning)?;
        kill_process(Pid::from_child(child), signal).map_err(|error| ProcessError::Signal {
            action,
            pid: self.pid,
            source: error.into(),
        })
    }

    fn launch(&mut self) -> Result<(), ProcessError> {
        let dir = &self.config.data_dir;
        fs::create_dir_all(dir).map_err(|source| prepare(dir, source))?;
        self.remove_ports_files().map_err(|source| prepare(dir, source))?;
        let conf = dir.join("nats-server.conf");
        let text = conf::render(&self.config, self.port, self.server.version)?;
        fs::write(&conf, text).map_err(|source| prepare(&conf, source))?;
        let log = &self.config.log_file;
        let log_start = fs::metadata(log).map(|meta| meta.len()).unwrap_or(0);
        let out = append(log)?;
        let err = out.try_clone().map_err(|source| prepare(log, source))?;
        let child = Command::new(&self.server.path)
            .arg("--config")
            .arg(&conf)
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(err)
            // Why: Ctrl-C in a terminal is for whoever started the server, which ends it in order.
            .process_group(0)
            .spawn()
            .map_err(|source| ProcessError::Spawn { path: self.server.path.clone(), source })?;
        self.pid = child.id();
        self.child = Some(child);
        let outcome = self.await_ports(log_start);
        if outcome.is_err() {
            self.kill9()?;
        }
        self.port = outcome?;
        Ok(())
    }

    /// Waits for the ports file and gives the client port.
    fn await_ports(&mut self, log_start: u64) -> Result<u16, ProcessError> {
        let ports = poll_until(START_WAIT, || {
            if let Some(port) = self.ports_file().and_then(|json| conf::client_port(&json)) {
                return Some(Some(port));
            }
            // Why after the file: a server may write it and end at once.
            (!self.is_running()).then_some(None)
        });
        let log = self.config.log_file.clone();
        match ports {
            Some(Some(port)) => Ok(port),
            Some(None) => Err(self.exit_error(log, log_start)),
            None => Err(ProcessError::NotReady { seconds: START_WAIT.as_secs(), log }),
        }
    }

    /// The ports file of this run: its name is the binary's name and the process id.
    fn ports_file(&self) -> Option<Vec<u8>> {
        let ending = format!("_{}.ports", self.pid);
        let mut entries = fs::read_dir(&self.config.data_dir).ok()?.flatten();
        let entry =
            entries.find(|entry| entry.file_name().to_str().is_some_and(|name| name.ends_with(&ending)))?;
        fs::read(entry.path()).ok()
    }

    /// Removes what a killed server left behind: a later one could get its process id.
    fn remove_ports_files(&self) -> io::Result<()> {
        for entry in fs::read_dir(&self.config.data_dir)? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "ports") {
                fs::remove_file(path)?;
            }
        }
        Ok(())
    }

    /// Why it ended, from what it logged since this start.
    fn exit_error(&self, log: PathBuf, log_start: u64) -> ProcessError {
        let grown = fs::metadata(&log).map(|meta| meta.len()).unwrap_or(0) > log_start;
        let text = if grown { tail(&log).unwrap_or_default() } else { String::new() };
        let reason = last_lines(&text, 2);
        if reason.contains("address already in use") {
            return ProcessError::PortInUse { port: self.port };
        }
        ProcessError::Exited { reason, log }
    }
}

impl Drop for NatsProcess {
    fn drop(&mut self) {
        // Why ignored: nobody is left to hear it, and the child is ours alone.
        self.kill9().ok();
    }
}

fn prepare(path: &Path, source: io::Error) -> ProcessError {
    ProcessError::Prepare { path: path.to_owned(), source }
}

fn append(path: &Path) -> Result<File, ProcessError> {
    OpenOptions::new().create(true).append(true).open(path).map_err(|source| prepare(path, source))
}
