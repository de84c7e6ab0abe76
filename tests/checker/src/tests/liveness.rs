//! L1 to L8.

use super::*;

fn calm(still: bool) -> Event {
    Event::Calm { at: 0, still }
}

#[test]
fn l1_whoever_is_connected_applies_within_the_bound() {
    let mut events = vec![calm(false), started(0, heads(0, 0)), fresh(S, 0, 0)];
    events.extend(accepted(2 * S, deny_id(1), revoke()));
    let enforced = |at| Event::Enforced { at, by: BY, id: deny_id(1) };
    let lapsed = [events.clone(), vec![enforced(7 * S + MS)]].concat();
    assert_eq!(broken(&lapsed, 8 * S), [Guarantee::L1], "stale in time, but connected");
    let applied = [events, vec![fresh(3 * S, 1, 0), enforced(4 * S)]].concat();
    assert_eq!(broken(&applied, 8 * S), []);
}

#[test]
fn l1_ninety_nine_of_a_hundred_take_less_than_a_second() {
    let trace = |delay: Nanos| {
        let mut events = vec![calm(false), started(0, heads(0, 0)), fresh(S / 2, 0, 0)];
        for revision in 1..=120 {
            let at = S + revision * 3 * S;
            events.extend(accepted(at, deny_id(revision), revoke()));
            events.push(fresh(at + delay, revision, 0));
            events.push(Event::Enforced { at: at + delay, by: BY, id: deny_id(revision) });
        }
        events
    };
    tells(Guarantee::L1, &trace(1_500 * MS), &trace(500 * MS), 400 * S);
}

#[test]
fn l2_fresh_soon_after_a_heal() {
    let trace = |heal, after: Nanos| {
        vec![
            started(0, heads(0, 0)),
            Event::Upset { at: S, run: RUN },
            Event::Healed { at: 2 * S, run: RUN, heal },
            fresh(2 * S + after, 0, 0),
        ]
    };
    tells(Guarantee::L2, &trace(Heal::Warm, 1_001 * MS), &trace(Heal::Warm, 999 * MS), 9 * S);
    tells(Guarantee::L2, &trace(Heal::Cold, 5_001 * MS), &trace(Heal::Cold, 4_999 * MS), 9 * S);
    assert_eq!(broken(&trace(Heal::Warm, S)[..3], 9 * S), [Guarantee::L2], "never");
}

#[test]
fn l3_four_lost_renewals_expire_nobody() {
    let lapsed = |lost| [started(0, heads(0, 0)), Event::Lapsed { at: 6 * S, run: RUN, lost }];
    tells(Guarantee::L3, &lapsed(4), &lapsed(5), 7 * S);
}

#[test]
fn l4_answers_come_in_time_once_and_with_one_effect() {
    let asked = Event::Asked { at: 0, ticket: 1, key: 1, deadline: S };
    let answered = |at| Event::Answered { at, ticket: 1, answer: Answer::Refused };
    tells(Guarantee::L4, &[asked.clone(), answered(2 * S)], &[asked.clone(), answered(S)], 3 * S);
    assert_eq!(broken(&[asked.clone(), answered(1), answered(2)], S), [Guarantee::L4], "twice");
    assert_eq!(broken(&[asked, Event::Abandoned { at: 1, ticket: 1 }], 3 * S), [], "nobody waits");
    let ordered = |revision| Event::Ordered { at: S, id: deny_id(revision), key: 1, effect: revoke() };
    tells(Guarantee::L4, &[ordered(1), ordered(2)], &[ordered(1), ordered(1)], S);
}

#[test]
fn l5_enforced_follows_even_if_every_agent_is_dead() {
    let events = accepted(S, deny_id(1), revoke());
    let claim = |at| [events.clone(), vec![Event::Enforced { at, by: BY, id: deny_id(1) }]].concat();
    tells(Guarantee::L5, &claim(7 * S), &claim(6 * S), 8 * S);
    let ended = [events, vec![Event::WriterEnded { at: 2 * S, by: BY }]].concat();
    let began = Event::WriterBegan { at: S / 2, by: BY, epoch: Epoch(1), heads: heads(0, 0) };
    let ended = [vec![began], ended].concat();
    assert_eq!(broken(&ended, 20 * S), [], "while nobody writes nothing is claimed");
    let next = Event::WriterBegan { at: 9 * S, by: BY, epoch: Epoch(1), heads: heads(1, 0) };
    assert_eq!(broken(&[ended, vec![next]].concat(), 20 * S), [Guarantee::L5], "the next one has to");
}

#[test]
fn l6_a_poisoned_run_is_fresh_after_the_centre_healed_it() {
    let trace = |after: Nanos| {
        vec![
            started(0, heads(0, 0)),
            Event::Healed { at: S, run: RUN, heal: Heal::Poison },
            fresh(S + after, 0, 0),
        ]
    };
    tells(Guarantee::L6, &trace(6 * S), &trace(4 * S), 8 * S);
}

#[test]
fn l7_damage_ends_in_a_fresh_run_and_not_in_a_crash_loop() {
    let trace = |after: Nanos| {
        vec![
            started(0, heads(0, 0)),
            Event::Healed { at: S, run: RUN, heal: Heal::Damage },
            fresh(S + after, 0, 0),
        ]
    };
    tells(Guarantee::L7, &trace(6 * S), &trace(4 * S), 8 * S);
    let crash = |run| Event::Crashed { at: u64::from(run) * S, run: Run { run, ..RUN } };
    let loops: Vec<_> = (1..=6).map(crash).collect();
    tells(Guarantee::L7, &loops, &loops[..5], 8 * S);
}

#[test]
fn l8_equal_states_ten_seconds_after_all_faults() {
    let trace = |revision| {
        let mut events = vec![started(0, heads(0, 0)), stale(MS, 0, 0)];
        events.extend(accepted(S, deny_id(1), revoke()));
        let (heads, digest) = (heads(1, 0), digest(1, 0));
        events.push(Event::Confirmed { at: S, by: BY, heads, digest });
        events.push(Event::Enforced { at: S, by: BY, id: deny_id(1) });
        events.push(Event::Calm { at: 2 * S, still: true });
        events.push(stale(11 * S, revision, 0));
        events
    };
    tells(Guarantee::L8, &trace(0), &trace(1), 13 * S);
}
