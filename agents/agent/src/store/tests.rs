use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rescind_core::agent::Restored;
use rescind_core::change::{Change, ChangeBody, Origin};
use rescind_core::decide::Published;
use rescind_core::entitlement::{ActionPattern, Entitlement, Holder, ResourcePattern, Right, Window};
use rescind_core::ids::{ChainId, EmitterId, IdempotencyKey, RecordId};
use rescind_core::key::KeyHasher;
use rescind_core::position::{EntryHash, Head, Heads, Lane, Position};
use rescind_core::record::{Record, RecordKind};
use rescind_core::target::Target;
use rescind_core::time::UnixS;
use rescind_core::view::View;

use super::disk::{Disk, DiskError};
use super::{Loaded, Store, StoreError, StoreState, sled_folder};

const SECRET: [u8; 16] = [9; 16];
const LIMIT: Duration = Duration::from_secs(20);

fn chain() -> ChainId {
    ChainId::new("test.1").unwrap()
}

fn change(id: RecordId, body: ChangeBody) -> Change {
    let origin = Origin {
        emitter: EmitterId::new("ir").unwrap(),
        key: IdempotencyKey::new("k").unwrap(),
        requested_by: None,
        reason_code: None,
        incident: None,
        known_at: None,
    };
    Change { id, origin, reason_admin_sha256: None, body }
}

/// Three kinds of records and one entitlement for every number.
fn apply(view: &mut View, number: u64) {
    let id = |lane, offset| RecordId::new(lane, Position::new(1, number * 4 + offset)).unwrap();
    let issuer = || Box::from("https://idp.example");
    let records = [
        (RecordKind::Revoke, Target::Token { issuer: issuer(), jti: format!("j{number}").into() }, None),
        (
            RecordKind::Disable,
            Target::User { issuer: None, id: format!("u{number}").into() },
            Some(UnixS(17)),
        ),
        (RecordKind::Hold, Target::Client { id: format!("c{number}").into() }, None),
    ];
    for (offset, (kind, target, cutoff)) in (1..).zip(records) {
        let id = id(Lane::Deny, offset);
        let record = Record::new(id, kind, target, cutoff).unwrap();
        view.apply(&change(id, ChangeBody::Record(record))).unwrap();
    }
    let id = id(Lane::Grant(0), 4);
    let right = Right::Permission {
        action: ActionPattern::new("refund:*").unwrap(),
        resource: ResourcePattern::new("/orders/*").unwrap(),
    };
    let holder = Holder::User { issuer: issuer(), id: format!("u{number}").into() };
    let entitlement = Entitlement { id, holder, right, tenant: None, window: Window::default() };
    view.apply(&change(id, ChangeBody::Grant(entitlement))).unwrap();
}

fn lift_client_0(view: &mut View) {
    let record = RecordId::new(Lane::Deny, Position::new(1, 3)).unwrap();
    let lift = ChangeBody::Lift { record, target: Target::Client { id: "c0".into() }, cutoff: None };
    let id = RecordId::new(Lane::Deny, Position::new(1, 9_999)).unwrap();
    view.apply(&change(id, lift)).unwrap();
}

fn heads(revision: u64) -> Heads {
    let head = |revision| Head {
        position: Position::new(1, revision),
        hash: EntryHash([revision.to_le_bytes()[0]; 32]),
    };
    Heads { deny: head(revision), grant: head(revision / 2) }
}

fn published(view: &View, revision: u64) -> Arc<Published> {
    Arc::new(Published::unsynced(view.clone(), heads(revision)))
}

fn full_view(numbers: std::ops::Range<u64>) -> View {
    let mut view = View::new(KeyHasher::new(SECRET));
    numbers.for_each(|number| apply(&mut view, number));
    view
}

fn equal(restored: &Restored, view: &View, revision: u64) -> bool {
    restored.heads == heads(revision)
        && restored.view.totals() == view.totals()
        && restored.view.hasher() == view.hasher()
        && restored.view.tables().tombstones.len() == view.tables().tombstones.len()
}

fn written(folder: &Path, states: &[(&View, u64)]) {
    let mut disk = Disk::create(folder, &chain(), SECRET).unwrap();
    for (view, revision) in states {
        disk.write(&published(view, *revision)).unwrap();
    }
}

fn reopen(folder: &Path) -> Result<Option<Restored>, StoreError> {
    super::caught(|| Disk::open(folder, &chain())).map(|found| found.map(|(_, restored)| restored))
}

#[test]
fn what_was_written_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    let view = full_view(0..500);
    written(dir.path(), &[(&view, 40)]);
    let restored = reopen(dir.path()).unwrap().unwrap();
    assert!(equal(&restored, &view, 40));
}

#[test]
fn nothing_was_ever_written_is_no_damage() {
    let dir = tempfile::tempdir().unwrap();
    assert!(reopen(dir.path()).unwrap().is_none());
}

#[test]
fn later_writes_change_only_what_changed_and_give_the_last_state() {
    let dir = tempfile::tempdir().unwrap();
    let mut view = full_view(0..300);
    let first = view.clone();
    apply(&mut view, 300);
    let second = view.clone();
    lift_client_0(&mut view);
    written(dir.path(), &[(&first, 10), (&second, 11), (&view, 12)]);
    let restored = reopen(dir.path()).unwrap().unwrap();
    assert!(equal(&restored, &view, 12));
}

#[test]
fn a_view_that_came_from_elsewhere_replaces_all_shards() {
    let dir = tempfile::tempdir().unwrap();
    let (old, new) = (full_view(0..200), full_view(500..520));
    written(dir.path(), &[(&old, 10), (&new, 30)]);
    assert!(equal(&reopen(dir.path()).unwrap().unwrap(), &new, 30));
}

#[test]
fn another_chain_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    written(dir.path(), &[(&full_view(0..2), 4)]);
    let other = ChainId::new("test.2").unwrap();
    let found = super::caught(|| Disk::open(dir.path(), &other));
    assert!(matches!(found, Err(StoreError::Disk(DiskError::OtherChain))));
}

#[test]
fn a_second_process_is_kept_out() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Disk::create(dir.path(), &chain(), SECRET).unwrap();
    assert!(matches!(reopen(dir.path()), Err(StoreError::Locked { .. })));
    drop(disk);
    assert!(reopen(dir.path()).unwrap().is_some());
}

/// The store without our checks.
fn raw(folder: &Path) -> sled::Db {
    super::disk::open_sled(folder).unwrap()
}

/// Damages the store in sled's own terms: the file is whole, the content is not what was written.
fn tamper(folder: &Path, change: impl FnOnce(&sled::Db)) {
    let db = raw(folder);
    change(&db);
    db.flush().unwrap();
}

fn any_shard(db: &sled::Db) -> (sled::IVec, sled::IVec) {
    db.iter().map(Result::unwrap).find(|(key, _)| key.len() == 3).unwrap()
}

#[test]
fn every_change_of_a_value_is_damage() {
    type Damage = fn(&sled::Db);
    let view = full_view(0..40);
    let cases: [(&str, Damage); 7] = [
        ("flipped shard", |db| {
            let (key, value) = any_shard(db);
            let mut value = value.to_vec();
            value[20] ^= 1;
            db.insert(key, value).unwrap();
        }),
        ("cut shard", |db| {
            let (key, value) = any_shard(db);
            db.insert(key, &value[..value.len() / 2]).unwrap();
        }),
        ("missing shard", |db| {
            let (key, _) = any_shard(db);
            db.remove(key).unwrap();
        }),
        ("shard in another place", |db| {
            let (key, value) = any_shard(db);
            let mut other = key.to_vec();
            other[2] ^= 1;
            db.insert(other, value).unwrap();
        }),
        ("flipped secret", |db| {
            let mut secret = db.get("secret").unwrap().unwrap().to_vec();
            secret[3] ^= 8;
            db.insert("secret", secret).unwrap();
        }),
        ("missing position", |db| {
            db.remove("meta").unwrap();
        }),
        ("foreign key", |db| {
            db.insert("note", "hello").unwrap();
        }),
    ];
    for (name, damage) in cases {
        let dir = tempfile::tempdir().unwrap();
        written(dir.path(), &[(&view, 40)]);
        tamper(dir.path(), damage);
        let found = reopen(dir.path());
        assert!(
            matches!(found, Err(StoreError::Disk(DiskError::Damaged { .. }))),
            "{name}: {:?}",
            found.is_ok()
        );
    }
}

#[test]
fn a_shard_of_an_older_write_is_damage() {
    let dir = tempfile::tempdir().unwrap();
    let mut view = full_view(0..40);
    written(dir.path(), &[(&view, 40)]);
    let db = raw(dir.path());
    let old: Vec<_> = db.iter().map(Result::unwrap).filter(|(key, _)| key.len() == 3).collect();
    drop(db);
    lift_client_0(&mut view);
    let (mut disk, _) = Disk::open(dir.path(), &chain()).unwrap().unwrap();
    disk.write(&published(&view, 41)).unwrap();
    drop(disk);
    tamper(dir.path(), |db| {
        let (key, value) =
            old.iter().find(|(key, value)| db.get(key).unwrap().as_ref() != Some(value)).unwrap();
        db.insert(key, value).unwrap();
    });
    assert!(matches!(reopen(dir.path()), Err(StoreError::Disk(DiskError::Damaged { .. }))));
}

#[test]
fn an_older_position_over_newer_shards_is_damage() {
    let dir = tempfile::tempdir().unwrap();
    let mut view = full_view(0..40);
    let mut disk = Disk::create(dir.path(), &chain(), SECRET).unwrap();
    disk.write(&published(&view, 40)).unwrap();
    drop(disk);
    let db = raw(dir.path());
    let old = db.get("meta").unwrap().unwrap();
    drop(db);
    apply(&mut view, 41);
    let (mut disk, _) = Disk::open(dir.path(), &chain()).unwrap().unwrap();
    disk.write(&published(&view, 41)).unwrap();
    drop(disk);
    tamper(dir.path(), |db| {
        db.insert("meta", old).unwrap();
    });
    assert!(matches!(reopen(dir.path()), Err(StoreError::Disk(DiskError::Damaged { .. }))));
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![sled_folder(folder)];
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
            if entry.file_type().unwrap().is_dir() {
                open.push(entry.path())
            } else {
                found.push(entry.path())
            }
        }
    }
    found.sort();
    found
}

/// Whatever happens to the files: the state is whole, or an older whole one, or there is none.
#[test]
fn damaged_files_never_give_a_state_that_was_not_written() {
    let older = full_view(0..20);
    let mut newer = older.clone();
    (20..60).for_each(|number| apply(&mut newer, number));
    let model = tempfile::tempdir().unwrap();
    written(model.path(), &[(&older, 20), (&newer, 60)]);
    let count = files(model.path()).len();
    for (which, cut) in (0..count).flat_map(|which| (0..6).map(move |cut| (which, cut))) {
        let dir = tempfile::tempdir().unwrap();
        written(dir.path(), &[(&older, 20), (&newer, 60)]);
        let Some(file) = files(dir.path()).into_iter().nth(which) else { continue };
        let mut bytes = fs::read(&file).unwrap();
        let at = bytes.len() * cut / 6;
        if cut % 2 == 0 {
            bytes.truncate(at);
        } else if let Some(byte) = bytes.get_mut(at) {
            *byte ^= 0x10;
        }
        fs::write(&file, bytes).unwrap();
        if let Ok(Some(restored)) = reopen(dir.path()) {
            let empty = View::new(KeyHasher::new(SECRET));
            let whole = equal(&restored, &newer, 60)
                || equal(&restored, &older, 20)
                || (restored.heads == Heads::default() && restored.view.totals() == empty.totals());
            assert!(whole, "{} cut {cut}", file.display());
        }
    }
}

async fn opened(folder: &Path) -> (Store, Loaded) {
    let (store, loaded) = Store::open(folder.to_path_buf(), chain(), SECRET).unwrap();
    (store, tokio::time::timeout(LIMIT, loaded).await.unwrap().unwrap())
}

async fn until(store: &Store, holds: impl FnMut(&StoreState) -> bool) -> StoreState {
    let mut state = store.state();
    tokio::time::timeout(LIMIT, state.wait_for(holds)).await.unwrap().unwrap().clone()
}

#[tokio::test]
async fn the_thread_writes_the_latest_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let view = full_view(0..50);
    let (store, loaded) = opened(dir.path()).await;
    assert!(loaded.restored.is_none());
    assert_eq!(loaded.secret, SECRET);
    for revision in 1..=50 {
        store.persist(published(&view, revision));
    }
    let state = until(&store, |state| state.durable == heads(50)).await;
    assert!(state.on_disk && state.writes < 10, "{} writes", state.writes);
    store.stop().await;
    let (store, loaded) = opened(dir.path()).await;
    assert!(equal(&loaded.restored.unwrap(), &view, 50));
    store.stop().await;
}

#[tokio::test]
async fn a_stop_writes_what_waits() {
    let dir = tempfile::tempdir().unwrap();
    let view = full_view(0..5);
    let (store, _) = opened(dir.path()).await;
    store.persist(published(&view, 1));
    until(&store, |state| state.durable == heads(1)).await;
    store.persist(published(&view, 2));
    store.stop().await;
    assert!(equal(&reopen(dir.path()).unwrap().unwrap(), &view, 2));
}

#[tokio::test]
async fn the_secret_of_a_store_survives_and_a_discarded_store_gets_a_new_one() {
    let dir = tempfile::tempdir().unwrap();
    written(dir.path(), &[(&full_view(0..5), 5)]);
    let (store, loaded) = Store::open(dir.path().to_path_buf(), chain(), [1; 16]).unwrap();
    assert_eq!(loaded.await.unwrap().secret, SECRET);
    store.stop().await;
    tamper(dir.path(), |db| {
        db.remove("meta").unwrap();
    });
    let (store, loaded) = Store::open(dir.path().to_path_buf(), chain(), [1; 16]).unwrap();
    let loaded = loaded.await.unwrap();
    assert_eq!(loaded.secret, [1; 16]);
    assert!(loaded.restored.is_none());
    let state = until(&store, |state| state.on_disk).await;
    assert_eq!((state.discarded, state.trouble.is_some()), (1, true));
    store.stop().await;
}

#[tokio::test]
async fn a_folder_that_cannot_be_made_means_memory() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "x").unwrap();
    let (store, loaded) = opened(&file.join("store")).await;
    assert!(loaded.restored.is_none());
    let state = until(&store, |state| state.trouble.is_some()).await;
    assert!(!state.on_disk);
    store.persist(published(&full_view(0..1), 1));
    store.stop().await;
}

#[tokio::test]
async fn a_folder_that_another_process_uses_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let view = full_view(0..5);
    let mut disk = Disk::create(dir.path(), &chain(), SECRET).unwrap();
    disk.write(&published(&view, 5)).unwrap();
    let (store, _) = opened(dir.path()).await;
    let state = until(&store, |state| state.trouble.is_some()).await;
    assert!(!state.on_disk);
    store.stop().await;
    drop(disk);
    assert!(equal(&reopen(dir.path()).unwrap().unwrap(), &view, 5));
}

#[test]
#[ignore = "measures: cargo test --release -p rescind-agent -- --ignored --nocapture warm_start"]
fn warm_start_of_a_million() {
    let clock = crate::clock::BootClock;
    let dir = tempfile::tempdir().unwrap();
    let view = full_view(0..250_000);
    let begin = clock.now();
    written(dir.path(), &[(&view, 1)]);
    println!("write {:?}", clock.now().since(begin));
    let cpu = || rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    let (begin, cpu_begin) = (clock.now(), cpu());
    let restored = reopen(dir.path()).unwrap().unwrap();
    let cpu_ms = (cpu().tv_sec - cpu_begin.tv_sec) * 1000 + (cpu().tv_nsec - cpu_begin.tv_nsec) / 1_000_000;
    println!("load {:?}, of it {cpu_ms} ms of CPU time", clock.now().since(begin));
    assert!(equal(&restored, &view, 1));
}

/// S5: a store that somebody put back from an older copy is older than what was acknowledged as durable.
#[tokio::test]
async fn s5_a_store_that_was_put_back_is_thrown_away_and_says_so() {
    let (dir, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let view = full_view(0..5);
    let (store, _) = opened(dir.path()).await;
    store.persist(published(&view, 1));
    until(&store, |state| state.durable == heads(1)).await;
    store.stop().await;
    copy_tree(&sled_folder(dir.path()), &sled_folder(copy.path()));
    let (store, _) = opened(dir.path()).await;
    store.persist(published(&view, 2));
    until(&store, |state| state.durable == heads(2)).await;
    store.stop().await;
    fs::remove_dir_all(sled_folder(dir.path())).unwrap();
    copy_tree(&sled_folder(copy.path()), &sled_folder(dir.path()));
    let (store, loaded) = opened(dir.path()).await;
    assert!(loaded.restored.is_none());
    let state = until(&store, |state| state.on_disk).await;
    assert_eq!(state.discarded, 1);
    assert!(state.trouble.unwrap().contains("older than what was acknowledged"));
    store.persist(published(&view, 2));
    until(&store, |state| state.durable == heads(2)).await;
    store.stop().await;
    let (store, loaded) = opened(dir.path()).await;
    assert!(equal(&loaded.restored.unwrap(), &view, 2));
    store.stop().await;
}

/// S5: whoever cannot tell what was acknowledged believes nothing.
#[tokio::test]
async fn s5_a_store_with_a_damaged_floor_is_thrown_away() {
    let dir = tempfile::tempdir().unwrap();
    let view = full_view(0..5);
    let (store, _) = opened(dir.path()).await;
    store.persist(published(&view, 1));
    until(&store, |state| state.durable == heads(1)).await;
    store.stop().await;
    fs::write(dir.path().join("floor"), "rescind-floor 1\nte").unwrap();
    let (store, loaded) = opened(dir.path()).await;
    assert!(loaded.restored.is_none());
    let state = until(&store, |state| state.on_disk).await;
    assert!(state.trouble.unwrap().contains("`floor`"));
    store.stop().await;
}

fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_tree(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}
