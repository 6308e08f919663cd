//! What one query is answered: candidates of the graph, and what the vectors say of them.

use super::Index;
use super::stored::{Stored, no_room};
use crate::knn::kernels::Kernels;
use crate::knn::topk::Entry;
use crate::knn::vectors::{Vectors, inverse_length};
use crate::{Error, Result};

/// More than 8 bits can be wrong by.
const FAR: f32 = 0.1;

/// One search: who asks, and what candidates are compared with.
pub(super) struct Asker<'a> {
    pub(super) index: &'a Index,
    pub(super) queries: &'a Vectors<'a>,
    pub(super) k: usize,
    pub(super) vectors: Option<&'a [f32]>,
    pub(super) itself: bool,
}

impl Asker<'_> {
    /// The nearest of one query, best first.
    pub(super) fn ask(&self, query: usize) -> Result<Vec<Entry>> {
        let inverse = self.queries.inverse_length(query);
        let not_itself = |&other: &usize| !(self.itself && other == query);
        if inverse == 0.0 {
            let others = (0..self.index.num_rows).filter(not_itself).take(self.k);
            return Ok(others.map(|other| Entry::new(0.0, other as u32)).collect());
        }
        let mut entries = self.candidates(query, inverse)?;
        entries.retain(|entry| not_itself(&(entry.index() as usize)));
        if let Some(vectors) = self.vectors {
            for entry in &mut entries {
                *entry = self.closer(*entry, query, inverse, vectors)?;
            }
        }
        // Rows of zeros have cosine 0 with everything.
        let zeros = self.index.zeros.iter().filter(|&&row| not_itself(&(row as usize)));
        entries.extend(zeros.take(self.k).map(|&row| Entry::new(0.0, row)));
        entries.sort_unstable_by(|a, b| b.cmp(a));
        entries.truncate(self.k);
        Ok(entries)
    }

    /// Candidates by what the graph stores.
    fn candidates(&self, query: usize, inverse: f32) -> Result<Vec<Entry>> {
        let graph = &self.index.graph;
        // Stored values cannot order what is nearly as near; exact ones then choose.
        let more = if self.vectors.is_some() { self.k / 2 + 8 } else { 0 };
        let wanted = (self.k + more + usize::from(self.itself)).min(graph.size());
        if wanted == 0 {
            return Ok(Vec::new());
        }
        let vector = Stored::new(self.queries.row(query), inverse, self.index.storage);
        let mut found = vector.search(graph, wanted, false).map_err(no_room)?;
        let needed = (self.k + usize::from(self.itself)).min(graph.size());
        if found.keys.len() < needed {
            // The graph has parts that no link leads to.
            found = vector.search(graph, wanted, true).map_err(no_room)?;
        }
        let entries = found.keys.iter().zip(&found.distances);
        Ok(entries.map(|(&key, &distance)| Entry::new(1.0 - distance, key as u32)).collect())
    }

    /// A candidate with its cosine from the vectors themselves.
    fn closer(&self, entry: Entry, query: usize, inverse: f32, vectors: &[f32]) -> Result<Entry> {
        let (dim, at) = (self.index.dim, entry.index() as usize);
        let row = &vectors[at * dim..(at + 1) * dim];
        let scale = inverse * inverse_length(row);
        let cosine = Kernels::best().dot(self.queries.row(query), row) * scale;
        let wrong = (cosine - entry.similarity()).abs();
        if wrong.is_nan() || wrong > FAR {
            return Err(Error::Data(format!(
                "vectors must be those that the index was built of, row {at} is not: its cosine is \
                 {cosine}, the index has {}",
                entry.similarity()
            )));
        }
        Ok(Entry::new(cosine, entry.index()))
    }
}
