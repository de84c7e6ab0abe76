//! Enrolling one more agent in an existing realm.

use std::fs::File;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rescind_codec::{RealmPin, TrustBundle, issue_cert};
use rescind_core::decide::StalePolicy;
use serde::Deserialize;

use super::credentials::{Minted, Signer};
use super::files::Folder;
use super::load_pin;
use super::plan::{DirectPlan, IssuerPlan, Jwks, check_nats_url, issuers_from};
use super::render::{self, Users};
use crate::args::value::AgentSpec;
use crate::args::{AddAgentArgs, agent_spec};
use crate::fault::{Fault, chain};
use crate::settings::plain;

/// What was added.
#[derive(Debug)]
pub(crate) struct Added {
    /// The agent.
    pub(crate) agent: AgentSpec,
    /// The realm's directory, absolute.
    pub(crate) dir: PathBuf,
    /// Relative paths of files that are new or replaced, sorted.
    pub(crate) files: Vec<String>,
}

/// Enrolls the agent: its secrets and configuration are new files, the trust bundle and the server's users are
/// replaced as a whole.
///
/// # Errors
/// Usage: the directory is no realm, or the arguments are wrong. Refused: the agent exists.
pub(crate) fn add_agent(args: &AddAgentArgs) -> Result<Added, Fault> {
    let agent =
        agent_spec(&args.agent).map_err(|mistake| Fault::usage(format!("enrolling an agent: {mistake}")))?;
    let attempt = format!("enrolling agent `{}`", agent.id);
    let dir = std::fs::canonicalize(&args.dir).map_err(|error| {
        Fault::usage(format!("{attempt}: cannot use `{}`: {}", args.dir.display(), plain(&error)))
    })?;
    let folder = Folder::existing(&dir);
    // Why: two of these at a time would each leave out the other's agent.
    let _lock = lock(&folder)?;
    let signer = load_signer(&folder)?;
    let mut users = Users::parse(&folder.read("nats-users.json")?)?;
    let minted = Minted::agent(&signer, &agent)?;
    let toml = format!("agents/{}.toml", agent.id);
    check_new(&folder, &minted, &toml, &users, &attempt)?;
    let controller: Existing = toml::from_str(&folder.read("controller.toml")?)
        .map_err(|error| Fault::usage(format!("cannot use `controller.toml`: {}", error.message())))?;
    let direct = controller.direct.as_ref().map(|direct| DirectPlan { listen: direct.listen }.url());
    let nats_url = match &args.nats_url {
        Some(url) => check_nats_url(url).map(|_| url.clone()).map_err(Fault::usage)?,
        None => controller.nats.url,
    };
    let mut issuers = issuers_from(&args.issuer)?;
    let neighbour = neighbour(&dir);
    if issuers.is_empty() {
        issuers = neighbour.as_ref().map(|agent| agent.issuers(&dir)).unwrap_or_default();
    }
    let lease = neighbour.map_or(Duration::from_secs(5), |agent| agent.lease());
    let bundle = extended(&folder, &signer, minted.cert_ref())?;
    users.add(&minted);
    let realm = render::nats_realm(&signer.pin().realm, &users, &dir.join("data/nats"))?;
    minted.write(&folder)?;
    folder.public(&toml, &render::agent(&agent, &nats_url, direct.as_deref(), &issuers, lease))?;
    folder.replace("trust.json", &bundle)?;
    folder.replace("nats-users.json", &users.to_json())?;
    folder.replace("nats-realm.conf", &realm)?;
    let mut files = folder.written();
    files.sort();
    Ok(Added { agent, dir, files })
}

fn lock(folder: &Folder) -> Result<File, Fault> {
    let path = folder.path("realm.json");
    let failed = |error: &std::io::Error| {
        Fault::usage(format!(
            "cannot use `{}`: {}; is this the directory of a realm?",
            path.display(),
            plain(error)
        ))
    };
    let file = File::open(&path).map_err(|error| failed(&error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(Fault::usage(
            "another `rescind init add-agent` is working on this realm; try again when it has ended",
        )),
        Err(std::fs::TryLockError::Error(error)) => Err(failed(&error)),
    }
}

fn load_signer(folder: &Folder) -> Result<Signer, Fault> {
    let pin = load_pin(&folder.read("realm.json")?)?;
    let path = folder.path("secrets/root.key");
    if !path.exists() {
        return Err(Fault::usage(
            "cannot issue a certificate: `secrets/root.key` is not here; bring it back from where it is kept for as \
             long as this command runs",
        ));
    }
    Signer::load(&folder.read("secrets/root.key")?, pin)
}

fn check_new(
    folder: &Folder,
    minted: &Minted,
    toml: &str,
    users: &Users,
    attempt: &str,
) -> Result<(), Fault> {
    let mut files = minted.files();
    files.push(toml.to_owned());
    let there: Vec<String> =
        files.into_iter().filter(|file| folder.path(file).symlink_metadata().is_ok()).collect();
    if !there.is_empty() {
        let message = format!(
            "{attempt} was refused: {} exists, and nothing is overwritten; choose another id, or remove the files to \
             enroll it anew",
            there.join(", ")
        );
        return Err(Fault::refused("exists", message));
    }
    if users.has(&minted.name) {
        let message =
            format!("{attempt} was refused: the name is taken in `nats-users.json`; choose another id");
        return Err(Fault::refused("exists", message));
    }
    Ok(())
}

/// The trust bundle with one more certificate. The others are issued again with the same content: Ed25519 gives
/// the same bytes.
fn extended(folder: &Folder, signer: &Signer, cert: &rescind_codec::KeyCert) -> Result<String, Fault> {
    let failed = |error| Fault::usage(format!("cannot extend `trust.json`: {}", chain(&error)));
    let pin: &RealmPin = signer.pin();
    let bundle = TrustBundle::load(&folder.read("trust.json")?, pin).map_err(failed)?;
    let issued = bundle.certs().chain(std::iter::once(cert)).map(|cert| issue_cert(signer.root(), pin, cert));
    TrustBundle::new(pin, issued).map(|bundle| bundle.to_json()).map_err(failed)
}

/// What is read of `controller.toml` and of another agent's file; the rest does not matter here.
#[derive(Debug, Deserialize)]
struct Existing {
    nats: ExistingNats,
    direct: Option<ExistingDirect>,
    stale: Option<String>,
    #[serde(default)]
    issuers: Vec<ExistingIssuer>,
}

#[derive(Debug, Deserialize)]
struct ExistingNats {
    url: String,
}

/// Of `controller.toml`; an agent's has no `listen`.
#[derive(Debug, Deserialize)]
struct ExistingDirect {
    #[serde(default = "nowhere")]
    listen: SocketAddr,
}

const fn nowhere() -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0)
}

#[derive(Debug, Deserialize)]
struct ExistingIssuer {
    issuer: String,
    jwks: toml::Value,
    #[serde(default)]
    algorithms: Vec<String>,
    #[serde(default)]
    audiences: Vec<String>,
}

/// The first other agent of the realm that can be read.
fn neighbour(dir: &Path) -> Option<Existing> {
    let entries = std::fs::read_dir(dir.join("agents")).ok()?;
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    let toml = paths.iter().filter(|path| path.extension().is_some_and(|extension| extension == "toml"));
    toml.filter_map(|path| toml::from_str(&std::fs::read_to_string(path).ok()?).ok()).next()
}

impl Existing {
    fn issuers(&self, dir: &Path) -> Vec<IssuerPlan> {
        let jwks = |value: &toml::Value| {
            let text = value.as_str()?;
            Some(match text.starts_with("http://") || text.starts_with("https://") {
                true => Jwks::Url(text.to_owned()),
                false => Jwks::File(dir.join("agents").join(text)),
            })
        };
        let plan = |issuer: &ExistingIssuer| {
            Some(IssuerPlan {
                issuer: issuer.issuer.clone(),
                jwks: jwks(&issuer.jwks)?,
                algorithms: issuer.algorithms.clone(),
                audiences: issuer.audiences.clone(),
            })
        };
        self.issuers.iter().filter_map(plan).collect()
    }

    fn lease(&self) -> Duration {
        match self.stale.as_deref().and_then(|text| text.parse().ok()) {
            Some(StalePolicy::Strict(length)) => length,
            Some(StalePolicy::FailStatic(_) | StalePolicy::BestEffort) | None => Duration::from_secs(5),
        }
    }
}
