//! The controllers' HTTP API as an emitter uses it that knows several controllers.

use std::{
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use rescind_testkit::{Answer, KitError, KitResult};
use serde_json::Value;

/// Limit: an answer; a directive ends by itself earlier, a paused controller does not answer at all.
const ANSWER_WAIT: Duration = Duration::from_secs(8);

/// Limit: a connection on loopback.
const CONNECT_WAIT: Duration = Duration::from_secs(1);

/// Follows the controllers over restarts; every try goes to another one.
#[derive(Debug, Clone)]
pub struct Door {
    urls: Arc<RwLock<Vec<Option<String>>>>,
    next: Arc<AtomicUsize>,
    token: String,
    http: reqwest::Client,
}

impl Door {
    /// A door to `count` controllers, none of which serves yet.
    ///
    /// # Errors
    /// No HTTP client.
    pub fn new(count: usize, token: String) -> KitResult<Self> {
        let http = reqwest::Client::builder()
            .timeout(ANSWER_WAIT)
            .connect_timeout(CONNECT_WAIT)
            .no_proxy()
            .build()
            .map_err(KitError::because("make an HTTP client"))?;
        let urls = Arc::new(RwLock::new(vec![None; count]));
        Ok(Self { urls, next: Arc::default(), token, http })
    }

    /// A controller serves at `url`, or no longer.
    pub fn serve(&self, number: usize, url: Option<String>) {
        let mut urls = self.urls.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = urls.get_mut(number) {
            *place = url;
        }
    }

    /// Whether any controller serves.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.urls.read().unwrap_or_else(PoisonError::into_inner).iter().any(Option::is_some)
    }

    fn url(&self) -> KitResult<String> {
        let urls = self.urls.read().unwrap_or_else(PoisonError::into_inner);
        let open: Vec<&String> = urls.iter().flatten().collect();
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        let url = open.get(turn % open.len().max(1));
        url.map(|url| (*url).clone()).ok_or_else(|| KitError::new("no controller serves"))
    }

    /// Sends a directive once.
    ///
    /// # Errors
    /// No answer.
    pub async fn post(&self, body: &Value) -> KitResult<Answer> {
        let url = format!("{}/v1/directives", self.url()?);
        answer(self.http.post(url).bearer_auth(&self.token).json(body)).await
    }

    /// Reads a path once.
    ///
    /// # Errors
    /// No answer.
    pub async fn get(&self, path: &str) -> KitResult<Answer> {
        answer(self.http.get(format!("{}{path}", self.url()?)).bearer_auth(&self.token)).await
    }
}

async fn answer(request: reqwest::RequestBuilder) -> KitResult<Answer> {
    let response = request.send().await.map_err(KitError::because("ask the controller"))?;
    let status = response.status().as_u16();
    let bytes = response.bytes().await.map_err(KitError::because("read the controller's answer"))?;
    Ok(Answer { status, body: serde_json::from_slice(&bytes).unwrap_or(Value::Null) })
}
