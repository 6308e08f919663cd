//! The paper's method: mini-batch k-means centres, one per drawn size, filled greedily.
//!
//! For comparison: sizes sum to N, so every cluster fills up, and late records land wherever
//! there is room. Without the mistakes of the paper's code: sizes that cannot sum to N are an
//! error, and a cluster under the smallest size is a leftover rather than lost.

use super::kmeans::{self, nearest};
use super::vectors::{Vectors, dot};
use super::{Clusters, Fate, Limits};
use crate::threads::with_threads;
use crate::{Error, Progress, Result};

/// Nearest centres kept for each record; where all are full, the open ones are searched.
const CHOICES: usize = 32;
/// After so many such searches the lists of the records still waiting are made anew.
const SEARCHES: usize = 512;

/// Options of [`cluster`].
#[derive(Debug, Clone, Copy)]
pub struct Options<'a> {
    /// Bounds and tokens; `min_similarity` is not part of this method.
    pub limits: Limits<'a>,
    /// One cluster of each size; sum at most N.
    pub sizes: &'a [u32],
    /// Passes of k-means over the records.
    pub epochs: usize,
    /// Decides where k-means starts and the order of its batches.
    pub seed: u64,
    /// 0: one thread per core.
    pub num_threads: usize,
}

/// Clusters records as the paper does.
///
/// Records in the order of their largest cosine to a centre take the nearest centre with room.
/// O(N · clusters · D) time; similarities are streamed in blocks, O(N + clusters · D) memory.
///
/// # Errors
/// [`Error::Argument`] for sizes outside the bounds or `min_similarity`; [`Error::Interrupted`].
pub fn cluster(
    vectors: Vectors<'_>,
    options: &Options<'_>,
    progress: &Progress,
) -> Result<Clusters> {
    options.limits.check(vectors.len())?;
    options.limits.bounds.check_given(options.sizes, vectors.len())?;
    if options.limits.min_similarity.is_some() {
        return Err(Error::Argument(
            "the paper's method has no min_similarity; hint: use the method graph".into(),
        ));
    }
    with_threads(options.num_threads, || run(vectors, options, progress))
}

fn run(vectors: Vectors<'_>, options: &Options<'_>, progress: &Progress) -> Result<Clusters> {
    let count = vectors.len();
    let k = options.sizes.len();
    if k == 0 {
        return Ok(Clusters::numbered(vec![-1; count], vec![Fate::NotPartitionable; count]));
    }
    let centres = kmeans::centres(vectors, k, options.epochs, options.seed, progress)?;
    let centres = Vectors::new(&centres, vectors.dim())?;
    let mut seats = Seats {
        vectors,
        centres,
        limits: options.limits,
        room: options.sizes.to_vec(),
        tokens: vec![0; k],
    };
    let labels = seats.seat_all(progress)?;
    Ok(dissolve(labels, options))
}

/// Clusters under the smallest size become leftovers.
fn dissolve(mut labels: Vec<i32>, options: &Options<'_>) -> Clusters {
    let mut sizes = vec![0; options.sizes.len()];
    labels.iter().filter(|l| **l >= 0).for_each(|label| sizes[*label as usize] += 1);
    let limits = &options.limits;
    let fates = (0..labels.len() as u32)
        .map(|record| {
            let label = &mut labels[record as usize];
            if !limits.allows_tokens(limits.tokens_of(record)) {
                Fate::TooLong
            } else if *label < 0 {
                if limits.restrict() { Fate::NoTokensLeft } else { Fate::NotPartitionable }
            } else if sizes[*label as usize] < limits.bounds.min() {
                *label = -1;
                Fate::Dissolved
            } else {
                Fate::Clustered
            }
        })
        .collect();
    Clusters::numbered(labels, fates)
}

struct Seats<'a> {
    vectors: Vectors<'a>,
    centres: Vectors<'a>,
    limits: Limits<'a>,
    room: Vec<u32>,
    tokens: Vec<u64>,
}

impl Seats<'_> {
    fn seat_all(&mut self, progress: &Progress) -> Result<Vec<i32>> {
        let count = self.vectors.len();
        let k = CHOICES.min(self.centres.len());
        progress.start("nearest centres", count as u64);
        let found = nearest(self.vectors, self.centres, k, progress)?;
        let (mut choices, best) = (found.indices, found.similarities);
        let mut order: Vec<u32> = (0..count as u32).collect();
        order.sort_by(|a, b| best[*b as usize * k].total_cmp(&best[*a as usize * k]));
        // row of `choices` that belongs to each place in the order
        let mut rows = order.clone();
        let mut labels = vec![-1; count];
        let mut searches = 0;
        progress.start("take places", count as u64);
        for (place, &record) in order.iter().enumerate() {
            progress.advance(1)?;
            if searches == SEARCHES {
                searches = 0;
                choices = self.choose_anew(&order[place..], k, progress)?;
                rows[place..].iter_mut().enumerate().for_each(|(row, r)| *r = row as u32);
            }
            let row = rows[place] as usize;
            let listed = choices[row * k..(row + 1) * k].iter().copied().filter(|c| *c >= 0);
            let mut found = listed.map(|c| c as usize).find(|c| self.fits(record, *c));
            if found.is_none() {
                found = self.search(record);
                searches += 1;
            }
            if let Some(centre) = found {
                labels[record as usize] = centre as i32;
                self.room[centre] -= 1;
                self.tokens[centre] += self.limits.tokens_of(record);
            }
        }
        Ok(labels)
    }

    fn fits(&self, record: u32, centre: usize) -> bool {
        let tokens = self.tokens[centre] + self.limits.tokens_of(record);
        self.room[centre] > 0 && self.limits.allows_tokens(tokens)
    }

    /// The nearest centre with room for the record, by looking at all of them.
    fn search(&self, record: u32) -> Option<usize> {
        let x = self.vectors.row(record as usize);
        let mut best = (f32::NEG_INFINITY, None);
        for centre in (0..self.room.len()).filter(|centre| self.fits(record, *centre)) {
            let cosine = dot(x, self.centres.row(centre));
            if cosine > best.0 {
                best = (cosine, Some(centre));
            }
        }
        best.1
    }

    /// Nearest open centres of these records.
    fn choose_anew(&self, records: &[u32], k: usize, progress: &Progress) -> Result<Vec<i32>> {
        let dim = self.vectors.dim();
        let open: Vec<u32> =
            (0..self.room.len() as u32).filter(|c| self.room[*c as usize] > 0).collect();
        let rows = kmeans::gather(self.vectors, records);
        let centres = kmeans::gather(self.centres, &open);
        let (rows, centres) = (Vectors::new(&rows, dim)?, Vectors::new(&centres, dim)?);
        let mut choices = nearest(rows, centres, k, progress)?.indices;
        choices.iter_mut().filter(|c| **c >= 0).for_each(|c| *c = open[*c as usize] as i32);
        Ok(choices)
    }
}
