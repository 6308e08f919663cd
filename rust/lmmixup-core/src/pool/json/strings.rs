//! Strings: where they end, whether their escapes are right, and what they say.

use memchr::memchr;

use super::specials::{BLOCK, backslash_bits};
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

/// Appends the unescaped body of a string that a [`Scanner`] accepted.
pub fn unescape_onto(value: &Value<'_>, out: &mut String) {
    if !value.escaped {
        out.push_str(value.text);
        return;
    }
    let bytes = value.text.as_bytes();
    // An escape is never shorter than what it says; a last block may be cut after it was copied.
    out.reserve(bytes.len() + BLOCK);
    // SAFETY: pieces of a text that end before a backslash or at its end, and whole characters: what
    // an escape takes is ASCII, or two characters of ASCII and what is between them.
    let out = unsafe { out.as_mut_vec() };
    let mut from = 0;
    while from < bytes.len() {
        from += copy_plain(&bytes[from..], out);
        if from < bytes.len() && bytes[from] == b'\\' {
            let (char, length) = escaped_char(bytes, from);
            out.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes());
            from += length;
        }
    }
}

/// Copies what stands before the next backslash, at most a block of it; returns how much it was.
#[inline(always)]
fn copy_plain(rest: &[u8], out: &mut Vec<u8>) -> usize {
    match rest.first_chunk::<BLOCK>() {
        Some(block) => {
            // A copy of known length and a cut are faster than a copy of unknown length.
            let length = backslash_bits(block).trailing_zeros() as usize;
            out.extend_from_slice(block);
            out.truncate(out.len() - BLOCK + length);
            length
        }
        None => {
            let length = memchr(b'\\', rest).unwrap_or(rest.len());
            out.extend_from_slice(&rest[..length]);
            length
        }
    }
}

/// What the escape at a place says, and the bytes that it takes there.
#[inline]
fn escaped_char(bytes: &[u8], at: usize) -> (char, usize) {
    let char = match bytes.get(at + 1) {
        Some(b'n') => '\n',
        Some(b't') => '\t',
        Some(b'r') => '\r',
        Some(b'b') => '\u{8}',
        Some(b'f') => '\u{c}',
        Some(b'/') => '/',
        Some(b'"') => '"',
        Some(b'\\') => '\\',
        Some(b'u') => return unicode_char(bytes, at),
        // No scanner accepts this: the backslash stands for itself.
        _ => return ('\\', 1),
    };
    (char, 2)
}

/// The character of the `\u` at a place, and the bytes that it takes there.
fn unicode_char(bytes: &[u8], at: usize) -> (char, usize) {
    let Some(high) = hex4(bytes, at + 2) else { return ('\u{FFFD}', 2) };
    let (code, length) = match hex4(bytes, at + 8) {
        Some(low) if (0xD800..0xDC00).contains(&high) => {
            (0x1_0000 + ((high - 0xD800) << 10) + low.wrapping_sub(0xDC00), 12)
        }
        _ => (high, 6),
    };
    (char::from_u32(code).unwrap_or('\u{FFFD}'), length)
}

/// The unescaped body of a string value as an owned text.
pub fn unescape(value: &Value<'_>) -> String {
    let mut text = String::new();
    unescape_onto(value, &mut text);
    text
}
