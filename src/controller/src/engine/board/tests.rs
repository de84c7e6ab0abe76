use super::*;

#[test]
fn a_time_of_acceptance_is_never_given_too_early() {
    let at = |revision| Position::new(1, revision);
    let mut times = AcceptedTimes::new(at(10));
    assert_eq!(times.of(at(10)), None, "of the run before");
    times.note(at(12), BootNs(100));
    times.note(at(20), BootNs(200));
    assert_eq!(
        (times.of(at(11)), times.of(at(12)), times.of(at(13))),
        (Some(BootNs(100)), Some(BootNs(100)), Some(BootNs(200)))
    );
    for revision in 21..21 + ACCEPTED_MAX as u64 {
        times.note(at(revision), BootNs(revision * 1000));
    }
    assert_eq!(times.of(at(11)), Some(BootNs(21_000)), "forgotten: taken for later");
}

#[test]
fn waits_are_bounded_and_looked_at_with_pauses() {
    let mut waits = BoardWaits::default();
    let id: RecordId = "deny-1-1".parse().unwrap();
    let mut answers = Vec::new();
    let mut request = |until| {
        let (reply, answer) = oneshot::channel();
        answers.push(answer);
        BoardRequest { id, until: BootNs(until), reply }
    };
    let second = 1_000_000_000;
    assert!(waits.admit(request(0), BootNs(0)).is_some(), "without a wait it is answered at once");
    for _ in 0..WAITS_MAX {
        assert!(waits.admit(request(10 * second), BootNs(0)).is_none());
    }
    assert!(waits.admit(request(10 * second), BootNs(0)).is_some(), "no room");
    let due = waits.due(BootNs(second));
    assert_eq!(due.len(), WAITS_MAX);
    due.into_iter().for_each(|request| waits.keep(request));
    assert!(waits.due(BootNs(second + 1)).is_empty(), "a pause");
    waits.is_dirty = true;
    assert_eq!(waits.poll_timeout(), Some(BootNs(second + 25_000_000)));
    assert_eq!(waits.due(BootNs(second + 25_000_000)).len(), WAITS_MAX);
}
