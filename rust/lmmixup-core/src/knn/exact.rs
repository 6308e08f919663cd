//! Exact neighbours: integer products sort out what cannot be near, single precision decides.
//!
//! No N × N matrix: a tile of products lives in registers and the first cache level, and what
//! passes a row's floor goes into that row's few candidates. A pool with itself computes each
//! pair of blocks once and tells both sides. Work may be done in any order: which candidates
//! survive, and so the result, is a function of the input alone.

use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rayon::prelude::*;

use super::Neighbours;
use super::cells::Cells;
use super::codes::{Codes, Panels};
use super::kernels::PANEL;
use super::pairs::{BLOCK, Block, Pairs, Tiles, rounds};
use super::topk::Entry;
use super::vectors::Vectors;
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
    let coded = Coded::new(pool);
    of_queries_among(pool, &coded, queries, k, progress)
}

/// The codes of a pool as columns, and their errors.
pub(super) struct Coded {
    panels: Panels,
    errors: Vec<f32>,
    worst_error: f32,
}

impl Coded {
    /// Codes of all rows, on the current rayon pool.
    pub(super) fn new(pool: &Vectors<'_>) -> Self {
        let codes = Codes::new(pool);
        let (panels, worst_error) = (Panels::new(&codes), codes.worst_error());
        Self { panels, worst_error, errors: codes.errors }
    }
}

/// The nearest in `pool`, whose codes are `coded`, of each of `queries`.
pub(super) fn of_queries_among(
    pool: &Vectors<'_>,
    coded: &Coded,
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
    let margins: Vec<f32> = codes.bounds(coded.worst_error).collect();
    let tiles = Tiles { codes: &codes, panels: &coded.panels };
    let judge = |row: usize, column: usize, similarity: f32, least: f32| {
        (similarity + codes.bound(row, coded.errors[column]) >= least)
            .then(|| Entry::new(queries.cosine(row, pool, column), column as u32))
    };
    let pairs = Pairs { tiles, margins: &margins, judge };
    let block_len = block_len(queries.len());
    let segments = segments(queries.len().div_ceil(block_len), pool.len());
    progress.start("neighbours", queries.len() as u64);
    found.par_blocks(block_len).enumerate().try_for_each(|(at, mut out)| {
        let scan = |segment: &Range<usize>| {
            let mut block = Block::new(at * block_len, out.len(), k, &codes);
            for panel in segment.clone() {
                pairs.one_side(&mut block, panel, false);
                if panel % PANELS_A_BEAT == 0 {
                    progress.advance(0)?;
                }
            }
            Ok(block)
        };
        let parts = segments.par_iter().map(scan).collect::<Result<Vec<Block>>>()?;
        for row in 0..out.len() {
            let query = at * block_len + row;
            let best = if codes.steps[query] == 0.0 {
                unlike_all(0..pool.len(), k)
            } else {
                best_of(parts.iter().flat_map(|part| part.nearest.row(row)).copied(), k)
            };
            out.write(row, &best);
        }
        progress.advance(out.len() as u64)
    })?;
    Ok(found)
}

/// The nearest others of each row of `pool`, on the current rayon pool.
pub(super) fn of_pool(pool: &Vectors<'_>, k: usize, progress: &Progress) -> Result<Neighbours> {
    let mut found = Neighbours::none(pool.len(), k);
    let k = k.min(pool.len().saturating_sub(1));
    if k == 0 {
        return Ok(found);
    }
    let codes = Codes::new(pool);
    let num_blocks = pool.len().div_ceil(BLOCK);
    let (_, order) = Cells::ordered(pool, &codes, num_blocks, 1, 0, progress)?;
    let codes = codes.gather(&order);
    let panels = Panels::new(&codes);
    let margins: Vec<f32> = codes.bounds(codes.worst_error()).collect();
    let tiles = Tiles { codes: &codes, panels: &panels };
    let judge = |row: usize, column: usize, similarity: f32, least: f32| {
        (similarity + codes.bound(row, codes.errors[column]) >= least).then(|| {
            let cosine = pool.cosine(order[row] as usize, pool, order[column] as usize);
            Entry::new(cosine, order[column])
        })
    };
    let pairs = Pairs { tiles, margins: &margins, judge };
    let blocks = all_pairs(&pairs, &codes, k, progress)?;
    let places = places(&order);
    found.par_blocks(BLOCK).enumerate().try_for_each(|(at, mut out)| {
        for here in 0..out.len() {
            let row = at * BLOCK + here;
            let place = places[row] as usize;
            let best = if codes.steps[place] == 0.0 {
                unlike_all((0..pool.len()).filter(|&other| other != row), k)
            } else {
                best_of(blocks[place / BLOCK].nearest.row(place % BLOCK).iter().copied(), k)
            };
            out.write(here, &best);
        }
        progress.advance(0)
    })?;
    Ok(found)
}

/// The candidates of every row of a pool among all others, in blocks.
fn all_pairs<F: Fn(usize, usize, f32, f32) -> Option<Entry> + Sync>(
    pairs: &Pairs<'_, F>,
    codes: &Codes,
    k: usize,
    progress: &Progress,
) -> Result<Vec<Block>> {
    let num_blocks = codes.len().div_ceil(BLOCK);
    progress.start("neighbours", (num_blocks * (num_blocks + 1) / 2) as u64);
    let blocks = (0..num_blocks)
        .into_par_iter()
        .map(|at| {
            let len = BLOCK.min(codes.len() - at * BLOCK);
            let mut block = Block::new(at * BLOCK, len, k, codes);
            for panel in block.panels() {
                pairs.one_side(&mut block, panel, true);
            }
            progress.advance(1)?;
            Ok(Mutex::new(block))
        })
        .collect::<Result<Vec<_>>>()?;
    for round in rounds(num_blocks) {
        round.par_iter().try_for_each(|&(low, high)| {
            // Nobody waits: in a round every block occurs once.
            pairs.both_sides(&mut lock(&blocks[low]), &mut lock(&blocks[high]));
            progress.advance(1)
        })?;
    }
    Ok(blocks.into_iter().map(|b| b.into_inner().unwrap_or_else(PoisonError::into_inner)).collect())
}

fn lock(block: &Mutex<Block>) -> MutexGuard<'_, Block> {
    block.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Queries of a block: fewer than usual where that gives each thread one.
fn block_len(num_queries: usize) -> usize {
    num_queries.div_ceil(rayon::current_num_threads()).next_multiple_of(PANEL).clamp(PANEL, BLOCK)
}

/// Ranges of panels that are scanned apart, where the blocks alone make too few tasks. Each has
/// floors of its own and so more candidates, which is why there are no more than threads.
fn segments(num_blocks: usize, num_columns: usize) -> Vec<Range<usize>> {
    let num_panels = num_columns.div_ceil(PANEL);
    let num = rayon::current_num_threads().div_ceil(num_blocks.max(1)).min(num_panels);
    (0..num).map(|at| num_panels * at / num..num_panels * (at + 1) / num).collect()
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

/// The best k of a row's candidates, in order.
pub(super) fn best_of(candidates: impl Iterator<Item = Entry>, k: usize) -> Vec<Entry> {
    let mut best: Vec<Entry> = candidates.collect();
    best.sort_unstable_by(|a, b| b.cmp(a));
    best.truncate(k);
    best
}

/// The place of each row in an order.
pub(super) fn places(order: &[u32]) -> Vec<u32> {
    let mut places = vec![0; order.len()];
    order.iter().zip(0..).for_each(|(&row, place)| places[row as usize] = place);
    places
}

/// What a zero row is given: cosine 0 with everything, so the lowest indices.
fn unlike_all(others: impl Iterator<Item = usize>, k: usize) -> Vec<Entry> {
    others.take(k).map(|other| Entry::new(0.0, other as u32)).collect()
}
