//! Records in clusters while they are being formed: members, sums, and what changes them.

use rayon::prelude::*;

use super::vectors::{Vectors, add_to, dot};
use super::{Fate, Limits};
use crate::{Progress, Result};

/// Label of a record that is in no cluster.
pub const FREE: i32 = -1;

/// Label of a record that can be in none: longer than `max_tokens` by itself.
pub const BARRED: i32 = -2;

/// Clusters recomputed at a time: bounds the memory of a parallel refresh to 4096 · D numbers.
const REFRESH_BLOCK: usize = 4096;

/// Clusters of records with, for each cluster c, its sum S_c and the sum of cosines P_c over its
/// ordered pairs, and for each record the sum of its cosines to its mates.
///
/// Changing members leaves sums stale until [`Partition::refresh`].
pub struct Partition<'a> {
    /// The records.
    pub vectors: Vectors<'a>,
    /// What a cluster must keep to.
    pub limits: Limits<'a>,
    /// Cluster of each record, or [`FREE`].
    pub labels: Vec<i32>,
    /// ‖x_i‖² of each record (1, or 0 for a record without content).
    pub norms: Vec<f32>,
    /// Sum of cosines of each record to its cluster mates; stale where the record is free.
    pub to_mates: Vec<f32>,
    members: Vec<u32>,
    sizes: Vec<u32>,
    sums: Vec<f32>,
    pairs: Vec<f32>,
    tokens: Vec<u64>,
}

impl<'a> Partition<'a> {
    /// No clusters, every record free.
    pub fn new(vectors: Vectors<'a>, limits: Limits<'a>) -> Self {
        let count = vectors.len();
        let norms =
            (0..count).into_par_iter().map(|i| dot(vectors.row(i), vectors.row(i))).collect();
        Self {
            vectors,
            limits,
            labels: vec![FREE; count],
            norms,
            to_mates: vec![0.0; count],
            members: Vec::new(),
            sizes: Vec::new(),
            sums: Vec::new(),
            pairs: Vec::new(),
            tokens: Vec::new(),
        }
    }

    /// Bars records that are too long by themselves; returns how many others there are.
    pub fn bar_too_long(&mut self) -> usize {
        for record in 0..self.labels.len() as u32 {
            if !self.limits.allows_tokens(self.limits.tokens_of(record)) {
                self.labels[record as usize] = BARRED;
            }
        }
        self.labels.iter().filter(|label| **label == FREE).count()
    }

    /// Number of clusters.
    pub fn num_clusters(&self) -> usize {
        self.sizes.len()
    }

    /// Number of records in a cluster.
    #[inline]
    pub fn size(&self, cluster: usize) -> usize {
        self.sizes[cluster] as usize
    }

    /// Records of a cluster, in no particular order.
    #[inline]
    pub fn members(&self, cluster: usize) -> &[u32] {
        let start = cluster * self.limits.bounds.max();
        &self.members[start..start + self.size(cluster)]
    }

    /// S_c.
    #[inline]
    pub fn sum(&self, cluster: usize) -> &[f32] {
        let dim = self.vectors.dim();
        &self.sums[cluster * dim..(cluster + 1) * dim]
    }

    /// P_c: cosines over the ordered pairs of a cluster, i.e. twice over its pairs.
    #[inline]
    pub fn pairs(&self, cluster: usize) -> f32 {
        self.pairs[cluster]
    }

    /// Tokens of a cluster's records together; 0 where tokens are not counted.
    #[inline]
    pub fn tokens(&self, cluster: usize) -> u64 {
        self.tokens[cluster]
    }

    /// Makes a cluster of free records; its sums are stale.
    pub fn push(&mut self, records: &[u32]) -> usize {
        let cluster = self.sizes.len();
        let max = self.limits.bounds.max();
        debug_assert!(records.len() <= max);
        self.members.resize((cluster + 1) * max, u32::MAX);
        self.sizes.push(0);
        self.tokens.push(0);
        for &record in records {
            self.insert(cluster, record);
        }
        cluster
    }

    /// Puts a free record into a cluster with room; sums are stale.
    pub fn insert(&mut self, cluster: usize, record: u32) {
        let slot = cluster * self.limits.bounds.max() + self.size(cluster);
        self.members[slot] = record;
        self.sizes[cluster] += 1;
        self.tokens[cluster] += self.limits.tokens_of(record);
        self.labels[record as usize] = cluster as i32;
    }

    /// Takes a record out of its cluster; sums are stale.
    pub fn remove(&mut self, record: u32) {
        let cluster = self.labels[record as usize] as usize;
        let start = cluster * self.limits.bounds.max();
        let last = start + self.size(cluster) - 1;
        if let Some(slot) = (start..=last).find(|slot| self.members[*slot] == record) {
            self.members.swap(slot, last);
            self.sizes[cluster] -= 1;
            self.tokens[cluster] -= self.limits.tokens_of(record);
            self.labels[record as usize] = FREE;
        }
    }

    /// Recomputes sums and pairs of these clusters, in parallel. O(members · D).
    ///
    /// # Errors
    /// [`crate::Error::Interrupted`].
    pub fn refresh(&mut self, clusters: &[u32], progress: &Progress) -> Result<()> {
        let dim = self.vectors.dim();
        self.sums.resize(self.num_clusters() * dim, 0.0);
        self.pairs.resize(self.num_clusters(), 0.0);
        let mut fresh = vec![0.0; REFRESH_BLOCK.min(clusters.len()) * dim];
        let mut to_mates = Vec::new();
        for block in clusters.chunks(REFRESH_BLOCK) {
            progress.advance(0)?;
            let fresh = &mut fresh[..block.len() * dim];
            let this = &*self;
            fresh
                .par_chunks_exact_mut(dim)
                .zip(block)
                .map(|(sum, cluster)| this.sum_afresh(*cluster as usize, sum))
                .collect_into_vec(&mut to_mates);
            for ((sum, cluster), to_mates) in fresh.chunks_exact(dim).zip(block).zip(&to_mates) {
                let cluster = *cluster as usize;
                self.sums[cluster * dim..(cluster + 1) * dim].copy_from_slice(sum);
                self.pairs[cluster] = to_mates.iter().sum();
                let start = cluster * self.limits.bounds.max();
                for (slot, to_mates) in to_mates.iter().enumerate() {
                    self.to_mates[self.members[start + slot] as usize] = *to_mates;
                }
            }
        }
        Ok(())
    }

    /// Puts a cluster's sum into `sum` and gives the sums of cosines of its members to their mates.
    fn sum_afresh(&self, cluster: usize, sum: &mut [f32]) -> Vec<f32> {
        sum.fill(0.0);
        let members = self.members(cluster).iter().map(|record| *record as usize);
        members.clone().for_each(|record| add_to(sum, self.vectors.row(record)));
        members.map(|record| dot(self.vectors.row(record), sum) - self.norms[record]).collect()
    }

    /// Recomputes every cluster.
    ///
    /// # Errors
    /// [`crate::Error::Interrupted`].
    pub fn refresh_all(&mut self, progress: &Progress) -> Result<()> {
        let all: Vec<u32> = (0..self.num_clusters() as u32).collect();
        self.refresh(&all, progress)
    }

    /// Whether a cluster keeps to the limits beside its size when one of its records leaves, one
    /// comes, or both. O(size · D) with `min_similarity`, else O(1).
    pub fn may_change(&self, cluster: usize, leaves: Option<u32>, comes: Option<u32>) -> bool {
        let tokens_of = |record: Option<u32>| record.map_or(0, |r| self.limits.tokens_of(r));
        self.limits.allows_tokens(self.tokens[cluster] + tokens_of(comes) - tokens_of(leaves))
            && self.stay_similar(cluster as i32, leaves, comes)
    }

    /// Whether a clustered record may leave as far as its mates are concerned.
    pub fn may_leave(&self, record: u32) -> bool {
        self.stay_similar(self.labels[record as usize], Some(record), None)
    }

    /// Whether two records alone could be a cluster.
    pub fn may_pair(&self, one: u32, other: u32, similarity: f32) -> bool {
        self.limits.min_similarity.is_none_or(|least| similarity >= least)
            && self.limits.allows_tokens(self.limits.tokens_of(one) + self.limits.tokens_of(other))
    }

    /// Whether a free record may join a cluster with room.
    pub fn may_join(&self, record: u32, target: usize) -> bool {
        self.limits.allows_tokens(self.tokens[target] + self.limits.tokens_of(record))
            && self.stay_similar(target as i32, None, Some(record))
    }

    /// Whether all members keep `min_similarity` when one leaves and one comes. O(size · D).
    fn stay_similar(&self, cluster: i32, leaves: Option<u32>, comes: Option<u32>) -> bool {
        let Some(least) = self.limits.min_similarity else { return true };
        let members = self.members(cluster as usize);
        let mates = members.len() + usize::from(comes.is_some()) - usize::from(leaves.is_some());
        let needed = least * mates.saturating_sub(1) as f32;
        let row = |record: u32| self.vectors.row(record as usize);
        let stays = |member: &&u32| Some(**member) != leaves;
        let mut new_total = 0.0;
        for &member in members.iter().filter(stays) {
            let mut total = self.to_mates[member as usize];
            total -= leaves.map_or(0.0, |leaver| dot(row(member), row(leaver)));
            let with = comes.map_or(0.0, |comer| dot(row(member), row(comer)));
            new_total += with;
            if total + with < needed {
                return false;
            }
        }
        comes.is_none() || new_total >= needed
    }

    /// Σ_c P_c / (n_c − 1): what the local search maximises, the mean cosine of each record to its
    /// mates, summed over records. O(clusters).
    pub fn objective(&self) -> f64 {
        let one = |(pairs, size): (&f32, &u32)| f64::from(*pairs) / num_mates(*size as usize);
        self.pairs.iter().zip(&self.sizes).map(one).sum()
    }

    /// Why each record is where it is.
    pub fn fates(&self) -> Vec<Fate> {
        let left = match (self.limits.min_similarity, self.limits.max_tokens) {
            (Some(_), _) => Fate::NotSimilar,
            (None, Some(_)) => Fate::NoTokensLeft,
            (None, None) => Fate::NotPartitionable,
        };
        let fate = |label: &i32| match *label {
            FREE => left,
            BARRED => Fate::TooLong,
            _ => Fate::Clustered,
        };
        self.labels.iter().map(fate).collect()
    }
}

/// Mates of a record in a cluster of that size, as a divisor: 1 for a record alone, whose sum of
/// cosines is 0.
#[inline]
pub fn num_mates(size: usize) -> f64 {
    (size.max(2) - 1) as f64
}
