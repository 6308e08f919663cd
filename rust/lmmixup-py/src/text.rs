//! Adapter of `lmmixup_core::text`.

use lmmixup_core::pool::Store;
use lmmixup_core::text::{Normalization, ShingleOptions, ShingleUnit, TextPool as CorePool};
use lmmixup_core::{Error, Result};
use pyo3::prelude::*;
use pyo3_arrow::PyRecordBatch;

use crate::error::to_python;
use crate::pool::{PoolReader, RejectRow};
use crate::runtime::detach;

/// Texts of a pool as compact token sequences.
#[pyclass(module = "lmmixup._rust")]
pub struct TextPool {
    pub inner: CorePool,
}

/// `word`, `char` or `auto`, and `raw`, `lower` or `nfkc`, as core options.
pub fn shingle_options(unit: &str, num_tokens: usize, normalize: &str) -> Result<ShingleOptions> {
    let unit = match unit {
        "word" => ShingleUnit::Word,
        "char" => ShingleUnit::Char,
        "auto" => ShingleUnit::Auto,
        _ => return Err(unknown("shingle unit", unit, "word, char or auto")),
    };
    Ok(ShingleOptions { unit, num_tokens, normalization: normalization(normalize)? })
}

/// `raw`, `lower` or `nfkc`.
pub fn normalization(name: &str) -> Result<Normalization> {
    match name {
        "raw" => Ok(Normalization::Raw),
        "lower" => Ok(Normalization::Lower),
        "nfkc" => Ok(Normalization::Nfkc),
        _ => Err(unknown("normalization", name, "raw, lower or nfkc")),
    }
}

fn unknown(what: &str, got: &str, expected: &str) -> Error {
    Error::Argument(format!("expected {expected} as {what}, got `{got}`"))
}

#[pymethods]
impl TextPool {
    #[new]
    fn new(py: Python<'_>, unit: &str, num_tokens: usize, normalize: &str) -> PyResult<Self> {
        let inner = shingle_options(unit, num_tokens, normalize).and_then(CorePool::new);
        Ok(Self { inner: inner.map_err(|error| to_python(py, error))? })
    }

    fn push(&mut self, py: Python<'_>, batch: PyRecordBatch, num_threads: usize) -> PyResult<()> {
        let (pool, batch) = (&mut self.inner, batch.into_inner());
        detach(py, None, move |progress| pool.push(&batch, num_threads, progress))
    }

    /// Adds records of a file up to the next rejects, which are returned; `None` at the end.
    #[pyo3(signature = (reader, on_progress=None))]
    fn read(
        &mut self,
        py: Python<'_>,
        reader: &PoolReader,
        on_progress: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Option<Vec<RejectRow>>> {
        reader.feed(py, &mut self.inner, on_progress)
    }

    fn seal(&mut self) {
        self.inner.seal();
    }

    fn __len__(&self) -> usize {
        self.inner.len()
    }
}
