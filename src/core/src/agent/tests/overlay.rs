//! Denies that run ahead of the prefix, and a fold that panics.

use super::support::*;
use super::*;
use crate::agent::tests::state::{faults, manifest, view_of};
use crate::change::ChangeBody;
use crate::snapshot::Manifest;
use crate::target::TargetKind;

fn is_denied(machine: &AgentMachine, id: u64) -> bool {
    let published = machine.published();
    let denies = |view: &View| !view.standing(TargetKind::User, view.hasher().target(&user(id))).is_empty();
    denies(&published.view) || published.extra.as_deref().is_some_and(denies)
}

#[test]
fn s8_a_deny_past_a_gap_counts_at_once_and_keeps_the_lease() {
    let (mut machine, mut author) = (machine(ms(0)), Author::new());
    make_fresh(&mut machine, &author, ms(0), 1);
    let (first, second) = (author.deny(1), author.deny(2));
    machine.handle_entry(ms(1), second);
    drain(&mut machine);
    assert!(is_denied(&machine, 2) && !is_denied(&machine, 1));
    assert_eq!(machine.heads(), Heads::default(), "the prefix did not move");
    assert_eq!(machine.freshness(ms(1)), Freshness::Fresh);
    machine.handle_entry(ms(2), first);
    drain(&mut machine);
    assert!(is_denied(&machine, 1) && is_denied(&machine, 2));
    assert!(machine.published().extra.is_none(), "the prefix holds it now");
}

#[test]
fn s8_lifts_never_run_ahead_and_an_early_deny_outlives_older_lifts() {
    let (mut machine, mut author) = (machine(ms(0)), Author::new());
    make_fresh(&mut machine, &author, ms(0), 1);
    let first = author.deny(7);
    let record = first.entry.changes[0].id;
    machine.handle_entry(ms(1), first);
    let gap = author.deny(1);
    let lift = author.entry(Lane::Deny, vec![ChangeBody::Reinstate { record, target: user(7) }]);
    let again = author.deny(7);
    let standing = |machine: &AgentMachine| is_denied(machine, 7);
    machine.handle_entry(ms(2), lift);
    drain(&mut machine);
    assert!(standing(&machine), "the lift waits for the prefix");
    machine.handle_entry(ms(3), again.clone());
    machine.handle_entry(ms(4), gap);
    drain(&mut machine);
    assert_eq!(machine.heads(), author.heads);
    let list = machine.published();
    let key = list.view.hasher().target(&user(7));
    let ids: Vec<_> = list.view.standing(TargetKind::User, key).iter().filter(|one| one.active).collect();
    assert_eq!(ids[0].record, again.entry.changes[0].id);
}

#[test]
fn allows_never_run_ahead() {
    let (mut machine, mut author) = (machine(ms(0)), Author::new());
    author.grant(1);
    machine.handle_entry(ms(1), author.grant(2));
    drain(&mut machine);
    assert!(machine.published().extra.is_none());
    assert_eq!(machine.published().view.entitlements(), 0);
}

#[test]
fn early_denies_are_bounded_and_end_with_the_gap() {
    let (mut machine, mut author) = (machine(ms(0)), Author::new());
    let first = author.deny(0);
    let rest: Vec<_> = (1..=600).map(|id| author.deny(id)).collect();
    rest.iter().for_each(|entry| machine.handle_entry(ms(1), entry.clone()));
    drain(&mut machine);
    assert!(is_denied(&machine, 600), "also where the buffer was full: the deny is kept");
    let mut all = vec![first];
    all.extend(rest);
    machine.handle_range(ms(2), Lane::Deny, all, RangeRest::Complete);
    let missing = author.heads.deny.position.revision.0 - machine.heads().deny.position.revision.0;
    assert_eq!(machine.lag(Lane::Deny), missing);
    while machine.heads() != author.heads {
        let after = machine.heads().deny.position.revision;
        let mut again = Author::new();
        let entries: Vec<_> =
            (0..=600).map(|id| again.deny(id)).filter(|entry| entry.entry.first > after).take(200).collect();
        machine.handle_range(ms(3), Lane::Deny, entries, RangeRest::More);
    }
    drain(&mut machine);
    assert!(machine.published().extra.is_none());
}

#[test]
fn l6_poison_keeps_its_own_and_later_denies_and_heals_by_a_snapshot_past_it() {
    let (mut machine, mut author) = (machine(ms(0)), Author::new());
    let good = author.clone().deny(1).entry.changes[0].body.clone();
    let mut bad = good.clone();
    if let ChangeBody::Record(record) = &mut bad {
        record.target = user(1);
    }
    let poison = author.entry(Lane::Deny, vec![good, bad]);
    let later = author.deny(5);
    machine.handle_entry(ms(1), poison);
    machine.handle_entry(ms(2), later);
    drain(&mut machine);
    assert!(matches!(machine.fault(), Some(AgentFault::Poison { at: Revision(1), .. })));
    assert!(is_denied(&machine, 1) && is_denied(&machine, 5));
    let mut view = View::new(machine.hasher().clone());
    let held = Author::new().deny(1);
    view.apply_all(&held.entry.changes).unwrap();
    let snapshot = Manifest { digest: view.digest(), ..manifest(&author) };
    machine.handle_snapshot(ms(3), &snapshot, view);
    drain(&mut machine);
    assert_eq!((machine.fault(), machine.heads()), (None, author.heads));
    assert!(machine.published().extra.is_none(), "the snapshot says what counts");
}

fn panics(view: &mut View, changes: &[Change]) -> Result<(), FoldError> {
    view.apply_all(changes)?;
    panic!("a bug in the fold");
}

#[test]
fn s12_a_panic_in_the_fold_throws_the_view_away_and_fails_closed() {
    let (mut machine, mut author) = (machine(ms(0)), Author::new());
    let first = author.deny(1);
    machine.handle_entry(ms(1), first.clone());
    make_fresh(&mut machine, &author, ms(2), 1);
    drain(&mut machine);
    let before = (machine.heads(), machine.digest());
    machine.fold = panics;
    let second = author.deny(2);
    machine.handle_entry(ms(3), second.clone());
    let outputs = run_until(&mut machine, ms(400));
    assert_eq!(faults(&outputs), ["panic"]);
    assert_eq!((machine.heads(), machine.digest()), before, "what was published, whole");
    assert!(!machine.published().synced && is_denied(&machine, 1));
    assert!(!outputs.iter().any(|output| matches!(output, AgentOutput::Persist(_))));
    assert!(outputs.iter().any(|output| matches!(output, AgentOutput::FetchSnapshot)));
    machine.fold = View::apply_all;
    machine.handle_snapshot(ms(400), &manifest(&author), view_of(&machine, &[first, second]));
    make_fresh(&mut machine, &author, ms(401), 2);
    assert_eq!((machine.fault(), machine.freshness(ms(401))), (None, Freshness::Fresh));
}
