//! A new realm on disk: keys, credentials and configuration files, each with a safe mode, none overwritten.
//!
//! A realm is written beside its place and moved there as a whole, so a crash leaves nothing half made.

mod add;
mod credentials;
mod direct;
mod files;
mod plan;
mod render;
#[cfg(test)]
mod tests;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use rescind_codec::{RealmPin, TrustBundle};
use rescind_core::ids::ChainId;

pub(crate) use add::add_agent;
use credentials::{Minted, Signer};
use files::{Folder, Staged};
pub(crate) use plan::{DirectPlan, IssuerPlan, Jwks, Plan};
use render::Users;

use crate::fault::{Fault, chain};
use crate::settings::plain;

/// What was written.
#[derive(Debug)]
pub(crate) struct Made {
    /// The directory, absolute.
    pub(crate) dir: PathBuf,
    /// Its chain.
    pub(crate) chain: String,
    /// SHA-256 of the root's public key, to compare by eye.
    pub(crate) root_fingerprint: String,
    /// Relative paths, sorted.
    pub(crate) files: Vec<String>,
}

/// Makes a realm in `dir`, which must not exist or be empty.
///
/// # Errors
/// Refused: something is there already. Internal: it cannot be written. Nothing is left behind then.
pub(crate) fn create(dir: &Path, plan: &Plan) -> Result<Made, Fault> {
    create_with(dir, plan, &[])
}

/// As [`create`], with more files without secrets: relative path and text.
///
/// # Errors
/// As [`create`].
pub(crate) fn create_with(dir: &Path, plan: &Plan, extra: &[(&str, String)]) -> Result<Made, Fault> {
    let dir = place_for(dir)?;
    let staged = Staged::beside(&dir)?;
    let folder = staged.folder();
    for sub in ["secrets", "secrets/nkeys", "secrets/tokens", "agents", "data"] {
        folder.dir(sub)?;
    }
    let chain = format!("{}.{}", plan.realm, hex::encode(credentials::random::<8>()?));
    let chain =
        ChainId::new(&chain).map_err(|error| Fault::usage(format!("cannot name the chain: {error}")))?;
    let signer = Signer::generate(&plan.realm, chain.clone())?;
    folder.secret("secrets/root.key", &signer.root_text())?;
    let mut minted = vec![Minted::controller(&signer)?];
    for agent in &plan.agents {
        minted.push(Minted::agent(&signer, agent)?);
    }
    for emitter in &plan.emitters {
        minted.push(Minted::emitter(&signer, emitter)?);
    }
    for identity in &minted {
        identity.write(folder)?;
    }
    let users = Users::of(&minted);
    if let Some(direct) = &plan.direct {
        direct::write(folder, &plan.realm, direct)?;
    }
    write_public(folder, &signer, plan, minted, &users, &dir)?;
    for (name, text) in extra {
        folder.public(name, text)?;
    }
    let mut files = staged.written();
    staged.settle(&dir)?;
    files.sort();
    let root_fingerprint = signer.root_fingerprint();
    Ok(Made { dir, chain: chain.to_string(), root_fingerprint, files })
}

fn write_public(
    folder: &Folder,
    signer: &Signer,
    plan: &Plan,
    minted: Vec<Minted>,
    users: &Users,
    dir: &Path,
) -> Result<(), Fault> {
    folder.public("realm.json", &signer.pin().to_json())?;
    folder.public("controller.toml", &render::controller(plan, &minted))?;
    folder.public("cli.toml", &render::cli(plan))?;
    for agent in &plan.agents {
        let direct = plan.direct.as_ref().map(DirectPlan::url);
        let text = render::agent(agent, &plan.nats_url, direct.as_deref(), &plan.issuers, plan.lease);
        folder.public(&format!("agents/{}.toml", agent.id), &text)?;
    }
    let certs = minted.into_iter().map(|identity| identity.cert);
    let bundle = TrustBundle::new(signer.pin(), certs).map_err(|error| {
        Fault::internal("trust", format!("cannot make the trust bundle: {}", chain(&error)))
    })?;
    folder.public("trust.json", &bundle.to_json())?;
    folder.public("nats-users.json", &users.to_json())?;
    folder.public("nats-realm.conf", &render::nats_realm(&plan.realm, users, &dir.join("data/nats"))?)?;
    folder.public("nats.conf", &render::nats(&plan.nats_url))?;
    // Why: a realm made inside a repository must not be committed by a hurried `git add`.
    folder.public(".gitignore", "*\n")
}

/// The absolute place of a new realm.
fn place_for(dir: &Path) -> Result<PathBuf, Fault> {
    let failed = |why: String| Fault::internal("init", format!("cannot make `{}`: {why}", dir.display()));
    let absolute = std::path::absolute(dir).map_err(|error| failed(plain(&error)))?;
    let exists = |what: &str| {
        Fault::refused(
            "exists",
            format!(
                "cannot make a realm in `{}`: {what}; nothing was changed; choose another directory, or enroll an \
                 agent with `rescind init add-agent`",
                dir.display()
            ),
        )
    };
    match fs::read_dir(&absolute) {
        Ok(mut entries) => {
            if entries.next().is_some() {
                return Err(exists("it is not empty"));
            }
            let real = fs::canonicalize(&absolute).map_err(|error| failed(plain(&error)))?;
            // Why: the directory is replaced as a whole, and a shell would stand in the old one.
            if env::current_dir().is_ok_and(|here| here.starts_with(&real)) {
                return Err(exists("it is the current directory"));
            }
            return Ok(real);
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotADirectory => {
            return Err(exists("it is a file"));
        }
        Err(error) => return Err(failed(plain(&error))),
    }
    let (Some(parent), Some(name)) = (absolute.parent(), absolute.file_name()) else {
        return Err(failed("it has no name".to_owned()));
    };
    fs::create_dir_all(parent).map_err(|error| failed(plain(&error)))?;
    fs::canonicalize(parent).map(|parent| parent.join(name)).map_err(|error| failed(plain(&error)))
}

/// The pin of an existing realm.
fn load_pin(text: &str) -> Result<RealmPin, Fault> {
    RealmPin::parse(text).map_err(|error| Fault::usage(format!("cannot use `realm.json`: {}", chain(&error))))
}
