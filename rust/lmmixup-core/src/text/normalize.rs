//! Normalised texts as bytes: lower-case words with one space between.

use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfkc_quick};

use super::{Normalization, is_white_space};

/// Bytes that are looked at in one go.
const BLOCK: usize = 16;

/// Makes normalised texts; owns the buffers that this takes.
///
/// Gives what the steps one after the other would give: NFKC where asked for, Unicode
/// lower-case, words joined by single spaces. Blocks of ASCII are done in place; characters
/// that no step changes are copied.
#[derive(Debug, Default)]
pub struct Normalizer {
    composed: String,
    out: Vec<u8>,
}

impl Normalizer {
    /// The normalised text.
    pub fn normalize<'t>(&'t mut self, text: &'t str, normalization: Normalization) -> &'t [u8] {
        let text = match normalization {
            Normalization::Raw => return text.as_bytes(),
            Normalization::Lower => text,
            Normalization::Nfkc if is_composed(text) => text,
            Normalization::Nfkc => {
                self.composed.clear();
                compose(text, &mut self.composed);
                &self.composed
            }
        };
        self.out.clear();
        lower_words(text, &mut self.out);
        &self.out
    }
}

/// Writes the lower-case words of a text with one space between.
fn lower_words(text: &str, out: &mut Vec<u8>) {
    // A capital sigma becomes another letter at the end of a word: a matter of its context.
    if text.as_bytes().windows(2).any(|pair| pair == "Σ".as_bytes()) {
        return plain_lower_words(text, out);
    }
    let bytes = text.as_bytes();
    out.reserve(bytes.len() + BLOCK);
    let mut at = 0;
    while at < bytes.len() {
        if let Some(block) = bytes[at..].first_chunk::<BLOCK>()
            && let Some(lowered) = lower_block(block, ends_with_space(out))
        {
            out.extend_from_slice(&lowered);
            at += BLOCK;
            continue;
        }
        at += lower_few(text, at, out);
    }
    if out.last() == Some(&b' ') {
        out.pop();
    }
}

/// Whether a space is not to be written next.
fn ends_with_space(out: &[u8]) -> bool {
    out.last().is_none_or(|&last| last == b' ')
}

/// A block of ASCII in lower case with spaces for white space; `None` where other characters
/// are in it, or white space next to white space.
#[inline]
fn lower_block(block: &[u8; BLOCK], after_space: bool) -> Option<[u8; BLOCK]> {
    let mut lowered = [0; BLOCK];
    let mut spaces = [0u8; BLOCK];
    let mut seen = 0;
    for at in 0..BLOCK {
        let byte = block[at];
        let is_space = (byte.wrapping_sub(9) < 5) | (byte.wrapping_sub(0x1C) < 5);
        let is_upper = byte.wrapping_sub(b'A') < 26;
        lowered[at] = if is_space { b' ' } else { byte | u8::from(is_upper) << 5 };
        spaces[at] = u8::from(is_space);
        seen |= byte;
    }
    let spaces = u128::from_le_bytes(spaces);
    let next_to = spaces & (spaces << 8 | u128::from(after_space));
    (seen < 0x80 && next_to == 0).then_some(lowered)
}

/// Lowers the text up to the next block, character by character; returns the bytes it read.
fn lower_few(text: &str, from: usize, out: &mut Vec<u8>) -> usize {
    let bytes = text.as_bytes();
    let mut at = from;
    let end = bytes.len().min(from + BLOCK);
    while at < end {
        let byte = bytes[at];
        if byte < 0x80 {
            at += 1;
            if !matches!(byte, 9..=13 | 0x1C..=0x20) {
                out.push(byte.to_ascii_lowercase());
            } else if !ends_with_space(out) {
                out.push(b' ');
            }
            continue;
        }
        let Some(char) = text.get(at..).and_then(|rest| rest.chars().next()) else { break };
        let length = char.len_utf8();
        if is_caseless(char) {
            out.extend_from_slice(&bytes[at..at + length]);
        } else if !is_white_space(char) {
            for lower in char.to_lowercase() {
                out.extend_from_slice(lower.encode_utf8(&mut [0; 4]).as_bytes());
            }
        } else if !ends_with_space(out) {
            out.push(b' ');
        }
        at += length;
    }
    at - from
}

/// The same by the standard library's own means.
fn plain_lower_words(text: &str, out: &mut Vec<u8>) {
    for word in text.to_lowercase().split(is_white_space).filter(|word| !word.is_empty()) {
        if !out.is_empty() {
            out.push(b' ');
        }
        out.extend_from_slice(word.as_bytes());
    }
}

/// Characters from CJK radicals to Vai, kana, Han and Yi among them, have no case and are, but
/// for the ideographic space, no white space.
#[inline]
fn is_caseless(char: char) -> bool {
    ('\u{2e80}'..='\u{a63f}').contains(&char) && char != '\u{3000}'
}

/// Whether NFKC is known to leave a text as it is.
fn is_composed(text: &str) -> bool {
    text.is_ascii()
        || is_nfkc_quick(text.chars().filter(|&char| !is_inert(char))) == IsNormalized::Yes
}

/// Characters that NFKC leaves alone, whatever stands beside them, if no mark follows.
#[inline]
fn is_inert(char: char) -> bool {
    char.is_ascii() || matches!(char, '\u{4e00}'..='\u{9fff}' | '\u{3001}'..='\u{3007}')
}

/// Writes a text in NFKC. Runs of inert characters and full-width ASCII between them are done
/// here; other characters go to the `unicode-normalization` crate with the inert one before.
fn compose(text: &str, out: &mut String) {
    let mut chars = text.char_indices().peekable();
    // The last inert character is held back: a mark behind it could compose with it.
    let mut held = 0;
    while let Some((at, char)) = chars.next() {
        let next_is_inert =
            chars.peek().is_none_or(|&(_, next)| is_inert(next) || full_width(next).is_some());
        if is_inert(char) && next_is_inert {
            continue;
        }
        if let Some(ascii) = full_width(char)
            && next_is_inert
        {
            out.push_str(&text[held..at]);
            out.push(ascii);
            held = at + char.len_utf8();
            continue;
        }
        // From here to the next inert character after something else.
        out.push_str(&text[held..at]);
        let mut end = at + char.len_utf8();
        while let Some(&(next, other)) = chars.peek() {
            if is_inert(other) {
                break;
            }
            end = next + other.len_utf8();
            chars.next();
        }
        out.extend(text[at..end].nfkc());
        held = end;
    }
    out.push_str(&text[held..]);
}

/// The ASCII character of a full-width one.
#[inline]
fn full_width(char: char) -> Option<char> {
    match char {
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(u32::from(char) - 0xFEE0),
        '\u{3000}' => Some(' '),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn plain(text: &str, normalization: Normalization) -> Vec<u8> {
        let composed: String = match normalization {
            Normalization::Nfkc => text.nfkc().collect(),
            _ => text.to_owned(),
        };
        let mut out = Vec::new();
        plain_lower_words(&composed, &mut out);
        out
    }

    fn check(text: &str) {
        for normalization in [Normalization::Lower, Normalization::Nfkc] {
            let mut normalizer = Normalizer::default();
            let got = normalizer.normalize(text, normalization);
            assert_eq!(got, plain(text, normalization), "{normalization:?} {text:?}");
        }
    }

    #[test]
    fn every_character_beside_letters_marks_and_itself() {
        for char in '\0'..=char::MAX {
            check(&format!("Ab{char}c{char}\u{301}中{char}，{char}{char}"));
        }
    }

    #[test]
    fn white_space_within_and_across_blocks() {
        for length in 0..40 {
            let word = "X".repeat(length);
            check(&format!("{word} \n{word}\u{a0} {word}\t"));
            check(&format!(" {word}é{word} {word}Σ"));
        }
    }

    proptest! {
        #[test]
        fn any_text(text in any::<String>()) {
            check(&text);
        }

        #[test]
        fn likely_text(text in "([a-zA-Z]{0,9}|[ \n\t]|[，。！ｆ１　]|[中文字가각]|[éÀ\u{300}\u{338}=＝ﬁ①]){0,40}") {
            check(&text);
        }
    }
}
