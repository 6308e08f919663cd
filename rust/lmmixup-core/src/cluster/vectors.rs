//! Records as rows of one flat matrix, and the few vector operations that clustering needs.

use crate::{Error, Result};

/// A borrowed row-major `(num_records, dim)` matrix of finite f32.
#[derive(Debug, Clone, Copy)]
pub struct Vectors<'a> {
    data: &'a [f32],
    dim: usize,
}

impl<'a> Vectors<'a> {
    /// Views `data` as rows of `dim` numbers.
    ///
    /// # Errors
    /// [`Error::Argument`] where `dim` is 0 or does not divide the length; [`Error::Data`] for
    /// NaN or infinite numbers (names the first such row). O(N · D).
    pub fn new(data: &'a [f32], dim: usize) -> Result<Self> {
        if dim == 0 || !data.len().is_multiple_of(dim) {
            return Err(Error::Argument(format!(
                "vectors must be (N, D) with D >= 1, got {} numbers in rows of {dim}",
                data.len()
            )));
        }
        if data.len() / dim > i32::MAX as usize {
            return Err(Error::Argument("more than 2^31 - 1 vectors".into()));
        }
        // a sum of finite |x| <= f32::MAX / dim cannot overflow; a rare false alarm is re-checked
        if let Some(row) =
            data.chunks_exact(dim).position(|row| !row.iter().sum::<f32>().is_finite())
        {
            let row_data = &data[row * dim..(row + 1) * dim];
            if let Some(value) = row_data.iter().find(|x| !x.is_finite()) {
                return Err(Error::Data(format!(
                    "vectors must be finite, got {value} in row {row}; hint: drop that record or embed it again"
                )));
            }
            return Err(Error::Data(format!(
                "vectors must be of length about 1, row {row} overflows"
            )));
        }
        Ok(Self { data, dim })
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.data.len() / self.dim
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.data.is_empty()
    }

    /// Numbers per row.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// One row.
    #[inline]
    pub fn row(&self, index: usize) -> &'a [f32] {
        &self.data[index * self.dim..(index + 1) * self.dim]
    }

    /// All numbers, row after row.
    pub fn data(&self) -> &'a [f32] {
        self.data
    }
}

/// Sums that grow side by side: four registers of AVX-512, eight of AVX2, so that no addition waits
/// for another.
const LANES: usize = 64;

/// Dot product. The order of additions is fixed (64 interleaved sums, no fused multiply-add), so
/// the bits are the same with AVX-512, AVX2 and neither. Slices must be equally long.
#[inline]
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx512f") {
        // SAFETY: AVX-512 was just found on this processor.
        return unsafe { dot_avx512(a, b) };
    }
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") {
        // SAFETY: AVX2 was just found on this processor.
        return unsafe { dot_avx2(a, b) };
    }
    dot_lanes(a, b)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn dot_avx512(a: &[f32], b: &[f32]) -> f32 {
    dot_lanes(a, b)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn dot_avx2(a: &[f32], b: &[f32]) -> f32 {
    dot_lanes(a, b)
}

#[inline(always)]
fn dot_lanes(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0_f32; LANES];
    let (a_chunks, b_chunks) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let (a_rest, b_rest) = (a_chunks.remainder(), b_chunks.remainder());
    for (x, y) in a_chunks.zip(b_chunks) {
        for lane in 0..LANES {
            sums[lane] += x[lane] * y[lane];
        }
    }
    let mut width = LANES / 2;
    while width > 0 {
        for lane in 0..width {
            sums[lane] += sums[lane + width];
        }
        width /= 2;
    }
    a_rest.iter().zip(b_rest).fold(sums[0], |sum, (x, y)| sum + x * y)
}

/// `sum += x`, number by number.
#[inline]
pub fn add_to(sum: &mut [f32], x: &[f32]) {
    for (s, x) in sum.iter_mut().zip(x) {
        *s += x;
    }
}

/// Scales to length 1; a zero vector stays zero.
pub fn normalise(x: &mut [f32]) {
    let length = dot(x, x).sqrt();
    if length > 0.0 {
        x.iter_mut().for_each(|x| *x /= length);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dot_is_the_sum_of_products_and_the_same_bits_on_every_path() {
        for length in [0, 1, 15, 16, 17, 100, 256] {
            let a: Vec<f32> = (0..length).map(|i| (i as f32 * 0.37).sin()).collect();
            let b: Vec<f32> = (0..length).map(|i| (i as f32 * 0.91).cos()).collect();
            let truth: f64 = a.iter().zip(&b).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum();
            assert!((f64::from(dot(&a, &b)) - truth).abs() < 1e-5);
            assert_eq!(dot(&a, &b).to_bits(), dot_lanes(&a, &b).to_bits());
        }
    }

    #[test]
    fn a_broken_row_is_named() {
        let mut data = vec![0.5_f32; 12];
        assert_eq!(Vectors::new(&data, 4).unwrap().len(), 3);
        data[9] = f32::NAN;
        assert!(Vectors::new(&data, 4).unwrap_err().to_string().contains("NaN in row 2"));
        data[9] = f32::INFINITY;
        assert!(Vectors::new(&data, 4).unwrap_err().to_string().contains("inf in row 2"));
        assert!(Vectors::new(&data, 5).is_err() && Vectors::new(&data, 0).is_err());
    }
}
