//! History that two persons gave up, and a controller that went back: nothing that was denied is released.

use super::support::*;
use super::*;
use crate::agent::tests::state::{faults, manifest, view_of};
use crate::change::{Change, ChangeBody};
use crate::entry::ChainedEntry;
use crate::ids::{IdempotencyKey, RecordId};
use crate::position::Position;
use crate::record::{Record, RecordKind};
use crate::time::UnixS;

/// An agent at deny 4, and the controller's state at deny 2, with everything that it still has.
fn back() -> (AgentMachine, Author, Vec<ChainedEntry>) {
    let (mut machine, mut author) = (machine(ms(0)), Author::new());
    let mut entries = vec![author.deny(1), author.grant(1), author.deny(2)];
    let before = author.clone();
    entries.extend([author.deny(3), author.deny(4)]);
    for (entry, number) in entries.iter().zip(0_u8..) {
        let message = Some(vec![number; 10].into());
        machine.handle_entry(ms(1), ChainedEntry { message, ..entry.clone() });
    }
    make_fresh(&mut machine, &author, ms(2), 1);
    entries.truncate(3);
    drain(&mut machine);
    (machine, before, entries)
}

fn orphan(revision: u64) -> RecordId {
    RecordId::new(Lane::Deny, Position::new(1, revision)).unwrap()
}

fn denied_beside(machine: &AgentMachine, id: u64) -> bool {
    let published = machine.published();
    let Some(extra) = &published.extra else { return false };
    !extra.standing(crate::target::TargetKind::User, extra.hasher().target(&user(id))).is_empty()
}

/// The agent takes the fences and a snapshot behind them.
fn recover(machine: &mut AgentMachine, author: &mut Author, entries: &mut Vec<ChainedEntry>) {
    let fences = author.give_up(2);
    fences.iter().for_each(|fence| machine.handle_entry(ms(3), fence.clone()));
    entries.extend(fences);
    assert_eq!(machine.fault(), Some(AgentFault::LostHistory { epoch: Epoch(2) }));
    assert_eq!(machine.freshness(ms(3)), Freshness::Unsynced);
    assert!(run_until(machine, ms(300)).iter().any(|output| matches!(output, AgentOutput::FetchSnapshot)));
    machine.handle_snapshot(ms(300), &manifest(author), view_of(machine, entries));
    make_fresh(machine, author, ms(301), 2);
    drain(machine);
    assert_eq!((machine.fault(), machine.heads()), (None, author.heads));
    assert_eq!(machine.freshness(ms(301)), Freshness::Fresh);
}

#[test]
fn s8_what_lost_history_denied_stays_denied_as_orphans() {
    let (mut machine, mut author, mut entries) = back();
    recover(&mut machine, &mut author, &mut entries);
    assert_eq!(machine.orphans(), 2);
    assert!(denied_beside(&machine, 3) && denied_beside(&machine, 4));
    assert!(!denied_beside(&machine, 2), "what is in the history is in the view");
    let outputs = run_until(&mut machine, ms(5_000));
    let report = outputs.iter().rev().find_map(|output| match output {
        AgentOutput::Report(report) => Some(report.fault.clone()),
        _ => None,
    });
    assert_eq!(&*report.unwrap(), "orphans 2");
}

#[test]
fn an_orphan_ends_with_its_re_admission_and_then_by_a_lift_of_that() {
    let (mut machine, mut author, mut entries) = back();
    recover(&mut machine, &mut author, &mut entries);
    let id = author.next_id(Lane::Deny, 0);
    let record = Record::new(id, RecordKind::Disable, user(3), Some(UnixS(1))).unwrap();
    let wrong = admitting(&mut author, record.clone(), "orphan-deny-1-9");
    machine.handle_entry(ms(400), wrong);
    assert_eq!(machine.orphans(), 2, "another name");
    let id = author.next_id(Lane::Deny, 0);
    let again = admitting(&mut author, Record { id, ..record }, &format!("orphan-{}", orphan(3)));
    machine.handle_entry(ms(401), again);
    drain(&mut machine);
    assert_eq!(machine.orphans(), 1);
    assert!(!denied_beside(&machine, 3) && denied_beside(&machine, 4));
    let lift = ChangeBody::Reinstate { record: id, target: user(3) };
    machine.handle_entry(ms(402), author.entry(Lane::Deny, vec![lift]));
    drain(&mut machine);
    assert_eq!((machine.heads(), machine.fault()), (author.heads, None));
}

fn admitting(author: &mut Author, record: Record, key: &str) -> ChainedEntry {
    let mut entry = author.clone().entry(Lane::Deny, vec![ChangeBody::Record(record.clone())]).entry;
    entry.changes = vec![Change {
        id: record.id,
        origin: crate::change::Origin { key: IdempotencyKey::new(key).unwrap(), ..origin(key) },
        reason_admin_sha256: None,
        body: ChangeBody::Record(record),
    }];
    entry.changes.iter().for_each(|change| author.view.apply(change).unwrap());
    let entry = chained(entry);
    author.heads.deny = Head { position: entry.entry.last(), hash: entry.hash };
    entry
}

#[test]
fn a_re_admission_inside_the_snapshot_is_seen_by_its_effect() {
    let (mut machine, mut author, mut entries) = back();
    let fences = author.give_up(2);
    fences.iter().for_each(|fence| machine.handle_entry(ms(3), fence.clone()));
    entries.extend(fences);
    entries.push(author.deny(3));
    machine.handle_snapshot(ms(300), &manifest(&author), view_of(&machine, &entries));
    drain(&mut machine);
    assert_eq!(machine.orphans(), 1);
    assert!(denied_beside(&machine, 4));
}

#[test]
fn lost_history_that_nobody_here_holds_is_an_ordinary_fence() {
    let (mut machine, mut author) = (machine(ms(0)), Author::new());
    machine.handle_entry(ms(1), author.deny(1));
    make_fresh(&mut machine, &author, ms(2), 1);
    author.give_up(2).into_iter().for_each(|fence| machine.handle_entry(ms(3), fence));
    assert_eq!((machine.fault(), machine.heads()), (None, author.heads));
    assert_eq!((machine.freshness(ms(3)), machine.orphans()), (Freshness::Fresh, 0));
}

#[test]
fn s8_a_snapshot_that_heals_a_fork_below_us_leaves_orphans_too() {
    let (mut machine, mut author, mut entries) = back();
    let fences = author.take_over(2);
    fences.iter().for_each(|fence| machine.handle_entry(ms(3), fence.clone()));
    entries.extend(fences);
    assert!(matches!(machine.fault(), Some(AgentFault::Fork { .. })));
    machine.handle_snapshot(ms(300), &manifest(&author), view_of(&machine, &entries));
    drain(&mut machine);
    assert_eq!((machine.fault(), machine.heads()), (None, author.heads));
    assert_eq!(machine.orphans(), 2);
    assert_eq!(machine.lag(Lane::Deny), 0, "nothing of the other history is asked for");
    let later = author.deny(9);
    machine.handle_entry(ms(301), later);
    assert_eq!(machine.heads(), author.heads);
}

#[test]
fn s6_a_state_with_orphans_does_not_replace_what_is_on_disk() {
    let (mut machine, mut author, mut entries) = back();
    recover(&mut machine, &mut author, &mut entries);
    machine.handle_entry(ms(400), author.deny(5));
    let outputs = run_until(&mut machine, ms(500));
    assert!(!outputs.iter().any(|output| matches!(output, AgentOutput::Persist(_))));
    for revision in [3, 4] {
        let target = user(revision);
        let lift = ChangeBody::Reinstate { record: orphan(revision), target };
        let entry = author.entry(Lane::Deny, vec![lift]);
        machine.handle_entry(ms(501), entry);
    }
    // Ends of records that this view does not hold: the controller has none, so this is poison, not a release.
    assert_eq!(machine.orphans(), 2);
}

#[test]
fn fault_controller_behind_is_seen_by_its_own_tick_and_gets_no_lease() {
    let (mut machine, before, _) = back();
    machine.begin_lease(ms(10), Nonce([7; 16]));
    machine.handle_grant(ms(11), before.lease_grant(7));
    assert_eq!(machine.freshness(ms(4_990)), Freshness::Stale, "the first lease ended, no second one");
    let at = before.heads.deny.position;
    assert_eq!(machine.fault(), Some(AgentFault::ControllerBehind { lane: Lane::Deny, at }));
    let outputs = run_until(&mut machine, ms(600));
    assert_eq!(faults(&outputs), ["controller_behind"]);
    assert_eq!(handed_back(&outputs), [[3; 10], [4; 10]]);
}

#[test]
fn s5_a_grant_that_was_asked_for_before_is_no_proof_of_that() {
    let (mut machine, mut author) = (machine(ms(0)), Author::new());
    machine.begin_lease(ms(0), Nonce([1; 16]));
    let early = author.lease_grant(1);
    machine.handle_entry(ms(1), author.deny(1));
    machine.handle_grant(ms(2), early);
    assert_eq!((machine.fault(), machine.freshness(ms(2))), (None, Freshness::Fresh));
}

#[test]
fn agents_hand_back_what_a_controller_lost_and_stop_when_it_has_it() {
    let (mut machine, author, _) = back();
    for at in [10, 20, 30] {
        machine.handle_behind(ms(at), Lane::Deny, Position::new(1, 3));
    }
    let outputs = run_until(&mut machine, ms(1_000));
    assert_eq!(handed_back(&outputs), [[4; 10]], "once, and only what is missing");
    machine.handle_behind(ms(1_001), Lane::Deny, Position::new(1, 3));
    assert!(handed_back(&run_until(&mut machine, ms(2_000))).is_empty(), "not without a pause");
    let mut whole = author.clone();
    whole.deny(3);
    whole.deny(4);
    make_fresh(&mut machine, &whole, ms(2_001), 8);
    assert_eq!(machine.fault(), None);
    assert!(handed_back(&run_until(&mut machine, ms(9_000))).is_empty());
    machine.handle_behind(ms(9_001), Lane::Deny, Position::new(1, 4));
    assert_eq!(machine.fault(), None, "it is not behind this agent");
}

fn handed_back(outputs: &[AgentOutput]) -> Vec<Vec<u8>> {
    let each = outputs.iter().filter_map(|output| match output {
        AgentOutput::HandBack(messages) => Some(messages.iter().map(|message| message.to_vec())),
        _ => None,
    });
    each.flatten().collect()
}
