//! What an agent needs to know before it starts: read as a whole, then every mistake is reported at once.
//!
//! [`AgentConfig`] exists only checked: files were read, keys belong to the agent, addresses and policies make
//! sense. It comes from a TOML file ([`AgentConfig::load`]) or from code ([`AgentConfig::builder`]).

mod build;
mod input;

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rescind_bus::BusConfig;
use rescind_codec::{RealmPin, SecretKey, TrustBundle};
use rescind_core::decide::StalePolicies;
use rescind_core::ids::{AgentId, ServiceName};
use rescind_token::TrustConfig;

pub use build::AgentConfigBuilder;
use input::Input;

use crate::direct::DirectConfig;

/// Default number of slots of the token cache: some 20,000 live tokens with room to spare.
pub const TOKEN_CACHE_SLOTS_DEFAULT: usize = 65_536;
/// Limit: slots of the token cache, some 6 GB of tokens when full.
pub const TOKEN_CACHE_SLOTS_MAX: usize = 1 << 22;
/// Default pause between reports when nothing happens.
pub const REPORT_EVERY_DEFAULT: Duration = Duration::from_secs(5);

/// The configuration of one agent, checked. See `deploy/` for a commented file.
///
/// ```no_run
/// # fn main() -> Result<(), rescind_agent::ConfigError> {
/// use std::path::Path;
/// let config = rescind_agent::AgentConfig::load(Path::new("/etc/rescind/agents/payments-1.toml"))?;
/// # Ok(()) }
/// ```
pub struct AgentConfig {
    pub(crate) agent: AgentId,
    pub(crate) service: ServiceName,
    pub(crate) pin: RealmPin,
    pub(crate) trust: TrustBundle,
    pub(crate) key: SecretKey,
    pub(crate) store_dir: Option<PathBuf>,
    pub(crate) policies: StalePolicies,
    pub(crate) bus: BusConfig,
    pub(crate) direct: Option<DirectConfig>,
    pub(crate) issuers: TrustConfig,
    pub(crate) token_cache_slots: usize,
    pub(crate) report_every: Duration,
}

impl fmt::Debug for AgentConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AgentConfig")
            .field("agent", &self.agent)
            .field("service", &self.service)
            .field("realm", &self.pin.realm)
            .field("store_dir", &self.store_dir)
            .finish_non_exhaustive()
    }
}

/// One mistake: where it is and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{field}`: {advice}")]
pub struct ConfigMistake {
    /// The field, as in the file: `nats.url`, `stale_actions[0].policy`.
    pub field: String,
    /// What is wrong and what to write instead.
    pub advice: String,
}

/// A configuration that cannot be used, with every mistake in it.
#[derive(Debug)]
pub struct ConfigError {
    /// The file, if it came from one.
    pub file: Option<PathBuf>,
    /// At least one, in the order of the file.
    pub mistakes: Vec<ConfigMistake>,
}

impl std::error::Error for ConfigError {}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.file {
            Some(file) => write!(f, "the agent configuration `{}` cannot be used", file.display())?,
            None => f.write_str("the agent configuration cannot be used")?,
        }
        self.mistakes.iter().try_for_each(|mistake| write!(f, "; {mistake}"))
    }
}

impl AgentConfig {
    /// Reads a TOML file and everything that it names. Paths inside are relative to the file's folder.
    ///
    /// # Errors
    /// [`ConfigError`] with every mistake; nothing was started.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let in_file = |mut error: ConfigError| {
            error.file = Some(path.to_path_buf());
            error
        };
        let text = std::fs::read_to_string(path).map_err(|error| {
            let advice = format!("cannot be read ({error}); check the path and its rights");
            let mistake = ConfigMistake { field: path.display().to_string(), advice };
            in_file(ConfigError { file: None, mistakes: vec![mistake] })
        })?;
        Self::parse(&text, path.parent().unwrap_or(Path::new("."))).map_err(in_file)
    }

    /// As [`Self::load`], from a text; paths inside are relative to `folder`.
    ///
    /// # Errors
    /// [`ConfigError`] with every mistake.
    pub fn parse(text: &str, folder: &Path) -> Result<Self, ConfigError> {
        let input: Input = toml::from_str(text).map_err(|error| {
            // Why only the message: the rest of the error quotes the file, which may be shown elsewhere.
            let line = error
                .span()
                .and_then(|span| text.get(..span.start))
                .map(|before| before.lines().count().max(1));
            let advice = match line {
                Some(line) => {
                    format!("has a mistake in line {line}: {}", error.message().trim().replace('\n', ", "))
                }
                None => format!("has a mistake: {}", error.message().trim().replace('\n', ", ")),
            };
            ConfigError { file: None, mistakes: vec![ConfigMistake { field: "(file)".to_owned(), advice }] }
        })?;
        build::check(input, folder)
    }

    /// A configuration made in code, for services that embed the agent.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), rescind_agent::ConfigError> {
    /// use rescind_agent::AgentConfig;
    /// use rescind_token::{Algorithm, IssuerPolicyInput, JwksSource};
    ///
    /// let jwks = JwksSource::Url("https://idp.example/jwks.json".into());
    /// let config = AgentConfig::builder("payments-1", "payments")
    ///     .realm_file("/etc/rescind/realm.json")
    ///     .trust_file("/etc/rescind/trust.json")
    ///     .key_file("/etc/rescind/agent-payments-1.key")
    ///     .nats_url("nats://127.0.0.1:4222")
    ///     .stale("strict(5s)")
    ///     .stale_action("refund:*", "strict(2s)")
    ///     .issuer(IssuerPolicyInput::new("https://idp.example", jwks, &[Algorithm::Es256], &["payments"]))
    ///     .build()?;
    /// # Ok(()) }
    /// ```
    pub fn builder(agent_id: &str, service: &str) -> AgentConfigBuilder {
        AgentConfigBuilder::new(agent_id, service)
    }

    /// Who this agent is.
    #[must_use]
    pub fn agent_id(&self) -> &str {
        self.agent.as_str()
    }

    /// What it enforces for.
    #[must_use]
    pub fn service(&self) -> &str {
        self.service.as_str()
    }

    /// The realm whose chain it follows.
    #[must_use]
    pub fn realm(&self) -> &str {
        &self.pin.realm
    }
}
