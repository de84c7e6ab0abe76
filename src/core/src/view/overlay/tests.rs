use super::*;
use crate::agent::tests::support::{Author, user};
use crate::change::ChangeBody;
use crate::key::KeyHasher;
use crate::position::{Epoch, Lane, Position};
use crate::target::TargetKind;
use crate::time::UnixS;

fn id(epoch: u32, revision: u64) -> RecordId {
    RecordId::new(Lane::Deny, Position::new(epoch, revision)).unwrap()
}

fn disable(id: RecordId, name: u64, cutoff: i64) -> Record {
    Record::new(id, RecordKind::Disable, user(name), Some(UnixS(cutoff))).unwrap()
}

fn token(jti: &str) -> Target {
    Target::Token { issuer: "https://idp".into(), jti: jti.into() }
}

fn revoke(id: RecordId, jti: &str) -> Record {
    Record::new(id, RecordKind::Revoke, token(jti), None).unwrap()
}

fn view(records: &[Record]) -> View {
    let mut view = View::new(KeyHasher::new([3; 16]));
    records.iter().for_each(|record| assert!(view.overlay_add(record)));
    view
}

#[test]
fn records_after_a_branch_are_told_by_their_ids() {
    let all = view(&[
        disable(id(1, 3), 1, 5),
        revoke(id(1, 4), "a"),
        disable(id(1, 5), 2, 5),
        revoke(id(1, 6), "b"),
    ]);
    let after = all.records_after(Revision(4));
    assert_eq!(after.overlay_len(), 2);
    let hasher = all.hasher();
    assert_eq!(after.tombstone(TargetKind::Token, hasher.target(&token("b"))), Some(id(1, 6)));
    assert_eq!(after.tombstone(TargetKind::Token, hasher.target(&token("a"))), None);
    assert_eq!(after.standing(TargetKind::User, hasher.target(&user(2)))[0].record, id(1, 5));
    assert_eq!(all.records_after(Revision(0)).overlay_len(), 4);
}

#[test]
fn forgetting_needs_id_and_target_and_knows_every_table() {
    let mut some = view(&[disable(id(1, 3), 1, 5), revoke(id(1, 4), "a")]);
    assert!(!some.overlay_forget(id(1, 3), &user(2)));
    assert!(!some.overlay_forget(id(1, 4), &user(1)));
    assert!(some.overlay_forget(id(1, 3), &user(1)));
    assert!(some.overlay_forget(id(1, 4), &token("a")));
    assert!(!some.overlay_forget(id(1, 4), &token("a")));
    assert_eq!(some.overlay_len(), 0);
}

#[test]
fn two_overlays_together_hold_the_records_of_both() {
    let mut one = view(&[disable(id(1, 3), 1, 5), revoke(id(1, 4), "a")]);
    one.overlay_absorb(&view(&[disable(id(1, 7), 1, 9), revoke(id(1, 8), "a"), revoke(id(1, 9), "b")]));
    assert_eq!(one.overlay_len(), 5);
    one.overlay_absorb(&view(&[disable(id(1, 7), 1, 9)]));
    assert_eq!(one.overlay_len(), 5, "each once");
    let twins = one.standing(TargetKind::Token, one.hasher().target(&token("a")));
    assert_eq!(twins[0].record, id(1, 8), "the second tombstone of a target is found");
    assert!(one.overlay_forget(id(1, 8), &token("a")));
}

#[test]
fn what_another_view_holds_or_ended_is_not_missing_in_it() {
    let mut author = Author::new();
    let disabled = author.deny(1);
    let record = disabled.entry.changes[0].id;
    let mut view = View::new(KeyHasher::new([3; 16]));
    view.apply(&disabled.entry.changes[0]).unwrap();
    let old = view.clone();
    let lift = ChangeBody::Reinstate { record, target: user(1) };
    let reinstated = author.entry(Lane::Deny, vec![lift]);
    view.apply(&reinstated.entry.changes[0]).unwrap();
    assert_eq!(old.records_missing_in(&view).overlay_len(), 0, "its cutoff is still there");
    assert_eq!(old.records_missing_in(&View::new(KeyHasher::new([3; 16]))).overlay_len(), 1);
}

#[test]
fn a_later_record_covers_one_of_the_same_effect() {
    let old = view(&[disable(id(1, 7), 1, 9), revoke(id(1, 8), "a"), revoke(id(1, 9), "b")]);
    let new = view(&[disable(id(2, 5), 1, 9), revoke(id(1, 2), "a")]);
    assert_eq!(old.records_not_covered_by(&new, Epoch(2)).overlay_len(), 1);
    let weaker = view(&[disable(id(2, 5), 1, 8)]);
    assert_eq!(old.records_not_covered_by(&weaker, Epoch(2)).overlay_len(), 3, "an earlier cutoff");
    let before = view(&[disable(id(1, 5), 1, 9)]);
    assert_eq!(old.records_not_covered_by(&before, Epoch(2)).overlay_len(), 3, "it may be lifted on its own");
}
