//! Builds original columns from JSON values or CSV fields.

use std::fmt::Write as _;
use std::sync::Arc;

use arrow_array::ArrayRef;
use arrow_array::builder::{BooleanBuilder, Float64Builder, Int64Builder, StringBuilder};

use crate::pool::infer::ColumnType;
use crate::pool::json::{Escapes, Kind, Value, unescape};

/// A column that grows by a value a record.
#[derive(Debug)]
pub enum ColumnBuilder {
    /// [`ColumnType::Bool`]
    Bool(BooleanBuilder),
    /// [`ColumnType::Int64`]
    Int64(Int64Builder),
    /// [`ColumnType::Float64`]
    Float64(Float64Builder),
    /// [`ColumnType::Text`] and [`ColumnType::AnyText`]
    Text(StringBuilder),
    /// [`ColumnType::Json`]
    Json(StringBuilder),
}

impl ColumnBuilder {
    /// An empty column.
    pub fn new(column: ColumnType) -> Self {
        match column {
            ColumnType::Bool => Self::Bool(BooleanBuilder::new()),
            ColumnType::Int64 => Self::Int64(Int64Builder::new()),
            ColumnType::Float64 => Self::Float64(Float64Builder::new()),
            ColumnType::Text | ColumnType::AnyText => Self::Text(StringBuilder::new()),
            ColumnType::Json => Self::Json(StringBuilder::new()),
        }
    }

    /// Adds a JSON value. A value that does not fit the type becomes null; types come from a
    /// look at the whole file, so this happens only where the file changed since.
    pub fn push(&mut self, value: Option<&Value<'_>>) {
        let value = value.filter(|value| value.kind != Kind::Null);
        match self {
            Self::Bool(builder) => builder.append_option(
                value.filter(|value| value.kind == Kind::Bool).map(|value| value.text == "true"),
            ),
            Self::Int64(builder) => {
                builder.append_option(value.and_then(|value| value.text.parse().ok()));
            }
            Self::Float64(builder) => {
                builder.append_option(value.and_then(|value| value.text.parse().ok()));
            }
            Self::Text(builder) => match value {
                Some(value) if value.escapes != Escapes::None => {
                    builder.append_value(unescape(value))
                }
                Some(value) => builder.append_value(value.text),
                None => builder.append_null(),
            },
            Self::Json(builder) => match value {
                Some(value) if value.kind == Kind::String => {
                    // The span comes without its quotes.
                    append(builder, "\"");
                    append(builder, value.text);
                    append(builder, "\"");
                    builder.append_value("");
                }
                Some(value) => builder.append_value(value.text),
                None => builder.append_null(),
            },
        }
    }

    /// Adds a text; only text columns take it.
    pub fn push_text(&mut self, text: Option<&str>) {
        match self {
            Self::Text(builder) | Self::Json(builder) => builder.append_option(text),
            _ => self.push(None),
        }
    }

    /// The column.
    pub fn finish(self) -> ArrayRef {
        match self {
            Self::Bool(mut builder) => Arc::new(builder.finish()),
            Self::Int64(mut builder) => Arc::new(builder.finish()),
            Self::Float64(mut builder) => Arc::new(builder.finish()),
            Self::Text(mut builder) | Self::Json(mut builder) => Arc::new(builder.finish()),
        }
    }
}

/// Adds a piece to the value that the next `append_value` ends. Memory is all it needs, so it
/// cannot fail.
fn append(builder: &mut StringBuilder, piece: &str) {
    let _ = builder.write_str(piece);
}
