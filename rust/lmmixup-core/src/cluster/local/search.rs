//! The best move or swap of one record, found by reading only.

use rayon::prelude::*;

use super::guests::{Guest, Reverse, guests, of_cluster};
use super::table::{NOBODY, Table};
use super::{LEAST_GAIN, Proposal, Sizes};
use crate::cluster::partition::Partition;
use crate::cluster::vectors::dot;
use crate::{Progress, Result};

/// Two records that would swap are taken to be at least this much as similar as each is to the
/// other's cluster on average; their own product is only computed where the swap then gains.
const ALIKE: f64 = 0.5;

/// Clusters looked at between two looks at [`Progress`].
const CLUSTERS: usize = 64;

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
            let mut best = Proposal { gain: LEAST_GAIN, record, target: NOBODY, partner: NOBODY };
            for (target, with) in self.table.row(record).filter(|(target, _)| is_new(*target)) {
                let with = f64::from(with);
                self.try_move(&home, target, with, &mut best);
                self.try_swaps(&home, of_cluster(guests, target), target, with, &mut best);
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
        let bounds = self.partition.limits.bounds;
        let allowed = match self.sizes {
            Sizes::Free => from > bounds.min() && to < bounds.max(),
            Sizes::Kept => from == to + 1,
        };
        if !allowed {
            return;
        }
        let square = f64::from(self.partition.square(cluster));
        let joined = (square + 2.0 * with + home.norm) / (to + 1) as f64 - square / to as f64;
        let gain = home.if_removed + joined;
        if gain > best.gain && self.partition.may_move(home.record, cluster) {
            *best = Proposal { gain, target, partner: NOBODY, ..*best };
        }
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
        let owns = self.partition.member_products(target as usize);
        let worst = (0..owns.len()).min_by(|a, b| owns[*a].total_cmp(&owns[*b]));
        let members = self.partition.members(target as usize);
        let Some(&partner) = worst.and_then(|slot| members.get(slot)) else { return };
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
        let (from, to) = (home.size as f64, partition.size(target as usize) as f64);
        let own = f64::from(partition.own[partner as usize]);
        let gain = |norm: f64, pair: f64, back: f64| {
            let norms = home.norm + norm;
            (norms - 2.0 * home.own + 2.0 * (back - pair)) / from
                + (norms - 2.0 * own + 2.0 * (with - pair)) / to
        };
        let pair = ALIKE * (with / to).min(most / from).max(0.0);
        if gain(1.0, pair, most) <= best.gain {
            return;
        }
        let pair = f64::from(dot(home.row, partition.vectors.row(partner as usize)));
        let norm = f64::from(partition.norms[partner as usize]);
        if gain(norm, pair, most) <= best.gain {
            return;
        }
        let gain = gain(norm, pair, back());
        if gain > best.gain && partition.may_swap(home.record, partner) {
            *best = Proposal { gain, target, partner, ..*best };
        }
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
struct Home<'p> {
    record: u32,
    row: &'p [f32],
    sum: &'p [f32],
    size: usize,
    norm: f64,
    own: f64,
    /// Change of the objective in this cluster if the record left.
    if_removed: f64,
}

impl<'p> Home<'p> {
    fn new(partition: &'p Partition<'_>, record: u32) -> Self {
        let cluster = partition.labels[record as usize] as usize;
        let (norm, own) = (partition.norms[record as usize], partition.own[record as usize]);
        let (norm, own) = (f64::from(norm), f64::from(own));
        let square = f64::from(partition.square(cluster));
        let size = partition.size(cluster);
        let rest = (square - 2.0 * own + norm).max(0.0);
        Self {
            record,
            row: partition.vectors.row(record as usize),
            sum: partition.sum(cluster),
            size,
            norm,
            own,
            if_removed: rest / (size.max(2) - 1) as f64 - square / size as f64,
        }
    }
}
