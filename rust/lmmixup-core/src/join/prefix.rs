//! The inverted index of rare shingles.

use std::sync::{Mutex, PoisonError};

use rayon::prelude::*;

use super::Ranked;
use super::sketch::FrequencySketch;
use crate::text::{Shingler, overlap_needed};
use crate::{Progress, Result};

pub(super) const NUM_BUCKETS: usize = 1024;
const RECORDS_A_TASK: usize = 4096;

/// One shingle in one set's prefix, ordered by shingle, then by rank:
/// 22 bits of the shingle (the bucket has 10 more), 32 of the rank, 9 of the position in
/// the set's order (cut at the top), 1 that says whether smaller sets may meet here.
///
/// Different shingles that agree in these 32 bits only make candidates that then fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Entry(u64);

impl Entry {
    const MAX_POSITION: usize = 511;

    fn new(key: u64, rank: u32, position: usize, indexed: bool) -> Self {
        let position = position.min(Self::MAX_POSITION) as u64;
        Self(
            (key >> 24 & 0x3f_ffff) << 42
                | u64::from(rank) << 10
                | position << 1
                | u64::from(indexed),
        )
    }
    pub(super) fn shingle(self) -> u64 {
        self.0 >> 42
    }
    pub(super) fn rank(self) -> u32 {
        (self.0 >> 10) as u32
    }
    /// Position among the set's shingles, rarest first; a lower bound beyond 511.
    pub(super) fn position(self) -> u32 {
        (self.0 >> 1) as u32 & 0x1ff
    }
    /// Whether a set of the same or larger size can first meet this one here.
    pub(super) fn is_indexed(self) -> bool {
        self.0 & 1 == 1
    }
}

/// Lengths of the two prefixes of a set: the one that meets larger sets, and the longer one
/// that meets smaller sets.
fn prefix_lengths(size: usize, threshold: f64) -> (usize, usize) {
    // A partner that is larger is at least as large; a smaller one has at least t × size.
    let with_larger = size + 1 - overlap_needed(size, size, threshold).min(size);
    let least = (threshold * size as f64 - 1e-6).ceil().max(1.0) as usize;
    let with_smaller = size + 1 - least.min(size);
    (with_larger.min(with_smaller), with_smaller)
}

/// Builds the index, in buckets of shingles.
pub(super) fn index(
    ranked: &Ranked<'_>,
    rank_of: &[u32],
    sketch: FrequencySketch,
    progress: &Progress,
) -> Result<Vec<Vec<Entry>>> {
    let num_records = ranked.pool.len();
    progress.start("index rare shingles", num_records as u64);
    let buckets: Vec<_> = (0..NUM_BUCKETS).map(|_| Mutex::new(Vec::new())).collect();
    let starts: Vec<usize> = (0..num_records).step_by(RECORDS_A_TASK).collect();
    starts.into_par_iter().try_for_each(|start| {
        let mut task = Task {
            shingler: Shingler::new(ranked.pool.options().num_tokens),
            keys: Vec::new(),
            buckets: vec![Vec::new(); NUM_BUCKETS],
        };
        let records = start..num_records.min(start + RECORDS_A_TASK);
        for record in records.clone().filter(|&record| ranked.profile.is_representative(record)) {
            task.add(ranked, record, rank_of[record], &sketch);
        }
        for (bucket, own) in buckets.iter().zip(task.buckets) {
            bucket.lock().unwrap_or_else(PoisonError::into_inner).extend(own);
        }
        progress.advance(records.len() as u64)
    })?;
    let unlock = |bucket: Mutex<_>| bucket.into_inner().unwrap_or_else(PoisonError::into_inner);
    Ok(buckets.into_iter().map(unlock).collect())
}

struct Task {
    shingler: Shingler,
    keys: Vec<u64>,
    buckets: Vec<Vec<Entry>>,
}

impl Task {
    fn add(&mut self, ranked: &Ranked<'_>, record: usize, rank: u32, sketch: &FrequencySketch) {
        let size = ranked.profile.size[record] as usize;
        if size == 0 {
            return;
        }
        self.shingler.list(ranked.pool.units(record), size);
        let items = self.shingler.items();
        let (with_larger, with_smaller) = prefix_lengths(items.len(), ranked.threshold);
        self.keys.clear();
        // Frequency first, then 56 bits of the hash. Shingles with equal keys count as one
        // that occurs twice, which keeps the prefix property.
        self.keys.extend(items.iter().filter_map(|&item| {
            let frequency = sketch.frequency(item);
            (frequency > 1).then(|| u64::from(frequency) << 56 | item >> 8)
        }));
        // Those of frequency 1 come first in the order and match nothing.
        let unique = items.len() - self.keys.len();
        let length = with_smaller.saturating_sub(unique);
        if length == 0 {
            return;
        }
        if length < self.keys.len() {
            self.keys.select_nth_unstable(length - 1);
            self.keys.truncate(length);
        }
        self.keys.sort_unstable();
        for (at, &key) in self.keys.iter().enumerate() {
            let position = unique + at;
            let entry = Entry::new(key, rank, position, position < with_larger);
            self.buckets[(key >> 46) as usize & (NUM_BUCKETS - 1)].push(entry);
        }
    }
}
