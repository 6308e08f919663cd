//! Exact nearest rows of a small library, blocked: for leftovers, centres and topics.

use rayon::prelude::*;

use super::vectors::Vectors;
use crate::{Progress, Result};

/// Rows of a block of queries and of the library: the block of products stays in the L2 cache.
const QUERIES: usize = 128;
const LIBRARY: usize = 1024;

/// The `k` rows of `library` with the largest dot products with each query, largest first, ties
/// by lower index. With `skip_same` row i of the library is not an answer to query i.
///
/// Returns `(indices, products)` of `(queries, k)`; −1 where the library has fewer rows.
/// O(Q · L · D) time and O(Q · k) memory; no Q × L matrix.
///
/// # Errors
/// [`crate::Error::Interrupted`].
pub fn nearest(
    queries: Vectors<'_>,
    library: Vectors<'_>,
    k: usize,
    skip_same: bool,
    progress: &Progress,
) -> Result<(Vec<i32>, Vec<f32>)> {
    let mut indices = vec![-1; queries.len() * k];
    let mut products = vec![-1.0; queries.len() * k];
    if k == 0 {
        return Ok((indices, products));
    }
    let dim = queries.dim();
    queries
        .data()
        .par_chunks(QUERIES * dim)
        .zip(indices.par_chunks_mut(QUERIES * k))
        .zip(products.par_chunks_mut(QUERIES * k))
        .enumerate()
        .try_for_each(|(block, ((rows, indices), products))| {
            let first = block * QUERIES;
            let mut best = vec![Best::new(k); rows.len() / dim];
            for (part, others) in library.data().chunks(LIBRARY * dim).enumerate() {
                progress.advance(0)?;
                let scores = multiply(rows, others, dim);
                let width = others.len() / dim;
                for (query, (best, scores)) in best.iter_mut().zip(scores.chunks(width)).enumerate()
                {
                    let own = if skip_same { first + query } else { usize::MAX };
                    best.offer_all(scores, part * LIBRARY, own);
                }
            }
            for (query, best) in best.into_iter().enumerate() {
                for (rank, (product, index)) in best.sorted().into_iter().enumerate() {
                    indices[query * k + rank] = index;
                    products[query * k + rank] = product;
                }
            }
            progress.advance((rows.len() / dim) as u64)
        })?;
    Ok((indices, products))
}

/// All dot products of two blocks of rows, row-major `(a, b)`.
fn multiply(a: &[f32], b: &[f32], dim: usize) -> Vec<f32> {
    let (rows, columns) = (a.len() / dim, b.len() / dim);
    let mut out = vec![0.0; rows * columns];
    let stride = dim as isize;
    // SAFETY: `a` is (rows, dim), `b` read transposed is (dim, columns), and `out` is
    // (rows, columns), each of exactly that many numbers with the strides given.
    unsafe {
        matrixmultiply::sgemm(
            rows,
            dim,
            columns,
            1.0,
            a.as_ptr(),
            stride,
            1,
            b.as_ptr(),
            1,
            stride,
            0.0,
            out.as_mut_ptr(),
            columns as isize,
            1,
        );
    }
    out
}

/// The best `k` seen so far, and a few more until they are sorted out.
#[derive(Clone)]
struct Best {
    k: usize,
    threshold: f32,
    found: Vec<(f32, i32)>,
}

impl Best {
    fn new(k: usize) -> Self {
        Self { k, threshold: f32::NEG_INFINITY, found: Vec::new() }
    }

    /// `scores[j]` belongs to index `first + j`; indices only grow, so a tie is a loss.
    fn offer_all(&mut self, scores: &[f32], first: usize, own: usize) {
        for (offset, &score) in scores.iter().enumerate() {
            if score > self.threshold && first + offset != own {
                self.found.push((score, (first + offset) as i32));
                if self.found.len() >= 2 * self.k + 8 {
                    self.shrink();
                }
            }
        }
    }

    fn shrink(&mut self) {
        if self.found.len() > self.k {
            self.found.select_nth_unstable_by(self.k - 1, larger_first);
            self.found.truncate(self.k);
            self.threshold = self.found[self.k - 1].0;
        }
    }

    fn sorted(mut self) -> Vec<(f32, i32)> {
        self.shrink();
        self.found.sort_unstable_by(larger_first);
        self.found
    }
}

fn larger_first(a: &(f32, i32), b: &(f32, i32)) -> std::cmp::Ordering {
    b.0.total_cmp(&a.0).then(a.1.cmp(&b.1))
}

#[cfg(test)]
mod tests {
    use super::super::vectors::dot;
    use super::*;

    #[test]
    fn finds_what_brute_force_finds() {
        let (count, dim, k) = (300, 24, 7);
        let data: Vec<f32> =
            (0..count * dim).map(|i| ((i * i % 97) as f32 - 48.0) / 48.0).collect();
        let vectors = Vectors::new(&data, dim).unwrap();
        let (indices, products) = nearest(vectors, vectors, k, true, &Progress::default()).unwrap();
        for query in 0..count {
            let mut all: Vec<(f32, i32)> = (0..count)
                .filter(|other| *other != query)
                .map(|other| (dot(vectors.row(query), vectors.row(other)), other as i32))
                .collect();
            all.sort_by(larger_first);
            for rank in 0..k {
                assert!((products[query * k + rank] - all[rank].0).abs() < 1e-4);
                let index = indices[query * k + rank];
                assert!(index >= 0 && index != query as i32);
            }
        }
    }

    #[test]
    fn a_small_library_leaves_places_empty() {
        let data = [1.0, 0.0, 0.0, 1.0];
        let vectors = Vectors::new(&data, 2).unwrap();
        let (indices, _) = nearest(vectors, vectors, 3, true, &Progress::default()).unwrap();
        assert_eq!(indices, [1, -1, -1, 0, -1, -1]);
    }
}
