//! Chains of three: records that make room for each other in a ring of clusters, or along a path.
//!
//! Where no two records gain by changing places, three may: i takes the place of j, j that of k,
//! and k fills the gap that i left (or j finds room). Of the gains around a ring some start has only
//! positive partial sums, so a chain is given up where its sum so far is not positive.

use super::search::{ALIKE, Home, Search};
use super::{Proposal, Sizes};
use crate::cluster::partition::num_mates;
use crate::cluster::vectors::dot;

impl Search<'_, '_> {
    /// Chains that start with the home record taking a place in cluster `target`; `with` is its
    /// x · S there.
    pub(super) fn try_chains(&self, home: &Home<'_>, target: u32, with: f64, best: &mut Proposal) {
        for &second in self.partition.members(target as usize) {
            let Some(gain) = self.replaced((home.record, with), second, target, 0.0) else {
                continue;
            };
            for (last, with) in self.table.row(second) {
                if last as usize == home.cluster {
                    continue;
                }
                let with = f64::from(with);
                self.try_path(home, second, (last, with), gain, best);
                for &third in self.partition.members(last as usize) {
                    if let Some(gain) = self.replaced((second, with), third, last, gain) {
                        self.try_ring(home, [second, third], gain, best);
                    }
                }
            }
        }
    }

    /// `so_far` and the gain of a cluster in which a record takes another one's place, where they
    /// are positive together. `with` is the record's x · S there.
    fn replaced(
        &self,
        (record, with): (u32, f64),
        other: u32,
        cluster: u32,
        so_far: f64,
    ) -> Option<f64> {
        let partition = self.partition;
        let size = partition.size(cluster as usize);
        let without_pair = with - f64::from(partition.to_mates[other as usize]);
        let gain = |pair: f64| so_far + 2.0 * (without_pair - pair) / num_mates(size);
        if gain(ALIKE * (with / size as f64).max(0.0)) <= 0.0 {
            return None;
        }
        let row = |record: u32| partition.vectors.row(record as usize);
        Some(gain(f64::from(dot(row(record), row(other))))).filter(|gain| *gain > 0.0)
    }

    fn try_ring(&self, home: &Home<'_>, [second, third]: [u32; 2], gain: f64, best: &mut Proposal) {
        let row = self.partition.vectors.row(third as usize);
        let scale = 2.0 / num_mates(home.size);
        let back = f64::from(dot(row, home.sum));
        let gain = gain + scale * (back - home.to_mates);
        if gain - scale * ALIKE * (back / home.size as f64).max(0.0) <= best.gain {
            return;
        }
        let gain = gain - scale * f64::from(dot(row, home.row));
        let records = [home.record, second, third];
        best.offer(gain, &records, home.cluster as u32, || {
            let ring = [third, home.record, second];
            records.iter().zip(ring).all(|(leaves, comes)| {
                let cluster = self.partition.labels[*leaves as usize] as usize;
                self.partition.may_change(cluster, Some(*leaves), Some(comes))
            })
        });
    }

    /// The home record takes the place of `second`, which joins cluster `last`.
    fn try_path(
        &self,
        home: &Home<'_>,
        second: u32,
        (last, with): (u32, f64),
        gain: f64,
        best: &mut Proposal,
    ) {
        let partition = self.partition;
        let size = partition.size(last as usize);
        if !self.sizes.allow(partition.limits.bounds, home.size, size) {
            return;
        }
        let pairs = f64::from(partition.pairs(last as usize));
        let joined = (pairs + 2.0 * with) / num_mates(size + 1) - pairs / num_mates(size);
        let gain = gain + home.if_removed + joined;
        best.offer(gain, &[home.record, second], last, || {
            let middle = partition.labels[second as usize] as usize;
            partition.may_change(home.cluster, Some(home.record), None)
                && partition.may_change(middle, Some(second), Some(home.record))
                && partition.may_change(last as usize, None, Some(second))
        });
    }
}
