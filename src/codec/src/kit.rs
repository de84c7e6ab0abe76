//! Fixed keys, a realm, and one honest value of every kind, for the tests of this crate.

use std::sync::LazyLock;

use proptest::prelude::*;
use rescind_core::change::{Ask, Change, ChangeBody, Directive, LiftCutoff, Origin};
use rescind_core::controller::rights::{Rights, Word};
use rescind_core::digest::StateDigest;
use rescind_core::entitlement::{
    ActionPattern, Entitlement, Holder, Membership, ResourcePattern, Right, Window,
};
use rescind_core::entry::{Entry, Fence, Tick};
use rescind_core::epoch::{Approval, EpochReason, EpochStart, LostHistory, RecoveryStatement};
use rescind_core::ids::{
    AgentId, ChainId, ControllerId, EmitterId, IdempotencyKey, InstanceId, RecordId, ServiceName,
};
use rescind_core::lease::{LeaseRequest, Nonce};
use rescind_core::position::{EntryHash, Epoch, Head, Heads, Lane, Position, Revision};
use rescind_core::record::{Record, RecordKind, RecordState};
use rescind_core::report::{Freshness, Report};
use rescind_core::snapshot::{Manifest, SnapshotItem};
use rescind_core::target::{Target, TargetKind};
use rescind_core::time::{UnixMs, UnixS};

use crate::{Identity, IssuedCert, KeyCert, RealmPin, SecretKey, TrustBundle, approve, issue_cert};

pub(crate) const VALID_FROM: UnixMs = UnixMs(1_750_000_000_000);
pub(crate) const NOW: UnixMs = UnixMs(1_760_000_000_123);
pub(crate) const VALID_UNTIL: UnixMs = UnixMs(1_790_000_000_000);

pub(crate) fn root() -> SecretKey {
    SecretKey::from_seed([1; 32])
}
pub(crate) fn controller_key() -> SecretKey {
    SecretKey::from_seed([2; 32])
}
pub(crate) fn agent_key() -> SecretKey {
    SecretKey::from_seed([3; 32])
}
pub(crate) fn emitter_key() -> SecretKey {
    SecretKey::from_seed([4; 32])
}
pub(crate) fn dana_key() -> SecretKey {
    SecretKey::from_seed([5; 32])
}
pub(crate) fn eve_key() -> SecretKey {
    SecretKey::from_seed([6; 32])
}
pub(crate) fn stranger_key() -> SecretKey {
    SecretKey::from_seed([9; 32])
}
pub(crate) fn chain() -> ChainId {
    ChainId::new("demo.7f3a").unwrap()
}
pub(crate) fn pin() -> RealmPin {
    RealmPin::new("demo", chain(), root().public()).unwrap()
}

pub(crate) fn rights() -> Rights {
    Rights { words: [Word::Revoke, Word::Kill, Word::Lift].into_iter().collect(), rung_max: 12 }
}

pub(crate) fn cert(identity: Identity, key: &SecretKey) -> IssuedCert {
    let cert = KeyCert { identity, key: key.public(), not_before: VALID_FROM, not_after: VALID_UNTIL };
    issue_cert(&root(), &pin(), &cert)
}

pub(crate) fn controller_id() -> ControllerId {
    ControllerId::new("c1").unwrap()
}
pub(crate) fn agent_id() -> AgentId {
    AgentId::new("payments-1").unwrap()
}
pub(crate) fn emitter_id() -> EmitterId {
    EmitterId::new("ir").unwrap()
}

pub(crate) fn certs() -> [IssuedCert; 3] {
    [
        cert(Identity::Controller(controller_id()), &controller_key()),
        cert(Identity::Agent(agent_id()), &agent_key()),
        cert(Identity::Emitter(emitter_id(), rights()), &emitter_key()),
    ]
}

/// Two persons who may give up history.
pub(crate) fn recoverers() -> [IssuedCert; 2] {
    let rights = Rights { words: [Word::Recover].into_iter().collect(), rung_max: 0 };
    [("dana", dana_key()), ("eve", eve_key())]
        .map(|(name, key)| cert(Identity::Emitter(EmitterId::new(name).unwrap(), rights), &key))
}

/// Made once: tests ask for it in every turn of their loops.
pub(crate) fn trust() -> TrustBundle {
    static TRUST: LazyLock<TrustBundle> =
        LazyLock::new(|| TrustBundle::new(&pin(), certs().into_iter().chain(recoverers())).unwrap());
    TRUST.clone()
}

pub(crate) fn deny(revision: u64) -> RecordId {
    RecordId::new(Lane::Deny, Position::new(1, revision)).unwrap()
}
pub(crate) fn grant(revision: u64) -> RecordId {
    RecordId::new(Lane::Grant(0), Position::new(1, revision)).unwrap()
}

pub(crate) fn origin(key: &str) -> Origin {
    Origin {
        emitter: emitter_id(),
        key: IdempotencyKey::new(key).unwrap(),
        requested_by: Some("dana@example".into()),
        reason_code: Some("compromise".into()),
        incident: Some("INC-42".into()),
        known_at: Some(UnixMs(1_759_999_990_000)),
    }
}

pub(crate) fn change(id: RecordId, body: ChangeBody) -> Change {
    Change { id, origin: origin(&format!("k-{id}")), reason_admin_sha256: None, body }
}

pub(crate) fn revoke(revision: u64) -> Change {
    let target =
        Target::Token { issuer: "https://idp.example".into(), jti: format!("jti-{revision}").into() };
    let record = Record::new(deny(revision), RecordKind::Revoke, target, None).unwrap();
    change(deny(revision), ChangeBody::Record(record))
}

pub(crate) fn entry(lane: Lane, first: u64, changes: Vec<Change>) -> Entry {
    Entry {
        chain: chain(),
        epoch: Epoch(1),
        lane,
        first: Revision(first),
        changes,
        prev_hash: EntryHash([0xaa; 32]),
        deps: if lane == Lane::Deny { Position::default() } else { Position::new(1, 12) },
        committed_at: NOW,
        controller: controller_id(),
        boot: InstanceId([0x11; 16]),
    }
}

pub(crate) fn recovery() -> RecoveryStatement {
    let reason = "the only backup is of yesterday; INC-42".into();
    RecoveryStatement { chain: chain(), epoch: Epoch(2), branch: heads(), reason }
}

pub(crate) fn approvals(statement: &RecoveryStatement) -> [Approval; 2] {
    [("dana", dana_key()), ("eve", eve_key())]
        .map(|(name, key)| approve(statement, &EmitterId::new(name).unwrap(), &key))
}

fn fence_for(lane: Lane, start: EpochStart) -> Entry {
    Entry::fence(Fence {
        chain: chain(),
        epoch: Epoch(2),
        lane,
        after: *heads().get(lane).unwrap(),
        deps: if lane == Lane::Deny { Position::default() } else { heads().deny.position },
        start,
        committed_at: NOW,
        controller: controller_id(),
        boot: InstanceId([0x11; 16]),
    })
    .unwrap()
}

/// Begins epoch 2 behind [`heads`].
pub(crate) fn fence(lane: Lane) -> Entry {
    fence_for(lane, EpochStart::continuing(EpochReason::TakeOver))
}

/// The same, giving up what comes after them.
pub(crate) fn lost_fence(lane: Lane) -> Entry {
    let RecoveryStatement { branch, reason, .. } = recovery();
    fence_for(lane, EpochStart::losing(LostHistory { branch, reason, approvals: approvals(&recovery()) }))
}

/// One change of every kind of the deny lane.
pub(crate) fn deny_entry() -> Entry {
    let user = Target::User { issuer: Some("https://idp.example".into()), id: "alice".into() };
    let targets = [
        (RecordKind::Disable, user.clone(), Some(UnixS(1_759_999_000))),
        (RecordKind::Revoke, Target::User { issuer: None, id: "bob".into() }, Some(UnixS(1_759_999_001))),
        (RecordKind::Revoke, Target::TokenHash([7; 32]), None),
        (
            RecordKind::Revoke,
            Target::Session { issuer: "https://idp.example".into(), sid: "s-9".into() },
            None,
        ),
        (RecordKind::Revoke, Target::Key { issuer: "https://idp.example".into(), kid: "k1".into() }, None),
        (RecordKind::Hold, Target::Client { id: "app-1".into() }, None),
        (RecordKind::Kill, Target::Tenant { id: "acme".into() }, None),
        (RecordKind::Kill, Target::Service { name: "payments".into() }, None),
        (RecordKind::Kill, Target::All, None),
    ];
    let mut changes = vec![revoke(13)];
    for (kind, target, cutoff) in targets {
        let id = deny(13 + changes.len() as u64);
        changes.push(change(id, ChangeBody::Record(Record::new(id, kind, target, cutoff).unwrap())));
    }
    let lift =
        ChangeBody::Lift { record: deny(19), target: Target::Client { id: "app-1".into() }, cutoff: None };
    let dated = ChangeBody::Lift {
        record: deny(20),
        target: Target::Tenant { id: "acme".into() },
        cutoff: Some(UnixS(1_760_000_000)),
    };
    let tail = [lift, dated, ChangeBody::Reinstate { record: deny(14), target: user }, ChangeBody::Skipped];
    for body in tail {
        let id = deny(13 + changes.len() as u64);
        changes.push(change(id, body));
    }
    changes[0].reason_admin_sha256 = Some(crate::reason_sha256("seen on a paste site"));
    entry(Lane::Deny, 13, changes)
}

/// Forgets what has aged.
pub(crate) fn forget_entry() -> Entry {
    let user = Target::User { issuer: Some("https://idp.example".into()), id: "alice".into() };
    let token = Target::Token { issuer: "https://idp.example".into(), jti: "t1".into() };
    let bodies = [
        ChangeBody::Forget { record: deny(13), target: user },
        ChangeBody::Forget { record: deny(14), target: token },
    ];
    let changes = bodies.into_iter().zip(40..).map(|(body, revision)| change(deny(revision), body));
    entry(Lane::Deny, 40, changes.collect())
}

pub(crate) fn entitlements() -> [Entitlement; 3] {
    let user = Holder::User { issuer: "https://idp.example".into(), id: "alice".into() };
    let permission = Right::Permission {
        action: ActionPattern::new("refund:*").unwrap(),
        resource: ResourcePattern::new("/orders/*").unwrap(),
    };
    let window = Window::new(Some(UnixS(1_759_000_000)), Some(UnixS(1_761_000_000))).unwrap();
    let held = |revision, holder, right, tenant: Option<&str>, window| Entitlement {
        id: grant(revision),
        holder,
        right,
        tenant: tenant.map(Into::into),
        window,
    };
    [
        held(1, user.clone(), Right::Member(Membership::Role("support".into())), None, Window::default()),
        held(2, Holder::Role("support".into()), permission, Some("acme"), window),
        held(
            3,
            Holder::Group("eu".into()),
            Right::Member(Membership::Group("all".into())),
            None,
            Window::default(),
        ),
    ]
}

/// One change of every kind of the grant lane.
pub(crate) fn grant_entry() -> Entry {
    let mut changes: Vec<_> = entitlements().map(|held| change(held.id, ChangeBody::Grant(held))).into();
    let holder = Holder::Group("eu".into());
    changes.push(change(grant(4), ChangeBody::Withdraw { entitlement: grant(3), holder }));
    entry(Lane::Grant(0), 1, changes)
}

pub(crate) fn heads() -> Heads {
    Heads {
        deny: Head { position: Position::new(1, 26), hash: EntryHash([0xd1; 32]) },
        grant: Head { position: Position::new(1, 4), hash: EntryHash([0xd2; 32]) },
    }
}

pub(crate) fn tick(nonce_root: [u8; 32]) -> Tick {
    Tick {
        chain: chain(),
        epoch: Epoch(1),
        heads: heads(),
        digest: StateDigest(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef),
        lease_ms: 5000,
        controller_time: NOW,
        nonce_root,
        floor: Revision(1),
        controller: controller_id(),
        boot: InstanceId([0x11; 16]),
    }
}

pub(crate) fn lease_request(nonce: u8) -> LeaseRequest {
    LeaseRequest { agent: agent_id(), instance: InstanceId([0x22; 16]), nonce: Nonce([nonce; 16]) }
}

pub(crate) fn report() -> Report {
    Report {
        agent: agent_id(),
        instance: InstanceId([0x22; 16]),
        sequence: 7,
        service: ServiceName::new("payments").unwrap(),
        applied: heads(),
        durable: Heads::default(),
        digest: StateDigest(99),
        freshness: Freshness::Fresh,
        stale_policy: "strict(5s)".into(),
        target_kinds: 0x1ff,
        fault: "".into(),
        version: "0.1.0".into(),
        at: NOW,
        first_deny_at: Some(UnixMs(1_760_000_000_100)),
    }
}

pub(crate) fn directive(ask: Ask) -> Directive {
    Directive { origin: origin("case-7"), reason_admin: Some("seen on a paste site\nby dana".into()), ask }
}

pub(crate) fn asks() -> [Ask; 7] {
    let [_, Entitlement { holder, right, tenant, window, .. }, _] = entitlements();
    let user = Target::User { issuer: None, id: "alice".into() };
    [
        Ask::Record { kind: RecordKind::Disable, target: user, cutoff: None },
        Ask::Lift { record: deny(19), cutoff: LiftCutoff::Resume },
        Ask::Lift { record: deny(19), cutoff: LiftCutoff::Now },
        Ask::Lift { record: deny(19), cutoff: LiftCutoff::At(UnixS(0)) },
        Ask::Reinstate { record: deny(14) },
        Ask::Grant { holder, right, tenant, window },
        Ask::Withdraw { entitlement: grant(2) },
    ]
}

pub(crate) fn items() -> Vec<SnapshotItem> {
    let mut items: Vec<_> = entitlements().into_iter().map(SnapshotItem::Entitlement).collect();
    for change in deny_entry().changes {
        if let ChangeBody::Record(record) = change.body {
            let state = match record.kind {
                RecordKind::Disable => RecordState::Ended { residual_cutoff: record.cutoff },
                RecordKind::Hold => RecordState::Ended { residual_cutoff: None },
                RecordKind::Revoke | RecordKind::Kill => RecordState::Active,
            };
            items.push(SnapshotItem::Record(record, state));
        }
    }
    items
}

pub(crate) fn manifest(chunks: Vec<(u32, [u8; 32])>, items: u64) -> Manifest {
    Manifest { chain: chain(), heads: heads(), digest: StateDigest(99), items, chunks, made_at: NOW }
}

// Arbitrary values.

fn id_text() -> impl Strategy<Value = Box<str>> {
    "[a-zA-Z0-9é漢:/#@._-]{1,24}".prop_map(Into::into)
}
fn name_text() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9._-]{1,24}"
}
fn note() -> impl Strategy<Value = Option<Box<str>>> {
    proptest::option::of("[a-z*? é]{0,12}[a-z]".prop_map(Into::into))
}

pub(crate) fn any_target() -> impl Strategy<Value = Target> {
    let pair = || (id_text(), id_text());
    prop_oneof![
        pair().prop_map(|(issuer, jti)| Target::Token { issuer, jti }),
        any::<[u8; 32]>().prop_map(Target::TokenHash),
        pair().prop_map(|(issuer, sid)| Target::Session { issuer, sid }),
        (proptest::option::of(id_text()), id_text()).prop_map(|(issuer, id)| Target::User { issuer, id }),
        pair().prop_map(|(issuer, kid)| Target::Key { issuer, kid }),
        id_text().prop_map(|id| Target::Client { id }),
        id_text().prop_map(|id| Target::Tenant { id }),
        name_text().prop_map(|name| Target::Service { name: name.into() }),
        Just(Target::All),
    ]
}

fn any_kind() -> impl Strategy<Value = RecordKind> {
    prop_oneof![
        Just(RecordKind::Revoke),
        Just(RecordKind::Disable),
        Just(RecordKind::Hold),
        Just(RecordKind::Kill)
    ]
}

pub(crate) fn any_record(lane_id: impl Strategy<Value = RecordId>) -> impl Strategy<Value = Record> {
    let fits = |(_, kind, target, _): &(RecordId, RecordKind, Target, i64)| kind.takes(target.kind());
    (lane_id, any_kind(), any_target(), any::<i64>()).prop_filter("kind takes target", fits).prop_map(
        |(id, kind, target, at)| {
            let dated =
                target.kind() == TargetKind::User && matches!(kind, RecordKind::Revoke | RecordKind::Disable);
            Record::new(id, kind, target, dated.then_some(UnixS(at))).unwrap()
        },
    )
}

pub(crate) fn any_deny_id() -> impl Strategy<Value = RecordId> {
    (0..=u16::MAX, 1..1_u64 << 44).prop_map(|(epoch, revision)| {
        RecordId::new(Lane::Deny, Position::new(epoch.into(), revision)).unwrap()
    })
}

pub(crate) fn any_grant_id() -> impl Strategy<Value = RecordId> {
    any_deny_id().prop_map(|id| RecordId::new(Lane::Grant(0), id.position()).unwrap())
}

fn any_holder() -> impl Strategy<Value = Holder> {
    prop_oneof![
        (id_text(), id_text()).prop_map(|(issuer, id)| Holder::User { issuer, id }),
        id_text().prop_map(Holder::Role),
        id_text().prop_map(Holder::Group),
    ]
}

fn any_right() -> impl Strategy<Value = Right> {
    let permission = ("[a-z]{1,8}(:[a-z]{1,8}|:\\*)|\\*", "(/[a-z]{1,8}){1,3}(/\\*)?|\\*");
    prop_oneof![
        permission.prop_map(|(action, resource)| Right::Permission {
            action: ActionPattern::new(&action).unwrap(),
            resource: ResourcePattern::new(&resource).unwrap(),
        }),
        id_text().prop_map(|name| Right::Member(Membership::Role(name))),
        id_text().prop_map(|name| Right::Member(Membership::Group(name))),
    ]
}

pub(crate) fn any_entitlement() -> impl Strategy<Value = Entitlement> {
    let window = (proptest::option::of(any::<i32>()), proptest::option::of(any::<u16>()));
    (any_grant_id(), any_holder(), any_right(), proptest::option::of(id_text()), window).prop_map(
        |(id, holder, right, tenant, (from, length))| {
            let from_s = i64::from(from.unwrap_or(0));
            let until = length.map(|length| UnixS(from_s + 1 + i64::from(length)));
            let window = Window::new(from.map(|_| UnixS(from_s)), until).unwrap();
            Entitlement { id, holder, right, tenant, window }
        },
    )
}

fn any_origin() -> impl Strategy<Value = Origin> {
    (name_text(), id_text(), note(), note(), note(), proptest::option::of(any::<i64>())).prop_map(
        |(emitter, key, requested_by, reason_code, incident, known_at)| Origin {
            emitter: EmitterId::new(&emitter).unwrap(),
            key: IdempotencyKey::new(&key).unwrap(),
            requested_by,
            reason_code,
            incident,
            known_at: known_at.map(UnixMs),
        },
    )
}

fn any_body(lane: Lane) -> BoxedStrategy<ChangeBody> {
    match lane {
        Lane::Deny => prop_oneof![
            any_record(any_deny_id()).prop_map(ChangeBody::Record),
            (any_deny_id(), any_target(), proptest::option::of(any::<i64>())).prop_map(
                |(record, target, cutoff)| { ChangeBody::Lift { record, target, cutoff: cutoff.map(UnixS) } }
            ),
            (any_deny_id(), any_target())
                .prop_map(|(record, target)| ChangeBody::Reinstate { record, target }),
            (any_deny_id(), any_target()).prop_map(|(record, target)| ChangeBody::Forget { record, target }),
            Just(ChangeBody::Skipped),
        ]
        .boxed(),
        Lane::Grant(_) => prop_oneof![
            any_entitlement().prop_map(ChangeBody::Grant),
            (any_grant_id(), any_holder())
                .prop_map(|(entitlement, holder)| ChangeBody::Withdraw { entitlement, holder }),
            Just(ChangeBody::Skipped),
        ]
        .boxed(),
    }
}

pub(crate) fn any_change(lane: Lane) -> impl Strategy<Value = Change> {
    let id = any_deny_id().prop_map(move |id| RecordId::new(lane, id.position()).unwrap());
    (id, any_origin(), proptest::option::of(any::<[u8; 32]>()), any_body(lane)).prop_map(
        |(id, origin, reason_admin_sha256, mut body)| {
            match &mut body {
                ChangeBody::Record(record) => record.id = id,
                ChangeBody::Grant(entitlement) => entitlement.id = id,
                _ => {}
            }
            Change { id, origin, reason_admin_sha256, body }
        },
    )
}

pub(crate) fn any_heads() -> impl Strategy<Value = Heads> {
    let head = || {
        (any::<u32>(), any::<u64>(), any::<[u8; 32]>()).prop_map(|(epoch, revision, hash)| Head {
            position: Position::new(epoch, revision),
            hash: EntryHash(hash),
        })
    };
    (head(), head()).prop_map(|(deny, grant)| Heads { deny, grant })
}
