//! A library that is built once and asked often: a graph (HNSW) by usearch, memory-mapped.
//!
//! usearch keeps the graph; distances are computed by our kernels, for the instruction set that is
//! there. Its own levels come from a seeded generator, so a graph that one thread builds is a
//! function of the rows. One that several threads build is not, and is only made where it is asked
//! for.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use rayon::prelude::*;
use usearch::{Index as Graph, MetricKind};

use super::vectors::Vectors;
use super::{Neighbours, check_k};
use crate::threads::with_threads;
use crate::{Error, Progress, Result};
use asker::Asker;
use stored::{Stored, new_graph, no_room, set_metric};

mod asker;
mod stored;
#[cfg(test)]
mod tests;

pub use stored::Storage;

/// Most threads that search at a time: a graph must know before.
const MAX_THREADS: usize = 64;
/// Rows between two looks at whether to stop.
const ROWS_A_BEAT: usize = 64;

/// How a graph is built.
#[derive(Debug, Clone, Copy)]
pub struct IndexOptions {
    /// How values are stored.
    pub storage: Storage,
    /// Links of a row on the lowest level are twice as many.
    pub connectivity: usize,
    /// Candidates that are looked at for each row's links.
    pub expansion: usize,
    /// One thread builds: the same rows give the same graph.
    pub reproducible: bool,
}

/// The vectors of a library and a graph of near ones.
pub struct Index {
    graph: Graph,
    storage: Storage,
    dim: usize,
    num_rows: usize,
    /// Rows of zeros, ascending; they are in no graph.
    zeros: Vec<u32>,
    /// Held while searching: the graph has one width of search.
    searching: Mutex<()>,
}

impl Index {
    /// Builds the graph of `vectors`, of `dim` values a row.
    ///
    /// O(N log N · expansion · D), in `num_threads` (0: all) unless it is to be reproducible.
    ///
    /// # Errors
    /// [`Error::Data`] as [`Vectors::new`]; [`Error::Argument`] where an option is 0;
    /// [`Error::Infeasible`] where memory is short; [`Error::Interrupted`].
    pub fn build(
        vectors: &[f32],
        dim: usize,
        options: IndexOptions,
        num_threads: usize,
        progress: &Progress,
    ) -> Result<Self> {
        if options.connectivity < 2 || options.expansion == 0 {
            return Err(Error::Argument(format!(
                "connectivity must be at least 2 and expansion at least 1, got {} and {}",
                options.connectivity, options.expansion
            )));
        }
        let num_threads = if options.reproducible { 1 } else { num_threads };
        limited(num_threads, || {
            let vectors = Vectors::new(vectors, dim)?;
            let IndexOptions { storage, connectivity, expansion, .. } = options;
            let graph = new_graph(dim, storage, connectivity, expansion)?;
            let num_contexts = if options.reproducible { 1 } else { MAX_THREADS };
            graph.reserve_capacity_and_threads(vectors.len(), num_contexts).map_err(no_room)?;
            let (zeros, rows): (Vec<u32>, Vec<u32>) = (0..vectors.len() as u32)
                .partition(|&row| vectors.inverse_length(row as usize) == 0.0);
            progress.start("build the index", rows.len() as u64);
            rows.par_chunks(ROWS_A_BEAT).try_for_each(|rows| {
                for &row in rows {
                    let at = row as usize;
                    let vector = Stored::new(vectors.row(at), vectors.inverse_length(at), storage);
                    vector.add(&graph, u64::from(row)).map_err(no_room)?;
                }
                progress.advance(rows.len() as u64)
            })?;
            graph.reserve_capacity_and_threads(rows.len(), MAX_THREADS).map_err(no_room)?;
            let num_rows = vectors.len();
            Ok(Self { graph, storage, dim, num_rows, zeros, searching: Mutex::new(()) })
        })
    }

    /// Writes the graph to a file.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn save(&self, path: &Path) -> Result<()> {
        let failed = |error: cxx::Exception| Error::io(path, std::io::Error::other(error.what()));
        self.graph.save(utf8(path)?).map_err(failed)
    }

    /// Opens a file of [`Index::save`] without reading it: pages come when they are needed.
    ///
    /// The caller has checked that the file is whole: only its header is looked at here.
    ///
    /// # Errors
    /// [`Error::Data`] where the header does not say `num_rows`, `dim` and `storage`;
    /// [`Error::Io`].
    pub fn view(path: &Path, num_rows: usize, dim: usize, storage: Storage) -> Result<Self> {
        let broken = |error: cxx::Exception| {
            Error::Data(format!("{}: expected an index: {}", path.display(), error.what()))
        };
        let head = Graph::metadata(utf8(path)?).map_err(broken)?;
        let (found, expected) = (
            (head.dimensions, head.quantization, head.metric),
            (dim as u64, storage.kind(), MetricKind::Cos),
        );
        if found != expected || head.count_present > num_rows as u64 {
            return Err(Error::Data(format!(
                "{}: expected {num_rows} rows of {expected:?}, got {} rows of {found:?}",
                path.display(),
                head.count_present
            )));
        }
        let mut graph = new_graph(dim, storage, 0, 0)?;
        graph.reserve_capacity_and_threads(0, MAX_THREADS).map_err(no_room)?;
        graph.view(utf8(path)?).map_err(broken)?;
        set_metric(&mut graph, storage, dim)?;
        let missing = |&row: &u32| !graph.contains(u64::from(row));
        let zeros = if graph.size() == num_rows {
            Vec::new()
        } else {
            (0..num_rows as u32).filter(missing).collect()
        };
        Ok(Self { graph, storage, dim, num_rows, zeros, searching: Mutex::new(()) })
    }

    /// Number of vectors.
    pub fn len(&self) -> usize {
        self.num_rows
    }

    /// Whether there is no vector.
    pub fn is_empty(&self) -> bool {
        self.num_rows == 0
    }

    /// The `k` nearest of each query, most of them; `expansion` candidates are kept on the way.
    ///
    /// With `vectors`, those the index was built of, similarities are computed from them, as
    /// [`super::exact`] does, and with `itself` row q of the queries is row q of them and no
    /// neighbour of its own. Without, they are as exact as the storage. Ties go to the lower
    /// index among those found. The same at any number of threads.
    ///
    /// # Errors
    /// [`Error::Argument`] where `k` or `expansion` is 0 or `vectors` has another length;
    /// [`Error::Data`] as [`Vectors::new`] for the queries, where these have another dimension, or
    /// where `vectors` are clearly not those of the index; [`Error::Interrupted`].
    #[expect(clippy::too_many_arguments)]
    pub fn search(
        &self,
        queries: &[f32],
        dim: usize,
        k: usize,
        expansion: usize,
        vectors: Option<&[f32]>,
        itself: bool,
        num_threads: usize,
        progress: &Progress,
    ) -> Result<Neighbours> {
        check_k(k)?;
        self.check(dim, expansion, vectors)?;
        let alone = self.searching.lock().unwrap_or_else(PoisonError::into_inner);
        self.graph.change_expansion_search(expansion);
        let found = limited(num_threads, || {
            let queries = Vectors::new(queries, dim)?;
            let mut found = Neighbours::none(queries.len(), k);
            progress.start("neighbours", queries.len() as u64);
            let asker = Asker { index: self, queries: &queries, k, vectors, itself };
            found.par_blocks(ROWS_A_BEAT).enumerate().try_for_each(|(at, mut out)| {
                for row in 0..out.len() {
                    out.write(row, &asker.ask(at * ROWS_A_BEAT + row)?);
                }
                progress.advance(out.len() as u64)
            })?;
            Ok(found)
        });
        drop(alone);
        found
    }

    fn check(&self, dim: usize, expansion: usize, vectors: Option<&[f32]>) -> Result<()> {
        if dim != self.dim {
            return Err(Error::Data(format!(
                "queries must have the dimension of the index, {}, got {dim}",
                self.dim
            )));
        }
        if expansion == 0 {
            return Err(Error::Argument("expansion must be at least 1, got 0".into()));
        }
        match vectors {
            Some(vectors) if vectors.len() != self.num_rows * dim => Err(Error::Argument(format!(
                "expected the {} vectors of the index, got {}",
                self.num_rows,
                vectors.len() / dim
            ))),
            _ => Ok(()),
        }
    }
}

/// Runs `work` in at most as many threads as a graph knows.
fn limited<T: Send>(num_threads: usize, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    let all = || std::thread::available_parallelism().map_or(1, usize::from);
    let num_threads = if num_threads == 0 { all() } else { num_threads };
    with_threads(num_threads.min(MAX_THREADS), work)
}

fn utf8(path: &Path) -> Result<&str> {
    path.to_str().ok_or_else(|| {
        Error::Argument(format!("{}: an index needs a path in UTF-8", path.display()))
    })
}
