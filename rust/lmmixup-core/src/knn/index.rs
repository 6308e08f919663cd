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

use super::kernels::Kernels;
use super::topk::Entry;
use super::vectors::{Vectors, inverse_length};
use super::{Neighbours, check_k};
use crate::threads::with_threads;
use crate::{Error, Progress, Result};
use stored::{Stored, new_graph, no_room, set_metric};

mod stored;

pub use stored::Storage;

/// Most threads that search at a time: a graph must know before.
const MAX_THREADS: usize = 64;
/// Rows between two looks at whether to stop.
const ROWS_A_BEAT: usize = 64;
/// More than 8 bits can be wrong by.
const FAR: f32 = 0.1;

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

/// One search: who asks, and what candidates are compared with.
struct Asker<'a> {
    index: &'a Index,
    queries: &'a Vectors<'a>,
    k: usize,
    vectors: Option<&'a [f32]>,
    itself: bool,
}

impl Asker<'_> {
    /// The nearest of one query, best first.
    fn ask(&self, query: usize) -> Result<Vec<Entry>> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::knn::exact;

    const DIM: usize = 20;

    fn random(num: usize, seed: u64) -> Vec<f32> {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 40) as f32 / (1 << 23) as f32 - 1.0
        };
        (0..num * DIM).map(|_| next()).collect()
    }

    fn options(storage: Storage, reproducible: bool) -> IndexOptions {
        IndexOptions { storage, connectivity: 16, expansion: 64, reproducible }
    }

    fn search(index: &Index, queries: &[f32], k: usize, own: Option<&[f32]>) -> Result<Neighbours> {
        index.search(queries, DIM, k, 64, own, false, 2, &Progress::default())
    }

    fn file(name: &str) -> std::path::PathBuf {
        std::env::temp_dir().join(format!("lmmixup-{}-{name}", std::process::id()))
    }

    #[test]
    fn finds_most_with_the_cosines_of_exact_search() -> Result<()> {
        let (data, queries, progress) = (random(2000, 1), random(100, 2), Progress::default());
        let truth = exact(&data, Some(&queries), DIM, 10, 1, &progress)?;
        for storage in [Storage::F32, Storage::F16, Storage::I8] {
            let index = Index::build(&data, DIM, options(storage, true), 1, &progress)?;
            let found = search(&index, &queries, 10, Some(&data))?;
            let (mut hits, all) = (0, truth.indices.len());
            for (row, near) in truth.similarities.chunks_exact(10).enumerate() {
                for (&at, &own) in
                    found.indices[row * 10..][..10].iter().zip(&found.similarities[row * 10..])
                {
                    hits += usize::from(own >= near[9]);
                    let same = truth.indices[row * 10..][..10].iter().position(|&i| i == at);
                    assert!(same.is_none_or(|same| near[same].to_bits() == own.to_bits()));
                }
            }
            assert!(hits as f64 > 0.97 * all as f64, "{storage:?}: {hits} of {all}");
            let stored = search(&index, &queries, 10, None)?;
            let near = |a: &f32, b: &f32| (a - b).abs() < 0.03;
            assert!(stored.similarities.iter().zip(&found.similarities).all(|(a, b)| near(a, b)));
        }
        Ok(())
    }

    #[test]
    fn one_thread_builds_the_same_file_and_a_view_answers_as_it_did() -> Result<()> {
        let (data, queries, progress) = (random(700, 3), random(20, 4), Progress::default());
        let mut files = Vec::new();
        for (at, threads) in [1, 2, 7].into_iter().enumerate() {
            let built = Index::build(&data, DIM, options(Storage::F16, true), threads, &progress)?;
            let path = file(&format!("same-{at}"));
            built.save(&path)?;
            let opened = Index::view(&path, 700, DIM, Storage::F16)?;
            for own in [None, Some(&data[..])] {
                let expected = search(&built, &queries, 5, own)?;
                for threads in [1, 7] {
                    let found =
                        opened.search(&queries, DIM, 5, 64, own, false, threads, &progress)?;
                    assert_eq!(found, expected);
                }
            }
            files.push(std::fs::read(&path).map_err(|error| Error::io(&path, error))?);
            drop(opened);
            let _ = std::fs::remove_file(&path);
        }
        assert!(files.iter().all(|file| *file == files[0]));
        Ok(())
    }

    #[test]
    fn zero_rows_and_more_than_there_are() -> Result<()> {
        let progress = Progress::default();
        let mut data = random(30, 5);
        data[..DIM].fill(0.0);
        data[4 * DIM..5 * DIM].fill(0.0);
        let mut queries = random(2, 6);
        queries[..DIM].fill(0.0);
        for storage in [Storage::F32, Storage::I8] {
            let index = Index::build(&data, DIM, options(storage, true), 1, &progress)?;
            let found = search(&index, &queries, 40, Some(&data))?;
            let truth = exact(&data, Some(&queries), DIM, 40, 1, &progress)?;
            assert_eq!(found, truth);
            let itself = index.search(&data, DIM, 40, 64, Some(&data), true, 1, &progress)?;
            assert_eq!(itself, exact(&data, None, DIM, 40, 1, &progress)?);
            let path = file(&format!("zeros-{storage:?}"));
            index.save(&path)?;
            let opened = Index::view(&path, 30, DIM, storage)?;
            assert_eq!(search(&opened, &queries, 40, Some(&data))?, truth);
            drop(opened);
            let _ = std::fs::remove_file(&path);
        }
        let empty = Index::build(&[], DIM, options(Storage::F32, true), 1, &progress)?;
        assert_eq!(search(&empty, &queries, 3, None)?, Neighbours::none(2, 3));
        Ok(())
    }

    #[test]
    fn several_threads_build_where_asked() -> Result<()> {
        let (data, progress) = (random(3000, 7), Progress::default());
        let index = Index::build(&data, DIM, options(Storage::F32, false), 7, &progress)?;
        let found = index.search(&data, DIM, 1, 64, None, false, 7, &progress)?;
        let itself = found.indices.iter().enumerate().filter(|&(at, &row)| at == row as usize);
        assert!(itself.count() > 2900);
        Ok(())
    }

    #[test]
    fn what_does_not_fit_is_refused() -> Result<()> {
        let (data, progress) = (random(50, 8), Progress::default());
        let index = Index::build(&data, DIM, options(Storage::F32, true), 1, &progress)?;
        let other = random(50, 9);
        let bad = |found: Result<Neighbours>| found.is_err_and(|e| matches!(e, Error::Data(_)));
        assert!(bad(search(&index, &data, 3, Some(&other))));
        assert!(bad(index.search(&data, DIM / 2, 3, 64, None, false, 1, &progress)));
        assert!(bad(search(&index, &[f32::NAN; DIM], 3, None)));
        let few = search(&index, &data, 3, Some(&data[..DIM]));
        assert!(few.is_err_and(|error| matches!(error, Error::Argument(_))));
        let path = file("refused");
        index.save(&path)?;
        for (num_rows, dim, storage) in
            [(49, DIM, Storage::F32), (50, DIM + 1, Storage::F32), (50, DIM, Storage::F16)]
        {
            let opened = Index::view(&path, num_rows, dim, storage);
            assert!(opened.is_err_and(|error| matches!(error, Error::Data(_))));
        }
        std::fs::write(&path, b"no index").map_err(|error| Error::io(&path, error))?;
        assert!(Index::view(&path, 50, DIM, Storage::F32).is_err());
        let _ = std::fs::remove_file(&path);
        assert!(Index::view(&path, 50, DIM, Storage::F32).is_err());
        Ok(())
    }
}
