//! Exact neighbours of queries in a pool: integer products say how near a row can be at most,
//! single precision decides.
//!
//! A query keeps the best of those rows that were decided, and a few candidates that could still
//! be better. When there is no more room for these, they are decided from the likeliest on, until
//! the k-th best is better than the next can be. The k-th best is then the floor: whoever cannot
//! reach it is no candidate. So most rows of a pool are never read in single precision.

use std::ops::Range;

use rayon::prelude::*;

use super::codes::{Codes, Panels};
use super::exact::unlike_all;
use super::kernels::{Band, Kernels, PANEL};
use super::pairs::{BLOCK, NOBODY, Tiles};
use super::topk::Entry;
use super::vectors::Vectors;
use super::{Neighbours, Rows};
use crate::{Progress, Result};

/// Panels between two looks at whether to stop.
const PANELS_A_BEAT: usize = 256;

/// The nearest in `pool` of each of `queries`, on the current rayon pool.
pub(super) fn of_queries(
    pool: &Vectors<'_>,
    queries: &Vectors<'_>,
    k: usize,
    progress: &Progress,
) -> Result<Neighbours> {
    of_queries_among(pool, &Panels::of(pool), queries, k, progress)
}

/// The nearest in `pool`, whose codes are `panels`, of each of `queries`.
pub(super) fn of_queries_among(
    pool: &Vectors<'_>,
    panels: &Panels,
    queries: &Vectors<'_>,
    k: usize,
    progress: &Progress,
) -> Result<Neighbours> {
    let mut found = Neighbours::none(queries.len(), k);
    let k = k.min(pool.len());
    if k == 0 {
        return Ok(found);
    }
    let codes = Codes::new(queries);
    let asked = Asked { pool, queries, tiles: Tiles { codes: &codes, panels }, k };
    let block_len = block_len(queries.len());
    let segments = segments(queries.len().div_ceil(block_len), panels.len());
    progress.start("neighbours", queries.len() as u64);
    found.par_blocks(block_len).enumerate().try_for_each(|(at, mut out)| {
        let first = at * block_len;
        let scan = |segment: &Range<usize>| asked.scan(first, out.len(), segment, progress);
        let parts = segments.par_iter().map(scan).collect::<Result<Vec<_>>>()?;
        asked.write(first, &parts, &mut out);
        progress.advance(out.len() as u64)
    })?;
    Ok(found)
}

/// The nearest others of some rows of `pool`.
pub(super) fn of_rows(
    pool: &Vectors<'_>,
    rows: &[u32],
    k: usize,
    progress: &Progress,
) -> Result<Neighbours> {
    let mut found = Neighbours::none(rows.len(), k);
    if rows.is_empty() {
        return Ok(found);
    }
    let data: Vec<f32> = rows.iter().flat_map(|&row| pool.row(row as usize)).copied().collect();
    let with_itself = of_queries(pool, &Vectors::new(&data, pool.dim())?, k + 1, progress)?;
    for (at, &row) in rows.iter().enumerate() {
        let all = with_itself.row(at).filter(|&(other, _)| other != row as i32).take(k);
        for (rank, (other, similarity)) in all.enumerate() {
            found.indices[at * k + rank] = other;
            found.similarities[at * k + rank] = similarity;
        }
    }
    Ok(found)
}

/// Queries of a block: fewer than usual where that gives each thread one.
fn block_len(num_queries: usize) -> usize {
    num_queries.div_ceil(rayon::current_num_threads()).next_multiple_of(PANEL).clamp(PANEL, BLOCK)
}

/// Ranges of panels that are scanned apart, where the blocks alone make too few tasks. Each has
/// floors of its own and so more candidates, which is why there are no more than threads.
fn segments(num_blocks: usize, num_panels: usize) -> Vec<Range<usize>> {
    let num = rayon::current_num_threads().div_ceil(num_blocks.max(1)).min(num_panels);
    (0..num).map(|at| num_panels * at / num..num_panels * (at + 1) / num).collect()
}

/// Who asks whom for how many.
struct Asked<'a> {
    pool: &'a Vectors<'a>,
    queries: &'a Vectors<'a>,
    tiles: Tiles<'a>,
    k: usize,
}

impl Asked<'_> {
    /// The nearest of the queries `first..first + len` among the panels of a segment.
    fn scan(
        &self,
        first: usize,
        len: usize,
        segment: &Range<usize>,
        progress: &Progress,
    ) -> Result<Vec<Answer>> {
        let mut answers: Vec<Answer> =
            (first..first + len).map(|query| Answer::new(self, query)).collect();
        for panel in segment.clone() {
            self.look(first, panel, &mut answers);
            if panel % PANELS_A_BEAT == 0 {
                progress.advance(0)?;
            }
        }
        for (at, answer) in answers.iter_mut().enumerate() {
            answer.decide(|column| self.cosine(first + at, column));
        }
        Ok(answers)
    }

    /// Shows the columns of a panel to the queries from `first` on.
    fn look(&self, first: usize, panel: usize, answers: &mut [Answer]) {
        let mut most = [0.0; PANEL];
        self.tiles.multiply(first, answers.len(), panel, |query, products| {
            let answer = &mut answers[query - first];
            let band = self.tiles.band(query, panel, answer.floor, &NOBODY);
            let band = Band { stretch: answer.stretch, ..band };
            let (mut passed, _) = Kernels::best().filter(products, &band, &mut most);
            while passed != 0 {
                let at = passed.trailing_zeros() as usize;
                passed &= passed - 1;
                let candidate = Entry::new(most[at], (panel * PANEL + at) as u32);
                answer.hear(candidate, |column| self.cosine(query, column));
            }
        });
    }

    fn cosine(&self, query: usize, column: u32) -> f32 {
        self.queries.cosine(query, self.pool, column as usize)
    }

    /// Writes the best of all segments for the queries from `first` on.
    fn write(&self, first: usize, segments: &[Vec<Answer>], out: &mut Rows<'_>) {
        for row in 0..out.len() {
            if self.tiles.codes.steps[first + row] == 0.0 {
                out.write(row, &unlike_all(0..self.pool.len(), self.k));
                continue;
            }
            let mut best: Vec<Entry> =
                segments.iter().flat_map(|answers| &answers[row].best).copied().collect();
            best.sort_unstable_by(|a, b| b.cmp(a));
            best.truncate(self.k);
            out.write(row, &best);
        }
    }
}

/// What one query knows so far.
struct Answer {
    k: usize,
    /// Candidates that there is room for.
    room: usize,
    /// How many times its error is added to a column's similarity.
    stretch: f32,
    /// What may be missing beside.
    rest: f32,
    /// What a similarity with its error must reach.
    floor: f32,
    /// The best of those that were decided, best first, at most k.
    best: Vec<Entry>,
    /// How near others can be, without the rest.
    candidates: Vec<Entry>,
}

impl Answer {
    /// Nothing known; a row of zeros wants to know nothing.
    fn new(asked: &Asked<'_>, query: usize) -> Self {
        let codes = asked.tiles.codes;
        let (stretch, rest) = codes.wrong(query);
        let floor = if codes.steps[query] == 0.0 { f32::INFINITY } else { f32::NEG_INFINITY };
        let (k, room) = (asked.k, (4 * asked.k).max(64));
        let (best, candidates) = (Vec::with_capacity(k), Vec::with_capacity(room));
        Self { k, room, stretch, rest, floor, best, candidates }
    }

    /// Takes a candidate. `exact` is its similarity in single precision, asked for when there is
    /// room for no more.
    #[inline]
    fn hear(&mut self, candidate: Entry, exact: impl Fn(u32) -> f32) {
        self.candidates.push(candidate);
        if self.candidates.len() == self.room {
            self.decide(exact);
        }
    }

    /// Decides all candidates that may be among the best, and raises the floor to the k-th.
    #[cold]
    fn decide(&mut self, exact: impl Fn(u32) -> f32) {
        self.candidates.sort_unstable_by(|a, b| b.cmp(a));
        for candidate in &self.candidates {
            if candidate.similarity() < self.floor {
                break;
            }
            let entry = Entry::new(exact(candidate.index()), candidate.index());
            let at = self.best.partition_point(|&better| better > entry);
            if at == self.k {
                continue;
            }
            self.best.truncate(self.k - 1);
            self.best.insert(at, entry);
            if let Some(last) = self.best.get(self.k - 1) {
                self.floor = last.similarity() - self.rest;
            }
        }
        self.candidates.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows whose codes are as wrong as they can be: one long value beside many short ones.
    fn spiky(num: usize, dim: usize) -> Vec<f32> {
        let value = |at: usize| (at * 7919 % 1009) as f32 / 1009.0 - 0.5;
        let spike = |row: usize, column| row.is_multiple_of(3) && column == row % dim;
        (0..num * dim)
            .map(|at| if spike(at / dim, at % dim) { 40.0 } else { value(at + at / dim) })
            .collect()
    }

    #[test]
    fn near_rows_with_wrong_codes_are_found() -> Result<()> {
        let (dim, k, progress) = (96, 5, Progress::default());
        let (data, asked) = (spiky(2000, dim), spiky(70, dim));
        let (pool, queries) = (Vectors::new(&data, dim)?, Vectors::new(&asked, dim)?);
        let found = of_queries(&pool, &queries, k, &progress)?;
        for query in 0..queries.len() {
            let mut all: Vec<Entry> = (0..pool.len())
                .map(|row| Entry::new(queries.cosine(query, &pool, row), row as u32))
                .collect();
            all.sort_unstable_by(|a, b| b.cmp(a));
            let expected = all.iter().map(|entry| (entry.index() as i32, entry.similarity()));
            assert!(found.row(query).eq(expected.take(k)), "query {query}");
        }
        Ok(())
    }

    #[test]
    fn few_queries_are_split_by_panels() -> Result<()> {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(7).build();
        let pool = pool.map_err(|error| crate::Error::Argument(error.to_string()))?;
        pool.install(|| {
            assert_eq!(segments(1, 100).len(), 7);
            assert_eq!(segments(7, 100), vec![0..100; 1]);
            assert_eq!(segments(1, 2), [0..1, 1..2]);
            assert_eq!(segments(3, 9).iter().map(Range::len).sum::<usize>(), 9);
        });
        Ok(())
    }
}
