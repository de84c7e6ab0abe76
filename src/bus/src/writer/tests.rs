use super::*;

fn answer(json: &str) -> Message {
    Message {
        subject: "r".into(),
        reply: None,
        payload: Bytes::copy_from_slice(json.as_bytes()),
        headers: None,
        status: None,
        description: None,
        length: 0,
    }
}

fn error(status: u16, code: u16, text: &str) -> Result<Stored, PublishError> {
    let json = format!(r#"{{"error":{{"code":{status},"err_code":{code},"description":"{text}"}}}}"#);
    judge(&answer(&json), "deny", Some(3))
}

#[test]
fn an_acknowledgement_is_stored() {
    let stored = judge(&answer(r#"{"stream":"S","seq":7,"duplicate":true}"#), "deny", None).unwrap();
    assert_eq!(stored, Stored { sequence: 7, duplicate: true });
}

#[test]
fn a_wrong_sequence_is_a_conflict_that_names_what_is_there() {
    let conflict = error(400, 10071, "wrong last sequence: 9").unwrap_err();
    assert_eq!(conflict, PublishError::Conflict { lane: "deny".into(), expected: 3, found: Some(9) });
    let unnamed = error(400, 10164, "wrong last sequence").unwrap_err();
    assert!(matches!(unnamed, PublishError::Conflict { found: None, .. }));
}

#[test]
fn only_a_definite_no_is_a_refusal() {
    let full = error(503, 10077, "maximum bytes exceeded").unwrap_err();
    assert!(matches!(full, PublishError::Refused { reason: RefusedReason::Full(_), .. }));
    let large = error(400, 10054, "message size exceeds maximum allowed").unwrap_err();
    assert!(matches!(large, PublishError::Refused { reason: RefusedReason::TooLarge(_), .. }));
    let ttl = error(400, 10166, "per-message ttl is disabled").unwrap_err();
    assert!(matches!(ttl, PublishError::Refused { reason: RefusedReason::Server(_), .. }));
    for unknown in [error(503, 10077, "write failed: input/output error"), error(503, 10008, "unavailable")] {
        assert!(matches!(unknown, Err(PublishError::Indeterminate { .. })));
    }
    let garbage = judge(&answer("{"), "deny", None);
    assert!(matches!(garbage, Err(PublishError::Indeterminate { .. })));
}

#[test]
fn headers_carry_expectation_id_and_whole_seconds() {
    let mut what = Publication {
        lane: "deny",
        bytes: Bytes::new(),
        expected_last: Some(0),
        message_id: "id-1",
        ttl: Some(Duration::from_millis(1_200)),
        deadline: Duration::ZERO,
    };
    let made = headers(&what, "S".into()).unwrap();
    assert_eq!(made.get(NATS_EXPECTED_LAST_SUBJECT_SEQUENCE).unwrap().as_str(), "0");
    assert_eq!(made.get(NATS_MESSAGE_TTL).unwrap().as_str(), "2s");
    let long = "x".repeat(MESSAGE_ID_BYTES_MAX + 1);
    for wrong in ["", "a b", "a\r\nNats-TTL: 1s", &long] {
        what.message_id = wrong;
        assert!(headers(&what, "S".into()).is_err(), "{wrong}");
    }
}

#[test]
fn s13_an_acknowledgement_on_another_connection_proves_nothing() {
    let on = |server: &str, client| Connection { server: server.to_owned(), client };
    let stored = || Ok(Stored { sequence: 7, duplicate: false });
    let same = on_one_connection(stored(), &on("A", 4), &on("A", 4), "deny");
    assert_eq!(same, stored());
    for after in [on("A", 5), on("B", 4)] {
        let outcome = on_one_connection(stored(), &on("A", 4), &after, "deny");
        assert!(matches!(outcome, Err(PublishError::Indeterminate { .. })), "{after:?}: {outcome:?}");
    }
    let conflict = Err(PublishError::Conflict { lane: "deny".into(), expected: 3, found: Some(9) });
    let kept = on_one_connection(conflict.clone(), &on("A", 4), &on("B", 1), "deny");
    assert_eq!(kept, conflict, "a definite no is one on every connection");
}
