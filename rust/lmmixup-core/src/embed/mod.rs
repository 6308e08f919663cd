//! Vectors for texts: hashed features of the pool itself, or a table of token vectors.
//!
//! Both give `(N, D)` float32, row by row the same at any number of threads: one row is
//! always summed by one thread, in the order of its text.

pub mod lexical;
pub(crate) mod rows;
pub mod static_model;
pub mod texts;

pub use lexical::{Lexical, LexicalOptions};
pub use static_model::{StaticModel, StaticOptions};
pub use texts::Texts;
pub(crate) use texts::check_indptr;
