//! The best chain that starts with one record, found by reading only.

use rayon::prelude::*;

use super::chain::Chain;
use super::table::Table;
use super::{Reach, Sizes};
use crate::cluster::partition::Partition;
use crate::cluster::vectors::dot;
use crate::{Progress, Result};

/// A record is taken to be at least this much as similar to a member of a cluster as to all of them
/// on average; the product of the two is only computed where the chain then gains.
const ALIKE: f64 = 0.5;

/// Of the members of a cluster, chains of three displace only so many that fit worst.
const DISPLACED: usize = 3;
/// Clusters, of the nearest neighbours first, in which the second record of a chain looks on.
const TARGETS: usize = 8;

/// Clusters looked at between two looks at [`Progress`].
const CLUSTERS: usize = 64;

/// Everything that chains are found from.
pub struct Search<'s, 'a> {
    /// The clusters.
    pub partition: &'s Partition<'a>,
    /// Products of records with the clusters around them.
    pub table: &'s Table,
    /// How sizes may change.
    pub sizes: Sizes,
    /// How long chains may be.
    pub reach: Reach,
    /// Last round in which each cluster changed.
    pub changed: &'s [u32],
}

impl Search<'_, '_> {
    /// Best chains of all records that have one. `rested[i]` is the last round in which record
    /// i found none: only what changed since then is looked at.
    ///
    /// # Errors
    /// [`crate::Error::Interrupted`].
    pub fn propose(
        &self,
        rested: &mut [u32],
        round: u32,
        progress: &Progress,
    ) -> Result<Vec<Chain>> {
        let clusters: Vec<u32> = (0..self.partition.num_clusters() as u32).collect();
        let parts: Vec<Found> = clusters
            .par_chunks(CLUSTERS)
            .map(|clusters| {
                progress.advance(0)?;
                let mut found = Found::default();
                clusters.iter().for_each(|cluster| self.look(*cluster, rested, &mut found));
                Ok(found)
            })
            .collect::<Result<_>>()?;
        let mut chains = Vec::new();
        for part in parts {
            part.idle.iter().for_each(|record| rested[*record as usize] = round);
            chains.extend(part.chains);
        }
        Ok(chains)
    }

    /// Looks at all records of a cluster that are not at rest.
    fn look(&self, cluster: u32, rested: &[u32], found: &mut Found) {
        for (record, to_mates) in self.partition.fits(cluster as usize) {
            let rested = rested[record as usize];
            let all = self.changed[cluster as usize] >= rested;
            let is_new = |target: u32| all || self.changed[target as usize] >= rested;
            if !self.table.row(record).any(|(target, _)| is_new(target)) {
                continue;
            }
            let home = Home::new(self.partition, record, to_mates);
            let mut best = Chain::none();
            for (target, with) in self.table.row(record).filter(|(target, _)| is_new(*target)) {
                let with = f64::from(with);
                self.try_path(&home, &[record], (target, with), 0.0, &mut best);
                self.try_places(&home, (target, with), &mut best);
            }
            match best.is_none() {
                true => found.idle.push(record),
                false => found.chains.push(best),
            }
        }
    }

    /// The home record takes the place of a member of `target`, which comes home, or takes the
    /// place of a third record, which comes home, or finds room in a third cluster.
    ///
    /// Of the gains around a ring some start has only positive partial sums, so a ring is given up
    /// where its sum so far is not positive: another of its records finds it.
    fn try_places(&self, home: &Home<'_>, (target, with): (u32, f64), best: &mut Chain) {
        let first = (home.record, with);
        for (turn, (second, gain)) in self.places(first, target, 0.0).enumerate() {
            self.try_ring(home, &[home.record, second], gain, best);
            if self.reach == Reach::Pairs || turn >= DISPLACED {
                continue;
            }
            for (last, with) in self.table.row(second).take(TARGETS) {
                if last as usize == home.cluster {
                    continue;
                }
                let with = f64::from(with);
                self.try_path(home, &[home.record, second], (last, with), gain, best);
                for (third, gain) in self.places((second, with), last, gain).take(DISPLACED) {
                    self.try_ring(home, &[home.record, second, third], gain, best);
                }
            }
        }
    }

    /// Members of a cluster whose place a record could take, with `so_far` and what the cluster
    /// gains by it, where they are positive together. `with` is the record's x · S there.
    fn places(
        &self,
        (record, with): (u32, f64),
        cluster: u32,
        so_far: f64,
    ) -> impl Iterator<Item = (u32, f64)> {
        let partition = self.partition;
        let size = partition.size(cluster as usize);
        let scale = 2.0 / partition.weight(size);
        let alike = scale * ALIKE * (with / size as f64).max(0.0);
        let row = |record: u32| partition.vectors.row(record as usize);
        let without_pair =
            move |(other, to_mates)| (other, so_far + scale * (with - f64::from(to_mates)));
        let gains = partition.fits(cluster as usize).map(without_pair);
        // the worst come first, so no later one gains either
        let gains = gains.take_while(move |(_, gain)| *gain > alike);
        let gains = gains.map(move |(other, gain)| {
            (other, gain - scale * f64::from(dot(row(record), row(other))))
        });
        gains.filter(|(_, gain)| *gain > 0.0)
    }

    /// The last of the records comes home; `gain` is that of the other clusters.
    fn try_ring(&self, home: &Home<'_>, records: &[u32], gain: f64, best: &mut Chain) {
        let Some(&last) = records.last() else { return };
        let row = self.partition.vectors.row(last as usize);
        let scale = 2.0 / self.partition.weight(home.size);
        let back = f64::from(dot(row, home.sum));
        let gain = gain + scale * (back - home.to_mates);
        if gain - scale * ALIKE * (back / home.size as f64).max(0.0) > best.gain {
            let gain = gain - scale * f64::from(dot(row, home.row));
            best.offer(gain, records, home.cluster as u32, self.partition);
        }
    }

    /// The last of the records finds room in cluster `target`; `gain` is that of the clusters
    /// between.
    fn try_path(
        &self,
        home: &Home<'_>,
        records: &[u32],
        (target, with): (u32, f64),
        gain: f64,
        best: &mut Chain,
    ) {
        let partition = self.partition;
        let size = partition.size(target as usize);
        if self.sizes.allow(partition.limits.bounds, home.size, size) {
            let pairs = f64::from(partition.pairs(target as usize));
            let joined =
                (pairs + 2.0 * with) / partition.weight(size + 1) - pairs / partition.weight(size);
            best.offer(gain + home.if_removed + joined, records, target, partition);
        }
    }
}

/// What a part of the clusters came to.
#[derive(Default)]
struct Found {
    chains: Vec<Chain>,
    /// Records that looked and found nothing.
    idle: Vec<u32>,
}

/// What is known of a record in its own cluster.
struct Home<'p> {
    record: u32,
    row: &'p [f32],
    cluster: usize,
    sum: &'p [f32],
    size: usize,
    to_mates: f64,
    /// What the objective gains in this cluster if the record leaves.
    if_removed: f64,
}

impl<'p> Home<'p> {
    fn new(partition: &'p Partition<'_>, record: u32, to_mates: f32) -> Self {
        let cluster = partition.labels[record as usize] as usize;
        Self {
            record,
            row: partition.vectors.row(record as usize),
            cluster,
            sum: partition.sum(cluster),
            size: partition.size(cluster),
            to_mates: f64::from(to_mates),
            if_removed: partition.gain(cluster, Some(record), None),
        }
    }
}
