use rescind_core::position::{Lane, Position};

use super::*;

const SECOND: u64 = 1_000_000_000;

fn denial(accepted_ns: u64) -> Denial {
    Denial {
        id: "deny-1-1".to_owned(),
        lane: Lane::Deny,
        position: Position::new(1, 1),
        question: "p0".to_owned(),
        kind: "hold",
        accepted_ns,
        until_ns: None,
        enforced_ns: None,
    }
}

fn seen(denial: Denial, allowed_ns: &[u64]) -> Seen {
    let allows = allowed_ns.iter().map(|at| allow(*at)).collect();
    let mut seen = Seen { denials: vec![denial], ..Seen::default() };
    seen.allows.insert("p0".to_owned(), allows);
    seen
}

fn allow(from_ns: u64) -> Allow {
    let start = Position::new(1, 0);
    Allow { agent: 0, from_ns, to_ns: from_ns + 1_000, deny: start, grant: start }
}

fn bound() -> Bound {
    Bound::of(Duration::from_secs(2))
}

#[test]
fn s1_is_broken_at_the_bound_and_not_a_nanosecond_earlier() {
    let end = SECOND + nanos(bound().staleness);
    assert_eq!(s1(&seen(denial(SECOND), &[end - 1]), bound()), []);
    let found = s1(&seen(denial(SECOND), &[end - 1, end, end + 5]), bound());
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].guarantee, found[0].at_ns), ("S1", end));
}

#[test]
fn an_allow_after_access_was_given_back_breaks_nothing() {
    let end = SECOND + nanos(bound().staleness);
    let lifted = Denial { until_ns: Some(end + 10), enforced_ns: Some(end), ..denial(SECOND) };
    assert_eq!(s1(&seen(lifted.clone(), &[end + 10]), bound()), []);
    assert_eq!(s2(&seen(lifted.clone(), &[end + 10])), []);
    // A decision that was under way when the lift was sent proves nothing either.
    assert_eq!(s1(&seen(lifted.clone(), &[end + 5]), bound()), []);
    let long_before = Denial { until_ns: Some(end + SECOND), ..lifted };
    assert_eq!(s1(&seen(long_before.clone(), &[end + 5]), bound()).len(), 1);
    assert_eq!(s2(&seen(long_before, &[end + 5])).len(), 1);
}

#[test]
fn s2_is_broken_by_an_allow_within_the_bound_when_the_board_said_enforced() {
    let claimed = Denial { enforced_ns: Some(2 * SECOND), ..denial(SECOND) };
    assert_eq!(s2(&seen(claimed.clone(), &[2 * SECOND - 1])), []);
    let found = s2(&seen(claimed, &[2 * SECOND - 1, 2 * SECOND]));
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].guarantee, "S2");
    assert_eq!(s2(&seen(denial(SECOND), &[2 * SECOND])), []);
}

#[test]
fn staleness_is_the_latest_allow_after_acceptance() {
    let late = late_allows(&seen(denial(SECOND), &[0, SECOND + 7, SECOND + 3]));
    assert_eq!(late, [Late { accepted_ns: SECOND, allowed_ns: SECOND + 7 }]);
    assert_eq!(late_allows(&seen(denial(SECOND), &[SECOND - 1])), []);
}
