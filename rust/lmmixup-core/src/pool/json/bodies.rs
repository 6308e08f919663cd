//! What strings say, and the one body that says it.

use std::io::Write;

use super::lanes::{BLOCK, Base, Lanes};
use super::strings::hex4;
use super::{Escapes, Value};

/// Appends the unescaped body of a string that a [`Scanner`] accepted.
pub fn unescape_onto(value: &Value<'_>, out: &mut String) {
    if value.escapes == Escapes::None {
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
        from += copy_plain(&bytes[from..], out, |block| block.equal(b'\\'));
        if from < bytes.len() && bytes[from] == b'\\' {
            let (char, length) = escaped_char(bytes, from);
            out.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes());
            from += length;
        }
    }
}

/// Copies what stands before the first byte that `stops` finds, at most a block of it; returns how
/// much it was.
#[inline(always)]
fn copy_plain(rest: &[u8], out: &mut Vec<u8>, stops: impl Fn(Base) -> u64) -> usize {
    let (block, most) = match rest.first_chunk::<BLOCK>() {
        Some(block) => (*block, BLOCK),
        None => (padded(rest), rest.len()),
    };
    let length = most.min(stops(Base::load(&block)).trailing_zeros() as usize);
    // A copy of known length and a cut are faster than a copy of unknown length.
    out.extend_from_slice(&block);
    out.truncate(out.len() - BLOCK + length);
    length
}

/// A last block, with spaces for what is missing.
pub(super) fn padded(rest: &[u8]) -> [u8; BLOCK] {
    let mut block = [b' '; BLOCK];
    block[..rest.len()].copy_from_slice(rest);
    block
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

/// Whether a text is the body of a string that says it: nothing in it needs an escape.
pub fn is_own_body(text: &str) -> bool {
    let plain = |part: &[u8]| !part.iter().fold(false, |any, &byte| any | needs_escape(byte));
    text.as_bytes().chunks(BLOCK).all(plain)
}

#[inline]
fn needs_escape(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

/// Appends the body of the string that says `text`: with [`Escapes::Short`] where that is enough,
/// `\u00xx` for other control characters. So texts are equal where their bodies are.
pub fn escape_onto(text: &str, out: &mut String) {
    let bytes = text.as_bytes();
    out.reserve(bytes.len() + BLOCK);
    // SAFETY: ASCII, and pieces of a text that end before ASCII or at its end.
    let out = unsafe { out.as_mut_vec() };
    let mut from = 0;
    while from < bytes.len() {
        from += copy_plain(&bytes[from..], out, |block| {
            block.equal(b'"') | block.equal(b'\\') | block.control()
        });
        if let Some(&byte) = bytes.get(from).filter(|&&byte| needs_escape(byte)) {
            write_escape(byte, out);
            from += 1;
        }
    }
}

/// [`escape_onto`], in `scratch` unless the text is its own body.
pub fn body_of<'s>(text: &'s str, scratch: &'s mut String) -> &'s str {
    if is_own_body(text) {
        return text;
    }
    scratch.clear();
    escape_onto(text, scratch);
    scratch
}

fn write_escape(byte: u8, out: &mut Vec<u8>) {
    let letter = match byte {
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        0x08 => b'b',
        0x0C => b'f',
        b'"' | b'\\' => byte,
        // Writing to memory does not fail.
        _ => return write!(out, "\\u{byte:04x}").unwrap_or_default(),
    };
    out.extend_from_slice(&[b'\\', letter]);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(text: &str) {
        let mut body = String::new();
        escape_onto(text, &mut body);
        assert_eq!(is_own_body(text), body == text);
        let escapes = if body == text { Escapes::None } else { Escapes::Any };
        let value = Value { kind: super::super::Kind::String, text: &body, escapes };
        assert_eq!(unescape(&value), text);
        assert_eq!(serde_json::to_string(text).unwrap_or_default(), format!("\"{body}\""));
    }

    #[test]
    fn every_byte_of_ascii_behind_any_length() {
        for byte in 0..0x80_u8 {
            for length in [0, 1, 31, 62, 63, 64, 65, 127, 128] {
                check(&format!(
                    "{}{}é{}",
                    "x".repeat(length),
                    char::from(byte),
                    "\\".repeat(length)
                ));
            }
        }
    }

    proptest! {
        #[test]
        fn any_text(text in any::<String>()) {
            check(&text);
        }

        #[test]
        fn likely_text(text in "([\"\\\\\n\t\u{0}\u{1f}]|[a-z]{0,9}|[éλ中]){0,60}") {
            check(&text);
        }
    }
}
