//! The one mapping from core errors to the exceptions of `lmmixup.errors`.

use lmmixup_core::Error;
use pyo3::exceptions::PyKeyboardInterrupt;
use pyo3::prelude::*;
use pyo3::types::PyType;

/// A core error as the Python exception that stands for it.
pub fn to_python(py: Python<'_>, error: Error) -> PyErr {
    let class = match &error {
        Error::Interrupted => return PyKeyboardInterrupt::new_err(()),
        Error::Argument(_) => "ArgumentError",
        Error::Data(_) | Error::Arrow(_) => "DataError",
        Error::Infeasible(_) => "InfeasibleError",
        Error::Io { .. } => "FileError",
        // `Error` is non_exhaustive for other crates; a new variant must be named here.
        _ => "LmmixupError",
    };
    let message = error.to_string();
    match exception_class(py, class) {
        Ok(class) => PyErr::from_type(class, message),
        Err(import_error) => import_error,
    }
}

fn exception_class<'py>(py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyType>> {
    Ok(py.import("lmmixup.errors")?.getattr(name)?.cast_into::<PyType>()?)
}
