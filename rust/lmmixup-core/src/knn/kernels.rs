//! The inner loops of neighbour search, one table per instruction set, chosen at run time.
//!
//! * `tile`: integer dot products of [`TILE_ROWS`] rows with [`PANEL`] columns;
//! * `filter`: which of the products of one row pass the thresholds of the row and of the columns;
//! * `dot`: one single-precision dot product, for the few pairs that passed;
//! * `dot_i8`: one integer dot product, for pairs that stand nowhere near each other;
//! * `dot_f16` and `dots_i8`: of two rows that an index stores in 16 or 8 bits;
//! * `square_length`, `hadamard` and `encode`: what makes codes of a row.
//!
//! Integers and codes have the same bits on every instruction set. `dot` and `dot_f16` add up in one fixed
//! order per instruction set, whatever the number of threads, and `dot(a, b)` has the bits of
//! `dot(b, a)`.

use std::sync::OnceLock;

use half::f16;

mod portable;
#[cfg(target_arch = "x86_64")]
mod x86;

/// Rows of a tile: with four registers of columns they fill the 32 registers of AVX-512.
pub(super) const TILE_ROWS: usize = 6;
/// Columns of a packed panel.
pub(super) const PANEL: usize = 64;
/// Codes of a row that stand together in a panel (what one `vpdpbusd` lane multiplies and adds).
pub(super) const GROUP: usize = 4;

/// The integer products of one tile, row after row.
pub(super) type Tile = [[i32; PANEL]; TILE_ROWS];

/// What [`Kernels::filter`] needs to know of one row and the columns of one panel.
pub(super) struct Band<'a> {
    /// What the offset of the panel's codes added to every product of this row.
    pub(super) offset: i32,
    /// The row's quantisation step.
    pub(super) step: f32,
    /// The columns' quantisation steps; NaN where the panel has no column.
    pub(super) steps: &'a [f32; PANEL],
    /// The columns' errors.
    pub(super) errors: &'a [f32; PANEL],
    /// How many times its error is added to a column's similarity.
    pub(super) stretch: f32,
    /// The similarity from which on the row wants to hear of a column.
    pub(super) floor: f32,
    /// The similarities from which on the columns want to hear of the row.
    pub(super) floors: &'a [f32; PANEL],
}

/// What [`Kernels::encode`] made of a row, beside its codes.
#[derive(Debug, PartialEq)]
pub(super) struct Encoded {
    /// The largest value, whatever its sign; its code is 127 or −127.
    pub(super) largest: f32,
    /// Sum of the codes.
    pub(super) sum: i32,
    /// Sum of the squares of what rounding changed, in units of a code.
    pub(super) square_error: f32,
}

type Filter = unsafe fn(&[i32; PANEL], &Band<'_>, &mut [f32; PANEL]) -> (u64, u64);

/// One instruction set's inner loops.
pub(super) struct Kernels {
    /// Its name, for people.
    pub(super) name: &'static str,
    tile: unsafe fn(rows: [*const i8; TILE_ROWS], panel: *const u8, depth: usize, out: &mut Tile),
    filter: Filter,
    dot: unsafe fn(&[f32], &[f32]) -> f32,
    dot_i8: unsafe fn(&[i8], &[i8]) -> i32,
    dot_f16: unsafe fn(&[f16], &[f16]) -> f32,
    dots_i8: unsafe fn(&[i8], &[i8]) -> [i32; 3],
    square_length: unsafe fn(&[f32]) -> f64,
    hadamard: unsafe fn(&mut [f32]),
    encode: unsafe fn(&[f32], &mut [i8]) -> Encoded,
}

impl Kernels {
    /// The best table for this machine, found once.
    pub(super) fn best() -> &'static Self {
        static BEST: OnceLock<&'static Kernels> = OnceLock::new();
        BEST.get_or_init(|| {
            #[cfg(target_arch = "x86_64")]
            if let Some(kernels) = x86::best() {
                return kernels;
            }
            &portable::KERNELS
        })
    }

    /// Every table that this machine can run, best first.
    #[cfg(test)]
    pub(super) fn all() -> Vec<&'static Self> {
        let mut all = Vec::new();
        #[cfg(target_arch = "x86_64")]
        all.extend(x86::all());
        all.push(&portable::KERNELS);
        all
    }

    /// Dot products of signed rows with the offset columns of a panel.
    ///
    /// `rows` are [`TILE_ROWS`] slices of the same length `depth`, a multiple of [`GROUP`];
    /// `panel` has `depth × PANEL` bytes, group after group, column after column.
    #[inline]
    pub(super) fn tile(&self, rows: [&[i8]; TILE_ROWS], panel: &[u8], out: &mut Tile) {
        let depth = rows[0].len();
        assert!(rows.iter().all(|row| row.len() == depth) && depth.is_multiple_of(GROUP));
        assert_eq!(panel.len(), depth * PANEL);
        // SAFETY: the lengths were just checked; the table is only reachable where its
        // instruction set was found.
        unsafe { (self.tile)(rows.map(<[i8]>::as_ptr), panel.as_ptr(), depth, out) }
    }

    /// Approximate similarities of one row with a panel, errors added, and two bit masks: columns that pass the
    /// row's floor, columns whose own floor the row passes.
    #[inline]
    pub(super) fn filter(
        &self,
        products: &[i32; PANEL],
        band: &Band<'_>,
        similarities: &mut [f32; PANEL],
    ) -> (u64, u64) {
        // SAFETY: all arrays have their length in their type; instruction set as above.
        unsafe { (self.filter)(products, band, similarities) }
    }

    /// The dot product of two slices of the same length.
    #[inline]
    pub(super) fn dot(&self, left: &[f32], right: &[f32]) -> f32 {
        assert_eq!(left.len(), right.len());
        // SAFETY: same length; instruction set as above.
        unsafe { (self.dot)(left, right) }
    }

    /// The same of codes.
    #[inline]
    pub(super) fn dot_i8(&self, left: &[i8], right: &[i8]) -> i32 {
        assert_eq!(left.len(), right.len());
        // SAFETY: same length; instruction set as above.
        unsafe { (self.dot_i8)(left, right) }
    }

    /// The same of half-precision values, in single precision.
    #[inline]
    pub(super) fn dot_f16(&self, left: &[f16], right: &[f16]) -> f32 {
        assert_eq!(left.len(), right.len());
        // SAFETY: same length; instruction set as above.
        unsafe { (self.dot_f16)(left, right) }
    }

    /// left·right, left·left and right·right of codes.
    #[inline]
    pub(super) fn dots_i8(&self, left: &[i8], right: &[i8]) -> [i32; 3] {
        assert_eq!(left.len(), right.len());
        // SAFETY: same length; instruction set as above.
        unsafe { (self.dots_i8)(left, right) }
    }

    /// The sum of the squares of a row.
    #[inline]
    pub(super) fn square_length(&self, row: &[f32]) -> f64 {
        // SAFETY: instruction set as above.
        unsafe { (self.square_length)(row) }
    }

    /// The Hadamard transform of a power of two of values, scaled to keep their length.
    #[inline]
    pub(super) fn hadamard(&self, values: &mut [f32]) {
        assert!(values.len().is_power_of_two());
        // SAFETY: the length was just checked; instruction set as above.
        unsafe { (self.hadamard)(values) }
    }

    /// Rounds 127 × the values of a row over the largest to `codes`, as many.
    #[inline]
    pub(super) fn encode(&self, row: &[f32], codes: &mut [i8]) -> Encoded {
        assert_eq!(row.len(), codes.len());
        // SAFETY: same length; instruction set as above.
        unsafe { (self.encode)(row, codes) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes(count: usize, seed: u64) -> Vec<i8> {
        let mut state = seed;
        (0..count)
            .map(|_| {
                state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                ((state >> 33) % 255) as u8 as i8
            })
            .map(|code: i8| code.max(-127))
            .collect()
    }

    #[test]
    fn every_instruction_set_gives_the_same_tile_and_masks() {
        for depth in [64, 128, 320] {
            let rows = codes(depth * TILE_ROWS, 1);
            let panel: Vec<u8> = codes(depth * PANEL, 2).iter().map(|&code| code as u8).collect();
            let rows: [&[i8]; TILE_ROWS] =
                std::array::from_fn(|row| &rows[row * depth..(row + 1) * depth]);
            let mut expected = [[0; PANEL]; TILE_ROWS];
            for (row, products) in expected.iter_mut().enumerate() {
                for (column, product) in products.iter_mut().enumerate() {
                    *product = (0..depth)
                        .map(|at| {
                            let place = at / GROUP * GROUP * PANEL + column * GROUP + at % GROUP;
                            i32::from(rows[row][at]) * i32::from(panel[place])
                        })
                        .sum();
                }
            }
            for kernels in Kernels::all() {
                let mut tile = [[7; PANEL]; TILE_ROWS];
                kernels.tile(rows, &panel, &mut tile);
                assert_eq!(tile, expected, "{} at depth {depth}", kernels.name);
                check_filter(kernels, &expected[0]);
            }
        }
    }

    fn check_filter(kernels: &Kernels, products: &[i32; PANEL]) {
        let steps =
            std::array::from_fn(|at| if at == 63 { f32::NAN } else { 0.001 + at as f32 * 1e-5 });
        let floors = std::array::from_fn(|at| at as f32 - 30.0);
        let errors = std::array::from_fn(|at| at as f32 * 1e-3);
        let band = Band {
            offset: 12345,
            step: 0.002,
            steps: &steps,
            errors: &errors,
            stretch: 1.01,
            floor: -0.5,
            floors: &floors,
        };
        let mut similarities = [0.0; PANEL];
        let (row, column) = kernels.filter(products, &band, &mut similarities);
        for at in 0..PANEL {
            let similarity = (products[at] - band.offset) as f32 * (band.step * steps[at])
                + band.stretch * errors[at];
            assert!(similarity.to_bits() == similarities[at].to_bits() || similarity.is_nan());
            assert_eq!(row >> at & 1 == 1, similarity >= band.floor, "{} {at}", kernels.name);
            assert_eq!(column >> at & 1 == 1, similarity >= floors[at], "{} {at}", kernels.name);
        }
    }

    #[test]
    fn stored_dots_are_those_of_their_values() {
        for length in [0, 1, 7, 16, 33, 256, 300] {
            let (left, right) = (codes(length, 3), codes(length, 4));
            let product = |a: &[i8], b: &[i8]| -> i32 {
                a.iter().zip(b).map(|(&a, &b)| i32::from(a) * i32::from(b)).sum()
            };
            let expected = [product(&left, &right), product(&left, &left), product(&right, &right)];
            let halves = |codes: &[i8]| -> Vec<f16> {
                codes.iter().map(|&code| f16::from_f32(f32::from(code))).collect()
            };
            for kernels in Kernels::all() {
                assert_eq!(kernels.dots_i8(&left, &right), expected, "{}", kernels.name);
                assert_eq!(kernels.dot_i8(&left, &right), expected[0], "{}", kernels.name);
                // Integers below 2^24 are exact in single precision.
                let dot = kernels.dot_f16(&halves(&left), &halves(&right));
                assert_eq!(dot, expected[0] as f32, "{} {length}", kernels.name);
            }
        }
    }

    #[test]
    fn every_instruction_set_makes_the_same_codes() {
        for length in [0, 1, 7, 16, 33, 256, 300] {
            let shape = |code: i8| (f32::from(code) / 77.0).powi(3);
            let row: Vec<f32> = codes(length, 5).into_iter().map(shape).collect();
            let largest = row.iter().fold(0.0_f32, |most, value| most.max(value.abs()));
            let square_length: f64 = row.iter().map(|&value| f64::from(value).powi(2)).sum();
            let coded = |kernels: &Kernels| {
                let mut codes = vec![9; length];
                let encoded = kernels.encode(&row, &mut codes);
                (encoded, codes, kernels.square_length(&row))
            };
            let expected = coded(&portable::KERNELS);
            assert!(Kernels::all().into_iter().all(|kernels| coded(kernels) == expected));
            let (encoded, codes, square) = expected;
            assert!((square - square_length).abs() <= 1e-12 * square_length);
            assert_eq!(encoded.largest, largest);
            assert_eq!(encoded.sum, codes.iter().map(|&code| i32::from(code)).sum::<i32>());
            for (&value, code) in row.iter().zip(codes) {
                assert!((value * 127.0 / largest - f32::from(code)).abs() < 0.500_1);
            }
        }
        let mut codes = [9; 3];
        let nothing = Encoded { largest: 0.0, sum: 0, square_error: 0.0 };
        assert_eq!(portable::KERNELS.encode(&[0.0, -0.0, 0.0], &mut codes), nothing);
        assert_eq!(codes, [0; 3]);
    }

    #[test]
    fn dot_is_right_and_symmetric() {
        for length in [0, 1, 7, 16, 33, 256, 300] {
            let left: Vec<f32> = codes(length, 3).iter().map(|&code| f32::from(code)).collect();
            let right: Vec<f32> = codes(length, 4).iter().map(|&code| f32::from(code)).collect();
            let truth: f64 = left.iter().zip(&right).map(|(a, b)| f64::from(a * b)).sum();
            for kernels in Kernels::all() {
                let dot = kernels.dot(&left, &right);
                assert!((f64::from(dot) - truth).abs() <= 1.0, "{} {length}", kernels.name);
                assert_eq!(dot.to_bits(), kernels.dot(&right, &left).to_bits());
            }
        }
    }
}
