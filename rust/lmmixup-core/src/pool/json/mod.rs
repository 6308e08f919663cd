//! A strict JSON scanner: checks a whole record and hands out its top-level values as spans.
//!
//! Nothing is copied or built here. The text must be UTF-8 already (a `&str`), so only the
//! grammar, the escapes and the surrogates remain to be checked. Speed comes from looking at
//! many bytes at a time for the ends of strings; `docs/decisions/` has the figures that chose it
//! over parser crates.

mod bodies;
mod lanes;
mod marks;
mod numbers;
mod scanner;
mod strings;
#[cfg(test)]
mod tests;

pub use bodies::{body_of, escape_onto, is_own_body, unescape, unescape_onto};
pub use scanner::Scanner;

/// Deepest nesting that is accepted; Python's own parser stops near 1,000.
pub const MAX_DEPTH: usize = 512;

/// What a JSON value is, as far as a column type depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// `null`
    Null = 0,
    /// `true` or `false`
    Bool = 1,
    /// A number without fraction or exponent that fits an `i64`.
    Int = 2,
    /// Any other number that a `f64` holds.
    Float = 3,
    /// A number that neither `i64` nor `f64` holds, or an integer above 2^53.
    Wide = 4,
    /// A string.
    String = 5,
    /// An array.
    Array = 6,
    /// An object.
    Object = 7,
}

impl Kind {
    /// The name that messages use.
    pub fn name(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool => "a boolean",
            Self::Int | Self::Float | Self::Wide => "a number",
            Self::String => "a string",
            Self::Array => "a list",
            Self::Object => "an object",
        }
    }

    /// This kind as a bit of a set of kinds.
    pub fn bit(self) -> u16 {
        1 << self as u8
    }
}

/// One JSON value: its text, still escaped. Strings come without their quotes.
#[derive(Clone, Copy, Debug)]
pub struct Value<'a> {
    /// What it is.
    pub kind: Kind,
    /// The JSON text (for a string: between its quotes).
    pub text: &'a str,
    /// What a string has of escapes.
    pub escapes: Escapes,
}

/// The escapes in the body of a string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Escapes {
    /// None: it stands for itself.
    None,
    /// Only `\" \\ \b \f \n \r \t`: what it says can be written in no other way without `\u` or `\/`.
    Short,
    /// `\uXXXX` or `\/` too.
    Any,
}

/// Why a text is not a JSON record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Byte offset in the text.
    pub at: usize,
    /// What would have been right.
    pub expected: &'static str,
    /// What stands there.
    pub got: String,
}

/// The first characters of a text, control characters written out.
pub fn excerpt(text: &str) -> String {
    let mut shown = String::new();
    for char in text.chars().take(12) {
        if char.is_control() {
            shown.extend(char.escape_default());
        } else {
            shown.push(char);
        }
    }
    shown
}
