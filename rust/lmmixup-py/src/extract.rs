//! Adapter of `lmmixup_core::extract`.

use lmmixup_core::embed::Texts;
use numpy::{IntoPyArray, PyArray1, PyReadonlyArray1};
use pyo3::prelude::*;
use pyo3_arrow::PyArray;

use crate::runtime::detach;

type Numbers<'py> = Bound<'py, PyArray1<i64>>;

/// prompts, completions, num_questions, left, num_redundant, num_fragments, num_over.
type PyExtracts<'py> = (
    Vec<String>,
    Vec<String>,
    Numbers<'py>,
    Bound<'py, PyArray1<u8>>,
    Numbers<'py>,
    Numbers<'py>,
    Numbers<'py>,
);

/// `lmmixup_core::extract::extract`.
#[pyfunction]
#[pyo3(signature = (prompts, completions, indptr, max_output_tokens, num_threads, on_progress = None))]
pub fn extract<'py>(
    py: Python<'py>,
    prompts: PyArray,
    completions: PyArray,
    indptr: PyReadonlyArray1<'py, i64>,
    max_output_tokens: i64,
    num_threads: usize,
    on_progress: Option<&Bound<'py, PyAny>>,
) -> PyResult<PyExtracts<'py>> {
    let indptr = indptr.as_slice()?;
    let taken = detach(py, on_progress, |progress| {
        let (asked, told) = (Texts::new(prompts.array())?, Texts::new(completions.array())?);
        lmmixup_core::extract::extract(
            asked,
            told,
            indptr,
            max_output_tokens,
            num_threads,
            progress,
        )
    })?;
    Ok((
        taken.prompts,
        taken.completions,
        taken.num_questions.into_pyarray(py),
        taken.left.into_pyarray(py),
        taken.num_redundant.into_pyarray(py),
        taken.num_fragments.into_pyarray(py),
        taken.num_over.into_pyarray(py),
    ))
}
