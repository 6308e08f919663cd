//! A whole pool's neighbours by cells: all pairs inside coarse cells that overlap.
//!
//! Rows stand in the order of their best cells, so that near ones are near in memory. Candidates
//! come from integer products, first inside the cells, then among the neighbours of neighbours; those
//! that remain of each row are computed in single precision. The same pair has the same approximate similarity in every cell, so which
//! candidates remain does not depend on the order of the cells, and not on the threads.

use std::sync::{Mutex, PoisonError};

use rayon::prelude::*;

use super::Neighbours;
use super::cells::Cells;
use super::codes::{Codes, Panels};
use super::exact;
use super::pairs::{BLOCK, Block, Pairs, Tiles};
use super::queries;
use super::refine::refine;
use super::topk::{Entry, merge};
use super::vectors::Vectors;
use crate::{Progress, Result};

/// How the cells are cut.
#[derive(Debug, Clone, Copy)]
pub struct BlocksOptions {
    /// Mean number of rows in a cell, overlap included.
    pub cell_size: usize,
    /// Cells of a row.
    pub overlap: usize,
    /// Seed of the cells.
    pub seed: u64,
}

impl Default for BlocksOptions {
    fn default() -> Self {
        Self { cell_size: 2048, overlap: 10, seed: 0 }
    }
}

/// The nearest others of each row of `pool` that share a cell with it, on the current rayon pool.
pub(super) fn of_pool(
    pool: &Vectors<'_>,
    k: usize,
    options: BlocksOptions,
    progress: &Progress,
) -> Result<Neighbours> {
    let num_cells = (pool.len() * options.overlap).div_ceil(options.cell_size);
    if k == 0 || num_cells <= options.overlap {
        return exact::of_pool(pool, k, progress);
    }
    let codes = Codes::new(pool);
    let BlocksOptions { overlap, seed, .. } = options;
    let (cells, rows) = Cells::ordered(pool, &codes, num_cells, overlap, seed, progress)?;
    let codes = codes.gather(&rows);
    let best = Best::new(pool.len(), candidates(k).min(pool.len() - 1));
    let mut order: Vec<usize> = (0..cells.len()).collect();
    // Largest first: threads end together.
    order.sort_by_key(|&cell| std::cmp::Reverse(cells.members(cell).len()));
    let work = |cell: usize| cells.members(cell).len().div_ceil(BLOCK).pow(2) as u64;
    progress.start("neighbours", order.iter().map(|&cell| work(cell)).sum());
    order
        .into_par_iter()
        .with_max_len(1)
        .try_for_each(|cell| search_cell(cells.members(cell), &codes, &best, progress))?;
    drop(cells);
    let (k_kept, mut parts) = (best.k, best.into_parts());
    refine(&mut parts, k_kept, &codes, progress)?;
    drop(codes);
    decide(&mut parts, k_kept, pool, &rows, progress)?;
    let mut found = gather(&parts, k_kept, k, &exact::places(&rows));
    fill_short_rows(pool, &mut found, progress)?;
    Ok(found)
}

/// Candidates kept for `k` neighbours: products of 8 bits cannot order what is nearly as near, so
/// that single precision needs some more to choose from.
fn candidates(k: usize) -> usize {
    k + k / 2 + 8
}

/// All pairs of a cell's members, merged into what is known of them.
fn search_cell(members: &[u32], codes: &Codes, best: &Best, progress: &Progress) -> Result<()> {
    let codes = codes.gather(members);
    let panels = Panels::new(&codes);
    let tiles = Tiles { codes: &codes, panels: &panels };
    let margins = vec![0.0; members.len()];
    let judge = |_, other, similarity, _| Some(Entry::new(similarity, other as u32));
    let pairs = Pairs { tiles, margins: &margins, judge };
    let mut blocks: Vec<Block> = (0..members.len())
        .step_by(BLOCK)
        .map(|first| Block::new(first, BLOCK.min(members.len() - first), best.k, &codes))
        .collect();
    best.raise_floors(members, &mut blocks);
    for low in 0..blocks.len() {
        let (block, others) = blocks[low..]
            .split_first_mut()
            .map_or((None, [].as_mut_slice()), |(b, o)| (Some(b), o));
        let Some(block) = block else { break };
        for panel in block.panels() {
            pairs.one_side(block, panel, true);
        }
        progress.advance(1)?;
        for other in others {
            pairs.both_sides(block, other);
            progress.advance(2)?;
        }
    }
    best.merge(members, &blocks);
    Ok(())
}

/// The best k of every row over all cells so far, sorted; [`NONE`] where there are fewer.
struct Best {
    k: usize,
    parts: Vec<Mutex<Vec<Entry>>>,
}

const NONE: Entry = Entry::LEAST;

impl Best {
    fn new(num_rows: usize, k: usize) -> Self {
        let part = |first| Mutex::new(vec![NONE; BLOCK.min(num_rows - first) * k]);
        Self { k, parts: (0..num_rows).step_by(BLOCK).map(part).collect() }
    }

    /// Calls `work(at, best)` for each member, a lock for each run of neighbouring rows.
    fn for_members(&self, members: &[u32], mut work: impl FnMut(usize, &mut [Entry])) {
        let mut at = 0;
        for run in members.chunk_by(|a, b| *a as usize / BLOCK == *b as usize / BLOCK) {
            let part = &self.parts[run[0] as usize / BLOCK];
            let mut part = part.lock().unwrap_or_else(PoisonError::into_inner);
            for &row in run {
                work(at, &mut part[row as usize % BLOCK * self.k..][..self.k]);
                at += 1;
            }
        }
    }

    /// What is below the k-th best of another cell needs not be heard of.
    fn raise_floors(&self, members: &[u32], blocks: &mut [Block]) {
        self.for_members(members, |at, best| {
            if let Some(&last) = best.last().filter(|&&last| last != NONE) {
                blocks[at / BLOCK].nearest.raise(at % BLOCK, last.similarity());
            }
        });
    }

    fn merge(&self, members: &[u32], blocks: &[Block]) {
        let (mut more, mut room) = (Vec::new(), Vec::new());
        self.for_members(members, |at, best| {
            let found = blocks[at / BLOCK].nearest.row(at % BLOCK);
            if !found.is_empty() {
                more.clear();
                let renamed = |entry: &Entry| entry.renamed(members[entry.index() as usize]);
                more.extend(found.iter().map(renamed));
                merge(best, &mut more, &mut room);
            }
        });
    }

    fn into_parts(self) -> Vec<Vec<Entry>> {
        let parts = self.parts.into_iter();
        parts.map(|part| part.into_inner().unwrap_or_else(PoisonError::into_inner)).collect()
    }
}

/// Computes the similarities of what remained in single precision. From here on the entries have
/// numbers of rows, not places.
fn decide(
    parts: &mut [Vec<Entry>],
    k: usize,
    pool: &Vectors<'_>,
    order: &[u32],
    progress: &Progress,
) -> Result<()> {
    progress.start("similarities", pool.len() as u64);
    parts.par_iter_mut().enumerate().try_for_each(|(at, part)| {
        for (here, best) in part.chunks_exact_mut(k).enumerate() {
            let row = order[at * BLOCK + here] as usize;
            for entry in best.iter_mut().take_while(|entry| **entry != NONE) {
                let other = order[entry.index() as usize];
                *entry = Entry::new(pool.cosine(row, pool, other as usize), other);
            }
            best.sort_unstable_by(|a, b| b.cmp(a));
        }
        progress.advance((part.len() / k) as u64)
    })
}

/// The first `k` of each row, in the order of the rows.
fn gather(parts: &[Vec<Entry>], kept: usize, k: usize, places: &[u32]) -> Neighbours {
    let mut found = Neighbours::none(places.len(), k);
    found.par_blocks(BLOCK).zip(places.par_chunks(BLOCK)).for_each(|(mut out, places)| {
        for (here, &place) in places.iter().enumerate() {
            let best = &parts[place as usize / BLOCK][place as usize % BLOCK * kept..][..kept];
            let len = best.iter().take(k).take_while(|&&entry| entry != NONE).count();
            out.write(here, &best[..len]);
        }
    });
    found
}

/// Rows whose cells had too few others, and zero rows, are searched for in the whole pool.
fn fill_short_rows(pool: &Vectors<'_>, found: &mut Neighbours, progress: &Progress) -> Result<()> {
    let k = found.k;
    let wanted = k.min(pool.len() - 1);
    let short: Vec<u32> = (0..pool.len() as u32)
        .filter(|&row| found.indices[row as usize * k + wanted - 1] < 0)
        .collect();
    let whole = queries::of_rows(pool, &short, k, progress)?;
    for (at, &row) in short.iter().enumerate() {
        let (from, to) = (at * k, row as usize * k);
        found.indices[to..to + k].copy_from_slice(&whole.indices[from..from + k]);
        found.similarities[to..to + k].copy_from_slice(&whole.similarities[from..from + k]);
    }
    Ok(())
}
