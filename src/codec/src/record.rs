//! Records and entitlements.

use rescind_core::entitlement::{
    ActionPattern, Entitlement, Holder, Membership, ResourcePattern, Right, Window,
};
use rescind_core::ids::RecordId;
use rescind_core::record::{Record, RecordKind};
use rescind_core::target::Target;
use rescind_core::text::check_id;
use rescind_core::time::UnixS;
use rescind_schemas::v1 as proto;

use crate::error::CodecError;
use crate::target::{holder_from_wire, holder_to_wire, target_from_wire, target_to_wire};
use crate::wire::required;

pub(crate) fn record_to_wire(kind: RecordKind, target: &Target, cutoff: Option<UnixS>) -> proto::Record {
    let kind = match kind {
        RecordKind::Revoke => proto::RecordKind::Revoke,
        RecordKind::Disable => proto::RecordKind::Disable,
        RecordKind::Hold => proto::RecordKind::Hold,
        RecordKind::Kill => proto::RecordKind::Kill,
    };
    proto::Record {
        kind: kind.into(),
        target: Some(target_to_wire(target)),
        cutoff_s: cutoff.map(|at| at.0),
        ..proto::Record::default()
    }
}

pub(crate) fn record_from_wire(id: RecordId, wire: proto::Record) -> Result<Record, CodecError> {
    let (kind, target, cutoff) = record_parts(wire)?;
    Ok(Record::new(id, kind, target, cutoff)?)
}

/// Kind, target and cutoff, each right in itself; whether they fit together is the caller's to ask.
pub(crate) fn record_parts(wire: proto::Record) -> Result<(RecordKind, Target, Option<UnixS>), CodecError> {
    refuse_unsupported(&wire)?;
    let kind = match proto::RecordKind::try_from(wire.kind) {
        Ok(proto::RecordKind::Revoke) => RecordKind::Revoke,
        Ok(proto::RecordKind::Disable) => RecordKind::Disable,
        Ok(proto::RecordKind::Hold) => RecordKind::Hold,
        Ok(proto::RecordKind::Kill) => RecordKind::Kill,
        Ok(proto::RecordKind::Unspecified) => return Err(CodecError::Missing { field: "kind" }),
        Err(_) => return Err(CodecError::UnknownKind { field: "kind" }),
    };
    Ok((kind, target_from_wire(wire.target)?, wire.cutoff_s.map(UnixS)))
}

/// A record that ignores its own limits is not the one that was asked for. Every field by name, so that a new
/// one breaks the build here.
fn refuse_unsupported(wire: &proto::Record) -> Result<(), CodecError> {
    let proto::Record {
        kind: _,
        target: _,
        cutoff_s: _,
        scope,
        mode,
        in_flight,
        effective_at_ms,
        expires_at_ms,
        on_expiry,
        supersedes,
        txn,
        approved_by,
        reason_public,
    } = wire;
    let set = [
        ("scope", scope.is_some()),
        ("mode", *mode != 0),
        ("in_flight", in_flight.is_some()),
        ("effective_at_ms", effective_at_ms.is_some()),
        ("expires_at_ms", expires_at_ms.is_some()),
        ("on_expiry", *on_expiry != 0),
        ("supersedes", *supersedes != 0),
        ("txn", !txn.is_empty()),
        ("approved_by", !approved_by.is_empty()),
        ("reason_public", !reason_public.is_empty()),
    ];
    match set.into_iter().find(|(_, set)| *set) {
        Some((field, _)) => Err(CodecError::Unsupported { field }),
        None => Ok(()),
    }
}

pub(crate) fn grant_to_wire(
    holder: &Holder,
    right: &Right,
    tenant: Option<&str>,
    window: &Window,
) -> proto::Grant {
    use proto::right::Right as Wire;
    let right = match right {
        Right::Permission { action, resource } => Wire::Permission(proto::Permission {
            action: action.as_str().to_owned(),
            resource: resource.as_str().to_owned(),
        }),
        Right::Member(Membership::Role(name)) => Wire::MemberOfRole(name.as_ref().to_owned()),
        Right::Member(Membership::Group(name)) => Wire::MemberOfGroup(name.as_ref().to_owned()),
    };
    proto::Grant {
        holder: Some(holder_to_wire(holder)),
        right: Some(proto::Right { right: Some(right) }),
        tenant: tenant.map(str::to_owned),
        not_before_s: window.not_before.map(|at| at.0),
        not_after_s: window.not_after.map(|at| at.0),
    }
}

pub(crate) fn entitlement_to_wire(entitlement: &Entitlement) -> proto::Grant {
    let Entitlement { id: _, holder, right, tenant, window } = entitlement;
    grant_to_wire(holder, right, tenant.as_deref(), window)
}

pub(crate) fn entitlement_from_wire(id: RecordId, wire: proto::Grant) -> Result<Entitlement, CodecError> {
    let proto::Grant { holder, right, tenant, not_before_s, not_after_s } = wire;
    let holder = holder_from_wire(holder)?;
    let right = right_from_wire(right)?;
    if let Some(tenant) = &tenant {
        check_id("tenant id", tenant)?;
    }
    let window = Window::new(not_before_s.map(UnixS), not_after_s.map(UnixS))?;
    Ok(Entitlement { id, holder, right, tenant: tenant.map(Into::into), window })
}

fn right_from_wire(wire: Option<proto::Right>) -> Result<Right, CodecError> {
    use proto::right::Right as Wire;
    let right = match required("right", wire)?.right.ok_or(CodecError::UnknownKind { field: "right" })? {
        Wire::Permission(proto::Permission { action, resource }) => Right::Permission {
            action: ActionPattern::new(&action)?,
            resource: ResourcePattern::new(&resource)?,
        },
        Wire::MemberOfRole(name) => {
            check_id("role", &name)?;
            Right::Member(Membership::Role(name.into()))
        }
        Wire::MemberOfGroup(name) => {
            check_id("group", &name)?;
            Right::Member(Membership::Group(name.into()))
        }
    };
    Ok(right)
}
