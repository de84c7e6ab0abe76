use super::*;
use crate::change::Origin;
use crate::entitlement::{ActionPattern, ResourcePattern, Window};
use crate::ids::{EmitterId, IdempotencyKey};
use crate::position::{Lane, Position};

fn hasher() -> KeyHasher {
    KeyHasher::new([7; 16])
}

fn deny(revision: u64) -> RecordId {
    RecordId::new(Lane::Deny, Position::new(1, revision)).unwrap()
}

fn change(revision: u64, body: ChangeBody) -> Change {
    let origin = Origin {
        emitter: EmitterId::new("ir").unwrap(),
        key: IdempotencyKey::new(&format!("k{revision}")).unwrap(),
        requested_by: None,
        reason_code: None,
        incident: None,
        known_at: None,
    };
    Change { id: deny(revision), origin, reason_admin_sha256: None, body }
}

fn record(revision: u64, kind: RecordKind, target: &str, cutoff: Option<i64>) -> Change {
    let record = Record::new(deny(revision), kind, target.parse().unwrap(), cutoff.map(UnixS)).unwrap();
    change(revision, ChangeBody::Record(record))
}

fn lift(revision: u64, of: u64, target: &str, cutoff: Option<i64>) -> Change {
    let target = target.parse().unwrap();
    change(revision, ChangeBody::Lift { record: deny(of), target, cutoff: cutoff.map(UnixS) })
}

fn reinstate(revision: u64, of: u64, target: &str) -> Change {
    change(revision, ChangeBody::Reinstate { record: deny(of), target: target.parse().unwrap() })
}

fn folded(changes: &[Change]) -> View {
    let mut view = View::new(hasher());
    changes.iter().for_each(|change| view.apply(change).unwrap());
    view
}

#[test]
fn l2_a_lift_ends_its_own_record_and_no_other() {
    let view = folded(&[
        record(1, RecordKind::Hold, "user:u1", None),
        record(2, RecordKind::Hold, "user:u1", None),
        lift(3, 1, "user:u1", None),
    ]);
    let list = view.standing(TargetKind::User, hasher().user_any_issuer("u1"));
    assert_eq!(list.iter().map(|s| s.record).collect::<Vec<_>>(), [deny(2)]);
}

#[test]
fn d3_a_disable_leaves_its_cutoff_and_d4_a_hold_only_where_asked() {
    let user = hasher().user_any_issuer("u1");
    let view = folded(&[record(1, RecordKind::Disable, "user:u1", Some(100)), reinstate(2, 1, "user:u1")]);
    let [left] = view.standing(TargetKind::User, user) else { panic!("the cutoff is gone") };
    assert!(!left.active && left.cuts(Some(UnixS(100))) && !left.cuts(Some(UnixS(101))) && left.cuts(None));

    let view = folded(&[record(1, RecordKind::Hold, "user:u1", None), lift(2, 1, "user:u1", None)]);
    assert!(view.standing(TargetKind::User, user).is_empty());
    assert_eq!((view.records(), view.digest()), (0, StateDigest::default()));

    let view = folded(&[record(1, RecordKind::Hold, "user:u1", None), lift(2, 1, "user:u1", Some(50))]);
    let [left] = view.standing(TargetKind::User, user) else { panic!("no cutoff") };
    assert!(left.cuts(Some(UnixS(50))) && !left.cuts(Some(UnixS(51))));
}

#[test]
fn what_contradicts_the_state_is_refused_and_changes_nothing() {
    let before = folded(&[
        record(1, RecordKind::Revoke, "session:i#s", None),
        record(2, RecordKind::Disable, "user:u1", Some(5)),
        record(3, RecordKind::Hold, "user:u1", None),
        lift(4, 3, "user:u1", Some(9)),
    ]);
    let refused = [
        (lift(9, 1, "session:i#s", None), FoldError::WrongKind(deny(1))),
        (lift(9, 2, "user:u1", None), FoldError::WrongKind(deny(2))),
        (reinstate(9, 3, "user:u1"), FoldError::WrongKind(deny(3))),
        (lift(9, 3, "user:u1", None), FoldError::Ended(deny(3))),
        (lift(9, 8, "user:u1", None), FoldError::Unknown(deny(8))),
        (lift(9, 3, "user:u2", None), FoldError::Unknown(deny(3))),
        (record(1, RecordKind::Revoke, "session:i#s", None), FoldError::Duplicate(deny(1))),
    ];
    for (change, error) in refused {
        let mut view = before.clone();
        assert_eq!(view.apply(&change), Err(error));
        assert_eq!((view.totals(), view.records()), (before.totals(), before.records()));
    }
}

fn grant(revision: u64, holder: &str) -> Change {
    let id = RecordId::new(Lane::Grant(0), Position::new(1, revision)).unwrap();
    let right = Right::Permission {
        action: ActionPattern::new("refund:*").unwrap(),
        resource: ResourcePattern::new("/orders/*").unwrap(),
    };
    let holder = Holder::User { issuer: "i".into(), id: holder.into() };
    let body = ChangeBody::Grant(Entitlement { id, holder, right, tenant: None, window: Window::default() });
    Change { id, ..change(revision, body) }
}

fn withdraw(revision: u64, of: u64, holder: &str) -> Change {
    let entitlement = RecordId::new(Lane::Grant(0), Position::new(1, of)).unwrap();
    let holder = Holder::User { issuer: "i".into(), id: holder.into() };
    change(revision, ChangeBody::Withdraw { entitlement, holder })
}

/// Everything that is in the tables.
fn content(view: &View) -> impl PartialEq + std::fmt::Debug + use<> {
    fn all<V: Clone>(map: &CowMap<V>) -> Vec<(Key, V)> {
        map.changed_since(&CowMap::new()).flat_map(|(_, entries)| entries.to_vec()).collect()
    }
    let Tables { tombstones, standing, holders } = view.tables();
    (all(tombstones), all(standing), all(holders), view.totals())
}

#[test]
fn s3_an_entry_folds_as_a_whole_or_not_at_all() {
    let before = folded(&[
        record(1, RecordKind::Revoke, "session:i#s", None),
        record(2, RecordKind::Disable, "user:u1", Some(5)),
        record(3, RecordKind::Hold, "user:u1", None),
        grant(1, "u1"),
    ]);
    let good = [
        record(4, RecordKind::Revoke, "session:i#t", None),
        record(5, RecordKind::Revoke, "session:i#s", None),
        lift(6, 3, "user:u1", None),
        reinstate(7, 2, "user:u1"),
        record(8, RecordKind::Kill, "tenant:t1", None),
        lift(9, 8, "tenant:t1", None),
        grant(2, "u1"),
        grant(3, "u2"),
        withdraw(10, 1, "u1"),
        withdraw(11, 3, "u2"),
    ];
    let bad = [
        (lift(12, 99, "user:u1", None), FoldError::Unknown(deny(99))),
        (record(1, RecordKind::Revoke, "session:i#s", None), FoldError::Duplicate(deny(1))),
    ];
    for len in 0..=good.len() {
        let entry = &good[..len];
        let mut one_by_one = before.clone();
        entry.iter().for_each(|change| one_by_one.apply(change).unwrap());
        let mut at_once = before.clone();
        at_once.apply_all(entry).unwrap();
        assert_eq!(content(&at_once), content(&one_by_one));
        for (last, error) in &bad {
            let mut refused = before.clone();
            assert_eq!(refused.apply_all(&[entry, std::slice::from_ref(last)].concat()), Err(*error));
            assert_eq!(content(&refused), content(&before), "after {len} changes");
        }
    }
}

#[test]
fn two_revokes_of_one_session_are_two_records() {
    let view = folded(&[
        record(1, RecordKind::Revoke, "session:i#s", None),
        record(2, RecordKind::Revoke, "session:i#s", None),
    ]);
    let key = hasher().session("i", "s");
    assert_eq!(view.tombstone(TargetKind::Session, key), Some(deny(1)));
    assert_eq!(view.standing(TargetKind::Session, key).len(), 1);
}

#[test]
fn s9_a_snapshot_in_any_order_is_the_state_that_the_chain_folds_to() {
    let chain = folded(&[
        record(1, RecordKind::Revoke, "session:i#s", None),
        record(2, RecordKind::Revoke, "session:i#s", None),
        record(3, RecordKind::Disable, "user:u1", Some(5)),
        reinstate(4, 3, "user:u1"),
        record(5, RecordKind::Kill, "tenant:t1", None),
    ]);
    let item = |revision, kind, target: &str, cutoff: Option<i64>, state| {
        let record = Record::new(deny(revision), kind, target.parse().unwrap(), cutoff.map(UnixS)).unwrap();
        SnapshotItem::Record(record, state)
    };
    let mut items = [
        item(1, RecordKind::Revoke, "session:i#s", None, RecordState::Active),
        item(2, RecordKind::Revoke, "session:i#s", None, RecordState::Active),
        item(
            3,
            RecordKind::Disable,
            "user:u1",
            Some(5),
            RecordState::Ended { residual_cutoff: Some(UnixS(5)) },
        ),
        item(5, RecordKind::Kill, "tenant:t1", None, RecordState::Active),
    ];
    for _ in 0..items.len() {
        items.rotate_left(1);
        let mut view = View::new(KeyHasher::new([9; 16]));
        items.iter().for_each(|item| view.restore(item).unwrap());
        assert_eq!((view.digest(), view.records()), (chain.digest(), chain.records()));
    }
}
