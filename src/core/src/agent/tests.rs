//! Rules of the agent's machine, one test each. The rules whose removal breaks the lease, as listed at the end
//! of protocol.md section 4, are tests `lease_rule_1` to `lease_rule_8`; 4 and 6 are the controller's.

mod epochs;
mod lost;
mod overlay;
mod repair;
mod simulation;
mod state;
pub(crate) mod support;

use core::time::Duration;
use std::sync::Arc;

use self::support::*;
use super::*;
use crate::lease::Nonce;
use crate::time::UnixMs;

fn published(outputs: &[AgentOutput]) -> Vec<Arc<Published>> {
    let each = outputs.iter().filter_map(|output| match output {
        AgentOutput::Publish(published) => Some(Arc::clone(published)),
        _ => None,
    });
    each.collect()
}

fn reports(outputs: &[AgentOutput]) -> Vec<&Report> {
    let each = outputs.iter().filter_map(|output| match output {
        AgentOutput::Report(report) => Some(&**report),
        _ => None,
    });
    each.collect()
}

#[test]
fn starts_unsynced_publishes_and_asks_at_once() {
    let mut machine = machine(ms(0));
    machine.handle_timeout(ms(0));
    let outputs = drain(&mut machine);
    assert!(matches!(outputs[0], AgentOutput::Publish(ref first) if !first.synced && first.lease.is_none()));
    assert!(outputs.iter().any(|output| matches!(output, AgentOutput::AskLease)));
    assert_eq!(machine.freshness(ms(0)), Freshness::Unsynced);
}

#[test]
fn lease_rule_1_anchor_is_the_clock_before_sending() {
    let (mut machine, author) = (machine(ms(0)), Author::new());
    machine.begin_lease(ms(0), Nonce([1; 16]));
    machine.handle_grant(ms(3_000), author.lease_grant(1));
    assert_eq!(machine.freshness(ms(4_970)), Freshness::Fresh);
    assert_eq!(
        machine.freshness(ms(4_976)),
        Freshness::Stale,
        "ends L/(1+rho) after the ask, not the answer"
    );
}

#[test]
fn lease_rule_2_applied_must_reach_the_heads() {
    let (mut machine, mut author) = (machine(ms(0)), Author::new());
    let missed = author.deny(1);
    machine.begin_lease(ms(0), Nonce([1; 16]));
    machine.handle_grant(ms(1), author.lease_grant(1));
    assert_eq!(machine.freshness(ms(2)), Freshness::Unsynced, "a head that is not applied");
    machine.handle_entry(ms(10), missed);
    assert_eq!(machine.freshness(ms(11)), Freshness::Fresh, "the waiting grant is installed with the gap");
    assert_eq!(machine.freshness(ms(4_976)), Freshness::Stale, "and anchors at its ask");
}

#[test]
fn lease_rule_2_holds_for_the_grant_lane_too() {
    let (mut machine, mut author) = (machine(ms(0)), Author::new());
    author.grant(1);
    make_fresh(&mut machine, &author, ms(0), 1);
    assert_eq!(machine.freshness(ms(1)), Freshness::Unsynced);
}

#[test]
fn lease_rule_3_ticks_without_an_own_nonce_extend_nothing() {
    let (mut machine, author) = (machine(ms(0)), Author::new());
    machine.handle_tick(ms(1), &author.tick());
    assert_eq!(machine.freshness(ms(1)), Freshness::Unsynced);
    make_fresh(&mut machine, &author, ms(10), 1);
    for at in 1..50 {
        machine.handle_tick(ms(10 + at * 100), &author.tick());
    }
    machine.handle_grant(ms(4_990), author.lease_grant(9));
    assert_eq!(machine.freshness(ms(4_990)), Freshness::Stale);
}

#[test]
fn lease_rule_5_state_and_lease_are_published_in_one_value() {
    let (mut machine, mut author) = (machine(ms(0)), Author::new());
    drain(&mut machine);
    let entry = author.deny(1);
    machine.begin_lease(ms(0), Nonce([1; 16]));
    machine.handle_grant(ms(1), author.lease_grant(1));
    machine.handle_entry(ms(2), entry);
    let all = published(&drain(&mut machine));
    assert_eq!(all.len(), 1, "one swap for the whole batch");
    assert!(all[0].synced && all[0].lease.is_some());
    assert_eq!(all[0].heads, author.heads, "no lease without the state that it was given for");
    assert_eq!(all[0].view.digest(), author.view.digest());
}

#[test]
fn lease_rule_7_gaps_are_not_skipped() {
    let (mut machine, mut author) = (machine(ms(0)), Author::new());
    let (first, _, third) = (author.deny(1), author.deny(2), author.deny(3));
    machine.handle_entry(ms(1), first.clone());
    machine.handle_entry(ms(2), third);
    assert_eq!(machine.heads().deny.position, first.entry.last());
    make_fresh(&mut machine, &author, ms(3), 1);
    assert_eq!(machine.freshness(ms(4)), Freshness::Unsynced);
}

#[test]
fn lease_rule_8_a_nonce_is_bound_to_its_own_anchor() {
    let (mut machine, author) = (machine(ms(0)), Author::new());
    machine.begin_lease(ms(0), Nonce([1; 16]));
    machine.begin_lease(ms(4_000), Nonce([2; 16]));
    machine.handle_grant(ms(4_100), author.lease_grant(1));
    assert_eq!(machine.freshness(ms(4_980)), Freshness::Stale, "the older nonce carries the older anchor");
    machine.handle_grant(ms(4_990), author.lease_grant(1));
    assert_eq!(machine.freshness(ms(4_990)), Freshness::Stale, "a nonce is redeemed once");
    machine.handle_grant(ms(4_991), author.lease_grant(2));
    assert_eq!(machine.freshness(ms(8_900)), Freshness::Fresh);
}

#[test]
fn at_most_eight_nonces_are_outstanding() {
    let (mut machine, author) = (machine(ms(0)), Author::new());
    (1..=9).for_each(|nonce| drop(machine.begin_lease(ms(0), Nonce([nonce; 16]))));
    machine.handle_grant(ms(1), author.lease_grant(1));
    assert_eq!(machine.freshness(ms(1)), Freshness::Unsynced, "the oldest was dropped");
    machine.handle_grant(ms(1), author.lease_grant(2));
    assert_eq!(machine.freshness(ms(1)), Freshness::Fresh);
}

#[test]
fn a_lease_never_ends_earlier_than_before() {
    let (mut machine, author) = (machine(ms(0)), Author::new());
    machine.begin_lease(ms(0), Nonce([1; 16]));
    make_fresh(&mut machine, &author, ms(2_000), 2);
    machine.handle_grant(ms(2_001), author.lease_grant(1));
    assert_eq!(machine.freshness(ms(6_900)), Freshness::Fresh);
}

#[test]
fn no_controller_gives_more_than_the_longest_lease() {
    let (mut machine, author) = (machine(ms(0)), Author::new());
    machine.begin_lease(ms(0), Nonce([1; 16]));
    let mut grant = author.lease_grant(1);
    grant.tick.lease_ms = u32::MAX;
    machine.handle_grant(ms(1), grant);
    drain(&mut machine);
    assert_eq!(machine.published().lease.unwrap().length, crate::lease::LEASE_MAX);
}

#[test]
fn grants_of_another_chain_or_epoch_are_refused() {
    let (mut machine, author) = (machine(ms(0)), Author::new());
    machine.begin_lease(ms(0), Nonce([1; 16]));
    let mut foreign = author.lease_grant(1);
    foreign.tick.chain = ChainId::new("prod.2").unwrap();
    machine.handle_grant(ms(1), foreign);
    assert_eq!(machine.freshness(ms(1)), Freshness::Unsynced);
    machine.handle_tick(ms(1), &author.tick());
    let mut older = author.lease_grant(1);
    older.tick.epoch = Epoch(0);
    machine.handle_grant(ms(2), older);
    assert_eq!(machine.freshness(ms(2)), Freshness::Unsynced);
    machine.handle_grant(ms(3), author.lease_grant(1));
    assert_eq!(machine.freshness(ms(3)), Freshness::Fresh, "the nonce was not used up");
}

#[test]
fn clock_faults_drop_the_lease_and_every_anchor() {
    let (mut machine, author) = (machine(ms(0)), Author::new());
    make_fresh(&mut machine, &author, ms(0), 1);
    machine.begin_lease(ms(100), Nonce([2; 16]));
    machine.handle_clock_fault(ms(200), ClockFault::WallMoved);
    machine.handle_grant(ms(201), author.lease_grant(2));
    assert_eq!(machine.freshness(ms(201)), Freshness::Unsynced, "asked with a clock in doubt");
    let outputs = drain(&mut machine);
    assert!(outputs.iter().any(|output| matches!(output, AgentOutput::AskLease)), "asks again at once");
    assert!(!published(&outputs).last().unwrap().synced);
    make_fresh(&mut machine, &author, ms(300), 3);
    assert_eq!(machine.freshness(ms(301)), Freshness::Fresh);
}

#[test]
fn four_lost_renewals_in_a_row_expire_nobody() {
    for seed in 0..200 {
        let author = Author::new();
        let mut machine =
            AgentMachine::new(agent_config("a1", 1), seed, KeyHasher::new([3; 16]), None, ms(0));
        make_fresh(&mut machine, &author, ms(0), 1);
        let mut asks = Vec::new();
        while asks.len() < 5 {
            let at = machine.poll_timeout().unwrap();
            machine.handle_timeout(at);
            if drain(&mut machine).iter().any(|output| matches!(output, AgentOutput::AskLease)) {
                asks.push(at);
            }
        }
        let answered = asks[4].plus(Duration::from_millis(300));
        assert_eq!(machine.freshness(answered), Freshness::Fresh, "seed {seed}: {asks:?}");
    }
}

#[test]
fn reports_follow_an_applied_deny_and_are_coalesced() {
    let (mut machine, mut author) = (machine(ms(0)), Author::new());
    run_until(&mut machine, ms(1_000));
    let mut outputs = Vec::new();
    for at in 0..40 {
        machine.handle_entry(ms(1_000 + at), author.deny(at));
        outputs.extend(run_until(&mut machine, ms(1_000 + at)));
    }
    outputs.extend(run_until(&mut machine, ms(1_100)));
    let reports = reports(&outputs);
    assert!((2..=3).contains(&reports.len()), "{}", reports.len());
    assert_eq!(reports.last().unwrap().applied, author.heads);
    assert!(reports.windows(2).all(|pair| pair[0].sequence < pair[1].sequence));
}

#[test]
fn reports_never_speak_of_what_is_not_published() {
    let (mut machine, mut author) = (machine(ms(0)), Author::new());
    drain(&mut machine);
    machine.handle_entry(ms(10), author.deny(1));
    machine.handle_timeout(ms(60));
    machine.handle_entry(ms(61), author.deny(2));
    let mut seen = Heads::default();
    let outputs = drain(&mut machine);
    for output in &outputs {
        match output {
            AgentOutput::Publish(published) => seen = published.heads,
            AgentOutput::Report(report) => {
                assert!(report.applied.deny.position <= seen.deny.position);
            }
            _ => {}
        }
    }
    assert_eq!(reports(&outputs).len(), 1);
}

#[test]
fn the_end_of_a_lease_is_reported() {
    let (mut machine, author) = (machine(ms(0)), Author::new());
    make_fresh(&mut machine, &author, ms(0), 1);
    let fresh = run_until(&mut machine, ms(4_000));
    assert_eq!(reports(&fresh).last().unwrap().freshness, Freshness::Fresh);
    let stale = run_until(&mut machine, ms(5_030));
    assert_eq!(reports(&stale).last().unwrap().freshness, Freshness::Stale);
}

#[test]
fn the_first_deny_is_reported_once() {
    let mut machine = machine(ms(0));
    run_until(&mut machine, ms(100));
    machine.handle_first_deny(ms(100), UnixMs(70));
    machine.handle_first_deny(ms(101), UnixMs(60));
    let outputs = run_until(&mut machine, ms(200));
    assert_eq!(reports(&outputs)[0].first_deny_at, Some(UnixMs(60)));
    let outputs = run_until(&mut machine, ms(9_000));
    assert_eq!(reports(&outputs)[0].first_deny_at, None);
}

#[test]
fn durable_never_runs_ahead_of_applied_or_back() {
    let (mut machine, mut author) = (machine(ms(0)), Author::new());
    let before = author.heads;
    machine.handle_entry(ms(1), author.deny(1));
    let applied = author.heads;
    author.deny(2);
    machine.handle_persisted(ms(2), author.heads);
    machine.handle_persisted(ms(3), applied);
    machine.handle_persisted(ms(4), before);
    let outputs = run_until(&mut machine, ms(900));
    assert_eq!(reports(&outputs).last().unwrap().durable, applied);
}
