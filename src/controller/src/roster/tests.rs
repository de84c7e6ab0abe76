use rescind_core::digest::StateDigest;
use rescind_core::position::Heads;
use rescind_core::report::Freshness;
use rescind_core::time::UnixMs;

use super::*;

fn agent() -> AgentId {
    AgentId::new("pay-1").unwrap()
}

fn report(instance: u8, policy: &str) -> Report {
    Report {
        agent: agent(),
        instance: InstanceId([instance; 16]),
        sequence: 1,
        service: ServiceName::new("pay").unwrap(),
        applied: Heads::default(),
        durable: Heads::default(),
        digest: StateDigest::default(),
        freshness: Freshness::Fresh,
        stale_policy: policy.into(),
        target_kinds: 0,
        fault: "".into(),
        version: "1".into(),
        at: UnixMs(0),
        first_deny_at: None,
    }
}

/// Opens, runs, closes, opens again and says what is known then.
fn after(steps: impl Fn(&Roster)) -> LastKnown {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("roster.redb");
    steps(&Roster::open(&path).unwrap());
    Roster::open(&path).unwrap().last_known(&agent()).1
}

fn grant(roster: &Roster, instance: u8) {
    let instance = InstanceId([instance; 16]);
    assert!(!roster.is_granted(&agent(), instance));
    roster.note_grants(&[(agent(), instance)]).unwrap();
    assert!(roster.is_granted(&agent(), instance));
}

fn say(roster: &Roster, instance: u8, policy: &str) {
    if roster.note_report(&report(instance, policy)) {
        roster.save().unwrap();
    }
}

#[test]
fn only_runs_that_said_so_count_as_strict() {
    assert_eq!(after(|_| ()), LastKnown::NeverGranted);
    assert_eq!(after(|r| say(r, 1, "strict(5s)")), LastKnown::NeverGranted, "a report is no grant");
    assert_eq!(after(|r| grant(r, 1)), LastKnown::Unknown);
    let known = after(|r| {
        grant(r, 1);
        say(r, 1, "strict(5s)");
    });
    assert_eq!(known, LastKnown::Strict);
    let known = after(|r| {
        say(r, 1, "strict(5s)");
        grant(r, 1);
    });
    assert_eq!(known, LastKnown::Strict, "whichever comes first");
    let known = after(|r| {
        grant(r, 1);
        say(r, 1, "strict(5s)");
        grant(r, 2);
    });
    assert_eq!(known, LastKnown::Unknown, "the second run has not said anything");
    let known = after(|r| {
        grant(r, 1);
        grant(r, 2);
        say(r, 1, "best_effort");
        say(r, 2, "strict(5s)");
    });
    assert_eq!(known, LastKnown::NotStrict);
}

#[test]
fn a_report_that_was_not_saved_makes_the_claim_weaker() {
    let known = after(|r| {
        grant(r, 1);
        assert!(r.note_report(&report(1, "strict(5s)")));
    });
    assert_eq!(known, LastKnown::Unknown);
}

#[test]
fn the_longest_lease_survives_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("roster.redb");
    let seconds = Duration::from_secs;
    assert_eq!(Roster::open(&path).unwrap().longest_lease(seconds(30)).unwrap(), seconds(30));
    let roster = Roster::open(&path).unwrap();
    assert_eq!(roster.longest_lease(seconds(5)).unwrap(), seconds(30));
    roster.set_lease(seconds(5)).unwrap();
    assert_eq!(roster.longest_lease(seconds(5)).unwrap(), seconds(5));
}
