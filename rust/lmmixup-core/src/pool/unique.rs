//! Keeps ids unique over a pool.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use xxhash_rust::xxh3::xxh3_128;

const SHARDS: usize = 64;
/// Most records that room is made for because a file's beginning lets one expect them: 50 MB.
const EXPECTED: usize = 1 << 21;
/// Keys whose places in memory are fetched together.
pub(super) const AHEAD: usize = 16;

/// Sees every id of a pool in order and keeps them unique.
///
/// 13 to 15 bytes a record with an own id, 10 to 12 without. Shards keep the peak low when tables
/// grow.
#[derive(Debug)]
pub struct IdKeeper {
    given: Vec<KeySet<Own>>,
    /// Hashes of the contents of records without one.
    made: Vec<KeySet<u64>>,
    /// How often those came that came again.
    again: HashMap<u64, u32, AsItIs>,
    any_given: bool,
}

/// The keys are hashes already: to hash them again would cost more than the look-up.
type AsItIs = BuildHasherDefault<KeyItself>;

#[derive(Debug, Default)]
struct KeyItself(u64);

impl Hasher for KeyItself {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(byte);
        }
    }

    fn write_u64(&mut self, key: u64) {
        self.0 = key;
    }
}

/// A hash in a [`KeySet`].
trait Key: Copy + Default + PartialEq {
    /// What stands in for the value of a free slot.
    const ONE: Self;

    /// Its place in a table, as a fraction of 2^64; the shard is told by other bits.
    fn fraction(self) -> u64;
}

/// 80 bits of a 128-bit hash. With the 6 that tell the shard, a new id among a billion is taken for
/// a known one with a chance of 10^-8 for the whole pool.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Own([u16; 5]);

impl From<u128> for Own {
    fn from(key: u128) -> Self {
        Self([0, 16, 32, 48, 64].map(|shift| (key >> shift) as u16))
    }
}

impl Key for Own {
    const ONE: Self = Self([1, 0, 0, 0, 0]);

    fn fraction(self) -> u64 {
        let [low, parts @ .., _] = self.0;
        let above = |all, &part: &u16| all << 16 | u64::from(part);
        parts.iter().rev().fold(0, above) << 16 | u64::from(low)
    }
}

impl Key for u64 {
    const ONE: Self = 1;

    fn fraction(self) -> u64 {
        self
    }
}

/// A set of hashes. Open addressing in a table of any size: an insertion is one look into memory,
/// and growth by a fifth wastes little.
#[derive(Debug, Default)]
struct KeySet<K> {
    /// Zero is free.
    slots: Vec<K>,
    len: usize,
}

impl<K: Key> KeySet<K> {
    /// Adds a key; false where it was there.
    fn insert(&mut self, key: K) -> bool {
        if self.len * 5 >= self.slots.len() * 4 {
            self.resize((self.slots.len() * 6 / 5).max(64));
        }
        let key = if key == K::default() { K::ONE } else { key };
        let at = self.find(key);
        let is_new = self.slots[at] == K::default();
        self.slots[at] = key;
        self.len += usize::from(is_new);
        is_new
    }

    /// The slot of a key, or the free one where it belongs.
    fn find(&self, key: K) -> usize {
        let size = self.slots.len();
        let mut at = self.home(key);
        while self.slots[at] != K::default() && self.slots[at] != key {
            at = if at + 1 == size { 0 } else { at + 1 };
        }
        at
    }

    /// Where a key's search begins.
    fn home(&self, key: K) -> usize {
        ((u128::from(key.fraction()) * self.slots.len() as u128) >> 64) as usize
    }

    /// Makes room for so many keys, one in twelve more, and those that are there.
    fn reserve(&mut self, more: usize) {
        let size = (self.len + more + more / 12) * 5 / 4 + 1;
        if size > self.slots.len() {
            self.resize(size);
        }
    }

    fn resize(&mut self, size: usize) {
        for key in std::mem::replace(&mut self.slots, vec![K::default(); size]) {
            if key != K::default() {
                let at = self.find(key);
                self.slots[at] = key;
            }
        }
    }
}

/// The shard comes from the half of the hash that the table does not look at.
fn shard(key: u128) -> usize {
    (key >> 122) as usize
}

impl Default for IdKeeper {
    fn default() -> Self {
        Self {
            given: (0..SHARDS).map(|_| KeySet::default()).collect(),
            made: (0..SHARDS).map(|_| KeySet::default()).collect(),
            again: HashMap::default(),
            any_given: false,
        }
    }
}

impl IdKeeper {
    /// Makes room for so many own ids, but not for more than [`EXPECTED`]: tables that grow are
    /// copied and take fresh memory each time.
    pub(super) fn expect(&mut self, more: usize) {
        let more = more.min(EXPECTED) / SHARDS;
        self.given.iter_mut().for_each(|set| set.reserve(more));
    }

    /// Notes a record's own id by its 128-bit XXH3; false where the pool has it already.
    pub fn give(&mut self, key: u128) -> bool {
        self.any_given = true;
        self.given[shard(key)].insert(key.into())
    }

    /// Loads the places of the keys into the cache, all at once and not one after the other.
    pub(super) fn look_ahead(&self, keys: &[u128]) {
        let slot = |&key: &u128| {
            let set = &self.given[shard(key)];
            set.slots.get(set.home(key.into())).copied().unwrap_or_default().0[0]
        };
        std::hint::black_box(keys.iter().map(slot).fold(0, |all, slot| all ^ slot));
    }

    /// The id of a record by its content: 16 hexadecimal digits, then `-2`, `-3`, … for those
    /// that say the same. Free of the record's place except among equal records.
    pub fn make(&mut self, hash: u64) -> String {
        let is_new = self.made[(hash & 63) as usize].insert(hash);
        let mut times = if is_new { 1 } else { self.again.get(&hash).copied().unwrap_or(1) + 1 };
        loop {
            if times > 1 {
                self.again.insert(hash, times);
            }
            let id =
                if times == 1 { format!("{hash:016x}") } else { format!("{hash:016x}-{times}") };
            if !self.any_given || self.give(xxh3_128(id.as_bytes())) {
                return id;
            }
            times += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeats_are_numbered() {
        let mut keeper = IdKeeper::default();
        let ids: Vec<String> = [7, 8, 7, 7].map(|hash| keeper.make(hash)).into();
        let seven = "0000000000000007";
        let expected = [seven, "0000000000000008", &format!("{seven}-2"), &format!("{seven}-3")]
            .map(str::to_owned);
        assert_eq!(ids, expected);
    }

    #[test]
    fn made_ids_step_aside_for_given_ones() {
        let mut keeper = IdKeeper::default();
        let key = xxh3_128(b"0000000000000007");
        assert!(keeper.give(key));
        assert!(!keeper.give(key));
        assert_eq!(keeper.make(7), "0000000000000007-2");
    }

    #[test]
    fn keys_are_80_bits_of_a_hash() {
        let hash = xxh3_128(b"an id");
        assert_eq!(Own::from(hash).fraction(), hash as u64);
        assert_ne!(Own::from(hash), Own::from(hash ^ 1 << 79));
        assert_eq!(size_of::<Own>(), 10);
    }

    #[test]
    fn key_sets_know_what_they_have() {
        let mut set = KeySet::<Own>::default();
        let key = |at: u128| at.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835).into();
        for at in 0..5000 {
            assert!(set.insert(key(at)));
            assert!(!set.insert(key(at / 2)));
        }
        assert_eq!(set.len, 5000);
    }
}
