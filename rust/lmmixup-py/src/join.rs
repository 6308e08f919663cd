//! Adapter of `lmmixup_core::join`.

use lmmixup_core::join::{Earlier, near_families as core_near_families};
use numpy::PyReadonlyArray1;
use pyo3::prelude::*;

use crate::families::{PyFamilies, Rule, wrap};
use crate::runtime::detach;
use crate::text::TextPool;

/// Families, and (distinct sets, index entries, exact comparisons).
#[pyfunction]
pub fn near_families<'py>(
    py: Python<'py>,
    pool: PyRef<'py, TextPool>,
    threshold: f64,
    rule: Rule<'py>,
    earlier: Option<PyReadonlyArray1<'py, i64>>,
    num_threads: usize,
    on_progress: Option<&Bound<'py, PyAny>>,
) -> PyResult<(PyFamilies<'py>, (usize, usize, usize))> {
    let rule = rule.as_core()?;
    let family = earlier.as_ref().map(PyReadonlyArray1::as_slice).transpose()?;
    let earlier = Earlier { family, num_frozen: rule.num_frozen };
    let pool = &pool.inner;
    let (families, counts) = detach(py, on_progress, |progress| {
        core_near_families(pool, threshold, &rule, &earlier, num_threads, progress)
    })?;
    Ok((wrap(py, families), (counts.num_sets, counts.num_entries, counts.num_compared)))
}
