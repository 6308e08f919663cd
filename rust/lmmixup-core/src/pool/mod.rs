//! Instruction pools: text files in, canonical record batches out.
//!
//! ```text
//! source (open, unpack) ─► chunk | array | csv (cut into whole records)
//!    ─► pipeline (threads) ─► keys, json (scan) ─► canonical, columns (build)
//!    ─► reader (unique ids, in order) ─► Arrow batches and rejects
//! ```

mod array;
pub mod canonical;
pub mod chunk;
mod columns;
mod csv;
pub mod ids;
pub mod infer;
pub mod json;
mod keys;
pub mod mapping;
pub mod parse;
mod pipeline;
pub mod reader;
mod records;
pub mod reject;
pub mod source;
pub mod store;
pub mod turns;
pub mod typed;
pub mod unique;

pub use reader::{Batch, Reader, Request, scan_columns};
pub use reject::Reject;
pub use store::Store;
