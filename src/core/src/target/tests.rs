use super::*;
use proptest::prelude::*;

#[test]
fn typed_targets_round_trip() {
    let hash = format!("token:sha256:{}", "0f".repeat(32));
    for text in [
        "token:https://idp.example#j-1",
        &hash,
        "session:https://idp.example#s#1",
        "user:u-1",
        "user:https://idp.example#u-1",
        "key:https://idp.example#h1",
        "client:chatbot",
        "tenant:t1",
        "service:payments",
        "all",
    ] {
        assert_eq!(text.parse::<Target>().unwrap().to_string(), text);
    }
}

#[test]
fn d15_blank_wildcard_and_half_targets_are_rejected() {
    for text in [
        "",
        "user",
        "user:",
        "user: ",
        "user:al*",
        "user:#u",
        "user:iss#",
        "token:j1",
        "token:#j",
        "token:i#",
        "session:x",
        "key:k",
        "client:",
        "tenant:?",
        "service:a b",
        "service:",
        "All",
        "ALL",
        "*",
        "all ",
        "role:x",
        "token:sha256:00",
        "token:sha256:",
    ] {
        assert!(text.parse::<Target>().is_err(), "`{text}` was accepted");
    }
    assert_eq!("token:j1".parse::<Target>(), Err(TargetError::NoIssuer { kind: "token" }));
}

proptest! {
    #[test]
    fn parsing_is_total_and_what_parses_round_trips(text in ".{0,60}") {
        if let Ok(target) = text.parse::<Target>() {
            prop_assert_eq!(target.to_string().parse::<Target>().unwrap(), target);
        }
    }
}
