//! What is applied, in which order, and what stops the view.

use proptest::prelude::*;

use super::support::*;
use super::*;
use crate::change::ChangeBody;
use crate::entry::ChainedEntry;
use crate::snapshot::Manifest;

pub(super) fn faults(outputs: &[AgentOutput]) -> Vec<&'static str> {
    let each = outputs.iter().filter_map(|output| match output {
        AgentOutput::Fault(fault) => Some(fault.code()),
        _ => None,
    });
    each.collect()
}

pub(super) fn manifest(author: &Author) -> Manifest {
    Manifest {
        chain: chain(),
        heads: author.heads,
        digest: author.view.digest(),
        items: 0,
        chunks: Vec::new(),
        made_at: UnixMs(0),
    }
}

pub(super) fn view_of(machine: &AgentMachine, entries: &[ChainedEntry]) -> View {
    let mut view = View::new(machine.hasher().clone());
    entries.iter().flat_map(|entry| &entry.entry.changes).for_each(|change| view.apply(change).unwrap());
    view
}

#[test]
fn s4_grants_are_inert_until_the_denies_before_them() {
    let (mut machine, mut author) = (machine(ms(0)), Author::new());
    let deny = author.deny(1);
    let grant = author.grant(1);
    machine.handle_entry(ms(1), grant);
    assert_eq!(machine.heads(), Heads::default());
    let outputs = run_until(&mut machine, ms(100));
    let fetches_denies =
        |output: &AgentOutput| matches!(output, AgentOutput::FetchRange { lane: Lane::Deny, .. });
    assert!(outputs.iter().any(fetches_denies), "the dependency is a gap");
    machine.handle_entry(ms(101), deny);
    assert_eq!(machine.heads(), author.heads);
}

#[test]
fn s13_a_second_hash_at_an_applied_place_is_a_fork() {
    let (mut machine, mut author) = (machine(ms(0)), Author::new());
    let mut other = author.clone();
    other.salt = 1;
    let entries = [author.deny(1), author.deny(2)];
    entries.iter().for_each(|entry| machine.handle_entry(ms(1), entry.clone()));
    make_fresh(&mut machine, &author, ms(2), 1);
    drain(&mut machine);
    machine.handle_entry(ms(3), other.deny(1));
    let outputs = drain(&mut machine);
    assert_eq!(faults(&outputs), ["fork"]);
    assert!(!machine.published().synced);
    machine.handle_entry(ms(4), author.deny(3));
    make_fresh(&mut machine, &author, ms(5), 2);
    assert_eq!(machine.freshness(ms(6)), Freshness::Unsynced, "sticky");
    assert_eq!(machine.heads().deny.position, entries[1].entry.last(), "nothing more is applied");
}

#[test]
fn s13_forks_show_in_prev_hash_in_ticks_and_in_borders() {
    let fresh = |author: &mut Author| {
        let mut machine = machine(ms(0));
        (1..=3).for_each(|id| machine.handle_entry(ms(1), author.deny(id)));
        machine
    };
    // The next entry continues another history.
    let mut author = Author::new();
    let mut machine = fresh(&mut author);
    let mut entry = author.deny(4);
    entry.entry.prev_hash = crate::position::EntryHash([5; 32]);
    machine.handle_entry(ms(2), chained(entry.entry));
    assert!(matches!(machine.fault(), Some(AgentFault::Fork { at: Revision(4), .. })));
    // A tick with another hash at our head, and at a place behind it.
    for behind in [0, 1] {
        let mut author = Author::new();
        let mut before = author.clone();
        let mut machine = fresh(&mut author);
        (1..=3 - behind).for_each(|id| drop(before.deny(id)));
        let mut tick = before.tick();
        machine.handle_tick(ms(2), &tick);
        assert_eq!(machine.fault(), None);
        tick.heads.deny.hash = crate::position::EntryHash([6; 32]);
        machine.handle_tick(ms(3), &tick);
        assert!(matches!(machine.fault(), Some(AgentFault::Fork { .. })));
    }
    // An entry with the same place and other borders.
    let mut author = Author::new();
    let mut before = author.clone();
    let mut machine = fresh(&mut author);
    before.deny(1);
    before.deny(2);
    let (third, fourth) = (before.clone().deny(3), before.clone().deny(4));
    let bodies = [third, fourth].into_iter().map(|entry| entry.entry.changes[0].body.clone()).collect();
    machine.handle_entry(ms(2), before.entry(Lane::Deny, bodies));
    assert!(matches!(machine.fault(), Some(AgentFault::Fork { .. })));
}

#[test]
fn a_fork_ends_with_a_snapshot() {
    let (mut machine, mut author) = (machine(ms(0)), Author::new());
    let mut other = author.clone();
    other.salt = 1;
    machine.handle_entry(ms(1), other.deny(1));
    machine.handle_entry(ms(1), other.deny(2));
    let entries = [author.deny(1), author.deny(3)];
    machine.handle_entry(ms(2), entries[0].clone());
    assert!(machine.fault().is_some());
    let outputs = run_until(&mut machine, ms(500));
    assert!(outputs.iter().any(|output| matches!(output, AgentOutput::FetchSnapshot)));
    machine.handle_snapshot(ms(500), &manifest(&author), view_of(&machine, &entries));
    assert_eq!(machine.fault(), None);
    assert_eq!(machine.freshness(ms(501)), Freshness::Unsynced);
    make_fresh(&mut machine, &author, ms(600), 7);
    assert_eq!(machine.freshness(ms(601)), Freshness::Fresh);
}

#[test]
fn s9_another_digest_at_equal_heads_fails_closed() {
    let (mut machine, mut author) = (machine(ms(0)), Author::new());
    machine.handle_entry(ms(1), author.deny(1));
    make_fresh(&mut machine, &author, ms(2), 1);
    let mut tick = author.tick();
    tick.digest = Author::new().view.digest();
    machine.handle_tick(ms(3), &tick);
    assert_eq!(machine.fault(), Some(AgentFault::Digest));
    assert_eq!(machine.freshness(ms(3)), Freshness::Unsynced);
}

#[test]
fn poison_stops_one_lane_and_fails_closed_while_denies_go_on() {
    let (mut machine, mut author) = (machine(ms(0)), Author::new());
    machine.handle_entry(ms(1), author.grant(1));
    make_fresh(&mut machine, &author, ms(1), 1);
    drain(&mut machine);
    let holder = holder(9);
    let entitlement = author.next_id(GRANT, 7);
    let poison = author.entry(GRANT, vec![ChangeBody::Withdraw { entitlement, holder }]);
    machine.handle_entry(ms(2), poison.clone());
    machine.handle_entry(ms(2), poison);
    let outputs = drain(&mut machine);
    assert_eq!(faults(&outputs), ["poison"], "said once");
    assert_eq!(machine.freshness(ms(2)), Freshness::Unsynced);
    machine.handle_entry(ms(3), author.deny(1));
    assert_eq!(machine.heads().deny, author.heads.deny);
    assert_eq!(machine.heads().grant.position.revision, Revision(1));
    let outputs = run_until(&mut machine, ms(60));
    let last = outputs.iter().rev().find_map(|output| match output {
        AgentOutput::Report(report) => Some(report),
        _ => None,
    });
    assert!(last.unwrap().fault.starts_with("poison grant.0 2"), "{:?}", last.unwrap().fault);
}

#[test]
fn an_entry_folds_as_a_whole_or_not_at_all() {
    let (mut machine, mut author) = (machine(ms(0)), Author::new());
    let good = author.clone().deny(1).entry.changes[0].body.clone();
    let mut bad = good.clone();
    if let ChangeBody::Record(record) = &mut bad {
        record.target = user(1);
    }
    let before = machine.digest();
    machine.handle_entry(ms(1), author.entry(Lane::Deny, vec![good, bad]));
    assert!(matches!(machine.fault(), Some(AgentFault::Poison { at: Revision(1), .. })));
    assert_eq!((machine.heads(), machine.digest()), (Heads::default(), before));
}

#[test]
fn a_change_on_the_wrong_lane_is_poison() {
    let (mut machine, mut author) = (machine(ms(0)), Author::new());
    let body = author.clone().deny(1).entry.changes[0].body.clone();
    machine.handle_entry(ms(1), author.entry(GRANT, vec![body]));
    assert!(matches!(machine.fault(), Some(AgentFault::Poison { lane: GRANT, .. })));
}

#[test]
fn a_signed_message_that_is_not_understood_is_poison_at_its_place() {
    let (mut machine, mut author) = (machine(ms(0)), Author::new());
    make_fresh(&mut machine, &author, ms(0), 1);
    let (first, second) = (author.deny(1), author.deny(2));
    let reason = || "unknown critical kind".into();
    machine
        .handle_unreadable(ms(1), Unreadable { lane: Lane::Deny, at: Some(Revision(2)), reason: reason() });
    assert_eq!(machine.fault(), None, "not the next one yet");
    machine.handle_entry(ms(2), first);
    assert!(matches!(machine.fault(), Some(AgentFault::Poison { at: Revision(2), .. })));
    make_fresh(&mut machine, &author, ms(2), 2);
    assert_eq!(machine.freshness(ms(2)), Freshness::Unsynced);
    // A later version of the library, or a superseding entry, understands it.
    machine.handle_entry(ms(3), second);
    assert_eq!(machine.fault(), None);
    assert_eq!(machine.heads(), author.heads);
}

#[test]
fn a_lease_that_a_fault_dropped_does_not_come_back_with_the_heal() {
    let (mut machine, mut author) = (machine(ms(0)), Author::new());
    make_fresh(&mut machine, &author, ms(0), 1);
    let entry = author.deny(1);
    let reason = "unknown critical kind".into();
    machine.handle_unreadable(ms(1), Unreadable { lane: Lane::Deny, at: Some(Revision(1)), reason });
    assert!(machine.fault().is_some());
    machine.handle_entry(ms(2), entry);
    assert_eq!(machine.fault(), None);
    assert_eq!(machine.freshness(ms(2)), Freshness::Unsynced);
    make_fresh(&mut machine, &author, ms(3), 2);
    assert_eq!(machine.freshness(ms(3)), Freshness::Fresh);
}

#[test]
fn bytes_that_nobody_vouches_for_change_nothing() {
    let (mut machine, author) = (machine(ms(0)), Author::new());
    make_fresh(&mut machine, &author, ms(0), 1);
    drain(&mut machine);
    for _ in 0..1_000 {
        machine.handle_unreadable(ms(1), Unreadable { lane: Lane::Deny, at: None, reason: "forged".into() });
    }
    assert_eq!(machine.freshness(ms(1)), Freshness::Fresh);
    assert_eq!(faults(&drain(&mut machine)).len(), FAULTS_QUEUED_MAX, "bounded");
}

#[test]
fn a_gap_that_no_source_can_serve_readably_is_poison() {
    let (mut machine, mut author) = (machine(ms(0)), Author::new());
    let entry = author.deny(1);
    machine.handle_tick(ms(1), &author.tick());
    for at in 0..RANGE_UNREADABLE_MAX {
        assert_eq!(machine.fault(), None);
        machine.handle_range_failed(ms(100 + u64::from(at)), Lane::Deny, RangeFailure::Unreadable);
    }
    assert!(matches!(machine.fault(), Some(AgentFault::Poison { .. })));
    machine.handle_range(ms(200), Lane::Deny, vec![entry], RangeRest::Complete);
    assert_eq!(machine.fault(), None);
}

#[test]
fn a_restored_view_is_usable_and_unsynced_until_a_new_grant() {
    let (mut first, mut author) = (machine(ms(0)), Author::new());
    let entries = [author.deny(1), author.grant(1)];
    entries.iter().for_each(|entry| first.handle_entry(ms(1), entry.clone()));
    make_fresh(&mut first, &author, ms(2), 1);
    drain(&mut first);
    let restored = Restored { view: first.published().view.clone(), heads: first.published().heads };
    let hasher = KeyHasher::new([3; 16]);
    let mut second = AgentMachine::new(agent_config("a1", 2), 1, hasher, Some(restored.clone()), ms(10));
    assert_eq!(second.heads(), author.heads, "S5");
    assert_eq!(second.freshness(ms(10)), Freshness::Unsynced);
    second.handle_grant(ms(11), author.lease_grant(1));
    assert_eq!(second.freshness(ms(11)), Freshness::Unsynced, "asked by the run before");
    make_fresh(&mut second, &author, ms(12), 2);
    assert_eq!(second.freshness(ms(13)), Freshness::Fresh);
    second.handle_entry(ms(14), author.deny(2));
    assert_eq!(second.heads(), author.heads);
    // A store made with another key is no base.
    let third = AgentMachine::new(agent_config("a1", 3), 1, KeyHasher::new([4; 16]), Some(restored), ms(10));
    assert_eq!(third.heads(), Heads::default());
}

/// Entries of both lanes in commit order.
fn history(lanes: &[bool]) -> (Author, Vec<ChainedEntry>) {
    let mut author = Author::new();
    let each =
        lanes.iter().zip(0..).map(|(is_deny, id)| if *is_deny { author.deny(id) } else { author.grant(id) });
    let entries = each.collect();
    (author, entries)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    /// S9, S3, S4, S5: whatever is lost, repeated and reordered, every published state is a prefix of each lane
    /// with the denies that its grants were made after, and repair completes it to the same digest.
    #[test]
    fn any_delivery_with_repair_reaches_the_same_digest(
        lanes in proptest::collection::vec(any::<bool>(), 1..40),
        order in proptest::collection::vec((any::<prop::sample::Index>(), any::<bool>()), 0..120),
        seed in any::<u64>(),
    ) {
        let (author, entries) = history(&lanes);
        let mut machine =
            AgentMachine::new(agent_config("a1", 1), seed, KeyHasher::new([3; 16]), None, ms(0));
        let mut before = Heads::default();
        let mut check = |machine: &mut AgentMachine| -> Result<(), TestCaseError> {
            for published in published(&drain(machine)) {
                let heads = published.heads;
                for lane in crate::position::LANES {
                    let (was, is) = (before.get(lane).unwrap(), heads.get(lane).unwrap());
                    prop_assert!(is.position >= was.position, "S5");
                }
                let held: Vec<_> = entries
                    .iter()
                    .filter(|entry| entry.entry.last() <= heads.get(entry.entry.lane).unwrap().position)
                    .collect();
                let mut prefix = View::new(KeyHasher::new([3; 16]));
                for change in held.iter().flat_map(|entry| &entry.entry.changes) {
                    prefix.apply(change).unwrap();
                }
                prop_assert_eq!(prefix.digest(), published.view.digest(), "S3");
                prop_assert!(held.iter().all(|entry| entry.entry.deps <= heads.deny.position), "S4");
                before = heads;
            }
            Ok(())
        };
        for (index, deliver) in &order {
            if *deliver {
                machine.handle_entry(ms(1), index.get(&entries).clone());
                check(&mut machine)?;
            }
        }
        machine.handle_tick(ms(2), &author.tick());
        for at in 1..200 {
            machine.handle_timeout(ms(at * 50));
            while let Some(output) = machine.poll_output() {
                if let AgentOutput::FetchRange { lane, after, .. } = output {
                    let in_lane = entries.iter().filter(|entry| entry.entry.lane == lane);
                    let rest: Vec<_> =
                        in_lane.filter(|entry| entry.entry.first > after).take(3).cloned().collect();
                    let more = if rest.len() == 3 { RangeRest::More } else { RangeRest::Complete };
                    machine.handle_range(ms(at * 50 + 1), lane, rest, more);
                }
            }
        }
        check(&mut machine)?;
        prop_assert_eq!(machine.heads(), author.heads);
        prop_assert_eq!(machine.digest(), author.view.digest());
        make_fresh(&mut machine, &author, ms(10_000), 1);
        prop_assert_eq!(machine.freshness(ms(10_001)), Freshness::Fresh);
    }
}
