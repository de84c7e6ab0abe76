//! What the stage stands on: an empty directory with a new realm, a managed nats-server, a client.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use rescind_natsd::{Config, NatsProcess, Options, find_or_install};

use super::stage::SERVICES;
use super::timeline::Timeline;
use crate::args::ClientArgs;
use crate::args::value::{AgentSpec, EmitterSpec};
use crate::client::Client;
use crate::fault::{Fault, chain};
use crate::init::{self, Plan};
use crate::settings::{Places, Settings};

/// Why an unreachable address: every process of the demo is told the real one when it is known.
const UNKNOWN_BROKER: &str = "nats://127.0.0.1:1";

/// 128 random bits in hexadecimal, for keys of directives and names of directories.
pub(super) fn random_key() -> Result<String, Fault> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)
        .map_err(|error| Fault::internal("random", format!("cannot draw random bytes: {error}")))?;
    Ok(hex::encode(bytes))
}

/// A new realm in a new directory under the system's temporary one.
pub(super) fn realm() -> Result<PathBuf, Fault> {
    let dir = std::env::temp_dir().join(format!("rescind-demo-{}", random_key()?));
    let agent = |service: &str| format!("{service}-1:{service}").parse::<AgentSpec>();
    let agents = SERVICES.iter().map(|(service, _)| agent(service)).collect::<Result<Vec<_>, _>>();
    let emitter = "ir:all:16".parse::<EmitterSpec>();
    let plan = Plan {
        realm: "demo".to_owned(),
        agents: agents.map_err(|error| Fault::internal("demo", error.to_string()))?,
        emitters: vec![emitter.map_err(|error| Fault::internal("demo", error.to_string()))?],
        issuers: Vec::new(),
        nats_url: UNKNOWN_BROKER.to_owned(),
        listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        // Why none: the demo shows what the lease does for a service that nobody reaches.
        direct: None,
        lease: rescind_core::lease::LEASE_DEFAULT,
    };
    Ok(init::create(&dir, &plan)?.dir)
}

/// Finds or installs a nats-server and starts it with the realm's users and permissions.
pub(super) async fn nats(
    dir: &Path,
    install_dir: Option<PathBuf>,
    timeline: &Timeline,
) -> Result<NatsProcess, Fault> {
    let install_dir = install_dir.unwrap_or_else(|| dir.join("nats-server"));
    let mut config = Config::new(dir.join("data/nats-server"));
    config.jetstream = None;
    config.include = Some(dir.join("nats-realm.conf"));
    let work = move || {
        let mut said = Vec::new();
        let server = find_or_install(&Options::from_env(install_dir), &mut |line| said.push(line.to_owned()));
        let server = server.map_err(|error| chain(&error))?;
        let version = server.version.to_string();
        NatsProcess::start(&server, config).map(|nats| (nats, said, version)).map_err(|error| chain(&error))
    };
    let started = tokio::task::spawn_blocking(work).await;
    let (nats, said, version) = started
        .map_err(|error| Fault::internal("demo", format!("cannot start nats-server: {error}")))?
        .map_err(|error| Fault::internal("nats", format!("cannot start nats-server: {error}")))?;
    said.iter().for_each(|line| timeline.say(&format!("       {line}")));
    timeline.say(&format!("       nats-server {version} at {}", nats.client_url()));
    Ok(nats)
}

/// A client that acts as `ir`.
pub(super) fn client(dir: &Path, controller: SocketAddr) -> Result<Client, Fault> {
    let args = ClientArgs {
        config: Some(dir.join("cli.toml")),
        url: Some(format!("http://{controller}")),
        ..ClientArgs::default()
    };
    Client::new(Settings::load(&args, &Places::from_env())?)
}

/// For `--keep`: what to type, and what it will show.
pub(super) fn commands_to_try(dir: &Path, controller: &str, issuer: &str, services: &[SocketAddr]) -> String {
    let to = format!("--config {} --url {controller}", dir.join("cli.toml").display());
    let curl: Vec<String> = services
        .iter()
        .zip(SERVICES)
        .map(|(address, (service, _))| {
            let token = dir.join("ada.token");
            format!(
                "  curl -s -X POST -H \"Authorization: Bearer $(cat {})\" http://{address}/orders/17/refund   # {service}",
                token.display()
            )
        })
        .collect();
    format!(
        "\nStill running; Ctrl-C ends it. Try, in another terminal:\n\
         {}\n  \
         rescind status {to}\n  \
         rescind records {to}\n  \
         rescind revoke 'user:{issuer}#u-ada' --wait {to}\n  \
         rescind board {to}",
        curl.join("\n")
    )
}
