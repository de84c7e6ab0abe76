//! One connection to the bus, shared by cheap handles.

use std::{error::Error as _, io, path::PathBuf, sync::Arc, time::Duration};

use async_nats::{Auth, AuthError, Client, ConnectErrorKind, ConnectOptions, connection::State};
use tokio::{sync::watch, time::timeout};

use crate::{
    link::{Link, LinkState},
    secret::{Secret, SecretError},
    subjects::{self, SubjectError, Subjects},
};

#[cfg(test)]
mod tests;

/// Why 2 s: the client gives a connection up after two unanswered pings, so one that died without a word (a
/// forgotten entry of a firewall, a pulled cable) ends after 6 s. An agent asks for leases more often than that, so
/// the pings add little.
const PING_INTERVAL: Duration = Duration::from_secs(2);

/// Default of [`BusConfig::reconnect_pause_max`]. Why 500 ms: an outage that is shorter than the lease minus 2 s must
/// expire nobody (L8), and a heal must show within a second (L2); what spreads a crowd is the jitter.
const RECONNECT_PAUSE_MAX: Duration = Duration::from_millis(500);

/// First upper bound of the pause; doubles with every attempt.
const RECONNECT_PAUSE_FIRST: Duration = Duration::from_millis(50);

/// Limit: one attempt to connect to one address.
const ATTEMPT_WAIT: Duration = Duration::from_secs(5);

/// Limit: writing out what is queued when closing.
const CLOSE_WAIT: Duration = Duration::from_secs(5);

/// Limit: commands queued to the connection task; a publisher waits when it is full.
const COMMANDS_MAX: usize = 2048;

/// Default of [`BusConfig::subscription_capacity`].
const SUBSCRIPTION_CAPACITY: usize = 8192;

/// How to prove who we are.
#[derive(Debug, Clone)]
pub enum Credentials {
    /// No authentication: development only.
    None,
    /// An nkey seed (`SU...`).
    NkeySeed(Secret),
    /// A file that holds an nkey seed.
    NkeySeedFile(PathBuf),
    /// User name and password.
    Password {
        /// User name.
        user: String,
        /// Password.
        password: Secret,
    },
}

/// A certificate that a client shows to the server.
#[derive(Debug, Clone)]
pub struct ClientCertificate {
    /// PEM file of the certificate chain.
    pub certificate_file: PathBuf,
    /// PEM file of its private key.
    pub key_file: PathBuf,
}

/// Settings of a TLS connection; having them makes TLS required.
#[derive(Debug, Clone, Default)]
pub struct TlsOptions {
    /// PEM file of the certificate authority; the system's are used without it.
    pub ca_file: Option<PathBuf>,
    /// Certificate for mutual TLS.
    pub client: Option<ClientCertificate>,
}

/// How to connect.
#[derive(Debug, Clone)]
pub struct BusConfig {
    /// Servers, `nats://host:port` or `tls://host:port`; at least one.
    pub urls: Vec<String>,
    /// Names of the realm.
    pub subjects: Subjects,
    /// Who we are.
    pub credentials: Credentials,
    /// TLS; `None` leaves it to the URL and the server.
    pub tls: Option<TlsOptions>,
    /// Name shown in the server's connection list.
    pub name: String,
    /// Prefix of reply subjects; `None` for the client's default `_INBOX`. See [`BusConfig::for_user`].
    pub inbox_prefix: Option<String>,
    /// Longest wait for an answer where a call takes no deadline of its own.
    pub request_timeout: Duration,
    /// Longest wait for the first connection, over all servers.
    pub connect_timeout: Duration,
    /// Longest pause between two attempts to reconnect. Why 4 s by default: thousands of agents come back at
    /// once. The few that everybody waits for take less.
    pub reconnect_pause_max: Duration,
    /// Messages that one subscription may have waiting inside the client, before they are dropped and
    /// reported as an overflow.
    pub subscription_capacity: usize,
}

impl BusConfig {
    /// One server, no credentials, no TLS, request time-out 2 s, first connection within 10 s.
    #[must_use]
    pub fn new(url: impl Into<String>, subjects: Subjects) -> Self {
        Self {
            urls: vec![url.into()],
            subjects,
            credentials: Credentials::None,
            tls: None,
            name: "rescind".to_owned(),
            inbox_prefix: None,
            request_timeout: Duration::from_secs(2),
            connect_timeout: Duration::from_secs(10),
            reconnect_pause_max: RECONNECT_PAUSE_MAX,
            subscription_capacity: SUBSCRIPTION_CAPACITY,
        }
    }

    /// Uses the reply prefix `_INBOX_<name>`, the only one that the permissions of
    /// [`crate::permissions::ServerConfig`] allow. `name` is the agent's id, or the emitter's or
    /// controller's user name.
    ///
    /// # Errors
    /// [`SubjectError`] for a name that cannot be part of a subject.
    pub fn for_user(mut self, name: &str) -> Result<Self, SubjectError> {
        self.inbox_prefix = Some(subjects::inbox_prefix(name)?);
        self.name = format!("rescind-{name}");
        Ok(self)
    }
}

/// The first connection failed.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Nobody listens there.
    #[error("no server accepts connections at {urls}; start nats-server or correct the address")]
    Refused {
        /// What was tried.
        urls: String,
        /// What the client said.
        source: async_nats::ConnectError,
    },
    /// The server does not accept the credentials.
    #[error(
        "the server at {urls} refused the credentials; check that its configuration lists this user's public key or password"
    )]
    Credentials {
        /// What was tried.
        urls: String,
        /// What the client said.
        source: async_nats::ConnectError,
    },
    /// The nkey seed is none, or of another kind than user.
    #[error("the nkey seed is not usable; give a user seed, 58 characters that begin with `SU`")]
    Seed,
    /// The seed file cannot be read.
    #[error("cannot load the nkey seed")]
    SeedFile(#[from] SecretError),
    /// No answer in time.
    #[error("no answer from {urls} within {waited:?}; check network, firewall and whether the server hangs")]
    TimedOut {
        /// What was tried.
        urls: String,
        /// How long was waited at most.
        waited: Duration,
    },
    /// TLS is missing or does not verify.
    #[error(
        "cannot make a TLS connection to {urls}: {reason}; check the certificate authority, the server's name and whether it offers TLS"
    )]
    Tls {
        /// What was tried.
        urls: String,
        /// What is wrong with it.
        reason: String,
        /// What the client said.
        source: async_nats::ConnectError,
    },
    /// An address cannot be used.
    #[error("address {urls} is not usable; write nats://host:port with a name that can be resolved")]
    Address {
        /// What was tried.
        urls: String,
        /// What the client said, `None` when no address was given.
        source: Option<async_nats::ConnectError>,
    },
    /// Anything else.
    #[error("cannot connect to {urls}: {reason}; look at the server's log")]
    Other {
        /// What was tried.
        urls: String,
        /// The innermost cause.
        reason: String,
        /// What the client said.
        source: async_nats::ConnectError,
    },
}

/// What all handles share.
#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) client: Client,
    pub(crate) link: Arc<Link>,
    pub(crate) subjects: Subjects,
    pub(crate) request_timeout: Duration,
}

/// A handle to the bus; cloning is cheap, all clones share one connection, which ends with the last one.
#[derive(Debug, Clone)]
pub struct Bus {
    pub(crate) inner: Arc<Inner>,
}

impl Bus {
    /// Connects; afterwards a lost connection is made again for ever, with full jitter after the first
    /// attempt.
    ///
    /// # Errors
    /// [`ConnectError`] says which of address, network, TLS and credentials to look at. Nothing is retried:
    /// the caller knows whether that makes sense.
    pub async fn connect(config: BusConfig) -> Result<Self, ConnectError> {
        let urls = shown(&config.urls);
        let servers: Vec<async_nats::ServerAddr> =
            config.urls.iter().map(|url| url.parse()).collect::<Result<_, io::Error>>().map_err(
                |source| ConnectError::Address {
                    urls: urls.clone(),
                    source: Some(with_kind(ConnectErrorKind::ServerParse, source)),
                },
            )?;
        if servers.is_empty() {
            return Err(ConnectError::Address { urls: "(none)".to_owned(), source: None });
        }
        let link = Link::new();
        let options = options(&config, Arc::clone(&link))?;
        let client = match timeout(config.connect_timeout, options.connect(servers)).await {
            Ok(Ok(client)) => client,
            Ok(Err(source)) => return Err(explain(urls, source)),
            Err(_) => return Err(ConnectError::TimedOut { urls, waited: config.connect_timeout }),
        };
        let inner = Arc::new(Inner {
            client,
            link,
            subjects: config.subjects,
            request_timeout: config.request_timeout,
        });
        inner.link.attach(Arc::downgrade(&inner));
        Ok(Self { inner })
    }

    /// The names of the realm.
    #[must_use]
    pub fn subjects(&self) -> &Subjects {
        &self.inner.subjects
    }

    /// Follows whether the connection stands.
    #[must_use]
    pub fn link(&self) -> watch::Receiver<LinkState> {
        self.inner.link.state()
    }

    /// Gives the connection up and makes a new one, without waiting for it. For callers that are left unanswered
    /// although the connection seems to stand: one that died without a word is noticed by pings only seconds later.
    pub async fn reconnect(&self) {
        if let Err(error) = self.inner.client.force_reconnect().await {
            tracing::debug!(%error, "the connection cannot be made anew now");
        }
    }

    /// Largest message that the server takes, in bytes, headers included.
    #[must_use]
    pub fn max_payload_bytes(&self) -> usize {
        self.inner.client.max_payload()
    }

    /// Version text of the connected server, for example `2.15.1`.
    #[must_use]
    pub fn server_version(&self) -> String {
        self.inner.client.server_info().version
    }

    /// Longest wait where a call takes no deadline.
    #[must_use]
    pub fn request_timeout(&self) -> Duration {
        self.inner.request_timeout
    }

    /// The connection that stands, or stood last: another one after every reconnect.
    pub(crate) fn connection(&self) -> Connection {
        let info = self.inner.client.server_info();
        Connection { server: info.server_id, client: info.client_id }
    }

    /// Whether a message handed over now would leave at once.
    pub(crate) fn is_up(&self) -> bool {
        self.inner.client.connection_state() == State::Connected
    }

    /// Whether the connected server is at least this version.
    pub(crate) fn server_at_least(&self, major: i64, minor: i64, patch: i64) -> bool {
        self.inner.client.is_server_compatible(major, minor, patch)
    }

    /// Writes out what is queued (5 s at most).
    ///
    /// Call it before dropping the last handle: the connection ends with it, and what is still queued (a
    /// report, an answer) is lost.
    pub async fn flush(&self) {
        if let Ok(Err(error)) = timeout(CLOSE_WAIT, self.inner.client.flush()).await {
            tracing::debug!(%error, "flush failed");
        }
    }
}

/// Names one connection to one run of one server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Connection {
    /// A server draws its id anew at every start.
    pub(crate) server: String,
    /// A server counts its clients.
    pub(crate) client: u64,
}

fn options(config: &BusConfig, link: Arc<Link>) -> Result<ConnectOptions, ConnectError> {
    let mut options = match &config.credentials {
        Credentials::None => ConnectOptions::new(),
        Credentials::NkeySeed(seed) => nkey_options(seed.clone())?,
        Credentials::NkeySeedFile(path) => nkey_options(Secret::from_file(path)?)?,
        Credentials::Password { user, password } => password_options(user.clone(), password.clone()),
    };
    if let Some(tls) = &config.tls {
        // Why ignored: a provider that is already there is used.
        async_nats::rustls::crypto::aws_lc_rs::default_provider().install_default().ok();
        options = options.require_tls(true);
        if let Some(file) = &tls.ca_file {
            options = options.add_root_certificates(file.clone());
        }
        if let Some(client) = &tls.client {
            options =
                options.add_client_certificate(client.certificate_file.clone(), client.key_file.clone());
        }
    }
    if let Some(prefix) = &config.inbox_prefix {
        options = options.custom_inbox_prefix(prefix);
    }
    let pause_max = config.reconnect_pause_max;
    Ok(options
        .name(&config.name)
        .ping_interval(PING_INTERVAL)
        .connection_timeout(ATTEMPT_WAIT)
        .request_timeout(Some(config.request_timeout))
        .subscription_capacity(config.subscription_capacity)
        .client_capacity(COMMANDS_MAX)
        .max_reconnects(None)
        .reconnect_delay_callback(move |attempts| reconnect_pause(attempts, pause_max, random_fraction()))
        .event_callback(move |event| {
            let link = Arc::clone(&link);
            async move { link.on_event(event) }
        }))
}

/// Signs the server's nonce; the seed stays in wiped memory instead of a plain string of the client.
fn nkey_options(seed: Secret) -> Result<ConnectOptions, ConnectError> {
    let pair = nkeys::KeyPair::from_seed(seed.expose()).map_err(|_| ConnectError::Seed)?;
    if pair.key_pair_type() != nkeys::KeyPairType::User {
        return Err(ConnectError::Seed);
    }
    Ok(ConnectOptions::with_auth_callback(move |nonce| {
        let signed = sign(&seed, &nonce);
        async move { signed }
    }))
}

fn sign(seed: &Secret, nonce: &[u8]) -> Result<Auth, AuthError> {
    let pair = nkeys::KeyPair::from_seed(seed.expose()).map_err(AuthError::new)?;
    let mut auth = Auth::new();
    auth.signature = Some(pair.sign(nonce).map_err(AuthError::new)?);
    auth.nkey = Some(pair.public_key());
    Ok(auth)
}

fn password_options(user: String, password: Secret) -> ConnectOptions {
    ConnectOptions::with_auth_callback(move |_| {
        let mut auth = Auth::new();
        auth.username = Some(user.clone());
        auth.password = Some(password.expose().to_owned());
        async move { Ok(auth) }
    })
}

/// Pause before attempt `attempts` (1 is the first): none at first, then anything up to a bound that doubles.
fn reconnect_pause(attempts: usize, pause_max: Duration, fraction: f64) -> Duration {
    let Some(doublings) = attempts.checked_sub(2) else { return Duration::ZERO };
    let doublings = u32::try_from(doublings).unwrap_or(u32::MAX);
    let bound = RECONNECT_PAUSE_FIRST
        .checked_mul(2_u32.saturating_pow(doublings))
        .unwrap_or(pause_max)
        .min(pause_max);
    bound.mul_f64(fraction)
}

/// Uniform in [0, 1); a half when the system has no randomness, which still spreads nothing but harms nobody.
fn random_fraction() -> f64 {
    getrandom::u32().map_or(0.5, |random| f64::from(random) / (f64::from(u32::MAX) + 1.0))
}

/// Addresses for a message, without user and password.
fn shown(urls: &[String]) -> String {
    let one = |url: &String| {
        let (scheme, rest) = url.split_once("://").unwrap_or(("nats", url));
        let host = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
        format!("`{scheme}://{host}`")
    };
    urls.iter().map(one).collect::<Vec<_>>().join(", ")
}

fn with_kind(kind: ConnectErrorKind, source: io::Error) -> async_nats::ConnectError {
    async_nats::ConnectError::with_source(kind, source)
}

/// Turns the client's error into one that says where to look.
fn explain(urls: String, source: async_nats::ConnectError) -> ConnectError {
    let mut reason = source.to_string();
    let mut refused = false;
    let mut tls = false;
    let mut cause = source.source();
    while let Some(error) = cause {
        reason = error.to_string();
        refused |=
            error.downcast_ref::<io::Error>().is_some_and(|io| io.kind() == io::ErrorKind::ConnectionRefused);
        let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        tls |= error.is::<async_nats::rustls::Error>()
            || inner.is_some_and(|inner| inner.is::<async_nats::rustls::Error>());
        cause = error.source();
    }
    match source.kind() {
        _ if tls => ConnectError::Tls { urls, reason, source },
        _ if refused => ConnectError::Refused { urls, source },
        ConnectErrorKind::Authentication | ConnectErrorKind::AuthorizationViolation => {
            ConnectError::Credentials { urls, source }
        }
        ConnectErrorKind::Tls => ConnectError::Tls { urls, reason, source },
        ConnectErrorKind::TimedOut => ConnectError::TimedOut { urls, waited: ATTEMPT_WAIT },
        ConnectErrorKind::ServerParse | ConnectErrorKind::Dns => {
            ConnectError::Address { urls, source: Some(source) }
        }
        ConnectErrorKind::Io | ConnectErrorKind::MaxReconnects => {
            ConnectError::Other { urls, reason, source }
        }
    }
}
