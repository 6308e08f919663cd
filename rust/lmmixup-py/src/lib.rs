//! `lmmixup._rust`: extract the arguments, release the GIL, call `lmmixup-core`, wrap the result.
//!
//! One thin adapter per core module, named as there. No algorithm lives here.

mod against;
mod cluster;
mod embed;
mod error;
mod exact;
mod extract;
mod faithfulness;
mod families;
mod join;
mod knn;
mod minhash;
mod pool;
mod runtime;
mod semantic;
mod text;
mod tokenize;

use pyo3::prelude::*;

/// The compiled half of lmmixup; use `lmmixup.ops` and the stages instead.
#[pymodule]
#[pyo3(name = "_rust")]
mod rust_module {
    #[pymodule_export]
    use super::against::matches;
    #[pymodule_export]
    use super::exact::ExactPool;
    #[pymodule_export]
    use super::extract::extract;
    #[pymodule_export]
    use super::faithfulness::Faithfulness;
    #[pymodule_export]
    use super::join::near_families;
    #[pymodule_export]
    use super::knn::{Index, KnnPrepared, knn_blocks, knn_exact, knn_instruction_set, knn_recall};
    #[pymodule_export]
    use super::minhash::minhash_families;
    #[pymodule_export]
    use super::semantic::semantic_families;
    #[pymodule_export]
    use super::text::TextPool;
    #[pymodule_export]
    use super::tokenize::{
        ChatEncoder, ChatPool, Encoder, PackedRows, pack_best_fit, tokenizer_identity,
    };
    use super::*;
    #[pymodule_export]
    use crate::cluster::{
        cluster_graph, cluster_mergeit, cluster_paper, cluster_quality, draw_sizes,
        most_partitionable,
    };

    #[pymodule_export]
    use crate::embed::{Lexical, StaticModel};
    #[pymodule_export]
    use crate::pool::{
        PoolIds, PoolMapping, PoolPlan, PoolReader, pool_canonicalise, pool_column_type,
        pool_columns, pool_prompt_completion, pool_sample_keys, pool_schema_columns, pool_sniff,
        pool_text_keys,
    };

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}
