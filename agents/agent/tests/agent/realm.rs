//! A realm on disk: root, one controller, two agents.

use std::path::{Path, PathBuf};

use rescind_codec::{Identity, KeyCert, RealmPin, SecretKey, TrustBundle, issue_cert};
use rescind_core::ids::{AgentId, ChainId, ControllerId};
use rescind_core::time::UnixMs;

pub(crate) const ISSUER: &str = "https://idp.example";

pub(crate) struct Realm {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) pin: RealmPin,
    pub(crate) trust: TrustBundle,
    pub(crate) controller: SecretKey,
}

impl Realm {
    pub(crate) fn new() -> Self {
        let root = SecretKey::from_seed([1; 32]);
        let controller = SecretKey::from_seed([2; 32]);
        let agents = [SecretKey::from_seed([3; 32]), SecretKey::from_seed([4; 32])];
        let pin = RealmPin::new("test", ChainId::new("test.1").unwrap(), root.public()).unwrap();
        let cert = |identity, key: &SecretKey| {
            let (not_before, not_after) = (UnixMs(0), UnixMs(4_000_000_000_000));
            issue_cert(&root, &pin, &KeyCert { identity, key: key.public(), not_before, not_after })
        };
        let certs = [
            cert(Identity::Controller(ControllerId::new("c1").unwrap()), &controller),
            cert(Identity::Agent(AgentId::new("payments-1").unwrap()), &agents[0]),
            cert(Identity::Agent(AgentId::new("payments-2").unwrap()), &agents[1]),
        ];
        let trust = TrustBundle::new(&pin, certs).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
        write("realm.json", &pin.to_json());
        write("trust.json", &trust.to_json());
        write("agent-1.key", &agents[0].to_text());
        write("agent-2.key", &agents[1].to_text());
        Self { dir, pin, trust, controller }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn folder(&self) -> &Path {
        self.dir.path()
    }

    /// A configuration file that is right.
    pub(crate) fn toml(&self, nats_url: &str, jwks: &str) -> String {
        format!(
            r#"
agent_id = "payments-1"
service = "payments"
realm_file = "realm.json"
trust_file = "trust.json"
key_file = "agent-1.key"
store_dir = "store"
stale = "strict(2s)"

[nats]
url = "{nats_url}"

[[issuers]]
issuer = "{ISSUER}"
jwks = "{jwks}"
algorithms = ["ES256"]
audiences = ["payments"]
"#
        )
    }
}
