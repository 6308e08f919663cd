//! Adapter of `lmmixup_core::against`.

use lmmixup_core::against::{Matches, matches as core_matches};
use numpy::{IntoPyArray, PyArray1};
use pyo3::prelude::*;

use crate::runtime::detach;
use crate::text::TextPool;

/// container, containment, nearest, jaccard.
type PyMatches<'py> = (
    Bound<'py, PyArray1<i32>>,
    Bound<'py, PyArray1<f64>>,
    Bound<'py, PyArray1<i32>>,
    Bound<'py, PyArray1<f64>>,
);

/// Matches of the first `num_other` records, and of the rest.
#[pyfunction]
pub fn matches<'py>(
    py: Python<'py>,
    texts: PyRef<'py, TextPool>,
    num_other: usize,
    num_threads: usize,
    on_progress: Option<&Bound<'py, PyAny>>,
) -> PyResult<(PyMatches<'py>, PyMatches<'py>)> {
    let texts = &texts.inner;
    let (of_other, of_pool) =
        detach(py, on_progress, |progress| core_matches(texts, num_other, num_threads, progress))?;
    Ok((wrap(py, of_other), wrap(py, of_pool)))
}

fn wrap(py: Python<'_>, matches: Matches) -> PyMatches<'_> {
    (
        matches.container.into_pyarray(py),
        matches.containment.into_pyarray(py),
        matches.nearest.into_pyarray(py),
        matches.jaccard.into_pyarray(py),
    )
}
