//! Records in clusters while they are being formed: members, sums, and what changes them.

use std::ops::Range;

use rayon::prelude::*;

use super::vectors::{Vectors, add_to, dot};
use super::{Fate, Limits};
use crate::{Progress, Result};

/// Label of a record that is in no cluster.
pub const FREE: i32 = -1;

/// Label of a record that can be in none: longer than `max_cluster_tokens` by itself.
pub const BARRED: i32 = -2;

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
    /// What the objective adds to the number of mates; see [`Partition::objective`].
    pub ballast: f64,
    members: Vec<u32>,
    /// Beside `members`, so that looking at a cluster is one look at memory.
    to_mates: Vec<f32>,
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
            ballast: 0.0,
            members: Vec::new(),
            to_mates: Vec::new(),
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

    /// Records of a cluster; in a refreshed one those that fit worst come first.
    #[inline]
    pub fn members(&self, cluster: usize) -> &[u32] {
        &self.members[self.slots(cluster)]
    }

    /// Members of a refreshed cluster, each with the sum of its cosines to its mates.
    #[inline]
    pub fn fits(&self, cluster: usize) -> impl Iterator<Item = (u32, f32)> {
        let slots = self.slots(cluster);
        let to_mates = self.to_mates[slots.clone()].iter().copied();
        self.members[slots].iter().copied().zip(to_mates)
    }

    #[inline]
    fn slots(&self, cluster: usize) -> Range<usize> {
        let start = cluster * self.limits.bounds.max();
        start..start + self.size(cluster)
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
        self.to_mates.resize((cluster + 1) * max, 0.0);
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

    /// Recomputes a cluster after its members changed, and orders them. O(size · D).
    pub fn refresh(&mut self, cluster: usize) {
        self.make_room();
        let (dim, slots) = (self.vectors.dim(), self.slots(cluster));
        let parts = (&mut self.members[slots.clone()], &mut self.to_mates[slots]);
        let sum = &mut self.sums[cluster * dim..(cluster + 1) * dim];
        self.pairs[cluster] = measure(self.vectors, &self.norms, parts, sum);
    }

    /// Room for the sums of all clusters.
    fn make_room(&mut self) {
        self.sums.resize(self.num_clusters() * self.vectors.dim(), 0.0);
        self.pairs.resize(self.num_clusters(), 0.0);
    }

    /// What the objective gains in a refreshed cluster when one of its records leaves, one comes,
    /// or both. O(D).
    pub fn gain(&self, cluster: usize, leaves: Option<u32>, comes: Option<u32>) -> f64 {
        let row = |record: u32| self.vectors.row(record as usize);
        let size = self.size(cluster);
        let pairs = f64::from(self.pairs(cluster));
        let fit = |record| self.fits(cluster).find(|(member, _)| *member == record);
        let lost = leaves.and_then(fit).map_or(0.0, |(_, to_mates)| to_mates);
        let won = comes.map_or(0.0, |record| {
            dot(row(record), self.sum(cluster)) - leaves.map_or(0.0, |l| dot(row(record), row(l)))
        });
        let new_size = size + usize::from(comes.is_some()) - usize::from(leaves.is_some());
        let new_pairs = pairs + 2.0 * (f64::from(won) - f64::from(lost));
        new_pairs / self.weight(new_size) - pairs / self.weight(size)
    }

    /// Recomputes every cluster, on the current rayon pool.
    ///
    /// # Errors
    /// [`crate::Error::Interrupted`].
    pub fn refresh_all(&mut self, progress: &Progress) -> Result<()> {
        self.make_room();
        let (vectors, norms, max) = (self.vectors, &self.norms, self.limits.bounds.max());
        let members = self.members.par_chunks_exact_mut(max);
        let slots = members.zip(self.to_mates.par_chunks_exact_mut(max));
        let sums = self.sums.par_chunks_exact_mut(vectors.dim()).zip(&mut self.pairs);
        let clusters = slots.zip(sums).zip(&self.sizes).enumerate();
        clusters.try_for_each(|(cluster, (((members, to_mates), (sum, pairs)), &size))| {
            let parts = (&mut members[..size as usize], &mut to_mates[..size as usize]);
            *pairs = measure(vectors, norms, parts, sum);
            if cluster % 1024 == 0 { progress.advance(0) } else { Ok(()) }
        })
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
        let cluster = cluster as usize;
        let mates =
            self.size(cluster) + usize::from(comes.is_some()) - usize::from(leaves.is_some());
        let needed = least * mates.saturating_sub(1) as f32;
        let row = |record: u32| self.vectors.row(record as usize);
        let mut new_total = 0.0;
        for (member, mut total) in self.fits(cluster).filter(|(member, _)| Some(*member) != leaves)
        {
            total -= leaves.map_or(0.0, |leaver| dot(row(member), row(leaver)));
            let with = comes.map_or(0.0, |comer| dot(row(member), row(comer)));
            new_total += with;
            if total + with < needed {
                return false;
            }
        }
        comes.is_none() || new_total >= needed
    }

    /// Σ_c P_c / (n_c − 1 + ballast): what the local search maximises. O(clusters).
    ///
    /// With ballast 0 it is the mean cosine of each record to its mates, summed over records. With
    /// ballast 1 it is, for unit vectors and a fixed number of clusters, N minus the k-means cost.
    pub fn objective(&self) -> f64 {
        let one = |(pairs, size): (&f32, &u32)| f64::from(*pairs) / self.weight(*size as usize);
        self.pairs.iter().zip(&self.sizes).map(one).sum()
    }

    /// n − 1 + ballast of a cluster; a record alone, whose pairs sum to 0, counts as two.
    #[inline]
    pub fn weight(&self, size: usize) -> f64 {
        (size.max(2) - 1) as f64 + self.ballast
    }

    /// Why each record is where it is.
    pub fn fates(&self) -> Vec<Fate> {
        let left = match (self.limits.min_similarity, self.limits.max_cluster_tokens) {
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

/// Sums up a cluster's rows, measures and orders its members (and their cosines to their mates) by
/// how well they fit, worst first, and gives P_c.
fn measure(
    vectors: Vectors<'_>,
    norms: &[f32],
    (members, to_mates): (&mut [u32], &mut [f32]),
    sum: &mut [f32],
) -> f32 {
    sum.fill(0.0);
    members.iter().for_each(|record| add_to(sum, vectors.row(*record as usize)));
    let mut pairs = 0.0;
    for (record, to_mates) in members.iter().zip(&mut *to_mates) {
        let record = *record as usize;
        *to_mates = dot(vectors.row(record), sum) - norms[record];
        pairs += *to_mates;
    }
    let fit = |at: usize, to_mates: &[f32], members: &[u32]| (to_mates[at], members[at]);
    // clusters are small, so insertion sorts both lists as one without room for a third
    for end in 1..members.len() {
        for at in (1..=end).rev() {
            let (before, here) = (fit(at - 1, to_mates, members), fit(at, to_mates, members));
            if before.0.total_cmp(&here.0).then(before.1.cmp(&here.1)).is_le() {
                break;
            }
            members.swap(at - 1, at);
            to_mates.swap(at - 1, at);
        }
    }
    pairs
}
