//! Steady load: every caller asks every service, over and over, over HTTP.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::expect::{ALLOW, Expectations};
use super::service::Answer;

/// Pause between two rounds: some hundred decisions a second and service, and a resolution of milliseconds.
const PAUSE: Duration = Duration::from_millis(1);
/// Limit: an answer that takes longer counts as none.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// The callers' tokens by number; a caller may log in again.
#[derive(Debug, Default)]
pub(super) struct Callers(Mutex<Vec<Arc<str>>>);

impl Callers {
    /// Adds a caller and gives its number.
    pub(super) fn add(&self, token: &str) -> usize {
        let mut tokens = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tokens.push(token.into());
        tokens.len() - 1
    }

    fn all(&self) -> Vec<Arc<str>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Asks each service in a task of its own until `stop`.
pub(super) fn start(
    services: &[SocketAddr],
    callers: &Arc<Callers>,
    expectations: &Arc<Expectations>,
    stop: &CancellationToken,
) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    for (number, address) in services.iter().enumerate() {
        let url = format!("http://{address}/orders/17/refund");
        let (callers, expectations) = (Arc::clone(callers), Arc::clone(expectations));
        let stop = stop.clone();
        tasks.spawn(async move {
            let client = reqwest::Client::builder().timeout(ANSWER_WITHIN).no_proxy().build().unwrap_or_default();
            let rounds = async {
                loop {
                    for (caller, token) in callers.all().iter().enumerate() {
                        ask(&client, &url, token, (caller, number), &expectations).await;
                    }
                    tokio::time::sleep(PAUSE).await;
                }
            };
            tokio::select! {
                () = stop.cancelled() => {}
                () = rounds => {}
            }
        });
    }
    tasks
}

async fn ask(
    client: &reqwest::Client,
    url: &str,
    token: &str,
    place: (usize, usize),
    expectations: &Expectations,
) {
    let sent = Instant::now();
    let answer = async {
        let response = client.post(url).bearer_auth(token).send().await.ok()?;
        response.json::<Answer>().await.ok()
    };
    match answer.await {
        Some(answer) => {
            let got = if answer.allow { ALLOW } else { &answer.code };
            expectations.observe(place, sent, Instant::now(), got, answer.drift);
        }
        None => expectations.observe(place, sent, Instant::now(), "no answer", None),
    }
}
