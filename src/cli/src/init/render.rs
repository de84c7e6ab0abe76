//! The text of the configuration files.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use rescind_bus::Subjects;
use rescind_bus::permissions::{BusUser, Role, ServerConfig};
use serde::{Deserialize, Serialize};

use super::credentials::Minted;
use super::direct;
use super::plan::{CONTROLLER, IssuerPlan, Jwks, Plan, check_nats_url, reachable};
use crate::args::value::AgentSpec;
use crate::fault::{Fault, chain};

/// Limit: largest message on the bus; entries and snapshot chunks stay below 1 MiB, this leaves room for
/// headers.
const MESSAGE_BYTES_MAX: u32 = 1_200_000;

/// The users of the bus, public parts only, so that more can be added when the seeds are elsewhere.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Users {
    users: Vec<User>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct User {
    name: String,
    role: UserRole,
    nkey: String,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum UserRole {
    Agent,
    Emitter,
    Controller,
}

impl Users {
    /// Those of a new realm.
    pub(super) fn of(minted: &[Minted]) -> Self {
        Self { users: minted.iter().map(User::of).collect() }
    }

    /// Reads `nats-users.json`.
    pub(super) fn parse(text: &str) -> Result<Self, Fault> {
        serde_json::from_str(text)
            .map_err(|error| Fault::usage(format!("cannot use `nats-users.json`: {error}")))
    }

    /// With one more.
    pub(super) fn add(&mut self, minted: &Minted) {
        self.users.push(User::of(minted));
    }

    /// Whether a user of this name exists.
    pub(super) fn has(&self, name: &str) -> bool {
        self.users.iter().any(|user| user.name == name)
    }

    /// What goes into `nats-users.json`.
    pub(super) fn to_json(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).unwrap_or_default();
        text.push('\n');
        text
    }
}

impl User {
    fn of(minted: &Minted) -> Self {
        let role = match minted.role {
            Role::Agent => UserRole::Agent,
            Role::Emitter => UserRole::Emitter,
            Role::Controller => UserRole::Controller,
        };
        Self { name: minted.name.clone(), role, nkey: minted.nkey_public.clone() }
    }
}

/// `nats-realm.conf`: permissions, store and limits; made anew when an agent is enrolled.
pub(super) fn nats_realm(realm: &str, users: &Users, store_dir: &Path) -> Result<String, Fault> {
    let failed = |error: &dyn std::error::Error| {
        Fault::usage(format!("cannot write the server's configuration: {}", chain(error)))
    };
    let users = users.users.iter().map(|user| BusUser {
        name: user.name.clone(),
        role: match user.role {
            UserRole::Agent => Role::Agent,
            UserRole::Emitter => Role::Emitter,
            UserRole::Controller => Role::Controller,
        },
        nkey_public: user.nkey.clone(),
    });
    let config = ServerConfig {
        subjects: Subjects::new(realm).map_err(|error| failed(&error))?,
        users: users.collect(),
        listen: None,
        store_dir: store_dir.to_owned(),
        max_store_bytes: None,
        max_payload_bytes: MESSAGE_BYTES_MAX,
        tls: None,
    };
    let text = config.render().map_err(|error| failed(&error))?;
    Ok(format!(
        "# Made by `rescind init`; made anew by `rescind init add-agent`. Edit nats.conf instead.\n{text}"
    ))
}

/// `nats.conf`: yours to edit.
pub(super) fn nats(nats_url: &str) -> String {
    let (host, port) = check_nats_url(nats_url).unwrap_or_else(|_| ("127.0.0.1".to_owned(), 4222));
    let is_local = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    let listen = if is_local { "127.0.0.1" } else { "0.0.0.0" };
    format!(
        "# Run with: nats-server --config nats.conf   (2.12 or later)\n\
         # Yours to edit: address, TLS, clustering. Users and permissions are in the included file.\n\
         listen: \"{listen}:{port}\"\n\
         include \"nats-realm.conf\"\n"
    )
}

/// `controller.toml`.
pub(super) fn controller(plan: &Plan, minted: &[Minted]) -> String {
    let mut text = format!(
        "# Run with: rescind controller --config controller.toml\n\
         # Paths are relative to this file.\n\
         controller_id = {}\n\
         listen = {}\n\
         address_file = \"data/controller.addr\"\n\
         realm_file = \"realm.json\"\n\
         trust_file = \"trust.json\"\n\
         key_file = \"secrets/controller.key\"\n\
         data_dir = \"data/controller\"\n\
         lease = {}\n",
        quoted(CONTROLLER),
        quoted(&plan.listen.to_string()),
        quoted(&seconds(plan.lease)),
    );
    match plan.issuers.first() {
        Some(issuer) => {
            push(&mut text, &format!("default_issuer = {}   # completes `user:ID`", quoted(&issuer.issuer)))
        }
        None => push(&mut text, "# default_issuer = \"https://idp.example\"   # completes `user:ID`"),
    }
    push(
        &mut text,
        &format!("\n[nats]\nurl = {}\nnkey_file = \"secrets/nkeys/controller.nk\"", quoted(&plan.nats_url)),
    );
    push(&mut text, "\n[stream]\nreplicas = 1");
    if let Some(plan) = &plan.direct {
        push(
            &mut text,
            &format!(
                "\n# Agents ask here when the bus does not answer.\n[direct]\nlisten = {}\ncert_file = {}\nkey_file = {}",
                quoted(&plan.listen.to_string()),
                quoted(direct::CERT_FILE),
                quoted(direct::KEY_FILE)
            ),
        );
    }
    for emitter in &plan.emitters {
        let hash = minted.iter().find(|minted| minted.name == emitter.name.as_str());
        let hash = hash.and_then(|minted| minted.token_sha256.clone()).unwrap_or_default();
        let words: Vec<String> = emitter.words().into_iter().map(quoted).collect();
        push(
            &mut text,
            &format!(
                "\n[[emitters]]\nname = {}\ntoken_sha256 = {}\nallow = [{}]\nrung_max = {}",
                quoted(emitter.name.as_str()),
                quoted(&hash),
                words.join(", "),
                emitter.rung_max
            ),
        );
    }
    text
}

/// `agents/<id>.toml`.
pub(super) fn agent(
    agent: &AgentSpec,
    nats_url: &str,
    direct_url: Option<&str>,
    issuers: &[IssuerPlan],
    lease: Duration,
) -> String {
    let id = agent.id.as_str();
    let mut text = format!(
        "# Run with: rescind agent --config {id}.toml --socket PATH, or load it with rescind_agent::AgentConfig.\n\
         # Paths are relative to this file.\n\
         agent_id = {}\n\
         service = {}\n\
         realm_file = \"../realm.json\"\n\
         trust_file = \"../trust.json\"\n\
         key_file = \"../secrets/agent-{id}.key\"\n\
         store_dir = \"../data/agents/{id}\"\n\
         stale = \"strict({})\"   # what it does when cut off: deny after this time\n\
         \n[nats]\nurl = {}\nnkey_file = \"../secrets/nkeys/agent-{id}.nk\"\n",
        quoted(id),
        quoted(agent.service.as_str()),
        seconds(lease),
        quoted(nats_url),
    );
    if let Some(url) = direct_url {
        push(
            &mut text,
            &format!(
                "\n# The controllers themselves, for when the bus does not answer.\n[direct]\nurls = [{}]\nca_file = {}\n\
                 server_name = {}",
                quoted(url),
                quoted(&format!("../{}", direct::CA_FILE)),
                quoted(direct::SERVER_NAME)
            ),
        );
    }
    for issuer in issuers {
        push(&mut text, &format!("\n{}", issuer_table(issuer, agent.service.as_str())));
    }
    if issuers.is_empty() {
        let example = "\n# Whose tokens it takes; at least one is needed.\n# [[issuers]]\n# issuer = \"https://idp.example\"\n\
             # jwks = \"https://idp.example/jwks.json\"   # or a file\n# algorithms = [\"RS256\", \"ES256\"]";
        push(&mut text, &format!("{example}\n# audiences = [{}]", quoted(agent.service.as_str())));
    }
    text
}

fn issuer_table(issuer: &IssuerPlan, service: &str) -> String {
    let jwks = match &issuer.jwks {
        Jwks::Url(url) => quoted(url),
        Jwks::File(path) => quoted(&path.to_string_lossy()),
    };
    let list = |items: &[String]| items.iter().map(|item| quoted(item)).collect::<Vec<_>>().join(", ");
    let audiences = if issuer.audiences.is_empty() { quoted(service) } else { list(&issuer.audiences) };
    format!(
        "[[issuers]]\nissuer = {}\njwks = {jwks}\nalgorithms = [{}]\naudiences = [{audiences}]",
        quoted(&issuer.issuer),
        list(&issuer.algorithms)
    )
}

/// `cli.toml`.
pub(super) fn cli(plan: &Plan) -> String {
    let address = reachable(plan.listen);
    let emitter = plan.emitters.first().map(|emitter| emitter.name.to_string()).unwrap_or_default();
    format!(
        "# Found by --config, RESCIND_CONFIG, ./.rescind/cli.toml or ~/.config/rescind/cli.toml.\n\
         url = {}\n\
         token_file = {}\n",
        quoted(&format!("http://{address}")),
        quoted(&format!("secrets/tokens/{emitter}.token")),
    )
}

/// A TOML string.
fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

fn seconds(length: Duration) -> String {
    match length.subsec_millis() {
        0 => format!("{}s", length.as_secs()),
        _ => format!("{}ms", length.as_millis()),
    }
}

fn push(text: &mut String, line: &str) {
    // Writing into a String cannot fail.
    writeln!(text, "{line}").ok();
}
