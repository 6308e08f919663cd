//! Rows of a dense `(N, D)` result, filled in parallel blocks.

use std::sync::{Mutex, PoisonError};

use rayon::prelude::*;

use crate::threads::with_threads;
use crate::{Progress, Result};

/// Rows that one task takes: large enough to hide scheduling, small enough for Ctrl-C.
const BLOCK_ROWS: usize = 64;

/// Scratch spaces that come back after use, with what they have learned.
#[derive(Debug)]
pub struct Shelf<S>(Mutex<Vec<S>>);

impl<S> Default for Shelf<S> {
    fn default() -> Self {
        Self(Mutex::new(Vec::new()))
    }
}

impl<S: Default> Shelf<S> {
    pub fn take(&self) -> S {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default()
    }

    pub fn give(&self, scratch: S) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(scratch);
    }
}

/// Calls `fill(scratch, row, vector)` for each row of `out`, `num_threads` at a time.
///
/// `fill` must depend on the row alone, never on what a scratch holds from rows before, so
/// that neither the number of threads nor their order is seen in the result.
pub fn fill_rows<S: Default + Send>(
    out: &mut [f32],
    dim: usize,
    num_threads: usize,
    progress: &Progress,
    shelf: &Shelf<S>,
    fill: impl Fn(&mut S, usize, &mut [f32]) -> Result<()> + Sync + Send,
) -> Result<()> {
    with_threads(num_threads, || {
        out.par_chunks_mut(BLOCK_ROWS * dim).enumerate().try_for_each(|(block, rows)| {
            let mut scratch = shelf.take();
            for (offset, vector) in rows.chunks_mut(dim).enumerate() {
                fill(&mut scratch, block * BLOCK_ROWS + offset, vector)?;
            }
            shelf.give(scratch);
            progress.advance((rows.len() / dim) as u64)
        })
    })
}

/// Divides `vector` by its length; a zero vector stays zero.
pub fn normalize(vector: &mut [f32]) {
    // Eight sums side by side: one alone would wait for each addition.
    let mut sums = [0f64; 8];
    for eight in vector.chunks(8) {
        for (sum, &x) in sums.iter_mut().zip(eight) {
            *sum += f64::from(x) * f64::from(x);
        }
    }
    let squares: f64 = sums.iter().sum();
    if squares > 0.0 {
        let scale = 1.0 / squares.sqrt();
        vector.iter_mut().for_each(|x| *x = (f64::from(*x) * scale) as f32);
    }
}
