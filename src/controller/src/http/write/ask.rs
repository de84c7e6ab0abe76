//! From the fields of a directive to what it asks; fields that do not belong to its kind are refused by name.

use rescind_core::change::{Ask, LiftCutoff};
use rescind_core::entitlement::{
    ActionPattern, EntitlementError, Holder, Membership, ResourcePattern, Right, Window,
};
use rescind_core::ids::RecordId;
use rescind_core::record::RecordKind;
use rescind_core::target::{Target, TargetKind};
use rescind_core::text::check_id;
use rescind_core::time::UnixS;
use serde::Deserialize;

use super::DirectiveBody;
use crate::http::errors::ApiError;

/// A word or Unix seconds.
#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "`cutoff` must be `\"now\"`, `\"resume\"` or Unix seconds")]
pub(crate) enum CutoffBody {
    Second(i64),
    Word(String),
}

/// Takes the fields one by one; what is left does not belong.
pub(super) fn ask(mut body: DirectiveBody, default_issuer: Option<&str>) -> Result<Ask, ApiError> {
    let kind = std::mem::take(&mut body.kind);
    let ask = match kind.as_str() {
        "revoke" => record(RecordKind::Revoke, &mut body)?,
        "disable" => record(RecordKind::Disable, &mut body)?,
        "hold" => record(RecordKind::Hold, &mut body)?,
        "kill" => record(RecordKind::Kill, &mut body)?,
        "lift" => lift(&mut body)?,
        "reinstate" => Ask::Reinstate { record: id("record", body.record.take(), &kind)? },
        "withdraw" => Ask::Withdraw { entitlement: id("entitlement", body.entitlement.take(), &kind)? },
        "grant" => grant(&mut body, default_issuer)?,
        _ => {
            let message = "`kind` must be revoke, disable, hold, kill, lift, reinstate, grant or withdraw";
            return Err(ApiError::refused("bad_kind", message));
        }
    };
    match left(&body) {
        Some(field) => {
            let message = format!("`{field}` does not belong to `{kind}`; leave it out");
            Err(ApiError::refused("bad_field", message))
        }
        None => Ok(ask),
    }
}

/// The first field that nobody took.
fn left(body: &DirectiveBody) -> Option<&'static str> {
    let fields = [
        ("target", body.target.is_some()),
        ("cutoff", body.cutoff.is_some()),
        ("record", body.record.is_some()),
        ("entitlement", body.entitlement.is_some()),
        ("holder", body.holder.is_some()),
        ("action", body.action.is_some()),
        ("resource", body.resource.is_some()),
        ("member_of", body.member_of.is_some()),
        ("tenant", body.tenant.is_some()),
        ("not_before", body.not_before.is_some()),
        ("not_after", body.not_after.is_some()),
    ];
    fields.into_iter().find_map(|(name, is_there)| is_there.then_some(name))
}

fn missing(field: &str, kind: &str) -> ApiError {
    ApiError::refused("missing_field", format!("`{kind}` needs `{field}`"))
}

fn record(kind: RecordKind, body: &mut DirectiveBody) -> Result<Ask, ApiError> {
    let text = body.target.take().ok_or_else(|| missing("target", kind.word()))?;
    let target: Target = text.parse().map_err(|error| bad_target(&error))?;
    let is_user =
        target.kind() == TargetKind::User && matches!(kind, RecordKind::Revoke | RecordKind::Disable);
    let cutoff = match body.cutoff.take() {
        None => None,
        Some(_) if !is_user => {
            let message = "a cutoff belongs to `revoke` and `disable` of a user and to `lift`; leave it out";
            return Err(ApiError::refused("bad_field", message));
        }
        Some(CutoffBody::Second(second)) => Some(UnixS(second)),
        Some(CutoffBody::Word(word)) if word == "now" => None,
        Some(CutoffBody::Word(_)) => return Err(bad_cutoff("`\"now\"` or Unix seconds")),
    };
    Ok(Ask::Record { kind, target, cutoff })
}

fn lift(body: &mut DirectiveBody) -> Result<Ask, ApiError> {
    let record = id("record", body.record.take(), "lift")?;
    let cutoff = match body.cutoff.take() {
        None => LiftCutoff::Resume,
        Some(CutoffBody::Second(second)) => LiftCutoff::At(UnixS(second)),
        Some(CutoffBody::Word(word)) => match word.as_str() {
            "resume" => LiftCutoff::Resume,
            "now" => LiftCutoff::Now,
            _ => return Err(bad_cutoff("`\"resume\"`, `\"now\"` or Unix seconds")),
        },
    };
    Ok(Ask::Lift { record, cutoff })
}

fn grant(body: &mut DirectiveBody, default_issuer: Option<&str>) -> Result<Ask, ApiError> {
    let holder = body.holder.take().ok_or_else(|| missing("holder", "grant"))?;
    let holder = Holder::parse(&holder, default_issuer).map_err(|error| bad_grant(&error))?;
    let right = match (body.action.take(), body.resource.take(), body.member_of.take()) {
        (Some(action), Some(resource), None) => Right::Permission {
            action: ActionPattern::new(&action).map_err(|error| bad_grant(&error))?,
            resource: ResourcePattern::new(&resource).map_err(|error| bad_grant(&error))?,
        },
        (None, None, Some(of)) => Right::Member(membership(&of)?),
        _ => {
            let message = "`grant` needs either `action` and `resource`, or `member_of`";
            return Err(ApiError::refused("missing_field", message));
        }
    };
    let tenant = body.tenant.take();
    if let Some(tenant) = &tenant {
        check_id("tenant", tenant).map_err(|error| ApiError::refused("bad_grant", error.to_string()))?;
    }
    let window = Window::new(body.not_before.take().map(UnixS), body.not_after.take().map(UnixS));
    let window = window.map_err(|error| bad_grant(&error))?;
    Ok(Ask::Grant { holder, right, tenant: tenant.map(String::into_boxed_str), window })
}

fn membership(text: &str) -> Result<Membership, ApiError> {
    match Holder::parse(text, None) {
        Ok(Holder::Role(name)) => Ok(Membership::Role(name)),
        Ok(Holder::Group(name)) => Ok(Membership::Group(name)),
        Ok(Holder::User { .. }) | Err(_) => {
            Err(ApiError::refused("bad_grant", "`member_of` must be `role:NAME` or `group:NAME`"))
        }
    }
}

fn id(field: &str, text: Option<String>, kind: &str) -> Result<RecordId, ApiError> {
    let text = text.ok_or_else(|| missing(field, kind))?;
    text.parse()
        .map_err(|error: rescind_core::ids::RecordIdError| ApiError::refused("bad_id", error.to_string()))
}

fn bad_target(error: &dyn std::error::Error) -> ApiError {
    ApiError::refused("bad_target", error.to_string())
}

fn bad_grant(error: &EntitlementError) -> ApiError {
    ApiError::refused("bad_grant", error.to_string())
}

fn bad_cutoff(wanted: &str) -> ApiError {
    ApiError::refused("cutoff", format!("`cutoff` must be {wanted}"))
}
