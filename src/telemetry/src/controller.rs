//! What a controller counts and measures.

use std::fmt;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::family::MetricConstructor;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::metrics::{counter::Counter, family::Family, gauge::Gauge};
use prometheus_client::registry::Registry;

use crate::invariants::InvariantViolations;
use crate::names;

#[cfg(test)]
mod tests;

type One = [(&'static str, &'static str); 1];
type Two = [(&'static str, &'static str); 2];
type Seconds = Family<One, Histogram, Buckets>;

/// Buckets from a quarter of a millisecond to 16 s: an append and a lease both have room.
#[derive(Debug, Clone, Copy, Default)]
struct Buckets;

impl MetricConstructor<Histogram> for Buckets {
    fn new_metric(&self) -> Histogram {
        Histogram::new(exponential_buckets(0.000_25, 2.0, 17))
    }
}

/// The metrics of one controller, shared by its tasks.
pub struct ControllerMetrics {
    registry: Registry,
    invariants: InvariantViolations,
    directives: Family<One, Counter>,
    directive_seconds: Seconds,
    entries: Family<One, Counter>,
    changes: Family<One, Counter>,
    commit_seconds: Seconds,
    log_append_seconds: Seconds,
    log_failures: Family<One, Counter>,
    settled: Family<One, Counter>,
    head: Family<One, Gauge<u64, AtomicU64>>,
    ticks: Family<One, Counter>,
    leases: Family<One, Counter>,
    reports: Family<One, Counter>,
    alarms: Family<One, Counter>,
    rejected: Family<Two, Counter>,
    repairs: Family<Two, Counter>,
    snapshots: Family<One, Counter>,
    snapshot_seconds: Histogram,
    http: Family<[(&'static str, String); 2], Counter>,
    enforcement_seconds: Histogram,
    ready: Gauge<u64, AtomicU64>,
    epoch: Gauge<u64, AtomicU64>,
    writer: Gauge<u64, AtomicU64>,
    records: Gauge<u64, AtomicU64>,
    entitlements: Gauge<u64, AtomicU64>,
}

impl fmt::Debug for ControllerMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ControllerMetrics")
    }
}

impl Default for ControllerMetrics {
    fn default() -> Self {
        Self::new()
    }
}

/// The metrics of one lane.
#[derive(Clone)]
pub struct LaneMetrics {
    entries: Counter,
    changes: Counter,
    commit_seconds: Histogram,
    log_append_seconds: Histogram,
    log_failures: Counter,
    settled: Counter,
    head: Gauge<u64, AtomicU64>,
}

impl fmt::Debug for LaneMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LaneMetrics")
    }
}

impl LaneMetrics {
    /// An entry of `changes` changes was acknowledged `after` it was cut; `head` is its last revision.
    pub fn committed(&self, changes: u64, after: Duration, head: u64) {
        self.entries.inc();
        self.changes.inc_by(changes);
        self.commit_seconds.observe(after.as_secs_f64());
        self.head.set(head);
    }

    /// One durable append to the log.
    pub fn logged(&self, took: Duration) {
        self.log_append_seconds.observe(took.as_secs_f64());
    }

    /// An append to the log failed.
    pub fn log_failed(&self) {
        self.log_failures.inc();
    }

    /// The outcome of a publish had to be found out by reading the lane.
    pub fn settled(&self) {
        self.settled.inc();
    }

    /// Where the lane stands at a start.
    pub fn set_head(&self, head: u64) {
        self.head.set(head);
    }
}

impl ControllerMetrics {
    /// All metrics at zero.
    #[must_use]
    pub fn new() -> Self {
        let mut registry = Registry::default();
        let invariants = InvariantViolations::register(&mut registry);
        let latency = || Histogram::new(exponential_buckets(0.000_25, 2.0, 17));
        let this = Self {
            registry: Registry::default(),
            invariants,
            directives: Family::default(),
            directive_seconds: Family::new_with_constructor(Buckets),
            entries: Family::default(),
            changes: Family::default(),
            commit_seconds: Family::new_with_constructor(Buckets),
            log_append_seconds: Family::new_with_constructor(Buckets),
            log_failures: Family::default(),
            settled: Family::default(),
            head: Family::default(),
            ticks: Family::default(),
            leases: Family::default(),
            reports: Family::default(),
            alarms: Family::default(),
            rejected: Family::default(),
            repairs: Family::default(),
            snapshots: Family::default(),
            snapshot_seconds: latency(),
            http: Family::default(),
            enforcement_seconds: latency(),
            ready: Gauge::default(),
            epoch: Gauge::default(),
            writer: Gauge::default(),
            records: Gauge::default(),
            entitlements: Gauge::default(),
        };
        this.register_all(&mut registry);
        Self { registry, ..this }
    }

    fn register_all(&self, r: &mut Registry) {
        use names as n;
        r.register(n::DIRECTIVES, "Directives by outcome", self.directives.clone());
        r.register(n::DIRECTIVE_SECONDS, "Request to answer", self.directive_seconds.clone());
        r.register(n::ENTRIES, "Entries committed", self.entries.clone());
        r.register(n::CHANGES, "Changes committed", self.changes.clone());
        r.register(n::COMMIT_SECONDS, "Entry cut to acknowledgement", self.commit_seconds.clone());
        r.register(n::LOG_APPEND_SECONDS, "One durable append", self.log_append_seconds.clone());
        r.register(n::LOG_FAILURES, "Appends that failed", self.log_failures.clone());
        r.register(n::SETTLED, "Publishes settled by reading the lane", self.settled.clone());
        r.register(n::HEAD_REVISION, "Newest confirmed revision", self.head.clone());
        r.register(n::TICKS, "Ticks by outcome", self.ticks.clone());
        r.register(n::LEASE_REQUESTS, "Lease requests by outcome", self.leases.clone());
        r.register(n::REPORTS, "Reports by outcome", self.reports.clone());
        r.register(n::ALARMS, "Alarms that reports raised", self.alarms.clone());
        r.register(n::REJECTED, "Messages that were rejected", self.rejected.clone());
        r.register(n::REPAIRS, "Ranges and snapshots served", self.repairs.clone());
        r.register(n::SNAPSHOTS, "Snapshots by outcome", self.snapshots.clone());
        r.register(n::SNAPSHOT_SECONDS, "Making one snapshot", self.snapshot_seconds.clone());
        r.register(n::HTTP_REQUESTS, "HTTP requests by route and status", self.http.clone());
        r.register(n::ENFORCEMENT_SECONDS, "Accepted to enforced", self.enforcement_seconds.clone());
        r.register(n::EPOCH, "epoch of the chain that this controller knows", self.epoch.clone());
        r.register(n::WRITER, "1 while this controller writes, 0 while it follows", self.writer.clone());
        r.register(n::READY, "1 while directives are accepted", self.ready.clone());
        r.register(n::RECORDS, "Records that can still deny", self.records.clone());
        r.register(n::ENTITLEMENTS, "Entitlements that are held", self.entitlements.clone());
    }

    /// All metrics in the OpenMetrics text format.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut text = String::new();
        // Why empty on an error: writing into a String fails for nothing that a reader could use.
        encode(&mut text, &self.registry).map(|()| text).unwrap_or_default()
    }

    /// The counter of guarantees that did not hold.
    #[must_use]
    pub const fn invariants(&self) -> &InvariantViolations {
        &self.invariants
    }

    /// The metrics of one lane, looked up once.
    #[must_use]
    pub fn lane(&self, lane: &'static str) -> LaneMetrics {
        let label = [("lane", lane)];
        LaneMetrics {
            entries: self.entries.get_or_create_owned(&label),
            changes: self.changes.get_or_create_owned(&label),
            commit_seconds: self.commit_seconds.get_or_create_owned(&label),
            log_append_seconds: self.log_append_seconds.get_or_create_owned(&label),
            log_failures: self.log_failures.get_or_create_owned(&label),
            settled: self.settled.get_or_create_owned(&label),
            head: self.head.get_or_create_owned(&label),
        }
    }

    /// `count` directives ended so.
    pub fn directives(&self, outcome: &'static str, count: u64) {
        self.directives.get_or_create(&[("outcome", outcome)]).inc_by(count);
    }

    /// A request with directives was answered.
    pub fn directive_took(&self, door: &'static str, took: Duration) {
        self.directive_seconds.get_or_create(&[("door", door)]).observe(took.as_secs_f64());
    }

    /// A tick was appended, or not.
    pub fn tick(&self, outcome: &'static str) {
        self.ticks.get_or_create(&[("outcome", outcome)]).inc();
    }

    /// `count` lease requests ended so.
    pub fn leases(&self, outcome: &'static str, count: u64) {
        self.leases.get_or_create(&[("outcome", outcome)]).inc_by(count);
    }

    /// A report ended so.
    pub fn report(&self, outcome: &'static str) {
        self.reports.get_or_create(&[("outcome", outcome)]).inc();
    }

    /// A report raised an alarm.
    pub fn alarm(&self, alarm: &'static str) {
        self.alarms.get_or_create(&[("alarm", alarm)]).inc();
    }

    /// A message of `kind` was rejected.
    pub fn rejected(&self, kind: &'static str, code: &'static str) {
        self.rejected.get_or_create(&[("kind", kind), ("code", code)]).inc();
    }

    /// A range, manifest or chunk was asked for.
    pub fn repair(&self, kind: &'static str, outcome: &'static str) {
        self.repairs.get_or_create(&[("kind", kind), ("outcome", outcome)]).inc();
    }

    /// A snapshot was made, or not.
    pub fn snapshot(&self, outcome: &'static str, took: Duration) {
        self.snapshots.get_or_create(&[("outcome", outcome)]).inc();
        self.snapshot_seconds.observe(took.as_secs_f64());
    }

    /// An HTTP request was answered. `route` is the pattern, so that its values are few.
    pub fn http(&self, route: &str, status: u16) {
        self.http.get_or_create(&[("route", route.to_owned()), ("status", status.to_string())]).inc();
    }

    /// A change was enforced everywhere `after` it was accepted.
    pub fn enforced(&self, after: Duration) {
        self.enforcement_seconds.observe(after.as_secs_f64());
    }

    /// The role, by its word.
    pub fn set_role(&self, role: &str) {
        self.writer.set(u64::from(role == "writer"));
    }

    /// The epoch.
    pub fn set_epoch(&self, epoch: u32) {
        self.epoch.set(u64::from(epoch));
    }

    /// Whether directives are accepted.
    pub fn set_ready(&self, ready: bool) {
        self.ready.set(u64::from(ready));
    }

    /// How much state there is.
    pub fn set_state(&self, records: u64, entitlements: u64) {
        self.records.set(records);
        self.entitlements.set(entitlements);
    }
}
