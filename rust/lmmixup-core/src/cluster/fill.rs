//! Seeded fill: dense records first, each takes its nearest free neighbours into a cluster.

use super::capacity::Bounds;
use super::partition::{FREE, Partition};
use super::vectors::dot;
use crate::{Error, Progress, Result};

/// The last record taken keeps at least this share of the first one's similarity to the seed.
const KEEP: f32 = 0.8;

/// Neighbours of some records: `indices` and `similarities` hold `k` per row, nearest first.
#[derive(Debug, Clone, Copy)]
pub struct Neighbours<'a> {
    /// Record numbers; −1 where there are fewer than `k`.
    pub indices: &'a [i32],
    /// Cosines, descending.
    pub similarities: &'a [f32],
    /// Neighbours a row.
    pub k: usize,
}

impl<'a> Neighbours<'a> {
    /// The neighbours of row `row` with their similarities, nearest first.
    #[inline]
    pub fn of(&self, row: usize) -> impl Iterator<Item = (u32, f32)> + Clone + 'a {
        let range = row * self.k..(row + 1) * self.k;
        let similarities = self.similarities[range.clone()].iter().copied();
        let indices = self.indices[range].iter().copied();
        indices.zip(similarities).take_while(|(i, _)| *i >= 0).map(|(i, s)| (i as u32, s))
    }

    /// The smallest similarity of a row; −1 where it has no neighbours.
    #[inline]
    pub fn last(&self, row: usize) -> f32 {
        self.of(row).last().map_or(-1.0, |(_, similarity)| similarity)
    }

    /// Checks shapes and that indices are records or −1.
    pub(crate) fn check(&self, num_records: usize) -> Result<()> {
        let expected = num_records * self.k;
        if self.indices.len() != expected || self.similarities.len() != expected {
            return Err(Error::Argument(format!(
                "neighbours must be ({num_records}, {}), got {} indices and {} similarities",
                self.k,
                self.indices.len(),
                self.similarities.len()
            )));
        }
        match self.indices.iter().find(|index| **index >= num_records as i32 || **index < -1) {
            Some(index) => Err(Error::Data(format!(
                "neighbour indices must be -1 or below {num_records}, got {index}"
            ))),
            None => Ok(()),
        }
    }

    /// Number of rows.
    pub fn num_rows(&self) -> usize {
        self.indices.len().checked_div(self.k).unwrap_or(0)
    }
}

/// Which sizes are still to be made, so that what remains can always be filled.
#[derive(Debug, Clone)]
pub enum Plan {
    /// `clusters` more clusters of any sizes for `records` more records.
    Bounds {
        /// The sizes.
        bounds: Bounds,
        /// Records still to place.
        records: usize,
        /// Clusters still to make.
        clusters: usize,
    },
    /// How many clusters of each size (the index) are still to make.
    Sizes(Vec<u32>),
}

impl Plan {
    /// The largest size to make next that is at most `wanted`; else the smallest possible.
    /// `None` where nothing is left to make.
    pub fn size(&self, wanted: usize) -> Option<usize> {
        match self {
            Self::Bounds { clusters: 0, .. } => None,
            Self::Bounds { bounds, records, clusters } => {
                let others = clusters - 1;
                let low = bounds.min().max(records.saturating_sub(others * bounds.max()));
                let high = bounds.max().min(records.saturating_sub(others * bounds.min()));
                Some(wanted.min(high).max(low))
            }
            Self::Sizes(counts) => {
                let open = |size: &usize| counts[*size] > 0;
                let upper = wanted.min(counts.len() - 1);
                (1..=upper).rev().find(open).or_else(|| (upper + 1..counts.len()).find(open))
            }
        }
    }

    /// Takes a size out of the plan.
    pub fn made(&mut self, size: usize) {
        match self {
            Self::Bounds { records, clusters, .. } => {
                *records = records.saturating_sub(size);
                *clusters = clusters.saturating_sub(1);
            }
            Self::Sizes(counts) => counts[size] -= 1,
        }
    }
}

/// One pass over the free records `rows` (row r of `near` has the neighbours of record `rows[r]`,
/// as positions in `rows`) in the order `order` of rows. Returns how many clusters were made.
///
/// A seed takes free neighbours, then neighbours of those, nearest first, as long as `limits`
/// allow; `all` records serve where those do not suffice, which makes the pass end with whole
/// clusters only. O(rows · k), and D · size² for each cluster with `min_similarity`.
///
/// # Errors
/// [`crate::Error::Interrupted`].
pub fn fill(
    partition: &mut Partition<'_>,
    plan: &mut Plan,
    rows: &[u32],
    near: Neighbours<'_>,
    order: &[u32],
    all: bool,
    progress: &Progress,
) -> Result<usize> {
    let before = partition.num_clusters();
    let mut group = Group::default();
    for (turn, &row) in order.iter().enumerate() {
        if turn % 4096 == 0 {
            progress.advance(4096)?;
        }
        let seed = rows[row as usize];
        if partition.labels[seed as usize] != FREE {
            continue;
        }
        group.grow(partition, rows, near, row as usize, all);
        let Some(size) = next_size(partition, plan, &group) else { break };
        if size <= group.records.len() {
            partition.push(&group.records[..size]);
            plan.made(size);
        }
    }
    Ok(partition.num_clusters() - before)
}

/// The size for this group: what similarity suggests, within the plan.
fn next_size(partition: &Partition<'_>, plan: &Plan, group: &Group) -> Option<usize> {
    let wanted = group.wanted(partition.limits.bounds.max());
    let size = plan.size(wanted);
    if partition.limits.restrict() && matches!(plan, Plan::Bounds { .. }) {
        // some records will have no place, so the plan cannot come out even: it only guides
        return Some(size.unwrap_or(wanted).min(wanted).max(partition.limits.bounds.min()));
    }
    size
}

/// Records that could form a cluster: any prefix of them keeps to the limits.
#[derive(Default)]
struct Group {
    records: Vec<u32>,
    /// Similarity of each record to the seed (of the record that led to it, further out).
    similarities: Vec<f32>,
    /// Sum of cosines of each record to the others.
    cosines: Vec<f32>,
    tokens: u64,
}

impl Group {
    fn grow(
        &mut self,
        partition: &Partition<'_>,
        rows: &[u32],
        near: Neighbours<'_>,
        seed: usize,
        all: bool,
    ) {
        self.records.clear();
        self.similarities.clear();
        self.cosines.clear();
        self.tokens = 0;
        self.offer(partition, rows[seed], 1.0);
        self.offer_neighbours(partition, rows, near, seed, 1.0);
        if near.k < partition.limits.bounds.max() {
            // lists too short for the largest cluster: neighbours of neighbours, at most once each
            for (row, similarity) in near.of(seed) {
                self.offer_neighbours(partition, rows, near, row as usize, similarity);
            }
        }
        if all {
            for &record in rows {
                if self.is_full(partition) {
                    break;
                }
                self.offer(partition, record, -1.0);
            }
        }
    }

    fn offer_neighbours(
        &mut self,
        partition: &Partition<'_>,
        rows: &[u32],
        near: Neighbours<'_>,
        row: usize,
        through: f32,
    ) {
        for (row, similarity) in near.of(row) {
            if self.is_full(partition) {
                break;
            }
            self.offer(partition, rows[row as usize], through * similarity);
        }
    }

    fn is_full(&self, partition: &Partition<'_>) -> bool {
        self.records.len() >= 2 * partition.limits.bounds.max()
    }

    fn offer(&mut self, partition: &Partition<'_>, record: u32, similarity: f32) -> bool {
        let limits = &partition.limits;
        let tokens = self.tokens + limits.tokens_of(record);
        if partition.labels[record as usize] != FREE
            || self.records.contains(&record)
            || !limits.allows_tokens(tokens)
            || !self.is_similar(partition, record)
        {
            return false;
        }
        self.records.push(record);
        self.similarities.push(similarity);
        self.tokens = tokens;
        true
    }

    /// Whether all would keep `min_similarity` with this record; counts its cosines if so.
    fn is_similar(&mut self, partition: &Partition<'_>, record: u32) -> bool {
        let Some(least) = partition.limits.min_similarity else { return true };
        let x = partition.vectors.row(record as usize);
        let with: Vec<f32> =
            self.records.iter().map(|r| dot(partition.vectors.row(*r as usize), x)).collect();
        let needed = least * self.records.len() as f32;
        let total: f32 = with.iter().sum();
        let fits = total >= needed && self.cosines.iter().zip(&with).all(|(c, w)| c + w >= needed);
        if fits {
            self.cosines.iter_mut().zip(&with).for_each(|(cosine, with)| *cosine += with);
            self.cosines.push(total);
        }
        fits
    }

    /// How many records similarity suggests: those that keep [`KEEP`] of the best.
    fn wanted(&self, max: usize) -> usize {
        let best = self.similarities.get(1).copied().unwrap_or(0.0);
        let close = self.similarities.iter().take_while(|s| **s >= KEEP * best).count();
        close.div_ceil(close.div_ceil(max).max(1))
    }
}
