//! Likeness of texts: Jaccard of their sets of shingles.

use super::{Likeness, Profile};
use crate::text::{Shingler, TextPool, jaccard, overlap_needed};

/// Compares sets by their bitmaps first, and exactly where these do not tell.
#[derive(Debug)]
pub struct SetLikeness<'a> {
    /// The texts.
    pub pool: &'a TextPool,
    /// What is known of their sets.
    pub profile: &'a Profile,
}

impl Likeness for SetLikeness<'_> {
    type Loaded = Shingler;

    fn num_records(&self) -> usize {
        self.pool.len()
    }

    fn representative(&self, record: u32) -> u32 {
        self.profile.representative[record as usize]
    }

    fn length_and_tie_break(&self, record: u32) -> (u32, (u64, u64)) {
        (self.pool.length(record as usize), self.pool.tie_break(record as usize))
    }

    fn same_text(&self, a: u32, b: u32) -> bool {
        self.pool.content(a as usize) == self.pool.content(b as usize)
    }

    fn unloaded(&self) -> Shingler {
        Shingler::new(self.pool.options().num_tokens)
    }

    fn load(&self, shingler: &mut Shingler, record: u32) {
        shingler.load(self.pool.units(record as usize));
    }

    fn similarity(
        &self,
        shingler: &mut Shingler,
        best: u32,
        other: u32,
        least: Option<f64>,
    ) -> Option<f64> {
        let (best, other) = (best as usize, other as usize);
        let (size_a, size_b) = (self.profile.size[best], self.profile.size[other]);
        let needed =
            least.map_or(0, |least| overlap_needed(size_a as usize, size_b as usize, least));
        if needed > size_a.min(size_b) as usize
            || self.profile.signatures.max_overlap(best, other, size_a, size_b) < needed
        {
            return None;
        }
        let overlap = shingler.overlap(self.pool.units(other), needed)?;
        Some(jaccard(overlap, size_a as usize, size_b as usize))
    }
}
