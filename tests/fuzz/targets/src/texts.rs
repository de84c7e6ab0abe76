//! Texts of operators and issuers.

use rescind_codec::{PublicKey, RealmPin, SecretKey, TrustBundle};
use rescind_core::target::Target;
use rescind_token::KeySet;

use crate::realm::PIN;

/// Keys, `realm.json` and `trust.json`.
pub fn realm_files(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Ok(read) = SecretKey::parse(&text) {
        assert_eq!(SecretKey::parse(&read.to_text()).unwrap().key_id(), read.key_id());
    }
    if let Ok(read) = PublicKey::parse(&text) {
        assert_eq!(PublicKey::parse(&read.to_string()).unwrap().to_bytes(), read.to_bytes());
    }
    if let Ok(read) = RealmPin::parse(&text) {
        assert_eq!(RealmPin::parse(&read.to_json()).unwrap().to_json(), read.to_json());
    }
    if let Ok(read) = TrustBundle::load(&text, &PIN) {
        assert_eq!(TrustBundle::load(&read.to_json(), &PIN).unwrap().to_json(), read.to_json());
    }
}

/// Keys of issuers.
pub fn jwks(bytes: &[u8]) {
    if let Ok(keys) = KeySet::parse(bytes) {
        assert!(keys.skipped().len() <= bytes.len(), "more keys were skipped than there can be");
    }
}

/// Targets as people type them.
pub fn target_text(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Ok(target) = text.parse::<Target>() {
        assert_eq!(target.to_string().parse(), Ok(target));
    }
}
