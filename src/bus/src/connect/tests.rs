use super::*;

#[test]
fn the_first_attempt_is_at_once_and_later_ones_are_spread() {
    assert_eq!(reconnect_pause(1, RECONNECT_PAUSE_MAX, 0.9), Duration::ZERO);
    assert_eq!(reconnect_pause(2, RECONNECT_PAUSE_MAX, 1.0), RECONNECT_PAUSE_FIRST);
    assert_eq!(reconnect_pause(3, RECONNECT_PAUSE_MAX, 0.5), RECONNECT_PAUSE_FIRST);
    assert_eq!(reconnect_pause(usize::MAX, RECONNECT_PAUSE_MAX, 1.0), RECONNECT_PAUSE_MAX);
    assert_eq!(reconnect_pause(50, RECONNECT_PAUSE_MAX, 0.0), Duration::ZERO);
    assert!((0..100).map(|_| random_fraction()).all(|f| (0.0..1.0).contains(&f)));
}

#[test]
fn an_address_is_shown_without_its_password() {
    let urls = ["nats://user:hunter2@host:4222".to_owned(), "host:4222".to_owned()];
    assert_eq!(shown(&urls), "`nats://host:4222`, `nats://host:4222`");
}

#[test]
fn secrets_do_not_show() {
    let credentials = Credentials::NkeySeed(Secret::new("SUAM\n".to_owned()));
    assert!(!format!("{credentials:?}").contains("SUAM"));
}

#[test]
fn only_user_seeds_are_taken() {
    let account = nkeys::KeyPair::new_account().seed().unwrap();
    for seed in [account.as_str(), "", "SUAM"] {
        assert!(matches!(nkey_options(Secret::new(seed.to_owned())), Err(ConnectError::Seed)));
    }
    assert!(nkey_options(Secret::new(nkeys::KeyPair::new_user().seed().unwrap())).is_ok());
}

#[test]
fn a_seed_file_is_bounded_and_must_hold_text() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("seed");
    assert!(matches!(Secret::from_file(&path), Err(SecretError::Read { .. })));
    for wrong in [String::new(), "\n".to_owned(), "x".repeat(5000)] {
        std::fs::write(&path, wrong).unwrap();
        assert!(matches!(Secret::from_file(&path), Err(SecretError::Content { .. })));
    }
    std::fs::write(&path, "SUAM\n").unwrap();
    assert_eq!(Secret::from_file(&path).unwrap().expose(), "SUAM");
}
