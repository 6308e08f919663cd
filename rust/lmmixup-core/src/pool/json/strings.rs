//! Strings: where they end, whether their escapes are right, and what they say.

use super::specials::Specials;
use super::{Fault, Scanner, Value};

impl<'a> Scanner<'a> {
    /// The body of a string whose opening quote was read, and whether it has escapes.
    #[inline]
    pub(super) fn string(&mut self) -> Result<(&'a str, bool), Fault> {
        let bytes = self.text.as_bytes();
        let start = self.at;
        let mut escaped = false;
        loop {
            let Some(at) = self.specials.next(bytes, self.at) else {
                self.at = bytes.len();
                return Err(self.fault("`\"` to close the string"));
            };
            self.at = at;
            match bytes[at] {
                b'"' => {
                    self.at += 1;
                    return Ok((self.text.get(start..at).unwrap_or_default(), escaped));
                }
                b'\\' => {
                    escaped = true;
                    self.escape()?;
                }
                _ => {
                    let expected = "control characters written as \\uXXXX inside a string";
                    return Err(self.fault(expected));
                }
            }
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
}

fn hex4(bytes: &[u8], at: usize) -> Option<u32> {
    bytes
        .get(at..at + 4)?
        .iter()
        .try_fold(0, |unit, &digit| Some(unit * 16 + char::from(digit).to_digit(16)?))
}

/// Gives the pieces of the unescaped body of a string that a [`Scanner`] accepted.
#[inline]
pub fn unescape_into(value: &Value<'_>, out: &mut impl FnMut(&str)) {
    if value.escaped { unescape_pieces(value.text, out) } else { out(value.text) }
}

fn unescape_pieces(text: &str, out: &mut impl FnMut(&str)) {
    let bytes = text.as_bytes();
    let mut specials = Specials::new();
    let mut from = 0;
    // Each quote has its backslash before it, so that only backslashes are found.
    while let Some(at) = specials.next(bytes, from) {
        if at > from {
            out(&text[from..at]);
        }
        let plain = match bytes.get(at + 1) {
            Some(b'n') => "\n",
            Some(b't') => "\t",
            Some(b'r') => "\r",
            Some(b'b') => "\u{8}",
            Some(b'f') => "\u{c}",
            Some(b'/') => "/",
            Some(b'"') => "\"",
            Some(b'u') => {
                let (char, length) = unicode_char(bytes, at);
                out(char.encode_utf8(&mut [0; 4]));
                from = at + length;
                continue;
            }
            _ => "\\",
        };
        out(plain);
        from = at + 2;
    }
    if let Some(rest) = text.get(from..) {
        out(rest);
    }
}

/// The character of the `\u` at a place, and the bytes that it takes there.
fn unicode_char(bytes: &[u8], at: usize) -> (char, usize) {
    let high = hex4(bytes, at + 2).unwrap_or(0xFFFD);
    let (code, length) = if (0xD800..0xDC00).contains(&high) {
        let low = hex4(bytes, at + 8).unwrap_or(0xDC00);
        (0x1_0000 + ((high - 0xD800) << 10) + low.wrapping_sub(0xDC00), 12)
    } else {
        (high, 6)
    };
    (char::from_u32(code).unwrap_or('\u{FFFD}'), length)
}

/// The unescaped body of a string value as an owned text.
pub fn unescape(value: &Value<'_>) -> String {
    let mut text = String::with_capacity(value.text.len());
    unescape_into(value, &mut |piece| text.push_str(piece));
    text
}
