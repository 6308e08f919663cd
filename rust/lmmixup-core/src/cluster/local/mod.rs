//! Local search: moves and swaps between neighbouring clusters that raise Σ ‖S_c‖² / n_c.
//!
//! In rounds. Every record looks, in parallel and reading only, at the clusters of its neighbours
//! and proposes its best move or swap; proposals are then taken best first, and each cluster
//! changes at most once a round, so every gain is still true when it is applied. The order does
//! not depend on threads, and neither does the result.

use rayon::prelude::*;

mod chains;
mod guests;
mod search;
mod table;

use guests::Reverse;
use search::{Reach, Search};
use table::{NOBODY, Table};

use super::Bounds;
use super::fill::Neighbours;
use super::partition::Partition;
use crate::{Progress, Result};

/// Gains up to this are rounding.
const LEAST_GAIN: f64 = 1e-4;

/// How cluster sizes may change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sizes {
    /// Freely within the bounds.
    Free,
    /// The multiset of sizes stays: a move needs a cluster one larger than the target.
    Kept,
}

impl Sizes {
    /// Whether a record may go from a cluster of one size to a cluster of another.
    fn allow(self, bounds: Bounds, from: usize, to: usize) -> bool {
        match self {
            Self::Free => from > bounds.min() && to < bounds.max(),
            Self::Kept => from == to + 1,
        }
    }
}

/// When to stop.
#[derive(Debug, Clone, Copy)]
pub struct Effort {
    /// At most so many rounds.
    pub max_rounds: usize,
    /// Stop where a round gains less than this share of the objective.
    pub tolerance: f64,
}

/// A chain of records that would raise the objective by `gain`: each goes to the cluster of the
/// next one, the last one to `target`. One record is a move, two that end where the first one
/// left are a swap.
#[derive(Debug, Clone, Copy)]
pub struct Proposal {
    gain: f64,
    chain: [u32; LONGEST],
    target: u32,
}

/// Records in a chain at most.
const LONGEST: usize = 3;

impl Proposal {
    fn none() -> Self {
        Self { gain: LEAST_GAIN, chain: [NOBODY; LONGEST], target: NOBODY }
    }

    /// The better one of this and another chain, which `may` has to allow where it is better.
    fn offer(&mut self, gain: f64, records: &[u32], target: u32, may: impl FnOnce() -> bool) {
        if gain > self.gain && may() {
            let mut chain = [NOBODY; LONGEST];
            chain[..records.len()].copy_from_slice(records);
            *self = Self { gain, chain, target };
        }
    }

    fn records(&self) -> &[u32] {
        let length = self.chain.iter().position(|record| *record == NOBODY).unwrap_or(LONGEST);
        &self.chain[..length]
    }
}

/// Improves a refreshed partition until no record has a move or swap that gains.
///
/// Returns the number of moves and swaps. O(N · K · D) for the first round; later ones look only
/// at clusters that changed. Deterministic at any number of threads.
///
/// # Errors
/// [`crate::Error::Interrupted`].
pub fn improve(
    partition: &mut Partition<'_>,
    near: Neighbours<'_>,
    sizes: Sizes,
    effort: Effort,
    progress: &Progress,
) -> Result<usize> {
    if near.k == 0 {
        return Ok(0);
    }
    let mut rested = vec![0_u32; partition.labels.len()];
    let mut changed = vec![0_u32; partition.num_clusters()];
    let floors: Vec<f32> =
        (0..partition.labels.len()).into_par_iter().map(|record| near.last(record)).collect();
    let reverse = Reverse::new(near, partition.labels.len());
    let mut table = Table::new(partition.labels.len(), near.k);
    let mut total = 0;
    let mut reach = Reach::Pairs;
    for round in 1..=effort.max_rounds as u32 {
        progress.start("improve clusters", partition.labels.len() as u64);
        table.update(partition, near, &changed, round, progress)?;
        let search = Search {
            partition,
            table: &table,
            reverse: &reverse,
            sizes,
            reach,
            changed: &changed,
            floors: &floors,
        };
        let mut proposals = search.propose(&mut rested, round, progress)?;
        proposals
            .par_sort_unstable_by(|a, b| b.gain.total_cmp(&a.gain).then(a.chain.cmp(&b.chain)));
        let mut touched = Vec::new();
        let mut gained = 0.0;
        for proposal in &proposals {
            if apply(partition, proposal, &mut changed, round, &mut touched) {
                gained += proposal.gain;
            }
        }
        partition.refresh(&touched, progress)?;
        total += touched.len() / 2;
        if std::env::var("CLX").is_ok() { eprintln!("round {round} {reach:?} proposals {} touched {} gained {gained:.2} obj {:.2}", proposals.len(), touched.len(), partition.objective()); }
        if touched.is_empty() || gained < effort.tolerance * partition.objective().abs() {
            if reach == Reach::Chains {
                break;
            }
            reach = Reach::Chains;
            rested.fill(0);
        }
    }
    Ok(total)
}

/// Makes the changes of a proposal unless one of its clusters changed this round already.
fn apply(
    partition: &mut Partition<'_>,
    proposal: &Proposal,
    changed: &mut [u32],
    round: u32,
    touched: &mut Vec<u32>,
) -> bool {
    let records = proposal.records();
    let homes = records.iter().map(|record| partition.labels[*record as usize] as u32);
    let mut clusters: Vec<u32> = homes.chain([proposal.target]).collect();
    if clusters.iter().any(|cluster| changed[*cluster as usize] == round) {
        return false;
    }
    records.iter().for_each(|record| partition.remove(*record));
    for (record, target) in records.iter().zip(&clusters[1..]) {
        partition.insert(*target as usize, *record);
    }
    if clusters.first() == clusters.last() {
        clusters.pop();
    }
    clusters.iter().for_each(|cluster| changed[*cluster as usize] = round);
    touched.extend(clusters);
    true
}
