//! Every metric name. Counters are written without their `_total`, which the text format adds.

/// Guarantees of protocol.md that did not hold; label `id` (`S1` ...). Anything but zero is a bug.
pub const INVARIANT_VIOLATIONS: &str = "rescind_invariant_violations";
/// Directives by `outcome` (`accepted`, `existing`, `indeterminate`, or a refusal's code).
pub const DIRECTIVES: &str = "rescind_controller_directives";
/// From the arrival of a request with directives to its answer, by `door` (`http`, `bus`).
pub const DIRECTIVE_SECONDS: &str = "rescind_controller_directive_seconds";
/// Entries committed, by `lane`.
pub const ENTRIES: &str = "rescind_controller_entries";
/// Changes committed, by `lane`.
pub const CHANGES: &str = "rescind_controller_changes";
/// From cutting an entry to the broker's acknowledgement, by `lane`.
pub const COMMIT_SECONDS: &str = "rescind_controller_commit_seconds";
/// One durable append to the write-ahead log, by `lane`.
pub const LOG_APPEND_SECONDS: &str = "rescind_controller_log_append_seconds";
/// Appends to the write-ahead log that failed, by `lane`.
pub const LOG_FAILURES: &str = "rescind_controller_log_failures";
/// Publishes whose outcome had to be found out by reading the lane, by `lane`.
pub const SETTLED: &str = "rescind_controller_publishes_settled";
/// Newest confirmed revision, by `lane`.
pub const HEAD_REVISION: &str = "rescind_controller_head_revision";
/// Ticks by `outcome` (`appended`, `failed`).
pub const TICKS: &str = "rescind_controller_ticks";
/// Lease requests by `outcome` (`granted`, `unanswered`, `refused`).
pub const LEASE_REQUESTS: &str = "rescind_controller_lease_requests";
/// Reports of agents by `outcome` (`taken`, `replayed`, `full`, `refused`).
pub const REPORTS: &str = "rescind_controller_reports";
/// Alarms that reports raised, by `alarm`.
pub const ALARMS: &str = "rescind_controller_agent_alarms";
/// Messages that were rejected, by `kind` and the codec's `code`.
pub const REJECTED: &str = "rescind_controller_rejected_messages";
/// Requests for a range or a snapshot, by `kind` (`range`, `manifest`, `chunk`) and `outcome`.
pub const REPAIRS: &str = "rescind_controller_repairs";
/// Snapshots by `outcome` (`made`, `failed`).
pub const SNAPSHOTS: &str = "rescind_controller_snapshots";
/// Duration of making one snapshot.
pub const SNAPSHOT_SECONDS: &str = "rescind_controller_snapshot_seconds";
/// HTTP requests by `route` (the pattern) and `status`.
pub const HTTP_REQUESTS: &str = "rescind_controller_http_requests";
/// From acceptance to enforcement everywhere.
pub const ENFORCEMENT_SECONDS: &str = "rescind_controller_enforcement_seconds";
/// Epoch of the chain that this controller knows.
pub const EPOCH: &str = "rescind_controller_epoch";
/// 1 while this controller writes, 0 while it follows.
pub const WRITER: &str = "rescind_controller_writer";
/// 1 while directives are accepted, else 0.
pub const READY: &str = "rescind_controller_ready";
/// Records that can still deny something.
pub const RECORDS: &str = "rescind_controller_records";
/// Entitlements that are held.
pub const ENTITLEMENTS: &str = "rescind_controller_entitlements";
