//! Decoded values in words, for people who compare another implementation with ours.

use rescind_core::change::{Ask, Change, ChangeBody, Directive, LiftCutoff, Origin};
use rescind_core::controller::rights::Rights;
use rescind_core::entitlement::{Entitlement, Holder, Right, Window};
use rescind_core::entry::{ChainedEntry, Tick};
use rescind_core::epoch::{Approval, EpochStart, LostHistory, RecoveryStatement};
use rescind_core::ids::EmitterId;
use rescind_core::lease::{LeaseGrant, LeaseRequest};
use rescind_core::position::{Heads, LANES};
use rescind_core::record::{Record, RecordState};
use rescind_core::report::Report;
use rescind_core::snapshot::{Manifest, SnapshotItem};
use serde_json::{Value, json};

use crate::{DirectiveAnswer, Identity, KeyCert, ManifestId, RepairRequest, SnapshotRequest};

fn heads(heads: &Heads) -> Value {
    let words = |lane| {
        let head = heads.get(lane).unwrap();
        json!({"lane": lane.to_string(), "position": head.position.to_string(), "hash": head.hash.to_string()})
    };
    LANES.into_iter().map(words).collect()
}

fn origin(origin: &Origin) -> Value {
    json!({
        "emitter": origin.emitter.as_str(),
        "idempotency_key": origin.key.as_str(),
        "requested_by": origin.requested_by,
        "reason_code": origin.reason_code,
        "incident": origin.incident,
        "known_at_ms": origin.known_at.map(|at| at.0),
    })
}

fn record(record: &Record) -> Value {
    json!({
        "id": record.id.to_string(),
        "kind": record.kind.word(),
        "target": record.target.to_string(),
        "cutoff_s": record.cutoff.map(|at| at.0),
    })
}

fn held(holder: &Holder, right: &Right, tenant: Option<&str>, window: &Window) -> Value {
    let right = match right {
        Right::Permission { action, resource } => {
            json!({"action": action.as_str(), "resource": resource.as_str()})
        }
        Right::Member(membership) => json!({"member_of": membership.to_string()}),
    };
    json!({
        "holder": holder.to_string(),
        "right": right,
        "tenant": tenant,
        "not_before_s": window.not_before.map(|at| at.0),
        "not_after_s": window.not_after.map(|at| at.0),
    })
}

fn entitlement(entitlement: &Entitlement) -> Value {
    let Entitlement { id, holder, right, tenant, window } = entitlement;
    json!({"id": id.to_string(), "grant": held(holder, right, tenant.as_deref(), window)})
}

fn epoch(start: &EpochStart) -> Value {
    let approval = |approval: &Approval| json!({"principal": approval.principal.as_str(), "statement": hex::encode(&approval.statement)});
    let lost = |lost: &LostHistory| {
        let approvals: Value = lost.approvals.iter().map(approval).collect();
        json!({"branch": heads(&lost.branch), "reason": lost.reason, "approvals": approvals})
    };
    json!({"reason": start.reason.word(), "lost": start.lost.as_deref().map(lost)})
}

pub(super) fn recovery(principal: &EmitterId, statement: &RecoveryStatement) -> Value {
    json!({
        "signed_by": principal.as_str(),
        "chain_id": statement.chain.as_str(),
        "epoch": statement.epoch.0,
        "branch": heads(&statement.branch),
        "reason": statement.reason,
    })
}

fn change(change: &Change) -> Value {
    let body = match &change.body {
        ChangeBody::Record(made) => json!({"record": record(made)}),
        ChangeBody::Lift { record, target, cutoff } => json!({"lift": {
            "record": record.to_string(), "target": target.to_string(), "cutoff_s": cutoff.map(|at| at.0),
        }}),
        ChangeBody::Reinstate { record, target } => {
            json!({"reinstate": {"record": record.to_string(), "target": target.to_string()}})
        }
        ChangeBody::Forget { record, target } => {
            json!({"forget": {"record": record.to_string(), "target": target.to_string()}})
        }
        ChangeBody::Grant(made) => json!({"grant": entitlement(made)}),
        ChangeBody::Withdraw { entitlement, holder } => {
            json!({"withdraw": {"entitlement": entitlement.to_string(), "holder": holder.to_string()}})
        }
        ChangeBody::Epoch(start) => json!({"epoch": epoch(start)}),
        ChangeBody::Skipped => json!("skipped"),
    };
    json!({
        "id": change.id.to_string(),
        "origin": origin(&change.origin),
        "reason_admin_sha256": change.reason_admin_sha256.map(hex::encode),
        "body": body,
    })
}

pub(super) fn entry(chained: &ChainedEntry) -> Value {
    let entry = &chained.entry;
    json!({
        "chain_id": entry.chain.as_str(),
        "epoch": entry.epoch.0,
        "lane": entry.lane.to_string(),
        "first": entry.first.0,
        "prev_hash": entry.prev_hash.to_string(),
        "deps": entry.deps.to_string(),
        "committed_at_ms": entry.committed_at.0,
        "controller_id": entry.controller.as_str(),
        "boot": entry.boot.to_string(),
        "changes": entry.changes.iter().map(change).collect::<Value>(),
        "entry_hash": chained.hash.to_string(),
    })
}

pub(super) fn tick(tick: &Tick) -> Value {
    json!({
        "chain_id": tick.chain.as_str(),
        "epoch": tick.epoch.0,
        "heads": heads(&tick.heads),
        "state_digest": tick.digest.to_string(),
        "lease_ms": tick.lease_ms,
        "controller_time_ms": tick.controller_time.0,
        "nonce_root": hex::encode(tick.nonce_root),
        "floor": tick.floor.0,
        "controller_id": tick.controller.as_str(),
        "boot": tick.boot.to_string(),
    })
}

pub(super) fn lease_request(request: &LeaseRequest) -> Value {
    json!({
        "agent_id": request.agent.as_str(),
        "instance": request.instance.to_string(),
        "nonce": hex::encode(request.nonce.0),
    })
}

pub(super) fn grant(grant: &LeaseGrant) -> Value {
    json!({"nonce": hex::encode(grant.nonce.0), "tick": tick(&grant.tick)})
}

pub(super) fn report(report: &Report) -> Value {
    json!({
        "agent_id": report.agent.as_str(),
        "instance": report.instance.to_string(),
        "sequence": report.sequence,
        "service": report.service.as_str(),
        "applied": heads(&report.applied),
        "durable": heads(&report.durable),
        "state_digest": report.digest.to_string(),
        "freshness": report.freshness.word(),
        "stale_policy": report.stale_policy,
        "target_kinds": report.target_kinds,
        "fault": report.fault,
        "version": report.version,
        "at_ms": report.at.0,
        "first_deny_at_ms": report.first_deny_at.map(|at| at.0),
    })
}

pub(super) fn repair(request: &RepairRequest) -> Value {
    json!({"lane": request.lane.to_string(), "after": request.after.0, "entries_max": request.entries_max})
}

pub(super) fn snapshot_request(request: &SnapshotRequest) -> Value {
    match request {
        SnapshotRequest::Manifest => json!("manifest"),
        SnapshotRequest::Chunk { manifest, index } => {
            json!({"manifest": manifest.to_string(), "index": index})
        }
    }
}

pub(super) fn manifest(manifest: &Manifest, id: ManifestId) -> Value {
    let listing = |(bytes, sha256): &(u32, [u8; 32])| json!({"bytes": bytes, "sha256": hex::encode(sha256)});
    json!({
        "manifest_id": id.to_string(),
        "chain_id": manifest.chain.as_str(),
        "heads": heads(&manifest.heads),
        "state_digest": manifest.digest.to_string(),
        "items": manifest.items,
        "chunks": manifest.chunks.iter().map(listing).collect::<Value>(),
        "made_at_ms": manifest.made_at.0,
    })
}

pub(super) fn item(item: &SnapshotItem) -> Value {
    match item {
        SnapshotItem::Record(kept, RecordState::Active) => json!({"record": record(kept), "state": "active"}),
        SnapshotItem::Record(kept, RecordState::Ended { residual_cutoff }) => json!({
            "record": record(kept),
            "state": {"ended": {"residual_cutoff_s": residual_cutoff.map(|at| at.0)}},
        }),
        SnapshotItem::Entitlement(kept) => json!({"entitlement": entitlement(kept)}),
    }
}

fn rights(rights: &Rights) -> Value {
    let words: Vec<_> = rights.words.iter().map(|word| word.word()).collect();
    json!({"words": words, "rung_max": rights.rung_max})
}

pub(super) fn directive(directive: &Directive, of: &Rights) -> Value {
    let ask = match &directive.ask {
        Ask::Record { kind, target, cutoff } => json!({
            "kind": kind.word(), "target": target.to_string(), "cutoff_s": cutoff.map(|at| at.0),
        }),
        Ask::Lift { record, cutoff } => {
            let cutoff = match cutoff {
                LiftCutoff::Resume => json!("resume"),
                LiftCutoff::Now => json!("now"),
                LiftCutoff::At(at) => json!(at.0),
            };
            json!({"record": record.to_string(), "cutoff_s": cutoff})
        }
        Ask::Reinstate { record } => json!({"record": record.to_string()}),
        Ask::Grant { holder, right, tenant, window } => held(holder, right, tenant.as_deref(), window),
        Ask::Withdraw { entitlement } => json!({"entitlement": entitlement.to_string()}),
    };
    json!({
        "origin": origin(&directive.origin),
        "reason_admin": directive.reason_admin,
        "ask": {directive.ask.word(): ask},
        "certified_rights": rights(of),
    })
}

pub(super) fn answer(answer: &DirectiveAnswer) -> Value {
    match answer {
        DirectiveAnswer::Accepted { id, position, existing, accepted_at, cutoff } => json!({"accepted": {
            "id": id.to_string(),
            "position": position.to_string(),
            "existing": existing,
            "accepted_at_ms": accepted_at.0,
            "cutoff_s": cutoff.map(|at| at.0),
        }}),
        DirectiveAnswer::Indeterminate { id } => json!({"indeterminate": {"id": id.to_string()}}),
        DirectiveAnswer::Refused { code, message } => json!({"refused": {"code": code, "message": message}}),
    }
}

pub(super) fn cert(cert: &KeyCert) -> Value {
    let rights = match &cert.identity {
        Identity::Emitter(_, of) => rights(of),
        Identity::Controller(_) | Identity::Agent(_) => Value::Null,
    };
    json!({
        "role": cert.identity.role().word(),
        "name": cert.identity.name(),
        "public_key": cert.key.to_string(),
        "key_id": cert.key.key_id().to_string(),
        "not_before_ms": cert.not_before.0,
        "not_after_ms": cert.not_after.0,
        "rights": rights,
    })
}
