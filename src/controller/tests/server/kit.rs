//! A realm in a temporary folder, a nats-server of its own, and a small client.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use rescind_bus::permissions::{BusUser, Role as BusRole, ServerConfig};
use rescind_bus::{Bus, BusConfig, Credentials, Subjects};
use rescind_codec::{
    Identity, KeyCert, RealmPin, SecretKey, TrustBundle, decode_grant, encode_lease_request, encode_report,
    issue_cert,
};
use rescind_controller::{Controller, ControllerConfig, StartError};
use rescind_core::controller::rights::Rights;
use rescind_core::digest::StateDigest;
use rescind_core::ids::{AgentId, ChainId, ControllerId, EmitterId, InstanceId, ServiceName};
use rescind_core::lease::{LeaseGrant, LeaseRequest, Nonce};
use rescind_core::position::Heads;
use rescind_core::report::{Freshness, Report};
use rescind_core::time::UnixMs;
use rescind_natsd::{Config, JetStream, NatsProcess, Options, SyncPolicy, find_or_install};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// Longest wait for something that must happen.
pub(crate) const SOON: Duration = Duration::from_secs(20);

pub(crate) struct Realm {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) nats: NatsProcess,
    pub(crate) pin: RealmPin,
    pub(crate) trust: TrustBundle,
    /// Lines for `[stream]`.
    pub(crate) stream: String,
    /// Other lines at the top.
    pub(crate) top: String,
}

pub(crate) fn key(name: &str) -> SecretKey {
    SecretKey::from_seed(Sha256::digest(name.as_bytes()).into())
}

fn nkey(dir: &Path, name: &str) -> String {
    let pair = nkeys::KeyPair::new_user();
    fs::write(dir.join(format!("{name}.nk")), pair.seed().unwrap()).unwrap();
    pair.public_key()
}

impl Realm {
    /// A realm with agents `a1` and `a2` and emitter `ir` on the bus; `ir` and `hr` over HTTP.
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let root = key("root");
        let chain = ChainId::new("prod.test").unwrap();
        let pin = RealmPin::new("prod", chain, root.public()).unwrap();
        let identities = [
            ("c1", Identity::Controller(ControllerId::new("c1").unwrap()), BusRole::Controller),
            ("c2", Identity::Controller(ControllerId::new("c2").unwrap()), BusRole::Controller),
            ("a1", Identity::Agent(AgentId::new("a1").unwrap()), BusRole::Agent),
            ("a2", Identity::Agent(AgentId::new("a2").unwrap()), BusRole::Agent),
            ("ir", Identity::Emitter(EmitterId::new("ir").unwrap(), Rights::everything()), BusRole::Emitter),
            (
                "ciso",
                Identity::Emitter(EmitterId::new("ciso").unwrap(), Rights::everything()),
                BusRole::Emitter,
            ),
        ];
        let mut certs = Vec::new();
        let mut users = Vec::new();
        for (name, identity, role) in identities {
            let cert = KeyCert {
                identity,
                key: key(name).public(),
                not_before: UnixMs(0),
                not_after: UnixMs(i64::MAX / 2),
            };
            certs.push(issue_cert(&root, &pin, &cert));
            users.push(BusUser { name: name.to_owned(), role, nkey_public: nkey(dir.path(), name) });
        }
        let trust = TrustBundle::new(&pin, certs).unwrap();
        let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
        write("realm.json", &pin.to_json());
        write("trust.json", &trust.to_json());
        write("controller.key", &key("c1").to_text());
        write("c2.key", &key("c2").to_text());
        let store_dir = dir.path().join("nats/store");
        let rendered = ServerConfig {
            subjects: Subjects::new("prod").unwrap(),
            users,
            listen: None,
            store_dir,
            max_store_bytes: None,
            max_payload_bytes: 1 << 20,
            tls: None,
        };
        let nats = start_nats(dir.path(), Some(rendered.render().unwrap()));
        Self { dir, nats, pin, trust, stream: String::new(), top: String::new() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn toml(&self) -> String {
        let hash = |name: &str| hex::encode(Sha256::digest(format!("{name}-token").as_bytes()));
        format!(
            r#"
controller_id = "c1"
listen = "127.0.0.1:0"
address_file = "address"
realm_file = "realm.json"
trust_file = "trust.json"
key_file = "controller.key"
data_dir = "data"
lease = "2s"
{top}
[nats]
url = "{url}"
nkey_file = "c1.nk"
[stream]
{stream}
[[emitters]]
name = "ir"
token_sha256 = "{ir}"
allow = ["revoke", "disable", "hold", "kill", "lift", "reinstate", "grant", "withdraw", "recover"]
rung_max = 16
[[emitters]]
name = "ciso"
token_sha256 = "{ciso}"
allow = ["recover"]
rung_max = 16
[[emitters]]
name = "hr"
token_sha256 = "{hr}"
allow = ["disable", "reinstate"]
rung_max = 5
"#,
            top = self.top,
            url = self.nats.client_url(),
            stream = self.stream,
            ir = hash("ir"),
            ciso = hash("ciso"),
            hr = hash("hr"),
        )
    }

    pub(crate) fn config(&self) -> ControllerConfig {
        ControllerConfig::parse(&self.toml(), self.dir.path()).unwrap()
    }

    /// The second controller, with data of its own.
    pub(crate) async fn start_second(&self) -> Controller {
        let text = self
            .toml()
            .replace("controller_id = \"c1\"", "controller_id = \"c2\"")
            .replace("\"controller.key\"", "\"c2.key\"")
            .replace("\"c1.nk\"", "\"c2.nk\"")
            .replace("\"data\"", "\"data2\"")
            .replace("\"address\"", "\"address2\"");
        let config = ControllerConfig::parse(&text, self.dir.path()).unwrap();
        Controller::start(config).await.unwrap_or_else(|error| panic!("{}", chain(&error)))
    }

    pub(crate) async fn try_start(&self) -> Result<Controller, StartError> {
        Controller::start(self.config()).await
    }

    pub(crate) async fn start(&self) -> Controller {
        self.try_start().await.unwrap_or_else(|error| panic!("{}", chain(&error)))
    }

    /// A connection of this user.
    pub(crate) async fn bus(&self, user: &str) -> Bus {
        let mut config =
            BusConfig::new(self.nats.client_url(), Subjects::new("prod").unwrap()).for_user(user).unwrap();
        config.credentials = Credentials::NkeySeedFile(self.path(&format!("{user}.nk")));
        Bus::connect(config).await.unwrap()
    }
}

/// An error with everything below it.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(below) = source {
        text.push_str(": ");
        text.push_str(&below.to_string());
        source = below.source();
    }
    text
}

fn start_nats(dir: &Path, extra: Option<String>) -> NatsProcess {
    let install = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/nats");
    let server = find_or_install(&Options::from_env(install), &mut |_| {}).unwrap();
    let mut config = Config::new(dir.join("nats"));
    match extra {
        Some(extra) => {
            config.jetstream = None;
            config.extra = Some(extra);
        }
        None => {
            let store_dir = dir.join("nats/store");
            config.jetstream = Some(JetStream { store_dir, sync: SyncPolicy::Always, max_store_bytes: None });
        }
    }
    NatsProcess::start(&server, config).unwrap()
}

/// The HTTP API as one emitter.
#[derive(Clone)]
pub(crate) struct Api {
    http: reqwest::Client,
    url: String,
    token: String,
}

impl Api {
    pub(crate) fn new(controller: &Controller, who: &str) -> Self {
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { http, url: controller.url(), token: format!("{who}-token") }
    }

    pub(crate) async fn get(&self, path: &str) -> (u16, Value) {
        let request = self.http.get(format!("{}{path}", self.url)).bearer_auth(&self.token);
        let response = request.send().await.unwrap();
        (response.status().as_u16(), response.json().await.unwrap_or(Value::Null))
    }

    pub(crate) async fn post(&self, body: &Value) -> (u16, Value) {
        let request =
            self.http.post(format!("{}/v1/directives", self.url)).bearer_auth(&self.token).json(body);
        let response = request.send().await.unwrap();
        (response.status().as_u16(), response.json().await.unwrap_or(Value::Null))
    }

    /// The id of a directive that is accepted at once.
    pub(crate) async fn accept(&self, body: Value) -> String {
        let (status, answer) = self.post(&body).await;
        assert_eq!(status, 200, "{body} -> {answer}");
        answer["id"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn post_to(&self, path: &str, body: &Value) -> (u16, Value) {
        let request = self.http.post(format!("{}{path}", self.url)).bearer_auth(&self.token).json(body);
        let response = request.send().await.unwrap();
        (response.status().as_u16(), response.json().await.unwrap_or(Value::Null))
    }

    /// Role, epoch and known writer.
    pub(crate) async fn status(&self) -> (String, u64, Value) {
        let (_, body) = self.get("/v1/status").await;
        (body["role"].as_str().unwrap().to_owned(), body["epoch"].as_u64().unwrap(), body["writer"].clone())
    }

    pub(crate) async fn revoke(&self, session: &str, key: &str) -> (u16, Value) {
        let target = format!("session:https://idp.example#{session}");
        self.post(&json!({"kind": "revoke", "target": target, "idempotency_key": key})).await
    }
}

/// Looks until `check` gives something.
pub(crate) async fn until<T, F: Future<Output = Option<T>>>(what: &str, mut check: impl FnMut() -> F) -> T {
    let found = tokio::time::timeout(SOON, async {
        loop {
            if let Some(found) = check().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    found.await.unwrap_or_else(|_| panic!("{what} did not happen in {SOON:?}"))
}

/// An agent by hand.
pub(crate) struct FakeAgent<'a> {
    pub(crate) realm: &'a Realm,
    pub(crate) bus: Bus,
    pub(crate) id: AgentId,
    pub(crate) instance: InstanceId,
    pub(crate) sequence: u64,
}

impl<'a> FakeAgent<'a> {
    pub(crate) async fn new(realm: &'a Realm, name: &str, instance: u8) -> Self {
        let bus = realm.bus(name).await;
        Self {
            realm,
            bus,
            id: AgentId::new(name).unwrap(),
            instance: InstanceId([instance; 16]),
            sequence: 0,
        }
    }

    pub(crate) fn request(&self, nonce: u8) -> LeaseRequest {
        LeaseRequest { agent: self.id.clone(), instance: self.instance, nonce: Nonce([nonce; 16]) }
    }

    pub(crate) async fn lease(&self, nonce: u8) -> Option<LeaseGrant> {
        let request = self.request(nonce);
        let bytes = encode_lease_request(&request, &self.realm.pin.chain, &key(self.id.as_str()));
        let wait = Duration::from_secs(2);
        let answer = self.bus.request(&self.bus.subjects().lease(), Bytes::from(bytes), wait).await.ok()?;
        Some(decode_grant(&answer, &request, &self.realm.trust).unwrap())
    }

    /// Why a lease request got no grant.
    pub(crate) async fn lease_refused(&self, nonce: u8) -> String {
        let request = self.request(nonce);
        let bytes = encode_lease_request(&request, &self.realm.pin.chain, &key(self.id.as_str()));
        let wait = Duration::from_secs(2);
        self.bus
            .request(&self.bus.subjects().lease(), Bytes::from(bytes), wait)
            .await
            .unwrap_err()
            .to_string()
    }

    pub(crate) async fn bus_of_controller(&self) -> Bus {
        self.realm.bus("c1").await
    }

    pub(crate) async fn report(&mut self, applied: Heads) {
        self.report_fault(applied, "").await;
    }

    pub(crate) async fn report_fault(&mut self, applied: Heads, fault: &str) {
        self.sequence += 1;
        let report = Report {
            agent: self.id.clone(),
            instance: self.instance,
            sequence: self.sequence,
            service: ServiceName::new("payments").unwrap(),
            applied,
            durable: applied,
            digest: StateDigest::default(),
            freshness: Freshness::Fresh,
            stale_policy: "strict(2s)".into(),
            target_kinds: 0x1ff,
            fault: fault.into(),
            version: "0.1.0".into(),
            at: UnixMs(1),
            first_deny_at: None,
        };
        let bytes = encode_report(&report, &self.realm.pin.chain, &key(self.id.as_str()));
        self.bus.publish_report(self.id.as_str(), Bytes::from(bytes)).await.unwrap();
    }
}
