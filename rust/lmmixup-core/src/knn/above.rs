//! All pairs of rows at a cosine of at least t, as far as they connect.
//!
//! Integer products sort out what cannot reach t, single precision most of what is left, and
//! double precision, in one order of adding on every machine, decides. Pairs that are connected
//! already are skipped: a family of n equals costs n comparisons, not n².

use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;

use super::blocks::BlocksOptions;
use super::cells::{Cells, draw};
use super::codes::{Codes, Panels};
use super::kernels::{Kernels, PANEL};
use super::pairs::{BLOCK, Tiles};
use super::vectors::Vectors;
use crate::families::Components;
use crate::{Progress, Result};

const PANELS_A_BLOCK: usize = BLOCK / PANEL;
/// Lanes of `f64` sums; fixed, so that every machine adds in the same order.
const LANES: usize = 8;

/// How many of the pairs that a sample of vectors has were connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PairRecall {
    /// Vectors in the sample.
    pub num_sampled: usize,
    /// Pairs at the threshold of these with any other vector, by comparison with all.
    pub num_pairs: usize,
    /// Those of them that are in one family.
    pub num_connected: usize,
}

/// Vectors whose pairs at a threshold are wanted.
pub(crate) struct Above<'a> {
    vectors: &'a Vectors<'a>,
    /// Squared length of each row.
    squares: Vec<f64>,
    threshold: f64,
    /// The most by which a cosine in single precision can be wrong: 16 lanes or more add up.
    rounding: f64,
}

impl<'a> Above<'a> {
    /// Measures every row, on the current rayon pool.
    pub(crate) fn new(vectors: &'a Vectors<'a>, threshold: f64) -> Self {
        let row = |row| vectors.row(row);
        let squares = (0..vectors.len()).into_par_iter().map(|at| dot(row(at), row(at))).collect();
        let rounding = 2e-6 + vectors.dim() as f64 * f64::from(f32::EPSILON) / 8.0;
        Self { vectors, squares, threshold, rounding }
    }

    /// Number of rows.
    pub(crate) fn len(&self) -> usize {
        self.squares.len()
    }

    /// Cosine of two rows in double precision, within a few units of the last place; exactly 1
    /// for equal rows, 0 where one is a zero row. The same bits both ways and on every machine.
    pub(crate) fn cosine(&self, a: usize, b: usize) -> f64 {
        if self.vectors.inverse_length(a) == 0.0 || self.vectors.inverse_length(b) == 0.0 {
            return 0.0;
        }
        let product = dot(self.vectors.row(a), self.vectors.row(b));
        (product / (self.squares[a] * self.squares[b]).sqrt()).clamp(-1.0, 1.0)
    }

    /// The cosine of two rows where it is at least `least`.
    pub(crate) fn at_least(&self, a: usize, b: usize, least: f64) -> Option<f64> {
        if f64::from(self.vectors.cosine(a, self.vectors, b)) < least - self.rounding {
            return None;
        }
        Some(self.cosine(a, b)).filter(|&cosine| cosine >= least)
    }

    /// The first of the rows with the same values, for each row; a zero row is alone.
    pub(crate) fn representatives(&self) -> Vec<u32> {
        let mut order: Vec<(u64, u32)> = (0..self.len())
            .into_par_iter()
            .map(|row| (print(self.vectors.row(row)), row as u32))
            .collect();
        order.par_sort_unstable();
        let mut representative: Vec<u32> = (0..self.len() as u32).collect();
        for same in order.chunk_by(|a, b| a.0 == b.0) {
            let first = self.vectors.row(same[0].1 as usize);
            for &(_, row) in same {
                let is_zero = self.vectors.inverse_length(row as usize) == 0.0;
                if !is_zero && self.vectors.row(row as usize) == first {
                    representative[row as usize] = same[0].1;
                }
            }
        }
        representative
    }

    /// Connects all pairs of `rows` at the threshold, but for those of the first `num_frozen`.
    ///
    /// O(R² · D / 2) in 8-bit products, R · D bytes of codes.
    pub(crate) fn connect_all(
        &self,
        rows: &[u32],
        num_frozen: usize,
        components: &Components,
        progress: &Progress,
    ) -> Result<()> {
        let codes = Codes::of_rows(self.vectors, rows);
        let sieve = Sieve::new(&codes, &codes, self.threshold);
        let num_blocks = rows.len().div_ceil(BLOCK);
        progress.start("compare all pairs", (num_blocks * (num_blocks + 1) / 2) as u64);
        (0..num_blocks).into_par_iter().with_max_len(1).try_for_each(|at| {
            sieve.later(at * BLOCK, progress, |a, b| {
                self.connect(rows[a], rows[b], num_frozen, components);
            })
        })
    }

    /// Connects the pairs of `rows` at the threshold that share a coarse cell.
    pub(crate) fn connect_cells(
        &self,
        rows: &[u32],
        options: BlocksOptions,
        num_frozen: usize,
        components: &Components,
        progress: &Progress,
    ) -> Result<()> {
        let num_cells = (rows.len() * options.overlap).div_ceil(options.cell_size);
        if num_cells <= options.overlap {
            return self.connect_all(rows, num_frozen, components, progress);
        }
        let codes = Codes::new(self.vectors);
        let (overlap, seed) = (options.overlap, options.seed);
        let cells = Cells::new(self.vectors, &codes, num_cells, overlap, seed, progress)?;
        let member = |row: &u32| rows.binary_search(row).is_ok();
        let mut order: Vec<Vec<u32>> = (0..cells.len())
            .into_par_iter()
            .map(|cell| cells.members(cell).iter().copied().filter(member).collect())
            .collect();
        drop(cells);
        // Largest first: threads end together.
        order.sort_by_key(|members| std::cmp::Reverse(members.len()));
        let work = |members: &Vec<u32>| {
            let blocks = members.len().div_ceil(BLOCK);
            blocks * (blocks + 1) / 2
        };
        progress.start("compare pairs of cells", order.iter().map(work).sum::<usize>() as u64);
        order.into_par_iter().with_max_len(1).try_for_each(|members| {
            let codes = codes.gather(&members);
            let sieve = Sieve::new(&codes, &codes, self.threshold);
            (0..members.len()).step_by(BLOCK).try_for_each(|first| {
                sieve.later(first, progress, |a, b| {
                    self.connect(members[a], members[b], num_frozen, components);
                })
            })
        })
    }

    fn connect(&self, a: u32, b: u32, num_frozen: usize, components: &Components) {
        let both_frozen = (a.max(b) as usize) < num_frozen;
        if !both_frozen
            && !components.same(a, b)
            && self.at_least(a as usize, b as usize, self.threshold).is_some()
        {
            components.unite(a, b);
        }
    }

    /// What share of pairs is connected, on a seeded sample of `rows` against all of them.
    pub(crate) fn recall(
        &self,
        rows: &[u32],
        sample: usize,
        seed: u64,
        components: &Components,
        progress: &Progress,
    ) -> Result<PairRecall> {
        let drawn = draw(rows.len(), sample, seed);
        let codes = Codes::of_rows(self.vectors, rows);
        let sampled = codes.gather(&drawn);
        let sieve = Sieve::new(&sampled, &codes, self.threshold);
        let (num_pairs, num_connected) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let count = |a: usize, b: usize| {
            let (a, b) = (rows[drawn[a] as usize], rows[b]);
            if a != b && self.at_least(a as usize, b as usize, self.threshold).is_some() {
                num_pairs.fetch_add(1, Ordering::Relaxed);
                num_connected.fetch_add(components.same(a, b).into(), Ordering::Relaxed);
            }
        };
        progress.start("measure the recall", sieve.panels.len() as u64);
        (0..sieve.panels.len()).into_par_iter().try_for_each(|panel| {
            for first in (0..drawn.len()).step_by(BLOCK) {
                sieve.panel(first, BLOCK.min(drawn.len() - first), panel, count);
            }
            progress.advance(1)
        })?;
        Ok(PairRecall {
            num_sampled: drawn.len(),
            num_pairs: num_pairs.into_inner(),
            num_connected: num_connected.into_inner(),
        })
    }
}

/// Rows and columns, and what the products of a pair must reach to be worth a closer look.
struct Sieve<'a> {
    rows: &'a Codes,
    columns: &'a Codes,
    panels: Panels,
    threshold: f32,
    row_floors: Vec<f32>,
    column_floors: Vec<[f32; PANEL]>,
}

impl<'a> Sieve<'a> {
    fn new(rows: &'a Codes, columns: &'a Codes, threshold: f64) -> Self {
        let threshold = threshold as f32;
        let row_floors =
            rows.bounds(columns.worst_error()).map(|bound| threshold - bound).collect();
        let floors: Vec<f32> =
            columns.bounds(rows.worst_error()).map(|bound| threshold - bound).collect();
        let column_floors = floors
            .chunks(PANEL)
            .map(|floors| {
                std::array::from_fn(|at| floors.get(at).copied().unwrap_or(f32::INFINITY))
            })
            .collect();
        Self { rows, columns, panels: Panels::new(columns), threshold, row_floors, column_floors }
    }

    /// Calls `found(row, column)` for the pairs of rows `first..first + len` and the columns of a
    /// panel that the error bound does not rule out.
    #[inline(always)]
    fn panel(&self, first: usize, len: usize, panel: usize, mut found: impl FnMut(usize, usize)) {
        let tiles = Tiles { codes: self.rows, panels: &self.panels };
        let mut similarities = [0.0; PANEL];
        tiles.multiply(first, len, panel, |row, products| {
            let floors = &self.column_floors[panel];
            let band = tiles.band(row, panel, self.row_floors[row], floors);
            let (by_row, by_column) = Kernels::best().filter(products, &band, &mut similarities);
            let mut passed = by_row & by_column;
            while passed != 0 {
                let at = passed.trailing_zeros() as usize;
                passed &= passed - 1;
                let column = panel * PANEL + at;
                let bound = self.rows.bound(row, self.columns.errors[column]);
                if similarities[at] >= self.threshold - bound {
                    found(row, column);
                }
            }
        });
    }

    /// Calls `found(a, b)` with a < b for the rows of the block from `first` on and all later ones,
    /// where rows and columns are the same.
    fn later(
        &self,
        first: usize,
        progress: &Progress,
        mut found: impl FnMut(usize, usize),
    ) -> Result<()> {
        let len = BLOCK.min(self.rows.len() - first);
        for panel in first / PANEL..self.panels.len() {
            self.panel(first, len, panel, |a, b| {
                if a < b {
                    found(a, b);
                }
            });
            progress.advance((panel % PANELS_A_BLOCK == 0).into())?;
        }
        Ok(())
    }
}

/// A dot product in double precision.
fn dot(left: &[f32], right: &[f32]) -> f64 {
    let mut sums = [0.0_f64; LANES];
    let (lefts, rights) = (left.chunks_exact(LANES), right.chunks_exact(LANES));
    let rest = lefts.remainder().iter().zip(rights.remainder());
    let rest: f64 = rest.map(|(&a, &b)| f64::from(a) * f64::from(b)).sum();
    for (left, right) in lefts.zip(rights) {
        for at in 0..LANES {
            sums[at] += f64::from(left[at]) * f64::from(right[at]);
        }
    }
    let [a, b, c, d, e, f, g, h] = sums;
    ((a + e) + (c + g)) + ((b + f) + (d + h)) + rest
}

/// A number that equal rows share.
fn print(row: &[f32]) -> u64 {
    row.iter().fold(0, |print: u64, value| {
        (print.rotate_left(23) ^ u64::from(value.to_bits())).wrapping_mul(0x9E37_79B9_7F4A_7C15)
    })
}
