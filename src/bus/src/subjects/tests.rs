use super::*;

fn subjects() -> Subjects {
    Subjects::new("acme").unwrap()
}

#[test]
fn every_name_is_below_the_realm() {
    let s = subjects();
    assert_eq!(s.log("deny").unwrap(), "rescind.v1.acme.log.deny");
    assert_eq!(s.live("grant.0").unwrap(), "rescind.v1.acme.live.grant.0");
    assert_eq!(s.log_all(), "rescind.v1.acme.log.>");
    assert_eq!(s.lease(), "rescind.v1.acme.lease");
    assert_eq!(s.report("a-1").unwrap(), "rescind.v1.acme.agent.a-1.report");
    assert_eq!(s.tail("a-1").unwrap(), "rescind.v1.acme.agent.a-1.tail");
    assert_eq!((s.stream(), s.bucket()), ("RESCIND_acme".into(), "RESCIND_acme_SNAPSHOTS".into()));
}

#[test]
fn names_that_would_widen_a_subject_are_refused() {
    let long = "x".repeat(TOKEN_BYTES_MAX + 1);
    for wrong in ["", "a.b", "*", ">", "a b", "a\r\nPUB x", "ü", &long] {
        assert!(Subjects::new(wrong).is_err(), "{wrong}");
        assert!(subjects().report(wrong).is_err(), "{wrong}");
        assert!(subjects().tail(wrong).is_err(), "{wrong}");
        assert!(inbox_prefix(wrong).is_err(), "{wrong}");
    }
    for wrong in ["", ".", "a.", ".a", "a..b", "a.*", "a.b.c.d.e", ">"] {
        assert!(subjects().log(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn an_error_never_carries_raw_input() {
    let text = Subjects::new("a\r\nb").unwrap_err().to_string();
    assert!(!text.contains('\n') && text.contains("a\\r\\nb"), "{text}");
}

#[test]
fn lanes_and_agents_are_read_back_from_their_own_realm_only() {
    let s = subjects();
    assert_eq!(s.lane_of("rescind.v1.acme.live.grant.0"), Some("grant.0"));
    assert_eq!(s.lane_of("rescind.v1.other.live.deny"), None);
    assert_eq!(s.lane_of("rescind.v1.acme.log.deny"), None);
    assert_eq!(s.agent_of("rescind.v1.acme.agent.a-1.report"), Some("a-1"));
    assert_eq!(s.agent_of("rescind.v1.acme.agent.a-1.tail"), None);
    assert_eq!(s.agent_of_tail("rescind.v1.acme.agent.a-1.tail"), Some("a-1"));
    assert_eq!(s.agent_of_tail("rescind.v1.acme.agent.a.b.tail"), None);
    assert_eq!(s.agent_of("rescind.v1.acme.agent.a.b.report"), None);
    assert_eq!(s.agent_of("rescind.v1.acme.agent..report"), None);
}
