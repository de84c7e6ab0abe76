//! From what was written to what can be used.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rescind_bus::{BusConfig, ClientCertificate, Credentials, Subjects, TlsOptions};
use rescind_codec::{RealmPin, Role, SecretKey, TrustBundle};
use rescind_core::decide::{StalePolicies, StalePolicy};
use rescind_core::entitlement::ActionPattern;
use rescind_core::ids::{AgentId, ServiceName};
use rescind_token::{IssuerPolicyInput, JwksSource, TrustConfig, TrustConfigInput};
use zeroize::Zeroizing;

use super::input::{Direct, Input, Nats, StaleAction};
use super::{
    AgentConfig, ConfigError, ConfigMistake, REPORT_EVERY_DEFAULT, TOKEN_CACHE_SLOTS_DEFAULT,
    TOKEN_CACHE_SLOTS_MAX,
};
use crate::clock::wall_ms;
use crate::direct::{DirectConfig, check_url, client_tls};

/// Limit: files that the configuration names; a trust bundle of thousands of agents has a few megabytes.
const FILE_BYTES_MAX: u64 = 64 << 20;
/// Range of the pause between reports.
const REPORT_EVERY_RANGE: std::ops::RangeInclusive<Duration> =
    Duration::from_millis(100)..=Duration::from_secs(300);

/// Collects a configuration in code; [`Self::build`] checks it as a whole. See [`AgentConfig::builder`].
#[derive(Debug, Clone)]
#[must_use]
pub struct AgentConfigBuilder {
    input: Input,
    issuers: Vec<IssuerPolicyInput>,
}

impl AgentConfigBuilder {
    pub(super) fn new(agent_id: &str, service: &str) -> Self {
        let input = Input { agent_id: agent_id.to_owned(), service: service.to_owned(), ..Input::default() };
        Self { input, issuers: Vec::new() }
    }

    /// The realm and the root key that everything is pinned to (`realm.json`).
    pub fn realm_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.input.realm_file = path.into();
        self
    }

    /// The certificates of controllers and agents (`trust.json`).
    pub fn trust_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.input.trust_file = path.into();
        self
    }

    /// This agent's own signing key.
    pub fn key_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.input.key_file = path.into();
        self
    }

    /// Where the applied state is kept for a warm restart; without it the agent is memory only.
    pub fn store_dir(mut self, path: impl Into<PathBuf>) -> Self {
        self.input.store_dir = Some(path.into());
        self
    }

    /// The stale policy of every request: `strict(5s)` (default), `fail_static(300s)` or `best_effort`.
    pub fn stale(mut self, policy: &str) -> Self {
        self.input.stale = Some(policy.to_owned());
        self
    }

    /// A further policy for actions that a pattern covers (`refund:*`). The strictest that touches a request wins.
    pub fn stale_action(mut self, action: &str, policy: &str) -> Self {
        self.input.stale_actions.push(StaleAction { action: action.to_owned(), policy: policy.to_owned() });
        self
    }

    /// A NATS server, `nats://host:port` or `tls://host:port`; may be called once for each server of a cluster.
    pub fn nats_url(mut self, url: &str) -> Self {
        self.input.nats.urls.push(url.to_owned());
        self
    }

    /// The nkey seed file of this agent's NATS user.
    pub fn nats_nkey_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.input.nats.nkey_file = Some(path.into());
        self
    }

    /// The certificate authority of the NATS servers; makes TLS required.
    pub fn nats_ca_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.input.nats.ca_file = Some(path.into());
        self
    }

    /// A certificate and its key for mutual TLS with the NATS servers.
    pub fn nats_client_certificate(
        mut self,
        certificate: impl Into<PathBuf>,
        key: impl Into<PathBuf>,
    ) -> Self {
        self.input.nats.cert_file = Some(certificate.into());
        self.input.nats.client_key_file = Some(key.into());
        self
    }

    /// A controller's direct path, `https://host:port`; may be called once for each controller. Needs
    /// [`Self::direct_ca_file`].
    pub fn direct_url(mut self, url: &str) -> Self {
        self.input.direct.get_or_insert_default().urls.push(url.to_owned());
        self
    }

    /// The certificate authority of the controllers' direct path; no other one is trusted there.
    pub fn direct_ca_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.input.direct.get_or_insert_default().ca_file = path.into();
        self
    }

    /// The name in the controllers' certificates; the host of the address without it.
    pub fn direct_server_name(mut self, name: &str) -> Self {
        self.input.direct.get_or_insert_default().server_name = Some(name.to_owned());
        self
    }

    /// An issuer whose tokens are accepted; at least one.
    pub fn issuer(mut self, issuer: IssuerPolicyInput) -> Self {
        self.issuers.push(issuer);
        self
    }

    /// Slots of the token cache; default 65,536.
    pub const fn token_cache_slots(mut self, slots: usize) -> Self {
        self.input.token_cache_slots = Some(slots);
        self
    }

    /// Pause between reports when nothing happens; default 5 s.
    pub fn report_every(mut self, pause: Duration) -> Self {
        self.input.report_every_ms = Some(u64::try_from(pause.as_millis()).unwrap_or(u64::MAX));
        self
    }

    /// Reads the files and checks everything. Relative paths are relative to the working directory.
    ///
    /// # Errors
    /// [`ConfigError`] with every mistake.
    pub fn build(self) -> Result<AgentConfig, ConfigError> {
        checked(self.input, self.issuers, Path::new(""))
    }
}

pub(super) fn check(mut input: Input, folder: &Path) -> Result<AgentConfig, ConfigError> {
    let issuers = std::mem::take(&mut input.issuers).into_iter().map(IssuerPolicyInput::from).collect();
    checked(input, issuers, folder)
}

/// Collects mistakes.
#[derive(Default)]
struct Mistakes(Vec<ConfigMistake>);

impl Mistakes {
    fn add(&mut self, field: impl Into<String>, advice: impl Into<String>) {
        self.0.push(ConfigMistake { field: field.into(), advice: advice.into() });
    }

    /// The value, or a mistake.
    fn take<T, E: std::fmt::Display>(&mut self, field: &str, result: Result<T, E>) -> Option<T> {
        result.map_err(|error| self.add(field, error.to_string())).ok()
    }
}

fn checked(input: Input, issuers: Vec<IssuerPolicyInput>, folder: &Path) -> Result<AgentConfig, ConfigError> {
    let mut mistakes = Mistakes::default();
    let agent = mistakes.take("agent_id", AgentId::new(&input.agent_id));
    let service = mistakes.take("service", ServiceName::new(&input.service));
    let identity = identity(&input, folder, &mut mistakes);
    if let (Some(agent), Some(identity)) = (&agent, &identity) {
        check_owner(agent, identity, &mut mistakes);
    }
    let policies = policies(&input, &mut mistakes);
    let subjects =
        identity.as_ref().and_then(|(pin, ..)| mistakes.take("realm_file", Subjects::new(&pin.realm)));
    let bus = bus(&input.nats, folder, agent.as_ref(), subjects, &mut mistakes);
    let direct = input.direct.as_ref().and_then(|direct| self::direct(direct, folder, &mut mistakes));
    let issuers = trusted_issuers(issuers, folder, &mut mistakes);
    let slots = input.token_cache_slots.unwrap_or(TOKEN_CACHE_SLOTS_DEFAULT);
    if slots == 0 || slots > TOKEN_CACHE_SLOTS_MAX {
        mistakes.add("token_cache_slots", format!("is {slots}; write 1 to {TOKEN_CACHE_SLOTS_MAX}"));
    }
    let report_every = input.report_every_ms.map_or(REPORT_EVERY_DEFAULT, Duration::from_millis);
    if !REPORT_EVERY_RANGE.contains(&report_every) {
        mistakes.add("report_every_ms", format!("is {}; write 100 to 300000", report_every.as_millis()));
    }
    let store_dir = input.store_dir.filter(|dir| !dir.as_os_str().is_empty()).map(|dir| folder.join(dir));
    let parts = (agent, service, identity, bus, issuers);
    let (Some(agent), Some(service), Some((pin, trust, key)), Some(bus), Some(issuers)) = parts else {
        return Err(ConfigError { file: None, mistakes: mistakes.0 });
    };
    if !mistakes.0.is_empty() {
        return Err(ConfigError { file: None, mistakes: mistakes.0 });
    }
    Ok(AgentConfig {
        agent,
        service,
        pin,
        trust,
        key,
        store_dir,
        policies,
        bus,
        direct,
        issuers,
        token_cache_slots: slots,
        report_every,
    })
}

type Identity = (RealmPin, TrustBundle, SecretKey);

/// The three files that say who we are and whom we trust.
fn identity(input: &Input, folder: &Path, mistakes: &mut Mistakes) -> Option<Identity> {
    let realm = read(&input.realm_file, folder, "realm_file", mistakes);
    let trust = read(&input.trust_file, folder, "trust_file", mistakes);
    let key = read(&input.key_file, folder, "key_file", mistakes);
    let pin = realm.and_then(|text| mistakes.take("realm_file", RealmPin::parse(&text)));
    // Why wiped: the text holds the secret, and the allocator would hand it on.
    let key = key.and_then(|text| mistakes.take("key_file", SecretKey::parse(&Zeroizing::new(text))));
    let trust = pin
        .as_ref()
        .zip(trust)
        .and_then(|(pin, text)| mistakes.take("trust_file", TrustBundle::load(&text, pin)));
    Some((pin?, trust?, key?))
}

fn read(path: &Path, folder: &Path, field: &str, mistakes: &mut Mistakes) -> Option<String> {
    if path.as_os_str().is_empty() {
        mistakes.add(field, "is missing; `rescind init` writes the file that it names");
        return None;
    }
    let path = folder.join(path);
    let small = |size: u64| size <= FILE_BYTES_MAX;
    match std::fs::metadata(&path).and_then(|meta| Ok((small(meta.len()), std::fs::read_to_string(&path)?))) {
        Ok((true, text)) => Some(text),
        Ok((false, _)) => {
            mistakes.add(
                field,
                format!("`{}` is longer than {FILE_BYTES_MAX} bytes; name another file", path.display()),
            );
            None
        }
        Err(error) => {
            mistakes.add(
                field,
                format!("`{}` cannot be read ({error}); check its path and rights", path.display()),
            );
            None
        }
    }
}

/// The key must be certified for exactly this agent, else every lease request is refused later.
fn check_owner(agent: &AgentId, (_, trust, key): &Identity, mistakes: &mut Mistakes) {
    match trust.find(key.key_id(), Role::Agent, wall_ms()) {
        Ok(cert) if cert.identity.name() == agent.as_str() => {}
        Ok(cert) => mistakes.add(
            "key_file",
            format!(
                "belongs to the agent `{}`, not to `{agent}`; use that agent's key",
                cert.identity.name()
            ),
        ),
        Err(refusal) => {
            mistakes.add(
                "key_file",
                format!(
                    "is not certified for an agent by `trust_file` ({refusal}); issue a certificate for it"
                ),
            );
        }
    }
}

fn policies(input: &Input, mistakes: &mut Mistakes) -> StalePolicies {
    let service = match &input.stale {
        None => StalePolicy::default(),
        Some(text) => mistakes.take("stale", text.parse()).unwrap_or_default(),
    };
    let mut actions = Vec::with_capacity(input.stale_actions.len());
    for (index, StaleAction { action, policy }) in input.stale_actions.iter().enumerate() {
        let pattern = mistakes.take(&format!("stale_actions[{index}].action"), ActionPattern::new(action));
        let policy = mistakes.take(&format!("stale_actions[{index}].policy"), policy.parse());
        actions.extend(pattern.zip(policy));
    }
    StalePolicies { service, actions }
}

fn bus(
    nats: &Nats,
    folder: &Path,
    agent: Option<&AgentId>,
    subjects: Option<Subjects>,
    mistakes: &mut Mistakes,
) -> Option<BusConfig> {
    let urls: Vec<String> = nats.url.iter().chain(&nats.urls).cloned().collect();
    if urls.is_empty() {
        mistakes.add("nats.url", "is missing; write `nats://host:4222` or `tls://host:4222`");
    }
    for url in urls.iter().filter(|url| !url.starts_with("nats://") && !url.starts_with("tls://")) {
        // Why no echo: people put passwords into URLs.
        let scheme = url.split_once("://").map_or("nothing", |(scheme, _)| scheme);
        mistakes.add(
            "nats.url",
            format!("begins with `{scheme}`; write `nats://host:4222` or `tls://host:4222`"),
        );
    }
    let inside = |path: &PathBuf| folder.join(path);
    for (field, path) in [
        ("nats.nkey_file", &nats.nkey_file),
        ("nats.ca_file", &nats.ca_file),
        ("nats.cert_file", &nats.cert_file),
        ("nats.client_key_file", &nats.client_key_file),
    ] {
        if let Some(path) = path.as_ref().map(inside).filter(|path| !path.is_file()) {
            mistakes.add(field, format!("`{}` is no file; check its path", path.display()));
        }
    }
    let client = match (&nats.cert_file, &nats.client_key_file) {
        (Some(cert), Some(key)) => {
            Some(ClientCertificate { certificate_file: inside(cert), key_file: inside(key) })
        }
        (None, None) => None,
        (Some(_), None) | (None, Some(_)) => {
            mistakes.add("nats.cert_file", "and `nats.client_key_file` belong together; write both or none");
            None
        }
    };
    let ca_file = nats.ca_file.as_ref().map(inside);
    let (first, subjects) = (urls.first()?.clone(), subjects?);
    let mut bus = mistakes.take("agent_id", BusConfig::new(first, subjects).for_user(agent?.as_str()))?;
    bus.urls = urls;
    bus.tls = (ca_file.is_some() || client.is_some()).then_some(TlsOptions { ca_file, client });
    bus.credentials = match &nats.nkey_file {
        Some(path) => Credentials::NkeySeedFile(inside(path)),
        None => Credentials::None,
    };
    Some(bus)
}

fn direct(direct: &Direct, folder: &Path, mistakes: &mut Mistakes) -> Option<DirectConfig> {
    let texts: Vec<&String> = direct.url.iter().chain(&direct.urls).collect();
    if texts.is_empty() {
        mistakes.add("direct.urls", "is missing; write `[\"https://host:7422\"]`, or leave the section out");
    }
    let urls = texts.iter().filter_map(|url| mistakes.take("direct.urls", check_url(url))).collect();
    let server_name = direct.server_name.as_ref().and_then(|name| {
        let parsed = name.clone().try_into();
        mistakes.take("direct.server_name", parsed.map_err(|_| "is neither a DNS name nor an address"))
    });
    if direct.ca_file.as_os_str().is_empty() {
        mistakes.add("direct.ca_file", "is missing; `rescind init` writes the file as `direct/ca.pem`");
        return None;
    }
    let tls = mistakes.take("direct.ca_file", client_tls(&folder.join(&direct.ca_file)))?;
    Some(DirectConfig { urls, tls, server_name })
}

fn trusted_issuers(
    mut issuers: Vec<IssuerPolicyInput>,
    folder: &Path,
    mistakes: &mut Mistakes,
) -> Option<TrustConfig> {
    for issuer in &mut issuers {
        if let Some(JwksSource::File(path)) = &mut issuer.jwks
            && !path.as_os_str().is_empty()
        {
            *path = folder.join(&*path);
        }
    }
    match TrustConfig::try_from(TrustConfigInput { issuers }) {
        Ok(trust) => Some(trust),
        Err(error) => {
            mistakes.0.extend(
                error
                    .problems
                    .into_iter()
                    .map(|problem| ConfigMistake { field: problem.path, advice: problem.advice }),
            );
            None
        }
    }
}
