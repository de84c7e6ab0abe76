//! The server's side: configuration text with one nkey user per participant and exact permissions.
//!
//! | role | may publish | may listen |
//! |---|---|---|
//! | agent | lease, repair, snapshot, its own report and tail | live lanes, its own replies |
//! | emitter | directives | its own replies |
//! | controller | log, directives, forwards and repair to other controllers, answers to what it was asked, the JetStream calls for one stream and one bucket | lease, repair, snapshot, directives, forwards, reports, tails, live lanes, its own replies |
//!
//! Nobody but a controller reaches the JetStream API, and no controller can delete the stream, purge it, or
//! change it. A realm is an account of its own: realms cannot see each other.

use std::{collections::BTreeSet, fmt::Write as _, path::PathBuf};

use crate::{
    request::PARTS_MAX,
    subjects::{SubjectError, Subjects, inbox_prefix},
};

#[cfg(test)]
mod tests;

/// Why 16 MB: what the server keeps for a slow client before it is cut off.
const PENDING_MAX: &str = "16MB";

/// Why 5 s: a client that takes no bytes for so long is cut off; as long as a lease.
const WRITE_DEADLINE: &str = "5s";

/// Why 10 s and 2: a dead connection ends after half a minute at most.
const PING_INTERVAL: &str = "10s";
const PINGS_MAX: u32 = 2;

/// Limit: subscriptions of one connection. An agent needs about 4, a controller about 10 and one for each
/// answer in parts that is under way.
const SUBSCRIPTIONS_MAX: u32 = 64;

/// Limit: how long a controller may answer a request.
const ANSWER_WAIT: &str = "1m";

/// What a user is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Enforces; its name is its agent id.
    Agent,
    /// Sends directives.
    Emitter,
    /// Orders the chain and answers.
    Controller,
}

/// One user of the bus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BusUser {
    /// Agent id or another unique name; also the user's reply prefix, see [`crate::BusConfig::for_user`].
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// Public nkey of a user, `U...`.
    pub nkey_public: String,
}

/// Files for TLS on the client port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerTls {
    /// PEM certificate chain.
    pub certificate_file: PathBuf,
    /// PEM private key.
    pub key_file: PathBuf,
    /// PEM authority of the clients' certificates; asks every client for one.
    pub client_ca_file: Option<PathBuf>,
}

/// A server configuration for one realm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerConfig {
    /// Names of the realm.
    pub subjects: Subjects,
    /// Everybody who may connect.
    pub users: Vec<BusUser>,
    /// Address and port, `0.0.0.0:4222`; `None` leaves it to the including file.
    pub listen: Option<String>,
    /// Directory of the store.
    pub store_dir: PathBuf,
    /// Largest store in bytes; `None` leaves it to the server.
    pub max_store_bytes: Option<u64>,
    /// Largest message in bytes, headers included.
    pub max_payload_bytes: u32,
    /// TLS; `None` only where the network itself is trusted.
    pub tls: Option<ServerTls>,
}

/// A configuration that would not do what it says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RenderError {
    /// A user's name cannot be part of a subject.
    #[error(transparent)]
    Name(#[from] SubjectError),
    /// Not the public key of a user.
    #[error("user `{name}` has no usable public nkey; give the 56 characters that begin with `U`")]
    Key {
        /// The user.
        name: String,
    },
    /// Two users have the same name or key.
    #[error("user `{name}` has the name or key of another user; give each its own")]
    Duplicate {
        /// The second one.
        name: String,
    },
    /// A path or address that cannot be written into the configuration.
    #[error("`{value}` cannot be written into a configuration file; use plain text without quotes")]
    Text {
        /// What it was.
        value: String,
    },
}

impl ServerConfig {
    /// The configuration text; `sync_interval: always` is part of it, since everything rests on an
    /// acknowledged write being durable. A server before 2.10 does not know it and refuses to start.
    ///
    /// # Errors
    /// [`RenderError`] for a wrong or doubled user and for text that would break out of its quotes.
    pub fn render(&self) -> Result<String, RenderError> {
        let mut text = String::new();
        if let Some(listen) = &self.listen {
            line(&mut text, 0, &format!("listen: {}", quoted(listen)?));
        }
        line(&mut text, 0, &format!("max_payload: {}", self.max_payload_bytes));
        line(&mut text, 0, &format!("max_pending: {PENDING_MAX}"));
        line(&mut text, 0, &format!("write_deadline: \"{WRITE_DEADLINE}\""));
        line(&mut text, 0, &format!("ping_interval: \"{PING_INTERVAL}\""));
        line(&mut text, 0, &format!("ping_max: {PINGS_MAX}"));
        line(&mut text, 0, &format!("max_subscriptions: {SUBSCRIPTIONS_MAX}"));
        line(&mut text, 0, "jetstream {");
        line(&mut text, 1, &format!("store_dir: {}", quoted(&self.store_dir.to_string_lossy())?));
        line(&mut text, 1, "sync_interval: always");
        if let Some(bytes) = self.max_store_bytes {
            line(&mut text, 1, &format!("max_file_store: {bytes}"));
        }
        line(&mut text, 0, "}");
        if let Some(tls) = &self.tls {
            render_tls(&mut text, tls)?;
        }
        self.render_account(&mut text)?;
        Ok(text)
    }

    fn render_account(&self, text: &mut String) -> Result<(), RenderError> {
        let mut seen = BTreeSet::new();
        line(text, 0, "accounts {");
        line(text, 1, &format!("{} {{", self.subjects.stream()));
        line(text, 2, "jetstream: enabled");
        line(text, 2, "users: [");
        for user in &self.users {
            let name = || user.name.clone();
            let inbox = inbox_prefix(&user.name)?;
            let key = nkeys::KeyPair::from_public_key(&user.nkey_public);
            if !key.is_ok_and(|key| key.key_pair_type() == nkeys::KeyPairType::User) {
                return Err(RenderError::Key { name: name() });
            }
            if !seen.insert(user.name.as_str()) || !seen.insert(user.nkey_public.as_str()) {
                return Err(RenderError::Duplicate { name: name() });
            }
            let rights = self.rights(user, &format!("{inbox}.>"))?;
            line(text, 3, &format!("# {:?} {}", user.role, user.name));
            line(text, 3, &format!("{{ nkey: {}, permissions: {{", user.nkey_public));
            line(text, 4, &format!("publish: {{ allow: [{}] }}", list(&rights.publish)));
            line(text, 4, &format!("subscribe: {{ allow: [{}] }}", list(&rights.subscribe)));
            if rights.answers {
                let answers = PARTS_MAX + 1;
                line(text, 4, &format!("allow_responses: {{ max: {answers}, expires: \"{ANSWER_WAIT}\" }}"));
            }
            line(text, 3, "} }");
        }
        line(text, 2, "]");
        line(text, 1, "}");
        line(text, 0, "}");
        Ok(())
    }

    fn rights(&self, user: &BusUser, inbox: &str) -> Result<Rights, SubjectError> {
        let s = &self.subjects;
        let inbox = inbox.to_owned();
        Ok(match user.role {
            Role::Agent => Rights {
                publish: vec![
                    s.lease(),
                    s.repair(),
                    s.snapshot(),
                    s.report(&user.name)?,
                    s.tail(&user.name)?,
                ],
                subscribe: vec![s.live_all(), inbox],
                answers: false,
            },
            Role::Emitter => Rights { publish: vec![s.directive()], subscribe: vec![inbox], answers: false },
            Role::Controller => {
                let mut publish = vec![s.log_all(), s.directive(), s.forward(), s.repair(), inbox.clone()];
                publish.extend(jetstream_calls(s));
                let subscribe = vec![
                    s.lease(),
                    s.repair(),
                    s.snapshot(),
                    s.directive(),
                    s.forward(),
                    s.report_all(),
                    s.tail_all(),
                    s.live_all(),
                    inbox,
                ];
                Rights { publish, subscribe, answers: true }
            }
        })
    }
}

/// What one user may do.
struct Rights {
    publish: Vec<String>,
    subscribe: Vec<String>,
    /// May answer requests wherever they want the answer.
    answers: bool,
}

/// The JetStream calls of a controller: create, look up and read the stream; everything but deleting for
/// the bucket, whose objects are replaced and removed.
fn jetstream_calls(subjects: &Subjects) -> Vec<String> {
    let stream = subjects.stream();
    let bucket = subjects.bucket();
    let objects = format!("OBJ_{bucket}");
    let mut calls = vec![format!("$O.{bucket}.>"), format!("$JS.FC.{objects}.>")];
    for name in [&stream, &objects] {
        calls.push(format!("$JS.API.STREAM.CREATE.{name}"));
        calls.push(format!("$JS.API.STREAM.INFO.{name}"));
        calls.push(format!("$JS.API.DIRECT.GET.{name}"));
        calls.push(format!("$JS.API.DIRECT.GET.{name}.>"));
    }
    for call in ["STREAM.MSG.GET", "STREAM.PURGE", "CONSUMER.CREATE"] {
        calls.push(format!("$JS.API.{call}.{objects}"));
    }
    for call in ["CONSUMER.CREATE", "CONSUMER.INFO", "CONSUMER.DELETE"] {
        calls.push(format!("$JS.API.{call}.{objects}.>"));
    }
    calls
}

fn render_tls(text: &mut String, tls: &ServerTls) -> Result<(), RenderError> {
    line(text, 0, "tls {");
    line(text, 1, &format!("cert_file: {}", quoted(&tls.certificate_file.to_string_lossy())?));
    line(text, 1, &format!("key_file: {}", quoted(&tls.key_file.to_string_lossy())?));
    if let Some(file) = &tls.client_ca_file {
        line(text, 1, &format!("ca_file: {}", quoted(&file.to_string_lossy())?));
        line(text, 1, "verify: true");
    }
    line(text, 0, "}");
    Ok(())
}

fn line(text: &mut String, depth: usize, content: &str) {
    // Writing into a String cannot fail.
    writeln!(text, "{:indent$}{content}", "", indent = depth * 2).ok();
}

fn list(subjects: &[String]) -> String {
    subjects.iter().map(|subject| format!("\"{subject}\"")).collect::<Vec<_>>().join(", ")
}

fn quoted(value: &str) -> Result<String, RenderError> {
    if value.chars().any(|c| c.is_control() || matches!(c, '"' | '\\' | char::REPLACEMENT_CHARACTER)) {
        return Err(RenderError::Text { value: value.escape_default().to_string() });
    }
    Ok(format!("\"{value}\""))
}
