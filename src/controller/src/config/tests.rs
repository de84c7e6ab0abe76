use rescind_codec::{Identity, KeyCert, issue_cert};
use rescind_core::ids::{ChainId, ControllerId};
use rescind_core::time::UnixMs;

use super::*;

/// A folder with everything that a configuration names.
fn folder() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let root = SecretKey::from_seed([1; 32]);
    let key = SecretKey::from_seed([2; 32]);
    let pin = RealmPin::new("prod", ChainId::new("prod.1").unwrap(), root.public()).unwrap();
    let identity = Identity::Controller(ControllerId::new("c1").unwrap());
    let (not_before, not_after) = (UnixMs(0), UnixMs(i64::MAX / 2));
    let cert = issue_cert(&root, &pin, &KeyCert { identity, key: key.public(), not_before, not_after });
    let trust = TrustBundle::new(&pin, [cert]).unwrap();
    std::fs::write(dir.path().join("realm.json"), pin.to_json()).unwrap();
    std::fs::write(dir.path().join("trust.json"), trust.to_json()).unwrap();
    std::fs::write(dir.path().join("controller.key"), key.to_text().as_bytes()).unwrap();
    dir
}

const GOOD: &str = r#"
controller_id = "c1"
listen = "127.0.0.1:0"
realm_file = "realm.json"
trust_file = "trust.json"
key_file = "controller.key"
data_dir = "data"
default_issuer = "https://idp.example"
lease = "5s"
snapshot_keep = 4
[nats]
url = "nats://127.0.0.1:4222"
[stream]
replicas = 3
max_age = "7d"
[[emitters]]
name = "hr"
token_sha256 = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
allow = ["disable", "reinstate"]
rung_max = 5
per_minute = 600
burst = 50
[[issuers]]
issuer = "https://idp.example"
token_lifetime_max = "1h"
"#;

#[test]
fn a_good_file_is_taken_as_it_is() {
    let dir = folder();
    let path = dir.path().join("controller.toml");
    std::fs::write(&path, GOOD).unwrap();
    let config = ControllerConfig::load(&path).unwrap();
    assert_eq!(config.controller_id.as_str(), "c1");
    assert_eq!(config.data_dir, dir.path().join("data"));
    assert_eq!(config.stream.max_age, Some(Duration::from_secs(7 * 86_400)));
    assert_eq!(config.stream.replicas, Replicas::Three);
    assert_eq!(config.lease, Duration::from_secs(5));
    let hr = config.emitters.first().unwrap();
    assert_eq!((hr.rights.rung_max, hr.rights.words.iter().count()), (5, 2));
    assert_eq!(hr.budget, Some(Budget { per_minute: 600, burst: 50 }));
    let mut retention = Retention::default();
    retention.declare("https://idp.example", Duration::from_secs(3_600));
    assert_eq!((config.retention, config.snapshot_keep), (retention, 4));
    assert!(!format!("{:?}", config.emitters).contains("112233"), "no hash of a token in a debug text");
}

#[test]
fn every_mistake_is_reported_at_once() {
    let dir = folder();
    let text = r#"
controller_id = "c 1"
listen = "here"
realm_file = "missing.json"
trust_file = "trust.json"
data_dir = 7
lease = "1s"
lisen = "x"
[nats]
url = "http://127.0.0.1"
nkey_file = "none.nk"
cert_file = "c.pem"
[stream]
replicas = 2
max_age = "soon"
max_agee = "7d"
[[emitters]]
name = "hr"
token_sha256 = "my-secret-token"
allow = ["disable", "destroy"]
rung_max = 17
"#;
    let error = ControllerConfig::parse(text, dir.path()).unwrap_err();
    let shown = error.to_string();
    for field in [
        "`controller_id`",
        "`listen`",
        "`realm_file`: cannot read",
        "`key_file`: it is missing",
        "`data_dir`: it must be a text",
        "`lease`",
        "`lisen`: there is no such setting",
        "`nats.url`",
        "`nats.nkey_file`",
        "`nats.cert_file`: there is no file",
        "`nats.client_key_file`",
        "`stream.replicas`",
        "`stream.max_age`: `soon`",
        "`stream.max_agee`",
        "`emitters[0].token_sha256`",
        "`emitters[0].allow`: `destroy` is no command",
        "`emitters[0].rung_max`",
    ] {
        assert!(shown.contains(field), "{field} is missing in: {shown}");
    }
    assert!(!shown.contains("my-secret-token"), "{shown}");
    assert!(error.mistakes().len() >= 17);
}

#[test]
fn a_key_of_somebody_else_and_doubled_emitters_are_refused() {
    let dir = folder();
    let text = GOOD.replace("\"c1\"", "\"c2\"");
    let error = ControllerConfig::parse(&text, dir.path()).unwrap_err().to_string();
    assert!(error.contains("certified as controller `c1`"), "{error}");
    let emitter = GOOD.split_once("[[emitters]]").unwrap().1;
    let error =
        ControllerConfig::parse(&format!("{GOOD}[[emitters]]{emitter}"), dir.path()).unwrap_err().to_string();
    assert!(error.contains("`emitters[1].name`: `hr` is there twice"), "{error}");
    assert!(error.contains("`emitters[1].token_sha256`"), "{error}");
    let unknown = SecretKey::from_seed([9; 32]);
    std::fs::write(dir.path().join("controller.key"), unknown.to_text().as_bytes()).unwrap();
    let error = ControllerConfig::parse(GOOD, dir.path()).unwrap_err().to_string();
    assert!(error.contains("`key_file`: the key cannot be used"), "{error}");
}

#[test]
fn what_is_no_toml_is_named_by_line_without_its_text() {
    let error = ControllerConfig::parse("a = 1\nsecret = \"x", Path::new("")).unwrap_err();
    let text = error.to_string();
    assert!(text.starts_with("the configuration is not TOML: line 2"), "{text}");
    assert!(!text.contains("secret"), "{text}");
    let error = ControllerConfig::load(Path::new("/nowhere/controller.toml")).unwrap_err();
    assert!(matches!(error, ConfigError::Read { .. }));
}

#[test]
fn budgets_lifetimes_and_snapshots_have_limits() {
    let dir = folder();
    let bad = GOOD
        .replace("per_minute = 600\n", "")
        .replace("token_lifetime_max = \"1h\"", "token_lifetime_max = \"900d\"")
        .replace("snapshot_keep = 4", "snapshot_keep = 1");
    let error = ControllerConfig::parse(&bad, dir.path()).unwrap_err();
    let fields: Vec<_> = error.mistakes().iter().map(|mistake| mistake.field.as_str()).collect();
    assert_eq!(fields, ["snapshot_keep", "issuers[0].token_lifetime_max", "emitters[0].burst"]);
}
