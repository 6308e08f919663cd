//! How much of one pool is found in another: contamination with an evaluation set.

use rayon::prelude::*;

use crate::text::{HashedMap, Shingler, TextPool, jaccard};
use crate::threads::with_threads;
use crate::{Error, Progress, Result};

const RECORDS_A_TASK: usize = 1024;

/// The best match of each record of one side on the other side.
#[derive(Debug, Clone, PartialEq)]
pub struct Matches {
    /// Record with the highest containment, lowest index first among equals; −1: nothing shared.
    pub container: Vec<i32>,
    /// Share of the *other* side's shingles that the two have in common, 0 to 1.
    pub containment: Vec<f64>,
    /// Record with the highest Jaccard similarity; −1: nothing shared.
    pub nearest: Vec<i32>,
    /// That similarity, 0 to 1.
    pub jaccard: Vec<f64>,
}

impl Matches {
    fn new(size: usize) -> Self {
        Self {
            container: vec![-1; size],
            containment: vec![0.0; size],
            nearest: vec![-1; size],
            jaccard: vec![0.0; size],
        }
    }

    /// Takes a pair in; partners must come in ascending order.
    fn offer(&mut self, record: usize, partner: usize, pair: Pair) {
        if pair.containment > self.containment[record] {
            self.containment[record] = pair.containment;
            self.container[record] = partner as i32;
        }
        if pair.jaccard > self.jaccard[record] {
            self.jaccard[record] = pair.jaccard;
            self.nearest[record] = partner as i32;
        }
    }
}

#[derive(Clone, Copy)]
struct Pair {
    containment: f64,
    jaccard: f64,
}

/// Compares the first `num_other` records of `texts` (OTHER) with the rest of them (POOL).
///
/// Containment is |O ∩ P| / |O| for a record O of OTHER and P of POOL, whichever side it is
/// reported for: a short question inside a long prompt has a low Jaccard similarity but a
/// containment near 1. Returns the matches of OTHER's records and those of POOL's, with
/// indices that count from the start of the other side.
///
/// Exact but for 64-bit hash collisions; records without tokens match nothing. O(shingles of
/// POOL + shared shingles × records of OTHER that have them); the same at any number of threads.
///
/// # Errors
/// [`Error::Argument`] where `num_other` exceeds the records; [`Error::Interrupted`].
pub fn matches(
    texts: &TextPool,
    num_other: usize,
    num_threads: usize,
    progress: &Progress,
) -> Result<(Matches, Matches)> {
    let Some(num_pool) = texts.len().checked_sub(num_other) else {
        return Err(Error::Argument(format!(
            "expected at most {} records as the other pool, got {num_other}",
            texts.len()
        )));
    };
    with_threads(num_threads, || {
        let index = Index::of(texts, num_other);
        progress.start("look for the other pool", num_pool as u64);
        let starts: Vec<usize> = (0..num_pool).step_by(RECORDS_A_TASK).collect();
        let found: Vec<Vec<(u32, u32, Pair)>> = starts
            .into_par_iter()
            .map(|start| {
                let rows = start..num_pool.min(start + RECORDS_A_TASK);
                progress.advance(rows.len() as u64)?;
                Ok(index.find(texts, rows))
            })
            .collect::<Result<_>>()?;
        let (mut of_other, mut of_pool) = (Matches::new(num_other), Matches::new(num_pool));
        for (pool, other, pair) in found.into_iter().flatten() {
            of_other.offer(other as usize, pool as usize, pair);
            of_pool.offer(pool as usize, other as usize, pair);
        }
        Ok((of_other, of_pool))
    })
}

/// OTHER's shingles and the records that have them.
struct Index {
    postings: HashedMap<(u32, u32)>,
    records: Vec<u32>,
    size: Vec<u32>,
}

impl Index {
    fn of(texts: &TextPool, num_other: usize) -> Self {
        let mut shingler = Shingler::new(texts.options().num_tokens);
        let (mut pairs, mut size) = (Vec::new(), Vec::with_capacity(num_other));
        for record in 0..num_other {
            shingler.load(texts.units(record));
            size.push(shingler.items().len() as u32);
            pairs.extend(shingler.items().iter().map(|&shingle| (shingle, record as u32)));
        }
        pairs.par_sort_unstable();
        let mut postings = HashedMap::default();
        let mut start = 0;
        for same in pairs.chunk_by(|a, b| a.0 == b.0) {
            postings.insert(same[0].0, (start, start + same.len() as u32));
            start += same.len() as u32;
        }
        Self { postings, records: pairs.into_iter().map(|pair| pair.1).collect(), size }
    }

    /// Best pairs of some rows of POOL, both ways, in order of (row, record).
    fn find(&self, texts: &TextPool, rows: std::ops::Range<usize>) -> Vec<(u32, u32, Pair)> {
        let mut shingler = Shingler::new(texts.options().num_tokens);
        let mut common = vec![0u32; self.size.len()];
        let (mut touched, mut out) = (Vec::new(), Vec::new());
        let mut best = Matches::new(self.size.len());
        for row in rows {
            shingler.load(texts.units(self.size.len() + row));
            for shingle in shingler.items() {
                let Some(&(start, end)) = self.postings.get(shingle) else { continue };
                for &record in &self.records[start as usize..end as usize] {
                    if common[record as usize] == 0 {
                        touched.push(record);
                    }
                    common[record as usize] += 1;
                }
            }
            touched.sort_unstable();
            let mut own = Matches::new(1);
            for record in touched.drain(..) {
                let at = record as usize;
                let overlap = std::mem::take(&mut common[at]) as usize;
                let pair = Pair {
                    containment: overlap as f64 / f64::from(self.size[at]),
                    jaccard: jaccard(overlap, shingler.items().len(), self.size[at] as usize),
                };
                let before = (own.containment[0], own.jaccard[0]);
                own.offer(0, at, pair);
                let before_other = (best.containment[at], best.jaccard[at]);
                best.offer(at, row, pair);
                // Pairs that improve neither side cannot be anyone's best.
                if before != (own.containment[0], own.jaccard[0])
                    || before_other != (best.containment[at], best.jaccard[at])
                {
                    out.push((row as u32, record, pair));
                }
            }
        }
        out
    }
}
