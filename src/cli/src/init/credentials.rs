//! Keys, certificates and tokens of a realm's members.

use rescind_bus::permissions::Role as BusRole;
use rescind_codec::{Identity, IssuedCert, KeyCert, RealmPin, SecretKey, issue_cert};
use rescind_core::controller::rights::Rights;
use rescind_core::ids::{ChainId, ControllerId};
use rescind_core::time::UnixMs;
use sha2::{Digest, Sha256};

use super::files::Folder;
use super::plan::CONTROLLER;
use crate::args::value::{AgentSpec, EmitterSpec};
use crate::fault::{Fault, chain};
use crate::output::time;

/// Why: a machine whose clock is a little behind must accept a certificate of just now.
const BACKDATE_MS: i64 = 10 * 60 * 1000;

/// Limit: how long a certificate is good. Ten years, as long as rotation is not part of the chain.
const LIFETIME_MS: i64 = 3653 * 24 * 3600 * 1000;

/// Random bytes from the system.
pub(super) fn random<const N: usize>() -> Result<[u8; N], Fault> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)
        .map_err(|error| Fault::internal("random", format!("cannot draw a key: {error}")))?;
    Ok(bytes)
}

/// The offline root, while it is at hand.
pub(super) struct Signer {
    root: SecretKey,
    pin: RealmPin,
}

impl Signer {
    /// A new root.
    pub(super) fn generate(realm: &str, chain_id: ChainId) -> Result<Self, Fault> {
        let root = SecretKey::from_seed(random()?);
        let pin = RealmPin::new(realm, chain_id, root.public())
            .map_err(|error| Fault::usage(format!("cannot name the realm: {}", chain(&error))))?;
        Ok(Self { root, pin })
    }

    /// The root of an existing realm; refuses another realm's.
    pub(super) fn load(text: &str, pin: RealmPin) -> Result<Self, Fault> {
        let root = SecretKey::parse(text)
            .map_err(|error| Fault::usage(format!("cannot use `secrets/root.key`: {}", chain(&error))))?;
        if root.public().to_bytes() != pin.root.to_bytes() {
            return Err(Fault::usage(
                "cannot use `secrets/root.key`: it belongs to another realm than `realm.json`",
            ));
        }
        Ok(Self { root, pin })
    }

    /// The realm.
    pub(super) const fn pin(&self) -> &RealmPin {
        &self.pin
    }

    /// What goes into `secrets/root.key`.
    pub(super) fn root_text(&self) -> String {
        self.root.to_text().to_string()
    }

    /// To compare by eye.
    pub(super) fn root_fingerprint(&self) -> String {
        hex::encode(Sha256::digest(self.root.public().to_bytes()))
    }

    /// For certificates that are issued again.
    pub(super) const fn root(&self) -> &SecretKey {
        &self.root
    }

    fn certify(&self, identity: Identity, key: &SecretKey) -> IssuedCert {
        let now = time::now_ms();
        let not_before = UnixMs(now.saturating_sub(BACKDATE_MS));
        let not_after = UnixMs(now.saturating_add(LIFETIME_MS));
        issue_cert(&self.root, &self.pin, &KeyCert { identity, key: key.public(), not_before, not_after })
    }
}

/// A new member with its secrets, to be written and forgotten.
pub(super) struct Minted {
    /// Name on the bus.
    pub(super) name: String,
    /// Role on the bus.
    pub(super) role: BusRole,
    /// Public nkey.
    pub(super) nkey_public: String,
    /// Its certificate.
    pub(super) cert: IssuedCert,
    /// For emitters: SHA-256 of the bearer token, in hex.
    pub(super) token_sha256: Option<String>,
    file_stem: String,
    key: SecretKey,
    nkey_seed: String,
    token: Option<String>,
}

impl Minted {
    /// The controller.
    pub(super) fn controller(signer: &Signer) -> Result<Self, Fault> {
        let id = ControllerId::new(CONTROLLER)
            .map_err(|error| Fault::internal("name", format!("cannot name the controller: {error}")))?;
        Self::new(signer, Identity::Controller(id), BusRole::Controller, "controller".to_owned())
    }

    /// An agent.
    pub(super) fn agent(signer: &Signer, agent: &AgentSpec) -> Result<Self, Fault> {
        Self::new(signer, Identity::Agent(agent.id.clone()), BusRole::Agent, format!("agent-{}", agent.id))
    }

    /// An emitter, with a bearer token.
    pub(super) fn emitter(signer: &Signer, emitter: &EmitterSpec) -> Result<Self, Fault> {
        let rights = Rights { words: emitter.allow, rung_max: emitter.rung_max };
        let identity = Identity::Emitter(emitter.name.clone(), rights);
        let mut minted = Self::new(signer, identity, BusRole::Emitter, format!("emitter-{}", emitter.name))?;
        let token = format!("rsc_{}", hex::encode(random::<32>()?));
        minted.token_sha256 = Some(hex::encode(Sha256::digest(token.as_bytes())));
        minted.token = Some(token);
        Ok(minted)
    }

    fn new(signer: &Signer, identity: Identity, role: BusRole, file_stem: String) -> Result<Self, Fault> {
        let key = SecretKey::from_seed(random()?);
        let failed = |error| Fault::internal("nkey", format!("cannot make a bus credential: {error}"));
        let nkey = nkeys::KeyPair::new_from_raw(nkeys::KeyPairType::User, random()?).map_err(failed)?;
        let nkey_seed = nkey.seed().map_err(failed)?;
        Ok(Self {
            name: identity.name().to_owned(),
            role,
            nkey_public: nkey.public_key(),
            cert: signer.certify(identity, &key),
            token_sha256: None,
            file_stem,
            key,
            nkey_seed,
            token: None,
        })
    }

    /// What is certified.
    pub(super) fn cert_ref(&self) -> &KeyCert {
        self.cert.cert()
    }

    /// The files of this member, none of which may exist.
    pub(super) fn files(&self) -> Vec<String> {
        let mut files =
            vec![format!("secrets/{}.key", self.file_stem), format!("secrets/nkeys/{}.nk", self.file_stem)];
        files.extend(self.token.as_ref().map(|_| format!("secrets/tokens/{}.token", self.name)));
        files
    }

    /// Writes its secrets.
    pub(super) fn write(&self, folder: &Folder) -> Result<(), Fault> {
        folder.secret(&format!("secrets/{}.key", self.file_stem), &self.key.to_text())?;
        folder.secret(&format!("secrets/nkeys/{}.nk", self.file_stem), &format!("{}\n", self.nkey_seed))?;
        match &self.token {
            Some(token) => {
                folder.secret(&format!("secrets/tokens/{}.token", self.name), &format!("{token}\n"))
            }
            None => Ok(()),
        }
    }
}
