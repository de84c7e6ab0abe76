//! The floor: the highest position that was acknowledged as durable, in a small file of its own beside the store.
//!
//! INVARIANT (S5): it is on disk before the acknowledgement leaves, so a store that was put back from an older copy
//! is seen at the next start and thrown away, instead of being believed.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use rescind_core::ids::ChainId;
use rescind_core::position::{Heads, LANES, Lane, Position};

/// Name of the file, beside the lock.
const FLOOR_FILE: &str = "floor";
/// Where a new one is written before it takes the old one's place.
const NEW_FILE: &str = "floor.new";
/// First line of the file.
const HEADER: &str = "rescind-floor 1";
/// Limit: bytes of the file; a chain id and two positions need less.
const BYTES_MAX: u64 = 4096;

/// Positions, one per lane.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Floor {
    deny: Position,
    grant: Position,
}

/// What the file said.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// There is none: nothing was ever acknowledged here, or it is another chain's.
    Nothing,
    /// This was acknowledged.
    Floor(Floor),
    /// It cannot be read: whatever the store holds may be too old.
    Doubt,
}

impl Floor {
    /// The highest of both, lane by lane.
    pub(super) fn raised(self, heads: &Heads) -> Self {
        Self { deny: self.deny.max(heads.deny.position), grant: self.grant.max(heads.grant.position) }
    }

    /// Whether `heads` are at or past it in every lane.
    pub(crate) fn is_reached(self, heads: &Heads) -> bool {
        LANES.into_iter().all(|lane| {
            let floor = match lane {
                Lane::Deny => self.deny,
                Lane::Grant(_) => self.grant,
            };
            heads.get(lane).is_some_and(|head| head.position >= floor)
        })
    }

    fn text(self, chain: &ChainId) -> String {
        let Self { deny, grant } = self;
        let body = format!(
            "{HEADER}\n{}\n{} {} {} {}\n",
            chain.as_str(),
            deny.epoch.0,
            deny.revision.0,
            grant.epoch.0,
            grant.revision.0
        );
        format!("{body}{:016x}\n", check(&body))
    }

    fn parse(text: &str, chain: &ChainId) -> Option<Found> {
        let (body, sum) = text.trim_end_matches('\n').rsplit_once('\n')?;
        let body = format!("{body}\n");
        if u64::from_str_radix(sum, 16).ok()? != check(&body) {
            return None;
        }
        let mut lines = body.lines();
        if lines.next()? != HEADER {
            return None;
        }
        if lines.next()? != chain.as_str() {
            return Some(Found::Nothing);
        }
        let mut numbers = lines.next()?.split(' ');
        let mut position = || {
            let epoch = numbers.next()?.parse().ok()?;
            Some(Position::new(epoch, numbers.next()?.parse().ok()?))
        };
        Some(Found::Floor(Self { deny: position()?, grant: position()? }))
    }

    /// Reads the file of a folder.
    pub(super) fn load(folder: &Path, chain: &ChainId) -> Found {
        let mut text = String::new();
        match File::open(folder.join(FLOOR_FILE)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Found::Nothing,
            Err(_) => Found::Doubt,
            Ok(file) => match file.take(BYTES_MAX).read_to_string(&mut text) {
                Ok(_) => Self::parse(&text, chain).unwrap_or(Found::Doubt),
                Err(_) => Found::Doubt,
            },
        }
    }

    /// Puts it on disk, whole or not at all.
    pub(super) fn store(self, folder: &Path, chain: &ChainId) -> io::Result<()> {
        let new = folder.join(NEW_FILE);
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        file.write_all(self.text(chain).as_bytes())?;
        file.sync_all()?;
        fs::rename(&new, folder.join(FLOOR_FILE))?;
        File::open(folder)?.sync_all()
    }
}

/// Against damage, not against people: who can write the folder can remove it too.
fn check(text: &str) -> u64 {
    siphasher::sip::SipHasher24::new().hash(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use rescind_core::position::{EntryHash, Head};

    use super::*;

    fn chain() -> ChainId {
        ChainId::new("test.1").unwrap()
    }

    fn heads(deny: u64, grant: u64) -> Heads {
        let head = |revision| Head { position: Position::new(1, revision), hash: EntryHash([0; 32]) };
        Heads { deny: head(deny), grant: head(grant) }
    }

    #[test]
    fn a_floor_comes_back_and_only_rises() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Floor::load(dir.path(), &chain()), Found::Nothing);
        let floor = Floor::default().raised(&heads(7, 3)).raised(&heads(5, 4));
        floor.store(dir.path(), &chain()).unwrap();
        assert_eq!(Floor::load(dir.path(), &chain()), Found::Floor(floor));
        assert!(floor.is_reached(&heads(7, 4)) && floor.is_reached(&heads(9, 9)));
        assert!(!floor.is_reached(&heads(6, 9)) && !floor.is_reached(&heads(9, 3)));
    }

    #[test]
    fn the_floor_of_another_chain_says_nothing() {
        let dir = tempfile::tempdir().unwrap();
        Floor::default().raised(&heads(7, 3)).store(dir.path(), &chain()).unwrap();
        assert_eq!(Floor::load(dir.path(), &ChainId::new("test.2").unwrap()), Found::Nothing);
    }

    #[test]
    fn every_change_of_the_file_is_doubt() {
        let dir = tempfile::tempdir().unwrap();
        Floor::default().raised(&heads(7, 3)).store(dir.path(), &chain()).unwrap();
        let path = dir.path().join(FLOOR_FILE);
        let whole = fs::read(&path).unwrap();
        // The last byte ends the line and says nothing.
        for at in 0..whole.len() - 1 {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x01;
            fs::write(&path, &bytes).unwrap();
            assert_eq!(Floor::load(dir.path(), &chain()), Found::Doubt, "flip {at}");
            fs::write(&path, &whole[..at]).unwrap();
            assert_eq!(Floor::load(dir.path(), &chain()), Found::Doubt, "cut {at}");
        }
    }
}
