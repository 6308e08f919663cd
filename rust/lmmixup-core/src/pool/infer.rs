//! What columns a file has and what fits each: one look at every record.

use std::collections::HashMap;

use arrow_schema::DataType;

use crate::pool::chunk::{Chunk, Layout};
use crate::pool::json::{Kind, Scanner, Value};
use crate::pool::keys::Keys;
use crate::pool::records::lines;

const NULL: u16 = 1 << Kind::Null as u16;
const BOOL: u16 = 1 << Kind::Bool as u16;
const INT: u16 = 1 << Kind::Int as u16;
const FLOAT: u16 = 1 << Kind::Float as u16;
const STRING: u16 = 1 << Kind::String as u16;
/// An integer of more than 15 digits was among them.
const LONG: u16 = 1 << 8;

/// The Arrow type of an original column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnType {
    /// `bool`
    Bool,
    /// `int64`
    Int64,
    /// `float64`
    Float64,
    /// `string`
    Text,
    /// `string` that holds JSON text: what is nested, or of several kinds.
    Json,
    /// Like [`ColumnType::Text`], but a value of another kind gives its JSON text.
    AnyText,
}

impl ColumnType {
    /// The type that holds every value whose kinds are in the set without loss.
    pub fn of(kinds: u16) -> Self {
        match kinds & !NULL {
            BOOL => Self::Bool,
            kinds if kinds & !LONG == INT => Self::Int64,
            kinds if kinds != 0 && kinds & !(INT | FLOAT) == 0 => Self::Float64,
            STRING | 0 => Self::Text,
            _ => Self::Json,
        }
    }

    /// The Arrow data type.
    pub fn data_type(self) -> DataType {
        match self {
            Self::Bool => DataType::Boolean,
            Self::Int64 => DataType::Int64,
            Self::Float64 => DataType::Float64,
            Self::Text | Self::Json | Self::AnyText => DataType::Utf8,
        }
    }

    /// The name by which Python asks for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bool => "bool",
            Self::Int64 => "int64",
            Self::Float64 => "float64",
            Self::Text => "string",
            Self::Json => "json",
            Self::AnyText => "any",
        }
    }

    /// The type of a [`ColumnType::name`].
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Bool, Self::Int64, Self::Float64, Self::Text, Self::Json, Self::AnyText]
            .into_iter()
            .find(|column| column.name() == name)
    }
}

/// What was seen in one column.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ColumnSeen {
    /// Name of the column.
    pub name: String,
    /// Kinds that were seen, as [`Kind::bit`]s.
    pub kinds: u16,
    /// In how many records it was there (null or not).
    pub count: u64,
}

/// What was seen in a file, or in a part of it.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Columns in order of first appearance.
    pub columns: Vec<ColumnSeen>,
    /// Lines or rows that parse as objects.
    pub num_records: u64,
    index: HashMap<String, usize>,
}

impl Seen {
    fn column(&mut self, name: &str) -> &mut ColumnSeen {
        let next = self.columns.len();
        let at = *self.index.entry(name.to_owned()).or_insert(next);
        if at == next {
            self.columns.push(ColumnSeen { name: name.to_owned(), ..ColumnSeen::default() });
        }
        &mut self.columns[at]
    }

    /// Adds what was seen in the part of the file that follows.
    pub fn extend(&mut self, later: &Self) {
        self.num_records += later.num_records;
        for column in &later.columns {
            let seen = self.column(&column.name);
            seen.kinds |= column.kinds;
            seen.count += column.count;
        }
    }
}

/// Looks at every record of a chunk. What does not parse is left to the reader to reject.
pub fn look(chunk: &Chunk) -> Seen {
    let mut seen = Seen::default();
    if let Layout::Fields { names, records } = &chunk.layout {
        seen.num_records = records.len() as u64;
        for name in names.iter() {
            let column = seen.column(name);
            column.kinds = STRING;
            column.count = records.len() as u64;
        }
        return seen;
    }
    let mut keys = Keys::default();
    let mut slots = Vec::new();
    let mut counts: Vec<(u16, u64)> = Vec::new();
    let mut scanner = Scanner::over(&chunk.data);
    for line in lines(chunk) {
        let Ok(text) = line.text() else { continue };
        scanner.enter(line.start, text);
        if keys.scan(&mut scanner, &mut slots).is_err() {
            continue;
        }
        seen.num_records += 1;
        counts.resize(slots.len().max(counts.len()), (0, 0));
        for (count, slot) in counts.iter_mut().zip(&slots) {
            if let Some(value) = slot {
                count.0 |= value.kind.bit() | long_bit(value);
                count.1 += 1;
            }
        }
    }
    for (name, (kinds, count)) in keys.names().iter().zip(counts) {
        // A name seen only in broken records is no column.
        if count > 0 {
            let column = seen.column(name);
            column.kinds = kinds;
            column.count = count;
        }
    }
    seen
}

/// Integers that `f64` may not hold must not share a column with floats.
fn long_bit(value: &Value<'_>) -> u16 {
    if value.kind == Kind::Int && value.text.len() > 15 { LONG } else { 0 }
}

/// Whether the kinds hold a list.
pub fn has_list(kinds: u16) -> bool {
    kinds & Kind::Array.bit() != 0
}

/// Whether the kinds hold a string.
pub fn has_text(kinds: u16) -> bool {
    kinds & STRING != 0
}
