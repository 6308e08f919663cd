//! `ops.knn` and `ops.Index`: nearest neighbours by cosine.

use std::path::PathBuf;

use lmmixup_core::knn::{self, BlocksOptions, IndexOptions, Neighbours, Prepared, Storage};
use lmmixup_core::{Error, Result};
use numpy::ndarray::Array2;
use numpy::{IntoPyArray, PyArray2, PyReadonlyArray2, PyUntypedArrayMethods};
use pyo3::prelude::*;

use crate::error::to_python;
use crate::runtime::detach;

type Found<'py> = (Bound<'py, PyArray2<i32>>, Bound<'py, PyArray2<f32>>);

/// Exact neighbours; without queries those of the pool among itself.
#[pyfunction]
#[pyo3(signature = (vectors, queries, k, *, num_threads=0, on_progress=None))]
pub fn knn_exact<'py>(
    py: Python<'py>,
    vectors: PyReadonlyArray2<'py, f32>,
    queries: Option<PyReadonlyArray2<'py, f32>>,
    k: usize,
    num_threads: usize,
    on_progress: Option<&Bound<'py, PyAny>>,
) -> PyResult<Found<'py>> {
    let (pool, dim) = (vectors.as_slice()?, vectors.shape()[1]);
    let asked = queries.as_ref().map(PyReadonlyArray2::as_slice).transpose()?;
    let num = queries.as_ref().unwrap_or(&vectors).shape()[0];
    let found =
        detach(py, on_progress, |progress| knn::exact(pool, asked, dim, k, num_threads, progress))?;
    wrap(py, num, found)
}

/// `lmmixup_core::knn::Prepared`; the caller keeps the vectors and passes them again.
#[pyclass(module = "lmmixup._rust", frozen)]
pub struct KnnPrepared {
    inner: Prepared,
}

#[pymethods]
impl KnnPrepared {
    #[new]
    #[pyo3(signature = (vectors, num_threads=0))]
    fn new(
        py: Python<'_>,
        vectors: PyReadonlyArray2<'_, f32>,
        num_threads: usize,
    ) -> PyResult<Self> {
        let (pool, dim) = (vectors.as_slice()?, vectors.shape()[1]);
        let inner = detach(py, None, |_| Prepared::new(pool, dim, num_threads))?;
        Ok(Self { inner })
    }

    #[pyo3(signature = (vectors, queries, k, *, num_threads=0, on_progress=None))]
    fn nearest<'py>(
        &self,
        py: Python<'py>,
        vectors: PyReadonlyArray2<'py, f32>,
        queries: PyReadonlyArray2<'py, f32>,
        k: usize,
        num_threads: usize,
        on_progress: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Found<'py>> {
        let (pool, asked) = (vectors.as_slice()?, queries.as_slice()?);
        let num = queries.shape()[0];
        let found = detach(py, on_progress, |progress| {
            self.inner.nearest(pool, asked, k, num_threads, progress)
        })?;
        wrap(py, num, found)
    }
}

/// Approximate neighbours of a pool among itself, by coarse cells.
#[pyfunction]
#[pyo3(signature = (vectors, k, *, cell_size, overlap, seed, num_threads=0, on_progress=None))]
#[expect(clippy::too_many_arguments, reason = "keyword arguments of one seam")]
pub fn knn_blocks<'py>(
    py: Python<'py>,
    vectors: PyReadonlyArray2<'py, f32>,
    k: usize,
    cell_size: usize,
    overlap: usize,
    seed: u64,
    num_threads: usize,
    on_progress: Option<&Bound<'py, PyAny>>,
) -> PyResult<Found<'py>> {
    let (pool, dim) = (vectors.as_slice()?, vectors.shape()[1]);
    let options = BlocksOptions { cell_size, overlap, seed };
    let found = detach(py, on_progress, |progress| {
        knn::blocks(pool, dim, k, options, num_threads, progress)
    })?;
    wrap(py, vectors.shape()[0], found)
}

/// Share of true neighbours among those found, over a sample, and the size of the sample.
#[pyfunction]
#[pyo3(signature = (vectors, similarities, *, sample, seed, num_threads=0, on_progress=None))]
pub fn knn_recall<'py>(
    py: Python<'py>,
    vectors: PyReadonlyArray2<'py, f32>,
    similarities: PyReadonlyArray2<'py, f32>,
    sample: usize,
    seed: u64,
    num_threads: usize,
    on_progress: Option<&Bound<'py, PyAny>>,
) -> PyResult<(f64, usize)> {
    let (pool, dim) = (vectors.as_slice()?, vectors.shape()[1]);
    let (near, k) = (similarities.as_slice()?, similarities.shape()[1]);
    detach(py, on_progress, |progress| {
        knn::recall(pool, dim, near, k, sample, seed, num_threads, progress)
    })
}

/// The instruction set that neighbour search uses here.
#[pyfunction]
pub fn knn_instruction_set() -> &'static str {
    knn::instruction_set()
}

/// A library's vectors and the graph of near ones.
#[pyclass(module = "lmmixup._rust", frozen)]
pub struct Index {
    inner: knn::Index,
}

#[pymethods]
impl Index {
    /// The graph of `vectors`.
    #[staticmethod]
    #[pyo3(signature = (vectors, *, dtype, connectivity, expansion, reproducible, num_threads=0, on_progress=None))]
    #[expect(clippy::too_many_arguments, reason = "keyword arguments of one seam")]
    fn build(
        py: Python<'_>,
        vectors: PyReadonlyArray2<'_, f32>,
        dtype: &str,
        connectivity: usize,
        expansion: usize,
        reproducible: bool,
        num_threads: usize,
        on_progress: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let storage = storage(dtype).map_err(|error| to_python(py, error))?;
        let options = IndexOptions { storage, connectivity, expansion, reproducible };
        let (pool, dim) = (vectors.as_slice()?, vectors.shape()[1]);
        let inner = detach(py, on_progress, |progress| {
            knn::Index::build(pool, dim, options, num_threads, progress)
        })?;
        Ok(Self { inner })
    }

    /// A file of `save`, memory-mapped.
    #[staticmethod]
    fn view(
        py: Python<'_>,
        path: PathBuf,
        num_rows: usize,
        dim: usize,
        dtype: &str,
    ) -> PyResult<Self> {
        let storage = storage(dtype).map_err(|error| to_python(py, error))?;
        let inner = detach(py, None, |_| knn::Index::view(&path, num_rows, dim, storage))?;
        Ok(Self { inner })
    }

    /// Writes the graph.
    fn save(&self, py: Python<'_>, path: PathBuf) -> PyResult<()> {
        detach(py, None, |_| self.inner.save(&path))
    }

    /// The nearest of each query.
    #[pyo3(signature = (queries, k, *, expansion, vectors, itself, num_threads=0, on_progress=None))]
    #[expect(clippy::too_many_arguments, reason = "keyword arguments of one seam")]
    fn search<'py>(
        &self,
        py: Python<'py>,
        queries: PyReadonlyArray2<'py, f32>,
        k: usize,
        expansion: usize,
        vectors: Option<PyReadonlyArray2<'py, f32>>,
        itself: bool,
        num_threads: usize,
        on_progress: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Found<'py>> {
        let (asked, dim) = (queries.as_slice()?, queries.shape()[1]);
        let own = vectors.as_ref().map(PyReadonlyArray2::as_slice).transpose()?;
        let found = detach(py, on_progress, |progress| {
            self.inner.search(asked, dim, k, expansion, own, itself, num_threads, progress)
        })?;
        wrap(py, queries.shape()[0], found)
    }

    fn __len__(&self) -> usize {
        self.inner.len()
    }
}

fn storage(dtype: &str) -> Result<Storage> {
    match dtype {
        "f32" => Ok(Storage::F32),
        "f16" => Ok(Storage::F16),
        "i8" => Ok(Storage::I8),
        _ => Err(Error::Argument(format!("dtype must be f32, f16 or i8, got {dtype:?}"))),
    }
}

fn wrap(py: Python<'_>, num: usize, found: Neighbours) -> PyResult<Found<'_>> {
    let shape = (num, found.k);
    let to_error = |error: numpy::ndarray::ShapeError| {
        pyo3::exceptions::PyRuntimeError::new_err(error.to_string())
    };
    let indices = Array2::from_shape_vec(shape, found.indices).map_err(to_error)?;
    let similarities = Array2::from_shape_vec(shape, found.similarities).map_err(to_error)?;
    Ok((indices.into_pyarray(py), similarities.into_pyarray(py)))
}
