//! Pairs that meet in the index, filtered, compared and connected.

use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;

use super::Ranked;
use super::prefix::Entry;
use crate::families::Components;
use crate::text::{Shingler, overlap_needed};
use crate::{Progress, Result};

/// Pairs between two looks at whether the caller wants to stop.
const PAIRS_A_BEAT: usize = 1 << 20;

/// Connects all pairs at the threshold that meet in the index. Returns the number of exact
/// comparisons.
pub(super) fn connect(
    ranked: &Ranked<'_>,
    index: Vec<Vec<Entry>>,
    components: &Components,
    progress: &Progress,
) -> Result<usize> {
    progress.start("compare candidates", index.len() as u64);
    let num_compared = AtomicUsize::new(0);
    index.into_par_iter().try_for_each_init(
        || Comparer::new(ranked, components),
        |comparer, mut bucket| {
            bucket.sort_unstable();
            for group in bucket.chunk_by(|a, b| a.shingle() == b.shingle()) {
                if group.len() > 1 {
                    comparer.group(group, progress)?;
                }
            }
            num_compared.fetch_add(std::mem::take(&mut comparer.num_compared), Ordering::Relaxed);
            progress.advance(1)
        },
    )?;
    Ok(num_compared.into_inner())
}

/// A set of the current group that larger ones may meet.
#[derive(Clone, Copy)]
struct Met {
    rank: u32,
    size: u32,
    position: u32,
}

struct Comparer<'a> {
    ranked: &'a Ranked<'a>,
    components: &'a Components,
    shingler: Shingler,
    loaded: Option<u32>,
    met: Vec<Met>,
    num_compared: usize,
}

impl<'a> Comparer<'a> {
    fn new(ranked: &'a Ranked<'a>, components: &'a Components) -> Self {
        Self {
            ranked,
            components,
            shingler: Shingler::new(ranked.pool.options().num_tokens),
            loaded: None,
            met: Vec::new(),
            num_compared: 0,
        }
    }

    /// All pairs of a group; its entries ascend by size.
    fn group(&mut self, group: &[Entry], progress: &Progress) -> Result<()> {
        self.met.clear();
        let (mut lowest, mut pairs) = (0, 0);
        for &entry in group {
            let new = Met {
                rank: entry.rank(),
                size: self.ranked.size[entry.rank() as usize],
                position: entry.position(),
            };
            let least = (self.ranked.threshold * f64::from(new.size) - 1e-6).ceil() as u32;
            while lowest < self.met.len() && self.met[lowest].size < least {
                lowest += 1;
            }
            let mut root = self.components.find(new.rank);
            for at in lowest..self.met.len() {
                self.pair(self.met[at], new, &mut root);
            }
            pairs += self.met.len() - lowest;
            if pairs > PAIRS_A_BEAT {
                progress.advance(0)?;
                pairs = 0;
            }
            if entry.is_indexed() {
                self.met.push(new);
            }
        }
        Ok(())
    }

    /// Connects a pair if it reaches the threshold and is not connected. `root` is the new
    /// set's root, as far as known.
    #[inline]
    fn pair(&mut self, old: Met, new: Met, root: &mut u32) {
        if self.components.find(old.rank) == *root || old.rank == new.rank {
            return;
        }
        // A pair's first meeting decides: there, nothing in common comes before.
        let rest = (old.size - 1 - old.position.min(old.size - 1))
            .min(new.size - 1 - new.position.min(new.size - 1));
        let total = f64::from(old.size + new.size);
        let factor = self.ranked.threshold / (1.0 + self.ranked.threshold);
        let at_least = (factor * total - 1e-6).ceil() as usize;
        if (rest as usize + 1) < at_least {
            return;
        }
        let records = [old, new].map(|set| self.ranked.record[set.rank as usize] as usize);
        if records.iter().all(|&record| record < self.ranked.num_frozen) {
            return;
        }
        let signatures = &self.ranked.profile.signatures;
        if signatures.max_overlap(records[0], records[1], old.size, new.size) < at_least {
            return;
        }
        if self.components.same(old.rank, new.rank) {
            *root = self.components.find(new.rank);
            return;
        }
        if self.reaches(old, new, records) {
            self.components.unite(old.rank, new.rank);
            *root = self.components.find(new.rank);
        }
    }

    fn reaches(&mut self, old: Met, new: Met, [old_record, new_record]: [usize; 2]) -> bool {
        if self.loaded != Some(new.rank) {
            self.shingler.load(self.ranked.pool.units(new_record));
            self.loaded = Some(new.rank);
        }
        self.num_compared += 1;
        let needed = overlap_needed(old.size as usize, new.size as usize, self.ranked.threshold);
        self.shingler.overlap(self.ranked.pool.units(old_record), needed).is_some()
    }
}
