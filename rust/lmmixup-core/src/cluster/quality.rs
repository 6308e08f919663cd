//! How good clusters are: cosines to centroid and mates, what is kept together, sizes.

use rayon::prelude::*;

use super::fill::Neighbours;
use super::vectors::{Vectors, add_to, dot};
use crate::threads::with_threads;
use crate::{Error, Progress, Result};

/// Mean cosine to the cluster mates under which a record counts as junk.
pub const JUNK: f32 = 0.3;
/// Cosine above which a neighbour counts as a near-duplicate.
pub const NEAR_DUPLICATE: f32 = 0.9;

/// Measures of a clustering. Shares and means over nothing are NaN.
#[derive(Debug, Clone, PartialEq)]
pub struct Quality {
    /// Cosine of each record to its cluster's centroid, 1 in a cluster of one; NaN outside.
    pub to_centroid: Vec<f32>,
    /// Mean cosine of each record to its cluster mates; NaN outside and in a cluster of one.
    pub to_mates: Vec<f32>,
    /// Mean pairwise cosine of each cluster; NaN for a cluster of one.
    pub cluster_pair_cosine: Vec<f32>,
    /// Records in each cluster.
    pub sizes: Vec<u32>,
    /// Mean of `to_centroid` over clustered records.
    pub centroid_mean: f64,
    /// Its 10th percentile (linear between neighbours).
    pub centroid_p10: f64,
    /// Mean cosine over all pairs of records that share a cluster.
    pub pair_mean: f64,
    /// Share of clustered records with mates whose mean cosine to them is below [`JUNK`].
    pub junk_share: f64,
    /// Share of clustered records whose nearest neighbour is in their cluster.
    pub nearest_together: f64,
    /// Of the clustered records with a neighbour above [`NEAR_DUPLICATE`], the share that has one
    /// in its cluster.
    pub duplicates_together: f64,
    /// Mean cosine over all pairs of records, clustered or not: what chance gives.
    pub random_pair_mean: f64,
}

/// Measures clusters of unit vectors. O(N · (D · size + K)); deterministic at any number of
/// threads. Without `near`, what needs neighbours is NaN.
///
/// # Errors
/// [`Error::Argument`] where the lengths differ; [`Error::Interrupted`].
pub fn measure(
    vectors: Vectors<'_>,
    labels: &[i32],
    near: Option<Neighbours<'_>>,
    num_threads: usize,
    progress: &Progress,
) -> Result<Quality> {
    if labels.len() != vectors.len() {
        return Err(Error::Argument(format!(
            "expected one label for each of {} vectors, got {}",
            vectors.len(),
            labels.len()
        )));
    }
    if let Some(near) = near {
        near.check(labels.len())?;
    }
    with_threads(num_threads, || {
        progress.start("measure clusters", labels.len() as u64);
        let groups = group(labels);
        let clusters: Vec<Cluster> = groups
            .par_iter()
            .map(|members| {
                progress.advance(members.len() as u64)?;
                Ok(Cluster::new(vectors, members))
            })
            .collect::<Result<_>>()?;
        let mut quality = summarise(vectors, labels, &groups, &clusters);
        if let Some(near) = near {
            quality.together(vectors, labels, near, &groups);
        }
        Ok(quality)
    })
}

fn group(labels: &[i32]) -> Vec<Vec<u32>> {
    let count = labels.iter().copied().max().unwrap_or(-1) + 1;
    let mut groups = vec![Vec::new(); count as usize];
    for (record, label) in labels.iter().enumerate().filter(|(_, label)| **label >= 0) {
        groups[*label as usize].push(record as u32);
    }
    groups
}

struct Cluster {
    /// Cosines to the centroid and mean cosines to mates, in the order of the members.
    to_centroid: Vec<f32>,
    to_mates: Vec<f32>,
    /// Sum of cosines over ordered pairs.
    pairs: f64,
}

impl Cluster {
    fn new(vectors: Vectors<'_>, members: &[u32]) -> Self {
        let row = |record: &u32| vectors.row(*record as usize);
        let mut sum = vec![0.0; vectors.dim()];
        members.iter().for_each(|record| add_to(&mut sum, row(record)));
        let length = dot(&sum, &sum).sqrt();
        let mates = members.len() as f32 - 1.0;
        let (mut to_centroid, mut to_mates) = (Vec::new(), Vec::new());
        let mut pairs = 0.0;
        for record in members {
            let (own, norm) = (dot(row(record), &sum), dot(row(record), row(record)));
            let scale = length * norm.sqrt();
            to_centroid.push(if scale > 0.0 { own / scale } else { 0.0 });
            to_mates.push(if mates > 0.0 { (own - norm) / mates } else { f32::NAN });
            pairs += f64::from(own - norm);
        }
        Self { to_centroid, to_mates, pairs }
    }
}

fn summarise(
    vectors: Vectors<'_>,
    labels: &[i32],
    groups: &[Vec<u32>],
    clusters: &[Cluster],
) -> Quality {
    let mut to_centroid = vec![f32::NAN; labels.len()];
    let mut to_mates = vec![f32::NAN; labels.len()];
    for (members, cluster) in groups.iter().zip(clusters) {
        for (place, record) in members.iter().enumerate() {
            to_centroid[*record as usize] = cluster.to_centroid[place];
            to_mates[*record as usize] = cluster.to_mates[place];
        }
    }
    let ordered_pairs =
        |members: &Vec<u32>| (members.len() * members.len().saturating_sub(1)) as f64;
    let mut sorted: Vec<f32> = to_centroid.iter().copied().filter(|x| !x.is_nan()).collect();
    sorted.par_sort_unstable_by(f32::total_cmp);
    Quality {
        cluster_pair_cosine: groups
            .iter()
            .zip(clusters)
            .map(|(members, cluster)| (cluster.pairs / ordered_pairs(members)) as f32)
            .collect(),
        sizes: groups.iter().map(|members| members.len() as u32).collect(),
        centroid_mean: sorted.iter().map(|x| f64::from(*x)).sum::<f64>() / sorted.len() as f64,
        centroid_p10: percentile(&sorted, 0.1),
        pair_mean: clusters.iter().map(|cluster| cluster.pairs).sum::<f64>()
            / groups.iter().map(ordered_pairs).sum::<f64>(),
        junk_share: share(to_mates.iter().filter(|x| !x.is_nan()).map(|mates| *mates < JUNK)),
        nearest_together: f64::NAN,
        duplicates_together: f64::NAN,
        random_pair_mean: random_pair_mean(vectors),
        to_centroid,
        to_mates,
    }
}

/// Value at a share of the sorted numbers, linear between neighbours; NaN of nothing.
fn percentile(sorted: &[f32], share: f64) -> f64 {
    let place = share * (sorted.len() as f64 - 1.0).max(0.0);
    let at = |index: usize| sorted.get(index).map_or(f64::NAN, |x| f64::from(*x));
    let low = place.floor();
    if place == low {
        return at(low as usize);
    }
    at(low as usize) + (place - low) * (at(low as usize + 1) - at(low as usize))
}

fn share(flags: impl Iterator<Item = bool>) -> f64 {
    let (yes, all) =
        flags.fold((0_u64, 0_u64), |(yes, all), flag| (yes + u64::from(flag), all + 1));
    yes as f64 / all as f64
}

/// (‖Σ x‖² − Σ ‖x‖²) / (N (N − 1)): exact, without looking at pairs.
fn random_pair_mean(vectors: Vectors<'_>) -> f64 {
    let count = vectors.len() as f64;
    let mut sum = vec![0.0_f64; vectors.dim()];
    let mut norms = 0.0;
    for record in 0..vectors.len() {
        let row = vectors.row(record);
        sum.iter_mut().zip(row).for_each(|(sum, x)| *sum += f64::from(*x));
        norms += f64::from(dot(row, row));
    }
    (sum.iter().map(|x| x * x).sum::<f64>() - norms) / (count * (count - 1.0))
}

impl Quality {
    fn together(
        &mut self,
        vectors: Vectors<'_>,
        labels: &[i32],
        near: Neighbours<'_>,
        groups: &[Vec<u32>],
    ) {
        let clustered: Vec<u32> =
            (0..labels.len() as u32).filter(|record| labels[*record as usize] >= 0).collect();
        let first = |record: &u32| near.of(*record as usize).next();
        let nearest = clustered.iter().filter_map(|record| {
            first(record).map(|(other, _)| labels[other as usize] == labels[*record as usize])
        });
        self.nearest_together = share(nearest);
        let has_one = |record: &&u32| first(record).is_some_and(|(_, s)| s > NEAR_DUPLICATE);
        let with: Vec<bool> = clustered
            .par_iter()
            .filter(has_one)
            .map(|record| {
                let x = vectors.row(*record as usize);
                groups[labels[*record as usize] as usize].iter().any(|mate| {
                    mate != record && dot(x, vectors.row(*mate as usize)) > NEAR_DUPLICATE
                })
            })
            .collect();
        self.duplicates_together = share(with.into_iter());
    }
}
