//! The vectors of a pool: borrowed rows, checked once, with their inverse lengths.

use rayon::prelude::*;

use super::kernels::Kernels;
use crate::{Error, Result};

/// Rows longer than this would overflow a single-precision dot product.
const LONGEST: f64 = 1e15;
/// Rows shorter than this count as zero: their direction is rounding noise.
const SHORTEST: f64 = 1e-15;

/// Row-major single-precision vectors `(N, D)`, borrowed, all finite.
///
/// They need not have length 1: similarities are cosines. A zero row is allowed (a record
/// without text) and has cosine 0 with everything.
pub struct Vectors<'a> {
    data: &'a [f32],
    dim: usize,
    inverse_lengths: Vec<f32>,
}

impl<'a> Vectors<'a> {
    /// Looks at `data`, of `dim` values a row, and measures every row.
    ///
    /// Costs one pass; four bytes a row are stored. Runs on the current rayon pool.
    ///
    /// # Errors
    /// [`Error::Data`] where `dim` is 0 or does not divide the data, where there are more than
    /// 2³¹ − 1 rows, or where a row has NaN, an infinity or a length over 10¹⁵; it names the row.
    pub fn new(data: &'a [f32], dim: usize) -> Result<Self> {
        check(data, dim)?;
        let inverse_lengths = data.par_chunks_exact(dim).map(inverse_length).collect();
        Self::measured(data, dim, inverse_lengths, 0)
    }

    /// Rows that [`check`] has seen and whose inverse lengths were measured elsewhere; `first` is the
    /// number of the first in its pool.
    ///
    /// # Errors
    /// [`Error::Data`] where [`inverse_length`] could not measure a row.
    pub(super) fn measured(
        data: &'a [f32],
        dim: usize,
        inverse_lengths: Vec<f32>,
        first: usize,
    ) -> Result<Self> {
        match inverse_lengths.iter().position(|inverse| inverse.is_nan()) {
            Some(row) => Err(describe(first + row, &data[row * dim..(row + 1) * dim])),
            None => Ok(Self { data, dim, inverse_lengths }),
        }
    }
    /// One over the length of each row.
    pub(super) fn into_inverse_lengths(self) -> Vec<f32> {
        self.inverse_lengths
    }

    /// The rows, one after the other, as they were given.
    pub(super) fn data(&self) -> &'a [f32] {
        self.data
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.inverse_lengths.len()
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.inverse_lengths.is_empty()
    }

    /// Values in a row.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// One row as it was given.
    pub fn row(&self, row: usize) -> &'a [f32] {
        &self.data[row * self.dim..(row + 1) * self.dim]
    }

    /// One over the length of a row; 0 for a zero row.
    pub fn inverse_length(&self, row: usize) -> f32 {
        self.inverse_lengths[row]
    }

    /// Cosine of one row with a row of `other`; the same bits the other way round.
    #[inline]
    pub(super) fn cosine(&self, row: usize, other: &Self, column: usize) -> f32 {
        let scale = self.inverse_lengths[row] * other.inverse_lengths[column];
        if scale == 0.0 {
            return 0.0;
        }
        Kernels::best().dot(self.row(row), other.row(column)) * scale
    }
}

/// Whether `data` can be rows of `dim` values.
///
/// # Errors
/// [`Error::Data`] where `dim` is 0 or does not divide the data, or where there are too many rows.
pub(super) fn check(data: &[f32], dim: usize) -> Result<()> {
    if dim == 0 || !data.len().is_multiple_of(dim) {
        return Err(Error::Data(format!(
            "vectors must have the same number (≥ 1) of values in every row, got {} values and \
             dimension {dim}",
            data.len()
        )));
    }
    if data.len() / dim > i32::MAX as usize {
        return Err(Error::Data(format!(
            "expected at most {} vectors, got {}; cluster the pool in parts",
            i32::MAX,
            data.len() / dim
        )));
    }
    Ok(())
}

/// NaN for a row that cannot be used.
pub(super) fn inverse_length(row: &[f32]) -> f32 {
    let length = Kernels::best().square_length(row).sqrt();
    if length.is_nan() || length > LONGEST {
        f32::NAN
    } else if length < SHORTEST {
        0.0
    } else {
        (1.0 / length) as f32
    }
}

fn describe(row: usize, values: &[f32]) -> Error {
    let message = match values.iter().position(|value| !value.is_finite()) {
        Some(column) => format!(
            "vectors must be finite, got {} in row {row}, column {column}; a record without text \
             has a row of zeros",
            values[column]
        ),
        None => format!("vectors must be no longer than 1e15, row {row} is longer; normalise them"),
    };
    Error::Data(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_row_that_is_not_finite() {
        let data = [0.0, 1.0, 2.0, f32::NAN, 0.0, 0.0];
        let error = Vectors::new(&data, 2).err().map(|error| error.to_string());
        assert!(error.is_some_and(|text| text.contains("NaN in row 1, column 1")));
        assert!(Vectors::new(&[1e30, 1e30], 2).is_err());
        assert!(Vectors::new(&[1.0; 5], 2).is_err());
        assert!(Vectors::new(&[], 0).is_err());
    }

    #[test]
    fn a_zero_row_has_cosine_zero() -> Result<()> {
        let data = [0.0, 0.0, 3.0, 4.0, 1e-30, 0.0];
        let vectors = Vectors::new(&data, 2)?;
        assert_eq!(vectors.cosine(0, &vectors, 1), 0.0);
        assert_eq!(vectors.cosine(2, &vectors, 1), 0.0);
        assert!((vectors.cosine(1, &vectors, 1) - 1.0).abs() < 1e-6);
        Ok(())
    }
}
