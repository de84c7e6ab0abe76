use super::*;

#[test]
fn actions_are_exact_or_a_prefix() {
    assert!(action_covers(b"refund:create", b"refund:create"));
    assert!(!action_covers(b"refund:create", b"refund:creates"));
    assert!(action_covers(b"refund:*", b"refund:create"));
    assert!(!action_covers(b"refund:*", b"refunds:create"));
    assert!(action_covers(b"*", b"x"));
    assert!(!action_covers(b"*", b"") && !action_covers(b"", b""));
}

#[test]
fn resources_are_exact_or_below_a_path() {
    assert!(resource_covers(b"/orders/17", b"/orders/17"));
    assert!(!resource_covers(b"/orders/17", b"/orders/17/items"));
    assert!(resource_covers(b"/orders/*", b"/orders/17/items"));
    assert!(!resource_covers(b"/orders/*", b"/orders/"));
    assert!(!resource_covers(b"/orders/*", b"/ordersx/1"));
    for tricky in ["/orders/../admin", "/orders/./x", "/orders//x", "/orders/x/.."] {
        assert!(!resource_covers(b"/orders/*", tricky.as_bytes()), "{tricky}");
    }
    assert!(resource_covers(b"/orders/*", b"/orders/..x"));
}

#[test]
fn misplaced_wildcards_and_blanks_are_rejected() {
    for bad in ["", " ", "a*", "a:*:b", ":*", "*:a", "a:**"] {
        assert!(ActionPattern::new(bad).is_err(), "{bad}");
    }
    for bad in ["", "/*x", "/*", "a*", "/a/*/b"] {
        assert!(ResourcePattern::new(bad).is_err(), "{bad}");
    }
    for good in ["/orders/*", "doc:17", "*"] {
        assert!(ResourcePattern::new(good).is_ok(), "{good}");
    }
}

#[test]
fn a_user_needs_an_issuer() {
    assert!(matches!("user:u1".parse::<Holder>(), Err(EntitlementError::NoIssuer { .. })));
    let user = Holder::parse("user:u1", Some("https://idp.example")).unwrap();
    assert_eq!(user.to_string(), "user:https://idp.example#u1");
    assert!("role:".parse::<Holder>().is_err() && "role:*".parse::<Holder>().is_err());
}
