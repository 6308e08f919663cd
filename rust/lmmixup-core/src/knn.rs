//! Nearest neighbours by cosine: `exact`, `blocks` for a whole large pool, and an [`Index`] for a
//! library that is built once and asked often.

mod above;
mod blocks;
mod cells;
mod codes;
mod exact;
mod index;
mod kernels;
mod neighbours;
mod pairs;
mod prepared;
mod queries;
mod refine;
mod rotation;
mod topk;
mod vectors;

pub(crate) use above::Above;
pub use above::PairRecall;
pub use blocks::BlocksOptions;
pub use index::{Index, IndexOptions, Storage};
pub use neighbours::Neighbours;
pub use prepared::Prepared;
pub use vectors::Vectors;

use crate::threads::with_threads;
use crate::{Error, Progress, Result};
use neighbours::Rows;

/// The `k` nearest rows of `pool` by cosine, for each query, or for each row of the pool itself.
///
/// Without `queries` a row is never its own neighbour. Agrees with single-precision NumPy to 1e-5;
/// the same bits at any number of threads (0: all). Time O(Q · N · D), half of it without queries;
/// memory beside the input and the result: N · D bytes of codes, and 32 · k bytes a query; without the codes up to 4,096 queries.
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
    with_threads(num_threads, || match queries {
        None => exact::of_pool(&Vectors::new(pool, dim)?, k, progress),
        Some(queries) => {
            vectors::check(pool, dim)?;
            queries::of_queries(pool, &Vectors::new(queries, dim)?, k, progress)
        }
    })
}

/// The `k` nearest others of each row of `pool`, among those that share a coarse cell with it and
/// the neighbours of its neighbours.
///
/// Approximate: [`recall`] measures how many it finds. For pools of hundreds of thousands of rows;
/// one that fits into a few cells is searched exactly. The same bits at any number of threads for
/// a seed. Time about O(N · cell_size · overlap · D) in 8-bit products; memory beside input and
/// result: N · (D + 12 k + 8 · overlap + 160) bytes.
///
/// # Errors
/// As [`exact`], and [`Error::Argument`] where an option is 0.
pub fn blocks(
    pool: &[f32],
    dim: usize,
    k: usize,
    options: BlocksOptions,
    num_threads: usize,
    progress: &Progress,
) -> Result<Neighbours> {
    check_k(k)?;
    if options.cell_size == 0 || options.overlap == 0 {
        return Err(Error::Argument("cell_size and overlap must be at least 1, got 0".into()));
    }
    with_threads(num_threads, || blocks::of_pool(&Vectors::new(pool, dim)?, k, options, progress))
}

/// Share of the true neighbours among `similarities` `(N, k)`, as [`blocks`] found them, over a
/// seeded sample of `sample` rows, and how many rows that were.
///
/// Counts what was found as near as the true k-th: ties have no right order here.
/// Time O(sample · N · D).
///
/// # Errors
/// As [`exact`]; [`Error::Argument`] where `similarities` are not of this pool.
#[expect(clippy::too_many_arguments)]
pub fn recall(
    pool: &[f32],
    dim: usize,
    similarities: &[f32],
    k: usize,
    sample: usize,
    seed: u64,
    num_threads: usize,
    progress: &Progress,
) -> Result<(f64, usize)> {
    check_k(k)?;
    with_threads(num_threads, || {
        let pool = Vectors::new(pool, dim)?;
        if similarities.len() != pool.len() * k {
            return Err(Error::Argument("the neighbours are not those of this pool".into()));
        }
        let rows = cells::draw(pool.len(), sample, seed);
        let wanted = k.min(pool.len().saturating_sub(1));
        let truth = queries::of_rows(&pool, &rows, k, progress)?;
        let hits: usize = rows
            .iter()
            .zip(truth.similarities.chunks_exact(k))
            .filter_map(|(&row, near)| {
                let last = near[..wanted].last()?;
                let found = &similarities[row as usize * k..][..wanted];
                Some(found.iter().filter(|&near| near >= last).count())
            })
            .sum();
        let all = rows.len() * wanted;
        Ok((if all == 0 { 1.0 } else { hits as f64 / all as f64 }, rows.len()))
    })
}

/// The instruction set that neighbour search uses on this machine.
pub fn instruction_set() -> &'static str {
    kernels::Kernels::best().name
}

fn check_k(k: usize) -> Result<()> {
    match k {
        0 => Err(Error::Argument("k must be at least 1, got 0".into())),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::topk::Entry;
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
    fn blocks_find_most_and_do_not_depend_on_threads() -> Result<()> {
        let progress = Progress::default();
        let (num, dim, k) = (3000, 16, 10);
        let mut data = random(num * dim, 3);
        data[..dim].fill(0.0);
        let options = BlocksOptions { cell_size: 400, overlap: 2, seed: 1 };
        let one = blocks(&data, dim, k, options, 1, &progress)?;
        for threads in [2, 7] {
            assert_eq!(blocks(&data, dim, k, options, threads, &progress)?, one);
        }
        let (share, sample) = recall(&data, dim, &one.similarities, k, 500, 0, 0, &progress)?;
        assert!(share > 0.9 && sample == 500, "{share}");
        assert_eq!(one.indices[..k], [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
        let exact = exact(&data, None, dim, k, 0, &progress)?;
        assert_eq!(recall(&data, dim, &exact.similarities, k, 500, 0, 0, &progress)?.0, 1.0);
        assert!(share < 1.0, "the options make it approximate");
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
