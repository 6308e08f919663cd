//! Adapter of `lmmixup_core::faithfulness`.

use std::collections::{HashMap, HashSet};

use lmmixup_core::embed::Texts;
use lmmixup_core::faithfulness::{Checker, Language};
use numpy::{IntoPyArray, PyArray1, PyReadonlyArray1};
use pyo3::prelude::*;
use pyo3_arrow::PyArray;

use crate::error::to_python;
use crate::runtime::detach;

/// coverage, indptr, kinds, texts.
type PyChecked<'py> =
    (Bound<'py, PyArray1<f64>>, Bound<'py, PyArray1<i64>>, Bound<'py, PyArray1<u8>>, Vec<String>);

/// `lmmixup_core::faithfulness::Checker`.
#[pyclass(frozen, module = "lmmixup._rust")]
pub struct Faithfulness(Checker);

#[pymethods]
impl Faithfulness {
    #[new]
    #[expect(clippy::too_many_arguments, reason = "the fields of a language, all by name")]
    #[pyo3(signature = (*, function_words, no_names, common_endings, before_verbs, subject_verbs,
                        units, scales, weak_numbers))]
    fn new(
        py: Python<'_>,
        function_words: HashSet<String>,
        no_names: HashSet<String>,
        common_endings: Vec<String>,
        before_verbs: HashSet<String>,
        subject_verbs: HashSet<String>,
        units: HashMap<String, u64>,
        scales: HashMap<String, u64>,
        weak_numbers: HashSet<String>,
    ) -> PyResult<Self> {
        let language = Language {
            function_words,
            no_names,
            common_endings,
            before_verbs,
            subject_verbs,
            units,
            scales,
            weak_numbers,
        };
        Ok(Self(Checker::new(language).map_err(|error| to_python(py, error))?))
    }

    #[pyo3(signature = (made, sources, indptr, num_threads, on_progress = None))]
    fn check<'py>(
        &self,
        py: Python<'py>,
        made: PyArray,
        sources: PyArray,
        indptr: PyReadonlyArray1<'py, i64>,
        num_threads: usize,
        on_progress: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<PyChecked<'py>> {
        let indptr = indptr.as_slice()?;
        let checked = detach(py, on_progress, |progress| {
            let (made, sources) = (Texts::new(made.array())?, Texts::new(sources.array())?);
            self.0.check(made, sources, indptr, num_threads, progress)
        })?;
        Ok((
            checked.coverage.into_pyarray(py),
            checked.indptr.into_pyarray(py),
            checked.kinds.into_pyarray(py),
            checked.texts,
        ))
    }
}
