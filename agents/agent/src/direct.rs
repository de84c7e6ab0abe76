//! The direct path to the controllers: lease, ranges and reports over TLS, for when the bus does not answer.
//!
//! What comes back is signed like everything on the bus and verified by the same code; TLS only hides it. So a
//! stranger in the middle, or a stolen certificate of the path, can delay an agent and nothing else.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{Request, StatusCode, Uri};
use hyper_rustls::{FixedServerNameResolver, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rescind_codec::{ENTRY_BYTES_MAX, GRANT_BYTES_MAX};
use rescind_core::agent::RangeFailure;
use rescind_core::lease::Behind;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::rustls;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};

use crate::driver::LeaseAnswer;

#[cfg(test)]
mod tests;

/// Limit: a connection to one controller. Why so short: with several controllers the next one is tried then.
const CONNECT_WAIT: Duration = Duration::from_millis(500);
/// Limit: a grant; the controller gives up waiting for a tick after two seconds too.
const LEASE_WAIT: Duration = Duration::from_millis(2500);
/// Limit: a range, all of it.
const RANGE_WAIT: Duration = Duration::from_secs(5);
/// Limit: a report.
const REPORT_WAIT: Duration = Duration::from_secs(1);
/// Limit: bytes of a range: the controller sends 8 MiB at most, and one entry more where that is the first.
const RANGE_BYTES_MAX: usize = (8 << 20) + 2 * ENTRY_BYTES_MAX;
/// Connections are kept so long; shorter than the controller keeps them.
const IDLE_MAX: Duration = Duration::from_secs(20);
/// Limit: idle connections to one controller: a lease, a range of each lane, a report.
const IDLE_CONNECTIONS_MAX: usize = 4;
/// Limit: bytes of an answer that is a text.
const TEXT_BYTES_MAX: usize = 1024;
/// Bytes of the length before every entry of a range.
const LENGTH_BYTES: usize = 4;

/// The path as it is configured, checked.
#[derive(Debug, Clone)]
pub(crate) struct DirectConfig {
    /// `https://host:port`, without a path.
    pub(crate) urls: Vec<String>,
    pub(crate) tls: rustls::ClientConfig,
    /// The name in the controllers' certificates; `None`: the host of the address.
    pub(crate) server_name: Option<ServerName<'static>>,
}

/// Reads the authority of the controllers' certificates. No other authority is trusted, the system's neither.
///
/// # Errors
/// What is wrong with the file.
pub(crate) fn client_tls(ca_file: &Path) -> Result<rustls::ClientConfig, String> {
    let unusable =
        |reason: &dyn std::fmt::Display| format!("`{}` cannot be used: {reason}", ca_file.display());
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(ca_file).map_err(|error| unusable(&error))? {
        let certificate = certificate.map_err(|error| unusable(&error))?;
        roots.add(certificate).map_err(|error| unusable(&error))?;
    }
    if roots.is_empty() {
        return Err(unusable(&"it holds no certificate"));
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| unusable(&error))?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

/// An address of a controller: `https://host:port` and nothing more.
///
/// # Errors
/// What to write.
pub(crate) fn check_url(text: &str) -> Result<String, String> {
    let wrong = || "must be `https://host:port`, without user and path".to_owned();
    let uri: Uri = text.parse().map_err(|_| wrong())?;
    let plain = uri.authority().is_some_and(|authority| !authority.as_str().contains('@'));
    if uri.scheme_str() != Some("https") || !plain || !matches!(uri.path(), "" | "/") || uri.query().is_some()
    {
        return Err(wrong());
    }
    Ok(text.trim_end_matches('/').to_owned())
}

/// The path in use. Every call is bounded and holds up nobody else.
pub(crate) struct Direct {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    urls: Vec<String>,
    /// The controller that answered last.
    first: AtomicUsize,
    /// The bus left something unanswered and has answered nothing since.
    is_bus_silent: AtomicBool,
    /// One report at a time: the next one says more.
    reporting: Semaphore,
}

impl Direct {
    pub(crate) fn new(config: DirectConfig) -> Self {
        let DirectConfig { urls, tls, server_name } = config;
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        http.set_nodelay(true);
        http.set_connect_timeout(Some(CONNECT_WAIT));
        let builder = HttpsConnectorBuilder::new().with_tls_config(tls).https_only();
        let builder = match server_name {
            Some(name) => builder.with_server_name_resolver(FixedServerNameResolver::new(name)),
            None => builder,
        };
        let connector = builder.enable_http1().wrap_connector(http);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_MAX)
            .pool_max_idle_per_host(IDLE_CONNECTIONS_MAX)
            .build(connector);
        Self {
            client,
            urls,
            first: AtomicUsize::new(0),
            is_bus_silent: AtomicBool::new(false),
            reporting: Semaphore::new(1),
        }
    }

    /// Whether the bus is left unanswered questions.
    pub(crate) fn is_bus_silent(&self) -> bool {
        self.is_bus_silent.load(Ordering::Relaxed)
    }

    /// The bus answered, or left something unanswered.
    pub(crate) fn note_bus(&self, answered: bool) {
        self.is_bus_silent.store(!answered, Ordering::Relaxed);
    }

    /// Asks for a lease.
    pub(crate) async fn lease(&self, request: Bytes) -> LeaseAnswer {
        match self.post("lease", &request, LEASE_WAIT, GRANT_BYTES_MAX).await {
            Ok(grant) => LeaseAnswer::Grant(grant),
            Err(Refused::Behind(behind)) => LeaseAnswer::Behind(behind),
            Err(Refused::Gone | Refused::Unavailable) => LeaseAnswer::Nothing,
        }
    }

    /// Fetches entries; each is checked by the caller.
    pub(crate) async fn range(&self, request: Bytes, entries_max: usize) -> Result<Vec<Bytes>, RangeFailure> {
        let body =
            self.post("repair", &request, RANGE_WAIT, RANGE_BYTES_MAX).await.map_err(
                |refused| match refused {
                    Refused::Gone => RangeFailure::TooOld,
                    Refused::Behind(_) | Refused::Unavailable => RangeFailure::Unavailable,
                },
            )?;
        parts(body, entries_max).ok_or(RangeFailure::Unavailable)
    }

    /// Sends a report, unless one is under way. `None`: not sent; else whether it arrived.
    pub(crate) async fn report(&self, report: Bytes) -> Option<bool> {
        let _permit = self.reporting.try_acquire().ok()?;
        Some(self.post("report", &report, REPORT_WAIT, 0).await.is_ok())
    }

    /// Asks the controllers in turn, the one that answered last first.
    async fn post(
        &self,
        route: &str,
        body: &Bytes,
        wait: Duration,
        answer_max: usize,
    ) -> Result<Bytes, Refused> {
        let until = Instant::now() + wait;
        let first = self.first.load(Ordering::Relaxed);
        for turn in 0..self.urls.len() {
            let index = first.wrapping_add(turn).checked_rem(self.urls.len()).unwrap_or(0);
            let Some(url) = self.urls.get(index) else { break };
            let address = format!("{url}/direct/v1/{route}");
            match timeout_at(until, self.ask(&address, body, answer_max)).await {
                Ok(Ok(answer)) => {
                    self.first.store(index, Ordering::Relaxed);
                    return Ok(answer);
                }
                Ok(Err(Failed::Gone)) => return Err(Refused::Gone),
                Ok(Err(Failed::Behind(behind))) => return Err(Refused::Behind(behind)),
                Ok(Err(Failed::Said(status))) => {
                    tracing::debug!(url, route, %status, "the direct path said no");
                }
                Ok(Err(Failed::Transport(error))) => {
                    tracing::debug!(url, route, error, "the direct path failed");
                }
                Err(_) => {
                    tracing::debug!(url, route, "the direct path did not answer in time");
                    // The next call begins with another one.
                    self.first.store(index.wrapping_add(1), Ordering::Relaxed);
                    break;
                }
            }
        }
        Err(Refused::Unavailable)
    }

    async fn ask(&self, url: &str, body: &Bytes, answer_max: usize) -> Result<Bytes, Failed> {
        let transport = |error: &dyn std::error::Error| Failed::Transport(with_causes(error));
        let request = Request::post(url).body(Full::new(body.clone())).map_err(|error| transport(&error))?;
        let answer = self.client.request(request).await.map_err(|error| transport(&error))?;
        match answer.status() {
            StatusCode::OK | StatusCode::NO_CONTENT => {}
            StatusCode::GONE => return Err(Failed::Gone),
            status if status.as_u16() == Behind::CODE => {
                let text = Limited::new(answer.into_body(), TEXT_BYTES_MAX).collect().await;
                let text = text.map(|text| String::from_utf8_lossy(&text.to_bytes()).into_owned());
                let behind = text.ok().and_then(|text| text.trim().parse().ok());
                return Err(behind.map_or(Failed::Said(status), Failed::Behind));
            }
            status => return Err(Failed::Said(status)),
        }
        match Limited::new(answer.into_body(), answer_max).collect().await {
            Ok(body) => Ok(body.to_bytes()),
            Err(error) => Err(Failed::Transport(error.to_string())),
        }
    }
}

/// Why nobody served a request.
enum Refused {
    /// What was asked for is no longer kept.
    Gone,
    /// The controller knows that somebody is ahead of it.
    Behind(Behind),
    Unavailable,
}

/// Why one controller did not.
enum Failed {
    Gone,
    Behind(Behind),
    Said(StatusCode),
    Transport(String),
}

fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(below) = cause {
        text = format!("{text}: {below}");
        cause = below.source();
    }
    text
}

/// Takes a range apart; `None` where its lengths do not add up.
fn parts(mut body: Bytes, entries_max: usize) -> Option<Vec<Bytes>> {
    let mut found = Vec::new();
    while let Some((length, _)) = body.split_first_chunk::<LENGTH_BYTES>() {
        let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
        let end = LENGTH_BYTES.checked_add(length)?;
        if length > ENTRY_BYTES_MAX || end > body.len() || found.len() >= entries_max {
            return None;
        }
        let mut part = body.split_to(end);
        found.push(part.split_off(LENGTH_BYTES));
    }
    body.is_empty().then_some(found)
}
