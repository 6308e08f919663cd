//! Ids: the record's own, or a hash of what it says; unique in a pool.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use arrow_array::builder::StringBuilder;
use arrow_array::{Array, StringArray};
use xxhash_rust::xxh3::{Xxh3, xxh3_64_with_seed, xxh3_128};

use crate::pool::canonical::Record;
use crate::pool::reject::Reject;
use crate::pool::turns::Turn;

/// Hash of roles and contents of a conversation; the same whatever format it came in.
pub fn content_hash<'a>(turns: impl Iterator<Item = (&'a str, &'a str)>) -> u64 {
    let mut hasher = Xxh3::new();
    for (role, content) in turns {
        // Lengths keep ("ab", "c") apart from ("a", "bc").
        hasher.update(&(role.len() as u64).to_le_bytes());
        hasher.update(role.as_bytes());
        hasher.update(&(content.len() as u64).to_le_bytes());
        hasher.update(content.as_bytes());
    }
    let digest = hasher.digest128();
    (digest >> 64) as u64 ^ digest as u64
}

/// [`content_hash`] of turns.
pub fn turns_hash(turns: &[Turn<'_>]) -> u64 {
    content_hash(turns.iter().map(|turn| (turn.role.as_ref(), turn.content.as_ref())))
}

/// The place of a record in a random order that depends on its id and a seed, not on its
/// position: `--sample N` takes the N lowest.
pub fn sample_key(id: &str, seed: u64) -> u64 {
    xxh3_64_with_seed(id.as_bytes(), seed)
}

/// Ids of the records of a chunk, not unique yet.
#[derive(Debug)]
pub struct ChunkIds {
    /// The records' own ids; null where there is none.
    pub own: StringArray,
    /// 128-bit hashes of own ids; of others the content's hash, where ids are wanted.
    pub keys: Vec<u128>,
}

/// Collects [`ChunkIds`].
#[derive(Debug)]
pub struct IdsBuilder {
    wanted: bool,
    own: StringBuilder,
    keys: Vec<u128>,
}

impl IdsBuilder {
    /// A builder; without `wanted` only own ids are looked at.
    pub fn new(wanted: bool) -> Self {
        Self { wanted, own: StringBuilder::new(), keys: Vec::new() }
    }

    /// Takes a record's id.
    pub fn push(&mut self, record: &Record<'_>) {
        let own = record.own_id();
        let key = match &own {
            Some(id) => xxh3_128(id.as_bytes()),
            None if self.wanted => u128::from(record.hash()),
            None => 0,
        };
        self.own.append_option(own);
        self.keys.push(key);
    }

    /// What was collected.
    pub fn finish(mut self) -> ChunkIds {
        ChunkIds { own: self.own.finish(), keys: self.keys }
    }
}

impl ChunkIds {
    /// Gives `see` the unique id of every record, in order, if ids are `wanted`. A record whose
    /// own id was there before gets a reject instead, with its place in `rows`.
    ///
    /// Returns which records stay, `None` for all.
    pub fn settle(
        &self,
        wanted: bool,
        rows: &[u64],
        keeper: &mut IdKeeper,
        rejects: &mut Vec<Reject>,
        mut see: impl FnMut(&str),
    ) -> Option<Vec<bool>> {
        let mut keep = None;
        if !wanted && self.own.null_count() == self.own.len() {
            return keep;
        }
        for (at, &key) in self.keys.iter().enumerate() {
            if at % AHEAD == 0 {
                keeper.look_ahead(&self.keys[at..self.keys.len().min(at + AHEAD)]);
            }
            if self.own.is_null(at) {
                if wanted {
                    see(&keeper.make(key as u64));
                }
            } else {
                let id = self.own.value(at);
                if !keeper.give(key) {
                    keep.get_or_insert_with(|| vec![true; rows.len()])[at] = false;
                    rejects.push(repeated(id, rows[at]));
                }
                see(id);
            }
        }
        keep
    }
}

fn repeated(id: &str, row: u64) -> Reject {
    let hint = "make ids from the content with --ids content";
    let mut reject =
        Reject::new("id", "an id that is new in the pool", format!("`{id}` again"), hint);
    reject.line = row;
    reject
}

const SHARDS: usize = 64;
/// Keys whose places in memory are fetched together.
const AHEAD: usize = 16;

/// Sees every id of a pool in order and keeps them unique.
///
/// 24 to 36 bytes a record with an own id, 12 without. Shards keep the peak low when tables grow.
#[derive(Debug)]
pub struct IdKeeper {
    given: Vec<KeySet>,
    made: Vec<HashMap<u64, u32, AsItIs>>,
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

/// A set of 128-bit hashes. Open addressing in a table of any size: an insertion is one look
/// into memory, and growth by half wastes little.
#[derive(Debug, Default)]
struct KeySet {
    /// 0 is free.
    slots: Vec<u128>,
    len: usize,
}

impl KeySet {
    /// Adds a key; false where it was there.
    fn insert(&mut self, key: u128) -> bool {
        if self.len * 3 >= self.slots.len() * 2 {
            self.grow();
        }
        let key = key.max(1);
        let at = self.find(key);
        let is_new = self.slots[at] == 0;
        self.slots[at] = key;
        self.len += usize::from(is_new);
        is_new
    }

    /// The slot of a key, or the free one where it belongs.
    fn find(&self, key: u128) -> usize {
        let size = self.slots.len();
        let mut at = self.home(key);
        while self.slots[at] != 0 && self.slots[at] != key {
            at = if at + 1 == size { 0 } else { at + 1 };
        }
        at
    }

    /// Where a key's search begins: its low half as a fraction of 2^64, times the size.
    fn home(&self, key: u128) -> usize {
        (u128::from(key as u64) * self.slots.len() as u128 >> 64) as usize
    }

    fn grow(&mut self) {
        let size = (self.slots.len() * 3 / 2).max(64);
        for key in std::mem::replace(&mut self.slots, vec![0; size]) {
            if key != 0 {
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
            made: (0..SHARDS).map(|_| HashMap::default()).collect(),
            any_given: false,
        }
    }
}

impl IdKeeper {
    /// Notes a record's own id by its 128-bit XXH3; false where the pool has it already.
    pub fn give(&mut self, key: u128) -> bool {
        self.any_given = true;
        self.given[shard(key)].insert(key)
    }

    /// Loads the places of the keys into the cache, all at once and not one after the other.
    fn look_ahead(&self, keys: &[u128]) {
        let slot = |&key: &u128| {
            let set = &self.given[shard(key)];
            set.slots.get(set.home(key)).copied().unwrap_or_default()
        };
        std::hint::black_box(keys.iter().map(slot).fold(0, |all, slot| all ^ slot));
    }

    /// The id of a record by its content: 16 hexadecimal digits, then `-2`, `-3`, … for those
    /// that say the same. Free of the record's place except among equal records.
    pub fn make(&mut self, hash: u64) -> String {
        loop {
            let times = self.made[(hash & 63) as usize].entry(hash.rotate_right(6)).or_insert(0);
            *times += 1;
            let id =
                if *times == 1 { format!("{hash:016x}") } else { format!("{hash:016x}-{times}") };
            if !self.any_given || self.give(xxh3_128(id.as_bytes())) {
                return id;
            }
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
    fn key_sets_know_what_they_have() {
        let mut set = KeySet::default();
        let key = |at: u128| at.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
        for at in 0..5000 {
            assert!(set.insert(key(at)));
            assert!(!set.insert(key(at / 2)));
        }
        assert_eq!(set.len, 5000);
    }
}
