//! Local search: moves and swaps between neighbouring clusters that raise Σ ‖S_c‖² / n_c.
//!
//! In rounds. Every record looks, in parallel and reading only, at the clusters of its neighbours
//! and proposes its best move or swap; proposals are then taken best first, and each cluster
//! changes at most once a round, so every gain is still true when it is applied. The order does
//! not depend on threads, and neither does the result.

use rayon::prelude::*;

mod guests;
mod search;
mod table;

use guests::Reverse;
use search::Search;
use table::{NOBODY, Table};

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

/// When to stop.
#[derive(Debug, Clone, Copy)]
pub struct Effort {
    /// At most so many rounds.
    pub max_rounds: usize,
    /// Stop where a round gains less than this share of the objective.
    pub tolerance: f64,
}

/// A change that would raise the objective by `gain`.
#[derive(Debug, Clone, Copy)]
pub struct Proposal {
    gain: f64,
    record: u32,
    target: u32,
    /// Whom to swap with, or [`NOBODY`] for a move.
    partner: u32,
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
    for round in 1..=effort.max_rounds as u32 {
        progress.start("improve clusters", partition.labels.len() as u64);
        table.update(partition, near, &changed, round, progress)?;
        let search = Search {
            partition,
            table: &table,
            reverse: &reverse,
            sizes,
            changed: &changed,
            floors: &floors,
        };
        let mut proposals = search.propose(&mut rested, round, progress)?;
        proposals
            .par_sort_unstable_by(|a, b| b.gain.total_cmp(&a.gain).then(a.record.cmp(&b.record)));
        let mut touched = Vec::new();
        let mut gained = 0.0;
        for proposal in &proposals {
            if apply(partition, proposal, &mut changed, round, &mut touched) {
                gained += proposal.gain;
            }
        }
        partition.refresh(&touched, progress)?;
        total += touched.len() / 2;
        if touched.is_empty() || gained < effort.tolerance * partition.objective().abs() {
            break;
        }
    }
    Ok(total)
}

fn apply(
    partition: &mut Partition<'_>,
    proposal: &Proposal,
    changed: &mut [u32],
    round: u32,
    touched: &mut Vec<u32>,
) -> bool {
    let (from, to) =
        (partition.labels[proposal.record as usize] as usize, proposal.target as usize);
    if changed[from] == round || changed[to] == round {
        return false;
    }
    partition.remove(proposal.record);
    if proposal.partner != NOBODY {
        partition.remove(proposal.partner);
        partition.insert(from, proposal.partner);
    }
    partition.insert(to, proposal.record);
    for cluster in [from, to] {
        changed[cluster] = round;
        touched.push(cluster as u32);
    }
    true
}
