//! The one task that fetches keys, and when it does.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::fetch::{FetchError, Fetched, Origin, Version, client};
use super::{KeyDirectory, KeySlot};
use crate::jwks::KeySet;
use crate::policy::check::jwks_url;
use crate::policy::{JwksSource, TrustConfig};

/// How often sources are asked. The defaults suit a fleet of thousands behind one issuer.
#[derive(Debug, Clone)]
pub struct RefreshOptions {
    /// Between two regular fetches of a URL; each is moved by up to a tenth, so that a fleet spreads out.
    /// Default 5 minutes: how long a key that the issuer withdrew is still accepted.
    pub refresh_interval: Duration,
    /// Between two looks at a file; default 5 seconds, since a look costs next to nothing.
    pub file_interval: Duration,
    /// At least this long between two fetches on account of unknown `kid`s; default 30 seconds.
    pub unknown_kid_interval: Duration,
    /// After a first failure; doubles up to the regular interval. Default 2 seconds.
    pub retry_interval: Duration,
    /// For a whole request, from connecting to the last byte; default 5 seconds.
    pub timeout: Duration,
}

impl Default for RefreshOptions {
    fn default() -> Self {
        Self {
            refresh_interval: Duration::from_secs(300),
            file_interval: Duration::from_secs(5),
            unknown_kid_interval: Duration::from_secs(30),
            retry_interval: Duration::from_secs(2),
            timeout: Duration::from_secs(5),
        }
    }
}

/// The refresher could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum RefreshSetupError {
    /// The HTTP client could not be built: no trust roots, say.
    #[error("could not set up the http client for key sets")]
    Client(#[source] reqwest::Error),
    /// A URL is not acceptable; configuration checks exclude this.
    #[error("key set url {advice}")]
    Url {
        /// What to change.
        advice: &'static str,
    },
}

/// What became of one source in one round.
#[derive(Debug)]
pub struct RefreshReport {
    /// The issuer.
    pub issuer: String,
    /// What happened.
    pub outcome: RefreshOutcome,
}

/// What became of one fetch.
#[derive(Debug)]
pub enum RefreshOutcome {
    /// Other keys than before are in use now.
    Updated {
        /// Usable keys.
        keys: usize,
        /// Keys of the document that are skipped.
        skipped: usize,
    },
    /// The source confirmed the keys in use.
    Unchanged,
    /// The keys in use, if any, stay in use.
    Failed(FetchError),
}

/// Keeps a [`KeyDirectory`] current. One task owns it; it is dropped when that task ends.
#[derive(Debug)]
pub struct KeyRefresher {
    directory: KeyDirectory,
    options: RefreshOptions,
    sources: Vec<Source>,
}

struct Source {
    issuer: String,
    slot: Arc<KeySlot>,
    origin: Origin,
    /// Of the document in use; `None` asks for all of it.
    version: Option<Version>,
    /// The document in use, to tell a change from a repetition.
    document: Option<Vec<u8>>,
    schedule: Schedule,
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Source").field("issuer", &self.issuer).finish_non_exhaustive()
    }
}

impl KeyRefresher {
    /// A refresher for all sources of the configuration; fetches nothing yet.
    ///
    /// # Errors
    /// [`RefreshSetupError`] if the HTTP client cannot be built; fatal at start.
    pub fn new(
        trust: &TrustConfig,
        directory: KeyDirectory,
        options: RefreshOptions,
    ) -> Result<Self, RefreshSetupError> {
        let mut sources = Vec::with_capacity(trust.issuers().len());
        for policy in trust.issuers() {
            let (origin, interval) = match policy.jwks() {
                JwksSource::File(path) => (Origin::File(path.clone()), options.file_interval),
                JwksSource::Url(url) => {
                    let url = jwks_url(url).map_err(|advice| RefreshSetupError::Url { advice })?;
                    let client = client(&url, options.timeout).map_err(RefreshSetupError::Client)?;
                    (Origin::Url { client, url }, options.refresh_interval)
                }
            };
            sources.push(Source {
                issuer: policy.issuer().to_owned(),
                slot: directory.slot(policy.issuer()),
                origin,
                version: None,
                document: None,
                schedule: Schedule::new(interval, &options),
            });
        }
        Ok(Self { directory, options, sources })
    }

    /// Refreshes until cancelled; the first round starts at once.
    ///
    /// Failures are logged (the first of a row, then ever more rarely) and shown by [`KeyDirectory::health`].
    pub async fn run(mut self, cancel: CancellationToken) {
        let rounds = async {
            loop {
                self.refresh_due(Instant::now()).await;
                let wake = self.directory.wake().notified();
                tokio::select! {
                    () = wake => {}
                    () = tokio::time::sleep_until(self.next_due(Instant::now())) => {}
                }
            }
        };
        tokio::select! {
            () = cancel.cancelled() => {}
            () = rounds => {}
        }
    }

    /// Asks every source now, whatever the schedule says; all at the same time.
    ///
    /// For start-up: a caller that wants keys before it is ready looks at the reports.
    pub async fn refresh_once(&mut self) -> Vec<RefreshReport> {
        self.refresh(Instant::now(), |_, _| true).await
    }

    /// Asks the sources that are due, or wanted and not asked too recently.
    pub(super) async fn refresh_due(&mut self, now: Instant) -> Vec<RefreshReport> {
        self.refresh(now, |schedule, wanted| schedule.is_due(now, wanted)).await
    }

    async fn refresh(&mut self, now: Instant, pick: impl Fn(&Schedule, bool) -> bool) -> Vec<RefreshReport> {
        let mut round: Vec<&mut Source> = Vec::new();
        for source in &mut self.sources {
            let wanted = source.slot.is_wanted();
            if pick(&source.schedule, wanted) {
                if wanted {
                    // Why before the fetch: a mark set during it may be about a key newer than the answer.
                    source.slot.clear_wanted();
                    source.schedule.wanted_last = Some(now);
                }
                round.push(source);
            }
        }
        let options = &self.options;
        join_all(round.into_iter().map(|source| source.refresh(now, options))).await
    }

    /// When the next source is due at the latest.
    fn next_due(&self, now: Instant) -> Instant {
        self.sources
            .iter()
            .map(|source| source.schedule.due_at(source.slot.is_wanted()))
            .min()
            .unwrap_or_else(|| after(now, self.options.refresh_interval))
    }
}

impl Source {
    async fn refresh(&mut self, now: Instant, options: &RefreshOptions) -> RefreshReport {
        let fetched = self.origin.fetch(self.version.as_ref()).await;
        let outcome = fetched.and_then(|fetched| self.apply(fetched)).unwrap_or_else(RefreshOutcome::Failed);
        let failures = match &outcome {
            RefreshOutcome::Updated { keys, skipped } => {
                tracing::info!(issuer = self.issuer, keys, skipped, "key set updated");
                0
            }
            RefreshOutcome::Unchanged => {
                self.slot.confirm();
                0
            }
            RefreshOutcome::Failed(error) => {
                let cause = chain(error);
                let failures = self.slot.fail(cause.clone());
                if failures.is_power_of_two() {
                    tracing::warn!(
                        issuer = self.issuer,
                        failures,
                        cause,
                        "key set not refreshed, last good one kept"
                    );
                }
                failures
            }
        };
        self.schedule.plan(now, failures, options);
        RefreshReport { issuer: self.issuer.clone(), outcome }
    }

    fn apply(&mut self, fetched: Fetched) -> Result<RefreshOutcome, FetchError> {
        let Fetched::Document { bytes, version } = fetched else { return Ok(RefreshOutcome::Unchanged) };
        if self.document.as_ref() == Some(&bytes) {
            self.version = version;
            return Ok(RefreshOutcome::Unchanged);
        }
        let keys = KeySet::parse(&bytes)?;
        let outcome = RefreshOutcome::Updated { keys: keys.len(), skipped: keys.skipped().len() };
        self.slot.install(keys);
        self.version = version;
        self.document = Some(bytes);
        Ok(outcome)
    }
}

/// An error with its causes, in one line.
fn chain(error: &FetchError) -> String {
    let mut text = error.to_string();
    let mut next = std::error::Error::source(error);
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}

/// Limit: the shortest wait, whatever the options say. Why: a zero must not become a flood of requests.
const WAIT_MIN: Duration = Duration::from_millis(100);

/// Limit: the longest wait. Why: keeps the sum of date and wait in range.
const WAIT_MAX: Duration = Duration::from_secs(24 * 3600);

fn after(now: Instant, wait: Duration) -> Instant {
    now.checked_add(wait.clamp(WAIT_MIN, WAIT_MAX)).unwrap_or(now)
}

/// When a source is asked again; time is an argument.
#[derive(Debug)]
pub(super) struct Schedule {
    interval: Duration,
    unknown_kid_interval: Duration,
    /// `None` until the first fetch: due at once.
    next: Option<Instant>,
    /// The last fetch on account of an unknown `kid`.
    wanted_last: Option<Instant>,
    spread: RandomState,
}

impl Schedule {
    fn new(interval: Duration, options: &RefreshOptions) -> Self {
        Self {
            interval,
            unknown_kid_interval: options.unknown_kid_interval,
            next: None,
            wanted_last: None,
            spread: RandomState::new(),
        }
    }

    fn is_due(&self, now: Instant, wanted: bool) -> bool {
        self.due_at_or(wanted).is_none_or(|due| due <= now)
    }

    fn due_at(&self, wanted: bool) -> Instant {
        self.due_at_or(wanted).unwrap_or_else(Instant::now)
    }

    /// `None` means at once.
    fn due_at_or(&self, wanted: bool) -> Option<Instant> {
        let regular = self.next?;
        if !wanted {
            return Some(regular);
        }
        let on_demand = after(self.wanted_last?, self.unknown_kid_interval);
        Some(regular.min(on_demand))
    }

    fn plan(&mut self, now: Instant, failures: u32, options: &RefreshOptions) {
        let wait = match failures.checked_sub(1) {
            None => self.interval,
            Some(earlier) => {
                let factor = 1_u32.checked_shl(earlier).unwrap_or(u32::MAX);
                options.retry_interval.saturating_mul(factor).min(self.interval)
            }
        };
        self.next = Some(after(now, self.spread(wait, now)));
    }

    /// Between nine and eleven tenths of it.
    fn spread(&self, wait: Duration, now: Instant) -> Duration {
        let permille = u32::try_from(self.spread.hash_one(now) % 201).unwrap_or(100);
        wait.saturating_mul(permille.saturating_add(900)) / 1000
    }
}
