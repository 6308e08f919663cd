//! From the fields of a record to its canonical form: checked, then given to whoever wants it.

mod builder;
mod field;
mod record;

pub use builder::{Canonical, CanonicalBuilder, turn_fields};
pub use field::{Field, Form};
pub use record::Record;

use crate::Result;

/// Takes the records of one chunk of a pool, in order.
///
/// Threads make one for each chunk; what it makes goes to the consumer in the pool's order.
pub trait Sink {
    /// What becomes of a chunk.
    type Made: Send + 'static;

    /// Takes a record. Its id is not unique yet; ids are collected beside the sink.
    fn push(&mut self, record: &Record<'_>);

    /// What was made of all records.
    ///
    /// # Errors
    /// [`crate::Error::Data`] where it does not fit into one batch.
    fn finish(self) -> Result<Self::Made>;
}

/// Which canonical columns are asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "named after the columns")]
pub struct Wanted {
    pub id: bool,
    pub source: bool,
    pub prompt: bool,
    pub completion: bool,
    pub messages: bool,
    pub task_type: bool,
}

impl Wanted {
    /// The columns of these names; other names are not canonical.
    pub fn of<'n>(names: impl IntoIterator<Item = &'n str>) -> Self {
        let mut wanted = Self::default();
        for name in names {
            match name {
                "id" => wanted.id = true,
                "source" => wanted.source = true,
                "prompt" => wanted.prompt = true,
                "completion" => wanted.completion = true,
                "messages" => wanted.messages = true,
                "task_type" => wanted.task_type = true,
                _ => {}
            }
        }
        wanted
    }
}
