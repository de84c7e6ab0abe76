use super::*;
use crate::agent::tests::support::{GRANT, ms};
use crate::digest::StateDigest;
use crate::position::{Head, Heads};
use crate::report::Freshness;
use crate::time::UnixMs;

const FENCE_MS: u64 = 5_061;

fn agent(n: u8) -> AgentId {
    AgentId::new(&format!("a{n}")).unwrap()
}

fn run(n: u8) -> InstanceId {
    InstanceId([n; 16])
}

fn at(revision: u64) -> Placed {
    Placed { lane: Lane::Deny, position: Position::new(1, revision), target: Some(TargetKind::User) }
}

fn id(revision: u64) -> RecordId {
    RecordId::new(Lane::Deny, Position::new(1, revision)).unwrap()
}

fn report(n: u8, instance: u8, sequence: u64, revision: u64) -> Report {
    let head = Head { position: Position::new(1, revision), ..Head::default() };
    Report {
        agent: agent(n),
        instance: run(instance),
        sequence,
        service: ServiceName::new("payments").unwrap(),
        applied: Heads { deny: head, grant: Head::default() },
        durable: Heads::default(),
        digest: StateDigest::default(),
        freshness: Freshness::Fresh,
        stale_policy: "strict(5s)".into(),
        target_kinds: u32::MAX,
        fault: "".into(),
        version: "0.1.0".into(),
        at: UnixMs(0),
        first_deny_at: None,
    }
}

/// A ledger that sees everything since long, with these agents, each granted and heard at 60 s.
fn ledger(agents: u8) -> Ledger {
    let mut ledger = Ledger::new(LedgerConfig { lease: Duration::from_secs(5) }, ms(0));
    for n in 1..=agents {
        ledger.expect(agent(n), ServiceName::new("payments").unwrap(), LastKnown::NeverGranted);
        ledger.handle_report(ms(60_000), report(n, n, 1, 0));
        ledger.note_granted(&agent(n), run(n), ms(60_000));
    }
    ledger
}

fn statuses(ledger: &Ledger, now: BootNs, placed: Placed, accepted_at: BootNs) -> Vec<Status> {
    ledger.board(now, placed, Some(accepted_at)).rows.into_iter().map(|row| row.status).collect()
}

#[test]
fn receipts_make_a_change_enforced() {
    let mut ledger = ledger(2);
    let accepted = ms(60_100);
    ledger.track(id(1), at(1), accepted);
    assert_eq!(ledger.board(accepted, at(1), Some(accepted)).state, BoardState::Accepted);
    ledger.handle_report(ms(60_110), report(1, 1, 2, 1));
    assert_eq!(ledger.board(ms(60_111), at(1), Some(accepted)).state, BoardState::PartiallyEnforced);
    ledger.handle_timeout(ms(60_115));
    assert_eq!(ledger.poll_output(), None);
    ledger.handle_report(ms(60_120), report(2, 2, 2, 1));
    assert_eq!(ledger.board(ms(60_121), at(1), Some(accepted)).state, BoardState::Enforced);
    let due = ledger.poll_timeout().unwrap();
    ledger.handle_timeout(due);
    let enforced = ledger.poll_output().unwrap();
    assert_eq!((enforced.id, enforced.accepted_at), (id(1), accepted));
    assert!(enforced.enforced_at.since(accepted) <= Duration::from_millis(40));
    assert_eq!(ledger.enforced_at(id(1)), Some(enforced));
}

#[test]
fn a_silent_strict_agent_is_fenced_by_its_last_lease_and_not_before() {
    let mut ledger = ledger(1);
    let accepted = ms(61_000);
    let expected = ms(60_000 + FENCE_MS);
    let Status::Lagging { protects: Protection::DeniesAt(at_ns) } =
        statuses(&ledger, ms(62_000), at(1), accepted)[0]
    else {
        panic!("lagging");
    };
    assert!(expected.since(at_ns) < Duration::from_millis(1) && at_ns <= expected, "{at_ns:?}");
    let before = BootNs(at_ns.0 - 1);
    assert_ne!(ledger.board(before, at(1), Some(accepted)).state, BoardState::Enforced);
    assert_eq!(statuses(&ledger, at_ns, at(1), accepted), [Status::Fenced { since: at_ns }]);
    assert_eq!(ledger.board(at_ns, at(1), Some(accepted)).state, BoardState::Enforced);
    // A later grant is not of a state without the change, so it moves the fence no further than the acceptance.
    ledger.note_granted(&agent(1), run(1), ms(64_000));
    let Status::Lagging { protects: Protection::DeniesAt(later) } =
        statuses(&ledger, ms(64_001), at(1), accepted)[0]
    else {
        panic!("lagging");
    };
    assert_eq!(later, ledger.fence_at(Some(accepted)));
}

#[test]
fn l5_time_alone_enforces_where_every_agent_is_dead() {
    let mut ledger = ledger(3);
    ledger.track(id(1), at(1), ms(60_500));
    let mut now = ms(60_500);
    while let Some(due) = ledger.poll_timeout() {
        now = now.max(due);
        ledger.handle_timeout(now);
    }
    let enforced = ledger.poll_output().unwrap();
    assert!(enforced.enforced_at <= ms(60_500 + FENCE_MS));
}

#[test]
fn policies_that_serve_past_the_lease_are_never_fenced() {
    let mut ledger = ledger(1);
    for policy in ["best_effort", "fail_static(300s)", "", "Strict"] {
        let mut loose = report(1, 1, 2, 0);
        loose.sequence = ledger.agents(ms(0))[0].report.as_ref().unwrap().sequence + 1;
        loose.stale_policy = policy.into();
        ledger.handle_report(ms(60_010), loose);
        let board = ledger.board(ms(9_000_000), at(1), Some(ms(60_100)));
        assert_eq!(board.state, BoardState::Accepted);
        let expected = Status::Unreachable { since: Some(ms(60_010)), protects: Protection::KeepsAllowing };
        assert_eq!(board.rows[0].status, expected);
    }
}

#[test]
fn a_run_that_was_granted_and_never_heard_is_unknown() {
    let mut ledger = ledger(1);
    ledger.note_granted(&agent(1), run(9), ms(60_050));
    ledger.handle_report(ms(60_200), report(1, 1, 2, 1));
    let board = ledger.board(ms(9_000_000), at(1), Some(ms(60_100)));
    assert_eq!(board.state, BoardState::PartiallyEnforced);
    assert!(!ledger.has_heard(&agent(1), run(9)));
    ledger.retire_instance(&agent(1), run(9));
    assert_eq!(ledger.board(ms(9_000_000), at(1), Some(ms(60_100))).state, BoardState::Enforced);
}

#[test]
fn an_agent_that_nobody_enrolled_counts_as_soon_as_it_is_granted() {
    let mut ledger = ledger(1);
    ledger.handle_report(ms(60_001), report(7, 7, 1, 0));
    ledger.note_granted(&agent(7), run(7), ms(60_002));
    ledger.handle_report(ms(60_200), report(1, 1, 2, 1));
    assert_eq!(ledger.board(ms(60_201), at(1), Some(ms(60_100))).state, BoardState::PartiallyEnforced);
    assert_eq!(ledger.board(ms(66_000), at(1), Some(ms(60_100))).state, BoardState::Enforced, "fenced");
}

#[test]
fn after_a_start_nothing_is_claimed_before_old_leases_have_ended() {
    let mut ledger = Ledger::new(LedgerConfig { lease: Duration::from_secs(5) }, ms(100_000));
    ledger.expect(agent(1), ServiceName::new("payments").unwrap(), LastKnown::Strict);
    ledger.handle_report(ms(100_010), report(1, 1, 1, 9));
    let blind = ledger.board(ms(100_020), at(9), None);
    assert_eq!(
        blind.state,
        BoardState::PartiallyEnforced,
        "another run may hold a lease of the writer before"
    );
    assert_eq!(blind.blind_until, Some(ledger.blind_until()));
    let after = ledger.board(ledger.blind_until(), at(9), None);
    assert_eq!((after.state, after.blind_until), (BoardState::Enforced, None));
    // A strict run that is heard, was not granted by us, and has not applied: fenced from the start on.
    ledger.handle_report(ms(100_030), report(2, 2, 1, 0));
    assert_eq!(ledger.board(ms(101_000), at(9), None).state, BoardState::PartiallyEnforced);
    assert_eq!(ledger.board(ms(100_000 + FENCE_MS), at(9), None).state, BoardState::Enforced);
}

#[test]
fn the_ledger_wakes_when_the_time_in_which_nobody_knows_ends() {
    let mut ledger = Ledger::new(LedgerConfig { lease: Duration::from_secs(5) }, ms(100_000));
    ledger.expect(agent(1), ServiceName::new("payments").unwrap(), LastKnown::Strict);
    ledger.track(id(9), at(9), ms(100_005));
    ledger.handle_report(ms(100_010), report(1, 1, 1, 9));
    ledger.handle_timeout(ms(100_300));
    assert_eq!(ledger.poll_output(), None, "blind");
    let wake = ledger.poll_timeout().unwrap();
    assert!(wake <= ledger.blind_until(), "{wake:?}");
    ledger.handle_timeout(ledger.blind_until());
    assert_eq!(ledger.poll_output().map(|enforced| enforced.id), Some(id(9)));
}

#[test]
fn what_is_known_of_earlier_runs_decides_about_agents_that_are_not_heard() {
    let cases = [
        (LastKnown::NeverGranted, BoardState::Enforced, Some(Status::NotStarted)),
        (LastKnown::Strict, BoardState::Enforced, None),
        (LastKnown::NotStrict, BoardState::Accepted, None),
        (LastKnown::Unknown, BoardState::Accepted, None),
    ];
    for (last, state, status) in cases {
        let mut ledger = Ledger::new(LedgerConfig { lease: Duration::from_secs(5) }, ms(0));
        ledger.expect(agent(1), ServiceName::new("payments").unwrap(), last);
        let board = ledger.board(ms(9_000_000), at(1), Some(ms(60_000)));
        assert_eq!(board.state, state, "{last:?}");
        assert!(status.is_none_or(|status| board.rows[0].status == status));
    }
}

#[test]
fn unsupported_kinds_are_never_enforced() {
    let mut ledger = ledger(1);
    let mut old = report(1, 1, 2, 5);
    old.target_kinds = 1 << TargetKind::Token as u8;
    ledger.handle_report(ms(60_100), old);
    let board = ledger.board(ms(9_000_000), at(1), Some(ms(60_050)));
    assert_eq!((board.state, board.rows[0].status), (BoardState::Accepted, Status::Unsupported));
    ledger.track(id(1), at(1), ms(60_050));
    let token = Placed { target: Some(TargetKind::Token), ..at(2) };
    ledger.track(id(2), token, ms(60_050));
    ledger.handle_timeout(ms(60_200));
    assert_eq!(
        ledger.poll_output().map(|enforced| enforced.id),
        Some(id(2)),
        "held up by nobody else's kind"
    );
    assert_eq!(ledger.poll_output(), None);
}

#[test]
fn replayed_reports_are_ignored_and_regressions_believed() {
    let mut ledger = ledger(1);
    ledger.handle_report(ms(60_100), report(1, 1, 5, 9));
    let replayed = ledger.handle_report(ms(60_200), report(1, 1, 4, 20));
    assert_eq!(replayed, ReportOutcome { taken: Taken::Replayed, alarm: None, has_regressed: false });
    assert_eq!(ledger.board(ms(60_201), at(9), Some(ms(60_050))).state, BoardState::Enforced);
    let outcome = ledger.handle_report(ms(60_300), report(1, 1, 6, 3));
    assert_eq!(outcome.alarm, Some(Alarm::Regressed));
    assert_eq!(ledger.board(ms(60_301), at(9), Some(ms(60_050))).state, BoardState::Accepted);
}

#[test]
fn two_live_runs_of_one_agent_raise_an_alarm_and_a_restart_does_not() {
    let mut restarted = ledger(1);
    for sequence in 2..20 {
        let outcome = restarted.handle_report(ms(60_000 + sequence * 3_000), report(1, 8, sequence, 0));
        assert_eq!(outcome.alarm, None);
    }
    let mut copied = ledger(1);
    let alarms = (2..20).flat_map(|sequence| {
        let at = ms(60_000 + sequence * 3_000);
        [1, 8].map(|instance| copied.handle_report(at, report(1, instance, sequence, 0)).alarm)
    });
    assert!(alarms.flatten().any(|alarm| alarm == Alarm::TwoInstances));
    assert!(copied.agents(ms(120_000)).iter().all(|row| row.alarm == Some(Alarm::TwoInstances)));
}

#[test]
fn both_runs_must_apply_and_old_ones_are_forgotten_once_fenced() {
    let mut ledger = ledger(1);
    ledger.handle_report(ms(61_000), report(1, 8, 1, 1));
    ledger.note_granted(&agent(1), run(8), ms(61_000));
    let board = ledger.board(ms(61_001), at(1), Some(ms(60_900)));
    assert_eq!(board.state, BoardState::PartiallyEnforced, "the run before may be alive");
    assert_eq!(ledger.board(ms(60_000 + FENCE_MS), at(1), Some(ms(60_900))).state, BoardState::Enforced);
    ledger.note_granted(&agent(1), run(8), ms(90_000));
    assert_eq!(ledger.agents(ms(90_000)).len(), 1);
}

#[test]
fn a_crash_loop_is_bounded_and_claims_nothing_meanwhile() {
    let mut ledger = ledger(1);
    for n in 0..40 {
        ledger.handle_report(ms(60_000), report(1, 100 + n, 1, 9));
        ledger.note_granted(&agent(1), run(100 + n), ms(60_000));
    }
    assert_eq!(ledger.agents(ms(60_001)).len(), INSTANCES_PER_AGENT_MAX);
    assert_eq!(ledger.board(ms(60_001), at(9), Some(ms(60_000))).state, BoardState::PartiallyEnforced);
    assert_eq!(ledger.board(ms(60_000 + FENCE_MS), at(9), Some(ms(60_000))).state, BoardState::Enforced);
}

#[test]
fn lanes_and_durability_are_told_apart() {
    let mut ledger = ledger(1);
    let mut durable = report(1, 1, 2, 4);
    durable.durable = durable.applied;
    ledger.handle_report(ms(60_100), durable);
    assert_eq!(statuses(&ledger, ms(60_101), at(4), ms(60_050)), [Status::Durable]);
    let grant = Placed { lane: GRANT, target: None, ..at(4) };
    assert!(matches!(statuses(&ledger, ms(60_101), grant, ms(60_050))[0], Status::Lagging { .. }));
}

/// S5: what one run had on disk, a later one must begin with; if not, its store was lost or put back.
#[test]
fn s5_a_run_below_what_the_agent_acknowledged_as_durable_shows_regressed() {
    let mut ledger = ledger(1);
    let durable = |instance, sequence, revision| {
        let mut report = report(1, instance, sequence, revision);
        report.durable = report.applied;
        report
    };
    ledger.handle_report(ms(60_100), durable(1, 2, 7));
    let outcome = ledger.handle_report(ms(70_000), durable(8, 1, 7));
    assert_eq!(outcome.alarm, None, "restarted with its store");
    let outcome = ledger.handle_report(ms(80_000), durable(9, 1, 6));
    assert_eq!((outcome.alarm, outcome.has_regressed), (Some(Alarm::Regressed), false));
    let board = ledger.board(ms(80_001), at(7), Some(ms(60_050)));
    assert!(board.rows.iter().all(|row| row.alarm == Some(Alarm::Regressed)), "{board:?}");
}

/// An agent without a store acknowledges nothing as durable, so a new run may begin anywhere.
#[test]
fn a_memory_only_agent_may_start_over() {
    let mut ledger = ledger(1);
    ledger.handle_report(ms(60_100), report(1, 1, 2, 7));
    assert_eq!(ledger.handle_report(ms(70_000), report(1, 8, 1, 0)).alarm, None);
}
