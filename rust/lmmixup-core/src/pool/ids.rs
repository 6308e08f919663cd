//! Ids: the record's own, or a hash of what it says.

use arrow_array::builder::StringBuilder;
use arrow_array::{Array, StringArray};
use xxhash_rust::xxh3::{Xxh3, xxh3_64_with_seed, xxh3_128};

use crate::pool::canonical::Record;
use crate::pool::reject::Reject;
use crate::pool::turns::Turn;
use crate::pool::unique::{AHEAD, IdKeeper};

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
    /// Whether there is a record with an id of its own.
    pub fn any_own(&self) -> bool {
        self.own.null_count() < self.own.len()
    }

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
        if !wanted && !self.any_own() {
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
