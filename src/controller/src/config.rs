//! The controller's configuration: everything is parsed and every mistake reported at once.

mod check;
mod table;
#[cfg(test)]
mod tests;

use std::fmt;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rescind_bus::{ClientCertificate, Replicas};
use rescind_codec::{RealmPin, SecretKey, TrustBundle};
use rescind_core::controller::quota::Budget;
use rescind_core::controller::registry::Retention;
use rescind_core::controller::rights::Rights;
use rescind_core::ids::{ControllerId, EmitterId};

/// Default of [`ControllerConfig::snapshot_every`].
pub(crate) const SNAPSHOT_EVERY_DEFAULT: u64 = 50_000;

/// Default of [`ControllerConfig::snapshot_keep`].
pub(crate) const SNAPSHOT_KEEP_DEFAULT: u64 = 3;

/// One thing that is wrong, and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigMistake {
    /// Where, as in the file: `emitters[1].allow`.
    pub field: String,
    /// What is wrong and what to write.
    pub advice: String,
}

impl fmt::Display for ConfigMistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`: {}", self.field, self.advice)
    }
}

/// A configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration `{path}`; check path and rights, `rescind init` makes one", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Not TOML; nothing else could be looked at.
    #[error("the configuration is not TOML: {reason}")]
    Syntax {
        /// Line and reason, without the text of the line.
        reason: String,
    },
    /// Every mistake.
    #[error(
        "the configuration has {} mistake(s): {}",
        .0.len(),
        .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
    )]
    Mistakes(Vec<ConfigMistake>),
}

impl ConfigError {
    /// The mistakes; empty where the file could not be read as TOML.
    #[must_use]
    pub fn mistakes(&self) -> &[ConfigMistake] {
        match self {
            Self::Mistakes(mistakes) => mistakes,
            Self::Read { .. } | Self::Syntax { .. } => &[],
        }
    }
}

/// Where the bus is and how to log in.
#[derive(Debug, Clone)]
pub struct NatsOptions {
    /// Servers; at least one.
    pub urls: Vec<String>,
    /// Seed of this controller's user; `None` only without authentication.
    pub nkey_file: Option<PathBuf>,
    /// Certificate authority; makes TLS required.
    pub ca_file: Option<PathBuf>,
    /// For mutual TLS.
    pub client_certificate: Option<ClientCertificate>,
}

/// What can be chosen about the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamOptions {
    /// Copies.
    pub replicas: Replicas,
    /// Oldest message that the broker keeps; `None` keeps all.
    pub max_age: Option<Duration>,
    /// Largest size of the stream in bytes.
    pub max_bytes: Option<u64>,
}

/// The direct path of agents; see docs/direct.md.
#[derive(Clone)]
pub struct DirectOptions {
    /// Where it listens; port 0: the system chooses.
    pub listen: SocketAddr,
    /// Where to write the address that is really used.
    pub address_file: Option<PathBuf>,
    pub(crate) tls: Arc<tokio_rustls::rustls::ServerConfig>,
}

impl fmt::Debug for DirectOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DirectOptions").field("listen", &self.listen).finish_non_exhaustive()
    }
}

/// An emitter of the HTTP API.
#[derive(Clone)]
pub struct EmitterConfig {
    /// Its name, as in records.
    pub name: EmitterId,
    /// SHA-256 of its bearer token.
    pub token_sha256: [u8; 32],
    /// What it may ask for.
    pub rights: Rights,
    /// How much of it in time; `None`: not limited.
    pub budget: Option<Budget>,
}

impl fmt::Debug for EmitterConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmitterConfig")
            .field("name", &self.name)
            .field("rights", &self.rights)
            .finish_non_exhaustive()
    }
}

/// Copies of snapshots outside the bus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchiveOptions {
    /// Their folder.
    pub dir: PathBuf,
    /// Every so many snapshots one is copied; at least 1.
    pub every: u64,
}

/// A checked configuration with everything that its files hold.
#[derive(Clone)]
pub struct ControllerConfig {
    /// Name of this controller, as in its certificate.
    pub controller_id: ControllerId,
    /// Address of the HTTP API; port 0: the system chooses.
    pub listen: SocketAddr,
    /// Where to write the address that is really used.
    pub address_file: Option<PathBuf>,
    /// Realm, chain and root key.
    pub pin: RealmPin,
    /// Everybody's certificates.
    pub trust: Arc<TrustBundle>,
    /// This controller's key.
    pub key: Arc<SecretKey>,
    /// Directory of the write-ahead log.
    pub data_dir: PathBuf,
    /// Completes `user:ID` in holders of entitlements.
    pub default_issuer: Option<Box<str>>,
    /// Lease length that ticks name.
    pub lease: Duration,
    /// The bus.
    pub nats: NatsOptions,
    /// The stream.
    pub stream: StreamOptions,
    /// Who may use the HTTP API.
    pub emitters: Vec<EmitterConfig>,
    /// The direct path; `None`: agents have the bus alone.
    pub direct: Option<DirectOptions>,
    /// A snapshot is made after so many revisions; 0: only when one is asked for.
    pub snapshot_every: u64,
    /// Newest snapshots that are kept in the bucket; at least 2, so that an agent in mid-transfer can finish.
    pub snapshot_keep: usize,
    /// Copies of snapshots outside the bus; `None`: none.
    pub snapshot_archive: Option<ArchiveOptions>,
    /// How long records are needed, by issuer.
    pub retention: Retention,
}

impl fmt::Debug for ControllerConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ControllerConfig")
            .field("controller_id", &self.controller_id)
            .field("listen", &self.listen)
            .field("realm", &self.pin.realm)
            .field("data_dir", &self.data_dir)
            .field("emitters", &self.emitters)
            .finish_non_exhaustive()
    }
}

impl ControllerConfig {
    /// Reads a file; paths inside it are relative to its folder.
    ///
    /// # Errors
    /// [`ConfigError`] with every mistake of the file and of the files that it names.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text =
            fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        Self::parse(&text, path.parent().unwrap_or(Path::new("")))
    }

    /// Reads a text; paths inside it are relative to `folder`.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn parse(text: &str, folder: &Path) -> Result<Self, ConfigError> {
        let table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
            // Why not the whole message: it quotes the line, which may hold what nobody should see in a log.
            let line =
                error.span().map(|span| 1 + text.bytes().take(span.start).filter(|b| *b == b'\n').count());
            let line = line.map(|line| format!("line {line}: ")).unwrap_or_default();
            ConfigError::Syntax { reason: format!("{line}{}", error.message()) }
        })?;
        check::check(table, folder)
    }
}
