//! The text columns of a record batch.

use arrow_array::{Array, RecordBatch, StringArray, cast::AsArray};
use arrow_schema::DataType;

use crate::{Error, Result};

/// `prompt`, `completion` and, where the batch has it, `id` of a batch of records.
///
/// Columns may be any Arrow string type; nulls read as empty texts.
#[derive(Debug)]
pub struct TextColumns {
    prompt: StringArray,
    completion: StringArray,
    id: Option<StringArray>,
}

impl TextColumns {
    /// Takes the columns out of a batch; zero-copy for `Utf8`.
    ///
    /// # Errors
    /// [`Error::Data`] where a column is missing or is not text.
    pub fn of(batch: &RecordBatch) -> Result<Self> {
        let id = batch.column_by_name("id").map(|_| column(batch, "id")).transpose()?;
        Ok(Self { prompt: column(batch, "prompt")?, completion: column(batch, "completion")?, id })
    }

    /// Number of records.
    pub fn len(&self) -> usize {
        self.prompt.len()
    }

    /// Whether there is no record.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Prompt and completion of a record.
    pub fn texts(&self, row: usize) -> [&str; 2] {
        [value(&self.prompt, row), value(&self.completion, row)]
    }

    /// The record's id, empty where there is none.
    pub fn id(&self, row: usize) -> &str {
        self.id.as_ref().map_or("", |ids| value(ids, row))
    }
}

fn value(column: &StringArray, row: usize) -> &str {
    if column.is_null(row) { "" } else { column.value(row) }
}

fn column(batch: &RecordBatch, name: &str) -> Result<StringArray> {
    let column = batch.column_by_name(name).ok_or_else(|| {
        let names: Vec<_> = batch.schema().fields().iter().map(|f| f.name().clone()).collect();
        Error::Data(format!("expected a column `{name}`, got {names:?}; read it with open_pool"))
    })?;
    match column.data_type() {
        DataType::Utf8 => Ok(column.as_string::<i32>().clone()),
        DataType::LargeUtf8 | DataType::Utf8View | DataType::Null => {
            Ok(arrow_cast::cast(column, &DataType::Utf8)?.as_string::<i32>().clone())
        }
        other => Err(Error::Data(format!("column `{name}` must be text, got {other}"))),
    }
}
