//! Where a change stands: lane, epoch, revision, and the hash that pins the prefix before it.

use core::fmt;

/// One ordered chain of a realm. Records go on `deny`, entitlements on `grant.N`.
///
/// Why: a kill never queues behind a bulk load of entitlements (protocol.md section 2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lane {
    /// Records: everything that takes access away or gives it back by lifting.
    Deny,
    /// Entitlements of one partition.
    Grant(u8),
}

/// Limit: grant partitions of a realm; a lane number fits four bits of a packed record id.
pub const GRANT_LANES_MAX: u8 = 15;

/// Lanes that this version runs: one of records, one of entitlements.
pub const LANES: [Lane; 2] = [Lane::Deny, Lane::Grant(0)];

impl Lane {
    /// Number used on the wire and in packed ids: 0 for `deny`, 1 + N for `grant.N`.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Deny => 0,
            Self::Grant(n) => 1u8.saturating_add(n),
        }
    }

    /// The lane with this number; `None` past [`GRANT_LANES_MAX`].
    #[must_use]
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::Deny),
            n if n <= GRANT_LANES_MAX => Some(Self::Grant(n - 1)),
            _ => None,
        }
    }

    /// The lane with this name (`deny`, `grant.0`), as in subjects.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        if name == "deny" {
            return Some(Self::Deny);
        }
        let n: u8 = name.strip_prefix("grant.")?.parse().ok()?;
        (n < GRANT_LANES_MAX).then_some(Self::Grant(n))
    }
}

impl fmt::Display for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Deny => f.write_str("deny"),
            Self::Grant(n) => write!(f, "grant.{n}"),
        }
    }
}

/// Generation of a chain: a recovery that had to re-publish starts the next one. Starts at 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Epoch(pub u32);

/// Place of a change in its lane: from 1, without gaps. 0 means "before the first".
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Revision(pub u64);

impl Revision {
    /// The place after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Epoch and revision. Ordered by epoch first; an agent's position never goes back (S5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Position {
    /// Generation of the chain.
    pub epoch: Epoch,
    /// Place in the lane.
    pub revision: Revision,
}

impl Position {
    /// Position at `revision` of `epoch`.
    #[must_use]
    pub const fn new(epoch: u32, revision: u64) -> Self {
        Self { epoch: Epoch(epoch), revision: Revision(revision) }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.epoch.0, self.revision.0)
    }
}

/// SHA-256 over the exact signed bytes of an entry, domain-separated. All zero: before the first entry.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct EntryHash(pub [u8; 32]);

impl fmt::Debug for EntryHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for EntryHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The newest position of a lane and the hash of the entry that ends there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Head {
    /// Newest position.
    pub position: Position,
    /// Hash of the entry that ends at `position`.
    pub hash: EntryHash,
}

/// The heads of all lanes, one value per lane of [`LANES`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Heads {
    /// Head of `deny`.
    pub deny: Head,
    /// Head of `grant.0`.
    pub grant: Head,
}

impl Heads {
    /// The head of `lane`; `None` for a lane that this version does not run.
    #[must_use]
    pub const fn get(&self, lane: Lane) -> Option<&Head> {
        match lane {
            Lane::Deny => Some(&self.deny),
            Lane::Grant(0) => Some(&self.grant),
            Lane::Grant(_) => None,
        }
    }

    /// The head of `lane`, to change it.
    #[must_use]
    pub const fn get_mut(&mut self, lane: Lane) -> Option<&mut Head> {
        match lane {
            Lane::Deny => Some(&mut self.deny),
            Lane::Grant(0) => Some(&mut self.grant),
            Lane::Grant(_) => None,
        }
    }
}
