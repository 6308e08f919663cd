//! Adapter of `lmmixup_core::cluster`.

use lmmixup_core::cluster::fill::Neighbours;
use lmmixup_core::cluster::{
    Bounds, Clusters, Limits, Random, Vectors, graph, mergeit, paper, quality,
};
use lmmixup_core::{Error, Result};
use numpy::{IntoPyArray, PyArray1, PyReadonlyArray1, PyReadonlyArray2, PyUntypedArrayMethods};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::error::to_python;
use crate::runtime::detach;

type Labels<'py> = (Bound<'py, PyArray1<i32>>, Bound<'py, PyArray1<u8>>);

fn wrap(py: Python<'_>, clusters: Clusters) -> Labels<'_> {
    let fates: Vec<u8> = clusters.fates.iter().map(|fate| *fate as u8).collect();
    (clusters.labels.into_pyarray(py), fates.into_pyarray(py))
}

fn contiguous<'a, T: numpy::Element, D: numpy::ndarray::Dimension>(
    py: Python<'_>,
    array: &'a numpy::PyReadonlyArray<'_, T, D>,
    name: &str,
) -> PyResult<&'a [T]> {
    array.as_slice().map_err(|_| {
        let hint = "hint: numpy.ascontiguousarray";
        to_python(py, Error::Argument(format!("{name} must be C-contiguous; {hint}")))
    })
}

/// `lmmixup.ops.draw_sizes`.
#[pyfunction]
pub fn draw_sizes<'py>(
    py: Python<'py>,
    num_records: usize,
    bounds: (usize, usize),
    mean: f64,
    std: f64,
    seed: u64,
) -> PyResult<Bound<'py, PyArray1<u32>>> {
    let draw = || -> Result<Vec<u32>> {
        let bounds = Bounds::new(bounds.0, bounds.1)?;
        bounds.plan(num_records, false)?;
        Ok(bounds.draw(num_records, mean, std, &mut Random::new(seed, 0)))
    };
    Ok(draw().map_err(|error| to_python(py, error))?.into_pyarray(py))
}

/// `lmmixup.ops.most_partitionable`.
#[pyfunction]
pub fn most_partitionable(
    py: Python<'_>,
    num_records: usize,
    bounds: (usize, usize),
) -> PyResult<usize> {
    let bounds = Bounds::new(bounds.0, bounds.1).map_err(|error| to_python(py, error))?;
    Ok(bounds.most_partitionable(num_records))
}

/// `lmmixup.ops.cluster_graph`.
#[pyfunction]
#[pyo3(signature = (vectors, indices, similarities, *, bounds, mean, sizes=None, min_similarity=None,
    tokens=None, max_cluster_tokens=None, allow_leftover=false, seed=0, max_rounds=100, num_threads=0, on_progress=None))]
#[expect(clippy::too_many_arguments, reason = "keyword arguments of Python, checked by `Options`")]
pub fn cluster_graph<'py>(
    py: Python<'py>,
    vectors: PyReadonlyArray2<'py, f32>,
    indices: PyReadonlyArray2<'py, i32>,
    similarities: PyReadonlyArray2<'py, f32>,
    bounds: (usize, usize),
    mean: f64,
    sizes: Option<PyReadonlyArray1<'py, u32>>,
    min_similarity: Option<f32>,
    tokens: Option<PyReadonlyArray1<'py, u32>>,
    max_cluster_tokens: Option<u64>,
    allow_leftover: bool,
    seed: u64,
    max_rounds: usize,
    num_threads: usize,
    on_progress: Option<Bound<'py, PyAny>>,
) -> PyResult<Labels<'py>> {
    let (dim, k) = (vectors.shape()[1], indices.shape()[1]);
    let data = contiguous(py, &vectors, "vectors")?;
    let indices = contiguous(py, &indices, "indices")?;
    let similarities = contiguous(py, &similarities, "similarities")?;
    let sizes = sizes.as_ref().map(|s| contiguous(py, s, "sizes")).transpose()?;
    let tokens = tokens.as_ref().map(|t| contiguous(py, t, "tokens")).transpose()?;
    let clusters = detach(py, on_progress.as_ref(), |progress| {
        let limits = Limits {
            bounds: Bounds::new(bounds.0, bounds.1)?,
            min_similarity,
            max_cluster_tokens: tokens.zip(max_cluster_tokens),
        };
        let sizes = sizes.map_or(graph::SizeRule::Mean(mean), graph::SizeRule::Given);
        let options =
            graph::Options { limits, sizes, allow_leftover, seed, max_rounds, num_threads };
        let near = Neighbours { indices, similarities, k };
        graph::cluster(Vectors::new(data, dim)?, near, &options, progress)
    })?;
    Ok(wrap(py, clusters))
}

/// `lmmixup.ops.cluster_paper`.
#[pyfunction]
#[pyo3(signature = (vectors, *, bounds, sizes, tokens=None, max_cluster_tokens=None, epochs=3, seed=0,
    num_threads=0, on_progress=None))]
#[expect(clippy::too_many_arguments, reason = "keyword arguments of Python, checked by `Options`")]
pub fn cluster_paper<'py>(
    py: Python<'py>,
    vectors: PyReadonlyArray2<'py, f32>,
    bounds: (usize, usize),
    sizes: PyReadonlyArray1<'py, u32>,
    tokens: Option<PyReadonlyArray1<'py, u32>>,
    max_cluster_tokens: Option<u64>,
    epochs: usize,
    seed: u64,
    num_threads: usize,
    on_progress: Option<Bound<'py, PyAny>>,
) -> PyResult<Labels<'py>> {
    let dim = vectors.shape()[1];
    let data = contiguous(py, &vectors, "vectors")?;
    let sizes = contiguous(py, &sizes, "sizes")?;
    let tokens = tokens.as_ref().map(|t| contiguous(py, t, "tokens")).transpose()?;
    let clusters = detach(py, on_progress.as_ref(), |progress| {
        let bounds = Bounds::new(bounds.0, bounds.1)?;
        let limits = Limits {
            bounds,
            min_similarity: None,
            max_cluster_tokens: tokens.zip(max_cluster_tokens),
        };
        let options = paper::Options { limits, sizes, epochs, seed, num_threads };
        paper::cluster(Vectors::new(data, dim)?, &options, progress)
    })?;
    Ok(wrap(py, clusters))
}

/// `lmmixup.ops.cluster_mergeit`.
#[pyfunction]
#[pyo3(signature = (vectors, reduced=None, *, bounds, similarity=0.8, keep=1.0, num_topics=0,
    tokens=None, max_cluster_tokens=None, seed=0, num_threads=0, on_progress=None))]
#[expect(clippy::too_many_arguments, reason = "keyword arguments of Python, checked by `Options`")]
pub fn cluster_mergeit<'py>(
    py: Python<'py>,
    vectors: PyReadonlyArray2<'py, f32>,
    reduced: Option<PyReadonlyArray2<'py, f32>>,
    bounds: (usize, usize),
    similarity: f32,
    keep: f64,
    num_topics: usize,
    tokens: Option<PyReadonlyArray1<'py, u32>>,
    max_cluster_tokens: Option<u64>,
    seed: u64,
    num_threads: usize,
    on_progress: Option<Bound<'py, PyAny>>,
) -> PyResult<Labels<'py>> {
    let dim = vectors.shape()[1];
    let data = contiguous(py, &vectors, "vectors")?;
    let reduced_dim = reduced.as_ref().map_or(1, |reduced| reduced.shape()[1]);
    let reduced = reduced.as_ref().map(|r| contiguous(py, r, "reduced")).transpose()?;
    let tokens = tokens.as_ref().map(|t| contiguous(py, t, "tokens")).transpose()?;
    let clusters = detach(py, on_progress.as_ref(), |progress| {
        let bounds = Bounds::new(bounds.0, bounds.1)?;
        let limits = Limits {
            bounds,
            min_similarity: None,
            max_cluster_tokens: tokens.zip(max_cluster_tokens),
        };
        let options = mergeit::Options { limits, similarity, keep, num_topics, seed, num_threads };
        let reduced = reduced.map(|reduced| Vectors::new(reduced, reduced_dim)).transpose()?;
        mergeit::cluster(Vectors::new(data, dim)?, reduced, &options, progress)
    })?;
    Ok(wrap(py, clusters))
}

/// `lmmixup.ops.cluster_quality`.
#[pyfunction]
#[pyo3(signature = (vectors, labels, indices=None, similarities=None, *, num_threads=0, on_progress=None))]
pub fn cluster_quality<'py>(
    py: Python<'py>,
    vectors: PyReadonlyArray2<'py, f32>,
    labels: PyReadonlyArray1<'py, i32>,
    indices: Option<PyReadonlyArray2<'py, i32>>,
    similarities: Option<PyReadonlyArray2<'py, f32>>,
    num_threads: usize,
    on_progress: Option<Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyDict>> {
    let dim = vectors.shape()[1];
    let k = indices.as_ref().map_or(0, |indices| indices.shape()[1]);
    let data = contiguous(py, &vectors, "vectors")?;
    let labels = contiguous(py, &labels, "labels")?;
    let indices = indices.as_ref().map(|i| contiguous(py, i, "indices")).transpose()?;
    let similarities =
        similarities.as_ref().map(|s| contiguous(py, s, "similarities")).transpose()?;
    let measured = detach(py, on_progress.as_ref(), |progress| {
        let near = indices.zip(similarities).map(|(indices, similarities)| Neighbours {
            indices,
            similarities,
            k,
        });
        quality::measure(Vectors::new(data, dim)?, labels, near, num_threads, progress)
    })?;
    let out = PyDict::new(py);
    out.set_item("to_centroid", measured.to_centroid.into_pyarray(py))?;
    out.set_item("to_mates", measured.to_mates.into_pyarray(py))?;
    out.set_item("cluster_pair_cosine", measured.cluster_pair_cosine.into_pyarray(py))?;
    out.set_item("sizes", measured.sizes.into_pyarray(py))?;
    out.set_item("centroid_mean", measured.centroid_mean)?;
    out.set_item("centroid_p10", measured.centroid_p10)?;
    out.set_item("pair_mean", measured.pair_mean)?;
    out.set_item("junk_share", measured.junk_share)?;
    out.set_item("nearest_together", measured.nearest_together)?;
    out.set_item("duplicates_together", measured.duplicates_together)?;
    out.set_item("random_pair_mean", measured.random_pair_mean)?;
    Ok(out)
}
