//! Adapter of `lmmixup_core::semantic`.

use lmmixup_core::join::Earlier;
use lmmixup_core::knn::{BlocksOptions, PairRecall};
use lmmixup_core::semantic::{SemanticOptions, semantic_families as core_semantic_families};
use numpy::{PyReadonlyArray1, PyReadonlyArray2, PyUntypedArrayMethods};
use pyo3::prelude::*;

use crate::exact::ExactPool;
use crate::families::{PyFamilies, Rule, wrap};
use crate::runtime::detach;

/// Cells and the sample on which their recall is measured, as Python gives them.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub struct Blocks {
    cell_size: usize,
    overlap: usize,
    seed: u64,
    recall_sample: usize,
}

/// Sampled vectors, their pairs at the threshold, and those of them in one family.
type PyRecall = (usize, usize, usize);

/// Families, and the recall of pairs where cells were used.
#[pyfunction]
#[expect(clippy::too_many_arguments, reason = "the function's own arguments, GIL and progress")]
pub fn semantic_families<'py>(
    py: Python<'py>,
    pool: PyRef<'py, ExactPool>,
    vectors: PyReadonlyArray2<'py, f32>,
    threshold: f64,
    blocks: Option<Blocks>,
    rule: Rule<'py>,
    earlier: Option<PyReadonlyArray1<'py, i64>>,
    num_threads: usize,
    on_progress: Option<&Bound<'py, PyAny>>,
) -> PyResult<(PyFamilies<'py>, Option<PyRecall>)> {
    let rule = rule.as_core()?;
    let family = earlier.as_ref().map(PyReadonlyArray1::as_slice).transpose()?;
    let earlier = Earlier { family, num_frozen: rule.num_frozen };
    let recall_sample = blocks.as_ref().map_or(0, |blocks| blocks.recall_sample);
    let blocks = blocks.map(|Blocks { cell_size, overlap, seed, .. }| BlocksOptions {
        cell_size,
        overlap,
        seed,
    });
    let options = SemanticOptions { threshold, blocks, recall_sample };
    let (values, dim, pool) = (vectors.as_slice()?, vectors.shape()[1], &pool.inner);
    let (families, recall) = detach(py, on_progress, |progress| {
        core_semantic_families(pool, values, dim, options, &rule, &earlier, num_threads, progress)
    })?;
    let counts = |recall: PairRecall| (recall.num_sampled, recall.num_pairs, recall.num_connected);
    Ok((wrap(py, families), recall.map(counts)))
}
