//! Canonical columns of Arrow batches (Parquet, Arrow IPC, Hugging Face datasets, tables).

use std::sync::Arc;

use arrow_array::builder::StringBuilder;
use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, RecordBatch, StringArray};
use arrow_cast::cast;
use arrow_schema::DataType;

use crate::pool::canonical::{CanonicalBuilder, Field, Record, Sink};
use crate::pool::ids::{IdsBuilder, content_hash, sample_key};
use crate::pool::infer::ColumnSeen;
use crate::pool::json::Kind;
use crate::pool::parse::Plan;
use crate::pool::reader::{Batch, assemble};
use crate::pool::reject::Reject;
use crate::pool::turns::Turn;
use crate::pool::unique::IdKeeper;
use crate::{Error, Progress, Result};

/// What a column of an Arrow schema counts as when a schema is detected.
pub fn seen_of(name: &str, data_type: &DataType) -> ColumnSeen {
    let kind = match data_type {
        DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(..) => Kind::Array,
        DataType::Struct(_) | DataType::Map(..) => Kind::Object,
        DataType::Dictionary(_, values) => return seen_of(name, values),
        DataType::Boolean => Kind::Bool,
        DataType::Null => Kind::Null,
        data_type if data_type.is_integer() => Kind::Int,
        data_type if data_type.is_numeric() => Kind::Float,
        _ => Kind::String,
    };
    ColumnSeen { name: name.to_owned(), kinds: kind.bit(), count: 0 }
}

/// One column that plays a part, typed.
enum Part {
    Absent,
    Texts(StringArray),
    Chats(Chats),
    Other(ArrayRef),
}

struct Chats {
    starts: Vec<usize>,
    valid: Vec<bool>,
    role: StringArray,
    content: StringArray,
}

/// Makes the canonical columns of a batch; `rows` of rejects count from `first_row`.
///
/// Original columns of the plan are passed on as they are.
///
/// # Errors
/// [`Error::Data`] where a column has a type that cannot play its part.
pub fn canonicalise(
    batch: &RecordBatch,
    plan: &Plan,
    keeper: &mut IdKeeper,
    first_row: u64,
    progress: &Progress,
) -> Result<Batch> {
    let roles = &plan.mapping.roles;
    let parts: Vec<Part> =
        roles.iter().map(|role| part_of(batch, &role.column)).collect::<Result<_>>()?;
    let mut builder = CanonicalBuilder::new(plan.wanted, 0);
    let mut ids = IdsBuilder::new(plan.wanted.id);
    let (mut rows, mut rejects) = (Vec::with_capacity(batch.num_rows()), Vec::new());
    let mut keep = vec![true; batch.num_rows()];
    let mut fields = Vec::with_capacity(parts.len());
    for (at, kept) in keep.iter_mut().enumerate() {
        let row = first_row + at as u64;
        fields.clear();
        fields.extend(parts.iter().map(|part| part.field(at)));
        match Record::of(plan, &fields) {
            Ok(record) => {
                ids.push(&record);
                builder.push(&record);
                rows.push(row);
            }
            Err(mut reject) => {
                reject.line = row;
                *kept = false;
                rejects.push(reject);
            }
        }
        if at % 1024 == 0 {
            progress.advance(0)?;
        }
    }
    let originals = originals_of(batch, plan, &rejects, keep)?;
    let mut unique = StringBuilder::new();
    let see = |id: &str| unique.append_value(id);
    let keep = ids.finish().settle(plan.wanted.id, &rows, keeper, &mut rejects, see);
    rejects.sort_by_key(|reject| reject.line);
    let unique = plan.wanted.id.then(|| unique.finish());
    Ok(Batch { batch: assemble(unique, builder.finish()?, originals, keep)?, rejects })
}

fn originals_of(
    batch: &RecordBatch,
    plan: &Plan,
    rejects: &[Reject],
    keep: Vec<bool>,
) -> Result<Vec<(String, ArrayRef)>> {
    let keep = (!rejects.is_empty()).then(|| keep.into());
    let mut originals = Vec::with_capacity(plan.originals.len());
    for original in &plan.originals {
        let array = batch.column_by_name(&original.name).ok_or_else(|| {
            Error::Data(format!("expected a column `{}`, got a batch without it", original.name))
        })?;
        let array = match &keep {
            Some(keep) => arrow_select::filter::filter(array, keep)?,
            None => Arc::clone(array),
        };
        originals.push((original.output.clone(), array));
    }
    Ok(originals)
}

fn part_of(batch: &RecordBatch, column: &str) -> Result<Part> {
    let Some(array) = batch.column_by_name(column) else { return Ok(Part::Absent) };
    let is_simple = |data_type: &DataType| {
        data_type.is_primitive() || matches!(data_type, DataType::Boolean | DataType::Null)
    };
    Ok(match array.data_type() {
        DataType::List(_) | DataType::LargeList(_) => match Chats::of(array)? {
            Some(chats) => Part::Chats(chats),
            None => Part::Other(Arc::clone(array)),
        },
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => texts(array)?,
        DataType::Dictionary(_, values) if values.is_string() || is_simple(values) => texts(array)?,
        data_type if is_simple(data_type) => texts(array)?,
        _ => Part::Other(Arc::clone(array)),
    })
}

fn texts(array: &ArrayRef) -> Result<Part> {
    let is_text = |data_type: &DataType| match data_type {
        DataType::Dictionary(_, values) => values.is_string(),
        data_type => data_type.is_string() || *data_type == DataType::Null,
    };
    let texts = cast(array, &DataType::Utf8)?.as_string::<i32>().clone();
    if is_text(array.data_type()) {
        Ok(Part::Texts(texts))
    } else {
        // Numbers are fine as ids and sources but are no prompts: they stay apart.
        Ok(Part::Other(Arc::new(texts)))
    }
}

impl Chats {
    fn of(array: &ArrayRef) -> Result<Option<Self>> {
        let (values, starts) = match array.data_type() {
            DataType::List(_) => {
                let list = array.as_list::<i32>();
                let starts = list.value_offsets().iter().map(|&at| at.max(0) as usize).collect();
                (Arc::clone(list.values()), starts)
            }
            _ => {
                let list = array.as_list::<i64>();
                let starts = list.value_offsets().iter().map(|&at| at.max(0) as usize).collect();
                (Arc::clone(list.values()), starts)
            }
        };
        let Some(turns) = values.as_struct_opt() else { return Ok(None) };
        let find = |names: [&str; 2]| names.into_iter().find_map(|name| turns.column_by_name(name));
        let (Some(role), Some(content)) = (find(["role", "from"]), find(["content", "value"]))
        else {
            return Ok(None);
        };
        let text = |array: &ArrayRef| -> Result<StringArray> {
            Ok(cast(array, &DataType::Utf8)?.as_string::<i32>().clone())
        };
        let valid = (0..array.len()).map(|at| array.is_valid(at)).collect();
        Ok(Some(Self { starts, valid, role: text(role)?, content: text(content)? }))
    }

    fn turns(&self, at: usize) -> Vec<Turn<'_>> {
        (self.starts[at]..self.starts[at + 1])
            .map(|turn| {
                let content =
                    if self.content.is_valid(turn) { self.content.value(turn) } else { "" };
                let role = if self.role.is_valid(turn) { self.role.value(turn) } else { "" };
                Turn::new(role.into(), content)
            })
            .collect()
    }
}

impl Part {
    fn field(&self, at: usize) -> Field<'_> {
        match self {
            Self::Absent => Field::Absent,
            Self::Texts(texts) if texts.is_valid(at) => Field::Text(texts.value(at)),
            Self::Chats(chats) if chats.valid[at] => Field::Turns(chats.turns(at)),
            Self::Texts(_) | Self::Chats(_) => Field::Null,
            Self::Other(array) if array.is_null(at) => Field::Null,
            Self::Other(array) => match array.as_string_opt::<i32>() {
                Some(texts) => Field::Number(texts.value(at)),
                None => Field::Other(array.data_type().to_string()),
            },
        }
    }
}

/// [`crate::pool::ids::sample_key`] of every id.
///
/// # Errors
/// [`Error::Data`] where `ids` are not strings.
pub fn sample_keys(ids: &dyn Array, seed: u64) -> Result<Vec<u64>> {
    let Some(ids) = ids.as_string_opt::<i32>() else {
        return Err(Error::Data(format!("expected ids as strings, got {}", ids.data_type())));
    };
    Ok(ids.iter().map(|id| sample_key(id.unwrap_or(""), seed)).collect())
}

/// A hash of prompt and completion of every record, for counting exact duplicates.
///
/// # Errors
/// [`Error::Data`] where the columns are not strings of one length.
pub fn text_keys(prompt: &dyn Array, completion: &dyn Array) -> Result<Vec<u64>> {
    let texts = (prompt.as_string_opt::<i32>(), completion.as_string_opt::<i32>());
    let (Some(prompt), Some(completion)) = texts else {
        return Err(Error::Data("expected prompts and completions as strings".to_owned()));
    };
    if prompt.len() != completion.len() {
        let (prompt, completion) = (prompt.len(), completion.len());
        return Err(Error::Data(format!("expected as many, got {prompt} and {completion}")));
    }
    let pairs = prompt.iter().zip(completion);
    let key = |(prompt, completion): (Option<&str>, Option<&str>)| {
        let turns = [("user", prompt), ("assistant", completion)];
        content_hash(turns.into_iter().map(|(role, text)| (role, text.unwrap_or(""))))
    };
    Ok(pairs.map(key).collect())
}
