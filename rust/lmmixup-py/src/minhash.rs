//! Adapter of `lmmixup_core::minhash`.

use lmmixup_core::join::Earlier;
use lmmixup_core::minhash::{MinHashOptions, minhash_families as core_minhash_families};
use numpy::PyReadonlyArray1;
use pyo3::prelude::*;

use crate::families::{PyFamilies, Rule, wrap};
use crate::runtime::detach;
use crate::text::TextPool;

/// How sets are hashed and banded, as Python gives it.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub struct Options {
    num_perm: usize,
    bands_and_rows: Option<(usize, usize)>,
    verify: bool,
    seed: u64,
}

/// Families.
#[pyfunction]
#[expect(clippy::too_many_arguments, reason = "the function's own arguments, GIL and progress")]
pub fn minhash_families<'py>(
    py: Python<'py>,
    pool: PyRef<'py, TextPool>,
    threshold: f64,
    options: Options,
    rule: Rule<'py>,
    earlier: Option<PyReadonlyArray1<'py, i64>>,
    num_threads: usize,
    on_progress: Option<&Bound<'py, PyAny>>,
) -> PyResult<PyFamilies<'py>> {
    let rule = rule.as_core()?;
    let Options { num_perm, bands_and_rows, verify, seed } = options;
    let options = MinHashOptions { num_perm, bands_and_rows, verify, seed };
    let family = earlier.as_ref().map(PyReadonlyArray1::as_slice).transpose()?;
    let earlier = Earlier { family, num_frozen: rule.num_frozen };
    let pool = &pool.inner;
    let families = detach(py, on_progress, |progress| {
        core_minhash_families(pool, threshold, &options, &rule, &earlier, num_threads, progress)
    })?;
    Ok(wrap(py, families))
}
