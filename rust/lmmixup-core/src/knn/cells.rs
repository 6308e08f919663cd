//! Coarse cells: centroids by a few rounds of spherical k-means on a sample, and each row's best.

use rayon::prelude::*;

use super::codes::{Codes, Panels};
use super::pairs::{BLOCK, Block, Pairs, Tiles};
use super::topk::Entry;
use super::vectors::Vectors;
use crate::{Progress, Result};

/// Rows of the sample that the centroids learn from, for each centroid.
const SAMPLE_PER_CELL: usize = 32;
/// Rounds of k-means; more change no recall that can be measured.
const NUM_ROUNDS: usize = 4;

/// Members of each cell as CSR, rows ascending; a row is in up to `overlap` cells.
pub(super) struct Cells {
    starts: Vec<usize>,
    members: Vec<u32>,
}

impl Cells {
    /// Makes `num` cells and puts each row that is not zero into its best `overlap`.
    ///
    /// Time O(N · num · D) in 8-bit products. A function of rows and seed alone.
    pub(super) fn new(
        vectors: &Vectors<'_>,
        codes: &Codes,
        num: usize,
        overlap: usize,
        seed: u64,
        progress: &Progress,
    ) -> Result<Self> {
        let best = best_cells(vectors, codes, num, overlap, seed, progress)?;
        Ok(Self::group(&best, overlap, num))
    }

    /// The same, and an order of all rows in which those of one best cell stand side by side, so
    /// that near ones are near in memory: members are places in that order.
    pub(super) fn ordered(
        vectors: &Vectors<'_>,
        codes: &Codes,
        num: usize,
        overlap: usize,
        seed: u64,
        progress: &Progress,
    ) -> Result<(Self, Vec<u32>)> {
        let best = best_cells(vectors, codes, num, overlap, seed, progress)?;
        let first: Vec<u32> = best.iter().copied().step_by(overlap).collect();
        let mut order = Self::group(&first, 1, num).members;
        // Zero rows are in no cell.
        order.extend((0..first.len() as u32).filter(|&row| first[row as usize] == u32::MAX));
        let of = |row: &u32| &best[*row as usize * overlap..][..overlap];
        let best: Vec<u32> = order.iter().flat_map(of).copied().collect();
        Ok((Self::group(&best, overlap, num), order))
    }

    pub(super) fn len(&self) -> usize {
        self.starts.len() - 1
    }

    pub(super) fn members(&self, cell: usize) -> &[u32] {
        &self.members[self.starts[cell]..self.starts[cell + 1]]
    }

    /// Turns `overlap` cells a row (`u32::MAX`: none) into rows a cell, by counting.
    fn group(best: &[u32], overlap: usize, num: usize) -> Self {
        let mut starts = vec![0; num + 1];
        for &cell in best.iter().filter(|&&cell| cell != u32::MAX) {
            starts[cell as usize + 1] += 1;
        }
        for cell in 0..num {
            starts[cell + 1] += starts[cell];
        }
        let mut next = starts.clone();
        let mut members = vec![0; starts[num]];
        for (at, &cell) in best.iter().enumerate().filter(|&(_, &cell)| cell != u32::MAX) {
            members[next[cell as usize]] = (at / overlap) as u32;
            next[cell as usize] += 1;
        }
        Self { starts, members }
    }
}

/// The best `overlap` of `num` cells for each row; `u32::MAX` where there are fewer.
fn best_cells(
    vectors: &Vectors<'_>,
    codes: &Codes,
    num: usize,
    overlap: usize,
    seed: u64,
    progress: &Progress,
) -> Result<Vec<u32>> {
    let rows = draw(vectors.len(), num * SAMPLE_PER_CELL, seed);
    let mut centroids = start(vectors, &rows, num);
    let sample = codes.gather(&rows);
    progress.start("cells", (rows.len() * NUM_ROUNDS + vectors.len()) as u64);
    for _ in 0..NUM_ROUNDS {
        let best = assign(&sample, &centroids, vectors.dim(), 1, progress)?;
        move_to_means(&mut centroids, vectors, &rows, &Cells::group(&best, 1, num));
    }
    assign(codes, &centroids, vectors.dim(), overlap, progress)
}

/// `num` different rows out of `len` in the order of a seeded hash; all of them where `num ≥ len`.
pub(super) fn draw(len: usize, num: usize, seed: u64) -> Vec<u32> {
    let mut keys: Vec<(u64, u32)> =
        (0..len as u32).into_par_iter().map(|row| (mix(u64::from(row), seed), row)).collect();
    if num < len {
        keys.select_nth_unstable(num);
        keys.truncate(num);
    }
    keys.sort_unstable();
    keys.into_iter().map(|(_, row)| row).collect()
}

/// A number that looks random and is a function of both (the finaliser of SplitMix64).
fn mix(value: u64, seed: u64) -> u64 {
    let mut z = value.wrapping_add(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15)).wrapping_add(seed | 1);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// The first `num` rows of the sample that are not zero (repeated where there are fewer).
fn start(vectors: &Vectors<'_>, rows: &[u32], num: usize) -> Vec<f32> {
    let rows = rows.iter().map(|&row| row as usize);
    let whole: Vec<usize> = rows.filter(|&row| vectors.inverse_length(row) > 0.0).collect();
    let chosen = whole.iter().cycle().take(if whole.is_empty() { 0 } else { num });
    let mut centroids: Vec<f32> = chosen
        .flat_map(|&row| vectors.row(row).iter().map(move |v| v * vectors.inverse_length(row)))
        .collect();
    centroids.resize(num * vectors.dim(), 0.0);
    centroids
}

/// The best `overlap` cells of each row; `u32::MAX` where there are fewer.
fn assign(
    codes: &Codes,
    centroids: &[f32],
    dim: usize,
    overlap: usize,
    progress: &Progress,
) -> Result<Vec<u32>> {
    let (_, panels) = Panels::of(centroids, dim, 0)?;
    // Approximate similarities are good enough to choose a cell by.
    let (tiles, margins) = (Tiles { codes, panels: &panels }, vec![0.0; codes.len()]);
    let judge = |_, cell, similarity, _| Some(Entry::new(similarity, cell as u32));
    let pairs = Pairs { tiles, margins: &margins, judge };
    let mut best = vec![u32::MAX; codes.len() * overlap];
    best.par_chunks_mut(BLOCK * overlap).enumerate().try_for_each(|(at, best)| {
        let len = best.len() / overlap;
        let mut block = Block::new(at * BLOCK, len, overlap, codes);
        for panel in 0..panels.len() {
            pairs.one_side(&mut block, panel, false);
        }
        for (row, best) in best.chunks_exact_mut(overlap).enumerate() {
            let mut entries = block.nearest.row(row).to_vec();
            entries.sort_unstable_by(|a, b| b.cmp(a));
            best.iter_mut().zip(&entries).for_each(|(cell, entry)| *cell = entry.index());
        }
        progress.advance(len as u64)
    })?;
    Ok(best)
}

/// Moves each centroid to the mean of its members; one without members stays.
fn move_to_means(centroids: &mut [f32], vectors: &Vectors<'_>, rows: &[u32], cells: &Cells) {
    centroids.par_chunks_exact_mut(vectors.dim()).enumerate().for_each(|(cell, centroid)| {
        let members = cells.members(cell);
        if members.is_empty() {
            return;
        }
        centroid.fill(0.0);
        for &member in members {
            let row = rows[member as usize] as usize;
            let scale = vectors.inverse_length(row) / members.len() as f32;
            for (sum, value) in centroid.iter_mut().zip(vectors.row(row)) {
                *sum += value * scale;
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_different_rows_by_seed() {
        let rows = draw(1000, 100, 7);
        let mut sorted = rows.clone();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(sorted.len(), 100);
        assert_eq!(rows, draw(1000, 100, 7));
        assert_ne!(rows, draw(1000, 100, 8));
        assert_eq!(draw(5, 100, 7).len(), 5);
    }

    #[test]
    fn groups_rows_by_cell() {
        let cells = Cells::group(&[1, 0, 1, u32::MAX, 0, 1], 2, 3);
        assert_eq!(cells.members(0), [0, 2]);
        assert_eq!(cells.members(1), [0, 1, 2]);
        assert!(cells.members(2).is_empty());
    }
}
