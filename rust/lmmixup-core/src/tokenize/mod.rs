//! Chats to token ids and loss masks, packed into rows of a bounded length.
//!
//! ```text
//! pool::Reader (threads) ─► chat (template, encoder: ids and mask) ─► windows of records
//!    ─► pack (which records share a row) ─► batches of rows, on another thread
//! ```

mod added;
mod bpe;
mod byte_level;
pub mod chat;
mod columns;
mod cuts;
pub mod encoded;
pub mod encoder;
mod file;
mod identity;
mod lengths;
mod nfc;
pub mod rows;
pub mod store;
mod tables;
mod window;
mod words;

pub use chat::{Chat, ChatScratch, Drop, Paths, SpecialInText, TRAINED};
pub use encoded::{Encoded, Limits, Totals};
pub use encoder::{Encoder, Scratch};
pub use identity::identity;
pub use rows::{Made, PackedRows, Packing};
pub use store::{TokenPool, Windows};
