use super::*;

fn user(name: &str, role: Role) -> BusUser {
    BusUser { name: name.into(), role, nkey_public: nkeys::KeyPair::new_user().public_key() }
}

fn config(users: Vec<BusUser>) -> ServerConfig {
    ServerConfig {
        subjects: Subjects::new("acme").unwrap(),
        users,
        listen: Some("127.0.0.1:4222".into()),
        store_dir: "/var/lib/rescind/nats".into(),
        max_store_bytes: Some(1 << 30),
        max_payload_bytes: 1 << 20,
        tls: None,
    }
}

#[test]
fn an_agent_gets_exactly_its_subjects() {
    let text = config(vec![user("a-1", Role::Agent)]).render().unwrap();
    let lines: Vec<_> = text.lines().map(str::trim).collect();
    assert!(lines.contains(
        &"publish: { allow: [\"rescind.v1.acme.lease\", \"rescind.v1.acme.repair\", \"rescind.v1.acme.snapshot\", \
          \"rescind.v1.acme.agent.a-1.report\", \"rescind.v1.acme.agent.a-1.tail\"] }"
    ));
    assert!(lines.contains(&"subscribe: { allow: [\"rescind.v1.acme.live.>\", \"_INBOX_a-1.>\"] }"));
    assert!(!text.contains("$JS") && !text.contains("allow_responses"));
}

#[test]
fn no_controller_can_delete_purge_or_change_the_stream() {
    let text = config(vec![user("c", Role::Controller)]).render().unwrap();
    for call in
        ["STREAM.DELETE", "STREAM.UPDATE", "STREAM.MSG.DELETE", "STREAM.PURGE.RESCIND_acme", "$JS.API.>"]
    {
        assert!(!text.contains(call), "{call}");
    }
    assert!(text.contains("allow_responses: { max: 4097"));
}

#[test]
fn the_server_settings_are_there() {
    let text = config(Vec::new()).render().unwrap();
    for setting in [
        "sync_interval: always",
        "store_dir: \"/var/lib/rescind/nats\"",
        "max_payload: 1048576",
        "max_pending: 16MB",
        "write_deadline: \"5s\"",
        "ping_interval: \"10s\"",
        "ping_max: 2",
        "max_subscriptions: 64",
        "listen: \"127.0.0.1:4222\"",
    ] {
        assert!(text.lines().any(|line| line.trim() == setting), "`{setting}` is missing in:\n{text}");
    }
}

#[test]
fn wrong_users_are_refused() {
    let good = user("a", Role::Agent);
    let account = nkeys::KeyPair::new_account().public_key();
    let key = |nkey_public: &str| BusUser { nkey_public: nkey_public.into(), ..good.clone() };
    for wrong in ["", "UABC", account.as_str()] {
        assert!(matches!(config(vec![key(wrong)]).render(), Err(RenderError::Key { .. })), "{wrong}");
    }
    let other_key = user("a", Role::Agent);
    let other_name = BusUser { name: "b".into(), ..good.clone() };
    for second in [other_key, other_name] {
        let twice = config(vec![good.clone(), second]).render();
        assert!(matches!(twice, Err(RenderError::Duplicate { .. })));
    }
    let wide = config(vec![BusUser { name: ">".into(), ..good }]).render();
    assert!(matches!(wide, Err(RenderError::Name(_))));
}

#[test]
fn text_cannot_break_out_of_its_quotes() {
    let wrong = ServerConfig { store_dir: "/a\" }".into(), ..config(Vec::new()) };
    assert!(matches!(wrong.render(), Err(RenderError::Text { .. })));
}
