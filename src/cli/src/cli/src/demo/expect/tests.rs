use super::*;

const HERE: Place = (0, 0);

fn observe(expectations: &Expectations, got: &str) {
    let now = Instant::now();
    expectations.observe(HERE, now, now, got, None);
}

#[test]
fn an_old_answer_after_a_new_one_is_wrong() {
    let expectations = Expectations::default();
    expectations.set(HERE, ALLOW);
    observe(&expectations, ALLOW);
    expectations.turn(HERE, "revoked.session");
    observe(&expectations, ALLOW);
    assert!(expectations.seen(HERE).is_none());
    observe(&expectations, "revoked.session");
    assert!(expectations.seen(HERE).is_some());
    assert_eq!(expectations.counts(), (3, 0));
    observe(&expectations, ALLOW);
    assert_eq!(expectations.counts(), (4, 1));
    assert_eq!(expectations.wrong()[0].expected, "revoked.session");
}

#[test]
fn a_third_answer_during_a_step_is_wrong() {
    let expectations = Expectations::default();
    expectations.set(HERE, ALLOW);
    expectations.turn(HERE, "killed.tenant");
    observe(&expectations, "not_ready");
    assert_eq!(expectations.counts(), (1, 1));
}
