//! Chats to token ids and loss masks, packed into rows of a bounded length.
//!
//! ```text
//! pool::Reader (threads) ─► chat (template, encoder: ids and mask) ─► spill (disk)
//!    ─► pack (which records share a row) ─► batches of rows
//! ```

pub mod encoder;
mod words;

pub use encoder::{Encoder, Scratch};
