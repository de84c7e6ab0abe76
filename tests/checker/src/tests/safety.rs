//! S1 to S17.

use rescind_core::report::ReceiptLevel;

use super::*;

fn all(parts: &[&[Event]]) -> Vec<Event> {
    parts.concat()
}

/// A realm with one run that is fresh at nothing, and one accepted revoke.
fn with_revoke() -> Vec<Event> {
    let mut events = vec![started(0, heads(0, 0)), fresh(S, 0, 0)];
    events.extend(accepted(2 * S, deny_id(1), revoke()));
    events
}

#[test]
fn s1_a_view_without_an_accepted_change_is_not_fresh_past_the_bound() {
    let enforced = Event::Enforced { at: 7 * S, by: BY, id: deny_id(1) };
    let renewed =
        [with_revoke(), vec![fresh(4 * S, 0, 0), fresh(7 * S + 500 * MS, 1, 0), enforced.clone()]].concat();
    let in_time = [with_revoke(), vec![fresh(4 * S, 0, 0), fresh(7 * S, 1, 0), enforced]].concat();
    let bad =
        renewed.into_iter().filter(|event| !matches!(event, Event::Enforced { .. })).collect::<Vec<_>>();
    let bad = [bad, vec![Event::Enforced { at: 7 * S + 501 * MS, by: BY, id: deny_id(1) }]].concat();
    let broken = broken(&bad, 8 * S);
    assert_eq!(broken, [Guarantee::S1, Guarantee::L5], "the late claim is a second fault of this trace");
    assert_eq!(super::broken(&in_time, 7 * S + 10 * MS), []);
}

#[test]
fn s1_a_tick_names_everything_that_was_accepted_before_it() {
    let tick = |heads| Event::Tick { at: 3 * S, by: BY, sent_at: 2 * S + MS, epoch: Epoch(1), heads };
    tells(
        Guarantee::S1,
        &all(&[&with_revoke(), &[tick(heads(0, 0))]]),
        &all(&[&with_revoke(), &[tick(heads(1, 0))]]),
        4 * S,
    );
}

#[test]
fn s2_nobody_is_fresh_without_what_is_called_enforced() {
    let claim = |at| Event::Enforced { at, by: BY, id: deny_id(1) };
    let bad = all(&[&with_revoke(), &[claim(3 * S)]]);
    let good = all(&[&with_revoke(), &[fresh(2 * S + MS, 1, 0), claim(3 * S)]]);
    tells(Guarantee::S2, &bad, &good, 4 * S);
    let later = all(&[&with_revoke(), &[stale(2 * S + MS, 0, 0), claim(3 * S), fresh(4 * S, 0, 0)]]);
    assert_eq!(broken(&later, 4 * S), [Guarantee::S2], "fresh again after the claim");
}

#[test]
fn s3_a_view_is_at_a_place_of_the_history_and_allows_what_it_holds() {
    let other = Heads { deny: Head { hash: hash(5, 1), ..head(0, 1) }, ..heads(0, 0) };
    let at = 2 * S + MS;
    let published =
        |heads| Event::Published { at, run: RUN, heads, digest: None, asked_at: None, fresh_until: None };
    tells(
        Guarantee::S3,
        &all(&[&with_revoke(), &[published(other)]]),
        &all(&[&with_revoke(), &[published(heads(1, 0))]]),
        3 * S,
    );
    let granted = accepted(500 * MS, grant_id(1), may_read());
    let start = [started(0, heads(0, 0)), fresh(S, 0, 1)];
    let good = all(&[&start[..1], &granted, &start[1..], &[decided(2 * S, true, 0, 1, alice())]]);
    let bad = all(&[&start[..1], &granted, &start[1..], &[decided(2 * S, true, 0, 0, alice())]]);
    tells(Guarantee::S3, &bad, &good, 3 * S);
}

#[test]
fn s4_a_grant_is_used_only_with_the_revokes_before_it() {
    let mut events = with_revoke();
    events.extend(accepted(3 * S, grant_id(1), may_read()));
    tells(
        Guarantee::S4,
        &all(&[&events, &[stale(4 * S, 0, 1)]]),
        &all(&[&events, &[stale(4 * S, 1, 1)]]),
        4 * S,
    );
}

#[test]
fn s5_positions_go_forward() {
    let events = with_revoke();
    tells(
        Guarantee::S5,
        &all(&[&events, &[stale(3 * S, 1, 0), stale(4 * S, 0, 0)]]),
        &all(&[&events, &[stale(3 * S, 1, 0), stale(4 * S, 1, 0)]]),
        4 * S,
    );
}

#[test]
fn s5_an_intact_store_holds_what_was_acknowledged_as_durable() {
    let stored = Event::Stored { at: 3 * S, run: RUN, heads: heads(1, 0) };
    let receipt = Event::Receipt { at: 3 * S, run: RUN, level: ReceiptLevel::Durable, heads: heads(1, 0) };
    let again = |heads| {
        [
            Event::Stopped { at: 4 * S, run: RUN },
            Event::Started {
                at: 4 * S,
                run: Run { run: 2, ..RUN },
                strict: true,
                store: Store::Intact,
                heads,
            },
        ]
    };
    let before = all(&[&with_revoke(), &[stale(3 * S, 1, 0), stored, receipt]]);
    tells(Guarantee::S5, &all(&[&before, &again(heads(0, 0))]), &all(&[&before, &again(heads(1, 0))]), 5 * S);
}

#[test]
fn s6_a_new_epoch_leaves_nothing_accepted_behind() {
    let fence = |first| Event::Fence {
        at: 3 * S,
        by: BY,
        lane: Lane::Deny,
        epoch: Epoch(2),
        first: Revision(first),
        lost: false,
        approvals: 0,
    };
    tells(Guarantee::S6, &all(&[&with_revoke(), &[fence(1)]]), &all(&[&with_revoke(), &[fence(2)]]), 4 * S);
    let began = |heads| Event::WriterBegan { at: 3 * S, by: BY, epoch: Epoch(1), heads };
    tells(
        Guarantee::S6,
        &all(&[&with_revoke(), &[began(heads(0, 0))]]),
        &all(&[&with_revoke(), &[began(heads(1, 0))]]),
        4 * S,
    );
}

#[test]
fn s6_what_denied_once_denies_after_a_restart() {
    let mut denied = Decision {
        run: RUN,
        began: 3 * S,
        read: 3 * S,
        request: Request { right: None, ..alice() },
        allow: false,
        deny: Position::new(1, 1),
        grant: Position::default(),
        record: Some(deny_id(1)),
    };
    let mut events = all(&[&with_revoke(), &[fresh(3 * S, 1, 0)]]);
    events.push(Event::Decided(Box::new(denied.clone())));
    assert_eq!(broken(&events, 4 * S), []);
    denied.allow = true;
    events.push(Event::Decided(Box::new(denied)));
    assert_eq!(broken(&events, 4 * S), [Guarantee::S6]);
}

#[test]
fn s7_nothing_forged_is_applied_and_releases_take_two() {
    let forged = Event::Forged { at: 2 * S, hash: hash(0, 1) };
    let last = [stale(3 * S, 1, 0)];
    tells(Guarantee::S7, &all(&[&with_revoke(), &[forged], &last]), &all(&[&with_revoke(), &last]), 4 * S);
    let fence = |approvals| Event::Fence {
        at: 3 * S,
        by: BY,
        lane: Lane::Deny,
        epoch: Epoch(2),
        first: Revision(1),
        lost: true,
        approvals,
    };
    tells(Guarantee::S7, &all(&[&with_revoke(), &[fence(1)]]), &all(&[&with_revoke(), &[fence(2)]]), 4 * S);
}

#[test]
fn s8_a_record_in_the_prefix_denies_until_it_is_lifted() {
    let mut events = accepted(500 * MS, grant_id(1), may_read());
    events.insert(0, started(0, heads(0, 0)));
    events.extend(accepted(2 * S, deny_id(1), revoke()));
    let bad = all(&[&events, &[fresh(3 * S, 1, 1), decided(4 * S, true, 1, 1, alice())]]);
    let good = all(&[&events, &[fresh(3 * S, 1, 1), decided(4 * S, false, 1, 1, alice())]]);
    tells(Guarantee::S8, &bad, &good, 4 * S);
    let lift = accepted(3 * S, deny_id(2), Effect::End { record: deny_id(1), cutoff: None });
    let lifted = all(&[&events, &lift, &[fresh(3 * S, 2, 1), decided(4 * S, true, 2, 1, alice())]]);
    assert_eq!(broken(&lifted, 4 * S), [], "a lift ends it");
    let lift = accepted(3 * S, deny_id(2), Effect::End { record: deny_id(1), cutoff: Some(100) });
    let lifted = all(&[&events, &lift, &[fresh(3 * S, 2, 1), decided(4 * S, true, 2, 1, alice())]]);
    assert_eq!(broken(&lifted, 4 * S), [Guarantee::S8], "but not its cutoff");
}

#[test]
fn s9_equal_places_are_equal_states() {
    let twin = |state| Event::Published {
        at: 4 * S,
        run: RUN,
        heads: heads(1, 0),
        digest: Some(state),
        asked_at: None,
        fresh_until: None,
    };
    let events = all(&[&with_revoke(), &[stale(3 * S, 1, 0)]]);
    tells(
        Guarantee::S9,
        &all(&[&events, &[twin(StateDigest(5))]]),
        &all(&[&events, &[twin(digest(1, 0))]]),
        4 * S,
    );
}

#[test]
fn s10_receipts_are_true() {
    let receipt = |level| Event::Receipt { at: 4 * S, run: RUN, level, heads: heads(1, 0) };
    let stored = Event::Stored { at: 3 * S, run: RUN, heads: heads(1, 0) };
    let events = with_revoke();
    tells(
        Guarantee::S10,
        &all(&[&events, &[receipt(ReceiptLevel::Applied)]]),
        &all(&[&events, &[stale(3 * S, 1, 0), receipt(ReceiptLevel::Applied)]]),
        4 * S,
    );
    tells(
        Guarantee::S10,
        &all(&[&events, &[stale(3 * S, 1, 0), receipt(ReceiptLevel::Durable)]]),
        &all(&[&events, &[stale(3 * S, 1, 0), stored, receipt(ReceiptLevel::Durable)]]),
        4 * S,
    );
    let told = all(&[&events, &[fresh(3 * S, 1, 0), receipt(ReceiptLevel::Applied)]]);
    let request = || Request { right: None, ..alice() };
    tells(
        Guarantee::S10,
        &all(&[&told, &[decided(4 * S + MS, false, 0, 0, request())]]),
        &all(&[&told, &[decided(4 * S + MS, false, 1, 0, request())]]),
        5 * S,
    );
}

#[test]
fn s11_an_answer_is_where_it_was_asked_to_be() {
    let granted = accepted(500 * MS, grant_id(1), may_read());
    let events = all(&[&[started(0, heads(0, 0))], &granted, &[fresh(S, 0, 1)]]);
    let ask = |wanted| {
        let request = Request { at_least: Some((Lane::Grant(0), Position::new(1, wanted))), ..alice() };
        [decided(2 * S, true, 0, 1, request)]
    };
    tells(Guarantee::S11, &all(&[&events, &ask(2)]), &all(&[&events, &ask(1)]), 3 * S);
}

#[test]
fn s12_no_allow_without_a_lease_of_this_run_and_after_faults() {
    let request = || Request { right: None, ..alice() };
    let events = [started(0, heads(0, 0)), fresh(S, 0, 0)];
    tells(
        Guarantee::S12,
        &all(&[&events, &[decided(6 * S, true, 0, 0, request())]]),
        &all(&[&events, &[decided(5 * S, true, 0, 0, request())]]),
        7 * S,
    );
    let asked = |asked_at| Event::Published {
        at: 3 * S,
        run: RUN,
        heads: heads(0, 0),
        digest: None,
        asked_at: Some(asked_at),
        fresh_until: Some(6 * S),
    };
    let fault = |fault| Event::Faulted { at: 2 * S, run: RUN, fault };
    tells(
        Guarantee::S12,
        &all(&[&events, &[fault(Fault::Lease), asked(S)]]),
        &all(&[&events, &[fault(Fault::Lease), asked(2 * S)]]),
        7 * S,
    );
    let recovered = Event::Recovered { at: 2 * S, run: RUN };
    tells(
        Guarantee::S12,
        &all(&[&events, &[fault(Fault::Standing), asked(2 * S)]]),
        &all(&[&events, &[fault(Fault::Standing), recovered, asked(2 * S)]]),
        7 * S,
    );
}

#[test]
fn s13_one_change_at_a_place_and_no_late_writer() {
    let entry = |hash| Event::Entry { at: 3 * S, lane: Lane::Deny, last: Position::new(1, 1), hash };
    tells(
        Guarantee::S13,
        &all(&[&with_revoke(), &[entry(hash(9, 1))]]),
        &all(&[&with_revoke(), &[entry(hash(0, 1))]]),
        4 * S,
    );
    let fence = Event::Fence {
        at: 3 * S,
        by: BY,
        lane: Lane::Deny,
        epoch: Epoch(2),
        first: Revision(2),
        lost: false,
        approvals: 0,
    };
    let tick =
        |epoch| Event::Tick { at: 4 * S, by: BY, sent_at: 3 * S, epoch: Epoch(epoch), heads: heads(1, 0) };
    tells(
        Guarantee::S13,
        &all(&[&with_revoke(), &[fence.clone(), tick(1)]]),
        &all(&[&with_revoke(), &[fence.clone(), tick(2)]]),
        4 * S,
    );
    let late = accepted(4 * S, deny_id(2), revoke());
    let broken = broken(&all(&[&with_revoke(), &[fence], &late]), 4 * S);
    assert_eq!(broken, [Guarantee::S13], "accepted by the writer of the epoch before");
}

#[test]
fn s14_a_forgotten_record_matches_nothing_that_is_valid() {
    let forgot = Event::Forgot { at: 3 * S, record: deny_id(1) };
    let cutoff = Effect::Deny { subject: ALICE, standing: false, cutoff: Some(50) };
    let mut events = vec![started(0, heads(0, 0))];
    events.extend(accepted(2 * S, deny_id(1), cutoff));
    events.extend([fresh(3 * S, 1, 0), forgot]);
    let ask =
        |issued| [decided(4 * S, true, 1, 0, Request { right: None, issued_at: Some(issued), ..alice() })];
    tells(Guarantee::S14, &all(&[&events, &ask(40)]), &all(&[&events, &ask(60)]), 4 * S);
}

#[test]
fn s15_validity_is_of_the_controllers_time() {
    let events = [started(0, heads(0, 0)), fresh(S, 0, 0)];
    let ask = |from, until| {
        let request = Request { right: None, valid_from: Some(from), valid_until: Some(until), ..alice() };
        [decided(3 * S, true, 0, 0, request)]
    };
    tells(Guarantee::S15, &all(&[&events, &ask(0, 3 * S)]), &all(&[&events, &ask(0, 4 * S)]), 4 * S);
    tells(Guarantee::S15, &all(&[&events, &ask(4 * S, 9 * S)]), &all(&[&events, &ask(3 * S, 9 * S)]), 4 * S);
}

#[test]
fn s16_a_leak_is_broken() {
    let leak = Event::Leak { at: S, place: "agent.log".into() };
    tells(Guarantee::S16, &[leak], &[], S);
}

#[test]
fn s17_a_record_denies_only_whom_it_names() {
    let ask = |subject| {
        let request = Request { subjects: vec![subject], right: None, ..Request::default() };
        [Event::Decided(Box::new(Decision {
            run: RUN,
            began: 3 * S,
            read: 3 * S,
            request,
            allow: false,
            deny: Position::new(1, 1),
            grant: Position::default(),
            record: Some(deny_id(1)),
        }))]
    };
    let events = all(&[&with_revoke(), &[fresh(3 * S, 1, 0)]]);
    tells(Guarantee::S17, &all(&[&events, &ask(Subject(8))]), &all(&[&events, &ask(ALICE)]), 4 * S);
}
