//! How many records have a word: a count-min sketch of fixed size.

/// log2 of the counters of one row.
const ROW_BITS: u32 = 20;
/// Counters of one row.
const ROW: usize = 1 << ROW_BITS;

/// Counts of hashes in two rows of 2^20 counters (8 MiB).
///
/// A count is never too small. It is too large only where a word shares its counter in
/// *both* rows; with a million distinct words a rare one then counts as a slightly less
/// rare one, which moves its weight by a few per cent. Sketches add up in any order to
/// the same counts.
#[derive(Clone)]
pub struct Frequency {
    counts: Vec<u32>,
}

impl std::fmt::Debug for Frequency {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Frequency").finish_non_exhaustive()
    }
}

impl Default for Frequency {
    fn default() -> Self {
        Self { counts: vec![0; 2 * ROW] }
    }
}

impl Frequency {
    /// Counts one record more for a (mixed, 64-bit) hash.
    #[inline]
    pub fn add(&mut self, hash: u64) {
        let (first, second) = slots(hash);
        self.counts[first] = self.counts[first].saturating_add(1);
        self.counts[second] = self.counts[second].saturating_add(1);
    }

    /// How many records have the hash; at least the truth.
    #[inline]
    pub fn get(&self, hash: u64) -> u32 {
        let (first, second) = slots(hash);
        self.counts[first].min(self.counts[second])
    }

    /// Adds the counts of another sketch.
    pub fn merge(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count = count.saturating_add(*more);
        }
    }

    /// The counters, little-endian, first row first.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.counts.iter().flat_map(|count| count.to_le_bytes()).collect()
    }
}

#[inline]
fn slots(hash: u64) -> (usize, usize) {
    let first = (hash >> (64 - ROW_BITS)) as usize;
    let second = (hash as usize & (ROW - 1)) + ROW;
    (first, second)
}
