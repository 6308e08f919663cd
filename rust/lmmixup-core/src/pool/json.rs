//! A strict JSON scanner: checks a whole record and hands out its top-level values as spans.
//!
//! Nothing is copied or built here. The text must be UTF-8 already (a `&str`), so only the
//! grammar, the escapes and the surrogates remain to be checked. Speed comes from `memchr`
//! over string bodies; `docs/decisions/` has the figures that chose it over parser crates.

use memchr::memchr2;

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
    /// Whether a string holds at least one escape.
    pub escaped: bool,
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

/// Walks one JSON text from left to right.
#[derive(Debug)]
pub struct Scanner<'a> {
    text: &'a str,
    at: usize,
    has_controls: bool,
}

impl<'a> Scanner<'a> {
    /// A scanner at the start of `text`.
    pub fn new(text: &'a str) -> Self {
        // One vectorised look at the text spares a look at each string.
        let has_controls = text.as_bytes().iter().fold(false, |any, &byte| any | (byte < 0x20));
        Self { text, at: 0, has_controls }
    }

    /// Scans an object; `field(name, name_is_escaped, value)` sees each member in order.
    ///
    /// # Errors
    /// The first [`Fault`]; members before it were already handed out.
    pub fn object(&mut self, mut field: impl FnMut(&'a str, bool, Value<'a>)) -> Result<(), Fault> {
        self.space();
        self.expect(b'{', "a JSON object `{…}`")?;
        self.space();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(());
        }
        loop {
            self.space();
            self.expect(b'"', "a field name in double quotes")?;
            let (name, name_escaped) = self.string()?;
            self.space();
            self.expect(b':', "`:` after the field name")?;
            let value = self.value()?;
            field(name, name_escaped, value);
            self.space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => {
                    self.at += 1;
                    return Ok(());
                }
                _ => return Err(self.fault("`,` or `}` after a value")),
            }
        }
    }

    /// Scans an array; `element(value)` sees each element in order.
    ///
    /// # Errors
    /// The first [`Fault`]; elements before it were already handed out.
    pub fn array(&mut self, mut element: impl FnMut(Value<'a>)) -> Result<(), Fault> {
        self.space();
        self.expect(b'[', "a JSON list `[…]`")?;
        self.space();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(());
        }
        loop {
            let value = self.value()?;
            element(value);
            self.space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b']') => {
                    self.at += 1;
                    return Ok(());
                }
                _ => return Err(self.fault("`,` or `]` after an element")),
            }
        }
    }

    /// Checks that only white space is left.
    ///
    /// # Errors
    /// A [`Fault`] at the first other byte.
    pub fn end(&mut self) -> Result<(), Fault> {
        self.space();
        if self.at == self.text.len() { Ok(()) } else { Err(self.fault("the end of the record")) }
    }

    /// Scans any value.
    ///
    /// # Errors
    /// The first [`Fault`].
    pub fn value(&mut self) -> Result<Value<'a>, Fault> {
        self.space();
        let start = self.at;
        let kind = match self.peek() {
            Some(b'"') => {
                self.at += 1;
                let (text, escaped) = self.string()?;
                return Ok(Value { kind: Kind::String, text, escaped });
            }
            Some(b'{') => self.nested(Kind::Object)?,
            Some(b'[') => self.nested(Kind::Array)?,
            Some(b't') => self.word("true", Kind::Bool)?,
            Some(b'f') => self.word("false", Kind::Bool)?,
            Some(b'n') => self.word("null", Kind::Null)?,
            Some(b'-' | b'0'..=b'9') => self.number()?,
            _ => return Err(self.fault("a JSON value")),
        };
        Ok(Value { kind, text: self.text.get(start..self.at).unwrap_or_default(), escaped: false })
    }

    /// Skips an object or array without recursion, checking everything inside.
    fn nested(&mut self, kind: Kind) -> Result<Kind, Fault> {
        let mut open: Vec<u8> = Vec::with_capacity(16);
        loop {
            // Here a value is due (or, right after an opening bracket, its closing one).
            self.space();
            match self.peek() {
                Some(b'{') => {
                    self.open(&mut open, b'}')?;
                    self.space();
                    if self.peek() != Some(b'}') {
                        self.name()?;
                        continue;
                    }
                }
                Some(b'[') => {
                    self.open(&mut open, b']')?;
                    self.space();
                    if self.peek() != Some(b']') {
                        continue;
                    }
                }
                _ => {
                    self.scalar()?;
                }
            }
            if self.close(&mut open)? {
                return Ok(kind);
            }
        }
    }

    fn open(&mut self, open: &mut Vec<u8>, closing: u8) -> Result<(), Fault> {
        if open.len() == MAX_DEPTH {
            return Err(self.fault("at most 512 levels of nesting"));
        }
        self.at += 1;
        open.push(closing);
        Ok(())
    }

    /// After a value: closes brackets and stops where the next value is due. True at the end.
    fn close(&mut self, open: &mut Vec<u8>) -> Result<bool, Fault> {
        loop {
            self.space();
            let Some(&closing) = open.last() else { return Ok(true) };
            match self.peek() {
                Some(byte) if byte == closing => {
                    self.at += 1;
                    open.pop();
                    if open.is_empty() {
                        return Ok(true);
                    }
                }
                Some(b',') => {
                    self.at += 1;
                    if closing == b'}' {
                        self.space();
                        self.name()?;
                    }
                    return Ok(false);
                }
                _ if closing == b'}' => return Err(self.fault("`,` or `}` after a value")),
                _ => return Err(self.fault("`,` or `]` after an element")),
            }
        }
    }

    fn name(&mut self) -> Result<(), Fault> {
        self.expect(b'"', "a field name in double quotes")?;
        self.string()?;
        self.space();
        self.expect(b':', "`:` after the field name")
    }

    fn scalar(&mut self) -> Result<(), Fault> {
        match self.peek() {
            Some(b'"') => {
                self.at += 1;
                self.string().map(drop)
            }
            Some(b't') => self.word("true", Kind::Bool).map(drop),
            Some(b'f') => self.word("false", Kind::Bool).map(drop),
            Some(b'n') => self.word("null", Kind::Null).map(drop),
            Some(b'-' | b'0'..=b'9') => self.number().map(drop),
            _ => Err(self.fault("a JSON value")),
        }
    }

    /// The body of a string whose opening quote was read, and whether it has escapes.
    fn string(&mut self) -> Result<(&'a str, bool), Fault> {
        let bytes = self.text.as_bytes();
        let start = self.at;
        let mut escaped = false;
        loop {
            let rest = bytes.get(self.at..).unwrap_or_default();
            let Some(offset) = find_special(rest) else {
                self.at = bytes.len();
                return Err(self.fault("`\"` to close the string"));
            };
            self.at += offset;
            if bytes[self.at] == b'"' {
                let body = self.text.get(start..self.at).unwrap_or_default();
                self.at += 1;
                if self.has_controls {
                    self.refuse_controls(body, start)?;
                }
                return Ok((body, escaped));
            }
            escaped = true;
            self.escape()?;
        }
    }

    fn refuse_controls(&mut self, body: &str, start: usize) -> Result<(), Fault> {
        match body.bytes().position(|byte| byte < 0x20) {
            Some(offset) => {
                self.at = start + offset;
                Err(self.fault("control characters written as \\uXXXX inside a string"))
            }
            None => Ok(()),
        }
    }

    /// Checks the escape at the current backslash and steps over it.
    fn escape(&mut self) -> Result<(), Fault> {
        let bytes = self.text.as_bytes();
        match bytes.get(self.at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => {
                self.at += 2;
                Ok(())
            }
            Some(b'u') => self.unicode_escape(),
            _ => Err(self.fault("one of the escapes \\\" \\\\ \\/ \\b \\f \\n \\r \\t \\uXXXX")),
        }
    }

    fn unicode_escape(&mut self) -> Result<(), Fault> {
        let bytes = self.text.as_bytes();
        let Some(unit) = hex4(bytes, self.at + 2) else {
            return Err(self.fault("four hexadecimal digits after \\u"));
        };
        match unit {
            0xD800..=0xDBFF => {
                let low = match (bytes.get(self.at + 6), bytes.get(self.at + 7)) {
                    (Some(b'\\'), Some(b'u')) => hex4(bytes, self.at + 8),
                    _ => None,
                };
                if !matches!(low, Some(0xDC00..=0xDFFF)) {
                    return Err(self.fault("a pair of surrogates"));
                }
                self.at += 12;
            }
            0xDC00..=0xDFFF => return Err(self.fault("a pair of surrogates")),
            _ => self.at += 6,
        }
        Ok(())
    }

    fn word(&mut self, word: &'static str, kind: Kind) -> Result<Kind, Fault> {
        if self.text.as_bytes().get(self.at..self.at + word.len()) == Some(word.as_bytes()) {
            self.at += word.len();
            Ok(kind)
        } else {
            Err(self.fault("a JSON value"))
        }
    }

    fn number(&mut self) -> Result<Kind, Fault> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        match self.peek() {
            Some(b'0') => self.at += 1,
            Some(b'1'..=b'9') => self.digits(),
            _ => return Err(self.fault("a digit")),
        }
        let mut whole = true;
        if self.peek() == Some(b'.') {
            whole = false;
            self.at += 1;
            self.some_digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            whole = false;
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.some_digits()?;
        }
        Ok(number_kind(self.text.get(start..self.at).unwrap_or_default(), whole))
    }

    fn some_digits(&mut self) -> Result<(), Fault> {
        let before = self.at;
        self.digits();
        if self.at == before { Err(self.fault("a digit")) } else { Ok(()) }
    }

    fn digits(&mut self) {
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
    }

    #[inline]
    fn space(&mut self) {
        while let Some(b' ' | b'\t' | b'\r' | b'\n') = self.peek() {
            self.at += 1;
        }
    }

    #[inline]
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    #[inline]
    fn expect(&mut self, byte: u8, expected: &'static str) -> Result<(), Fault> {
        if self.peek() == Some(byte) {
            self.at += 1;
            Ok(())
        } else {
            Err(self.fault(expected))
        }
    }

    fn fault(&self, expected: &'static str) -> Fault {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let got = if rest.is_empty() {
            "the end of the text".to_owned()
        } else {
            format!("`{}`", excerpt(rest))
        };
        Fault { at: self.at, expected, got }
    }
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

/// Where the next quote or backslash is. The first words are looked at here: names, short values
/// and texts with many escapes are over before a call to `memchr2` pays.
#[inline]
fn find_special(bytes: &[u8]) -> Option<usize> {
    const NEAR: usize = 32;
    for (index, word) in bytes.chunks_exact(8).take(NEAR / 8).enumerate() {
        let word = u64::from_le_bytes(word.try_into().unwrap_or_default());
        let found = zero_bytes(word ^ (ONES * 0x22)) | zero_bytes(word ^ (ONES * 0x5C));
        if found != 0 {
            return Some(index * 8 + found.trailing_zeros() as usize / 8);
        }
    }
    let seen = bytes.len().min(NEAR) / 8 * 8;
    let offset = memchr2(b'"', b'\\', bytes.get(seen..)?)?;
    Some(seen + offset)
}

const ONES: u64 = 0x0101_0101_0101_0101;

/// The high bit of the lowest byte that is zero is set; bits above it mean nothing.
#[inline]
fn zero_bytes(word: u64) -> u64 {
    word.wrapping_sub(ONES) & !word & (ONES << 7)
}

fn hex4(bytes: &[u8], at: usize) -> Option<u32> {
    bytes
        .get(at..at + 4)?
        .iter()
        .try_fold(0, |unit, &digit| Some(unit * 16 + char::from(digit).to_digit(16)?))
}

fn number_kind(text: &str, whole: bool) -> Kind {
    if whole && text != "-0" {
        match text.parse::<i64>() {
            Ok(_) => Kind::Int,
            Err(_) => Kind::Wide,
        }
    } else {
        match text.parse::<f64>() {
            Ok(number) if number.is_finite() => Kind::Float,
            _ => Kind::Wide,
        }
    }
}

/// Appends the unescaped body of a string that a [`Scanner`] accepted.
pub fn unescape_into(value: &Value<'_>, out: &mut impl FnMut(&str)) {
    let mut rest = value.text;
    if !value.escaped {
        return out(rest);
    }
    while let Some(at) = memchr::memchr(b'\\', rest.as_bytes()) {
        if at > 0 {
            out(&rest[..at]);
        }
        let bytes = rest.as_bytes();
        let plain = match bytes.get(at + 1) {
            Some(b'n') => "\n",
            Some(b't') => "\t",
            Some(b'r') => "\r",
            Some(b'b') => "\u{8}",
            Some(b'f') => "\u{c}",
            Some(b'/') => "/",
            Some(b'"') => "\"",
            Some(b'u') => {
                let high = hex4(bytes, at + 2).unwrap_or(0xFFFD);
                let (code, length) = if (0xD800..0xDC00).contains(&high) {
                    let low = hex4(bytes, at + 8).unwrap_or(0xDC00);
                    (0x1_0000 + ((high - 0xD800) << 10) + low.wrapping_sub(0xDC00), 12)
                } else {
                    (high, 6)
                };
                let mut utf8 = [0; 4];
                out(char::from_u32(code).unwrap_or('\u{FFFD}').encode_utf8(&mut utf8));
                rest = rest.get(at + length..).unwrap_or_default();
                continue;
            }
            _ => "\\",
        };
        out(plain);
        rest = rest.get(at + 2..).unwrap_or_default();
    }
    out(rest);
}

/// The unescaped body of a string value as an owned text.
pub fn unescape(value: &Value<'_>) -> String {
    let mut text = String::with_capacity(value.text.len());
    unescape_into(value, &mut |piece| text.push_str(piece));
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn whole(text: &str) -> Result<Vec<(String, Kind, String)>, Fault> {
        let mut members = Vec::new();
        let mut scanner = Scanner::new(text);
        scanner.object(|name, escaped, value| {
            let name = unescape(&Value { kind: Kind::String, text: name, escaped });
            let text = match value.kind {
                Kind::String => unescape(&value),
                _ => value.text.to_owned(),
            };
            members.push((name, value.kind, text));
        })?;
        scanner.end().map(|()| members)
    }

    fn quoted(text: &str) -> String {
        serde_json::to_string(text).unwrap_or_default()
    }

    #[test]
    fn kinds() {
        let text = r#" {"a": null, "b":true,"c":-1,"d":1e2,"e":99999999999999999999,"f":[{}],"g":{"x":[]},"h":-0} "#;
        let kinds: Vec<Kind> = whole(text).into_iter().flatten().map(|(_, kind, _)| kind).collect();
        let float = Kind::Float;
        assert_eq!(
            kinds,
            [
                Kind::Null,
                Kind::Bool,
                Kind::Int,
                float,
                Kind::Wide,
                Kind::Array,
                Kind::Object,
                float
            ]
        );
    }

    proptest! {
        #[test]
        fn strings_come_back(name in any::<String>(), text in any::<String>()) {
            let record = format!("{{{}:{}}}", quoted(&name), quoted(&text));
            prop_assert_eq!(whole(&record), Ok(vec![(name, Kind::String, text)]));
        }

        #[test]
        fn every_character_escaped(text in any::<String>()) {
            let units: String = text.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
            let record = format!("{{\"a\":\"{units}\"}}");
            prop_assert_eq!(whole(&record), Ok(vec![("a".to_owned(), Kind::String, text)]));
        }

        /// Judges as a parser that many use does, on texts that are nearly JSON.
        #[test]
        fn agrees_with_serde(text in "\\{(\"[ab\\\\nu0d]{0,6}\"|[\\[\\]{}:, ]|-?[0-9.eE+]{1,5}|null|true|fals|\n){0,14}\\}") {
            let theirs = serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(&text);
            let ours = whole(&text);
            // Numbers outside f64 are text to us and an error to serde_json.
            if theirs.is_ok() || !text.contains(['e', 'E']) {
                prop_assert_eq!(ours.is_ok(), theirs.is_ok(), "{:?} {:?}", ours, theirs);
            }
        }

        #[test]
        fn never_panics(text in any::<String>()) {
            let _ = whole(&format!("{{{text}"));
            let _ = Scanner::new(&text).value();
        }
    }
}
