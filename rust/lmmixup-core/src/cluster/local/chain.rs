//! What the local search changes: one record moves, two swap, three change places.

use super::table::NOBODY;
use super::{LEAST_GAIN, Sizes};
use crate::cluster::partition::Partition;

/// Records in a chain at most.
pub const LONGEST: usize = 3;

/// A chain of records, each of which goes to the cluster of the next one and the last one to
/// `target`. Where that is the first one's cluster the chain is a ring, and no size changes: two
/// records in a ring swap. One record alone moves.
#[derive(Debug, Clone, Copy)]
pub struct Chain {
    /// What the objective gains.
    pub gain: f64,
    records: [u32; LONGEST],
    target: u32,
}

/// One cluster in which something changes: what leaves it and what comes.
pub type Step = (usize, Option<u32>, Option<u32>);

impl Chain {
    /// No records; what is [`Chain::offer`]ed has to gain more than rounding.
    pub fn none() -> Self {
        Self { gain: LEAST_GAIN, records: [NOBODY; LONGEST], target: NOBODY }
    }

    /// Whether there are no records.
    pub fn is_none(&self) -> bool {
        self.target == NOBODY
    }

    /// The chain of `records` that gains nothing known.
    pub fn of(records: &[u32], target: u32) -> Self {
        let mut chain = Self { gain: 0.0, records: [NOBODY; LONGEST], target };
        chain.records[..records.len()].copy_from_slice(records);
        chain
    }

    /// Becomes the chain of `records` if it gains more and every cluster may change so.
    pub fn offer(&mut self, gain: f64, records: &[u32], target: u32, partition: &Partition<'_>) {
        if gain <= self.gain {
            return;
        }
        let other = Self { gain, ..Self::of(records, target) };
        if other.may(partition) {
            *self = other;
        }
    }

    /// Best gain first; equal ones in one order whatever found them.
    pub fn order(&self, other: &Self) -> std::cmp::Ordering {
        other.gain.total_cmp(&self.gain).then(self.records.cmp(&other.records))
    }

    /// Makes the changes in a refreshed partition, refreshes the clusters, and gives what they
    /// gain. Where one of the clusters changed in this round already the chain is judged anew:
    /// where it gains nothing, or breaks a limit, nothing is done and the gain is 0.
    pub fn apply(
        mut self,
        partition: &mut Partition<'_>,
        sizes: Sizes,
        changed: &mut [u32],
        round: u32,
    ) -> f64 {
        if self.steps(partition).any(|(cluster, ..)| changed[cluster] == round) {
            if !self.is_still_a_chain(partition, sizes) || !self.may(partition) {
                return 0.0;
            }
            self.gain = self.judge(partition);
            if self.gain <= LEAST_GAIN {
                return 0.0;
            }
        }
        self.steps(partition).for_each(|(cluster, ..)| changed[cluster] = round);
        self.change(partition);
        self.gain
    }

    /// What the objective gains in a refreshed partition.
    pub fn judge(&self, partition: &Partition<'_>) -> f64 {
        let gain = |(cluster, leaves, comes)| partition.gain(cluster, leaves, comes);
        self.steps(partition).map(gain).sum()
    }

    /// Makes the changes and refreshes the clusters.
    pub fn change(&self, partition: &mut Partition<'_>) {
        let steps: Vec<Step> = self.steps(partition).collect();
        self.records().iter().for_each(|record| partition.remove(*record));
        for (cluster, _, comes) in steps {
            comes.into_iter().for_each(|record| partition.insert(cluster, record));
            partition.refresh(cluster);
        }
    }

    fn records(&self) -> &[u32] {
        let length = self.records.iter().position(|record| *record == NOBODY).unwrap_or(LONGEST);
        &self.records[..length]
    }

    /// The clusters in the order of the chain, and what changes in each.
    pub fn steps<'a>(&'a self, partition: &'a Partition<'_>) -> impl Iterator<Item = Step> + 'a {
        let records = self.records();
        let home = |record: &u32| partition.labels[*record as usize] as usize;
        let target = self.target as usize;
        let ring = records.first().map(home) == Some(target);
        let last = records.last().copied();
        let first_comes = if ring { last } else { None };
        let comes = std::iter::once(first_comes).chain(records.iter().copied().map(Some));
        let steps = records.iter().zip(comes).map(move |(r, comes)| (home(r), Some(*r), comes));
        steps.chain((!ring).then_some((target, None, last)))
    }

    /// Whether every cluster keeps to the limits beside its size.
    pub fn may(&self, partition: &Partition<'_>) -> bool {
        self.steps(partition)
            .all(|(cluster, leaves, comes)| partition.may_change(cluster, leaves, comes))
    }

    /// Whether the clusters are still different ones and their sizes may change.
    fn is_still_a_chain(&self, partition: &Partition<'_>, sizes: Sizes) -> bool {
        let mut clusters = [usize::MAX; LONGEST + 1];
        let mut length = 0;
        for (cluster, ..) in self.steps(partition) {
            if clusters[..length].contains(&cluster) {
                return false;
            }
            clusters[length] = cluster;
            length += 1;
        }
        let (from, to) = (clusters[0], clusters[length - 1]);
        length == self.records().len()
            || sizes.allow(partition.limits.bounds, partition.size(from), partition.size(to))
    }
}
