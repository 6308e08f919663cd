//! The best move or swap of one record, found by reading only.

use rayon::prelude::*;

use super::guests::{Guest, Reverse, guests, of_cluster};
use super::table::{NOBODY, Table};
use super::{Proposal, Sizes};
use crate::cluster::partition::{Partition, num_mates};
use crate::cluster::vectors::dot;
use crate::{Progress, Result};

/// Two records that would swap are taken to be at least this much as similar as each is to the
/// other's cluster on average; their own product is only computed where the swap then gains.
pub(super) const ALIKE: f64 = 0.5;

/// Clusters looked at between two looks at [`Progress`].
const CLUSTERS: usize = 64;

/// How far a change may reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Moves and swaps.
    Pairs,
    /// Also chains of three records.
    Chains,
}

/// Everything that proposals are made from.
pub struct Search<'s, 'a> {
    /// The clusters.
    pub partition: &'s Partition<'a>,
    /// Products of records with the clusters around them.
    pub table: &'s Table,
    /// Who lists whom as a neighbour.
    pub reverse: &'s Reverse,
    /// How sizes may change.
    pub sizes: Sizes,
    /// Last round in which each cluster changed.
    pub changed: &'s [u32],
    /// How far changes reach.
    pub reach: Reach,
    /// Similarity of each record to the last of its neighbours.
    pub floors: &'s [f32],
}

impl Search<'_, '_> {
    /// Best proposals of all records that have one. `rested[i]` is the last round in which record
    /// i found none: only what changed since then is looked at.
    ///
    /// # Errors
    /// [`crate::Error::Interrupted`].
    pub fn propose(
        &self,
        rested: &mut [u32],
        round: u32,
        progress: &Progress,
    ) -> Result<Vec<Proposal>> {
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
        let mut proposals = Vec::new();
        for part in parts {
            part.idle.iter().for_each(|record| rested[*record as usize] = round);
            proposals.extend(part.proposals);
        }
        Ok(proposals)
    }

    /// Looks at all records of a cluster that are not at rest.
    fn look(&self, cluster: u32, rested: &[u32], found: &mut Found) {
        let mut known = None;
        for &record in self.partition.members(cluster as usize) {
            let rested = rested[record as usize];
            let all = self.changed[cluster as usize] >= rested;
            let is_new = |target: u32| all || self.changed[target as usize] >= rested;
            if !self.table.row(record).any(|(target, _)| is_new(target)) {
                continue;
            }
            let guests = known
                .get_or_insert_with(|| guests(self.partition, self.reverse, self.table, cluster));
            let home = Home::new(self.partition, record);
            let mut best = Proposal::none();
            for (target, with) in self.table.row(record).filter(|(target, _)| is_new(*target)) {
                let with = f64::from(with);
                self.try_move(&home, target, with, &mut best);
                self.try_swaps(&home, of_cluster(guests, target), target, with, &mut best);
                if self.reach == Reach::Chains {
                    self.try_chains(&home, target, with, &mut best);
                }
            }
            match best.target {
                NOBODY => found.idle.push(record),
                _ => found.proposals.push(best),
            }
        }
    }

    fn try_move(&self, home: &Home<'_>, target: u32, with: f64, best: &mut Proposal) {
        let cluster = target as usize;
        let (from, to) = (home.size, self.partition.size(cluster));
        if !self.sizes.allow(self.partition.limits.bounds, from, to) {
            return;
        }
        let pairs = f64::from(self.partition.pairs(cluster));
        let joined = (pairs + 2.0 * with) / num_mates(to + 1) - pairs / num_mates(to);
        let gain = home.if_removed + joined;
        let may = || self.partition.may_change(cluster, None, Some(home.record)) && home.may_lose(self.partition);
        best.offer(gain, &[home.record], target, may);
    }

    /// Swaps with members that have neighbours at home, and with the one that fits worst.
    fn try_swaps(
        &self,
        home: &Home<'_>,
        guests: &[Guest],
        target: u32,
        with: f64,
        best: &mut Proposal,
    ) {
        for guest in guests {
            let back = f64::from(guest.product);
            self.try_swap(home, guest.record, (target, with), back, || back, best);
        }
        let to_mates = |record: &u32| self.partition.to_mates[*record as usize];
        let members = self.partition.members(target as usize);
        let worst = members.iter().min_by(|a, b| to_mates(a).total_cmp(&to_mates(b)));
        let Some(&partner) = worst else { return };
        if guests.iter().all(|guest| guest.record != partner) {
            // with no neighbour at home it is no nearer to anyone there than to its last one
            let most = home.size as f64 * f64::from(self.floors[partner as usize]);
            let back = || f64::from(dot(self.partition.vectors.row(partner as usize), home.sum));
            self.try_swap(home, partner, (target, with), most, back, best);
        }
    }

    /// `most` bounds the partner's x · S with the home cluster, `back` computes it.
    fn try_swap(
        &self,
        home: &Home<'_>,
        partner: u32,
        (target, with): (u32, f64),
        most: f64,
        back: impl Fn() -> f64,
        best: &mut Proposal,
    ) {
        let partition = self.partition;
        let size = partition.size(target as usize);
        let (from, to) = (num_mates(home.size), num_mates(size));
        let theirs = f64::from(partition.to_mates[partner as usize]);
        let gain = |pair: f64, back: f64| {
            2.0 * ((back - pair - home.to_mates) / from + (with - pair - theirs) / to)
        };
        let pair = ALIKE * (with / size as f64).min(most / home.size as f64).max(0.0);
        if gain(pair, most) <= best.gain {
            return;
        }
        let pair = f64::from(dot(home.row, partition.vectors.row(partner as usize)));
        if gain(pair, most) <= best.gain {
            return;
        }
        let may = || {
            partition.may_change(home.cluster, Some(home.record), Some(partner))
                && partition.may_change(target as usize, Some(partner), Some(home.record))
        };
        best.offer(gain(pair, back()), &[home.record, partner], home.cluster as u32, may);
    }
}

/// What a part of the clusters came to.
#[derive(Default)]
struct Found {
    proposals: Vec<Proposal>,
    /// Records that looked and found nothing.
    idle: Vec<u32>,
}

/// What is known of a record in its own cluster.
pub struct Home<'p> {
    pub record: u32,
    pub cluster: usize,
    pub row: &'p [f32],
    pub sum: &'p [f32],
    pub size: usize,
    pub to_mates: f64,
    /// Change of the objective in this cluster if the record left.
    pub if_removed: f64,
}

impl<'p> Home<'p> {
    fn new(partition: &'p Partition<'_>, record: u32) -> Self {
        let cluster = partition.labels[record as usize] as usize;
        let to_mates = f64::from(partition.to_mates[record as usize]);
        let pairs = f64::from(partition.pairs(cluster));
        let size = partition.size(cluster);
        let rest = (pairs - 2.0 * to_mates) / num_mates(size - 1);
        Self {
            record,
            cluster,
            row: partition.vectors.row(record as usize),
            sum: partition.sum(cluster),
            size,
            to_mates,
            if_removed: rest - pairs / num_mates(size),
        }
    }

    /// Whether the home cluster may do without the record.
    fn may_lose(&self, partition: &Partition<'_>) -> bool {
        partition.may_change(self.cluster, Some(self.record), None)
    }
}
