//! Local search: chains of records that change places between neighbouring clusters.
//!
//! In rounds. Every record looks, in parallel and reading only, at the clusters of its neighbours
//! and proposes the best chain that starts with it; they are then applied best first, judged anew
//! where a cluster has changed in between. The order does not depend on threads, and neither does
//! the result.

use rayon::prelude::*;

mod chain;
mod cover;
mod search;
mod table;

use chain::Chain;
use cover::cover;
use search::Search;
use table::Table;

use super::Bounds;
use super::fill::Neighbours;
use super::partition::Partition;
use crate::{Progress, Result};

/// Gains up to this are rounding.
const LEAST_GAIN: f64 = 1e-4;

/// How cluster sizes may change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sizes {
    /// Freely within the bounds.
    Free,
    /// The multiset of sizes stays: a move needs a cluster one larger than the target.
    Kept,
}

impl Sizes {
    /// Whether a record may go from a cluster of one size to a cluster of another.
    fn allow(self, bounds: Bounds, from: usize, to: usize) -> bool {
        match self {
            Self::Free => from > bounds.min() && to < bounds.max(),
            Self::Kept => from == to + 1,
        }
    }
}

/// When to stop.
#[derive(Debug, Clone, Copy)]
pub struct Effort {
    /// At most so many rounds.
    pub max_rounds: usize,
    /// Stop where a round gains less than this share of the objective.
    pub tolerance: f64,
}

/// How long chains may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Moves and swaps.
    Pairs,
    /// Also chains of three clusters.
    Chains,
}

/// Improves a refreshed partition until no record has a chain that gains, then brings
/// near-duplicates together.
///
/// Moves and swaps for the k-means objective come first: it spreads what fits nowhere more evenly,
/// and ends higher than a start with the mean cosine to the mates, which chains then raise.
/// O(N · K · D) for the first round; later ones look only at clusters that changed. Deterministic
/// at any number of threads.
///
/// # Errors
/// [`crate::Error::Interrupted`].
pub fn improve(
    partition: &mut Partition<'_>,
    near: Neighbours<'_>,
    sizes: Sizes,
    effort: Effort,
    progress: &Progress,
) -> Result<()> {
    if near.k == 0 {
        return Ok(());
    }
    let mut rounds = Rounds::new(partition, near, sizes);
    for (ballast, reach) in [(1.0, Reach::Pairs), (0.0, Reach::Chains)] {
        partition.ballast = ballast;
        rounds.rested.fill(0);
        while (rounds.done as usize) < effort.max_rounds {
            let gained = rounds.run(partition, reach, progress)?;
            if gained <= effort.tolerance * partition.objective().abs() {
                break;
            }
        }
    }
    cover(partition, near, sizes, progress)
}

/// What rounds of the search know of the rounds before.
struct Rounds<'a> {
    near: Neighbours<'a>,
    sizes: Sizes,
    table: Table,
    done: u32,
    /// Last round in which each cluster changed.
    changed: Vec<u32>,
    /// Last round in which each record found no chain.
    rested: Vec<u32>,
}

impl<'a> Rounds<'a> {
    fn new(partition: &Partition<'_>, near: Neighbours<'a>, sizes: Sizes) -> Self {
        let num_records = partition.labels.len();
        Self {
            near,
            sizes,
            table: Table::new(num_records, near.k),
            done: 0,
            changed: vec![0; partition.num_clusters()],
            rested: vec![0; num_records],
        }
    }

    /// Finds the best chain of every record, applies them best first, and gives what they gained.
    fn run(
        &mut self,
        partition: &mut Partition<'_>,
        reach: Reach,
        progress: &Progress,
    ) -> Result<f64> {
        self.done += 1;
        progress.start("improve clusters", partition.labels.len() as u64);
        self.table.update(partition, self.near, &self.changed, self.done, progress)?;
        let (table, sizes, changed) = (&self.table, self.sizes, &self.changed);
        let search = Search { partition, table, sizes, reach, changed };
        let mut chains = search.propose(&mut self.rested, self.done, progress)?;
        chains.par_sort_unstable_by(Chain::order);
        let mut gained = 0.0;
        for (turn, chain) in chains.iter().enumerate() {
            if turn % 1024 == 0 {
                progress.advance(0)?;
            }
            gained += chain.apply(partition, self.sizes, &mut self.changed, self.done);
        }
        Ok(gained)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::cluster::vectors::normalise;
    use crate::cluster::{Limits, Random, Vectors};
    use crate::knn;

    const DIM: usize = 6;
    const K: usize = 8;

    fn unit_vectors(count: usize, seed: u64) -> Vec<f32> {
        let mut random = Random::new(seed, 0);
        let mut data: Vec<f32> = (0..count * DIM).map(|_| random.unit() as f32 - 0.3).collect();
        data.chunks_exact_mut(DIM).for_each(normalise);
        data
    }

    fn sizes_of(partition: &Partition<'_>) -> Vec<usize> {
        let mut sizes: Vec<usize> =
            (0..partition.num_clusters()).map(|cluster| partition.size(cluster)).collect();
        sizes.sort_unstable();
        sizes
    }

    proptest! {
        /// What the rounds say they gained is what the objective gained, to rounding; sizes stay.
        #[test]
        fn rounds_gain_what_they_say(
            count in 6_usize..120, seed in 0_u64..1000, ballast in 0_u8..2, kept in any::<bool>(),
        ) {
            let data = unit_vectors(count, seed);
            let progress = Progress::default();
            let found = knn::exact(&data, None, DIM, K, 1, &progress).map_err(failed)?;
            let near = Neighbours { indices: &found.indices, similarities: &found.similarities, k: K };
            let bounds = Bounds::new(2, 5).map_err(failed)?;
            let limits = Limits { bounds, min_similarity: None, max_cluster_tokens: None };
            let vectors = Vectors::new(&data, DIM).map_err(failed)?;
            let mut partition = Partition::new(vectors, limits);
            let sizes = bounds.draw(count, 3.0, 1.0, &mut Random::new(seed, 1));
            let mut next = 0;
            for size in &sizes {
                let members: Vec<u32> = (next..next + size).collect();
                partition.push(&members);
                next += size;
            }
            partition.refresh_all(&progress).map_err(failed)?;
            partition.ballast = f64::from(ballast);
            let rule = if kept { Sizes::Kept } else { Sizes::Free };
            let sizes = sizes_of(&partition);
            let mut rounds = Rounds::new(&partition, near, rule);
            for reach in [Reach::Pairs, Reach::Pairs, Reach::Chains, Reach::Chains] {
                let before = partition.objective();
                let gained = rounds.run(&mut partition, reach, &progress).map_err(failed)?;
                prop_assert!(gained >= 0.0);
                let truly = partition.objective() - before;
                prop_assert!((gained - truly).abs() < 1e-3, "{gained} is {truly}");
                let now = sizes_of(&partition);
                prop_assert_eq!(now.iter().sum::<usize>(), count);
                prop_assert!(now.iter().all(|size| (2..=5).contains(size)));
                prop_assert!(!kept || now == sizes);
            }
        }
    }

    fn failed(error: crate::Error) -> TestCaseError {
        TestCaseError::fail(error.to_string())
    }
}
