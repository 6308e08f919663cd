//! `lmmixup._rust`: extract the arguments, release the GIL, call `lmmixup-core`, wrap the result.
//!
//! One thin adapter per core module, named as there. No algorithm lives here.

mod error;
mod families;
mod join;
mod runtime;
mod text;

use pyo3::prelude::*;

/// The compiled half of lmmixup; use `lmmixup.ops` and the stages instead.
#[pymodule]
#[pyo3(name = "_rust")]
mod rust_module {
    use super::*;
    #[pymodule_export]
    use super::join::near_families;
    #[pymodule_export]
    use super::text::TextPool;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}
