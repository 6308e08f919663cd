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
use super::exact::{best_of, unlike_all};
use super::kernels::{Band, Kernels, PANEL};
use super::pairs::{BLOCK, NOBODY, Tiles};
use super::topk::Entry;
use super::vectors::Vectors;
use super::{Neighbours, Rows};
use crate::{Progress, Result};

/// Panels between two looks at whether to stop.
const PANELS_A_BEAT: usize = 256;

/// Queries up to which a pool is coded part by part, and forgotten, while they are asked. More of them
/// would need too much memory beside the result.
const FEW: usize = 4096;

/// Values of a part: its rows and codes stay in the processor's cache while they are asked.
const PART: usize = 1 << 21;

/// The nearest among the rows of `pool`, which [`check`] has seen, of each of `queries`, on the
/// current rayon pool.
pub(super) fn of_queries(
    pool: &[f32],
    queries: &Vectors<'_>,
    k: usize,
    progress: &Progress,
) -> Result<Neighbours> {
    if queries.len() <= FEW {
        return in_parts(pool, part_len(queries.dim()), queries, k, progress);
    }
    let (pool, panels) = Panels::of(pool, queries.dim(), 0)?;
    of_queries_among(&pool, &panels, queries, k, progress)
}

/// The same, `part_len` rows of `pool` at a time.
fn in_parts(
    pool: &[f32],
    part_len: usize,
    queries: &Vectors<'_>,
    k: usize,
    progress: &Progress,
) -> Result<Neighbours> {
    let (dim, num_rows) = (queries.dim(), pool.len() / queries.dim());
    let codes = Codes::new(queries);
    let asked = Asked { queries, codes: &codes, k: k.min(num_rows) };
    let mut found = Neighbours::none(queries.len(), k);
    let block_len = block_len(queries.len());
    let mut blocks: Vec<Block> =
        (0..queries.len()).step_by(block_len).map(|first| asked.block(first, block_len)).collect();
    progress.start("neighbours", num_rows as u64);
    for (at, data) in pool.chunks(part_len * dim).enumerate() {
        let first = at * part_len;
        let (pool, panels) = Panels::of(data, dim, first)?;
        let part = Part { first, pool: &pool, panels: &panels };
        blocks.par_iter_mut().try_for_each(|block| asked.look(block, &part, progress))?;
        progress.advance(pool.len() as u64)?;
    }
    found.par_blocks(block_len).zip(&blocks).for_each(|(mut out, block)| {
        asked.write(block, num_rows, &mut out);
    });
    Ok(found)
}

/// The nearest in `pool`, whose codes are `panels`, of each of `queries`.
pub(super) fn of_queries_among(
    pool: &Vectors<'_>,
    panels: &Panels,
    queries: &Vectors<'_>,
    k: usize,
    progress: &Progress,
) -> Result<Neighbours> {
    let codes = Codes::new(queries);
    let asked = Asked { queries, codes: &codes, k: k.min(pool.len()) };
    let mut found = Neighbours::none(queries.len(), k);
    let block_len = block_len(queries.len());
    let part = Part { first: 0, pool, panels };
    progress.start("neighbours", queries.len() as u64);
    found.par_blocks(block_len).enumerate().try_for_each(|(at, mut out)| {
        let mut block = asked.block(at * block_len, block_len);
        asked.look(&mut block, &part, progress)?;
        asked.write(&block, pool.len(), &mut out);
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
    let queries = Vectors::new(&data, pool.dim())?;
    let with_itself = of_queries(pool.data(), &queries, k + 1, progress)?;
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

/// Rows of a part: more than fit the cache where each thread would have no panels to code.
fn part_len(dim: usize) -> usize {
    (PART / dim).max(2 * PANEL * rayon::current_num_threads()).next_multiple_of(PANEL)
}

/// Ranges of panels that are scanned apart, where the blocks alone make too few tasks. Each has
/// floors of its own and so more candidates, which is why there are no more than threads.
fn num_segments(num_blocks: usize) -> usize {
    rayon::current_num_threads().div_ceil(num_blocks.max(1))
}

/// Consecutive rows of a pool.
struct Part<'a> {
    /// The number of the first of them.
    first: usize,
    pool: &'a Vectors<'a>,
    panels: &'a Panels,
}

impl Part<'_> {
    /// One of `num` ranges of panels.
    fn segment(&self, at: usize, num: usize) -> Range<usize> {
        self.panels.len() * at / num..self.panels.len() * (at + 1) / num
    }
}

/// Consecutive queries, and what they know so far of each segment of the pool.
struct Block {
    first: usize,
    segments: Vec<Vec<Answer>>,
}

/// Who asks for how many.
struct Asked<'a> {
    queries: &'a Vectors<'a>,
    codes: &'a Codes,
    k: usize,
}

impl Asked<'_> {
    /// The queries from `first` on, at most `block_len`, that know nothing yet.
    fn block(&self, first: usize, block_len: usize) -> Block {
        let queries = first..self.queries.len().min(first + block_len);
        let num_segments = num_segments(self.queries.len().div_ceil(block_len));
        let nothing = || queries.clone().map(|query| Answer::new(self, query)).collect();
        Block { first, segments: (0..num_segments).map(|_| nothing()).collect() }
    }

    /// Shows the rows of a part to the queries of a block.
    fn look(&self, block: &mut Block, part: &Part<'_>, progress: &Progress) -> Result<()> {
        let (first, num) = (block.first, block.segments.len());
        block.segments.par_iter_mut().enumerate().try_for_each(|(at, answers)| {
            for panel in part.segment(at, num) {
                self.look_at(part, panel, first, answers);
                if panel % PANELS_A_BEAT == 0 {
                    progress.advance(0)?;
                }
            }
            for (at, answer) in answers.iter_mut().enumerate() {
                answer.decide(|row| self.cosine(first + at, part, row));
            }
            Ok(())
        })
    }

    /// Shows the columns of a panel to the queries from `first` on.
    fn look_at(&self, part: &Part<'_>, panel: usize, first: usize, answers: &mut [Answer]) {
        let mut most = [0.0; PANEL];
        let tiles = Tiles { codes: self.codes, panels: part.panels };
        tiles.multiply(first, answers.len(), panel, |query, products| {
            let answer = &mut answers[query - first];
            let band = tiles.band(query, panel, answer.floor, &NOBODY);
            let band = Band { stretch: answer.stretch, ..band };
            let (mut passed, _) = Kernels::best().filter(products, &band, &mut most);
            while passed != 0 {
                let at = passed.trailing_zeros() as usize;
                passed &= passed - 1;
                let row = part.first + panel * PANEL + at;
                let candidate = Entry::new(most[at], row as u32);
                answer.hear(candidate, |row| self.cosine(query, part, row));
            }
        });
    }

    fn cosine(&self, query: usize, part: &Part<'_>, row: u32) -> f32 {
        self.queries.cosine(query, part.pool, row as usize - part.first)
    }

    /// Writes the best of all segments for the queries of a block; the pool has `num_rows`.
    fn write(&self, block: &Block, num_rows: usize, out: &mut Rows<'_>) {
        for row in 0..out.len() {
            if self.codes.steps[block.first + row] == 0.0 {
                out.write(row, &unlike_all(0..num_rows, self.k));
                continue;
            }
            let all = block.segments.iter().flat_map(|answers| &answers[row].best).copied();
            out.write(row, &best_of(all, self.k));
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
        let codes = asked.codes;
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
    fn near_rows_with_wrong_codes_are_found_however_a_pool_is_parted() -> Result<()> {
        let (dim, k, progress) = (96, 5, Progress::default());
        let (mut data, asked) = (spiky(2000, dim), spiky(70, dim));
        data[..dim].fill(0.0);
        let (pool, queries) = (Vectors::new(&data, dim)?, Vectors::new(&asked, dim)?);
        let (_, panels) = Panels::of(&data, dim, 0)?;
        let found = of_queries_among(&pool, &panels, &queries, k, &progress)?;
        for query in 0..queries.len() {
            let mut all: Vec<Entry> = (0..pool.len())
                .map(|row| Entry::new(queries.cosine(query, &pool, row), row as u32))
                .collect();
            all.sort_unstable_by(|a, b| b.cmp(a));
            let expected = all.iter().map(|entry| (entry.index() as i32, entry.similarity()));
            assert!(found.row(query).eq(expected.take(k)), "query {query}");
        }
        for part_len in [PANEL, 5 * PANEL, 2000] {
            assert_eq!(in_parts(&data, part_len, &queries, k, &progress)?, found);
        }
        Ok(())
    }

    #[test]
    fn a_row_that_is_not_finite_is_named_whatever_part_it_is_in() -> Result<()> {
        let mut data = spiky(200, 8);
        data[130 * 8 + 3] = f32::INFINITY;
        let queries = Vectors::new(&[1.0; 8], 8)?;
        let error = in_parts(&data, PANEL, &queries, 3, &Progress::default()).err();
        let message = error.map(|error| error.to_string()).unwrap_or_default();
        assert!(message.contains("inf in row 130, column 3"), "{message}");
        Ok(())
    }

    #[test]
    fn few_queries_are_split_by_panels() -> Result<()> {
        let threads = rayon::ThreadPoolBuilder::new().num_threads(7).build();
        let threads = threads.map_err(|error| crate::Error::Argument(error.to_string()))?;
        assert_eq!(threads.install(|| [1, 3, 7].map(num_segments)), [7, 3, 1]);
        let data = vec![1.0; 9 * PANEL];
        let (pool, panels) = Panels::of(&data, 1, 0)?;
        let part = Part { first: 0, pool: &pool, panels: &panels };
        assert_eq!(part.segment(0, 1), 0..9);
        assert_eq!((0..3).map(|at| part.segment(at, 3).len()).sum::<usize>(), 9);
        assert_eq!((0..20).map(|at| part.segment(at, 20).len()).sum::<usize>(), 9);
        Ok(())
    }
}
