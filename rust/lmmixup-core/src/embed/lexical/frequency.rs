//! How many records have a word: a count-min sketch of fixed size.

/// log2 of the number of lines.
const LINE_BITS: u32 = 17;
/// Counters of one of the two rows of a line.
const ROW: usize = 8;

/// Counters that one hash may touch: a cache line, so that a word costs one trip to memory.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Line([[u32; ROW]; 2]);

/// Counts of hashes in 2^17 lines of two rows of 8 counters (8 MiB).
///
/// A count is never too small. It is too large only where a word shares its counter in
/// *both* rows; with a million distinct words a rare one then counts as a slightly less
/// rare one, which moves its weight by a few per cent. Sketches add up in any order to
/// the same counts.
#[derive(Clone)]
pub struct Frequency {
    lines: Vec<Line>,
}

impl std::fmt::Debug for Frequency {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Frequency").finish_non_exhaustive()
    }
}

impl Default for Frequency {
    fn default() -> Self {
        Self { lines: vec![Line([[0; ROW]; 2]); 1 << LINE_BITS] }
    }
}

impl Frequency {
    /// Counts one record more for a (mixed, 64-bit) hash.
    #[inline]
    pub fn add(&mut self, hash: u64) {
        let Line(rows) = &mut self.lines[line(hash)];
        for (row, place) in rows.iter_mut().zip(places(hash)) {
            row[place] = row[place].saturating_add(1);
        }
    }

    /// How many records have the hash; at least the truth.
    #[inline]
    pub fn get(&self, hash: u64) -> u32 {
        let Line([first, second]) = &self.lines[line(hash)];
        let [a, b] = places(hash);
        first[a].min(second[b])
    }

    /// Adds the counts of another sketch.
    pub fn merge(&mut self, other: &Self) {
        let counts = self.lines.iter_mut().flat_map(|line| line.0.as_flattened_mut());
        for (count, more) in counts.zip(other.counts()) {
            *count = count.saturating_add(more);
        }
    }

    /// The counters, little-endian, line by line.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.counts().flat_map(u32::to_le_bytes).collect()
    }

    fn counts(&self) -> impl Iterator<Item = u32> {
        self.lines.iter().flat_map(|line| line.0.as_flattened()).copied()
    }
}

#[inline]
fn line(hash: u64) -> usize {
    (hash >> (64 - LINE_BITS)) as usize
}

/// The counter of each row.
#[inline]
fn places(hash: u64) -> [usize; 2] {
    [hash as usize % ROW, hash as usize / ROW % ROW]
}
