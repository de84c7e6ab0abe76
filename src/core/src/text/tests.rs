use super::*;

#[test]
fn d15_blank_and_wildcards_are_rejected() {
    for blank in ["", " ", "\t\n"] {
        assert_eq!(check_id("user", blank), Err(TextError::Blank { what: "user" }));
    }
    for wild in ["*", "al*", "a?b", "https://idp/*"] {
        assert!(matches!(check_id("user", wild), Err(TextError::Wildcard { .. })), "{wild}");
    }
    assert!(check_id("user", "al ice").is_ok());
}

#[test]
fn ends_controls_and_length_are_rejected() {
    assert!(matches!(check_id("user", " x"), Err(TextError::Unprintable { .. })));
    assert!(matches!(check_id("user", "a\u{0}b"), Err(TextError::Unprintable { .. })));
    assert!(matches!(check_id("user", &"x".repeat(ID_BYTES_MAX + 1)), Err(TextError::TooLong { .. })));
    assert!(check_id("user", &"x".repeat(ID_BYTES_MAX)).is_ok());
}

#[test]
fn names_are_narrower_than_ids() {
    assert!(check_name("service", "payments-eu_1.a").is_ok());
    assert!(matches!(check_name("service", "pay ments"), Err(TextError::NotAName { .. })));
    assert!(matches!(check_name("service", "päy"), Err(TextError::NotAName { .. })));
}
