//! A pool that is coded once and asked often.

use super::codes::Panels;
use super::vectors::{self, Vectors};
use super::{Neighbours, queries};
use crate::threads::with_threads;
use crate::{Error, Progress, Result};

/// A pool made ready to be asked often: checked, measured and coded once.
pub struct Prepared {
    dim: usize,
    inverse_lengths: Vec<f32>,
    panels: Panels,
}

impl Prepared {
    /// Looks at every row of `pool`; keeps a byte a value, not the rows.
    ///
    /// # Errors
    /// As [`Vectors::new`] says.
    pub fn new(pool: &[f32], dim: usize, num_threads: usize) -> Result<Self> {
        with_threads(num_threads, || {
            vectors::check(pool, dim)?;
            let (pool, panels) = Panels::of(pool, dim, 0)?;
            Ok(Self { dim, inverse_lengths: pool.into_inverse_lengths(), panels })
        })
    }

    /// What [`exact`](super::exact) gives for the same `pool`, which must be the one it was made of.
    ///
    /// # Errors
    /// As [`exact`](super::exact); [`Error::Argument`] where the pool has another size.
    pub fn nearest(
        &self,
        pool: &[f32],
        queries: &[f32],
        k: usize,
        num_threads: usize,
        progress: &Progress,
    ) -> Result<Neighbours> {
        super::check_k(k)?;
        if pool.len() != self.inverse_lengths.len() * self.dim {
            return Err(Error::Argument("the vectors are not those that were prepared".into()));
        }
        with_threads(num_threads, || {
            let queries = Vectors::new(queries, self.dim)?;
            let pool = Vectors::measured(pool, self.dim, self.inverse_lengths.clone(), 0)?;
            queries::of_queries_among(&pool, &self.panels, &queries, k, progress)
        })
    }
}
