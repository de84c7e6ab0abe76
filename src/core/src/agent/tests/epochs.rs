//! Epochs that continue the chain: followed without a pause, and what is left of the writer before.

use proptest::prelude::*;

use super::support::*;
use super::*;
use crate::agent::tests::state::faults;
use crate::entry::ChainedEntry;

fn feed(machine: &mut AgentMachine, at: u64, entries: impl IntoIterator<Item = ChainedEntry>) {
    entries.into_iter().for_each(|entry| machine.handle_entry(ms(at), entry));
}

#[test]
fn s1_a_take_over_is_followed_and_the_lease_is_kept() {
    let (mut machine, mut author) = (machine(ms(0)), Author::new());
    feed(&mut machine, 1, [author.deny(1), author.grant(1)]);
    make_fresh(&mut machine, &author, ms(2), 1);
    feed(&mut machine, 3, author.take_over(2));
    feed(&mut machine, 4, [author.deny(2)]);
    assert_eq!((machine.heads(), machine.fault()), (author.heads, None));
    assert_eq!(machine.heads().deny.position.epoch, Epoch(2));
    assert_eq!(machine.freshness(ms(4)), Freshness::Fresh);
    assert_eq!(machine.freshness(ms(4_990)), Freshness::Stale, "and ends when it ends");
    make_fresh(&mut machine, &author, ms(4_991), 2);
    assert_eq!(machine.freshness(ms(4_992)), Freshness::Fresh);
}

#[test]
fn a_tick_of_a_later_epoch_is_a_gap_that_is_fetched() {
    let (mut machine, mut author) = (machine(ms(0)), Author::new());
    feed(&mut machine, 1, [author.deny(1)]);
    make_fresh(&mut machine, &author, ms(2), 1);
    let [grant, deny] = author.take_over(2);
    machine.handle_tick(ms(3), &author.tick());
    assert_eq!((machine.fault(), machine.freshness(ms(3))), (None, Freshness::Fresh));
    let outputs = run_until(&mut machine, ms(100));
    let asked = outputs.iter().filter(|output| matches!(output, AgentOutput::FetchRange { .. })).count();
    assert_eq!(asked, 2, "both fences");
    machine.handle_range(ms(100), GRANT, vec![grant], RangeRest::Complete);
    machine.handle_range(ms(100), Lane::Deny, vec![deny], RangeRest::Complete);
    assert_eq!(machine.heads(), author.heads);
}

#[test]
fn s1_a_tick_before_all_its_fences_proves_nothing() {
    let (mut machine, mut author) = (machine(ms(0)), Author::new());
    feed(&mut machine, 1, [author.deny(1), author.grant(1)]);
    let fence = author.fence(Lane::Deny, 2);
    feed(&mut machine, 2, [fence]);
    make_fresh(&mut machine, &author, ms(3), 1);
    assert_eq!(machine.freshness(ms(3)), Freshness::Unsynced, "the grant lane has no fence");
    let fence = author.fence(GRANT, 2);
    feed(&mut machine, 4, [fence]);
    make_fresh(&mut machine, &author, ms(5), 2);
    assert_eq!(machine.freshness(ms(5)), Freshness::Fresh);
}

#[test]
fn fault_controller_deposed_its_stragglers_are_ignored() {
    let (mut machine, mut author) = (machine(ms(0)), Author::new());
    feed(&mut machine, 1, [author.deny(1), author.grant(1)]);
    let mut deposed = author.clone();
    feed(&mut machine, 2, author.take_over(2));
    make_fresh(&mut machine, &author, ms(3), 1);
    drain(&mut machine);
    machine.begin_lease(ms(4), Nonce([2; 16]));
    feed(&mut machine, 4, [deposed.deny(7), deposed.grant(7), deposed.deny(8)]);
    machine.handle_tick(ms(4), &deposed.tick());
    machine.handle_grant(ms(4_000), deposed.lease_grant(2));
    assert_eq!(machine.heads(), author.heads);
    assert_eq!(faults(&drain(&mut machine)), [""; 0]);
    assert_eq!(machine.freshness(ms(4_000)), Freshness::Fresh);
    assert_eq!(machine.freshness(ms(4_985)), Freshness::Stale, "a deposed controller extends nothing");
}

#[test]
fn fault_controller_deposed_a_waiting_grant_of_it_is_not_installed() {
    let (mut machine, mut author) = (machine(ms(0)), Author::new());
    let first = author.deny(1);
    machine.begin_lease(ms(0), Nonce([1; 16]));
    machine.handle_grant(ms(1), author.lease_grant(1));
    let fences = author.take_over(2);
    machine.handle_tick(ms(2), &author.tick());
    machine.handle_range(ms(3), Lane::Deny, vec![first], RangeRest::Complete);
    assert_eq!(machine.freshness(ms(3)), Freshness::Unsynced);
    feed(&mut machine, 4, fences);
    make_fresh(&mut machine, &author, ms(5), 2);
    assert_eq!(machine.freshness(ms(5)), Freshness::Fresh);
}

#[test]
fn s13_a_fence_that_branches_below_us_without_consent_is_a_fork() {
    let (mut machine, mut author) = (machine(ms(0)), Author::new());
    feed(&mut machine, 1, [author.deny(1)]);
    let mut usurper = author.clone();
    feed(&mut machine, 2, [author.deny(2), author.deny(3)]);
    make_fresh(&mut machine, &author, ms(3), 1);
    feed(&mut machine, 4, usurper.take_over(2));
    assert!(matches!(machine.fault(), Some(AgentFault::Fork { lane: Lane::Deny, at: Revision(2) })));
    assert_eq!(machine.freshness(ms(4)), Freshness::Unsynced);
}

#[test]
fn an_epoch_needs_its_fence_and_only_one() {
    let (mut machine, mut author) = (machine(ms(0)), Author::new());
    feed(&mut machine, 1, [author.deny(1)]);
    let mut sloppy = author.clone();
    sloppy.epoch = 2;
    feed(&mut machine, 2, [sloppy.deny(2)]);
    assert!(matches!(machine.fault(), Some(AgentFault::Poison { at: Revision(2), .. })));
    let fence = author.fence(Lane::Deny, 2);
    feed(&mut machine, 3, [fence]);
    let mut again = author.clone();
    let second = again.fence(Lane::Deny, 2);
    feed(&mut machine, 4, [second]);
    assert!(machine.fault().is_some());
}

#[test]
fn epochs_may_be_skipped_by_a_lane_whose_fence_was_never_stored() {
    let (mut machine, mut author) = (machine(ms(0)), Author::new());
    feed(&mut machine, 1, [author.deny(1), author.grant(1)]);
    let half = author.fence(GRANT, 2);
    let fences = author.take_over(3);
    feed(&mut machine, 2, [half]);
    feed(&mut machine, 3, fences);
    make_fresh(&mut machine, &author, ms(4), 1);
    assert_eq!((machine.heads(), machine.freshness(ms(4))), (author.heads, Freshness::Fresh));
}

#[test]
fn s5_a_late_joiner_reads_every_epoch_from_the_beginning() {
    let (mut machine, mut author) = (machine(ms(0)), Author::new());
    let mut lanes = (Vec::new(), Vec::new());
    for epoch in 1..=3 {
        if epoch > 1 {
            let [grant, deny] = author.take_over(epoch);
            lanes.1.push(grant);
            lanes.0.push(deny);
        }
        lanes.0.push(author.deny(u64::from(epoch)));
        lanes.1.push(author.grant(u64::from(epoch)));
    }
    machine.handle_tick(ms(1), &author.tick());
    machine.handle_range(ms(2), GRANT, lanes.1, RangeRest::Complete);
    machine.handle_range(ms(2), Lane::Deny, lanes.0, RangeRest::Complete);
    assert_eq!((machine.heads(), machine.digest()), (author.heads, author.view.digest()));
    make_fresh(&mut machine, &author, ms(3), 1);
    assert_eq!(machine.freshness(ms(3)), Freshness::Fresh);
}

#[test]
fn a_range_that_contradicts_what_is_applied_is_a_fork() {
    let (mut machine, mut author) = (machine(ms(0)), Author::new());
    let mut other = author.clone();
    other.salt = 1;
    feed(&mut machine, 1, [author.deny(1)]);
    other.deny(1);
    let (next, fence) = (other.deny(2), other.fence(Lane::Deny, 2));
    machine.handle_range(ms(2), Lane::Deny, vec![next, fence], RangeRest::Complete);
    assert!(matches!(machine.fault(), Some(AgentFault::Fork { .. })));
}

/// What happens in a realm: a deny, a grant, a take-over.
#[derive(Debug, Clone, Copy)]
enum Step {
    Deny,
    Grant,
    TakeOver,
}

/// The history, and what deposed writers sent and never got accepted.
fn play(steps: &[Step]) -> (Author, Vec<ChainedEntry>, Vec<ChainedEntry>) {
    let (mut author, mut history, mut stragglers) = (Author::new(), Vec::new(), Vec::new());
    for (step, id) in steps.iter().zip(0..) {
        match step {
            Step::Deny => history.push(author.deny(id)),
            Step::Grant => history.push(author.grant(id)),
            Step::TakeOver => {
                let mut deposed = author.clone();
                stragglers.extend([
                    deposed.deny(1_000 + id),
                    deposed.grant(1_000 + id),
                    deposed.deny(2_000 + id),
                ]);
                history.extend(author.take_over(author.epoch + 1));
            }
        }
    }
    (author, history, stragglers)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// S9, S13: once the last epoch is known, no order of deliveries and no straggler of a deposed writer keeps an
    /// agent from the one history, and repair completes it.
    #[test]
    fn any_delivery_over_take_overs_ends_at_the_one_history(
        steps in prop::collection::vec(
            prop_oneof![4 => Just(Step::Deny), 3 => Just(Step::Grant), 1 => Just(Step::TakeOver)],
            1..30,
        ),
        order in prop::collection::vec((any::<prop::sample::Index>(), any::<bool>()), 0..80),
        seed in any::<u64>(),
    ) {
        let (author, history, stragglers) = play(&steps);
        let mut machine =
            AgentMachine::new(agent_config("a1", 1), seed, KeyHasher::new([3; 16]), None, ms(0));
        machine.handle_tick(ms(0), &author.tick());
        for (index, honest) in &order {
            let from = if *honest || stragglers.is_empty() { &history } else { &stragglers };
            machine.handle_entry(ms(1), index.get(from).clone());
            prop_assert_eq!(machine.fault(), None);
        }
        for at in 1..200 {
            machine.handle_timeout(ms(at * 50));
            while let Some(output) = machine.poll_output() {
                if let AgentOutput::FetchRange { lane, after, .. } = output {
                    let in_lane = history.iter().filter(|entry| entry.entry.lane == lane);
                    let rest: Vec<_> =
                        in_lane.filter(|entry| entry.entry.first > after).take(3).cloned().collect();
                    let more = if rest.len() == 3 { RangeRest::More } else { RangeRest::Complete };
                    machine.handle_range(ms(at * 50 + 1), lane, rest, more);
                }
            }
        }
        prop_assert_eq!((machine.heads(), machine.fault()), (author.heads, None));
        prop_assert_eq!(machine.digest(), author.view.digest());
        make_fresh(&mut machine, &author, ms(10_000), 1);
        prop_assert_eq!(machine.freshness(ms(10_001)), Freshness::Fresh);
        drain(&mut machine);
        prop_assert!(machine.published().extra.is_none(), "nothing is denied that was never accepted");
    }
}
