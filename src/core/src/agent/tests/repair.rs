//! Gaps, ranges, snapshots, back-off.

use super::support::*;
use super::*;
use crate::entry::ChainedEntry;
use crate::snapshot::Manifest;

fn ranges(outputs: &[AgentOutput]) -> Vec<(Lane, Revision)> {
    let each = outputs.iter().filter_map(|output| match output {
        AgentOutput::FetchRange { lane, after, .. } => Some((*lane, *after)),
        _ => None,
    });
    each.collect()
}

fn snapshots(outputs: &[AgentOutput]) -> usize {
    outputs.iter().filter(|output| matches!(output, AgentOutput::FetchSnapshot)).count()
}

fn manifest(author: &Author) -> Manifest {
    Manifest {
        chain: chain(),
        heads: author.heads,
        digest: author.view.digest(),
        items: 0,
        chunks: Vec::new(),
        made_at: UnixMs(0),
    }
}

/// The author's state with the machine's keys, from the entries.
fn view_of(machine: &AgentMachine, entries: &[ChainedEntry]) -> View {
    let mut view = View::new(machine.hasher().clone());
    entries.iter().flat_map(|entry| &entry.entry.changes).for_each(|change| view.apply(change).unwrap());
    view
}

#[test]
fn a_gap_is_fetched_once_per_lane_and_filled() {
    let (mut machine, mut author) = (machine(ms(0)), Author::new());
    let entries: Vec<_> = (1..=3).map(|id| author.deny(id)).collect();
    machine.handle_entry(ms(1), entries[2].clone());
    let outputs = run_until(&mut machine, ms(400));
    assert_eq!(ranges(&outputs), [(Lane::Deny, Revision(0))], "one at a time until the deadline");
    machine.handle_range(ms(400), Lane::Deny, entries[..2].to_vec(), RangeRest::Complete);
    assert_eq!(machine.heads(), author.heads);
    assert!(ranges(&run_until(&mut machine, ms(9_000))).is_empty());
}

#[test]
fn a_tick_shows_a_gap_that_nothing_follows() {
    let (mut machine, mut author) = (machine(ms(0)), Author::new());
    author.grant(1);
    machine.handle_tick(ms(1), &author.tick());
    assert_eq!(ranges(&run_until(&mut machine, ms(100))), [(GRANT, Revision(0))]);
}

#[test]
fn what_arrives_within_the_grace_is_not_fetched() {
    let (mut machine, mut author) = (machine(ms(0)), Author::new());
    let entry = author.deny(1);
    machine.handle_tick(ms(1), &author.tick());
    machine.handle_entry(ms(20), entry);
    assert!(ranges(&run_until(&mut machine, ms(3_000))).is_empty());
}

#[test]
fn a_long_range_is_fetched_piece_by_piece_without_pause() {
    let (mut machine, mut author) = (machine(ms(0)), Author::new());
    let entries: Vec<_> = (1..=4).map(|id| author.deny(id)).collect();
    machine.handle_tick(ms(1), &author.tick());
    run_until(&mut machine, ms(100));
    machine.handle_range(ms(100), Lane::Deny, entries[..2].to_vec(), RangeRest::More);
    assert_eq!(ranges(&drain(&mut machine)), [(Lane::Deny, Revision(2))]);
    machine.handle_range(ms(101), Lane::Deny, entries[2..].to_vec(), RangeRest::Complete);
    assert_eq!(machine.heads(), author.heads);
}

#[test]
fn unanswered_ranges_back_off_and_a_heal_hurries_them() {
    let (mut machine, mut author) = (machine(ms(0)), Author::new());
    author.deny(1);
    machine.handle_tick(ms(1), &author.tick());
    let asked = ranges(&run_until(&mut machine, ms(60_000))).len();
    assert!((20..120).contains(&asked), "{asked} in a minute");
    machine.handle_range_failed(ms(60_000), Lane::Deny, RangeFailure::Unavailable);
    machine.handle_link(ms(60_001), Link::Up);
    assert_eq!(ranges(&run_until(&mut machine, ms(60_202))).len(), 1);
}

#[test]
fn a_range_that_is_gone_or_too_long_leads_to_a_snapshot() {
    let (mut machine, mut author) = (machine(ms(0)), Author::new());
    let entries: Vec<_> = (1..=3).map(|id| author.deny(id)).collect();
    machine.handle_tick(ms(1), &author.tick());
    run_until(&mut machine, ms(100));
    machine.handle_range_failed(ms(100), Lane::Deny, RangeFailure::TooOld);
    let outputs = run_until(&mut machine, ms(900));
    assert_eq!((snapshots(&outputs), ranges(&outputs).len()), (1, 0));
    machine.handle_snapshot(ms(900), &manifest(&author), view_of(&machine, &entries));
    assert_eq!(machine.heads(), author.heads);
    let outputs = run_until(&mut machine, ms(60_000));
    assert_eq!((snapshots(&outputs), ranges(&outputs).len()), (0, 0));

    let mut far = author.tick();
    far.heads.deny.position.revision = Revision(LAG_SNAPSHOT_MIN + 100);
    machine.handle_tick(ms(60_000), &far);
    assert_eq!(snapshots(&run_until(&mut machine, ms(60_300))), 1);
}

#[test]
fn snapshots_go_three_rounds_then_pause() {
    let (mut machine, mut author) = (machine(ms(0)), Author::new());
    author.deny(1);
    machine.handle_tick(ms(1), &author.tick());
    run_until(&mut machine, ms(100));
    machine.handle_range_failed(ms(100), Lane::Deny, RangeFailure::TooOld);
    let mut at = 100;
    let mut fetched = Vec::new();
    while at < 60_000 {
        at += 10;
        machine.handle_timeout(ms(at));
        for output in drain(&mut machine) {
            match output {
                AgentOutput::FetchSnapshot => {
                    fetched.push(at);
                    machine.handle_snapshot_failed(ms(at));
                }
                AgentOutput::FetchRange { lane, .. } => {
                    machine.handle_range_failed(ms(at), lane, RangeFailure::TooOld);
                }
                _ => {}
            }
        }
    }
    assert!(fetched[2] < 2_000, "{fetched:?}");
    assert!(fetched.len() < 12, "{fetched:?}");
    let pauses: Vec<_> = fetched.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(*pauses.last().unwrap() > 5_000, "{pauses:?}");
}

#[test]
fn a_snapshot_makes_nobody_fresh_and_never_goes_back() {
    let (mut machine, mut author) = (machine(ms(0)), Author::new());
    let first = author.deny(1);
    let old = author.clone();
    let second = author.deny(2);
    let entries = [first.clone(), second.clone()];
    machine.handle_snapshot(ms(1), &manifest(&author), view_of(&machine, &entries));
    assert_eq!(machine.freshness(ms(1)), Freshness::Unsynced);
    machine.handle_snapshot(ms(2), &manifest(&old), view_of(&machine, &entries[..1]));
    assert_eq!(machine.heads(), author.heads, "S5");
    make_fresh(&mut machine, &author, ms(3), 1);
    machine.handle_entry(ms(4), first);
    machine.handle_entry(ms(4), second);
    assert_eq!(machine.freshness(ms(4)), Freshness::Fresh, "old entries are no fork");
}

#[test]
fn a_snapshot_has_to_fit_its_manifest() {
    let (mut machine, mut author) = (machine(ms(0)), Author::new());
    let entries = [author.deny(1)];
    let mut wrong = manifest(&author);
    wrong.digest = Author::new().view.digest();
    machine.handle_snapshot(ms(1), &wrong, view_of(&machine, &entries));
    let mut foreign = manifest(&author);
    foreign.chain = ChainId::new("prod.2").unwrap();
    machine.handle_snapshot(ms(2), &foreign, view_of(&machine, &entries));
    let other_keys = author.view.clone();
    machine.handle_snapshot(ms(3), &manifest(&author), other_keys);
    assert_eq!(machine.heads(), Heads::default());
    let refusals: Vec<_> = drain(&mut machine)
        .into_iter()
        .filter_map(|output| match output {
            AgentOutput::Fault(AgentFault::SnapshotRefused(refusal)) => Some(refusal),
            _ => None,
        })
        .collect();
    let expected = [SnapshotRefusal::Digest, SnapshotRefusal::ForeignChain, SnapshotRefusal::OtherKeys];
    assert_eq!(refusals, expected);
}

#[test]
fn overflow_asks_for_a_grant_that_shows_the_gap() {
    let (mut machine, mut author) = (machine(ms(0)), Author::new());
    make_fresh(&mut machine, &author, ms(0), 1);
    run_until(&mut machine, ms(10));
    author.deny(1);
    machine.handle_overflow(ms(10));
    let outputs = run_until(&mut machine, ms(40));
    assert!(outputs.iter().any(|output| matches!(output, AgentOutput::AskLease)));
    make_fresh(&mut machine, &author, ms(40), 2);
    assert_eq!(ranges(&run_until(&mut machine, ms(120))), [(Lane::Deny, Revision(0))]);
    assert_eq!(machine.freshness(ms(4_990)), Freshness::Stale, "not extended past the gap");
}

#[test]
fn buffered_entries_are_bounded() {
    let (mut machine, mut author) = (machine(ms(0)), Author::new());
    let first = author.deny(0);
    let rest: Vec<_> = (1..=1_000).map(|id| author.deny(id)).collect();
    for entry in rest.iter().rev() {
        machine.handle_entry(ms(1), entry.clone());
    }
    machine.handle_entry(ms(2), first);
    let applied = machine.heads().deny.position.revision.0;
    assert_eq!(applied, lane::PENDING_ENTRIES_MAX as u64, "the nearest were kept");
    assert_eq!(machine.lag(Lane::Deny), 1_001 - applied);
}
