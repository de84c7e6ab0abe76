//! The trust bundle: every certificate that a reader goes by, verified when it is loaded.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rescind_core::time::UnixMs;
use serde::{Deserialize, Serialize};

use super::pin::label;
use super::{CertError, IssuedCert, KeyCert, RealmPin, Role, TrustError, TrustRefusal};
use crate::keys::{KeyId, PublicKey};
use crate::limits::{BUNDLE_BYTES_MAX, BUNDLE_CERTS_MAX};
use crate::wire::clip;

/// Names the form of the file.
const FORM: &str = "rescind-trust/1";

/// All certificates of a realm that a process goes by.
#[derive(Debug, Clone)]
pub struct TrustBundle {
    pin: RealmPin,
    issued: Vec<IssuedCert>,
    /// By key: places in `issued` of its certificates. One owner and role each; renewals add places.
    by_key: BTreeMap<KeyId, Vec<usize>>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct BundleFile {
    form: String,
    realm: String,
    chain_id: String,
    certificates: Vec<CertFile>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct CertFile {
    role: String,
    name: String,
    certificate: String,
}

/// A known key in the role that was asked for.
#[derive(Clone, Copy)]
pub(crate) struct Signer<'t> {
    bundle: &'t TrustBundle,
    first: &'t KeyCert,
    places: &'t [usize],
}

impl TrustBundle {
    /// Reads a bundle and verifies every certificate against the pinned root.
    ///
    /// Certificates that ended stay useful: what they signed while they were valid is still in the chain.
    ///
    /// # Errors
    /// [`TrustError`] names the certificate and says what to do. A bundle is used as a whole or not at all.
    pub fn load(json: &str, pin: &RealmPin) -> Result<Self, TrustError> {
        if json.len() > BUNDLE_BYTES_MAX {
            return Err(TrustError::TooLarge { what: "trust bundle", bytes: json.len() });
        }
        let file: BundleFile =
            serde_json::from_str(json).map_err(|source| TrustError::Json { what: "trust bundle", source })?;
        if file.form != FORM {
            return Err(TrustError::Form { seen: clip(&file.form) });
        }
        if file.realm != *pin.realm || file.chain_id != pin.chain.as_str() {
            let seen = label(&file.realm, &file.chain_id);
            return Err(TrustError::WrongRealm { seen, expected: pin.label() });
        }
        let certs = file.certificates.into_iter().map(|cert| {
            let label = clip(&format!("{} {}", clip(&cert.role), cert.name));
            (label, STANDARD.decode(&cert.certificate).map_err(|_| CertError::NotBase64))
        });
        Self::build(pin, certs)
    }

    /// Makes a bundle of certificates that were just issued, verifying them as a reader will.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn new(pin: &RealmPin, certs: impl IntoIterator<Item = IssuedCert>) -> Result<Self, TrustError> {
        let labelled =
            |cert: IssuedCert| (clip(&cert.cert().identity.to_string()), Ok(cert.bytes().to_vec()));
        Self::build(pin, certs.into_iter().map(labelled))
    }

    fn build(
        pin: &RealmPin,
        certs: impl Iterator<Item = (Box<str>, Result<Vec<u8>, CertError>)>,
    ) -> Result<Self, TrustError> {
        let mut bundle = Self { pin: pin.clone(), issued: Vec::new(), by_key: BTreeMap::new() };
        for (at, (label, bytes)) in certs.enumerate() {
            if at >= BUNDLE_CERTS_MAX {
                return Err(TrustError::TooMany { count: at.saturating_add(1) });
            }
            let added = bytes
                .and_then(|bytes| IssuedCert::verify(bytes, pin))
                .and_then(|issued| bundle.add(issued, &label));
            added.map_err(|source| TrustError::Cert { place: at.saturating_add(1), label, source })?;
        }
        Ok(bundle)
    }

    fn add(&mut self, issued: IssuedCert, label: &str) -> Result<(), CertError> {
        let cert = issued.cert();
        let certified = clip(&cert.identity.to_string());
        if *certified != *label {
            return Err(CertError::Mislabelled { label: label.into(), certified });
        }
        let key_id = cert.key.key_id();
        let others = self.by_key.get(&key_id).into_iter().flatten();
        for other in others.filter_map(|place| self.issued.get(*place)) {
            let other = other.cert();
            let same_owner = other.identity.role() == cert.identity.role()
                && other.identity.name() == cert.identity.name()
                && other.key == cert.key;
            if !same_owner {
                return Err(CertError::SharedKey { key_id, other: other.identity.to_string().into() });
            }
        }
        self.by_key.entry(key_id).or_default().push(self.issued.len());
        self.issued.push(issued);
        Ok(())
    }

    /// The bundle's file.
    #[must_use]
    pub fn to_json(&self) -> String {
        let file = BundleFile {
            form: FORM.to_owned(),
            realm: self.pin.realm.clone().into(),
            chain_id: self.pin.chain.as_str().into(),
            certificates: self.issued.iter().map(cert_file).collect(),
        };
        // Serializing strings cannot fail; an empty file is refused by `load`.
        serde_json::to_string_pretty(&file).map(|text| text + "\n").unwrap_or_default()
    }

    /// The certificate by which this key has this role at this time.
    ///
    /// # Errors
    /// [`TrustRefusal`] says why there is none; what the key signed is refused.
    pub fn find(&self, key_id: KeyId, role: Role, at: UnixMs) -> Result<&KeyCert, TrustRefusal> {
        self.signer(key_id, role)?.at(at)
    }

    /// All certificates, in the order of the file.
    pub fn certs(&self) -> impl Iterator<Item = &KeyCert> {
        self.issued.iter().map(IssuedCert::cert)
    }

    /// The realm that this bundle was verified for.
    #[must_use]
    pub const fn pin(&self) -> &RealmPin {
        &self.pin
    }

    /// The owner of a key, whatever the time.
    pub(crate) fn signer(&self, key_id: KeyId, role: Role) -> Result<Signer<'_>, TrustRefusal> {
        let unknown = || TrustRefusal::UnknownKey(key_id);
        let places = self.by_key.get(&key_id).ok_or_else(unknown)?;
        let first = places.first().and_then(|place| self.issued.get(*place)).ok_or_else(unknown)?.cert();
        if first.identity.role() != role {
            return Err(TrustRefusal::WrongRole { owner: first.identity.to_string().into(), wanted: role });
        }
        Ok(Signer { bundle: self, first, places })
    }
}

impl<'t> Signer<'t> {
    pub(crate) const fn key(&self) -> &'t PublicKey {
        &self.first.key
    }

    /// The certificate that is valid at `at`; of several, the one listed last.
    pub(crate) fn at(&self, at: UnixMs) -> Result<&'t KeyCert, TrustRefusal> {
        let certs =
            || self.places.iter().filter_map(|place| self.bundle.issued.get(*place)).map(IssuedCert::cert);
        if let Some(cert) = certs().rfind(|cert| cert.is_valid_at(at)) {
            return Ok(cert);
        }
        let owner = self.first.identity.to_string().into();
        let ended = certs().map(|cert| cert.not_after).filter(|end| *end <= at).max();
        Err(match ended {
            Some(end) => TrustRefusal::Expired { owner, not_after_ms: end.0 },
            None => {
                let begin = certs().map(|cert| cert.not_before).min().unwrap_or(UnixMs(i64::MAX));
                TrustRefusal::NotYetValid { owner, not_before_ms: begin.0 }
            }
        })
    }
}

fn cert_file(issued: &IssuedCert) -> CertFile {
    let identity = &issued.cert().identity;
    CertFile {
        role: identity.role().word().to_owned(),
        name: identity.name().to_owned(),
        certificate: STANDARD.encode(issued.bytes()),
    }
}
