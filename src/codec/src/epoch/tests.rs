use rescind_core::change::ChangeBody;
use rescind_core::position::{Epoch, Lane, Position, Revision};

use super::*;
use crate::kit::*;
use crate::{LogError, LogItem, decode_log_message, encode_entry};

fn read(entry: &Entry) -> Result<Entry, LogError> {
    let (bytes, _) = encode_entry(entry, &controller_key());
    match decode_log_message(&bytes, entry.lane, &trust())? {
        LogItem::Entry(chained) => Ok(chained.entry),
        LogItem::Tick(..) => panic!("an entry"),
    }
}

fn lost(entry: &mut Entry) -> &mut LostHistory {
    match &mut entry.changes[0].body {
        ChangeBody::Epoch(start) => start.lost.as_mut().unwrap(),
        _ => panic!("a fence"),
    }
}

fn why(bend: impl Fn(&mut LostHistory)) -> &'static str {
    let mut entry = lost_fence(Lane::Deny);
    bend(lost(&mut entry));
    let refusal = read(&entry).unwrap_err();
    assert_eq!(refusal.at, Some(entry.first), "signed and not usable: poison with a place");
    refusal.error.code()
}

#[test]
fn fences_of_both_lanes_are_read() {
    for lane in [Lane::Deny, Lane::Grant(0)] {
        for entry in [fence(lane), lost_fence(lane)] {
            assert_eq!(read(&entry), Ok(entry));
        }
    }
}

#[test]
fn a_fence_is_the_only_change_of_its_entry() {
    let mut entry = fence(Lane::Deny);
    entry.changes.push(revoke(28));
    assert_eq!(read(&entry).unwrap_err().error, CodecError::Range { field: "epoch" });
    entry.changes.swap(0, 1);
    assert_eq!(read(&entry).unwrap_err().error, CodecError::Range { field: "epoch" });
}

#[test]
fn a_fence_begins_a_later_epoch_at_its_own_place() {
    let mut first = fence(Lane::Deny);
    first.epoch = Epoch(1);
    first.changes[0].id = deny(27);
    assert_eq!(read(&first).unwrap_err().error, CodecError::Range { field: "epoch" });
    let mut elsewhere = fence(Lane::Deny);
    elsewhere.changes[0].id = RecordId::new(Lane::Deny, Position::new(2, 28)).unwrap();
    assert_eq!(read(&elsewhere).unwrap_err().error, CodecError::Range { field: "epoch" });
}

#[test]
fn s7_two_different_persons_who_may_recover_have_to_sign() {
    assert_eq!(read(&lost_fence(Lane::Deny)).map(|_| ()), Ok(()));
    let statement = recovery();
    let other = RecoveryStatement { epoch: Epoch(3), ..recovery() };
    let may_not = || approve(&statement, &emitter_id(), &emitter_key());
    let [one, two] = approvals(&statement);
    let not_approved = "not_approved";
    assert_eq!(why(|lost| lost.approvals[1] = one.clone()), not_approved, "one person twice");
    assert_eq!(why(|lost| lost.approvals[1] = may_not()), not_approved, "no right to recover");
    assert_eq!(why(|lost| lost.approvals = approvals(&other)), not_approved, "another epoch");
    assert_eq!(why(|lost| lost.reason = "another reason".into()), not_approved, "another text");
    assert_eq!(
        why(|lost| lost.approvals[1].principal = EmitterId::new("mallory").unwrap()),
        not_approved,
        "in another name"
    );
    let forged = approve(&statement, &two.principal, &stranger_key());
    assert_eq!(why(|lost| lost.approvals[1] = forged.clone()), "unknown_key");
    let by_controller = approve(&statement, &two.principal, &controller_key());
    assert_eq!(why(|lost| lost.approvals[1] = by_controller.clone()), "wrong_role");
    assert_eq!(why(|lost| lost.approvals[0].statement[8] ^= 1), "bad_signature");
    assert_eq!(why(|lost| lost.approvals[0].statement = Box::default()), "framing");
}

#[test]
fn s7_an_approval_is_worth_nothing_for_another_branch() {
    let moved = why(|lost| lost.branch.grant.position.revision = Revision(3));
    assert_eq!(moved, "not_approved", "the other lane's branch is signed too");
    assert_eq!(why(|lost| lost.branch.deny.position.revision = Revision(20)), "range");
    assert_eq!(why(|lost| lost.branch.deny.hash.0[0] ^= 1), "range");
    assert_eq!(why(|lost| lost.branch.grant.position.epoch = Epoch(2)), "range");
}

#[test]
fn reason_and_lost_history_come_together() {
    let mut entry = lost_fence(Lane::Deny);
    let ChangeBody::Epoch(start) = &mut entry.changes[0].body else { panic!("a fence") };
    start.reason = EpochReason::TakeOver;
    assert_eq!(read(&entry).unwrap_err().error, CodecError::Range { field: "lost" });
    start_from_wire(proto::EpochStart { reason: 3, lost: None }).unwrap_err();
    start_from_wire(proto::EpochStart { reason: 0, lost: None }).unwrap_err();
    start_from_wire(proto::EpochStart { reason: 77, lost: None }).unwrap_err();
    let mut wire = start_to_wire(lost_fence(Lane::Deny).fence_start().unwrap());
    wire.lost.as_mut().unwrap().approvals.pop();
    assert_eq!(start_from_wire(wire).unwrap_err().code(), "count");
}

#[test]
fn a_statement_survives_the_way_to_the_second_person() {
    let bytes = encode_statement(&recovery());
    assert_eq!(decode_statement(&bytes, &chain()), Ok(recovery()));
    let other = ChainId::new("other.1").unwrap();
    assert_eq!(decode_statement(&bytes, &other).unwrap_err().code(), "wrong_chain");
    let blank = RecoveryStatement { reason: " ".into(), ..recovery() };
    assert_eq!(decode_statement(&encode_statement(&blank), &chain()).unwrap_err().code(), "not_a_line");
    assert_eq!(decode_statement(&[0; RECOVERY_BYTES_MAX + 1], &chain()).unwrap_err().code(), "too_large");
}

#[test]
fn an_approval_ends_with_its_certificate() {
    let [approval, _] = approvals(&recovery());
    let (principal, statement) = decode_approval(&approval.statement, &trust(), NOW).unwrap();
    assert_eq!((principal, statement), (approval.principal, recovery()));
    let late = decode_approval(&approval.statement, &trust(), VALID_UNTIL).unwrap_err();
    assert_eq!(late.code(), "expired");
}
