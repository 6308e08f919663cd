//! What a record has in one column.

use std::borrow::Cow;

use crate::pool::json::{Escapes, Kind, Value, escape_onto, is_own_body, unescape, unescape_onto};
use crate::pool::turns::Turn;

/// How a text is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// As it is.
    Text,
    /// As the body that [`escape_onto`] writes. Most strings in files are such bodies already, and
    /// can be compared without being unescaped.
    Body,
}

/// What a record has in one column that plays a part.
#[derive(Clone, Debug, Default)]
pub enum Field<'a> {
    /// The record has no such column.
    #[default]
    Absent,
    /// Null.
    Null,
    /// Text as it is.
    Text(&'a str),
    /// A JSON value.
    Json(Value<'a>),
    /// A number or boolean as text.
    Number(&'a str),
    /// A conversation that was typed already.
    Turns(Vec<Turn<'a>>),
    /// Something else, by its name in messages.
    Other(String),
}

impl Field<'_> {
    /// Its name in messages.
    pub(super) fn kind(&self) -> &str {
        match self {
            Self::Absent => "no such field",
            Self::Null => "null",
            Self::Text(_) => "a string",
            Self::Json(value) => value.kind.name(),
            Self::Number(_) => "a number or boolean",
            Self::Turns(_) => "a list of turns",
            Self::Other(name) => name,
        }
    }

    pub(super) fn is_text(&self) -> bool {
        matches!(self, Self::Text(_) | Self::Json(Value { kind: Kind::String, .. }))
    }

    pub(super) fn is_missing(&self) -> bool {
        matches!(self, Self::Absent | Self::Null | Self::Json(Value { kind: Kind::Null, .. }))
    }

    /// Appends its text; nothing where it is missing.
    pub(super) fn append_to(&self, form: Form, out: &mut String) {
        match (self, form) {
            (Self::Text(text), Form::Body) => escape_onto(text, out),
            (Self::Json(value), Form::Body) if value.escapes == Escapes::Any => {
                escape_onto(&unescape(value), out);
            }
            (Self::Json(value), Form::Text) if value.escapes != Escapes::None => {
                unescape_onto(value, out);
            }
            _ => out.push_str(self.whole(form).unwrap_or_default()),
        }
    }

    /// Its text where it stands in one piece.
    pub(super) fn whole(&self, form: Form) -> Option<&str> {
        match self {
            Self::Text(text) => (form == Form::Text || is_own_body(text)).then_some(text),
            Self::Json(value) if value.kind == Kind::Null => Some(""),
            Self::Json(value) => match (value.escapes, form) {
                (Escapes::None, _) | (Escapes::Short, Form::Body) => Some(value.text),
                _ => None,
            },
            _ => Some(""),
        }
    }

    /// It as a label, such as an id; none where it is missing or has no text.
    pub(super) fn label(&self) -> Option<Cow<'_, str>> {
        match self {
            _ if self.is_missing() => None,
            Self::Text(text) | Self::Number(text) => Some(Cow::Borrowed(text)),
            Self::Json(value) if value.escapes != Escapes::None => {
                Some(Cow::Owned(unescape(value)))
            }
            Self::Json(value) => Some(Cow::Borrowed(value.text)),
            _ => None,
        }
    }
}
