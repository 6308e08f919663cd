//! The best move or swap of one record, found by reading only.

use rayon::prelude::*;

use super::table::{CHUNK, NOBODY, Table};
use super::{LEAST_GAIN, Proposal, Sizes};
use crate::cluster::partition::Partition;
use crate::cluster::vectors::dot;
use crate::{Progress, Result};

/// Two records that would swap are taken to be at least this much as similar as each is to the
/// other's cluster on average; their own product is only computed where the swap then gains.
const ALIKE: f64 = 0.5;

/// Everything that proposals are made from.
pub struct Search<'s, 'a> {
    /// The clusters.
    pub partition: &'s Partition<'a>,
    /// Products of records with the clusters around them.
    pub table: &'s Table,
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
        let chunks: Vec<Vec<Proposal>> = rested
            .par_chunks_mut(CHUNK)
            .enumerate()
            .map(|(chunk, rested)| {
                progress.advance(0)?;
                let mut found = Vec::new();
                for (offset, rested) in rested.iter_mut().enumerate() {
                    match self.best((chunk * CHUNK + offset) as u32, *rested) {
                        Some(proposal) => found.push(proposal),
                        None => *rested = round,
                    }
                }
                Ok(found)
            })
            .collect::<Result<_>>()?;
        Ok(chunks.concat())
    }

    fn best(&self, record: u32, rested: u32) -> Option<Proposal> {
        let label = self.partition.labels[record as usize];
        if label < 0 {
            return None;
        }
        let all = self.changed[label as usize] >= rested;
        let mut home = None;
        let mut best = Proposal { gain: LEAST_GAIN, record, target: NOBODY, partner: NOBODY };
        for (target, with) in self.table.row(record) {
            if all || self.changed[target as usize] >= rested {
                let home = home.get_or_insert_with(|| Home::new(self.partition, record));
                self.try_move(home, target, f64::from(with), &mut best);
                self.try_swaps(home, target, f64::from(with), &mut best);
            }
        }
        (best.target != NOBODY).then_some(best)
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
    fn try_swaps(&self, home: &Home<'_>, target: u32, with: f64, best: &mut Proposal) {
        let partition = self.partition;
        let members = partition.members(target as usize);
        let owns = partition.member_products(target as usize);
        let (from, to) = (home.size as f64, members.len() as f64);
        let worst = owns.iter().copied().fold(f32::INFINITY, f32::min);
        for (&partner, &own) in members.iter().zip(owns) {
            let gain = |norm: f64, pair: f64, back: f64| {
                let norms = home.norm + norm;
                (norms - 2.0 * home.own + 2.0 * (back - pair)) / from
                    + (norms - 2.0 * f64::from(own) + 2.0 * (with - pair)) / to
            };
            if gain(1.0, 0.0, home.others + 1.0) <= best.gain {
                continue;
            }
            let known = self.table.product(partner, home.cluster).map(f64::from);
            if known.is_none() && own > worst {
                continue;
            }
            // a partner with no neighbour at home is no nearer to anyone there than to its last one
            let most = known.unwrap_or_else(|| from * f64::from(self.floors[partner as usize]));
            let pair = ALIKE * (with / to).min(most / from).max(0.0);
            if gain(1.0, pair, most) <= best.gain {
                continue;
            }
            let row = partition.vectors.row(partner as usize);
            let pair = f64::from(dot(home.row, row));
            let norm = f64::from(partition.norms[partner as usize]);
            if gain(norm, pair, most) <= best.gain {
                continue;
            }
            let back = known.unwrap_or_else(|| f64::from(dot(row, home.sum)));
            let gain = gain(norm, pair, back);
            if gain > best.gain && partition.may_swap(home.record, partner) {
                *best = Proposal { gain, target, partner, ..*best };
            }
        }
    }
}

/// What is known of a record in its own cluster.
struct Home<'p> {
    record: u32,
    cluster: u32,
    row: &'p [f32],
    sum: &'p [f32],
    size: usize,
    norm: f64,
    own: f64,
    /// ‖S − x‖: no record of length 1 has a larger product with the others.
    others: f64,
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
            cluster: cluster as u32,
            row: partition.vectors.row(record as usize),
            sum: partition.sum(cluster),
            size,
            norm,
            own,
            others: rest.sqrt(),
            if_removed: rest / (size.max(2) - 1) as f64 - square / size as f64,
        }
    }
}
