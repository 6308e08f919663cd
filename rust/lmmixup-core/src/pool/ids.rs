//! Ids: the record's own, or a hash of what it says; unique in a pool.

use std::collections::{HashMap, HashSet};

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
    given: Vec<HashSet<u128>>,
    made: Vec<HashMap<u64, u32>>,
}

impl Default for IdKeeper {
    fn default() -> Self {
        Self {
            given: (0..SHARDS).map(|_| HashSet::new()).collect(),
            made: (0..SHARDS).map(|_| HashMap::new()).collect(),
        }
    }
}

impl IdKeeper {
    /// Notes a record's own id; false where the pool has it already.
    pub fn give(&mut self, id: &str) -> bool {
        let hash = xxh3_128(id.as_bytes());
        self.given[(hash >> 122) as usize % SHARDS].insert(hash)
    }

    /// The id of a record by its content: 16 hexadecimal digits, then `-2`, `-3`, … for those
    /// that say the same. Free of the record's place except among equal records.
    pub fn make(&mut self, hash: u64) -> String {
        loop {
            let times = self.made[(hash >> 58) as usize % SHARDS].entry(hash).or_insert(0);
            *times += 1;
            let id =
                if *times == 1 { format!("{hash:016x}") } else { format!("{hash:016x}-{times}") };
            if self.given.iter().all(HashSet::is_empty) || self.give(&id) {
                return id;
            }
        }
    }
}
