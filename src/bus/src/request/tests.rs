use async_nats::HeaderValue;

use super::*;

fn ask(parts_max: usize, bytes_max: usize) -> Parts {
    let part_timeout = Duration::from_secs(1);
    Parts { subject: "s".into(), payload: Bytes::new(), parts_max, bytes_max, part_timeout }
}

fn message(header: &str, value: &str, payload: &'static str) -> Message {
    let mut headers = HeaderMap::new();
    headers.insert(header, HeaderValue::from(value));
    Message {
        subject: "r".into(),
        reply: None,
        payload: Bytes::from_static(payload.as_bytes()),
        headers: Some(headers),
        status: None,
        description: None,
        length: 0,
    }
}

fn assembly(ask: &Parts) -> Assembly<'_> {
    Assembly { ask, server: None, parts: Vec::new(), bytes: 0 }
}

#[test]
fn parts_of_the_first_server_are_taken_in_order() {
    let ask = ask(9, 99);
    let mut answer = assembly(&ask);
    assert!(!answer.take(message(PART_HEADER, "a 0", "x")).unwrap());
    assert!(!answer.take(message(PART_HEADER, "b 0", "other")).unwrap());
    assert!(!answer.take(message(END_HEADER, "b 1", "")).unwrap());
    assert!(!answer.take(message(PART_HEADER, "a 1", "y")).unwrap());
    assert!(!answer.take(message("Other", "a 2", "noise")).unwrap());
    assert!(answer.take(message(END_HEADER, "a 2", "")).unwrap());
    assert_eq!(answer.parts, [Bytes::from_static(b"x"), Bytes::from_static(b"y")]);
}

#[test]
fn a_missing_part_breaks_the_answer() {
    let ask = ask(9, 99);
    for second in [message(PART_HEADER, "a 2", ""), message(END_HEADER, "a 2", "")] {
        let mut answer = assembly(&ask);
        assert!(!answer.take(message(PART_HEADER, "a 0", "x")).unwrap());
        assert!(matches!(answer.take(second), Err(RequestError::Broken { .. })));
    }
}

#[test]
fn an_answer_is_bounded_in_parts_and_bytes() {
    for ask in [ask(1, 99), ask(9, 3)] {
        let mut answer = assembly(&ask);
        assert!(!answer.take(message(PART_HEADER, "a 0", "xy")).unwrap());
        let second = answer.take(message(PART_HEADER, "a 1", "zz"));
        assert!(matches!(second, Err(RequestError::TooLarge { .. })));
    }
}

#[test]
fn an_error_answer_is_cleaned() {
    let error = remote_error(&message(ERROR_HEADER, "409 no\u{1b}[31m", ""), "s").unwrap();
    assert!(matches!(error, RequestError::Remote { code: 409, ref text, .. } if text == "no?[31m"));
    assert!(remote_error(&message(PART_HEADER, "a 0", ""), "s").is_none());
    let long = remote_error(&message(ERROR_HEADER, &"9".repeat(9000), ""), "s").unwrap();
    assert!(matches!(long, RequestError::Remote { code: 0, .. }));
}
