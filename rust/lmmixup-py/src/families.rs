//! Adapter of `lmmixup_core::families`.

use lmmixup_core::families::{Families, KeepRule};
use numpy::{IntoPyArray, PyArray1, PyReadonlyArray1};
use pyo3::prelude::*;

/// family, kept, partner, similarity, same_text, num_families.
pub type PyFamilies<'py> = (
    Bound<'py, PyArray1<u32>>,
    Bound<'py, PyArray1<bool>>,
    Bound<'py, PyArray1<i32>>,
    Bound<'py, PyArray1<f64>>,
    Bound<'py, PyArray1<bool>>,
    usize,
);

/// Moves the arrays into NumPy.
pub fn wrap(py: Python<'_>, families: Families) -> PyFamilies<'_> {
    (
        families.family.into_pyarray(py),
        families.kept.into_pyarray(py),
        families.partner.into_pyarray(py),
        families.similarity.into_pyarray(py),
        families.same_text.into_pyarray(py),
        families.num_families,
    )
}

/// The order of a family's records, as Python gives it.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub struct Rule<'py> {
    priority: Option<PyReadonlyArray1<'py, i64>>,
    longest: bool,
    one: bool,
    num_frozen: usize,
}

impl Rule<'_> {
    /// The same for core.
    pub fn as_core(&self) -> PyResult<KeepRule<'_>> {
        let priority = self.priority.as_ref().map(PyReadonlyArray1::as_slice).transpose()?;
        Ok(KeepRule { priority, longest: self.longest, one: self.one, num_frozen: self.num_frozen })
    }
}
