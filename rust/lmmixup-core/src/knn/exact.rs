//! Exact neighbours of a pool among itself: integer products sort out what cannot be near, single precision decides.
//!
//! No N × N matrix: a tile of products lives in registers and the first cache level, and what
//! passes a row's floor goes into that row's few candidates. A pool with itself computes each
//! pair of blocks once and tells both sides. Work may be done in any order: which candidates
//! survive, and so the result, is a function of the input alone.

use std::sync::{Mutex, MutexGuard, PoisonError};

use rayon::prelude::*;

use super::Neighbours;
use super::cells::Cells;
use super::codes::{Codes, Panels};
use super::pairs::{BLOCK, Block, Pairs, Tiles, rounds};
use super::topk::Entry;
use super::vectors::Vectors;
use crate::{Progress, Result};

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
pub(super) fn unlike_all(others: impl Iterator<Item = usize>, k: usize) -> Vec<Entry> {
    others.take(k).map(|other| Entry::new(0.0, other as u32)).collect()
}
