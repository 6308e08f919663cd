//! Capacity-bounded clusters: groups of similar records with a smallest and a largest size.
//!
//! - [`graph`]: ours. A seeded fill along a nearest-neighbour graph, then local search.
//! - [`paper`]: the paper's mini-batch k-means and greedy capacities, for comparison.
//! - [`mergeit`]: k-means, facility location and greedy groups above a similarity.
//!
//! Bounds hold exactly in all of them. Each record gets a [`Fate`]; labels number the clusters by
//! their first record, and are the same at any number of threads.

pub mod capacity;
pub mod facility;
pub mod fill;
pub mod graph;
pub mod kmeans;
pub mod local;
pub mod mergeit;
pub mod paper;
pub mod partition;
pub mod quality;
pub mod random;
pub mod settle;
pub mod vectors;

pub use capacity::Bounds;
pub use random::Random;
pub use vectors::Vectors;

use crate::{Error, Result};

/// What every cluster must keep to.
#[derive(Debug, Clone, Copy)]
pub struct Limits<'a> {
    /// Fewest and most records.
    pub bounds: Bounds,
    /// Each record's mean cosine to its cluster mates is at least this; `None`: no such limit.
    ///
    /// Not the cosine to the centroid: of two orthogonal records each has 0.71 to their centroid.
    pub min_similarity: Option<f32>,
    /// Tokens of each record and the most that a cluster may hold together; `None`: no limit.
    pub max_cluster_tokens: Option<(&'a [u32], u64)>,
}

impl Limits<'_> {
    /// Tokens of a record, 0 where they are not limited.
    #[inline]
    pub fn tokens_of(&self, record: u32) -> u64 {
        self.max_cluster_tokens.map_or(0, |(tokens, _)| u64::from(tokens[record as usize]))
    }

    /// Whether a cluster may hold that many tokens.
    #[inline]
    pub fn allows_tokens(&self, tokens: u64) -> bool {
        self.max_cluster_tokens.is_none_or(|(_, most)| tokens <= most)
    }

    /// Whether more than the bounds limits a cluster, so that records may have no place.
    pub fn restrict(&self) -> bool {
        self.min_similarity.is_some() || self.max_cluster_tokens.is_some()
    }

    fn check(&self, num_records: usize) -> Result<()> {
        if let Some(least) = self.min_similarity
            && !(-1.0..=1.0).contains(&least)
        {
            return Err(Error::Argument(format!("min_similarity must be in -1..1, got {least}")));
        }
        match self.max_cluster_tokens {
            Some((tokens, _)) if tokens.len() != num_records => Err(Error::Argument(format!(
                "tokens must have one number for each of {num_records} records, got {}",
                tokens.len()
            ))),
            Some((_, 0)) => {
                Err(Error::Argument("max_cluster_tokens must be at least 1, got 0".into()))
            }
            _ => Ok(()),
        }
    }
}

/// What became of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Fate {
    /// In a cluster.
    Clustered = 0,
    /// Left over: the number of records cannot be split into whole clusters.
    NotPartitionable = 1,
    /// Left over: no cluster that `min_similarity` allows has a place for it.
    NotSimilar = 2,
    /// Left over: no cluster within `max_cluster_tokens` has a place for it.
    NoTokensLeft = 3,
    /// Dropped: the record alone has more than `max_cluster_tokens`.
    TooLong = 4,
    /// Left over: its cluster was under the smallest size and was dissolved.
    Dissolved = 5,
    /// Left over: the topic-aware filter did not pick it.
    Filtered = 6,
}

/// Clusters of records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clusters {
    /// Cluster of each record, numbered from 0 by first record; −1 where it is in none.
    pub labels: Vec<i32>,
    /// Why.
    pub fates: Vec<Fate>,
    /// Number of clusters.
    pub num_clusters: usize,
}

impl Clusters {
    /// Numbers clusters by their first record. `labels` and `fates` must be equally long, and a
    /// record be in a cluster (label ≥ 0) iff its fate says so. O(N).
    pub(crate) fn numbered(mut labels: Vec<i32>, fates: Vec<Fate>) -> Self {
        let highest = labels.iter().copied().max().unwrap_or(-1).max(-1);
        let mut number = vec![-1_i32; (highest + 1) as usize];
        let mut next = 0;
        for label in labels.iter_mut().filter(|label| **label >= 0) {
            let number = &mut number[*label as usize];
            if *number < 0 {
                *number = next;
                next += 1;
            }
            *label = *number;
        }
        labels.iter_mut().for_each(|label| *label = (*label).max(partition::FREE));
        Self { labels, fates, num_clusters: next as usize }
    }
}
