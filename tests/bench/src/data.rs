//! Made-up state with texts of real lengths.

use std::sync::Arc;
use std::time::Duration;

use rescind_core::change::{Change, ChangeBody, Origin};
use rescind_core::decide::{Bearer, Published, TokenFacts};
use rescind_core::entitlement::{ActionPattern, Entitlement, Holder, ResourcePattern, Right, Window};
use rescind_core::ids::{EmitterId, IdempotencyKey, RecordId};
use rescind_core::key::KeyHasher;
use rescind_core::lease::Lease;
use rescind_core::position::{Heads, Lane, Position};
use rescind_core::record::{Record, RecordKind};
use rescind_core::target::Target;
use rescind_core::time::{BootNs, UnixMs, UnixS};
use rescind_core::view::View;

use crate::Outcome;
use crate::measure::{boot_clock, wall_ms};

pub(crate) const ISSUER: &str = "https://idp.example";
pub(crate) const SERVICE: &str = "payments";
pub(crate) const ACTION: &str = "refund:create";

/// Entitlements of one user; the first one covers [`ACTION`] on [`resource_of`] the user.
pub(crate) const RIGHTS_PER_USER: u64 = 4;

const RIGHTS: [&str; 4] = [ACTION, "order:read", "order:*", "report:view"];

/// Different resources.
const RESOURCES: u64 = 1000;

/// Keys of views in this program; a real agent draws its own.
pub(crate) const fn hasher() -> KeyHasher {
    KeyHasher::new(*b"a benchmark's 16")
}

pub(crate) fn jti(number: u64) -> String {
    format!("{:08x}-4f1c-4b7a-9d2e-{number:012x}", number.wrapping_mul(0x9E37_79B9) & 0xFFFF_FFFF)
}

pub(crate) fn session(number: u64) -> String {
    format!("{:08x}-77e0-41d8-8a3b-{number:012x}", number.wrapping_mul(0x85EB_CA6B) & 0xFFFF_FFFF)
}

pub(crate) fn user(number: u64) -> String {
    format!("user-{number:08}")
}

/// What the first entitlement of a user covers.
pub(crate) fn resource_of(user: u64) -> String {
    format!("/orders/{}/items", user * RIGHTS_PER_USER % RESOURCES)
}

fn origin(number: u64) -> Outcome<Origin> {
    Ok(Origin {
        emitter: EmitterId::new("ir")?,
        key: IdempotencyKey::new(&format!("bench-{number:010}"))?,
        requested_by: None,
        reason_code: Some("leaver".into()),
        incident: None,
        known_at: None,
    })
}

fn id(lane: Lane, number: u64) -> Outcome<RecordId> {
    Ok(RecordId::new(lane, Position::new(1, number + 1)).ok_or("a record id does not fit")?)
}

/// The revocation at revision `number + 1`: of a token where `number` is even, of a session where it is odd.
pub(crate) fn revocation(number: u64) -> Outcome<Change> {
    let id = id(Lane::Deny, number)?;
    let target = if number.is_multiple_of(2) {
        Target::Token { issuer: ISSUER.into(), jti: jti(number).into() }
    } else {
        Target::Session { issuer: ISSUER.into(), sid: session(number).into() }
    };
    let record = Record::new(id, RecordKind::Revoke, target, None)?;
    Ok(Change { id, origin: origin(number)?, reason_admin_sha256: None, body: ChangeBody::Record(record) })
}

/// The grant at revision `number + 1`, to the user `number / per_user`.
pub(crate) fn grant(number: u64, per_user: u64) -> Outcome<Change> {
    let id = id(Lane::Grant(0), number)?;
    let action = RIGHTS.iter().cycle().nth(usize::try_from(number % per_user)?).ok_or("no action")?;
    let entitlement = Entitlement {
        id,
        holder: Holder::User { issuer: ISSUER.into(), id: user(number / per_user).into() },
        right: Right::Permission {
            action: ActionPattern::new(action)?,
            resource: ResourcePattern::new(&format!("/orders/{}/*", number % RESOURCES))?,
        },
        tenant: None,
        window: Window::default(),
    };
    let body = ChangeBody::Grant(entitlement);
    Ok(Change { id, origin: origin(number)?, reason_admin_sha256: None, body })
}

/// Folds revocations and entitlements, the latter [`RIGHTS_PER_USER`] to a user, into a view.
pub(crate) fn view(revocations: u64, entitlements: u64) -> Outcome<View> {
    let mut view = View::new(hasher());
    for number in 0..revocations {
        view.apply(&revocation(number)?)?;
    }
    for number in 0..entitlements {
        view.apply(&grant(number, RIGHTS_PER_USER)?)?;
    }
    Ok(view)
}

/// A view that stays fresh for an hour, far longer than a benchmark runs.
pub(crate) fn published(view: View) -> Arc<Published> {
    let later = BootNs(boot_clock().0.saturating_add(3600 * 1_000_000_000));
    let lease = Lease {
        asked_at: later,
        granted_at: later,
        controller_time: UnixMs(now_s() * 1000),
        length: Duration::from_secs(30),
    };
    Arc::new(Published { view, heads: Heads::default(), lease: Some(lease), extra: None, synced: true })
}

pub(crate) fn now_s() -> i64 {
    // Why this way: milliseconds of this century are exact in a float, and a cast would have to be excused.
    Duration::from_secs_f64(wall_ms() / 1e3).as_secs().try_into().unwrap_or(i64::MAX)
}

/// The user of live token `number` among `users`: spread, so that neighbours share nothing.
pub(crate) const fn user_of(number: u64, users: u64) -> u64 {
    number * 7919 % users
}

/// A caller as a token with the usual claims makes it.
pub(crate) fn bearer(number: u64, users: u64, session: &str) -> Bearer {
    let mut fingerprint = [0; 32];
    let bytes = number.to_le_bytes().into_iter().cycle();
    fingerprint.iter_mut().zip(bytes).for_each(|(to, from)| *to = from ^ 0xA5);
    Bearer::new(
        &hasher(),
        &TokenFacts {
            issuer: ISSUER,
            subject: Some(&user(user_of(number, users))),
            jti: Some(&format!("live-{number:032x}")),
            session: Some(session),
            client: Some("web-shop"),
            key_id: Some("2025-key-1"),
            tenant: Some("acme"),
            issued_at: Some(UnixS(now_s() - 60)),
            not_before: None,
            expires_at: UnixS(now_s() + 86_400),
            leeway: Duration::ZERO,
            fingerprint,
            twin_fingerprint: None,
            roles: &["clerk".into()],
            groups: &[],
            permissions: &["order:read".into(), "profile".into()],
        },
    )
}
