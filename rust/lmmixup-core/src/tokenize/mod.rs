//! Chats to token ids and loss masks, packed into rows of a bounded length.
//!
//! ```text
//! pool::Reader (threads) ─► chat (template, encoder: ids and mask) ─► spill (disk)
//!    ─► pack (which records share a row) ─► batches of rows
//! ```

pub mod chat;
pub mod encoder;
pub mod store;
mod words;

pub use chat::{Chat, ChatScratch, Drop, Paths, SpecialInText, TRAINED};
pub use encoder::{Encoder, Scratch};
pub use store::{Encoded, Limits, TokenPool, Totals};
