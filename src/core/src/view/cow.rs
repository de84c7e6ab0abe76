//! A table of keyed hashes that is cheap to clone: copy-on-write over 128 x 128 small sorted shards.
//!
//! Why not a persistent map or an in-place table: an in-place table is faster to write but shows readers a
//! mix of two prefixes; persistent maps cost 3 to 6 times the reads (measured.md section 4). Here a clone is
//! one pointer, the first change of a shard after a clone copies that shard (`len / 16384` entries) and two
//! arrays of 128 pointers, later changes are made in place, and a read is a filter probe and, where that
//! passes, one interpolated search.

use std::sync::Arc;

use super::filter::Filter;
use crate::key::Key;

const FAN: usize = 128;
/// Limit: shards of a table, for stores that write them one by one. Numbers fit `u16`.
const SHARDS: usize = FAN * FAN;

/// Entries in order of key, then free places marked by [`FREE`], so that a shard can grow in place.
type Shard<V> = Arc<[(Key, V)]>;

/// Why it is never a real key: a keyed hash is this with a probability of 2^-128.
const FREE: Key = Key { hi: u64::MAX, lo: u64::MAX };

#[derive(Debug)]
struct Root<V>([Option<Arc<Node<V>>>; FAN]);

#[derive(Debug)]
struct Node<V>([Option<Shard<V>>; FAN]);

/// Map from [`Key`] to `V`; see the module's text.
#[derive(Debug)]
pub struct CowMap<V> {
    root: Option<Arc<Root<V>>>,
    /// Why one for the whole map and not one per node: a probe is one cache line. Shared by all clones.
    filter: Option<Arc<Filter>>,
    len: usize,
}

// Why by hand: deriving would ask for `V: Clone`, but only pointers are copied.
impl<V> Clone for CowMap<V> {
    fn clone(&self) -> Self {
        Self { root: self.root.clone(), filter: self.filter.clone(), len: self.len }
    }
}

impl<V> Clone for Root<V> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<V> Clone for Node<V> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<V> Default for CowMap<V> {
    fn default() -> Self {
        Self::new()
    }
}

const fn root_index(key: Key) -> usize {
    (key.hi >> 57) as usize
}

const fn node_index(key: Key) -> usize {
    (key.hi >> 50 & 127) as usize
}

const fn shard_number(key: Key) -> usize {
    (key.hi >> 50) as usize
}

/// The entries without the free places.
fn used<V>(shard: &[(Key, V)]) -> &[(Key, V)] {
    let len = shard.partition_point(|(key, _)| *key != FREE);
    shard.get(..len).unwrap_or_default()
}

/// Place of `key` in a shard, or where it belongs. Keys are uniform, so interpolation lands within a few
/// entries; free places are greater than every key.
#[inline]
fn search<V>(shard: &[(Key, V)], key: Key) -> Result<usize, usize> {
    let scaled = u128::from(key.hi << 14) * shard.len() as u128;
    let mut place = usize::try_from(scaled >> 64).unwrap_or(0);
    while let Some((there, _)) = shard.get(place) {
        match there.cmp(&key) {
            core::cmp::Ordering::Equal => return Ok(place),
            core::cmp::Ordering::Less => {
                place += 1;
                if shard.get(place).is_none_or(|(next, _)| *next > key) {
                    return Err(place);
                }
            }
            core::cmp::Ordering::Greater => match place.checked_sub(1) {
                None => return Err(0),
                Some(before) if shard.get(before).is_some_and(|(there, _)| *there < key) => {
                    return Err(place);
                }
                Some(before) => place = before,
            },
        }
    }
    Err(place)
}

impl<V> CowMap<V> {
    /// An empty map; allocates nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self { root: None, filter: None, len: 0 }
    }

    /// Number of keys.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no key.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The value of `key`. Takes no lock and allocates nothing; an absent key usually costs one cache line.
    #[must_use]
    #[inline]
    pub fn get(&self, key: Key) -> Option<&V> {
        if self.filter.as_ref()?.may_hold(key) { self.get_likely(key) } else { None }
    }

    /// As [`Self::get`], for keys that are usually there: the filter is not asked.
    #[must_use]
    #[inline]
    pub fn get_likely(&self, key: Key) -> Option<&V> {
        let shard = self.root.as_ref()?.0.get(root_index(key))?.as_ref()?.0.get(node_index(key))?.as_ref()?;
        let place = search(shard, key).ok()?;
        shard.get(place).map(|(_, value)| value)
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = &(Key, V)> + '_ {
        let nodes = self.root.iter().flat_map(|root| root.0.iter().flatten());
        nodes.flat_map(|node| node.0.iter().flatten()).flat_map(|shard| used(shard))
    }

    /// Counts a key that is in its shard already and lets the filter know it.
    fn note(&mut self, key: Key) {
        self.len += 1;
        match &self.filter {
            Some(filter) if self.len <= filter.keys_max() => filter.insert(key),
            Some(_) | None => {
                let filter = Filter::for_keys(self.len + self.len / 2 + FAN);
                self.entries().for_each(|(key, _)| filter.insert(*key));
                self.filter = Some(Arc::new(filter));
            }
        }
    }

    /// All values, in no particular order.
    pub fn values(&self) -> impl Iterator<Item = &V> + '_ {
        self.entries().map(|(_, value)| value)
    }

    /// The shards that differ from `older` (compared by identity), as `(number, entries)`, every number at
    /// most once; a shard that became empty comes with no entries. With `older` empty: all that exist.
    ///
    /// `older` must be a clone of an earlier state of this map that is still held: a shard that nobody else
    /// holds is changed in place.
    pub fn changed_since<'a>(&'a self, older: &'a Self) -> impl Iterator<Item = (u16, &'a [(Key, V)])> + 'a {
        (0..FAN).filter(|node| !same(self.node(*node), older.node(*node))).flat_map(move |node| {
            (node * FAN..(node + 1) * FAN).filter_map(move |number| {
                let (now, then) = (self.shard(number), older.shard(number));
                let entries = now.map_or(&[][..], |shard| used(shard));
                (!same(now, then)).then(|| (u16::try_from(number).unwrap_or(u16::MAX), entries))
            })
        })
    }

    fn node(&self, number: usize) -> Option<&Arc<Node<V>>> {
        self.root.as_ref()?.0.get(number)?.as_ref()
    }

    fn shard(&self, number: usize) -> Option<&Shard<V>> {
        self.node(number / FAN)?.0.get(number % FAN)?.as_ref()
    }

    fn slot_mut(&mut self, key: Key) -> Option<&mut Option<Shard<V>>> {
        let root = Arc::make_mut(self.root.get_or_insert_with(|| Arc::new(Root([const { None }; FAN]))));
        let node = root.0.get_mut(root_index(key))?;
        Arc::make_mut(node.get_or_insert_with(|| Arc::new(Node([const { None }; FAN]))))
            .0
            .get_mut(node_index(key))
    }
}

fn same<T: ?Sized>(now: Option<&Arc<T>>, then: Option<&Arc<T>>) -> bool {
    match (now, then) {
        (Some(now), Some(then)) => Arc::ptr_eq(now, then),
        (None, None) => true,
        (Some(_), None) | (None, Some(_)) => false,
    }
}

impl<V: Clone + Default> CowMap<V> {
    /// Sets the value of `key` and gives back the one before.
    pub fn insert(&mut self, key: Key, value: V) -> Option<V> {
        let shard = self.slot_mut(key)?.get_or_insert_with(|| Arc::new([]));
        match search(shard, key) {
            Ok(place) => {
                let (_, there) = unshared(shard).get_mut(place)?;
                Some(core::mem::replace(there, value))
            }
            Err(place) => {
                insert_at(shard, place, (key, value));
                self.note(key);
                None
            }
        }
    }

    /// Removes `key` and gives back its value. Its filter bits stay until the filter is made anew.
    pub fn remove(&mut self, key: Key) -> Option<V> {
        self.get(key)?;
        let shard = self.slot_mut(key)?.as_mut()?;
        let place = search(shard, key).ok()?;
        let tail = unshared(shard).get_mut(place..)?;
        // The entry moves behind all others and becomes a free place.
        tail.rotate_left(1);
        let (there, value) = tail.last_mut()?;
        *there = FREE;
        let value = core::mem::take(value);
        self.len = self.len.saturating_sub(1);
        Some(value)
    }

    /// Puts back a whole shard that [`Self::changed_since`] gave. False, with nothing changed, where the
    /// entries are not sorted or belong elsewhere, or the shard is there already.
    pub fn restore_shard(&mut self, number: u16, entries: Vec<(Key, V)>) -> bool {
        let number = usize::from(number);
        let Some((first, _)) = entries.first() else { return number < SHARDS };
        let first = *first;
        let belongs = entries.iter().all(|(key, _)| shard_number(*key) == number && *key != FREE);
        let sorted = entries.is_sorted_by(|(a, _), (b, _)| a < b);
        if !sorted || !belongs || self.shard(number).is_some() {
            return false;
        }
        let keys: Vec<Key> = entries.iter().map(|(key, _)| *key).collect();
        let Some(slot) = self.slot_mut(first) else { return false };
        *slot = Some(entries.into());
        keys.into_iter().for_each(|key| self.note(key));
        true
    }
}

/// The entries of a shard to change, copied first where an older map holds it too.
fn unshared<V: Clone>(shard: &mut Shard<V>) -> &mut [(Key, V)] {
    Arc::make_mut(shard)
}

/// Inserts in place where nobody else holds the shard and it has a free place, else in a copy with some.
fn insert_at<V: Clone + Default>(shard: &mut Shard<V>, place: usize, entry: (Key, V)) {
    let has_room = shard.last().is_some_and(|(key, _)| *key == FREE);
    if has_room && let Some(tail) = Arc::get_mut(shard).and_then(|entries| entries.get_mut(place..)) {
        tail.rotate_right(1);
        if let Some(first) = tail.first_mut() {
            *first = entry;
        }
        return;
    }
    let len = used(shard).len();
    let place = place.min(len);
    // Why not doubling: at a million entries the slack would be half of the table.
    let room = core::iter::repeat_with(|| (FREE, V::default())).take(len / 16 + 1);
    let once = core::iter::once(entry);
    // Why moved where nobody else looks: values may be counted pointers, and counting touches each of them.
    *shard = match Arc::get_mut(shard) {
        Some(entries) => {
            let (left, right) = entries.split_at_mut(place);
            let right = right.iter_mut().take(len - place);
            left.iter_mut().map(take_entry).chain(once).chain(right.map(take_entry)).chain(room).collect()
        }
        None => {
            let (left, right) = used(shard).split_at(place);
            left.iter().cloned().chain(once).chain(right.iter().cloned()).chain(room).collect()
        }
    };
}

fn take_entry<V: Default>((key, value): &mut (Key, V)) -> (Key, V) {
    (*key, core::mem::take(value))
}

#[cfg(test)]
mod tests;
