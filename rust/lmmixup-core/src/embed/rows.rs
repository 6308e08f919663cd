//! Rows of a dense `(N, D)` result, filled in parallel blocks.

use rayon::prelude::*;

use crate::threads::with_threads;
use crate::{Progress, Result};

/// Rows that one task takes: large enough to hide scheduling, small enough for Ctrl-C.
const BLOCK_ROWS: usize = 128;

/// Calls `fill(scratch, row, vector)` for each row of `out`, `num_threads` at a time.
///
/// Each thread has a `scratch` of its own. `fill` must depend on the row alone, so that
/// neither the number of threads nor their order is seen in the result.
pub fn fill_rows<S: Send>(
    out: &mut [f32],
    dim: usize,
    num_threads: usize,
    progress: &Progress,
    scratch: impl Fn() -> S + Sync + Send,
    fill: impl Fn(&mut S, usize, &mut [f32]) -> Result<()> + Sync + Send,
) -> Result<()> {
    with_threads(num_threads, || {
        out.par_chunks_mut(BLOCK_ROWS * dim).enumerate().try_for_each_init(
            scratch,
            |scratch, (block, rows)| {
                for (offset, vector) in rows.chunks_mut(dim).enumerate() {
                    fill(scratch, block * BLOCK_ROWS + offset, vector)?;
                }
                progress.advance((rows.len() / dim) as u64)
            },
        )
    })
}

/// Divides `vector` by its length; a zero vector stays zero.
pub fn normalize(vector: &mut [f32]) {
    let squares: f64 = vector.iter().map(|&x| f64::from(x) * f64::from(x)).sum();
    if squares > 0.0 {
        let scale = (1.0 / squares.sqrt()) as f32;
        vector.iter_mut().for_each(|x| *x *= scale);
    }
}
