//! Sets of shingle hashes, and the overlap of two of them.

use super::vocabulary::decode;

/// Multiplier of the rolling combination; ≡ 3 mod 4, so that its powers minus one have few
/// factors of two and swapped or shifted tokens do not collide.
const BASE: u64 = 0xd6e8_feb8_6659_fd93;

/// Makes shingle sets of encoded records and compares them; owns the buffers.
///
/// One set at a time is *loaded*; other records are compared with it.
#[derive(Debug)]
pub struct Shingler {
    num_tokens: usize,
    /// `BASE` to the power of `num_tokens`.
    leaving: u64,
    values: Vec<u64>,
    items: Vec<u64>,
    /// Open addressing with linear probing; 0 is a free slot.
    table: Vec<u64>,
    marks: Vec<u32>,
    mark: u32,
}

impl Shingler {
    /// A shingler for `num_tokens` tokens a shingle.
    pub fn new(num_tokens: usize) -> Self {
        Self {
            num_tokens,
            leaving: (0..num_tokens).fold(1, |power: u64, _| power.wrapping_mul(BASE)),
            values: Vec::new(),
            items: Vec::new(),
            table: Vec::new(),
            marks: Vec::new(),
            mark: 0,
        }
    }

    /// Loads a record's set. Linear in its tokens.
    pub fn load(&mut self, units: &[u16]) {
        self.values.clear();
        self.values.extend(decode(units).map(token_value));
        let size = (2 * self.values.len()).next_power_of_two().max(16);
        self.table.clear();
        self.table.resize(size, 0);
        self.items.clear();
        let (table, items) = (&mut self.table, &mut self.items);
        for_each_shingle(&self.values, self.num_tokens, self.leaving, |shingle| {
            let slot = find_slot(table, shingle);
            if table[slot] == 0 {
                table[slot] = shingle;
                items.push(shingle);
            }
            true
        });
        self.marks.clear();
    }

    /// Makes [`Shingler::items`] of a record whose number of distinct shingles is known, for
    /// less than [`Shingler::load`] where none occurs twice. No record is loaded afterwards.
    pub fn list(&mut self, units: &[u16], size: usize) {
        self.values.clear();
        self.values.extend(decode(units).map(token_value));
        if self.values.len().saturating_sub(self.num_tokens - 1).max(1) != size {
            return self.load(units);
        }
        self.items.clear();
        let items = &mut self.items;
        for_each_shingle(&self.values, self.num_tokens, self.leaving, |shingle| {
            items.push(shingle);
            true
        });
    }

    /// The distinct shingles of the record that was loaded or listed, by first appearance.
    pub fn items(&self) -> &[u64] {
        &self.items
    }

    /// |loaded ∩ other|, or `None` as soon as it is sure to be under `needed`. Linear.
    pub fn overlap(&mut self, other: &[u16], needed: usize) -> Option<usize> {
        self.values.clear();
        self.values.extend(decode(other).map(token_value));
        self.next_mark();
        let mut left = if self.values.is_empty() {
            0
        } else {
            self.values.len().saturating_sub(self.num_tokens - 1).max(1)
        };
        let mut common = 0;
        let (table, marks, mark) = (&self.table, &mut self.marks, self.mark);
        for_each_shingle(&self.values, self.num_tokens, self.leaving, |shingle| {
            let slot = find_slot(table, shingle);
            if table[slot] == shingle && marks[slot] != mark {
                marks[slot] = mark;
                common += 1;
            }
            left -= 1;
            common + left >= needed
        });
        (common >= needed).then_some(common)
    }

    fn next_mark(&mut self) {
        if self.marks.len() != self.table.len() || self.mark == u32::MAX {
            self.marks.clear();
            self.marks.resize(self.table.len(), 0);
            self.mark = 0;
        }
        self.mark += 1;
    }
}

/// Calls `take` with every shingle until it returns false.
#[inline]
fn for_each_shingle(
    values: &[u64],
    num_tokens: usize,
    leaving: u64,
    mut take: impl FnMut(u64) -> bool,
) {
    if values.is_empty() {
        return;
    }
    let first = &values[..num_tokens.min(values.len())];
    let mut rolling = first.iter().fold(0u64, |sum, &v| sum.wrapping_mul(BASE).wrapping_add(v));
    // The salt tells a short text from the shingles of a long one.
    let salt = first.len() as u64;
    if !take(finish(rolling ^ salt)) {
        return;
    }
    for (&old, &new) in values.iter().zip(&values[first.len()..]) {
        rolling =
            rolling.wrapping_mul(BASE).wrapping_add(new).wrapping_sub(old.wrapping_mul(leaving));
        if !take(finish(rolling ^ salt)) {
            return;
        }
    }
}

#[inline]
fn find_slot(table: &[u64], shingle: u64) -> usize {
    let mask = table.len() - 1;
    let mut slot = (shingle >> 20) as usize & mask;
    while table[slot] != 0 && table[slot] != shingle {
        slot = (slot + 1) & mask;
    }
    slot
}

/// A random-looking 64-bit value for a token number (the finaliser of SplitMix64).
#[inline]
fn token_value(number: u32) -> u64 {
    finish((u64::from(number) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

/// Spreads all bits over all bits; never 0.
#[inline]
fn finish(mut hash: u64) -> u64 {
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (hash ^ (hash >> 31)).max(1)
}

/// Whether `overlap` common elements of sets of these sizes are Jaccard ≥ `threshold`, with
/// the very division that Python would do. Two empty sets have similarity 1.
#[inline]
pub fn reaches(overlap: usize, size_a: usize, size_b: usize, threshold: f64) -> bool {
    jaccard(overlap, size_a, size_b) >= threshold
}

/// |A ∩ B| / |A ∪ B|; 1 for two empty sets.
#[inline]
pub fn jaccard(overlap: usize, size_a: usize, size_b: usize) -> f64 {
    let union = size_a + size_b - overlap;
    if union == 0 { 1.0 } else { overlap as f64 / union as f64 }
}

/// The smallest overlap at which sets of these sizes reach the threshold.
#[inline]
pub fn overlap_needed(size_a: usize, size_b: usize, threshold: f64) -> usize {
    let total = (size_a + size_b) as f64;
    let mut needed = (threshold / (1.0 + threshold) * total).ceil() as usize;
    // Rounding may be off by one in either direction: let the exact test decide.
    let possible = size_a.min(size_b);
    while needed > 0 && needed - 1 <= possible && reaches(needed - 1, size_a, size_b, threshold) {
        needed -= 1;
    }
    while needed <= possible && !reaches(needed, size_a, size_b, threshold) {
        needed += 1;
    }
    needed
}

#[cfg(test)]
mod tests {
    use super::super::vocabulary::encode;
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    fn units(tokens: &[u32]) -> Vec<u16> {
        let mut out = Vec::new();
        tokens.iter().for_each(|&token| encode(token, &mut out));
        out
    }

    fn truth(tokens: &[u32], n: usize) -> HashSet<Vec<u32>> {
        if tokens.len() < n {
            return tokens.iter().next().map(|_| tokens.to_vec()).into_iter().collect();
        }
        tokens.windows(n).map(<[u32]>::to_vec).collect()
    }

    proptest! {
        #[test]
        fn sets_and_overlaps_are_those_of_plain_windows(
            a in prop::collection::vec(0u32..6, 0..40),
            b in prop::collection::vec(0u32..6, 0..40),
            n in 1usize..6,
        ) {
            let mut shingler = Shingler::new(n);
            shingler.load(&units(&a));
            let (set_a, set_b) = (truth(&a, n), truth(&b, n));
            prop_assert_eq!(shingler.items().len(), set_a.len());
            let items = shingler.items().to_vec();
            shingler.list(&units(&a), set_a.len());
            prop_assert_eq!(shingler.items(), items);
            shingler.load(&units(&a));
            let common = set_a.intersection(&set_b).count();
            prop_assert_eq!(shingler.overlap(&units(&b), 0), Some(common));
            prop_assert_eq!(shingler.overlap(&units(&b), common), Some(common));
            prop_assert_eq!(shingler.overlap(&units(&b), common + 1), None);
        }

        #[test]
        fn needed_overlap_is_the_smallest(a in 0usize..200, b in 0usize..200, t in 0.05f64..=1.0) {
            let needed = overlap_needed(a, b, t);
            if needed <= a.min(b) {
                prop_assert!(reaches(needed, a, b, t));
            }
            for less in 0..needed.min(a.min(b) + 1) {
                prop_assert!(!reaches(less, a, b, t));
            }
        }
    }
}
