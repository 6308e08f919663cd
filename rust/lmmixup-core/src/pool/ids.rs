//! Ids: the record's own, or a hash of what it says; unique in a pool.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};

use xxhash_rust::xxh3::{Xxh3, xxh3_64_with_seed, xxh3_128};

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

const SHARDS: usize = 64;

/// Sees every id of a pool in order and keeps them unique.
///
/// 17 bytes a record with an own id, 12 without. Shards keep the peak low when tables grow.
#[derive(Debug)]
pub struct IdKeeper {
    given: Vec<HashSet<u128, AsItIs>>,
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

    fn write_u128(&mut self, key: u128) {
        self.0 = key as u64;
    }
}

impl Default for IdKeeper {
    fn default() -> Self {
        Self {
            given: (0..SHARDS).map(|_| HashSet::default()).collect(),
            made: (0..SHARDS).map(|_| HashMap::default()).collect(),
            any_given: false,
        }
    }
}

impl IdKeeper {
    /// Notes a record's own id; false where the pool has it already.
    pub fn give(&mut self, id: &str) -> bool {
        self.any_given = true;
        let hash = xxh3_128(id.as_bytes());
        // The shard comes from the half of the hash that the table does not look at.
        self.given[(hash >> 122) as usize].insert(hash)
    }

    /// The id of a record by its content: 16 hexadecimal digits, then `-2`, `-3`, … for those
    /// that say the same. Free of the record's place except among equal records.
    pub fn make(&mut self, hash: u64) -> String {
        loop {
            let times = self.made[(hash & 63) as usize].entry(hash.rotate_right(6)).or_insert(0);
            *times += 1;
            let id =
                if *times == 1 { format!("{hash:016x}") } else { format!("{hash:016x}-{times}") };
            if !self.any_given || self.give(&id) {
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
        assert!(keeper.give("0000000000000007"));
        assert!(!keeper.give("0000000000000007"));
        assert_eq!(keeper.make(7), "0000000000000007-2");
    }
}
