use super::*;

#[test]
fn no_limit_is_the_same_in_both_spellings() {
    let (zero, minus) =
        (Config { max_bytes: 0, ..Config::default() }, Config { max_bytes: -1, ..Config::default() });
    assert_eq!(compare(&zero, &minus), []);
}

#[test]
fn every_difference_is_named_at_once() {
    let wanted = Config { deny_delete: true, num_replicas: 3, ..Config::default() };
    let found = Config { max_messages: 5, num_replicas: 1, ..Config::default() };
    let names: Vec<_> = compare(&wanted, &found).into_iter().map(|wrong| wrong.setting).collect();
    assert_eq!(names, ["num_replicas", "max_msgs", "deny_delete"]);
}

#[test]
fn a_mismatch_says_wanted_and_found() {
    let mismatches = vec![
        Mismatch { setting: "deny_delete", wanted: "true".into(), found: "false".into() },
        Mismatch { setting: "discard", wanted: "new".into(), found: "old".into() },
    ];
    let text = StreamError::Mismatch { stream: "S".into(), mismatches }.to_string();
    assert!(text.contains("deny_delete is false, must be true; discard is old, must be new"), "{text}");
}
