//! Tokens that verified, kept until they expire, so that a request that comes again pays no signature check.
//!
//! A fixed number of slots in sets of eight ways. A set is found by a keyed hash over the end of the token, which
//! is its signature; an entry counts only if **every byte** of the token is equal, so a collision costs a
//! verification and never an identity. Readers take no lock, wait for nobody and allocate nothing.
//!
//! What a token verified to is true for one state of the issuers' keys: entries carry the generation of the keys
//! that they were made under, and another generation is a miss. Expiry is judged by the decision itself, on the
//! controller's time; an expired entry is only the first to be replaced. Tokens that do not verify are never
//! kept: whoever sends rubbish pays with the rate limits of his own entry point.

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use arc_swap::{ArcSwapAny, Guard};
use rescind_core::decide::Bearer;
use rescind_core::time::UnixS;
use triomphe::ThinArc;

/// Ways of a set. Why eight: with a third of the slots in use, one live token in a thousand finds its set full; with
/// four it would be one in a hundred.
const WAYS: usize = 8;
/// Limit, in bytes: longer tokens are verified every time. Keeps a full cache of the default size under 300 MB.
pub(crate) const CACHED_TOKEN_BYTES_MAX: usize = 4096;
/// The part of a token that is hashed.
const TAIL_BYTES: usize = 32;

/// What a token verified to, and the token: one allocation.
type Entry = ThinArc<Head, u8>;

struct Head {
    bearer: Bearer,
    generation: u64,
    /// Set by readers, cleared when a victim is looked for: what was used since then stays.
    used: AtomicBool,
}

/// A token that was verified, ready for decisions. A clone is one reference count.
///
/// It holds for as long as the decision says: expiry, revocation and freshness are judged each time, so a
/// `Verified` may be kept for the life of a connection.
#[derive(Clone)]
pub struct Verified(Entry);

impl Verified {
    /// A verified `token`, under the keys of `generation`.
    pub(crate) fn new(token: &str, bearer: Bearer, generation: u64) -> Self {
        let head = Head { bearer, generation, used: AtomicBool::new(false) };
        Self(ThinArc::from_header_and_slice(head, token.as_bytes()))
    }

    /// Who calls.
    #[must_use]
    pub fn bearer(&self) -> &Bearer {
        &self.0.header.header.bearer
    }

    /// First second at which the token is dead, the issuer's leeway included.
    #[must_use]
    pub fn expires_at(&self) -> UnixS {
        self.bearer().expires_at()
    }

    fn token(&self) -> &[u8] {
        &self.0.slice
    }
}

impl fmt::Debug for Verified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verified").field("expires_at", &self.expires_at()).finish_non_exhaustive()
    }
}

/// A hit, borrowed from its slot without touching a reference count.
pub(crate) struct Hit(Guard<Option<Entry>>);

impl Hit {
    /// Who calls; `None` cannot happen, and is a miss.
    #[inline]
    pub(crate) fn bearer(&self) -> Option<&Bearer> {
        self.0.as_ref().map(|entry| &entry.header.header.bearer)
    }

    /// An owned handle.
    pub(crate) fn verified(&self) -> Option<Verified> {
        (*self.0).clone().map(Verified)
    }
}

/// Two cache lines that the processor fetches as a pair.
#[derive(Default)]
#[repr(align(128))]
struct Set {
    /// Part of the hash of each way's token; zero: empty. A hint only.
    tags: [AtomicU32; WAYS],
    ways: [ArcSwapAny<Option<Entry>>; WAYS],
}

/// The cache. See the module's text.
pub(crate) struct TokenCache {
    sets: Box<[Set]>,
    secret: [u64; 5],
    /// Turns among the ways of a set that are equally good victims.
    turn: AtomicU64,
}

impl fmt::Debug for TokenCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenCache").field("slots", &(self.sets.len() * WAYS)).finish_non_exhaustive()
    }
}

/// Where a token belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    set: usize,
    tag: u32,
}

impl TokenCache {
    /// A cache of about `slots` entries, rounded up to whole sets; 16 bytes each while empty. `secret` is
    /// random: who does not know it cannot aim at a set.
    pub(crate) fn new(slots: usize, secret: [u64; 5]) -> Self {
        let sets = slots.div_ceil(WAYS).max(1);
        Self { sets: (0..sets).map(|_| Set::default()).collect(), secret, turn: AtomicU64::new(0) }
    }

    /// The entry of exactly this token under exactly these keys. One cache line for a miss; for a hit one more, and
    /// the entry.
    #[inline]
    pub(crate) fn get(&self, token: &str, generation: u64) -> Option<Hit> {
        let place = self.place(token.as_bytes())?;
        let set = self.sets.get(place.set)?;
        for (tag, way) in set.tags.iter().zip(&set.ways) {
            if tag.load(Ordering::Relaxed) != place.tag {
                continue;
            }
            let entry = way.load();
            if let Some(there) = entry.as_ref()
                && there.header.header.generation == generation
                && there.slice == *token.as_bytes()
            {
                // Why the read first: a line that many threads only read stays in all of their caches.
                if !there.header.header.used.load(Ordering::Relaxed) {
                    there.header.header.used.store(true, Ordering::Relaxed);
                }
                return Some(Hit(entry));
            }
        }
        None
    }

    /// Keeps a verified token; `now` finds expired ones to replace. Two threads that insert the same token at once
    /// may keep it twice: the second copy is never used again and goes in its turn.
    pub(crate) fn insert(&self, verified: &Verified, now: UnixS) {
        if verified.token().len() > CACHED_TOKEN_BYTES_MAX {
            return;
        }
        let Some(place) = self.place(verified.token()) else { return };
        let Some(set) = self.sets.get(place.set) else { return };
        let victim = self.victim(set, place.tag, verified, now);
        if let (Some(tag), Some(way)) = (set.tags.get(victim), set.ways.get(victim)) {
            way.store(Some(verified.0.clone()));
            tag.store(place.tag, Ordering::Relaxed);
        }
    }

    /// Drops the entry of this token, if it is there: it expired.
    pub(crate) fn remove(&self, token: &str) {
        let Some(place) = self.place(token.as_bytes()) else { return };
        let Some(set) = self.sets.get(place.set) else { return };
        for (tag, way) in set.tags.iter().zip(&set.ways) {
            if tag.load(Ordering::Relaxed) != place.tag {
                continue;
            }
            let entry = way.load();
            if entry.as_ref().is_some_and(|there| there.slice == *token.as_bytes()) {
                tag.store(0, Ordering::Relaxed);
                // Why compared: another thread may have put a new entry there meanwhile.
                way.compare_and_swap(&entry, None);
            }
        }
    }

    /// How many entries there are; reads every set.
    pub(crate) fn len(&self) -> usize {
        let tags = self.sets.iter().flat_map(|set| &set.tags);
        tags.filter(|tag| tag.load(Ordering::Relaxed) != 0).count()
    }

    /// The way to replace: that of the same token, else an empty one, else [`Self::least_useful`].
    fn victim(&self, set: &Set, tag: u32, incoming: &Verified, now: UnixS) -> usize {
        let tags = || set.tags.iter().map(|tag| tag.load(Ordering::Relaxed)).enumerate();
        let same = tags().filter(|(_, there)| *there == tag).find(|(at, _)| {
            let entry = set.ways.get(*at).map(ArcSwapAny::load);
            entry.is_some_and(|entry| entry.as_ref().is_some_and(|there| there.slice == *incoming.token()))
        });
        // Why tags first: they are one cache line, entries are one miss each.
        let free = || tags().find(|(_, there)| *there == 0);
        same.or_else(free).map_or_else(|| self.least_useful(set, incoming, now), |(at, _)| at)
    }

    /// An entry of other keys, an expired one, one that was not used since the last search, any.
    fn least_useful(&self, set: &Set, incoming: &Verified, now: UnixS) -> usize {
        let mut best = (u8::MAX, 0);
        let turn = usize::try_from(self.turn.fetch_add(1, Ordering::Relaxed) % (WAYS as u64)).unwrap_or(0);
        for offset in 0..WAYS {
            let at = (turn + offset) % WAYS;
            let Some(way) = set.ways.get(at) else { continue };
            let entry = way.load();
            let rank = match entry.as_ref().map(|there| &there.header.header) {
                None => 0,
                Some(head) if head.generation != incoming.0.header.header.generation => 1,
                Some(head) if head.bearer.expires_at() <= now => 2,
                Some(head) if !head.used.swap(false, Ordering::Relaxed) => 3,
                Some(_) => 4,
            };
            if rank < best.0 {
                best = (rank, at);
            }
        }
        best.1
    }

    /// Multiplies secret and token together, sixteen bytes at a time: some 3 ns, and enough to spread signatures,
    /// which are uniform. `None`: too short to be a signed token.
    #[inline]
    fn place(&self, token: &[u8]) -> Option<Place> {
        let tail = token.last_chunk::<TAIL_BYTES>()?;
        let mut hash = token.len() as u64;
        let (pairs, _) = tail.as_chunks::<16>();
        let [a, b, c, d, last] = self.secret;
        for (pair, (one, two)) in pairs.iter().zip([(a, b), (c, d)]) {
            let (halves, _) = pair.as_chunks::<8>();
            let [left, right] = halves else { return None };
            hash ^= fold(u64::from_le_bytes(*left) ^ one, u64::from_le_bytes(*right) ^ two);
        }
        let hash = fold(hash, last | 1);
        let scaled = u128::from(hash) * self.sets.len() as u128;
        // Why `| 1`: zero says empty.
        let tag = u32::try_from(hash & u64::from(u32::MAX)).unwrap_or(0) | 1;
        Some(Place { set: usize::try_from(scaled >> 64).unwrap_or(0), tag })
    }
}

/// Both halves of the product, so that every bit of the input reaches every bit of the result.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "the halves of a product are what is wanted")]
const fn fold(a: u64, b: u64) -> u64 {
    let product = a as u128 * b as u128;
    (product >> 64) as u64 ^ product as u64
}
