//! The realm of the golden vectors.

use std::sync::LazyLock;

use rescind_codec::{Domain, Identity, KeyCert, RealmPin, SecretKey, TrustBundle, issue_cert, seal};
use rescind_core::controller::rights::{Rights, Word};
use rescind_core::ids::{AgentId, ChainId, ControllerId, EmitterId};
use rescind_core::time::UnixMs;

/// When the golden messages were made.
pub(crate) const NOW: UnixMs = UnixMs(1_760_000_000_123);

pub(crate) fn controller() -> SecretKey {
    SecretKey::from_seed([2; 32])
}

pub(crate) fn agent() -> SecretKey {
    SecretKey::from_seed([3; 32])
}

pub(crate) fn emitter() -> SecretKey {
    SecretKey::from_seed([4; 32])
}

pub(crate) fn dana() -> SecretKey {
    SecretKey::from_seed([5; 32])
}

pub(crate) fn emitter_id() -> EmitterId {
    EmitterId::new("ir").unwrap()
}

pub(crate) static PIN: LazyLock<RealmPin> = LazyLock::new(|| {
    let root = SecretKey::from_seed([1; 32]);
    RealmPin::new("demo", ChainId::new("demo.7f3a").unwrap(), root.public()).unwrap()
});

pub(crate) static TRUST: LazyLock<TrustBundle> = LazyLock::new(|| {
    let root = SecretKey::from_seed([1; 32]);
    let recover = Rights { words: [Word::Recover].into_iter().collect(), rung_max: 0 };
    let person = |name, rights| Identity::Emitter(EmitterId::new(name).unwrap(), rights);
    let holders = [
        (Identity::Controller(ControllerId::new("c1").unwrap()), controller()),
        (Identity::Agent(AgentId::new("payments-1").unwrap()), agent()),
        (person("ir", Rights::everything()), emitter()),
        (person("dana", recover), dana()),
        (person("eve", recover), SecretKey::from_seed([6; 32])),
    ];
    let certs = holders.map(|(identity, key)| {
        let (not_before, not_after) = (UnixMs(i64::MIN), UnixMs(i64::MAX));
        issue_cert(&root, &PIN, &KeyCert { identity, key: key.public(), not_before, not_after })
    });
    TrustBundle::new(&PIN, certs).unwrap()
});

/// The bytes as they are, and as a payload that the right holder signed. Why the prefix of a golden message: those
/// are envelopes, whose payload is their first field.
pub(crate) fn forms(bytes: &[u8], domain: Domain, key: &SecretKey) -> [Vec<u8>; 3] {
    [bytes.to_vec(), seal(domain, key, bytes), seal(domain, key, payload(bytes))]
}

/// What the first field holds, if that is of bytes.
fn payload(bytes: &[u8]) -> &[u8] {
    let Some((&0x0a, mut rest)) = bytes.split_first() else { return bytes };
    let mut length = 0_usize;
    for shift in [0, 7, 14] {
        let Some((byte, after)) = rest.split_first() else { return bytes };
        length |= usize::from(byte & 0x7f) << shift;
        rest = after;
        if byte & 0x80 == 0 {
            break;
        }
    }
    rest.get(..length.min(rest.len())).unwrap_or(rest)
}
