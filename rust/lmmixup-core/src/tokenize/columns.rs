//! What chats are made of in an Arrow batch.

use arrow_array::cast::AsArray;
use arrow_array::{Array, ListArray, RecordBatch, StringArray, StructArray};
use arrow_cast::cast;
use arrow_schema::DataType;

use crate::template::Said;
use crate::{Error, Result};

/// `id` and `messages` of a batch of records.
pub(super) struct ChatColumns {
    id: StringArray,
    ends: ListArray,
    role: StringArray,
    content: StringArray,
}

impl ChatColumns {
    /// The columns of a batch, which `open_pool` gives.
    pub(super) fn of(batch: &RecordBatch) -> Result<Self> {
        let text = |array: &dyn Array| -> Result<StringArray> {
            Ok(cast(array, &DataType::Utf8)?.as_string::<i32>().clone())
        };
        let wrong = || Error::Data("expected columns `id` and `messages`; use open_pool".into());
        let id = batch.column_by_name("id").ok_or_else(wrong)?;
        let messages = batch.column_by_name("messages").ok_or_else(wrong)?;
        let ends = messages.as_list_opt::<i32>().ok_or_else(wrong)?;
        let turns: &StructArray = ends.values().as_struct_opt().ok_or_else(wrong)?;
        let role = turns.column_by_name("role").ok_or_else(wrong)?;
        let content = turns.column_by_name("content").ok_or_else(wrong)?;
        Ok(Self { id: text(id)?, ends: ends.clone(), role: text(role)?, content: text(content)? })
    }

    /// The id of a record.
    pub(super) fn id(&self, row: usize) -> &str {
        self.id.value(row)
    }

    /// The turns of a record.
    pub(super) fn turns(&self, row: usize) -> Vec<Said<'_>> {
        let offsets = self.ends.value_offsets();
        let turns = offsets[row] as usize..offsets[row + 1] as usize;
        let said = |turn: usize| Said {
            role: self.role.value(turn),
            content: if self.content.is_null(turn) { "" } else { self.content.value(turn) },
        };
        turns.map(said).collect()
    }
}
