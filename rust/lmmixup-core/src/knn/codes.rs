//! Vectors as codes of 8 bits, with a proved bound on what that changes.
//!
//! All rows are rotated alike first, which changes no product but spreads a few large values over
//! all places, so that the steps are small. A row `x` of length 1 becomes `step · q` with integers |q| ≤ 127; `error` is ‖x − step · q‖.
//! For two rows, |x·y − step_x step_y (q_x·q_y)| ≤ error_x + error_y (1 + error_x): Cauchy and
//! Schwarz. So integer products, four times as fast as single precision, can tell which pairs
//! cannot be among the nearest, and only the rest is computed in single precision.

use rayon::prelude::*;

use super::kernels::{GROUP, Kernels, PANEL, TILE_ROWS};
use super::rotation::rotate;
use super::vectors::{LANES, Vectors};

/// What single-precision rounding may add to a similarity, with room to spare.
const ROUNDING: f32 = 4e-6;

/// Added to a value below 2²², it leaves no room for a fraction: the sum is rounded to a whole
/// number, ties to even, which then stands in its lowest bits.
const WHOLE: f32 = 12_582_912.0;

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
            .map_init(Vec::new, |rotated, (at, codes)| encode_row(vectors, row(at), rotated, codes))
            .collect();
        Self {
            depth,
            codes,
            steps: parts.iter().map(|part| part.0).collect(),
            offsets: parts.iter().map(|part| part.1).collect(),
            errors: parts.iter().map(|part| part.2).collect(),
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
        (1.0 + self.errors[row], self.errors[row] + ROUNDING)
    }

    /// For each row the most by which its similarity with any row can be wrong whose own error is
    /// at most `worst`.
    pub(super) fn bounds(&self, worst: f32) -> impl Iterator<Item = f32> {
        self.errors.iter().map(move |error| error + worst * (1.0 + error) + ROUNDING)
    }

    /// The most by which the similarity of a row can be wrong with a row that has the error `other`.
    #[inline]
    pub(super) fn bound(&self, row: usize, other: f32) -> f32 {
        let error = self.errors[row];
        error + other * (1.0 + error) + ROUNDING
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
        }
    }
}

/// [`encode`] of one of the rows, rotated in a room that is used again for the next.
fn encode_row(
    vectors: &Vectors<'_>,
    row: usize,
    rotated: &mut Vec<f32>,
    codes: &mut [i8],
) -> (f32, i32, f32) {
    rotated.clear();
    rotated.extend_from_slice(vectors.row(row));
    rotate(rotated);
    encode(rotated, vectors.inverse_length(row), codes)
}

/// Step, offset and error of a row; its codes go to `codes`.
pub(super) fn encode(row: &[f32], inverse_length: f32, codes: &mut [i8]) -> (f32, i32, f32) {
    let step = largest(row) * inverse_length / 127.0;
    if step == 0.0 {
        codes.fill(0);
        return (0.0, 0, 0.0);
    }
    let (mut sums, mut errors) = ([0_i32; LANES], [0.0_f64; LANES]);
    for (values, codes) in row.chunks(LANES).zip(codes.chunks_mut(LANES)) {
        for (at, (code, value)) in codes.iter_mut().zip(values).enumerate() {
            let value = value * inverse_length;
            let whole = value / step + WHOLE;
            *code = whole.to_bits().wrapping_sub(WHOLE.to_bits()) as i8;
            let wrong = f64::from(value) - f64::from(step) * f64::from(whole - WHOLE);
            sums[at] += i32::from(*code);
            errors[at] += wrong * wrong;
        }
    }
    let error = errors.iter().sum::<f64>().sqrt() as f32 * 1.000_01;
    (step, 128 * sums.iter().sum::<i32>(), error)
}

/// The largest value, whatever its sign.
fn largest(row: &[f32]) -> f32 {
    let mut largest = [0.0_f32; LANES];
    for values in row.chunks(LANES) {
        for (largest, value) in largest.iter_mut().zip(values) {
            *largest = if value.abs() > *largest { value.abs() } else { *largest };
        }
    }
    largest.into_iter().fold(0.0, f32::max)
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

    /// Codes and packs all rows of `vectors`, panel by panel, on the current rayon pool.
    pub(super) fn of(vectors: &Vectors<'_>) -> Self {
        let (depth, len) = (vectors.dim().next_multiple_of(GROUP), vectors.len());
        let mut bytes = vec![0; len.next_multiple_of(PANEL) * depth];
        let (steps, errors) = bytes
            .par_chunks_exact_mut(PANEL * depth)
            .enumerate()
            .map_init(
                || (Vec::new(), vec![0; PANEL * depth]),
                |(rotated, codes), (panel, bytes)| {
                    let (mut steps, mut errors) = ([f32::NAN; PANEL], [0.0; PANEL]);
                    let rows = panel * PANEL..len.min((panel + 1) * PANEL);
                    let codes = &mut codes[..rows.len() * depth];
                    for ((at, row), codes) in rows.enumerate().zip(codes.chunks_exact_mut(depth)) {
                        (steps[at], _, errors[at]) = encode_row(vectors, row, rotated, codes);
                    }
                    pack(codes, depth, bytes);
                    (steps, errors)
                },
            )
            .unzip();
        Self { depth, bytes, steps, errors }
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
    use crate::Result;

    #[test]
    fn panels_are_the_same_with_and_without_codes_in_between() -> Result<()> {
        for (num, dim) in [(0, 3), (1, 1), (64, 8), (65, 33), (200, 130)] {
            let mut data: Vec<f32> =
                (0..num * dim).map(|at| (at * 7919 % 1009) as f32 / 504.0 - 1.0).collect();
            if num > 64 {
                data[64 * dim..65 * dim].fill(0.0);
            }
            let vectors = Vectors::new(&data, dim)?;
            let (apart, direct) = (Panels::new(&Codes::new(&vectors)), Panels::of(&vectors));
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
