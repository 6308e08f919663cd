//! Mini-batch k-means on the sphere: centres of unit length, by cosine.

use super::Random;
use super::vectors::{Vectors, normalise};
use crate::{Progress, Result, knn};

/// Records in a batch are at least this many, and at least a quarter of the centres.
const BATCH: usize = 4096;

/// Finds `k` centres (`k` × D numbers, rows of length 1 or 0) by mini-batch k-means.
///
/// Starts from `k` random records; each batch of a random order moves the centres towards the
/// running mean of what they got, with a learning rate of 1 / count. `epochs` passes over the
/// records. `1 <= k <= N`. O(epochs · N · k · D) time, O(batch · D + k · D) memory beside the
/// input. Deterministic for a seed at any number of threads.
///
/// # Errors
/// [`crate::Error::Interrupted`].
pub fn centres(
    vectors: Vectors<'_>,
    k: usize,
    epochs: usize,
    seed: u64,
    progress: &Progress,
) -> Result<Vec<f32>> {
    let (count, dim) = (vectors.len(), vectors.dim());
    let mut random = Random::new(seed, 2);
    let first = random.permutation(count);
    let mut means: Vec<f32> = gather(vectors, &first[..k]);
    let mut counts = vec![1_u32; k];
    let mut centres = unit_rows(&means, dim);
    progress.start("k-means", (epochs * count) as u64);
    for _ in 0..epochs {
        let order = random.permutation(count);
        for batch in order.chunks(BATCH.max(k / 4)) {
            let rows = gather(vectors, batch);
            let rows = Vectors::new(&rows, dim)?;
            let labels = nearest(rows, Vectors::new(&centres, dim)?, 1, progress)?.indices;
            for (row, label) in labels.iter().enumerate() {
                let label = *label as usize;
                counts[label] += 1;
                let rate = 1.0 / counts[label] as f32;
                let mean = &mut means[label * dim..(label + 1) * dim];
                for (mean, x) in mean.iter_mut().zip(rows.row(row)) {
                    *mean += rate * (x - *mean);
                }
            }
            centres = unit_rows(&means, dim);
        }
    }
    Ok(centres)
}

/// The `k` nearest centres of each record, on as many threads as the current pool has.
///
/// # Errors
/// [`crate::Error::Interrupted`].
pub(super) fn nearest(
    records: Vectors<'_>,
    centres: Vectors<'_>,
    k: usize,
    progress: &Progress,
) -> Result<knn::Neighbours> {
    let (records, dim) = (Some(records.data()), records.dim());
    knn::exact(centres.data(), records, dim, k, rayon::current_num_threads(), progress)
}

/// Copies rows into one matrix.
pub fn gather(vectors: Vectors<'_>, rows: &[u32]) -> Vec<f32> {
    let mut out = Vec::with_capacity(rows.len() * vectors.dim());
    rows.iter().for_each(|row| out.extend_from_slice(vectors.row(*row as usize)));
    out
}

fn unit_rows(means: &[f32], dim: usize) -> Vec<f32> {
    let mut centres = means.to_vec();
    centres.chunks_exact_mut(dim).for_each(normalise);
    centres
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn separates_what_is_separate() {
        // three directions, 40 records each, a little spread
        let mut data = Vec::new();
        for i in 0..120_usize {
            let mut row = [0.0_f32; 8];
            row[i % 3] = 1.0;
            row[3 + i % 5] = 0.1;
            normalise(&mut row);
            data.extend(row);
        }
        let vectors = Vectors::new(&data, 8).unwrap();
        let progress = Progress::default();
        let centres = centres(vectors, 12, 4, 1, &progress).unwrap();
        let found = nearest(vectors, Vectors::new(&centres, 8).unwrap(), 1, &progress).unwrap();
        let (labels, products) = (found.indices, found.similarities);
        assert!(products.iter().all(|p| *p > 0.9));
        for (i, label) in labels.iter().enumerate() {
            let axis = |c: i32| {
                (0..3).max_by(|a, b| {
                    let at = |axis: &usize| centres[c as usize * 8 + axis];
                    at(a).total_cmp(&at(b))
                })
            };
            assert_eq!(axis(*label), Some(i % 3));
        }
    }
}
