//! Names and values that all parts of the simulated world share.

use core::hash::{Hash as _, Hasher as _};
use core::time::Duration;
use std::hash::DefaultHasher;

use rescind_checker::{Effect, Subject};
use rescind_core::change::{Ask, Change, ChangeBody, Directive, Origin};
use rescind_core::entitlement::{ActionPattern, Holder, ResourcePattern, Right, Window};
use rescind_core::entry::{ChainedEntry, Entry};
use rescind_core::ids::{AgentId, ChainId, ControllerId, EmitterId, IdempotencyKey, InstanceId};
use rescind_core::key::KeyHasher;
use rescind_core::position::{EntryHash, Lane};
use rescind_core::record::{Record, RecordKind};
use rescind_core::target::Target;
use rescind_core::time::UnixS;

pub(crate) const LEASE: Duration = Duration::from_secs(5);
pub(crate) const ISSUER: &str = "https://idp";
pub(crate) const CLIENT: &str = "web";
/// Rights of the workload: `act0` ...
pub(crate) const RIGHTS: u64 = 2;
/// Subjects of sessions and of the client, past those of users.
const SESSIONS: u64 = 1 << 20;
const CLIENTS: u64 = 1 << 21;
const EVERYTHING: u64 = 1 << 22;

pub(crate) const GRANT: Lane = Lane::Grant(0);

pub(crate) const fn slot(lane: Lane) -> usize {
    match lane {
        Lane::Deny => 0,
        Lane::Grant(_) => 1,
    }
}

pub(crate) fn chain() -> ChainId {
    ChainId::new("prod.1").unwrap()
}

pub(crate) fn agent_id(index: u32) -> AgentId {
    AgentId::new(&format!("a{index}")).unwrap()
}

pub(crate) fn controller_id(index: u32) -> ControllerId {
    ControllerId::new(&format!("c{index}")).unwrap()
}

/// Names a run of a process: `kind` tells agents from controllers.
pub(crate) fn instance(kind: u8, index: u32, run: u32) -> InstanceId {
    let mut id = [kind; 16];
    id[..4].copy_from_slice(&index.to_le_bytes());
    id[4..8].copy_from_slice(&run.to_le_bytes());
    InstanceId(id)
}

/// Index and run of what [`instance`] made.
pub(crate) fn process(instance: InstanceId) -> (u32, u32) {
    let part = |from: usize| {
        let mut bytes = [0; 4];
        bytes.copy_from_slice(&instance.0[from..from + 4]);
        u32::from_le_bytes(bytes)
    };
    (part(0), part(4))
}

pub(crate) fn agent_hasher() -> KeyHasher {
    KeyHasher::new([3; 16])
}

/// Stands for SHA-256 over the signed bytes: any difference gives another hash.
pub(crate) fn chained(entry: Entry) -> ChainedEntry {
    let text = format!("{entry:?}");
    let mut hash = [7; 32];
    for (salt, part) in hash.chunks_mut(8).take(2).enumerate() {
        let mut hasher = DefaultHasher::new();
        salt.hash(&mut hasher);
        text.hash(&mut hasher);
        part.copy_from_slice(&hasher.finish().to_le_bytes());
    }
    ChainedEntry { entry, hash: EntryHash(hash), message: None }
}

pub(crate) fn user(id: u64) -> Target {
    Target::User { issuer: Some(ISSUER.into()), id: format!("u{id}").into() }
}

pub(crate) fn session(id: u64) -> Target {
    Target::Session { issuer: ISSUER.into(), sid: format!("s{id}").into() }
}

pub(crate) fn client() -> Target {
    Target::Client { id: CLIENT.into() }
}

pub(crate) fn record(kind: RecordKind, target: Target) -> Ask {
    Ask::Record { kind, target, cutoff: None }
}

pub(crate) fn grant(id: u64, right: u64) -> Ask {
    Ask::Grant {
        holder: Holder::User { issuer: ISSUER.into(), id: format!("u{id}").into() },
        right: Right::Permission {
            action: ActionPattern::new(&action(right)).unwrap(),
            resource: ResourcePattern::new("*").unwrap(),
        },
        tenant: None,
        window: Window::default(),
    }
}

pub(crate) fn action(right: u64) -> String {
    format!("act{right}")
}

pub(crate) fn directive(key: u64, ask: Ask) -> Directive {
    let origin = Origin {
        emitter: EmitterId::new("ir").unwrap(),
        key: IdempotencyKey::new(&format!("k{key}")).unwrap(),
        requested_by: None,
        reason_code: None,
        incident: None,
        known_at: None,
    };
    Directive { origin, reason_admin: None, ask }
}

/// Everything that a record could name about this user's request.
pub(crate) fn subjects(user: u64) -> Vec<Subject> {
    vec![Subject(user), Subject(SESSIONS + user), Subject(CLIENTS), Subject(EVERYTHING)]
}

fn number(text: &str) -> u64 {
    text.get(1..).and_then(|digits| digits.parse().ok()).unwrap_or(0)
}

fn subject(target: &Target) -> Subject {
    match target {
        Target::User { id, .. } => Subject(number(id)),
        Target::Session { sid, .. } => Subject(SESSIONS + number(sid)),
        Target::Client { .. } => Subject(CLIENTS),
        _ => Subject(EVERYTHING),
    }
}

/// The change as the checker models it.
pub(crate) fn effect(change: &Change) -> Effect {
    let seconds = |cutoff: &Option<UnixS>| cutoff.map(|second| second.0);
    match &change.body {
        ChangeBody::Record(Record { kind, target, cutoff, .. }) => {
            let standing = *kind != RecordKind::Revoke || cutoff.is_none();
            Effect::Deny { subject: subject(target), standing, cutoff: seconds(cutoff) }
        }
        ChangeBody::Lift { record, cutoff, .. } => Effect::End { record: *record, cutoff: seconds(cutoff) },
        ChangeBody::Reinstate { record, .. } => Effect::End { record: *record, cutoff: None },
        ChangeBody::Grant(entitlement) => match (&entitlement.holder, &entitlement.right) {
            (Holder::User { id, .. }, Right::Permission { action, .. }) => Effect::Grant {
                subject: Subject(number(id)),
                right: action.as_str().strip_prefix("act").and_then(|n| n.parse().ok()).unwrap_or(0),
            },
            _ => Effect::Other,
        },
        ChangeBody::Withdraw { entitlement, .. } => Effect::Withdraw { entitlement: *entitlement },
        _ => Effect::Other,
    }
}

/// The number of a directive's key; fences have none.
pub(crate) fn key(change: &Change) -> Option<u64> {
    change.origin.key.as_str().strip_prefix('k').and_then(|digits| digits.parse().ok())
}
