//! Local search: moves and swaps between neighbouring clusters that raise Σ ‖S_c‖² / n_c.
//!
//! In rounds. Every record looks, in parallel and reading only, at the clusters of its neighbours
//! and proposes its best move or swap; proposals are then taken best first, and each cluster
//! changes at most once a round, so every gain is still true when it is applied. The order does
//! not depend on threads, and neither does the result.

use rayon::prelude::*;

use super::fill::Neighbours;
use super::partition::Partition;
use super::vectors::dot;
use crate::{Progress, Result};

/// Gains up to this are rounding.
const LEAST_GAIN: f64 = 1e-4;
/// Records evaluated between two looks at [`Progress`].
const CHUNK: usize = 512;
/// Stands for "no record".
const NOBODY: u32 = u32::MAX;

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

#[derive(Debug, Clone, Copy)]
struct Proposal {
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
    // the last round in which a record found nothing, a cluster changed
    let mut rested = vec![0_u32; partition.labels.len()];
    let mut changed = vec![0_u32; partition.num_clusters()];
    let nearest: Vec<f32> =
        (0..partition.labels.len()).into_par_iter().map(|record| near.nearest(record)).collect();
    let reach: usize = std::env::var("REACH").ok().and_then(|x| x.parse().ok()).unwrap_or(near.k);
    let mut total = 0;
    for round in 1..=effort.max_rounds as u32 {
        progress.start("improve clusters", partition.labels.len() as u64);
        let search = Search { partition, near, sizes, changed: &changed, nearest: &nearest, reach };
        let mut proposals = search.propose(&mut rested, round, progress)?;
        proposals.par_sort_unstable_by(|a, b| {
            b.gain.total_cmp(&a.gain).then(a.record.cmp(&b.record))
        });
        let mut touched = Vec::new();
        let mut gained = 0.0;
        for proposal in &proposals {
            if apply(partition, proposal, &mut changed, round, &mut touched) {
                gained += proposal.gain;
            }
        }
        partition.refresh(&touched, progress)?;
        total += touched.len() / 2;
        if std::env::var("CLDBG").is_ok() {
            eprintln!("round {round} proposals {} applied {} gained {gained:.3} obj {:.2}", proposals.len(), touched.len()/2, partition.objective());
        }
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
    let (from, to) = (partition.labels[proposal.record as usize] as usize, proposal.target as usize);
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

struct Search<'s, 'a> {
    partition: &'s Partition<'a>,
    near: Neighbours<'a>,
    sizes: Sizes,
    changed: &'s [u32],
    /// Similarity of each record to its nearest neighbour.
    nearest: &'s [f32],
    reach: usize,
}

impl Search<'_, '_> {
    fn propose(
        &self,
        rested: &mut [u32],
        round: u32,
        progress: &Progress,
    ) -> Result<Vec<Proposal>> {
        let chunks: Vec<Vec<Proposal>> = rested
            .par_chunks_mut(CHUNK)
            .enumerate()
            .map(|(chunk, rested)| {
                progress.advance(rested.len() as u64)?;
                let mut found = Vec::new();
                let mut targets = Vec::with_capacity(self.near.k);
                for (offset, rested) in rested.iter_mut().enumerate() {
                    let record = (chunk * CHUNK + offset) as u32;
                    self.targets(record, *rested, &mut targets);
                    if targets.is_empty() {
                        continue;
                    }
                    match self.best(record, &targets) {
                        Some(proposal) => found.push(proposal),
                        None => *rested = round,
                    }
                }
                Ok(found)
            })
            .collect::<Result<_>>()?;
        Ok(chunks.concat())
    }

    /// Other clusters of the record's neighbours in which, or at home, something changed since;
    /// those with the strongest ties first.
    fn targets(&self, record: u32, rested: u32, targets: &mut Vec<Target>) {
        targets.clear();
        let home = self.partition.labels[record as usize];
        if home < 0 {
            return;
        }
        let all = self.changed[home as usize] >= rested;
        let mut floor = -1.0;
        for (neighbour, similarity) in self.near.of(record as usize).take(self.reach) {
            floor = similarity;
            let label = self.partition.labels[neighbour as usize];
            if label < 0 || label == home || !(all || self.changed[label as usize] >= rested) {
                continue;
            }
            let cluster = label as u32;
            match targets.iter_mut().find(|target| target.cluster == cluster) {
                Some(target) => {
                    target.listed += 1;
                    target.ties += similarity;
                }
                None => targets.push(Target { cluster, listed: 1, ties: similarity, most: 0.0 }),
            }
        }
        for target in targets.iter_mut() {
            let unlisted = self.partition.size(target.cluster as usize) as f32 - target.listed as f32;
            target.most = target.ties + unlisted * floor;
        }
        targets.sort_unstable_by(|a, b| b.ties.total_cmp(&a.ties).then(a.cluster.cmp(&b.cluster)));
    }

    fn best(&self, record: u32, targets: &[Target]) -> Option<Proposal> {
        let home = Home::new(self.partition, record);
        let mut best = Proposal { gain: LEAST_GAIN, record, target: NOBODY, partner: NOBODY };
        for target in targets {
            let cluster = target.cluster;
            let mut with = None;
            self.try_move(&home, target, &mut with, &mut best);
            for &partner in self.partition.members(cluster as usize) {
                self.try_swap(&home, target, partner, &mut with, &mut best);
            }
        }
        (best.target != NOBODY).then_some(best)
    }

    fn with(&self, home: &Home<'_>, target: &Target, with: &mut Option<f64>) -> f64 {
        *with.get_or_insert_with(|| {
            f64::from(dot(home.row, self.partition.sum(target.cluster as usize)))
        })
    }

    fn try_move(
        &self,
        home: &Home<'_>,
        target: &Target,
        with: &mut Option<f64>,
        best: &mut Proposal,
    ) {
        let cluster = target.cluster as usize;
        let (from, to) = (home.size, self.partition.size(cluster));
        let bounds = self.partition.limits.bounds;
        let allowed = match self.sizes {
            Sizes::Free => from > bounds.min() && to < bounds.max(),
            Sizes::Kept => from == to + 1,
        };
        let square = f64::from(self.partition.square(cluster));
        let gain = |with: f64| {
            home.if_removed + (square + 2.0 * with + home.norm) / (to + 1) as f64
                - square / to as f64
        };
        if !allowed || gain(f64::from(target.most)) <= best.gain {
            return;
        }
        let gain = gain(self.with(home, target, with));
        if gain > best.gain && self.partition.may_move(home.record, cluster) {
            *best = Proposal { gain, target: target.cluster, partner: NOBODY, ..*best };
        }
    }

    fn try_swap(
        &self,
        home: &Home<'_>,
        target: &Target,
        partner: u32,
        with: &mut Option<f64>,
        best: &mut Proposal,
    ) {
        let partition = self.partition;
        let (from, to) = (home.size as f64, partition.size(target.cluster as usize) as f64);
        let norms = home.norm + f64::from(partition.norms[partner as usize]);
        let own = f64::from(partition.own[partner as usize]);
        let gain = |with: f64, pair: f64, back: f64| {
            (norms - 2.0 * home.own + 2.0 * (back - pair)) / from
                + (norms - 2.0 * own + 2.0 * (with - pair)) / to
        };
        // the partner cannot be nearer to the others at home than to its nearest neighbour
        let welcome = home.others.min((from - 1.0) * f64::from(self.nearest[partner as usize]));
        let most = with.unwrap_or(f64::from(target.most));
        if gain(most, 0.0, welcome) <= best.gain {
            return;
        }
        let row = partition.vectors.row(partner as usize);
        let pair = f64::from(dot(home.row, row));
        let most = with.unwrap_or(f64::from(target.most));
        if gain(most, pair, welcome + pair) <= best.gain {
            return;
        }
        let with = self.with(home, target, with);
        if gain(with, pair, welcome + pair) <= best.gain {
            return;
        }
        let gain = gain(with, pair, f64::from(dot(row, home.sum)));
        if gain > best.gain && partition.may_swap(home.record, partner) {
            *best = Proposal { gain, target: target.cluster, partner, ..*best };
        }
    }
}

/// A cluster that a record may go to.
#[derive(Debug, Clone, Copy)]
struct Target {
    cluster: u32,
    /// How many of its members are neighbours of the record, and their similarities together.
    listed: u32,
    ties: f32,
    /// The most that x · S can be: members that are not listed are no nearer than the last listed.
    most: f32,
}

/// What is known of a record in its own cluster.
struct Home<'p> {
    record: u32,
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
