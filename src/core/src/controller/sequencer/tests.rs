use super::*;
use crate::agent::tests::support::{GRANT, ask, chain, directive, grant_ask, hash, lift, user};
use crate::change::{Ask, LiftCutoff};
use crate::controller::rights::{Word, WordSet};
use crate::entry::Entry;
use crate::ids::AgentId;
use crate::key::KeyHasher;
use crate::lease::Nonce;
use crate::position::Position;
use crate::record::RecordKind;
use crate::time::UnixMs;

fn sequencer() -> Sequencer {
    let config = SequencerConfig {
        chain: chain(),
        epoch: Epoch(1),
        controller: ControllerId::new("c1").unwrap(),
        boot: InstanceId([1; 16]),
        lease: Duration::from_secs(5),
        entry_bytes_max: 1_000,
        change_bytes: |change| 100 + change.origin.requested_by.as_deref().map_or(0, str::len),
        reason_sha256: |reason| [u8::try_from(reason.len()).unwrap_or(0); 32],
    };
    Sequencer::new(config, Registry::new(KeyHasher::new([1; 16])), Heads::default())
}

fn now(ms: u64) -> Now {
    Now { boot: BootNs((1_000 + ms) * 1_000_000), wall: UnixMs(1_700_000_000_000) }
}

fn drain(sequencer: &mut Sequencer) -> Vec<ControllerOutput> {
    core::iter::from_fn(|| sequencer.poll_output()).collect()
}

fn send(sequencer: &mut Sequencer, at: u64, ticket: u64, asked: Ask) {
    let directive = directive(&format!("k{ticket}"), asked);
    sequencer.handle_directive(now(at), Ticket(ticket), directive, &Rights::everything());
}

fn hold(sequencer: &mut Sequencer, at: u64, ticket: u64) {
    send(sequencer, at, ticket, ask(RecordKind::Hold, user(ticket)));
}

fn request(n: u8) -> LeaseRequest {
    let agent = AgentId::new("a1").unwrap();
    LeaseRequest { agent, instance: InstanceId([1; 16]), nonce: Nonce([n; 16]) }
}

fn entries(outputs: &[ControllerOutput]) -> Vec<Entry> {
    let each = outputs.iter().filter_map(|output| match output {
        ControllerOutput::Commit { entry, .. } => Some((**entry).clone()),
        _ => None,
    });
    each.collect()
}

fn ticks(outputs: &[ControllerOutput]) -> Vec<(Tick, usize)> {
    let each = outputs.iter().filter_map(|output| match output {
        ControllerOutput::AppendTick { tick, requests } => Some(((**tick).clone(), requests.len())),
        _ => None,
    });
    each.collect()
}

fn answers(outputs: &[ControllerOutput]) -> Vec<(u64, &Outcome)> {
    let each = outputs.iter().filter_map(|output| match output {
        ControllerOutput::Answer { ticket, outcome } => Some((ticket.0, outcome)),
        _ => None,
    });
    each.collect()
}

/// Past the first tick, so that the deny lane is free.
fn started() -> Sequencer {
    let mut sequencer = sequencer();
    sequencer.handle_timeout(now(0));
    sequencer.handle_tick_appended(now(0));
    drain(&mut sequencer);
    sequencer
}

#[test]
fn lease_rule_6_nothing_is_accepted_before_it_is_committed() {
    let mut sequencer = started();
    hold(&mut sequencer, 1, 1);
    let outputs = drain(&mut sequencer);
    let entry = entries(&outputs).remove(0);
    assert!(answers(&outputs).is_empty());
    assert_eq!(sequencer.heads(), Heads::default());
    sequencer.handle_committed(now(5), Lane::Deny, hash(&entry));
    let outputs = drain(&mut sequencer);
    let (id, position) = (entry.changes[0].id, entry.last());
    assert_eq!(answers(&outputs), [(1, &Outcome::Accepted { id, position, existing: false })]);
    assert_eq!(sequencer.heads().deny, Head { position, hash: hash(&entry) });
}

#[test]
fn lease_rule_4_grants_go_out_only_after_their_append() {
    let mut sequencer = started();
    sequencer.handle_lease_request(now(300), Ticket(1), request(1));
    let outputs = drain(&mut sequencer);
    assert_eq!((outputs.len(), ticks(&outputs)[0].1), (1, 1), "asked to append, nothing granted");
    sequencer.handle_lease_request(now(301), Ticket(2), request(2));
    sequencer.handle_tick_appended(now(305));
    let outputs = drain(&mut sequencer);
    let [ControllerOutput::Granted { requests, .. }] = &outputs[..] else { panic!("{outputs:?}") };
    assert_eq!(requests[0].0, Ticket(1), "only nonces that came before the tick was made");
    // A tick that failed grants nothing.
    sequencer.handle_timeout(now(600));
    assert_eq!(ticks(&drain(&mut sequencer)).len(), 1);
    sequencer.handle_tick_failed(now(601));
    assert_eq!(drain(&mut sequencer), [ControllerOutput::Unanswered(vec![Ticket(2)])]);
    // A deposed controller grants and accepts nothing, whatever is reported to it.
    sequencer.handle_lease_request(now(900), Ticket(3), request(3));
    hold(&mut sequencer, 900, 4);
    drain(&mut sequencer);
    sequencer.handle_deposed(Deposed::ForeignEntry);
    sequencer.handle_tick_appended(now(901));
    sequencer.handle_committed(now(901), Lane::Deny, EntryHash([1; 32]));
    sequencer.handle_lease_request(now(902), Ticket(5), request(5));
    hold(&mut sequencer, 903, 6);
    for output in drain(&mut sequencer) {
        match output {
            ControllerOutput::Unanswered(_) => {}
            ControllerOutput::Answer { outcome, .. } => {
                assert_eq!(outcome, Outcome::Refused(Refusal::NotWriter(Deposed::ForeignEntry)));
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(sequencer.poll_timeout(), None);
}

#[test]
fn directives_collect_while_an_entry_is_in_flight() {
    let mut sequencer = started();
    (1..=8).for_each(|ticket| hold(&mut sequencer, 1, ticket));
    let first = entries(&drain(&mut sequencer));
    assert_eq!((first.len(), first[0].changes.len()), (1, 1));
    sequencer.handle_committed(now(2), Lane::Deny, hash(&first[0]));
    let second = entries(&drain(&mut sequencer)).remove(0);
    assert_eq!((second.first, second.changes.len()), (Revision(2), 7));
    assert_eq!(second.prev_hash, hash(&first[0]));
    let ids: Vec<_> = second.changes.iter().map(|change| change.id.position().revision.0).collect();
    assert_eq!(ids, [2, 3, 4, 5, 6, 7, 8]);
}

#[test]
fn an_entry_keeps_to_its_byte_budget() {
    let mut sequencer = started();
    (1..=31).for_each(|ticket| hold(&mut sequencer, 1, ticket));
    let mut sizes = Vec::new();
    while let Some(entry) = entries(&drain(&mut sequencer)).pop() {
        sizes.push(entry.changes.len());
        sequencer.handle_committed(now(2), Lane::Deny, hash(&entry));
    }
    assert_eq!(sizes, [1, 10, 10, 10]);
    let mut large = directive("large", ask(RecordKind::Hold, user(99)));
    large.origin.requested_by = Some("x".repeat(2_000).into());
    sequencer.handle_directive(now(3), Ticket(99), large, &Rights::everything());
    let outputs = drain(&mut sequencer);
    let refusal = Refusal::TooLarge { bytes: 2_100, bytes_max: 1_000 };
    assert_eq!(answers(&outputs), [(99, &Outcome::Refused(refusal))]);
}

#[test]
fn lanes_are_independent_and_grants_name_the_denies_before_them() {
    let mut sequencer = started();
    hold(&mut sequencer, 1, 1);
    send(&mut sequencer, 1, 2, grant_ask(1, "read"));
    let both = entries(&drain(&mut sequencer));
    assert_eq!((both[0].lane, both[1].lane), (Lane::Deny, GRANT));
    assert_eq!(both[1].deps, Position::default(), "in flight is not accepted");
    sequencer.handle_committed(now(2), Lane::Deny, hash(&both[0]));
    sequencer.handle_committed(now(3), GRANT, hash(&both[1]));
    send(&mut sequencer, 4, 3, grant_ask(2, "read"));
    let entry = entries(&drain(&mut sequencer)).remove(0);
    assert_eq!(entry.deps, both[0].last(), "S4");
}

#[test]
fn a_tick_has_the_digest_of_exactly_its_heads() {
    let mut sequencer = started();
    let empty = sequencer.digest();
    send(&mut sequencer, 1, 1, grant_ask(1, "read"));
    let grant = entries(&drain(&mut sequencer)).remove(0);
    sequencer.handle_timeout(now(1_001));
    let tick = ticks(&drain(&mut sequencer)).remove(0).0;
    assert_eq!((tick.heads, tick.digest), (Heads::default(), empty), "the grant is in flight");
    hold(&mut sequencer, 1_002, 2);
    sequencer.handle_committed(now(1_003), GRANT, hash(&grant));
    sequencer.handle_tick_appended(now(1_004));
    let deny = entries(&drain(&mut sequencer)).remove(0);
    sequencer.handle_committed(now(1_300), Lane::Deny, hash(&deny));
    let tick = ticks(&drain(&mut sequencer)).remove(0).0;
    assert_eq!(tick.heads, sequencer.heads());
    assert_eq!(tick.digest, sequencer.registry().digest());
    let mut replayed = Registry::new(KeyHasher::new([5; 16]));
    [grant, deny].iter().flat_map(|entry| &entry.changes).for_each(|change| {
        replayed.apply(change, UnixMs(0)).unwrap();
    });
    assert_eq!(tick.digest, replayed.digest());
}

#[test]
fn ticks_come_every_second_and_every_quarter_while_something_waits() {
    let mut sequencer = sequencer();
    assert_eq!(sequencer.poll_timeout(), Some(BootNs(0)), "the first at once");
    let mut at_ms = Vec::new();
    for at in 0..4_000 {
        if at == 2_100 {
            sequencer.handle_lease_request(now(at), Ticket(1), request(1));
        }
        sequencer.handle_timeout(now(at));
        if !ticks(&drain(&mut sequencer)).is_empty() {
            at_ms.push(at);
            sequencer.handle_tick_appended(now(at));
        }
    }
    assert_eq!(at_ms, [0, 1_000, 2_000, 2_250, 3_250]);
}

#[test]
fn a_flood_of_directives_does_not_starve_ticks() {
    let mut sequencer = started();
    let (mut in_flight, mut ticked) = (false, 0);
    for at in 1..2_000 {
        hold(&mut sequencer, at, at);
        if at % 100 == 0 {
            sequencer.handle_lease_request(now(at), Ticket(100_000 + at), request(1));
        }
        for output in drain(&mut sequencer) {
            match output {
                ControllerOutput::Commit { entry, .. } => {
                    assert!(!core::mem::replace(&mut in_flight, true));
                    sequencer.handle_committed(now(at), Lane::Deny, hash(&entry));
                    in_flight = false;
                }
                ControllerOutput::AppendTick { .. } => {
                    ticked += 1;
                    sequencer.handle_tick_appended(now(at));
                }
                _ => {}
            }
        }
    }
    assert!((7..=8).contains(&ticked), "{ticked}");
}

#[test]
fn d16_repeats_of_what_is_in_flight_wait_for_it() {
    let mut sequencer = started();
    hold(&mut sequencer, 1, 1);
    let entry = entries(&drain(&mut sequencer)).remove(0);
    let repeat = directive("k1", ask(RecordKind::Hold, user(1)));
    sequencer.handle_directive(now(2), Ticket(2), repeat.clone(), &Rights::everything());
    assert!(drain(&mut sequencer).is_empty());
    sequencer.handle_commit_indeterminate(now(3), Lane::Deny);
    let id = entry.changes[0].id;
    let outputs = drain(&mut sequencer);
    let indeterminate = Outcome::Indeterminate { id };
    assert_eq!(answers(&outputs), [(1, &indeterminate), (2, &indeterminate)]);
    assert!(sequencer.is_settling());
    sequencer.handle_directive(now(4), Ticket(3), repeat.clone(), &Rights::everything());
    assert_eq!(answers(&drain(&mut sequencer)), [(3, &indeterminate)]);
    // Another directive waits behind it, and hears that it was not ordered.
    hold(&mut sequencer, 5, 9);
    sequencer.handle_timeout(now(5_010));
    assert_eq!(answers(&drain(&mut sequencer)), [(9, &Outcome::Refused(Refusal::Deadline))]);
    sequencer.handle_committed(now(6_000), Lane::Deny, hash(&entry));
    sequencer.handle_directive(now(6_001), Ticket(4), repeat, &Rights::everything());
    let outputs = drain(&mut sequencer);
    let position = entry.last();
    assert_eq!(answers(&outputs), [(4, &Outcome::Accepted { id, position, existing: true })]);
}

#[test]
fn a_repeat_that_was_queued_with_its_first_is_never_told_that_nothing_was_ordered() {
    let mut sequencer = started();
    hold(&mut sequencer, 1, 1);
    let blocked = entries(&drain(&mut sequencer)).remove(0);
    let twice = directive("twice", ask(RecordKind::Hold, user(7)));
    sequencer.handle_directive(now(2), Ticket(2), twice.clone(), &Rights::everything());
    sequencer.handle_directive(now(2), Ticket(3), twice, &Rights::everything());
    sequencer.handle_committed(now(3), Lane::Deny, hash(&blocked));
    let entry = entries(&drain(&mut sequencer)).remove(0);
    assert_eq!(entry.changes.len(), 1);
    sequencer.handle_committed(now(4), Lane::Deny, hash(&entry));
    let (id, position) = (entry.changes[0].id, entry.last());
    let outputs = drain(&mut sequencer);
    let expected = [false, true].map(|existing| Outcome::Accepted { id, position, existing });
    assert_eq!(answers(&outputs), [(2, &expected[0]), (3, &expected[1])]);
}

#[test]
fn rights_are_judged_again_when_the_named_record_is_known() {
    let mut sequencer = started();
    hold(&mut sequencer, 1, 1);
    let entry = entries(&drain(&mut sequencer)).remove(0);
    hold(&mut sequencer, 2, 2);
    // Names what is still queued: its kind is not known when this comes.
    let queued: RecordId = "deny-1-2".parse().unwrap();
    let only_lift = Rights { words: WordSet::new().with(Word::Lift), rung_max: 16 };
    let asked = directive("sly", lift(queued, LiftCutoff::Resume));
    sequencer.handle_directive(now(2), Ticket(3), asked, &only_lift);
    sequencer.handle_committed(now(3), Lane::Deny, hash(&entry));
    let outputs = drain(&mut sequencer);
    let refused = answers(&outputs).into_iter().find(|(ticket, _)| *ticket == 3).unwrap().1;
    assert!(matches!(refused, Outcome::Refused(Refusal::Rights(_))), "{refused:?}");
}

#[test]
fn queues_are_bounded() {
    let mut sequencer = started();
    revoke_user(&mut sequencer, 1, 0);
    drain(&mut sequencer);
    for ticket in 1..=QUEUE_DIRECTIVES_MAX as u64 {
        revoke_user(&mut sequencer, 1, ticket);
    }
    assert!(drain(&mut sequencer).is_empty());
    revoke_user(&mut sequencer, 1, 999_999);
    assert_eq!(answers(&drain(&mut sequencer)), [(999_999, &Outcome::Refused(Refusal::Busy))]);
    for ticket in 0..=NONCES_WAITING_MAX as u64 {
        sequencer.handle_lease_request(now(2), Ticket(ticket), request(1));
    }
    assert_eq!(drain(&mut sequencer), [ControllerOutput::Unanswered(vec![Ticket(0)])]);
}

#[test]
fn private_reasons_stay_beside_the_entry() {
    let mut sequencer = started();
    let mut secret = directive("s", ask(RecordKind::Hold, user(1)));
    secret.reason_admin = Some("ticket 4711".into());
    sequencer.handle_directive(now(1), Ticket(1), secret, &Rights::everything());
    let outputs = drain(&mut sequencer);
    let ControllerOutput::Commit { entry, reasons } = &outputs[0] else { panic!("{outputs:?}") };
    assert_eq!(entry.changes[0].reason_admin_sha256, Some([11; 32]));
    assert_eq!(*reasons, [(entry.changes[0].id, "ticket 4711".into())]);
    assert!(!format!("{entry:?}").contains("4711"));
}

fn revoke_user(sequencer: &mut Sequencer, at: u64, ticket: u64) {
    send(sequencer, at, ticket, ask(RecordKind::Revoke, user(ticket)));
}

fn commit_all(sequencer: &mut Sequencer, at: u64) -> Vec<Entry> {
    let (mut all, mut outputs) = (Vec::new(), drain(sequencer));
    loop {
        let cut = entries(&outputs);
        for entry in &cut {
            sequencer.handle_committed(now(at), entry.lane, hash(entry));
        }
        if !ticks(&outputs).is_empty() {
            sequencer.handle_tick_appended(now(at));
        }
        outputs = drain(sequencer);
        if cut.is_empty() && entries(&outputs).is_empty() && ticks(&outputs).is_empty() {
            return all;
        }
        all.extend(cut);
    }
}

#[test]
fn a_kill_goes_before_a_burst_of_revocations_that_came_first() {
    let mut sequencer = sequencer();
    // Ten fit an entry; the first is cut at once.
    for ticket in 0..100 {
        revoke_user(&mut sequencer, 0, ticket);
    }
    hold(&mut sequencer, 0, 1_000);
    let order: Vec<u64> = commit_all(&mut sequencer, 0)
        .iter()
        .flat_map(|entry| &entry.changes)
        .map(|change| change.origin.key.as_str().trim_start_matches('k').parse().unwrap())
        .collect();
    assert_eq!(order.len(), 101, "nothing is lost");
    let place = order.iter().position(|ticket| *ticket == 1_000).unwrap();
    assert!(place <= 11, "behind one entry at most, not behind all: {place}");
    let mut revokes: Vec<u64> = order;
    revokes.remove(place);
    assert!(revokes.is_sorted(), "the rest stays in order of arrival");
}

#[test]
fn over_its_budget_an_emitter_is_refused_and_loses_nothing_with_the_same_key() {
    let mut sequencer = started();
    let ir = crate::ids::EmitterId::new("ir").unwrap();
    sequencer.set_budgets([(ir, crate::controller::quota::Budget { per_minute: 60, burst: 2 })]);
    for ticket in 0..3 {
        revoke_user(&mut sequencer, 1, ticket);
    }
    let refused: Vec<_> = drain(&mut sequencer)
        .into_iter()
        .filter(|output| matches!(output, ControllerOutput::Answer { .. }))
        .collect();
    let quota = Refusal::Quota { per_minute: 60, retry_after_s: 2 };
    assert_eq!(refused, [ControllerOutput::Answer { ticket: Ticket(2), outcome: Outcome::Refused(quota) }]);
    // A repeat of what was ordered costs nothing and is not refused.
    revoke_user(&mut sequencer, 1, 0);
    assert!(
        !drain(&mut sequencer)
            .iter()
            .any(|output| matches!(output, ControllerOutput::Answer { outcome: Outcome::Refused(_), .. }))
    );
    // When it comes back as told, with the same key, it is ordered.
    revoke_user(&mut sequencer, 2_001, 2);
    assert!(
        !drain(&mut sequencer)
            .iter()
            .any(|output| matches!(output, ControllerOutput::Answer { outcome: Outcome::Refused(_), .. }))
    );
}

/// D8, S14: what may be forgotten is, by a change of its own, and a clock that jumps forgets nothing.
#[test]
fn s14_the_sequencer_forgets_what_is_due_and_not_when_the_clock_jumps() {
    let aged = |jump_ms: i64, pass_ms: u64| {
        let mut sequencer = sequencer();
        let mut retention = crate::controller::registry::Retention::default();
        retention.declare("https://idp", Duration::from_secs(60));
        sequencer.registry.set_retention(retention);
        revoke_user(&mut sequencer, 0, 1);
        commit_all(&mut sequencer, 0);
        let later = Now {
            boot: now(pass_ms).boot,
            wall: UnixMs(1_700_000_000_000 + i64::try_from(pass_ms).unwrap() + jump_ms),
        };
        sequencer.handle_timeout(later);
        let mut changes = Vec::new();
        let mut outputs = drain(&mut sequencer);
        while !outputs.is_empty() {
            if !ticks(&outputs).is_empty() {
                sequencer.handle_tick_appended(later);
            }
            for entry in entries(&outputs) {
                sequencer.handle_committed(later, entry.lane, hash(&entry));
                changes.extend(entry.changes);
            }
            outputs = drain(&mut sequencer);
        }
        let records = sequencer.registry.view().records();
        (changes, records)
    };
    let (changes, records) = aged(0, 241_000);
    assert!(
        matches!(changes[..], [Change { body: crate::change::ChangeBody::Forget { .. }, .. }]),
        "{changes:?}"
    );
    assert_eq!(records, 0);
    assert_eq!(aged(0, 239_000), (Vec::new(), 1), "too early");
    assert_eq!(aged(3_600_000, 1_000), (Vec::new(), 1), "S15: the wall clock jumped");
}
