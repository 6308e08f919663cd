//! Vectors as codes of 8 bits, with a proved bound on what that changes.
//!
//! All rows are rotated alike first, which changes no product but spreads a few large values over
//! all places, so that the steps are small. A row `x` of length 1 becomes `step · q` with integers |q| ≤ 127; `error` is ‖x − step · q‖.
//! For two rows, |x·y − step_x step_y (q_x·q_y)| ≤ error_x + error_y (1 + error_x): Cauchy and
//! Schwarz. So integer products, four times as fast as single precision, can tell which pairs
//! cannot be among the nearest, and only the rest is computed in single precision.
//!
//! What is rounded is u = 127 x / max |x|, and u − q is exact in single precision: both are whole
//! multiples of u's last bit. `step` · u differs from x by four roundings, no more.

use rayon::prelude::*;

use super::kernels::{GROUP, Kernels, PANEL, TILE_ROWS};
use super::rotation::rotate;
use super::vectors::{Vectors, inverse_length};
use crate::Result;

/// What single precision may add to a similarity of rows of `dim` values: 28 steps of two rotations
/// and 4 roundings to a step, twice, and a sum in 16 lanes or more, each rounded by 2⁻²⁴ at most.
fn rounding(dim: usize) -> f32 {
    5e-6 + dim as f32 * 4e-9
}

/// Codes of a row that are packed at a time: a line of the processor's cache.
const LINE: usize = 64;

/// Row-major codes.
pub(super) struct Codes {
    /// Codes of a row: the dimension rounded up to a multiple of 4.
    pub(super) depth: usize,
    codes: Vec<i8>,
    /// Quantisation step of each row; 0 for a zero row.
    pub(super) steps: Vec<f32>,
    /// 128 × the sum of each row's codes: what the offset of a panel adds to its products.
    pub(super) offsets: Vec<i32>,
    /// ‖x − step · q‖ of each row.
    pub(super) errors: Vec<f32>,
    /// What single precision may add to a similarity.
    rounding: f32,
}

impl Codes {
    /// Codes of all rows, on the current rayon pool.
    pub(super) fn new(vectors: &Vectors<'_>) -> Self {
        Self::of(vectors, vectors.len(), |at| at)
    }

    /// Codes of some rows in this order, on the current rayon pool.
    pub(super) fn of_rows(vectors: &Vectors<'_>, rows: &[u32]) -> Self {
        Self::of(vectors, rows.len(), |at| rows[at] as usize)
    }

    fn of(vectors: &Vectors<'_>, len: usize, row: impl Fn(usize) -> usize + Sync) -> Self {
        let depth = vectors.dim().next_multiple_of(GROUP);
        let mut codes = vec![0_i8; len * depth];
        let parts: Vec<(f32, i32, f32)> = codes
            .par_chunks_exact_mut(depth)
            .enumerate()
            .map_init(Vec::new, |rotated, (at, codes)| {
                let row = row(at);
                encode(vectors.row(row), vectors.inverse_length(row), rotated, codes)
            })
            .collect();
        Self {
            depth,
            codes,
            steps: parts.iter().map(|part| part.0).collect(),
            offsets: parts.iter().map(|part| part.1).collect(),
            errors: parts.iter().map(|part| part.2).collect(),
            rounding: rounding(vectors.dim()),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.steps.len()
    }

    pub(super) fn row(&self, row: usize) -> &[i8] {
        &self.codes[row * self.depth..(row + 1) * self.depth]
    }

    /// The approximate similarity of two rows; the bits of the tiles.
    #[inline]
    pub(super) fn similarity(&self, row: u32, other: u32) -> f32 {
        let (row, other) = (row as usize, other as usize);
        let product = Kernels::best().dot_i8(self.row(row), self.row(other));
        product as f32 * (self.steps[row] * self.steps[other])
    }

    /// The rows from `first` on for one tile; the last one stands in for rows beyond the end.
    pub(super) fn tile_rows(&self, first: usize) -> [&[i8]; TILE_ROWS] {
        std::array::from_fn(|at| self.row((first + at).min(self.len() - 1)))
    }

    /// The two parts of what the similarity of a row with a column is wrong by at most: times the
    /// column's error, and beside it.
    pub(super) fn wrong(&self, row: usize) -> (f32, f32) {
        (1.0 + self.errors[row], self.errors[row] + self.rounding)
    }

    /// For each row the most by which its similarity with any row can be wrong whose own error is
    /// at most `worst`.
    pub(super) fn bounds(&self, worst: f32) -> impl Iterator<Item = f32> {
        let rounding = self.rounding;
        self.errors.iter().map(move |error| error + worst * (1.0 + error) + rounding)
    }

    /// The most by which the similarity of a row can be wrong with a row that has the error `other`.
    #[inline]
    pub(super) fn bound(&self, row: usize, other: f32) -> f32 {
        let error = self.errors[row];
        error + other * (1.0 + error) + self.rounding
    }

    /// The greatest error of a row.
    pub(super) fn worst_error(&self) -> f32 {
        self.errors.iter().copied().fold(0.0, f32::max)
    }

    /// Some rows in this order, as codes of their own.
    pub(super) fn gather(&self, rows: &[u32]) -> Self {
        let pick = |from: &[f32]| rows.iter().map(|&row| from[row as usize]).collect();
        let mut codes = Vec::with_capacity(rows.len() * self.depth);
        rows.iter().for_each(|&row| codes.extend_from_slice(self.row(row as usize)));
        Self {
            depth: self.depth,
            codes,
            steps: pick(&self.steps),
            offsets: rows.iter().map(|&row| self.offsets[row as usize]).collect(),
            errors: pick(&self.errors),
            rounding: self.rounding,
        }
    }
}

/// Step, offset and error of a row; its codes go to `codes`, zeros beyond its end. `rotated` is room
/// that is used again for the next row.
fn encode(
    row: &[f32],
    inverse_length: f32,
    rotated: &mut Vec<f32>,
    codes: &mut [i8],
) -> (f32, i32, f32) {
    if inverse_length == 0.0 || inverse_length.is_nan() {
        codes.fill(0);
        return (0.0, 0, 0.0);
    }
    rotated.clear();
    rotated.extend_from_slice(row);
    rotate(rotated);
    let (codes, beyond) = codes.split_at_mut(row.len());
    beyond.fill(0);
    let encoded = Kernels::best().encode(rotated, codes);
    let step = encoded.largest / 127.0 * inverse_length;
    // 16 sums, each rounded D / 16 times by 2⁻²⁴ at most; a root halves what its square is wrong by.
    let rounding = 1.0 + 1e-5 + row.len() as f32 * 2e-9;
    (step, 128 * encoded.sum, step * encoded.square_error.sqrt() * rounding)
}

/// Asks for a row that is needed next, so that it comes while others are computed.
fn prefetch(row: &[f32]) {
    #[cfg(target_arch = "x86_64")]
    for line in row.chunks(LINE / size_of::<f32>()) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: every processor of this kind has the instruction, which changes nothing.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(line.as_ptr().cast()) }
    }
}

/// Codes as columns: panels of 64, group after group, with 128 added to make them unsigned.
pub(super) struct Panels {
    depth: usize,
    bytes: Vec<u8>,
    steps: Vec<[f32; PANEL]>,
    errors: Vec<[f32; PANEL]>,
}

impl Panels {
    /// Packs all rows of `codes`, on the current rayon pool.
    pub(super) fn new(codes: &Codes) -> Self {
        let (depth, len) = (codes.depth, codes.len());
        let mut bytes = vec![0; len.next_multiple_of(PANEL) * depth];
        bytes
            .par_chunks_exact_mut(PANEL * depth)
            .zip(codes.codes.par_chunks(PANEL * depth))
            .for_each(|(bytes, codes)| pack(codes, depth, bytes));
        let steps = codes.steps.chunks(PANEL).map(|chunk| padded(chunk, f32::NAN)).collect();
        let errors = codes.errors.chunks(PANEL).map(|chunk| padded(chunk, 0.0)).collect();
        Self { depth, bytes, steps, errors }
    }

    /// Measures, codes and packs rows of `dim` values, the first of which has the number `first` in
    /// its pool, on the current rayon pool. Reads each row once.
    ///
    /// # Errors
    /// As [`Vectors::measured`].
    pub(super) fn of(data: &[f32], dim: usize, first: usize) -> Result<(Vectors<'_>, Self)> {
        let (depth, len) = (dim.next_multiple_of(GROUP), data.len() / dim);
        let mut bytes = vec![0; len.next_multiple_of(PANEL) * depth];
        let mut inverse_lengths = vec![0.0; len];
        let (steps, errors) = bytes
            .par_chunks_exact_mut(PANEL * depth)
            .zip(data.par_chunks(PANEL * dim))
            .zip(inverse_lengths.par_chunks_mut(PANEL))
            .map_init(
                || (Vec::new(), vec![0; PANEL * depth]),
                |(rotated, codes), ((bytes, rows), inverse_lengths)| {
                    let (mut steps, mut errors) = ([f32::NAN; PANEL], [0.0; PANEL]);
                    let codes = &mut codes[..inverse_lengths.len() * depth];
                    for (at, codes) in codes.chunks_exact_mut(depth).enumerate() {
                        let (row, rest) = rows[at * dim..].split_at(dim);
                        inverse_lengths[at] = inverse_length(row);
                        prefetch(&rest[..dim.min(rest.len())]);
                        (steps[at], _, errors[at]) =
                            encode(row, inverse_lengths[at], rotated, codes);
                    }
                    pack(codes, depth, bytes);
                    (steps, errors)
                },
            )
            .unzip();
        let vectors = Vectors::measured(data, dim, inverse_lengths, first)?;
        Ok((vectors, Self { depth, bytes, steps, errors }))
    }

    /// Number of panels.
    pub(super) fn len(&self) -> usize {
        self.steps.len()
    }

    /// The codes of one panel.
    pub(super) fn bytes(&self, panel: usize) -> &[u8] {
        &self.bytes[panel * PANEL * self.depth..(panel + 1) * PANEL * self.depth]
    }

    /// The quantisation steps of one panel; NaN beyond the last column.
    pub(super) fn steps(&self, panel: usize) -> &[f32; PANEL] {
        &self.steps[panel]
    }

    /// The errors of one panel.
    pub(super) fn errors(&self, panel: usize) -> &[f32; PANEL] {
        &self.errors[panel]
    }
}

/// Packs the row-major codes of one panel; columns beyond the last are zeros.
fn pack(codes: &[i8], depth: usize, bytes: &mut [u8]) {
    if codes.len() < PANEL * depth {
        bytes.fill(128);
    }
    for (line, bytes) in bytes.chunks_mut(PANEL * LINE).enumerate() {
        let (cells, _) = bytes.as_chunks_mut::<GROUP>();
        for (column, codes) in codes.chunks_exact(depth).enumerate() {
            let (groups, _) = codes[line * LINE..].as_chunks::<GROUP>();
            for (cells, group) in cells.chunks_exact_mut(PANEL).zip(groups) {
                cells[column] = group.map(|code| code as u8 ^ 128);
            }
        }
    }
}

fn padded(values: &[f32], rest: f32) -> [f32; PANEL] {
    let mut all = [rest; PANEL];
    all[..values.len()].copy_from_slice(values);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panels_are_the_same_with_and_without_codes_in_between() -> Result<()> {
        for (num, dim) in [(0, 3), (1, 1), (64, 8), (65, 33), (200, 130)] {
            let mut data: Vec<f32> =
                (0..num * dim).map(|at| (at * 7919 % 1009) as f32 / 504.0 - 1.0).collect();
            if num > 64 {
                data[64 * dim..65 * dim].fill(0.0);
            }
            let vectors = Vectors::new(&data, dim)?;
            let (apart, (_, direct)) =
                (Panels::new(&Codes::new(&vectors)), Panels::of(&data, dim, 0)?);
            assert_eq!(apart.bytes, direct.bytes);
            assert_eq!(apart.errors, direct.errors);
            let steps = |panels: &Panels| -> Vec<_> {
                panels.steps.iter().flatten().map(|step| step.to_bits()).collect()
            };
            assert_eq!(steps(&apart), steps(&direct));
        }
        Ok(())
    }

    #[test]
    fn the_bound_holds() -> Result<()> {
        let data: Vec<f32> =
            (0..40 * 33).map(|at| ((at * 7919 % 1009) as f32 / 504.0 - 1.0).powi(3)).collect();
        let vectors = Vectors::new(&data, 33)?;
        let codes = Codes::new(&vectors);
        for (row, bound) in codes.bounds(codes.worst_error()).enumerate() {
            for column in 0..40 {
                let product: i32 = codes
                    .row(row)
                    .iter()
                    .zip(codes.row(column))
                    .map(|(&a, &b)| i32::from(a) * i32::from(b))
                    .sum();
                let near = product as f32 * (codes.steps[row] * codes.steps[column]);
                let wrong = (near - vectors.cosine(row, &vectors, column)).abs();
                assert!(wrong <= bound, "{row} {column}: {wrong}, bound {bound}");
                assert!(wrong <= codes.bound(row, codes.errors[column]));
            }
        }
        Ok(())
    }
}
