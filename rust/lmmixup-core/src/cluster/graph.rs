//! Our method: fill along the nearest-neighbour graph, then improve by local search.

use rayon::prelude::*;

use super::fill::{Neighbours, Plan, fill};
use super::kmeans::gather;
use super::local::{Effort, Sizes, improve};
use super::partition::{FREE, Partition};
use super::settle::settle;
use super::vectors::Vectors;
use super::{Clusters, Limits, Random};
use crate::knn::{self, BlocksOptions};
use crate::threads::with_threads;
use crate::{Progress, Result};

/// Neighbours that each leftover record looks for among the leftovers.
const LEFTOVER_NEIGHBOURS: usize = 16;
/// Up to so many leftovers are placed by looking at all of them.
const FEW: usize = 256;

/// Which sizes the clusters get.
#[derive(Debug, Clone, Copy)]
pub enum SizeRule<'a> {
    /// Only the bounds bind; the number of clusters is `round(N / mean)`, or the nearest possible.
    Mean(f64),
    /// Exactly these sizes, e.g. from [`super::Bounds::draw`]. They must sum to N, or less: the rest is left over.
    Given(&'a [u32]),
}

/// Options of [`cluster`].
#[derive(Debug, Clone, Copy)]
pub struct Options<'a> {
    /// What every cluster must keep to.
    pub limits: Limits<'a>,
    /// Which sizes.
    pub sizes: SizeRule<'a>,
    /// Leave the smallest number of records over where N cannot be split, instead of an error.
    pub allow_leftover: bool,
    /// Decides between records of equal density.
    pub seed: u64,
    /// Most rounds of local search.
    pub max_rounds: usize,
    /// 0: one thread per core.
    pub num_threads: usize,
}

/// Clusters records along their nearest-neighbour graph.
///
/// `near` has a row for each record. Without `min_similarity` and `max_cluster_tokens` every record ends
/// in a cluster. O(N · K · D) time, N · (K + 8) + clusters · D numbers of memory.
///
/// # Errors
/// [`crate::Error::Infeasible`] where N cannot be split; [`crate::Error::Argument`] for shapes and
/// ranges; [`crate::Error::Interrupted`].
pub fn cluster(
    vectors: Vectors<'_>,
    near: Neighbours<'_>,
    options: &Options<'_>,
    progress: &Progress,
) -> Result<Clusters> {
    near.check(vectors.len())?;
    options.limits.check(vectors.len())?;
    with_threads(options.num_threads, || run(vectors, near, options, progress))
}

fn run(
    vectors: Vectors<'_>,
    near: Neighbours<'_>,
    options: &Options<'_>,
    progress: &Progress,
) -> Result<Clusters> {
    let mut partition = Partition::new(vectors, options.limits);
    let usable = partition.bar_too_long();
    let mut plan = make_plan(usable, options)?;
    fill_all(&mut partition, &mut plan, near, options.seed, progress)?;
    partition.refresh_all(progress)?;
    settle(&mut partition, near, progress)?;
    let sizes = match options.sizes {
        SizeRule::Mean(_) => Sizes::Free,
        SizeRule::Given(_) => Sizes::Kept,
    };
    let effort = Effort { max_rounds: options.max_rounds, tolerance: 2e-5 };
    improve(&mut partition, near, sizes, effort, progress)?;
    settle(&mut partition, near, progress)?;
    let fates = partition.fates();
    Ok(Clusters::numbered(partition.labels, fates))
}

fn make_plan(usable: usize, options: &Options<'_>) -> Result<Plan> {
    let bounds = options.limits.bounds;
    match options.sizes {
        SizeRule::Mean(mean) => {
            let allow = options.allow_leftover || options.limits.restrict();
            let records = bounds.plan(usable, allow)?;
            Ok(Plan::Bounds { bounds, records, clusters: bounds.num_clusters(records, mean) })
        }
        SizeRule::Given(sizes) => {
            bounds
                .check_given(sizes, if options.limits.restrict() { usize::MAX } else { usable })?;
            let mut counts = vec![0; bounds.max() + 1];
            sizes.iter().for_each(|size| counts[*size as usize] += 1);
            Ok(Plan::Sizes(counts))
        }
    }
}

fn fill_all(
    partition: &mut Partition<'_>,
    plan: &mut Plan,
    near: Neighbours<'_>,
    seed: u64,
    progress: &Progress,
) -> Result<()> {
    let count = partition.labels.len();
    progress.start("fill clusters", count as u64);
    let everyone: Vec<u32> = (0..count as u32).collect();
    let order = by_density(near, partition.limits.bounds.max(), seed);
    fill(partition, plan, &everyone, near, &order, false, progress)?;
    let mut stuck = false;
    loop {
        let free: Vec<u32> =
            everyone.iter().copied().filter(|r| partition.labels[*r as usize] == FREE).collect();
        if free.is_empty() || plan.size(1).is_none() {
            return Ok(());
        }
        let k = if free.len() <= FEW { free.len() - 1 } else { LEFTOVER_NEIGHBOURS };
        let k = k.max(2 * partition.limits.bounds.max()).min(free.len() - 1);
        let rows = gather(partition.vectors, &free);
        let (dim, threads) = (partition.vectors.dim(), rayon::current_num_threads());
        // exact for fewer than some thousands, by cells beyond
        let found = knn::blocks(&rows, dim, k, BlocksOptions::default(), threads, progress)?;
        let (indices, similarities) = (&found.indices, &found.similarities);
        let near = Neighbours { indices, similarities, k };
        progress.start("fill leftovers", free.len() as u64);
        let order = by_density(near, partition.limits.bounds.max(), seed);
        let all = stuck && !partition.limits.restrict();
        let made = fill(partition, plan, &free, near, &order, all, progress)?;
        if made == 0 && (stuck || partition.limits.restrict()) {
            return Ok(());
        }
        stuck = made == 0;
    }
}

/// Rows by the mean similarity of their nearest `max − 1` neighbours, densest first.
fn by_density(near: Neighbours<'_>, max: usize, seed: u64) -> Vec<u32> {
    let reach = max.saturating_sub(1).clamp(1, 8);
    let density: Vec<f32> = (0..near.num_rows())
        .into_par_iter()
        .map(|row| near.of(row).take(reach).map(|(_, similarity)| similarity).sum())
        .collect();
    let mut order = Random::new(seed, 1).permutation(near.num_rows());
    // stable: equal densities stay in their random order
    order.par_sort_by(|a, b| density[*b as usize].total_cmp(&density[*a as usize]));
    order
}
