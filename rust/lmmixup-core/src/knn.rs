//! Nearest neighbours by cosine: `exact`, `blocks`, and libraries that are built once.

use rayon::prelude::*;

mod codes;
mod exact;
mod kernels;
mod pairs;
mod topk;
mod vectors;

pub use vectors::Vectors;

use crate::threads::with_threads;
use crate::{Error, Progress, Result};
use topk::Entry;

/// The k nearest of each query, row-major `(Q, k)`.
#[derive(Debug, Clone, PartialEq)]
pub struct Neighbours {
    /// Neighbours asked for.
    pub k: usize,
    /// Indices into the pool, nearest first, ties by lower index; −1 where there are fewer than k.
    pub indices: Vec<i32>,
    /// Their cosines; 0 where there is no neighbour.
    pub similarities: Vec<f32>,
}

impl Neighbours {
    fn none(num_queries: usize, k: usize) -> Self {
        let len = num_queries * k;
        Self { k, indices: vec![-1; len], similarities: vec![0.0; len] }
    }

    /// The rows of consecutive queries, `len` at a time.
    fn par_blocks(&mut self, len: usize) -> impl IndexedParallelIterator<Item = Rows<'_>> {
        let k = self.k;
        self.indices
            .par_chunks_mut(len * k)
            .zip(self.similarities.par_chunks_mut(len * k))
            .map(move |(indices, similarities)| Rows { k, indices, similarities })
    }
}

/// Where the neighbours of some consecutive queries go.
struct Rows<'a> {
    k: usize,
    indices: &'a mut [i32],
    similarities: &'a mut [f32],
}

impl Rows<'_> {
    fn len(&self) -> usize {
        self.indices.len() / self.k
    }

    fn write(&mut self, row: usize, best: &[Entry]) {
        for (at, entry) in best.iter().enumerate() {
            self.indices[row * self.k + at] = entry.index() as i32;
            self.similarities[row * self.k + at] = entry.similarity();
        }
    }
}

/// The `k` nearest rows of `pool` by cosine, for each query, or for each row of the pool itself.
///
/// Without `queries` a row is never its own neighbour. Agrees with single-precision NumPy to 1e-5;
/// the same bits at any number of threads (0: all). Time O(Q · N · D), half of it without queries;
/// memory beside the input and the result: N · D / 2 bytes of codes, and 32 · k bytes a query.
///
/// # Errors
/// [`Error::Argument`] where `k` is 0; [`Error::Data`] as [`Vectors::new`] says, or where the
/// queries have another dimension; [`Error::Interrupted`].
pub fn exact(
    pool: &[f32],
    queries: Option<&[f32]>,
    dim: usize,
    k: usize,
    num_threads: usize,
    progress: &Progress,
) -> Result<Neighbours> {
    check_k(k)?;
    with_threads(num_threads, || {
        let pool = Vectors::new(pool, dim)?;
        match queries {
            None => exact::of_pool(&pool, k, progress),
            Some(queries) => exact::of_queries(&pool, &Vectors::new(queries, dim)?, k, progress),
        }
    })
}

fn check_k(k: usize) -> Result<()> {
    match k {
        0 => Err(Error::Argument("k must be at least 1, got 0".into())),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn random(count: usize, seed: u64) -> Vec<f32> {
        let mut state = seed;
        (0..count)
            .map(|_| {
                state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                (state >> 40) as f32 / (1 << 23) as f32 - 1.0
            })
            .collect()
    }

    fn truth(pool: &Vectors<'_>, queries: &Vectors<'_>, itself: bool, k: usize) -> Neighbours {
        let mut found = Neighbours::none(queries.len(), k);
        for row in 0..queries.len() {
            let mut all: Vec<Entry> = (0..pool.len())
                .filter(|&column| !(itself && column == row))
                .map(|column| Entry::new(queries.cosine(row, pool, column), column as u32))
                .collect();
            all.sort_unstable_by(|a, b| b.cmp(a));
            for (at, entry) in all.into_iter().take(k).enumerate() {
                found.indices[row * k + at] = entry.index() as i32;
                found.similarities[row * k + at] = entry.similarity();
            }
        }
        found
    }

    #[test]
    fn exact_is_brute_force_at_any_number_of_threads() -> Result<()> {
        let progress = Progress::default();
        for (num, dim, k) in [(1, 3, 2), (2, 8, 1), (65, 5, 70), (700, 16, 9), (1300, 20, 33)] {
            let mut data = random(num * dim, num as u64);
            if num > 60 {
                data[7 * dim..8 * dim].fill(0.0);
                let copy = data[3 * dim..4 * dim].to_vec();
                for row in 10..60 {
                    data[row * dim..(row + 1) * dim].copy_from_slice(&copy);
                }
            }
            let vectors = Vectors::new(&data, dim)?;
            let expected = truth(&vectors, &vectors, true, k);
            for threads in [1, 2, 7] {
                assert_eq!(exact(&data, None, dim, k, threads, &progress)?, expected);
            }
            let asked = random(40 * dim, 5);
            let expected = truth(&vectors, &Vectors::new(&asked, dim)?, false, k);
            for threads in [1, 2, 7] {
                assert_eq!(exact(&data, Some(&asked), dim, k, threads, &progress)?, expected);
            }
        }
        Ok(())
    }

    #[test]
    fn nothing_is_found_in_nothing() -> Result<()> {
        let progress = Progress::default();
        assert_eq!(exact(&[], None, 4, 3, 1, &progress)?, Neighbours::none(0, 3));
        assert_eq!(exact(&[], Some(&[1.0; 4]), 4, 3, 1, &progress)?, Neighbours::none(1, 3));
        assert!(matches!(exact(&[], None, 4, 0, 1, &progress), Err(Error::Argument(_))));
        Ok(())
    }

    #[test]
    fn cancelling_stops() {
        let progress = Progress::default();
        progress.cancel();
        let data = random(100 * 4, 1);
        assert!(matches!(exact(&data, None, 4, 3, 1, &progress), Err(Error::Interrupted)));
    }
}
