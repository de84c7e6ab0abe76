//! What the store writes: one value per changed shard, and one that pins them all.
//!
//! Every value ends in a keyed 128-bit check over its place and content. The pinning value, [`Meta`], holds the
//! position, the totals and the sum of the checks of all shards: a shard that is flipped, cut, swapped, missing
//! or of an older write does not fit, and neither does a pin of an older write. The secret is in the store too:
//! this finds damage, not an attacker who owns the machine. Numbers are little endian.

use std::hash::Hasher;

use rescind_core::digest::StateDigest;
use rescind_core::ids::{ChainId, RecordId};
use rescind_core::key::Key;
use rescind_core::position::{EntryHash, Head, Heads, Position};
use rescind_core::record::RecordKind;
use rescind_core::time::UnixS;
use rescind_core::view::{HeldSet, Standing, StandingList, Totals};
use siphasher::sip128::{Hasher128, SipHasher24};

/// Changes whenever anything below does; another version is thrown away.
const VERSION: u32 = 1;
/// Bytes of a check.
const CHECK_BYTES: usize = 16;
/// Table number of the pin in checks.
const META_TABLE: u8 = 255;

/// A value of one of the three tables.
pub(super) trait Stored: Clone + Default {
    /// First byte of its keys in the store.
    const TABLE: u8;

    fn put(&self, out: &mut Vec<u8>);

    /// `None` where the bytes are no such value.
    fn take(bytes: &mut Reader<'_>) -> Option<Self>;
}

/// Reads fixed parts off the front.
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (first, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*first)
    }

    fn bytes(&mut self, len: usize) -> Option<&'a [u8]> {
        let (first, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(first)
    }

    fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn u128(&mut self) -> Option<u128> {
        self.array().map(u128::from_le_bytes)
    }

    fn kinds<const N: usize>(&mut self) -> Option<[u32; N]> {
        let mut kinds = [0; N];
        for kind in &mut kinds {
            *kind = self.u32()?;
        }
        Some(kinds)
    }

    const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Stored for u64 {
    const TABLE: u8 = 0;

    fn put(&self, out: &mut Vec<u8>) {
        out.extend(self.to_le_bytes());
    }

    fn take(bytes: &mut Reader<'_>) -> Option<Self> {
        bytes.u64().filter(|packed| RecordId::from_packed(*packed).is_some())
    }
}

impl Stored for StandingList {
    const TABLE: u8 = 1;

    fn put(&self, out: &mut Vec<u8>) {
        let count = u32::try_from(self.len()).unwrap_or(u32::MAX);
        out.extend(count.to_le_bytes());
        for standing in self.as_slice() {
            out.extend(standing.record.packed().to_le_bytes());
            out.push(kind_number(standing.kind));
            out.push(u8::from(standing.active) | u8::from(standing.cutoff.is_some()) << 1);
            out.extend(standing.cutoff.unwrap_or(UnixS(0)).0.to_le_bytes());
        }
    }

    fn take(bytes: &mut Reader<'_>) -> Option<Self> {
        let count = bytes.u32()?;
        let mut list = Vec::new();
        for _ in 0..count {
            let record = RecordId::from_packed(bytes.u64()?)?;
            let [kind, flags] = bytes.array()?;
            let cutoff = UnixS(i64::from_le_bytes(bytes.array()?));
            let (kind, active) = (kind_from(kind)?, flags & 1 != 0);
            let cutoff = (flags & 2 != 0).then_some(cutoff);
            list.push(Standing { record, kind, active, cutoff });
        }
        Self::from_records(list).filter(|list| !list.is_empty())
    }
}

impl Stored for HeldSet {
    const TABLE: u8 = 2;

    fn put(&self, out: &mut Vec<u8>) {
        let len = u32::try_from(self.bytes().len()).unwrap_or(u32::MAX);
        out.extend(len.to_le_bytes());
        out.extend(self.bytes());
    }

    fn take(bytes: &mut Reader<'_>) -> Option<Self> {
        let len = usize::try_from(bytes.u32()?).ok()?;
        Self::from_bytes(bytes.bytes(len)?).filter(|set| !set.is_empty())
    }
}

const fn kind_number(kind: RecordKind) -> u8 {
    match kind {
        RecordKind::Revoke => 1,
        RecordKind::Disable => 2,
        RecordKind::Hold => 3,
        RecordKind::Kill => 4,
    }
}

const fn kind_from(number: u8) -> Option<RecordKind> {
    match number {
        1 => Some(RecordKind::Revoke),
        2 => Some(RecordKind::Disable),
        3 => Some(RecordKind::Hold),
        4 => Some(RecordKind::Kill),
        _ => None,
    }
}

/// Makes and checks checks.
#[derive(Clone)]
pub(super) struct Checker {
    secret: [u8; 16],
}

impl Checker {
    pub(super) const fn new(secret: [u8; 16]) -> Self {
        Self { secret }
    }

    pub(super) const fn secret(&self) -> &[u8; 16] {
        &self.secret
    }

    fn check(&self, table: u8, number: u16, content: &[u8]) -> u128 {
        // Why `SipHash-2-4` here and 1-3 for keys: the same secret, but never the same function.
        let mut hasher = SipHasher24::new_with_key(&self.secret);
        hasher.write(&[b'c', table]);
        hasher.write(&number.to_le_bytes());
        hasher.write(content);
        hasher.finish128().as_u128()
    }

    /// Appends the check to a content.
    fn seal(&self, table: u8, number: u16, mut content: Vec<u8>) -> (Vec<u8>, u128) {
        let check = self.check(table, number, &content);
        content.extend(check.to_le_bytes());
        (content, check)
    }

    /// The content and its check, where they fit.
    fn open<'a>(&self, table: u8, number: u16, sealed: &'a [u8]) -> Option<(Reader<'a>, u128)> {
        let (content, check) = sealed.split_last_chunk::<CHECK_BYTES>()?;
        let check = u128::from_le_bytes(*check);
        (self.check(table, number, content) == check).then_some((Reader(content), check))
    }

    /// A shard as it is stored, and its check. The shard is not empty.
    pub(super) fn seal_shard<V: Stored>(&self, number: u16, entries: &[(Key, V)]) -> (Vec<u8>, u128) {
        let mut content = Vec::with_capacity(entries.len() * 40 + CHECK_BYTES);
        for (key, value) in entries {
            content.extend(key.hi.to_le_bytes());
            content.extend(key.lo.to_le_bytes());
            value.put(&mut content);
        }
        self.seal(V::TABLE, number, content)
    }

    /// What [`Self::seal_shard`] made; `None` where it is damaged.
    pub(super) fn open_shard<V: Stored>(&self, number: u16, sealed: &[u8]) -> Option<(Vec<(Key, V)>, u128)> {
        let (mut bytes, check) = self.open(V::TABLE, number, sealed)?;
        let mut entries = Vec::new();
        while !bytes.is_empty() {
            let key = Key { hi: bytes.u64()?, lo: bytes.u64()? };
            entries.push((key, V::take(&mut bytes)?));
        }
        (!entries.is_empty()).then_some((entries, check))
    }
}

/// What pins the shards of one write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Meta {
    pub(super) chain: ChainId,
    pub(super) heads: Heads,
    pub(super) totals: Totals,
    /// Shards that are there.
    pub(super) shards: u32,
    /// Sum of their checks, modulo 2^128.
    pub(super) sum: u128,
}

impl Meta {
    pub(super) fn seal(&self, checker: &Checker) -> Vec<u8> {
        let mut out = Vec::with_capacity(512);
        out.extend(VERSION.to_le_bytes());
        let chain = self.chain.as_str();
        out.extend(u16::try_from(chain.len()).unwrap_or(u16::MAX).to_le_bytes());
        out.extend(chain.as_bytes());
        for head in [&self.heads.deny, &self.heads.grant] {
            out.extend(head.position.epoch.0.to_le_bytes());
            out.extend(head.position.revision.0.to_le_bytes());
            out.extend(head.hash.0);
        }
        for kind in self.totals.tombstone_kinds.iter().chain(&self.totals.standing_kinds) {
            out.extend(kind.to_le_bytes());
        }
        out.extend(self.totals.entitlements.to_le_bytes());
        out.extend(self.totals.digest.0.to_le_bytes());
        out.extend(self.shards.to_le_bytes());
        out.extend(self.sum.to_le_bytes());
        checker.seal(META_TABLE, 0, out).0
    }

    /// What [`Self::seal`] made; `None` where it is damaged or of another version.
    pub(super) fn open(checker: &Checker, sealed: &[u8]) -> Option<Self> {
        let (mut bytes, _) = checker.open(META_TABLE, 0, sealed)?;
        if bytes.u32()? != VERSION {
            return None;
        }
        let len = usize::from(bytes.u16()?);
        let chain = ChainId::new(std::str::from_utf8(bytes.bytes(len)?).ok()?).ok()?;
        let mut heads = Heads::default();
        for head in [&mut heads.deny, &mut heads.grant] {
            let position = Position::new(bytes.u32()?, bytes.u64()?);
            *head = Head { position, hash: EntryHash(bytes.array()?) };
        }
        let totals = Totals {
            tombstone_kinds: bytes.kinds()?,
            standing_kinds: bytes.kinds()?,
            entitlements: bytes.u64()?,
            digest: StateDigest(bytes.u128()?),
        };
        let meta = Self { chain, heads, totals, shards: bytes.u32()?, sum: bytes.u128()? };
        bytes.is_empty().then_some(meta)
    }
}
