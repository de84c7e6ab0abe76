use rescind_core::change::Origin;
use rescind_core::ids::{EmitterId, IdempotencyKey};
use rescind_core::position::Position;
use rescind_core::record::RecordKind;
use rescind_core::target::Target;

use super::*;

fn directives(count: usize, lane: Lane) -> Vec<Directive> {
    let ask = match lane {
        Lane::Deny => Ask::Record { kind: RecordKind::Kill, target: Target::All, cutoff: None },
        Lane::Grant(_) => Ask::Withdraw { entitlement: "grant0-1-1".parse().unwrap() },
    };
    let origin = Origin {
        emitter: EmitterId::new("ir").unwrap(),
        key: IdempotencyKey::new("k").unwrap(),
        requested_by: None,
        reason_code: None,
        incident: None,
        known_at: None,
    };
    vec![Directive { origin, reason_admin: None, ask }; count]
}

fn open(batches: &mut Batches, count: usize, lane: Lane, until: u64) -> oneshot::Receiver<Vec<Answered>> {
    let (reply, answer) = oneshot::channel();
    let directives = directives(count, lane);
    batches.open(BatchRequest { directives, rights: Rights::everything(), until: BootNs(until), reply });
    answer
}

fn accepted(revision: u64) -> Answered {
    let position = Position::new(1, revision);
    let id = RecordId::new(Lane::Deny, position).unwrap();
    Answered { outcome: Outcome::Accepted { id, position, existing: false }, accepted_at: None, cutoff: None }
}

fn is_busy(answered: &Answered) -> bool {
    matches!(answered.outcome, Outcome::Refused(Refusal::Busy))
}

#[test]
fn denies_are_fed_before_a_bulk_load_and_each_in_small_steps() {
    let (mut batches, metrics) = (Batches::default(), ControllerMetrics::new());
    let _load = open(&mut batches, 10_000, Lane::Grant(0), 9);
    let _kill = open(&mut batches, 1, Lane::Deny, 9);
    let fed = batches.feed(BootNs(0), &metrics);
    assert_eq!(fed.len(), FEED_MAX + 1);
    assert_eq!(fed[0].1.ask.lane(), Lane::Deny);
    assert!(batches.can_feed());
}

#[test]
fn a_kill_goes_before_a_burst_of_revocations_and_past_its_limit_and_a_bulk_of_kills_does_not() {
    let (mut batches, metrics) = (Batches::default(), ControllerMetrics::new());
    let _bulk = open(&mut batches, 10_000, Lane::Deny, 9);
    let mut inside = 0;
    while batches.can_feed() {
        inside += batches.feed(BootNs(0), &metrics).len();
    }
    assert_eq!(inside, LANE_MAX, "the lane is full");
    let _kill = open(&mut batches, 1, Lane::Deny, 9);
    assert!(batches.can_feed());
    let fed = batches.feed(BootNs(0), &metrics);
    assert_eq!(fed.len(), 1, "only the kill");
    assert_eq!(number_of(fed[0].0), 2);
    let _many = open(&mut batches, URGENT_BATCH_MAX + 1, Lane::Deny, 9);
    assert!(!batches.can_feed(), "a bulk waits, whatever it asks");
}

#[test]
fn answers_come_back_as_a_whole_and_in_order() {
    let (mut batches, metrics) = (Batches::default(), ControllerMetrics::new());
    let mut answer = open(&mut batches, 3, Lane::Deny, 9);
    let fed = batches.feed(BootNs(0), &metrics);
    for (place, (ticket, ..)) in fed.iter().enumerate().rev() {
        assert!(answer.try_recv().is_err(), "not before all are answered");
        batches.answer(*ticket, accepted(place as u64 + 1), &metrics);
    }
    let answers = answer.try_recv().unwrap();
    let revisions = answers.iter().map(|answered| match answered.outcome {
        Outcome::Accepted { position, .. } => position.revision.0,
        _ => 0,
    });
    assert_eq!(revisions.collect::<Vec<_>>(), [1, 2, 3]);
    assert!(batches.is_empty());
}

#[test]
fn what_waited_too_long_or_lost_its_sender_is_not_ordered() {
    let (mut batches, metrics) = (Batches::default(), ControllerMetrics::new());
    let mut late = open(&mut batches, 2, Lane::Deny, 5);
    drop(open(&mut batches, 2, Lane::Deny, 99));
    assert!(batches.feed(BootNs(5), &metrics).is_empty());
    assert!(late.try_recv().unwrap().iter().all(is_busy));
    assert!(batches.is_empty() && !batches.can_feed());
}

#[test]
fn the_sequencer_gets_no_more_than_it_has_room_for() {
    let (mut batches, metrics) = (Batches::default(), ControllerMetrics::new());
    let _answers: Vec<_> = (0..10).map(|_| open(&mut batches, 5000, Lane::Grant(0), 9)).collect();
    let mut inside = Vec::new();
    while batches.can_feed() {
        inside.extend(batches.feed(BootNs(0), &metrics));
    }
    assert_eq!(inside.len(), LANE_MAX);
    batches.answer(inside[0].0, accepted(1), &metrics);
    assert!(batches.can_feed(), "an answer makes room");
    assert!(batches.has_room());
    let _more: Vec<_> = (0..10).map(|_| open(&mut batches, 5000, Lane::Grant(0), 9)).collect();
    assert!(!batches.has_room());
}
