use bytes::Bytes;
use rescind_codec::{Identity, KeyCert, RealmPin, SecretKey, TrustBundle, encode_entry, issue_cert};
use rescind_core::change::{Change, ChangeBody, Origin};
use rescind_core::controller::registry::Registry;
use rescind_core::entitlement::{ActionPattern, Entitlement, Holder, ResourcePattern, Right, Window};
use rescind_core::entry::Entry;
use rescind_core::ids::{ControllerId, EmitterId, IdempotencyKey, InstanceId, RecordId};
use rescind_core::key::KeyHasher;
use rescind_core::position::{EntryHash, Heads, Position};
use rescind_core::time::UnixMs;
use rustix::time::{ClockId, clock_gettime};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::wal::{Append, LoggedEntry};

const LANE: Lane = Lane::Grant(0);

fn trust() -> TrustBundle {
    let root = SecretKey::from_seed([1; 32]);
    let pin = RealmPin::new("prod", ChainId::new("prod.1").unwrap(), root.public()).unwrap();
    let identity = Identity::Controller(ControllerId::new("c1").unwrap());
    let key = SecretKey::from_seed([2; 32]).public();
    let cert = KeyCert { identity, key, not_before: UnixMs(0), not_after: UnixMs(i64::MAX / 2) };
    TrustBundle::new(&pin, [issue_cert(&root, &pin, &cert)]).unwrap()
}

fn grant(revision: u64) -> Change {
    let id = RecordId::new(LANE, Position::new(1, revision)).unwrap();
    let origin = Origin {
        emitter: EmitterId::new("ir").unwrap(),
        key: IdempotencyKey::new(&format!("load-{revision}")).unwrap(),
        requested_by: None,
        reason_code: None,
        incident: None,
        known_at: None,
    };
    let body = ChangeBody::Grant(Entitlement {
        id,
        holder: Holder::User { issuer: "https://idp.example".into(), id: format!("user-{revision}").into() },
        right: Right::Permission {
            action: ActionPattern::new("refund:create").unwrap(),
            resource: ResourcePattern::new(&format!("/orders/{revision}")).unwrap(),
        },
        tenant: None,
        window: Window::default(),
    });
    Change { id, origin, reason_admin_sha256: None, body }
}

fn entry(first: u64, changes: u64, prev_hash: EntryHash) -> Entry {
    Entry {
        chain: ChainId::new("prod.1").unwrap(),
        epoch: Epoch(1),
        lane: LANE,
        first: Revision(first),
        changes: (first..first + changes).map(grant).collect(),
        prev_hash,
        deps: Position::default(),
        committed_at: UnixMs(1_700_000_000_000),
        controller: ControllerId::new("c1").unwrap(),
        boot: InstanceId([7; 16]),
    }
}

/// Logs an entry; gives its hash and last revision.
fn log(logs: &Logs, entry: &Entry, signer: u8) -> EntryHash {
    let (bytes, hash) = encode_entry(entry, &SecretKey::from_seed([signer; 32]));
    let logged =
        LoggedEntry { first: entry.first, last: entry.last().revision, hash, bytes: Bytes::from(bytes) };
    logs.grant.append(Append { entry: &logged, reasons: &[], confirmed: None }).unwrap();
    hash
}

fn open(dir: &Path) -> Logs {
    Logs::open(dir, &ChainId::new("prod.1").unwrap()).unwrap()
}

fn fold_all(logs: &Logs, until: Option<Heads>) -> Result<Folded, StartError> {
    let empty = Folded {
        registry: Registry::new(KeyHasher::new([3; 16])),
        heads: Heads::default(),
        forgone: Epoch(0),
    };
    fold(logs, &trust(), empty, until, &CancellationToken::new())
}

#[test]
fn a_log_folds_to_its_end_and_goes_on_from_where_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let logs = open(dir.path());
    let first = log(&logs, &entry(1, 3, EntryHash::default()), 2);
    let half = fold_all(&logs, None).unwrap();
    assert_eq!(half.heads.grant.position, Position::new(1, 3));
    let second = log(&logs, &entry(4, 2, first), 2);
    let whole = fold_all(&logs, None).unwrap();
    assert_eq!((whole.heads.grant.position, whole.heads.grant.hash), (Position::new(1, 5), second));
    let until = fold_all(&logs, Some(half.heads)).unwrap();
    assert_eq!((until.heads, until.registry.digest()), (half.heads, half.registry.digest()));
    let gone_on = fold(&logs, &trust(), half, None, &CancellationToken::new()).unwrap();
    assert_eq!(gone_on.registry.digest(), whole.registry.digest());
}

#[test]
fn a_log_that_is_no_chain_is_refused_where_it_breaks() {
    let refuse = |build: &dyn Fn(&Logs)| {
        let dir = tempfile::tempdir().unwrap();
        let logs = open(dir.path());
        build(&logs);
        match fold_all(&logs, None) {
            Err(StartError::Chain { revision, reason, .. }) => (revision.0, reason),
            other => panic!("{other:?}"),
        }
    };
    let (at, reason) = refuse(&|logs| {
        log(logs, &entry(1, 1, EntryHash::default()), 2);
        log(logs, &entry(2, 1, EntryHash([9; 32])), 2);
    });
    assert_eq!((at, reason.as_str()), (2, "it does not follow the entry before it"));
    let (at, reason) = refuse(&|logs| {
        log(logs, &entry(2, 1, EntryHash::default()), 2);
        log(logs, &entry(1, 1, EntryHash::default()), 9);
    });
    assert_eq!(at, 1, "{reason}: signed by nobody");
    let (at, _) = refuse(&|logs| {
        let hash = log(logs, &entry(1, 1, EntryHash::default()), 2);
        log(logs, &entry(3, 1, hash), 2);
    });
    assert_eq!(at, 3, "a gap");
}

#[test]
fn a_fold_can_be_stopped() {
    let dir = tempfile::tempdir().unwrap();
    let logs = open(dir.path());
    log(&logs, &entry(1, 3, EntryHash::default()), 2);
    let stop = CancellationToken::new();
    stop.cancel();
    let empty = Folded {
        registry: Registry::new(KeyHasher::new([3; 16])),
        heads: Heads::default(),
        forgone: Epoch(0),
    };
    assert!(matches!(fold(&logs, &trust(), empty, None, &stop), Err(StartError::Task(_))));
}

fn cpu_ms() -> i64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec * 1000 + time.tv_nsec / 1_000_000
}

/// Run alone and optimised: `cargo test --release -p rescind-controller --lib fold_a_million -- --ignored --nocapture`.
#[test]
#[ignore = "a measurement"]
fn fold_a_million() {
    let dir = tempfile::tempdir().unwrap();
    let logs = open(dir.path());
    let (mut first, mut hash) = (1, EntryHash::default());
    let started = (cpu_ms(), crate::clock::now().boot);
    while first <= 1_000_000 {
        hash = log(&logs, &entry(first, 2000, hash), 2);
        first += 2000;
    }
    println!("made in {} ms CPU, {:?}", cpu_ms() - started.0, crate::clock::now().boot.since(started.1));
    // What a killed process leaves: files that were never closed.
    let killed = tempfile::tempdir().unwrap();
    for file in std::fs::read_dir(dir.path()).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), killed.path().join(file.file_name())).unwrap();
    }
    drop(logs);
    let started = (cpu_ms(), crate::clock::now().boot);
    let logs = open(killed.path());
    println!("opened in {} ms CPU, {:?}", cpu_ms() - started.0, crate::clock::now().boot.since(started.1));
    let started = (cpu_ms(), crate::clock::now().boot);
    let folded = fold_all(&logs, None).unwrap();
    assert_eq!(folded.registry.view().entitlements(), 1_000_000);
    println!("folded in {} ms CPU, {:?}", cpu_ms() - started.0, crate::clock::now().boot.since(started.1));
}
