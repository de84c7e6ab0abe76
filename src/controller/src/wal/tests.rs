use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use redb::StorageBackend;
use redb::backends::InMemoryBackend;

use super::*;
use crate::store::Opener;

fn identity(lane: Lane) -> LogIdentity {
    LogIdentity { chain: ChainId::new("prod.abc").unwrap(), epoch: Epoch(1), lane }
}

fn entry(first: u64, last: u64) -> LoggedEntry {
    let mut hash = [0; 32];
    hash[0] = u8::try_from(first % 251).unwrap();
    let bytes = Bytes::from(format!("entry {first}..{last}"));
    LoggedEntry { first: Revision(first), last: Revision(last), hash: EntryHash(hash), bytes }
}

fn append(log: &LaneLog, entry: &LoggedEntry, confirmed: Option<Confirmed>) -> Result<(), StoreError> {
    log.append(Append { entry, reasons: &[], confirmed })
}

const ALL: ReadLimits = ReadLimits { entries: 1000, bytes: 1 << 20 };

#[test]
fn what_was_appended_is_there_after_opening_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("deny.redb");
    let id: RecordId = "deny-1-2".parse().unwrap();
    {
        let log = LaneLog::open(&path, identity(Lane::Deny)).unwrap();
        assert_eq!(log.last().unwrap(), None);
        append(&log, &entry(1, 1), None).unwrap();
        let confirmed = Some(Confirmed { last: Revision(1), sequence: 9 });
        let reasons = [(id, Box::from("because"))];
        log.append(Append { entry: &entry(2, 5), reasons: &reasons, confirmed }).unwrap();
    }
    let log = LaneLog::open(&path, identity(Lane::Deny)).unwrap();
    assert_eq!(log.last().unwrap(), Some(entry(2, 5)));
    assert_eq!(
        log.confirmed().unwrap(),
        Some(Confirmed { last: Revision(1), sequence: 9 }),
        "2..5 is pending"
    );
    assert_eq!(log.reason(id).unwrap().as_deref(), Some("because"));
    assert_eq!(log.epoch().unwrap(), Epoch(1));
    log.confirm(Confirmed { last: Revision(5), sequence: 12 }).unwrap();
    assert_eq!(log.confirmed().unwrap().unwrap().last, Revision(5));
}

/// A crash leaves the file as it was after the last sync: here a copy taken while the log is open.
#[test]
fn a_copy_taken_in_mid_run_opens_with_everything_appended() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("deny.redb");
    let log = LaneLog::open(&path, identity(Lane::Deny)).unwrap();
    for revision in 1..=20 {
        append(&log, &entry(revision, revision), None).unwrap();
        let copy = dir.path().join(format!("copy-{revision}.redb"));
        std::fs::copy(&path, &copy).unwrap();
        let reopened = LaneLog::open(&copy, identity(Lane::Deny)).unwrap();
        assert_eq!(reopened.last().unwrap(), Some(entry(revision, revision)));
        assert_eq!(
            reopened.range(Revision(0), Revision(99), ALL).unwrap().len(),
            usize::try_from(revision).unwrap()
        );
    }
}

#[test]
fn ranges_begin_with_the_entry_that_holds_the_next_revision_and_respect_limits() {
    let dir = tempfile::tempdir().unwrap();
    let log = LaneLog::open(&dir.path().join("g.redb"), identity(Lane::Grant(0))).unwrap();
    for (first, last) in [(1, 3), (4, 4), (5, 9), (10, 10)] {
        append(&log, &entry(first, last), None).unwrap();
    }
    let firsts = |after, until, limits| -> Vec<u64> {
        log.range(Revision(after), Revision(until), limits)
            .unwrap()
            .iter()
            .map(|entry| entry.first.0)
            .collect()
    };
    assert_eq!(firsts(0, 10, ALL), [1, 4, 5, 10]);
    assert_eq!(firsts(3, 10, ALL), [4, 5, 10]);
    assert_eq!(firsts(6, 10, ALL), [5, 10], "an entry is served whole");
    assert_eq!(firsts(0, 9, ALL), [1, 4, 5], "nothing past the confirmed head");
    assert_eq!(firsts(0, 8, ALL), [1, 4]);
    assert_eq!(firsts(10, 10, ALL), Vec::<u64>::new());
    assert_eq!(firsts(0, 10, ReadLimits { entries: 2, bytes: 1 << 20 }), [1, 4]);
    assert_eq!(firsts(0, 10, ReadLimits { entries: 9, bytes: 1 }), [1], "at least one");
    assert_eq!(log.holding(Revision(7)).unwrap().unwrap().first, Revision(5));
    assert_eq!(log.holding(Revision(11)).unwrap(), None);
}

#[test]
fn another_chain_another_lane_and_a_second_process_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("deny.redb");
    let log = LaneLog::open(&path, identity(Lane::Deny)).unwrap();
    let error = LaneLog::open(&path, identity(Lane::Deny)).unwrap_err();
    assert!(matches!(error, StoreError::InUse { .. }), "{error}");
    drop(log);
    let other = LogIdentity { chain: ChainId::new("prod.other").unwrap(), ..identity(Lane::Deny) };
    let error = LaneLog::open(&path, other).unwrap_err();
    assert!(matches!(error, StoreError::OtherChain { .. }), "{error}");
    let error = LaneLog::open(&path, identity(Lane::Grant(0))).unwrap_err();
    assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
    LaneLog::open(&path, identity(Lane::Deny)).unwrap();
}

#[test]
fn a_file_that_is_no_log_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("deny.redb");
    std::fs::write(&path, [7; 4096]).unwrap();
    assert!(LaneLog::open(&path, identity(Lane::Deny)).is_err());
}

/// A disk that survives its store, and can be told to fail.
#[derive(Debug, Clone, Default)]
struct Disk {
    bytes: Arc<InMemoryBackendBox>,
    writes_left: Arc<AtomicU64>,
}

#[derive(Debug)]
struct InMemoryBackendBox(InMemoryBackend);

impl Default for InMemoryBackendBox {
    fn default() -> Self {
        Self(InMemoryBackend::new())
    }
}

impl Disk {
    fn spend(&self) -> Result<(), io::Error> {
        let left = self.writes_left.load(Ordering::SeqCst);
        if left == 0 {
            return Err(io::Error::from(io::ErrorKind::StorageFull));
        }
        self.writes_left.store(left.saturating_sub(1), Ordering::SeqCst);
        Ok(())
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> Result<u64, io::Error> {
        self.bytes.0.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), io::Error> {
        self.bytes.0.read(offset, out)
    }

    fn set_len(&self, len: u64) -> Result<(), io::Error> {
        self.spend()?;
        self.bytes.0.set_len(len)
    }

    fn sync_data(&self) -> Result<(), io::Error> {
        self.spend()
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), io::Error> {
        self.spend()?;
        self.bytes.0.write(offset, data)
    }
}

/// Lets the disk fail after every possible number of operations: an append that said yes is never lost, the
/// log works again when the disk does, and what was there before is there still.
#[test]
fn a_full_disk_is_an_error_and_the_log_recovers_when_there_is_room() {
    for allowed in 0..60 {
        let disk = Disk::default();
        disk.writes_left.store(u64::MAX, Ordering::SeqCst);
        let opened = disk.clone();
        let open: Opener = Box::new(move || Database::builder().create_with_backend(opened.clone()));
        let store = Store::with_opener(Path::new("memory"), "log".to_owned(), open);
        let log = LaneLog::open_with(store, identity(Lane::Deny)).unwrap();
        append(&log, &entry(1, 1), None).unwrap();
        disk.writes_left.store(allowed, Ordering::SeqCst);
        let mut acknowledged = 1;
        let mut failed = false;
        for revision in 2..=30 {
            match append(&log, &entry(revision, revision), None) {
                Ok(()) => acknowledged = revision,
                Err(error) => {
                    assert!(matches!(error, StoreError::Failed { .. }), "{error}");
                    failed = true;
                    break;
                }
            }
        }
        assert!(failed, "{allowed} operations are not enough for 30 appends");
        assert!(
            append(&log, &entry(acknowledged + 1, acknowledged + 1), None).is_err(),
            "the disk is still full"
        );
        disk.writes_left.store(u64::MAX, Ordering::SeqCst);
        append(&log, &entry(acknowledged + 1, acknowledged + 1), None).unwrap();
        let all = log.range(Revision(0), Revision(99), ALL).unwrap();
        let firsts: Vec<u64> = all.iter().map(|entry| entry.first.0).collect();
        assert_eq!(firsts, (1..=acknowledged + 1).collect::<Vec<_>>());
    }
}
