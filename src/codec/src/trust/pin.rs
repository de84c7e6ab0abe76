//! The realm file: what everything else is checked against.

use rescind_core::ids::ChainId;
use rescind_core::text::check_name;
use serde::{Deserialize, Serialize};

use super::TrustError;
use crate::keys::PublicKey;
use crate::wire::clip;

/// Limit: bytes of a realm file; two names and a key.
const REALM_FILE_BYTES_MAX: usize = 4096;

/// A realm and its root key, as pinned in the configuration of every controller and agent (`realm.json`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RealmPin {
    /// Name of the realm, as in subjects.
    pub realm: Box<str>,
    /// Its chain.
    pub chain: ChainId,
    /// The offline key that certifies all others.
    pub root: PublicKey,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RealmFile {
    realm: String,
    chain_id: String,
    root_public: String,
}

impl RealmPin {
    /// Checks the name and wraps the parts.
    ///
    /// # Errors
    /// [`TrustError::Name`] for a realm that is no name.
    pub fn new(realm: &str, chain: ChainId, root: PublicKey) -> Result<Self, TrustError> {
        check_name("realm", realm).map_err(TrustError::Name)?;
        Ok(Self { realm: realm.into(), chain, root })
    }

    /// Reads a realm file: `{"realm", "chain_id", "root_public": base64}`.
    ///
    /// # Errors
    /// [`TrustError`] says which part is wrong; nothing can start without it.
    pub fn parse(json: &str) -> Result<Self, TrustError> {
        if json.len() > REALM_FILE_BYTES_MAX {
            return Err(TrustError::TooLarge { what: "realm file", bytes: json.len() });
        }
        let file: RealmFile =
            serde_json::from_str(json).map_err(|source| TrustError::Json { what: "realm file", source })?;
        let chain = ChainId::new(&file.chain_id).map_err(TrustError::Name)?;
        let root = PublicKey::parse(&file.root_public).map_err(TrustError::Root)?;
        Self::new(&file.realm, chain, root)
    }

    /// The realm file, one line.
    #[must_use]
    pub fn to_json(&self) -> String {
        let file = RealmFile {
            realm: self.realm.clone().into(),
            chain_id: self.chain.as_str().into(),
            root_public: self.root.to_string(),
        };
        // Serializing three strings cannot fail; an empty file is refused by `parse`.
        serde_json::to_string(&file).map(|text| text + "\n").unwrap_or_default()
    }

    /// Realm and chain, for messages.
    pub(super) fn label(&self) -> Box<str> {
        label(&self.realm, self.chain.as_str())
    }
}

/// Realm and chain, for messages; cut to 64 characters.
pub(super) fn label(realm: &str, chain: &str) -> Box<str> {
    clip(&format!("{} {}", clip(realm), clip(chain)))
}
