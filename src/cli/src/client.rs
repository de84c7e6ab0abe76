//! The controller's HTTP API, with every wait bounded.

mod error;
mod retry;
#[cfg(test)]
mod tests;

use std::time::Duration;

use reqwest::header::{AUTHORIZATION, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Method, RequestBuilder, StatusCode, Url};
use serde_json::Value;

pub(crate) use error::ClientError;

use crate::fault::{Fault, chain};
use crate::settings::{Bearer, Settings};

/// Limit: until a connection stands; a controller answers within a round trip.
const CONNECT_WAIT: Duration = Duration::from_secs(3);

/// Limit: one question; the controller itself gives up on an append after less.
const ANSWER_WAIT: Duration = Duration::from_secs(15);

/// Limit: bytes of one answer; a page of 1,000 records has about 500 KB.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Limit: rows of one page.
const PAGE_MAX: usize = 1000;

/// Limit: pages of one list; some may be empty.
const PAGES_MAX: usize = 10_000;

/// A controller to ask.
pub(crate) struct Client {
    http: reqwest::Client,
    base: Url,
    bearer: Option<Bearer>,
}

impl Client {
    /// Prepares the client; nothing is sent yet.
    ///
    /// # Errors
    /// Internal: the TLS set-up of this machine is not usable.
    pub(crate) fn new(settings: Settings) -> Result<Self, Fault> {
        // Why no redirects: they would carry the token to somebody else.
        let mut builder = reqwest::Client::builder()
            .connect_timeout(CONNECT_WAIT)
            .redirect(Policy::none())
            .user_agent(concat!("rescind/", env!("CARGO_PKG_VERSION")));
        if is_loopback(&settings.url) {
            builder = builder.no_proxy();
        }
        let http = builder.build().map_err(|error| {
            Fault::internal("http", format!("cannot set up the http client: {}", chain(&error)))
        })?;
        Ok(Self { http, base: settings.url, bearer: settings.bearer })
    }

    /// The controller's address, for messages.
    pub(crate) fn url(&self) -> &str {
        self.base.as_str().trim_end_matches('/')
    }

    /// Whether a token would travel over a network unprotected.
    pub(crate) fn is_exposed(&self) -> bool {
        self.bearer.is_some() && self.base.scheme() == "http" && !is_loopback(&self.base)
    }

    /// Asks for `path` with `query`.
    ///
    /// # Errors
    /// [`ClientError`].
    pub(crate) async fn get(&self, path: &[&str], query: &[(&str, &str)]) -> Result<Value, ClientError> {
        let (status, body) = self.send(self.request(Method::GET, path, query)?, ANSWER_WAIT).await?;
        self.judge(status, &body)
    }

    /// As [`Self::get`], and takes a 503 with a JSON body as an answer (`/readyz`).
    pub(crate) async fn probe(&self, path: &str) -> Result<(bool, Value), ClientError> {
        let (status, body) = self.send(self.request(Method::GET, &[path], &[])?, ANSWER_WAIT).await?;
        match status {
            StatusCode::SERVICE_UNAVAILABLE => {
                Ok((false, serde_json::from_slice(&body).unwrap_or(Value::Null)))
            }
            status if status.is_success() => Ok((true, serde_json::from_slice(&body).unwrap_or(Value::Null))),
            status => self.judge(status, &body).map(|value| (true, value)),
        }
    }

    /// The board of `id`; waits at most `wait` for it to be enforced.
    ///
    /// # Errors
    /// [`ClientError`].
    pub(crate) async fn board(&self, id: &str, wait: Duration) -> Result<Value, ClientError> {
        let wait_ms = wait.as_millis().to_string();
        let request = self.request(Method::GET, &["v1", "records", id, "board"], &[("wait_ms", &wait_ms)])?;
        let (status, body) = self.send(request, ANSWER_WAIT.saturating_add(wait)).await?;
        self.judge(status, &body)
    }

    /// Rows of a list, page by page, up to `limit`; `next` is where it would go on.
    ///
    /// # Errors
    /// [`ClientError`].
    pub(crate) async fn list(
        &self,
        name: &str,
        filter: &[(&str, &str)],
        limit: usize,
    ) -> Result<(Vec<Value>, Value), ClientError> {
        let mut rows = Vec::new();
        let mut next = Value::Null;
        for _ in 0..PAGES_MAX {
            let page = limit.saturating_sub(rows.len()).min(PAGE_MAX).to_string();
            let mut query = filter.to_vec();
            query.push(("limit", &page));
            let after = next.as_str().map(str::to_owned);
            if let Some(after) = &after {
                query.push(("after", after));
            }
            let mut answer = self.get(&["v1", name], &query).await?;
            let Some(Value::Array(more)) = answer.get_mut(name).map(Value::take) else {
                return Err(self.unusable("the list is missing"));
            };
            next = answer.get_mut("next").map(Value::take).unwrap_or_default();
            rows.extend(more);
            if rows.len() >= limit || !next.is_string() || next.as_str() == after.as_deref() {
                break;
            }
        }
        rows.truncate(limit);
        Ok((rows, next))
    }

    /// One row of a list by its id.
    ///
    /// # Errors
    /// [`ClientError`]; not found where the controller does not list it any more.
    pub(crate) async fn row(&self, list: &str, id: &str) -> Result<Value, ClientError> {
        if list == "records" {
            return self.get(&["v1", list, id], &[]).await;
        }
        // Why: entitlements are only listed, in the order of their ids.
        let before = id.rsplit_once('-').and_then(|(lane, revision)| {
            let before = revision.parse::<u64>().ok()?.checked_sub(1).filter(|before| *before > 0)?;
            Some(format!("{lane}-{before}"))
        });
        let mut query = vec![("limit", "1")];
        query.extend(before.as_deref().map(|before| ("after", before)));
        let mut answer = self.get(&["v1", list], &query).await?;
        let row = answer.get_mut(list).and_then(|rows| rows.get_mut(0)).map(Value::take);
        row.filter(|row| row.get("id").and_then(Value::as_str) == Some(id)).ok_or_else(|| {
            ClientError::Refused {
                status: 404,
                code: "not_found".to_owned(),
                message: "the controller does not list it".to_owned(),
            }
        })
    }

    /// Sends a directive once.
    async fn post_directive(&self, directive: &Value) -> Result<Value, ClientError> {
        self.post(&["v1", "directives"], directive).await
    }

    /// Sends `body` to `path` once.
    ///
    /// # Errors
    /// [`ClientError`].
    pub(crate) async fn post(&self, path: &[&str], body: &Value) -> Result<Value, ClientError> {
        let request = self
            .request(Method::POST, path, &[])?
            .header(reqwest::header::CONTENT_TYPE, "application/json")
            .body(body.to_string());
        let (status, body) = self.send(request, ANSWER_WAIT).await?;
        self.judge(status, &body)
    }

    fn request(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, &str)],
    ) -> Result<RequestBuilder, ClientError> {
        let mut url = self.base.clone();
        url.path_segments_mut()
            .map_err(|()| self.unusable("the address takes no path"))?
            .pop_if_empty()
            .extend(path);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let mut request = self.http.request(method, url);
        if let Some(bearer) = &self.bearer {
            let mut value = HeaderValue::from_str(&format!("Bearer {}", bearer.reveal()))
                .map_err(|_| self.unusable("the token cannot be a header"))?;
            value.set_sensitive(true);
            request = request.header(AUTHORIZATION, value);
        }
        Ok(request)
    }

    async fn send(
        &self,
        request: RequestBuilder,
        wait: Duration,
    ) -> Result<(StatusCode, Vec<u8>), ClientError> {
        let lost = |error: reqwest::Error| {
            let why = chain(&error.without_url());
            ClientError::Lost { url: self.url().to_owned(), why }
        };
        let mut response = request.timeout(wait).send().await.map_err(|error| match error.is_connect() {
            true => ClientError::Unreachable { url: self.url().to_owned(), why: reason(&error) },
            false => lost(error),
        })?;
        let status = response.status();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(lost)? {
            if body.len().saturating_add(chunk.len()) > ANSWER_BYTES_MAX {
                return Err(self.unusable("it is too large"));
            }
            body.extend_from_slice(&chunk);
        }
        Ok((status, body))
    }

    fn judge(&self, status: StatusCode, body: &[u8]) -> Result<Value, ClientError> {
        let value: Option<Value> = serde_json::from_slice(body).ok();
        if status.is_success() {
            return value.ok_or_else(|| self.unusable("it is no json"));
        }
        let field = |name: &str| value.as_ref()?.get("error")?.get(name)?.as_str().map(str::to_owned);
        match (field("code"), field("message")) {
            (Some(code), Some(message)) => {
                Err(ClientError::Refused { status: status.as_u16(), code, message })
            }
            _ => Err(ClientError::Foreign { url: self.url().to_owned(), status: status.as_u16() }),
        }
    }

    fn unusable(&self, why: &'static str) -> ClientError {
        ClientError::Unusable { url: self.url().to_owned(), why }
    }
}

/// The innermost cause of a failed connection, which is what a person needs.
fn reason(error: &reqwest::Error) -> String {
    let mut source: &dyn std::error::Error = error;
    while let Some(inner) = source.source() {
        source = inner;
    }
    let text = source.to_string();
    text.split(" (os error").next().unwrap_or_default().to_lowercase()
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}
