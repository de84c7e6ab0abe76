//! How state looks in JSON.

use rescind_core::controller::Now;
use rescind_core::controller::ledger::{AgentRow, Alarm, Protection, Row, Status};
use rescind_core::controller::registry::{EntitlementRow, RecordRow};
use rescind_core::entitlement::Right;
use rescind_core::record::RecordState;
use rescind_core::report::Freshness;
use rescind_core::time::{BootNs, UnixMs, UnixS};
use serde::Serialize;
use utoipa::ToSchema;

use crate::clock;
use crate::engine::BoardView;

pub(super) const fn ms(time: UnixMs) -> i64 {
    time.0
}

pub(super) const fn s(time: UnixS) -> i64 {
    time.0
}

fn wall_ms(boot: BootNs, now: Now) -> i64 {
    ms(clock::wall_of(boot, now))
}

fn owned(text: Option<&str>) -> Option<String> {
    text.map(str::to_owned)
}

/// A record and where it came from.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct RecordView {
    #[schema(example = "deny-1-3")]
    id: String,
    /// `revoke`, `disable`, `hold` or `kill`.
    kind: &'static str,
    #[schema(example = "user:https://idp.example#u-7")]
    target: String,
    /// `active` or `ended`.
    state: &'static str,
    /// Unix seconds: what was issued at or before is dead.
    cutoff: Option<i64>,
    /// As `cutoff`, after the record ended: what stays dead.
    residual_cutoff: Option<i64>,
    emitter: String,
    requested_by: Option<String>,
    reason_code: Option<String>,
    incident: Option<String>,
    accepted_at_ms: i64,
    known_at_ms: Option<i64>,
    #[schema(example = "1/3")]
    position: String,
    /// The change that ended it.
    ended_by: Option<String>,
    idempotency_key: String,
    /// Of the private reason, which only the controller keeps.
    reason_admin_sha256: Option<String>,
    /// The private reason: only for the emitter that gave it, and only in `GET /v1/records/{id}`.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason_admin: Option<String>,
}

impl RecordView {
    pub(super) fn with_reason(mut self, reason: Option<String>) -> Self {
        self.reason_admin = reason;
        self
    }
}

impl From<&RecordRow> for RecordView {
    fn from(row: &RecordRow) -> Self {
        let (state, residual_cutoff) = match row.state {
            RecordState::Active => ("active", None),
            RecordState::Ended { residual_cutoff } => ("ended", residual_cutoff),
        };
        Self {
            id: row.record.id.to_string(),
            kind: row.record.kind.word(),
            target: row.record.target.to_string(),
            state,
            cutoff: row.record.cutoff.map(s),
            residual_cutoff: residual_cutoff.map(s),
            emitter: row.origin.emitter.to_string(),
            requested_by: owned(row.origin.requested_by.as_deref()),
            reason_code: owned(row.origin.reason_code.as_deref()),
            incident: owned(row.origin.incident.as_deref()),
            accepted_at_ms: ms(row.accepted_at),
            known_at_ms: row.origin.known_at.map(ms),
            position: row.record.id.position().to_string(),
            ended_by: row.ended_by.map(|id| id.to_string()),
            idempotency_key: row.origin.key.to_string(),
            reason_admin_sha256: row.reason_admin_sha256.map(hex::encode),
            reason_admin: None,
        }
    }
}

/// An entitlement and where it came from.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct EntitlementView {
    #[schema(example = "grant0-1-7")]
    id: String,
    holder: String,
    action: Option<String>,
    resource: Option<String>,
    member_of: Option<String>,
    tenant: Option<String>,
    /// Unix seconds, inclusive.
    not_before: Option<i64>,
    /// Unix seconds, exclusive.
    not_after: Option<i64>,
    /// `active` or `ended`.
    state: &'static str,
    emitter: String,
    requested_by: Option<String>,
    reason_code: Option<String>,
    incident: Option<String>,
    accepted_at_ms: i64,
    known_at_ms: Option<i64>,
    position: String,
    ended_by: Option<String>,
}

impl From<&EntitlementRow> for EntitlementView {
    fn from(row: &EntitlementRow) -> Self {
        let held = &row.entitlement;
        let (action, resource, member_of) = match &held.right {
            Right::Permission { action, resource } => {
                (Some(action.as_str().to_owned()), Some(resource.as_str().to_owned()), None)
            }
            Right::Member(membership) => (None, None, Some(membership.to_string())),
        };
        Self {
            id: held.id.to_string(),
            holder: held.holder.to_string(),
            action,
            resource,
            member_of,
            tenant: owned(held.tenant.as_deref()),
            not_before: held.window.not_before.map(s),
            not_after: held.window.not_after.map(s),
            state: if row.ended_by.is_none() { "active" } else { "ended" },
            emitter: row.origin.emitter.to_string(),
            requested_by: owned(row.origin.requested_by.as_deref()),
            reason_code: owned(row.origin.reason_code.as_deref()),
            incident: owned(row.origin.incident.as_deref()),
            accepted_at_ms: ms(row.accepted_at),
            known_at_ms: row.origin.known_at.map(ms),
            position: held.id.position().to_string(),
            ended_by: row.ended_by.map(|id| id.to_string()),
        }
    }
}

/// Where a change is enforced.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct BoardBody {
    id: String,
    /// `accepted`, `partially_enforced` or `enforced`.
    state: &'static str,
    accepted_at_ms: Option<i64>,
    /// When the controller could first say so; only for changes of its own run.
    enforced_at_ms: Option<i64>,
    accepted_to_enforced_ms: Option<u64>,
    /// Until then this controller cannot know all leases, so it does not say `enforced`.
    blind_until_ms: Option<i64>,
    /// One per run of an agent.
    rows: Vec<BoardRow>,
}

/// Where one run of an agent stands.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct BoardRow {
    agent: String,
    /// Which run; absent where none is known.
    instance: Option<String>,
    service: Option<String>,
    /// `applied`, `durable`, `fenced`, `not_started`, `lagging`, `unreachable` or `unsupported`.
    status: &'static str,
    /// When its receipt came, controller's clock.
    applied_at_ms: Option<i64>,
    /// What protects meanwhile, or what the agent says is wrong.
    detail: Option<String>,
    /// What it last said that it applied, in the change's lane.
    position: Option<String>,
    /// `fresh`, `stale` or `unsynced`, as it last said.
    freshness: Option<&'static str>,
    stale_policy: Option<String>,
    /// `two_instances` or `regressed`.
    alarm: Option<&'static str>,
    last_seen_ms: Option<i64>,
    /// First deny by a record, agent's clock.
    first_deny_at_ms: Option<i64>,
}

impl BoardBody {
    /// `accepted_at`: from the log, where state does not know it any more.
    pub(super) fn new(view: &BoardView, accepted_at: Option<UnixMs>) -> Self {
        let now = view.now;
        let rows = view.board.rows.iter().zip(&view.applied_at);
        Self {
            id: view.id.to_string(),
            state: view.board.state.word(),
            accepted_at_ms: view.accepted_at.or(accepted_at).map(ms),
            enforced_at_ms: view.enforced.map(|enforced| wall_ms(enforced.enforced_at, now)),
            accepted_to_enforced_ms: view.enforced.map(|enforced| {
                let took = enforced.enforced_at.since(enforced.accepted_at);
                u64::try_from(took.as_millis()).unwrap_or(u64::MAX)
            }),
            blind_until_ms: view.board.blind_until.map(|until| wall_ms(until, now)),
            rows: rows.map(|(row, applied_at)| board_row(row, *applied_at, now)).collect(),
        }
    }
}

fn board_row(row: &Row, applied_at: Option<UnixMs>, now: Now) -> BoardRow {
    BoardRow {
        agent: row.agent.to_string(),
        instance: row.instance.map(|instance| instance.to_string()),
        service: row.service.as_ref().map(ToString::to_string),
        status: row.status.word(),
        applied_at_ms: applied_at.filter(|_| row.status.is_applied()).map(ms),
        detail: detail(row, now),
        position: row.position.map(|position| position.to_string()),
        freshness: row.freshness.map(Freshness::word),
        stale_policy: owned(row.stale_policy.as_deref()),
        alarm: row.alarm.map(Alarm::word),
        last_seen_ms: row.last_seen.map(|at| wall_ms(at, now)),
        first_deny_at_ms: row.first_deny_at.map(ms),
    }
}

/// In words: what protects us, and what the agent says is wrong.
fn detail(row: &Row, now: Now) -> Option<String> {
    let protection = |protects: &Protection| match protects {
        Protection::DeniesAt(at) => format!("denies at {}", time_of_day(wall_ms(*at, now))),
        Protection::KeepsAllowing => "keeps allowing".to_owned(),
        Protection::Unknown => "not known what protects".to_owned(),
    };
    let status = match &row.status {
        Status::Applied | Status::Durable => None,
        Status::Fenced { since } => Some(format!("denies since {}", time_of_day(wall_ms(*since, now)))),
        Status::NotStarted => Some("never had a lease".to_owned()),
        Status::Lagging { protects } => Some(protection(protects)),
        Status::Unreachable { since, protects } => {
            let since = since.map(|at| format!("silent since {}, ", time_of_day(wall_ms(at, now))));
            Some(since.unwrap_or_default() + &protection(protects))
        }
        Status::Unsupported => Some("does not know this kind of target".to_owned()),
    };
    let fault = (!row.fault.is_empty()).then(|| row.fault.to_string());
    match (status, fault) {
        (Some(status), Some(fault)) => Some(format!("{status}; {fault}")),
        (status, fault) => status.or(fault),
    }
}

/// `03:14:11Z`.
fn time_of_day(ms: i64) -> String {
    let second = ms.div_euclid(1000).rem_euclid(86_400);
    format!("{:02}:{:02}:{:02}Z", second / 3600, second / 60 % 60, second % 60)
}

/// A run of an agent.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct AgentView {
    agent: String,
    instance: Option<String>,
    service: Option<String>,
    /// It has a certificate.
    expected: bool,
    /// It was heard lately.
    heard: bool,
    /// As it last said; absent: never heard since the controller started.
    freshness: Option<&'static str>,
    /// What it applied.
    deny: Option<String>,
    grant: Option<String>,
    /// What it has on disk.
    durable_deny: Option<String>,
    durable_grant: Option<String>,
    stale_policy: Option<String>,
    last_seen_ms: Option<i64>,
    granted_at_ms: Option<i64>,
    alarm: Option<&'static str>,
    /// What it last said is wrong.
    fault: Option<String>,
    version: Option<String>,
}

impl AgentView {
    pub(super) fn new(row: &AgentRow, now: Now) -> Self {
        let report = row.report.as_ref();
        Self {
            agent: row.agent.to_string(),
            instance: row.instance.map(|instance| instance.to_string()),
            service: row.service.as_ref().map(ToString::to_string),
            expected: row.is_expected,
            heard: row.is_heard,
            freshness: report.map(|report| report.freshness.word()),
            deny: report.map(|report| report.applied.deny.position.to_string()),
            grant: report.map(|report| report.applied.grant.position.to_string()),
            durable_deny: report.map(|report| report.durable.deny.position.to_string()),
            durable_grant: report.map(|report| report.durable.grant.position.to_string()),
            stale_policy: report.map(|report| report.stale_policy.to_string()),
            last_seen_ms: row.last_seen.map(|at| wall_ms(at, now)),
            granted_at_ms: row.granted_at.map(|at| wall_ms(at, now)),
            alarm: row.alarm.map(Alarm::word),
            fault: report.filter(|report| !report.fault.is_empty()).map(|report| report.fault.to_string()),
            version: report.map(|report| report.version.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_day_are_utc() {
        assert_eq!(time_of_day(1_767_225_605_999), "00:00:05Z");
        assert_eq!(time_of_day(-1), "23:59:59Z");
    }
}
