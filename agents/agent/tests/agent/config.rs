use rescind_agent::{AgentConfig, ConfigError};
use rescind_token::{Algorithm, IssuerPolicyInput, JwksSource};

use crate::realm::{ISSUER, Realm};

const NATS: &str = "nats://127.0.0.1:4222";

fn fields(error: &ConfigError) -> Vec<&str> {
    error.mistakes.iter().map(|mistake| mistake.field.as_str()).collect()
}

fn parse(realm: &Realm, text: &str) -> Result<AgentConfig, ConfigError> {
    AgentConfig::parse(text, realm.folder())
}

fn refused(realm: &Realm, text: &str) -> ConfigError {
    parse(realm, text).map(|_| ()).unwrap_err()
}

#[test]
fn the_file_of_the_documentation_is_taken() {
    let realm = Realm::new();
    let config = parse(&realm, &realm.toml(NATS, "jwks.json")).unwrap();
    assert_eq!((config.agent_id(), config.service(), config.realm()), ("payments-1", "payments", "test"));
}

#[test]
fn a_file_is_loaded_with_paths_relative_to_it() {
    let realm = Realm::new();
    let path = realm.path("agent.toml");
    std::fs::write(&path, realm.toml(NATS, "https://idp.example/jwks.json")).unwrap();
    AgentConfig::load(&path).unwrap();
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let error = AgentConfig::load(std::path::Path::new("/nowhere/agent.toml")).map(|_| ()).unwrap_err();
    assert!(error.to_string().contains("/nowhere/agent.toml"), "{error}");
}

#[test]
fn code_and_file_give_the_same() {
    let realm = Realm::new();
    let jwks = JwksSource::File("jwks.json".into());
    let config = AgentConfig::builder("payments-1", "payments")
        .realm_file(realm.path("realm.json"))
        .trust_file(realm.path("trust.json"))
        .key_file(realm.path("agent-1.key"))
        .nats_url(NATS)
        .stale("strict(5s)")
        .stale_action("refund:*", "strict(2s)")
        .issuer(IssuerPolicyInput::new(ISSUER, jwks, &[Algorithm::Es256], &["payments"]))
        .build()
        .unwrap();
    assert_eq!(config.agent_id(), "payments-1");
}

#[test]
fn every_mistake_is_reported_at_once() {
    let realm = Realm::new();
    let text = r#"
agent_id = "pay ments"
service = ""
realm_file = "realm.json"
trust_file = "nowhere.json"
stale = "strict(1s)"
token_cache_slots = 0
report_every_ms = 1
[[stale_actions]]
action = "ref*und"
policy = "sometimes"
[nats]
url = "http://user:hunter2@127.0.0.1"
nkey_file = "nowhere.nk"
cert_file = "realm.json"
[[issuers]]
issuer = ""
algorithms = ["HS256"]
leeway_s = 900
"#;
    let error = refused(&realm, text);
    let expected = [
        "agent_id",
        "service",
        "trust_file",
        "key_file",
        "stale",
        "token_cache_slots",
        "report_every_ms",
        "stale_actions[0].action",
        "stale_actions[0].policy",
        "nats.url",
        "nats.nkey_file",
        "nats.cert_file",
        "issuers[0].leeway_s",
        "issuers[0].jwks",
    ];
    for field in expected {
        assert!(fields(&error).contains(&field), "{field} is missing in {error}");
    }
    assert!(!error.to_string().contains("hunter2"), "{error}");
}

#[test]
fn an_empty_file_names_what_is_needed() {
    let realm = Realm::new();
    let error = refused(&realm, "");
    for field in ["agent_id", "service", "realm_file", "trust_file", "key_file", "nats.url", "issuers"] {
        assert!(fields(&error).contains(&field), "{field} is missing in {error}");
    }
}

#[test]
fn an_unknown_field_is_a_mistake_and_shows_no_content() {
    let realm = Realm::new();
    let text = format!("secret_word = \"hunter2\"\n{}", realm.toml(NATS, "jwks.json"));
    let error = refused(&realm, &text).to_string();
    assert!(error.contains("secret_word") && !error.contains("hunter2"), "{error}");
}

#[test]
fn the_key_of_another_agent_is_refused() {
    let realm = Realm::new();
    let text = realm.toml(NATS, "jwks.json").replace("agent-1.key", "agent-2.key");
    let error = refused(&realm, &text);
    assert_eq!(fields(&error), ["key_file"]);
    assert!(error.to_string().contains("payments-2"), "{error}");
}

#[test]
fn a_key_file_with_another_content_is_refused_without_showing_it() {
    let realm = Realm::new();
    std::fs::write(realm.path("agent-1.key"), "correct horse battery staple").unwrap();
    let error = refused(&realm, &realm.toml(NATS, "jwks.json"));
    assert_eq!(fields(&error), ["key_file"]);
    assert!(!format!("{error} {error:?}").contains("horse"), "{error}");
}

#[test]
fn debug_shows_no_key() {
    let realm = Realm::new();
    let shown = format!("{:?}", parse(&realm, &realm.toml(NATS, "jwks.json")).unwrap());
    assert!(shown.contains("payments-1") && !shown.contains("key"), "{shown}");
}
