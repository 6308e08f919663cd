//! What a search found.

use rayon::prelude::*;

use super::topk::Entry;

/// The k nearest of each query, row-major `(Q, k)`.
#[derive(Debug, Clone, PartialEq)]
pub struct Neighbours {
    /// Neighbours asked for.
    pub k: usize,
    /// Indices into the pool, nearest first, ties by lower index; −1 where there are fewer than k.
    pub indices: Vec<i32>,
    /// Their cosines; 0 where there is no neighbour.
    pub similarities: Vec<f32>,
}

impl Neighbours {
    pub(super) fn none(num_queries: usize, k: usize) -> Self {
        let len = num_queries * k;
        Self { k, indices: vec![-1; len], similarities: vec![0.0; len] }
    }

    /// Index and similarity of a query's neighbours, −1 beyond the last.
    pub(super) fn row(&self, query: usize) -> impl Iterator<Item = (i32, f32)> {
        let here = query * self.k..(query + 1) * self.k;
        self.indices[here.clone()].iter().copied().zip(self.similarities[here].iter().copied())
    }

    /// The rows of consecutive queries, `len` at a time.
    pub(super) fn par_blocks(
        &mut self,
        len: usize,
    ) -> impl IndexedParallelIterator<Item = Rows<'_>> {
        let k = self.k;
        self.indices
            .par_chunks_mut(len * k)
            .zip(self.similarities.par_chunks_mut(len * k))
            .map(move |(indices, similarities)| Rows { k, indices, similarities })
    }
}

/// Where the neighbours of some consecutive queries go.
pub(super) struct Rows<'a> {
    k: usize,
    indices: &'a mut [i32],
    similarities: &'a mut [f32],
}

impl Rows<'_> {
    pub(super) fn len(&self) -> usize {
        self.indices.len() / self.k
    }

    pub(super) fn write(&mut self, row: usize, best: &[Entry]) {
        for (at, entry) in best.iter().enumerate() {
            self.indices[row * self.k + at] = entry.index() as i32;
            self.similarities[row * self.k + at] = entry.similarity();
        }
    }
}
