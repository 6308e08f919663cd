//! Adapter of `lmmixup_core::exact`.

use lmmixup_core::exact::ExactPool as CorePool;
use lmmixup_core::pool::Store;
use pyo3::prelude::*;
use pyo3_arrow::PyRecordBatch;

use crate::error::to_python;
use crate::families::{PyFamilies, Rule, wrap};
use crate::pool::{PoolReader, RejectRow};
use crate::runtime::detach;
use crate::text::normalization;

/// Hashes of a pool's records.
#[pyclass(module = "lmmixup._rust")]
pub struct ExactPool {
    /// Of core.
    pub inner: CorePool,
}

#[pymethods]
impl ExactPool {
    #[new]
    #[pyo3(signature = (normalize, lengths=false))]
    fn new(py: Python<'_>, normalize: &str, lengths: bool) -> PyResult<Self> {
        let normalization = normalization(normalize).map_err(|error| to_python(py, error))?;
        let inner = match lengths {
            true => CorePool::with_lengths(normalization),
            false => CorePool::new(normalization),
        };
        Ok(Self { inner })
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

    fn families<'py>(
        &self,
        py: Python<'py>,
        rule: Rule<'py>,
        num_threads: usize,
    ) -> PyResult<PyFamilies<'py>> {
        let rule = rule.as_core()?;
        let families = detach(py, None, |_| self.inner.families(&rule, num_threads))?;
        Ok(wrap(py, families))
    }

    fn __len__(&self) -> usize {
        self.inner.len()
    }
}
