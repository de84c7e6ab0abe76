//! Certificates: a key, its owner and role, signed by the root.

use prost::Message as _;
use rescind_core::controller::rights::{Rights, Word, WordSet};
use rescind_core::ids::{AgentId, ControllerId, EmitterId};
use rescind_core::target::TargetKind;
use rescind_core::time::UnixMs;
use rescind_schemas::v1 as proto;

use super::pin::label;
use super::{CertError, Identity, RealmPin, Role, covers};
use crate::envelope::{Domain, Sealed, seal};
use crate::error::CodecError;
use crate::keys::{PublicKey, SecretKey};
use crate::wire::{decode_strict, fixed};

/// Binds a key to a name and a role for a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyCert {
    /// Whose key it is, in which role.
    pub identity: Identity,
    /// The key.
    pub key: PublicKey,
    /// First millisecond of its validity.
    pub not_before: UnixMs,
    /// First millisecond after its validity.
    pub not_after: UnixMs,
}

impl KeyCert {
    /// Whether it is valid at `at`.
    #[must_use]
    pub const fn is_valid_at(&self, at: UnixMs) -> bool {
        covers(self.not_before, self.not_after, at)
    }
}

/// A certificate with the root's signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuedCert {
    cert: KeyCert,
    bytes: Vec<u8>,
}

impl IssuedCert {
    /// The content.
    #[must_use]
    pub const fn cert(&self) -> &KeyCert {
        &self.cert
    }

    /// The signed form.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Reads and verifies the signed form.
    pub(crate) fn verify(bytes: Vec<u8>, pin: &RealmPin) -> Result<Self, CertError> {
        let sealed = Sealed::parse(Domain::Cert, &bytes).map_err(CertError::Unreadable)?;
        if sealed.key_id != pin.root.key_id() {
            return Err(CertError::NotByRoot { seen: sealed.key_id });
        }
        if !sealed.is_signed_by(Domain::Cert, &pin.root) {
            return Err(CertError::BadSignature);
        }
        let cert = decode(sealed.payload, pin)?;
        Ok(Self { cert, bytes })
    }
}

/// Signs a certificate. Whether it makes sense is checked where it is loaded, also by
/// [`TrustBundle::new`](super::TrustBundle::new) on the machine that issues it.
#[must_use]
pub fn issue_cert(root: &SecretKey, pin: &RealmPin, cert: &KeyCert) -> IssuedCert {
    let (role, rights) = match &cert.identity {
        Identity::Controller(_) => (proto::KeyRole::Controller, None),
        Identity::Agent(_) => (proto::KeyRole::Agent, None),
        Identity::Emitter(_, rights) => (proto::KeyRole::Emitter, Some(rights_to_wire(rights))),
    };
    let wire = proto::KeyCert {
        realm: pin.realm.clone().into(),
        chain_id: pin.chain.as_str().into(),
        role: role.into(),
        name: cert.identity.name().into(),
        public_key: cert.key.to_bytes().to_vec(),
        not_before_ms: cert.not_before.0,
        not_after_ms: cert.not_after.0,
        rights,
    };
    IssuedCert { cert: cert.clone(), bytes: seal(Domain::Cert, root, &wire.encode_to_vec()) }
}

fn decode(payload: &[u8], pin: &RealmPin) -> Result<KeyCert, CertError> {
    let wire: proto::KeyCert = decode_strict("certificate", payload).map_err(CertError::Unreadable)?;
    if wire.realm != *pin.realm || wire.chain_id != pin.chain.as_str() {
        return Err(CertError::WrongRealm { seen: label(&wire.realm, &wire.chain_id) });
    }
    let identity = match (role(wire.role)?, &wire.rights) {
        (Role::Controller, None) => Identity::Controller(ControllerId::new(&wire.name)?),
        (Role::Agent, None) => Identity::Agent(AgentId::new(&wire.name)?),
        (Role::Emitter, Some(rights)) => {
            Identity::Emitter(EmitterId::new(&wire.name)?, rights_from_wire(rights)?)
        }
        (Role::Controller | Role::Agent, Some(_)) | (Role::Emitter, None) => return Err(CertError::Rights),
    };
    let public = fixed("public_key", &wire.public_key).map_err(CertError::Unreadable)?;
    let key = PublicKey::from_bytes(&public)?;
    if wire.not_after_ms <= wire.not_before_ms {
        return Err(CertError::EmptyValidity);
    }
    Ok(KeyCert {
        identity,
        key,
        not_before: UnixMs(wire.not_before_ms),
        not_after: UnixMs(wire.not_after_ms),
    })
}

fn role(number: i32) -> Result<Role, CertError> {
    match proto::KeyRole::try_from(number) {
        Ok(proto::KeyRole::Controller) => Ok(Role::Controller),
        Ok(proto::KeyRole::Agent) => Ok(Role::Agent),
        Ok(proto::KeyRole::Emitter) => Ok(Role::Emitter),
        Ok(proto::KeyRole::Unspecified) => Err(CertError::Unreadable(CodecError::Missing { field: "role" })),
        Err(_) => Err(CertError::Unreadable(CodecError::UnknownKind { field: "role" })),
    }
}

fn rights_to_wire(rights: &Rights) -> proto::Rights {
    proto::Rights {
        words: rights.words.iter().map(|word| word.word().to_owned()).collect(),
        rung_max: rights.rung_max.into(),
    }
}

/// Words that this version does not know give nothing, which is the safe way to read them.
fn rights_from_wire(wire: &proto::Rights) -> Result<Rights, CertError> {
    let words: WordSet = wire.words.iter().filter_map(|word| Word::from_word(word)).collect();
    let rung_max = u8::try_from(wire.rung_max).ok().filter(|rung| *rung <= TargetKind::All.rung());
    let rung_max = rung_max.ok_or(CertError::Unreadable(CodecError::Range { field: "rung_max" }))?;
    Ok(Rights { words, rung_max })
}
