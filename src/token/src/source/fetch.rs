//! Getting the bytes of a JWKS document, from a URL or a file, within limits.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use reqwest::header::{ACCEPT, ETAG, HeaderValue, IF_NONE_MATCH};
use reqwest::{Client, StatusCode, Url};
use tokio::io::AsyncReadExt;

use crate::jwks::{JWKS_BYTES_MAX, JwksError};
use crate::policy::check::is_loopback;

/// Limit, in bytes: an `ETag` that is kept. Why: it is sent back with every request.
const ETAG_BYTES_MAX: usize = 1024;

/// Why keys could not be refreshed; the last good set stays in use.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// No answer: name, connection, certificate or time.
    #[error("could not reach the key set url")]
    Request(#[source] reqwest::Error),
    /// Redirects are never followed: they would let another host supply keys. Configure the final URL.
    #[error("key set url answered with redirect {status}; configure the final url")]
    Redirect {
        /// The HTTP status.
        status: u16,
    },
    /// Neither 200 nor an expected 304.
    #[error("key set url answered with status {status}")]
    Status {
        /// The HTTP status.
        status: u16,
    },
    /// The document is over [`JWKS_BYTES_MAX`]; reading stopped there.
    #[error("key set is longer than {JWKS_BYTES_MAX} bytes")]
    TooLarge,
    /// The file cannot be read.
    #[error("could not read the key set file")]
    File(#[source] std::io::Error),
    /// The document was refused.
    #[error("key set was refused")]
    Refused(#[from] JwksError),
}

/// What a fetch brought.
#[derive(Debug)]
pub(super) enum Fetched {
    /// The source says: as before.
    Unchanged,
    /// A document, and how to ask for changes next time.
    Document { bytes: Vec<u8>, version: Option<Version> },
}

/// What the source calls the state of its document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Version {
    ETag(HeaderValue),
    File { modified: SystemTime, len: u64 },
}

/// A place to fetch from.
#[derive(Debug)]
pub(super) enum Origin {
    Url { client: Client, url: Url },
    File(PathBuf),
}

impl Origin {
    /// Fetches the document unless it is still at `known`.
    pub(super) async fn fetch(&self, known: Option<&Version>) -> Result<Fetched, FetchError> {
        match self {
            Self::Url { client, url } => fetch_url(client, url, known).await,
            Self::File(path) => fetch_file(path, known).await,
        }
    }
}

/// A client that follows nothing, for this URL only in spirit: https anywhere, or http to this machine.
pub(super) fn client(url: &Url, timeout: Duration) -> Result<Client, reqwest::Error> {
    let builder = Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(timeout)
        .referer(false)
        .user_agent(concat!("rescind/", env!("CARGO_PKG_VERSION")));
    if is_loopback(url) {
        // Why: neither a proxy nor a name server may take a loopback request to another machine.
        let loopback = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
        let addresses = loopback.map(|address| SocketAddr::new(address, 0));
        builder.no_proxy().resolve_to_addrs("localhost", &addresses).build()
    } else {
        builder.https_only(true).build()
    }
}

async fn fetch_url(client: &Client, url: &Url, known: Option<&Version>) -> Result<Fetched, FetchError> {
    // Why `without_url`: a query may carry something that does not belong in a log.
    let failed = |error: reqwest::Error| FetchError::Request(error.without_url());
    let mut request = client.get(url.clone()).header(ACCEPT, "application/jwk-set+json, application/json");
    let asked = match known {
        Some(Version::ETag(etag)) => {
            request = request.header(IF_NONE_MATCH, etag);
            true
        }
        Some(Version::File { .. }) | None => false,
    };
    let mut response = request.send().await.map_err(failed)?;
    let status = response.status();
    if status == StatusCode::NOT_MODIFIED && asked {
        return Ok(Fetched::Unchanged);
    }
    if status.is_redirection() && status != StatusCode::NOT_MODIFIED {
        return Err(FetchError::Redirect { status: status.as_u16() });
    }
    if status != StatusCode::OK {
        return Err(FetchError::Status { status: status.as_u16() });
    }
    let version = response.headers().get(ETAG).filter(|etag| etag.len() <= ETAG_BYTES_MAX).cloned();
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(failed)? {
        if bytes.len().saturating_add(chunk.len()) > JWKS_BYTES_MAX {
            return Err(FetchError::TooLarge);
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(Fetched::Document { bytes, version: version.map(Version::ETag) })
}

async fn fetch_file(path: &PathBuf, known: Option<&Version>) -> Result<Fetched, FetchError> {
    let file = tokio::fs::File::open(path).await.map_err(FetchError::File)?;
    // Why before reading: a write in between shows as a change next time.
    let metadata = file.metadata().await.map_err(FetchError::File)?;
    let modified = metadata.modified().map_err(FetchError::File)?;
    let version = Version::File { modified, len: metadata.len() };
    if known == Some(&version) {
        return Ok(Fetched::Unchanged);
    }
    let limit = u64::try_from(JWKS_BYTES_MAX).unwrap_or(u64::MAX).saturating_add(1);
    let mut bytes = Vec::new();
    file.take(limit).read_to_end(&mut bytes).await.map_err(FetchError::File)?;
    if bytes.len() > JWKS_BYTES_MAX {
        return Err(FetchError::TooLarge);
    }
    Ok(Fetched::Document { bytes, version: Some(version) })
}
