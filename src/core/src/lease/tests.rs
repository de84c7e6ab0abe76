use super::*;

fn lease() -> Lease {
    Lease {
        asked_at: BootNs(1_000_000_000),
        granted_at: BootNs(1_010_000_000),
        controller_time: UnixMs(5_000),
        length: Duration::from_secs(5),
    }
}

#[test]
fn s1_the_lease_is_anchored_at_the_question_and_shrunk_by_the_rate_error() {
    let until = lease().fresh_until(Duration::from_secs(5));
    assert!(until.since(BootNs(1_000_000_000)) < Duration::from_millis(4_976));
    assert!(until.since(BootNs(1_000_000_000)) > Duration::from_millis(4_975));
    assert!(lease().fresh_until(Duration::from_secs(2)) < until);
    assert_eq!(lease().fresh_until(Duration::from_secs(60)), until, "a policy never outlives the lease");
}

#[test]
fn s15_controller_time_is_an_interval_that_holds_the_truth() {
    let now = BootNs(3_010_000_000);
    // The stamp was made between question and answer, so the truth is 2,000 to 2,010 ms after it.
    assert!(lease().earliest(now) <= UnixMs(7_000));
    assert!(lease().latest(now) >= UnixMs(7_010));
    assert!(lease().latest(now).0 - lease().earliest(now).0 < 50);
}

#[test]
fn a_controller_that_is_behind_says_where_it_stands() {
    for behind in [
        Behind { lane: Lane::Deny, at: Position::new(1, 4) },
        Behind { lane: Lane::Grant(0), at: Position::new(3, 0) },
    ] {
        assert_eq!(behind.to_string().parse(), Ok(behind));
    }
    assert_eq!(Behind { lane: Lane::Deny, at: Position::new(1, 4) }.to_string(), "behind deny 1-4");
    for text in [
        "",
        "behind",
        "behind deny",
        "behind deny 4",
        "behind wide 1-4",
        "behind deny 1-4-5",
        "ahead deny 1-4",
    ] {
        assert_eq!(text.parse::<Behind>(), Err(BehindError), "{text:?}");
    }
}
