//! The files of a realm as `rescind init` lays them out, made through the same library calls.

use std::{
    fs,
    io::Write,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use rescind_bus::{
    Subjects,
    permissions::{BusUser, Role as BusRole, ServerConfig},
};
use rescind_codec::{Identity, IssuedCert, KeyCert, RealmPin, SecretKey, TrustBundle, issue_cert};
use rescind_core::{
    controller::rights::{Rights, Word},
    ids::{AgentId, ChainId, ControllerId, EmitterId},
    time::UnixMs,
};
use sha2::{Digest, Sha256};

use crate::{
    direct::{SERVER_NAME, write_certificates},
    error::{KitError, KitResult},
    issuer::{AUDIENCE, TestIssuer, now_ms},
    realm::plan::{AgentPlan, BusAuth, EmitterPlan, RealmBuilder},
};

/// Name of the one controller.
pub(crate) const CONTROLLER: &str = "c1";

/// User and password of the hostile client, which has every right on the bus.
pub(crate) const HOSTILE: (&str, &str) = ("mallory", "let-me-in");

/// Validity of certificates around now: longer than any test.
const VALIDITY_MS: i64 = 24 * 3600 * 1000;

/// Limit: largest message on the bus, as the reference configuration has it.
const PAYLOAD_BYTES_MAX: u32 = 1 << 20;

/// Where everything is.
#[derive(Debug, Clone)]
pub struct RealmFiles {
    dir: PathBuf,
}

/// What the emitters' clients need.
#[derive(Debug)]
pub(crate) struct Made {
    pub(crate) files: RealmFiles,
    pub(crate) pin: RealmPin,
    pub(crate) trust: TrustBundle,
    /// Text for the server's configuration file.
    pub(crate) server_conf: String,
}

impl RealmFiles {
    /// The realm's folder.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Configuration of the controller.
    #[must_use]
    pub fn controller_toml(&self) -> PathBuf {
        self.dir.join("controller.toml")
    }

    /// Data of the controller.
    #[must_use]
    pub fn controller_data(&self) -> PathBuf {
        self.dir.join("data/controller")
    }

    /// Certificates of the direct path.
    #[must_use]
    pub fn direct(&self) -> PathBuf {
        self.dir.join("direct")
    }

    /// Configuration of an agent.
    #[must_use]
    pub fn agent_toml(&self, id: &str) -> PathBuf {
        self.dir.join(format!("agents/{id}.toml"))
    }

    /// Store of an agent.
    #[must_use]
    pub fn agent_store(&self, id: &str) -> PathBuf {
        self.dir.join(format!("data/agents/{id}"))
    }

    /// Signing key of a participant: `controller`, `agent-<id>` or `emitter-<name>`.
    #[must_use]
    pub fn key(&self, name: &str) -> PathBuf {
        self.dir.join(format!("secrets/{name}.key"))
    }

    /// Bus credentials of a participant, named as in [`RealmFiles::key`].
    #[must_use]
    pub fn nkey(&self, name: &str) -> PathBuf {
        self.dir.join(format!("secrets/nkeys/{name}.nk"))
    }

    /// Bearer token of an emitter.
    #[must_use]
    pub fn token(&self, emitter: &str) -> PathBuf {
        self.dir.join(format!("secrets/tokens/{emitter}.token"))
    }

    /// The realm's pin.
    #[must_use]
    pub fn realm_json(&self) -> PathBuf {
        self.dir.join("realm.json")
    }

    /// The certificates.
    #[must_use]
    pub fn trust_json(&self) -> PathBuf {
        self.dir.join("trust.json")
    }

    /// Bearer token of an emitter, its text.
    ///
    /// # Errors
    /// There is no such emitter.
    pub fn token_text(&self, emitter: &str) -> KitResult<String> {
        let text = fs::read_to_string(self.token(emitter));
        text.map(|text| text.trim().to_owned())
            .map_err(KitError::because(format!("read the token of {emitter}")))
    }

    /// Signing key of a participant.
    ///
    /// # Errors
    /// There is no such participant.
    pub fn secret(&self, name: &str) -> KitResult<SecretKey> {
        let text = fs::read_to_string(self.key(name))
            .map_err(KitError::because(format!("read the key of {name}")))?;
        SecretKey::parse(&text).map_err(KitError::because(format!("parse the key of {name}")))
    }
}

/// Makes keys, certificates, credentials and the server's configuration. Nothing runs yet.
pub(crate) fn make_keys(dir: &Path, plan: &RealmBuilder) -> KitResult<Made> {
    let files = RealmFiles { dir: dir.to_path_buf() };
    for folder in ["secrets/nkeys", "secrets/tokens", "agents", "data/agents", "data/controller", "data/nats"]
    {
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(dir.join(folder));
        made.map_err(KitError::because(format!("create {folder}")))?;
    }
    let root = fresh_key()?;
    let chain = format!("{}.{}", plan.realm, hex::encode(random::<8>()?));
    let chain = ChainId::new(&chain).map_err(KitError::because("name the chain"))?;
    let pin = RealmPin::new(&plan.realm, chain, root.public()).map_err(KitError::because("pin the realm"))?;
    write(&files.realm_json(), &pin.to_json())?;
    let mut users = Vec::new();
    let mut certs = Vec::new();
    for (name, identity) in identities(plan)? {
        let (user, cert) = participant(&files, &root, &pin, name, identity)?;
        users.push(user);
        certs.push(cert);
    }
    let trust = TrustBundle::new(&pin, certs).map_err(KitError::because("bundle the certificates"))?;
    write(&files.trust_json(), &trust.to_json())?;
    for emitter in &plan.emitters {
        write(&files.token(&emitter.name), &hex::encode(random::<32>()?))?;
    }
    if plan.direct {
        write_certificates(&files.direct())?;
    }
    let server_conf = server_conf(&files, plan, users)?;
    Ok(Made { files, pin, trust, server_conf })
}

/// Everybody, by the name of their files.
fn identities(plan: &RealmBuilder) -> KitResult<Vec<(String, Identity)>> {
    let wrong = || KitError::because("name a participant");
    let controller = ControllerId::new(CONTROLLER).map_err(wrong())?;
    let mut all = vec![("controller".to_owned(), Identity::Controller(controller))];
    for agent in &plan.agents {
        let id = AgentId::new(&agent.id).map_err(wrong())?;
        all.push((format!("agent-{}", agent.id), Identity::Agent(id)));
    }
    for emitter in &plan.emitters {
        let id = EmitterId::new(&emitter.name).map_err(wrong())?;
        all.push((format!("emitter-{}", emitter.name), Identity::Emitter(id, rights(emitter)?)));
    }
    Ok(all)
}

fn rights(emitter: &EmitterPlan) -> KitResult<Rights> {
    let words = emitter.words.iter().map(|text| {
        Word::from_word(text).ok_or_else(|| KitError::new(format!("`{text}` is no word of an emitter")))
    });
    Ok(Rights { words: words.collect::<KitResult<_>>()?, rung_max: emitter.rung_max })
}

/// One participant's signing key, certificate and bus credentials.
fn participant(
    files: &RealmFiles,
    root: &SecretKey,
    pin: &RealmPin,
    name: String,
    identity: Identity,
) -> KitResult<(BusUser, IssuedCert)> {
    let key = fresh_key()?;
    write(&files.key(&name), &key.to_text())?;
    let role = match &identity {
        Identity::Controller(_) => BusRole::Controller,
        Identity::Agent(_) => BusRole::Agent,
        Identity::Emitter(..) => BusRole::Emitter,
    };
    let user_name = identity.name().to_owned();
    let cert = KeyCert {
        identity,
        key: key.public(),
        not_before: UnixMs(now_ms() - VALIDITY_MS),
        not_after: UnixMs(now_ms() + VALIDITY_MS),
    };
    let cert = issue_cert(root, pin, &cert);
    let nkey = nkeys::KeyPair::new_user();
    let seed = nkey.seed().map_err(KitError::because("read an nkey seed"))?;
    write(&files.nkey(&name), &seed)?;
    Ok((BusUser { name: user_name, role, nkey_public: nkey.public_key() }, cert))
}

fn server_conf(files: &RealmFiles, plan: &RealmBuilder, users: Vec<BusUser>) -> KitResult<String> {
    let subjects = Subjects::new(&plan.realm).map_err(KitError::because("name the realm"))?;
    let config = ServerConfig {
        subjects,
        users,
        listen: None,
        store_dir: files.dir.join("data/nats/store"),
        max_store_bytes: None,
        max_payload_bytes: PAYLOAD_BYTES_MAX,
        tls: None,
    };
    let text = config.render().map_err(KitError::because("render the server's configuration"))?;
    match plan.auth {
        BusAuth::Open => text
            .split_once("accounts {")
            .map(|(before, _)| before.to_owned())
            .ok_or_else(|| KitError::new("find the accounts in the server's configuration")),
        BusAuth::Nkeys => {
            let (user, password) = HOSTILE;
            let line = format!("users: [\n      {{ user: {user}, password: \"{password}\" }}");
            if !text.contains("users: [") {
                return Err(KitError::new("find the users in the server's configuration"));
            }
            Ok(text.replacen("users: [", &line, 1))
        }
    }
}

/// The configuration files that need addresses.
pub(crate) fn write_controller(
    files: &RealmFiles,
    plan: &RealmBuilder,
    nats_url: &str,
    issuer: &str,
) -> KitResult {
    let snapshots =
        plan.snapshot_every.map(|every| format!("snapshot_every = {every}\n")).unwrap_or_default();
    let mut text = format!(
        "controller_id = \"{CONTROLLER}\"\nlisten = \"127.0.0.1:0\"\naddress_file = \"data/controller.addr\"\n\
         realm_file = \"realm.json\"\ntrust_file = \"trust.json\"\nkey_file = \"secrets/controller.key\"\n\
         data_dir = \"data/controller\"\ndefault_issuer = \"{issuer}\"\nlease = \"{}ms\"\n{snapshots}\n\
         [nats]\nurl = \"{nats_url}\"\n{}\n[stream]\nreplicas = 1\n",
        plan.lease.as_millis(),
        nkey_line(plan, "secrets/nkeys/controller.nk"),
    );
    if plan.direct {
        text.push_str(
            "\n[direct]\nlisten = \"127.0.0.1:0\"\ncert_file = \"direct/controller.pem\"\n\
             key_file = \"direct/controller.key\"\n",
        );
    }
    for emitter in &plan.emitters {
        let digest = hex::encode(Sha256::digest(files.token_text(&emitter.name)?.as_bytes()));
        text.push_str(&format!(
            "\n[[emitters]]\nname = \"{}\"\ntoken_sha256 = \"{digest}\"\nallow = {:?}\nrung_max = {}\n",
            emitter.name, emitter.words, emitter.rung_max,
        ));
    }
    write(&files.controller_toml(), &text)
}

/// The configuration of one agent that reaches the server at `nats_url`.
pub(crate) fn write_agent(
    files: &RealmFiles,
    plan: &RealmBuilder,
    agent: &AgentPlan,
    nats_url: &str,
    direct_url: Option<String>,
    issuer: &TestIssuer,
) -> KitResult {
    let AgentPlan { id, service, stale, stored, .. } = agent;
    let direct = direct_url.map(|url| {
        format!("[direct]\nurls = [\"{url}\"]\nca_file = \"../direct/ca.pem\"\nserver_name = \"{SERVER_NAME}\"\n\n")
    });
    let direct = direct.unwrap_or_default();
    let store = if *stored { format!("store_dir = \"../data/agents/{id}\"\n") } else { String::new() };
    let text = format!(
        "agent_id = \"{id}\"\nservice = \"{service}\"\nrealm_file = \"../realm.json\"\n\
         trust_file = \"../trust.json\"\nkey_file = \"../secrets/agent-{id}.key\"\n{store}stale = \"{stale}\"\n\n\
         [nats]\nurl = \"{nats_url}\"\n{}\n{direct}\
         [[issuers]]\nissuer = \"{}\"\njwks = \"{}\"\nalgorithms = [\"ES256\"]\naudiences = [\"{AUDIENCE}\"]\n",
        nkey_line(plan, &format!("../secrets/nkeys/agent-{id}.nk")),
        issuer.url(),
        issuer.jwks_url(),
    );
    write(&files.agent_toml(id), &text)
}

fn nkey_line(plan: &RealmBuilder, path: &str) -> String {
    match plan.auth {
        BusAuth::Nkeys => format!("nkey_file = \"{path}\"\n"),
        BusAuth::Open => String::new(),
    }
}

/// Bus credentials that no server knows.
///
/// # Errors
/// No randomness.
pub fn unknown_nkey() -> KitResult<String> {
    nkeys::KeyPair::new_user().seed().map_err(KitError::because("make an nkey"))
}

/// The text of a signing key that nobody certified.
///
/// # Errors
/// No randomness.
pub fn unknown_key() -> KitResult<String> {
    Ok(fresh_key()?.to_text().to_string())
}

fn fresh_key() -> KitResult<SecretKey> {
    Ok(SecretKey::from_seed(random::<32>()?))
}

fn random<const N: usize>() -> KitResult<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| KitError::new(format!("draw random bytes: {error}")))?;
    Ok(bytes)
}

fn write(path: &Path, text: &str) -> KitResult {
    let failed = || KitError::because(format!("write {}", path.display()));
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .map_err(failed())?;
    file.write_all(text.as_bytes()).map_err(failed())
}
