//! The directory of `rescind dev`.

use std::fs::{self, DirBuilder, File, TryLockError};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::args::value::{AgentSpec, EmitterSpec};
use crate::fault::Fault;
use crate::init::{self, DirectPlan, IssuerPlan, Jwks, Plan};
use crate::output::Screen;
use crate::settings::plain;

/// Name of the file that tells what this directory is.
const DEV_FILE: &str = "dev.json";

/// Ports that are taken when they are free; others otherwise.
const NATS_PORT: u16 = 4222;
const CONTROLLER_PORT: u16 = 7420;
const ISSUER_PORT: u16 = 7421;
const DIRECT_PORT: u16 = 7422;

/// What a dev realm remembers beside the files of every realm.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct DevFile {
    service: String,
    agent: String,
    nats_port: u16,
    issuer_port: u16,
}

/// An opened directory; nobody else runs it meanwhile.
#[derive(Debug)]
pub(crate) struct DevRealm {
    dir: PathBuf,
    file: DevFile,
    _lock: File,
}

impl DevRealm {
    /// Opens the directory, and makes it if it is not there.
    ///
    /// # Errors
    /// Usage: it is something else, or of another service. Refused: another `rescind dev` runs in it.
    pub(crate) fn open(dir: &Path, service: &str, screen: Screen) -> Result<Self, Fault> {
        if fs::symlink_metadata(dir).is_err() {
            make(dir, service)?;
            screen.text(&format!("made a dev realm in {} (keys, credentials, configuration)", dir.display()));
        }
        let failed = |why: &str| Fault::usage(format!("cannot run in `{}`: {why}", dir.display()));
        let dir = fs::canonicalize(dir).map_err(|error| failed(&plain(&error)))?;
        let text = fs::read_to_string(dir.join(DEV_FILE))
            .map_err(|_| failed("it exists and was not made by `rescind dev`; choose another with --dir"))?;
        let file: DevFile = serde_json::from_str(&text)
            .map_err(|error| failed(&format!("its {DEV_FILE} is damaged ({error})")))?;
        if file.service != service {
            let theirs = &file.service;
            return Err(failed(&format!(
                "its agent enforces for `{theirs}`; add --service {theirs}, or choose another --dir"
            )));
        }
        let run = dir.join("run");
        match DirBuilder::new().mode(0o700).create(&run) {
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
                return Err(failed(&plain(&error)));
            }
            _ => {}
        }
        let lock = File::create(run.join("lock")).map_err(|error| failed(&plain(&error)))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { dir, file, _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(Fault::refused(
                "running",
                format!(
                    "`rescind dev` already runs in `{}`; use it, stop it, or choose another --dir",
                    dir.display()
                ),
            )),
            Err(TryLockError::Error(error)) => Err(failed(&plain(&error))),
        }
    }

    /// The directory, absolute.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// A file below it.
    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        self.dir.join(relative)
    }

    /// The agent's configuration, relative.
    pub(crate) fn agent_file(&self) -> String {
        format!("agents/{}.toml", self.file.agent)
    }

    /// The service that it enforces for; the audience of tokens.
    pub(crate) fn service(&self) -> &str {
        &self.file.service
    }

    /// The issuer's `iss`.
    pub(crate) fn issuer(&self) -> String {
        issuer(self.file.issuer_port)
    }

    /// Where its keys are.
    pub(crate) fn jwks_url(&self) -> String {
        format!("{}/jwks.json", self.issuer())
    }

    /// Where the issuer listens.
    pub(crate) fn issuer_address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.file.issuer_port))
    }

    /// Where the nats-server listens.
    pub(crate) const fn nats_port(&self) -> u16 {
        self.file.nats_port
    }
}

fn issuer(port: u16) -> String {
    format!("http://127.0.0.1:{port}")
}

fn make(dir: &Path, service: &str) -> Result<(), Fault> {
    let agent = format!("{service}-1:{service}");
    let agent: AgentSpec =
        agent.parse().map_err(|error| Fault::usage(format!("--service `{service}`: {error}")))?;
    let emitters: Result<Vec<EmitterSpec>, _> =
        ["ir:all:16", "hr:disable,reinstate,grant,withdraw:5"].iter().map(|text| text.parse()).collect();
    let emitters =
        emitters.map_err(|error| Fault::internal("init", format!("cannot name the emitters: {error}")))?;
    let [nats_port, controller_port, issuer_port, direct_port] =
        free_ports([NATS_PORT, CONTROLLER_PORT, ISSUER_PORT, DIRECT_PORT])?;
    let file = DevFile { service: service.to_owned(), agent: agent.id.to_string(), nats_port, issuer_port };
    let plan = Plan {
        realm: "dev".to_owned(),
        agents: vec![agent],
        emitters,
        issuers: vec![IssuerPlan {
            issuer: issuer(issuer_port),
            jwks: Jwks::Url(format!("{}/jwks.json", issuer(issuer_port))),
            algorithms: vec!["ES256".to_owned()],
            audiences: Vec::new(),
        }],
        nats_url: format!("nats://127.0.0.1:{nats_port}"),
        listen: SocketAddr::from((Ipv4Addr::LOCALHOST, controller_port)),
        direct: Some(DirectPlan { listen: SocketAddr::from((Ipv4Addr::LOCALHOST, direct_port)) }),
        lease: Duration::from_secs(5),
    };
    let text = serde_json::to_string_pretty(&file).unwrap_or_default();
    init::create_with(dir, &plan, &[(DEV_FILE, format!("{text}\n"))]).map(|_| ())
}

/// The wanted ports where they are free, others of the system's choice where not; all different.
fn free_ports<const N: usize>(wanted: [u16; N]) -> Result<[u16; N], Fault> {
    let mut held = Vec::new();
    let mut ports = wanted;
    for port in &mut ports {
        // Why: the configuration files name the ports, so they are chosen before anything listens.
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, *port))
            .or_else(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))
            .and_then(|listener| Ok((listener.local_addr()?.port(), listener)));
        let (free, listener) = listener.map_err(|error| {
            Fault::internal("ports", format!("cannot find a free port: {}", plain(&error)))
        })?;
        *port = free;
        held.push(listener);
    }
    Ok(ports)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SILENT: Screen = Screen::new(true);

    #[test]
    fn a_taken_port_is_avoided() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = taken.local_addr().unwrap().port();
        let [one, two] = free_ports([port, port]).unwrap();
        assert!(one != port && two != port && one != two);
    }

    #[test]
    fn a_dev_realm_is_made_once_locked_and_opened_again() {
        let parent = tempfile::tempdir().unwrap();
        let dir = parent.path().join("dev");
        let realm = DevRealm::open(&dir, "orders", SILENT).unwrap();
        assert_eq!(realm.agent_file(), "agents/orders-1.toml");
        let key = fs::read(dir.join("secrets/root.key")).unwrap();
        assert_eq!(DevRealm::open(&dir, "orders", SILENT).unwrap_err().code(), "running");
        drop(realm);
        let fault = DevRealm::open(&dir, "payments", SILENT).unwrap_err();
        assert!(fault.to_string().contains("--service orders"), "{fault}");
        let realm = DevRealm::open(&dir, "orders", SILENT).unwrap();
        assert_eq!(fs::read(realm.path("secrets/root.key")).unwrap(), key);
    }

    #[test]
    fn another_directory_is_left_alone() {
        let other = tempfile::tempdir().unwrap();
        fs::write(other.path().join("mine"), "x").unwrap();
        let fault = DevRealm::open(other.path(), "payments", SILENT).unwrap_err();
        assert!(fault.to_string().contains("not made by `rescind dev`"), "{fault}");
        assert_eq!(fs::read_dir(other.path()).unwrap().count(), 1);
    }
}
