//! Record pools, deduplication, embeddings, neighbours and clusters, without Python.
//!
//! Data comes in as Arrow record batches or flat slices and goes out as flat vectors or
//! CSR pairs `(indptr, indices)`. Every function that loops over records takes a number of
//! threads and a [`Progress`], gives the same answer at any number of threads, and stops
//! with [`Error::Interrupted`] soon after [`Progress::cancel`].

pub mod against;
pub mod cluster;
pub mod embed;
pub mod error;
pub mod exact;
pub mod extract;
pub mod faithfulness;
pub mod families;
pub mod join;
pub mod knn;
pub mod minhash;
pub mod pack;
pub mod pool;
pub mod progress;
pub mod semantic;
pub mod template;
pub mod text;
pub mod threads;
pub mod tokenize;

pub use error::{Error, Result};
pub use progress::Progress;
