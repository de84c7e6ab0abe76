//! Tests of the strict reader.

use super::*;

#[test]
fn reads_borrowed_members() {
    let object = parse_object(br#"{"a":"x","b":[1,2.5,null,true],"c":{"d":-3}}"#).unwrap();
    assert!(matches!(object.get("a"), Some(Node::Text(Cow::Borrowed("x")))));
    assert_eq!(
        object.get("b"),
        Some(&Node::List(vec![Node::Int(1), Node::Float(2.5), Node::Null, Node::Bool]))
    );
    let Some(Node::Object(inner)) = object.get("c") else { panic!("no inner object") };
    assert_eq!(inner.get("d"), Some(&Node::Int(-3)));
    assert!(!object.contains("e"));
}

#[test]
fn refuses_duplicates_at_every_depth_and_through_escapes() {
    for text in [
        r#"{"a":1,"a":1}"#,
        r#"{"a":1,"\u0061":1}"#,
        r#"{"x":{"a":1,"b":2,"a":3}}"#,
        r#"{"x":[{"a":1,"a":2}]}"#,
    ] {
        assert_eq!(parse_object(text.as_bytes()), Err(JsonFault::DuplicateMember), "{text}");
    }
}

#[test]
fn refuses_what_is_not_one_object() {
    assert_eq!(parse_object(b"[1]"), Err(JsonFault::NotObject));
    assert_eq!(parse_object(b"\"a\""), Err(JsonFault::NotObject));
    for text in
        [&b""[..], b"{", b"{}{}", b"{} x", b"{'a':1}", b"{\"a\":1,}", b"\xEF\xBB\xBF{}", b"{\"\xFF\":1}"]
    {
        assert_eq!(parse_object(text), Err(JsonFault::Syntax));
    }
}

#[test]
fn limits_members_and_depth() {
    let object = |count: usize| {
        let members: Vec<String> = (0..count).map(|i| format!("\"m{i}\":0")).collect();
        format!("{{{}}}", members.join(","))
    };
    assert!(parse_object(object(MEMBERS_MAX).as_bytes()).is_ok());
    assert_eq!(parse_object(object(MEMBERS_MAX + 1).as_bytes()), Err(JsonFault::TooManyMembers));

    let nested = |depth: usize| format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth));
    assert!(parse_object(nested(usize::from(DEPTH_MAX)).as_bytes()).is_ok());
    assert_eq!(parse_object(nested(usize::from(DEPTH_MAX) + 1).as_bytes()), Err(JsonFault::TooDeep));
}
