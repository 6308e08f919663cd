//! `lmmixup._rust`: extract the arguments, release the GIL, call `lmmixup-core`, wrap the result.
//!
//! One thin adapter per core module, named as there. No algorithm lives here.

mod cluster;
mod error;
mod runtime;

use pyo3::prelude::*;

/// The compiled half of lmmixup; use `lmmixup.ops` and the stages instead.
#[pymodule]
#[pyo3(name = "_rust")]
mod rust_module {
    use super::*;
    #[pymodule_export]
    use crate::cluster::{cluster_graph, cluster_paper, draw_sizes, most_partitionable};


    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}
