//! Normalised texts as bytes: lower-case words with one space between.

use super::compose::{compose, is_inert_text};
use super::{Normalization, is_white_space};

/// Bytes that are looked at in one go.
const BLOCK: usize = 8;

/// Makes normalised texts; owns the buffers that this takes.
///
/// Gives what the steps one after the other would give: NFKC where asked for, Unicode
/// lower-case, words joined by single spaces. Blocks of ASCII are done in place, and runs of
/// characters that no step changes are copied.
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
            Normalization::Nfkc if is_inert_text(text) => text,
            Normalization::Nfkc => {
                self.composed.clear();
                compose(text, &mut self.composed);
                &self.composed
            }
        };
        self.out.clear();
        if lower_words(text, &mut self.out).is_none() {
            self.out.clear();
            plain_lower_words(text, &mut self.out);
        }
        &self.out
    }
}

/// Writes the lower-case words of a text with one space between. `None` where a capital sigma
/// is in it: what it becomes depends on the letters around it.
fn lower_words(text: &str, out: &mut Vec<u8>) -> Option<()> {
    let bytes = text.as_bytes();
    out.reserve(bytes.len() + BLOCK);
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        at = if byte >= 0x80 {
            lower_other(text, at, out)?
        } else if let Some(block) = bytes[at..].first_chunk()
            && let Some(lowered) = lower_block(block, ends_with_space(out))
        {
            out.extend_from_slice(&lowered);
            at + BLOCK
        } else {
            lower_ascii(bytes, at, out)
        };
    }
    if out.last() == Some(&b' ') {
        out.pop();
    }
    Some(())
}

/// Whether a space is not to be written next.
#[inline]
fn ends_with_space(out: &[u8]) -> bool {
    out.last().is_none_or(|&last| last == b' ')
}

/// A block of ASCII in lower case with spaces for white space; `None` where other characters
/// are in it, or white space next to white space. All bytes at once in one number.
#[inline]
fn lower_block(block: &[u8; BLOCK], after_space: bool) -> Option<[u8; BLOCK]> {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = ONES << 7;
    let word = u64::from_le_bytes(*block);
    // The high bits of the bytes in a range; ASCII has room for the carry.
    let from = |least: u64| (word & !HIGH) + ONES * (0x80 - least);
    let within = |least, most: u64| from(least) & !from(most + 1) & HIGH;
    let spaces = within(9, 13) | within(0x1C, 0x20);
    let upper = within(u64::from(b'A'), u64::from(b'Z'));
    let next_to = spaces & (spaces << 8 | u64::from(after_space) << 7);
    if word & HIGH != 0 || next_to != 0 {
        return None;
    }
    let replaced = (spaces >> 7) * 0xFF;
    let lowered = (word | upper >> 2) & !replaced | (ONES * u64::from(b' ')) & replaced;
    Some(lowered.to_le_bytes())
}

/// Lowers ASCII byte by byte, a block at most; returns where it stopped.
fn lower_ascii(bytes: &[u8], from: usize, out: &mut Vec<u8>) -> usize {
    let end = bytes.len().min(from + BLOCK);
    for (at, &byte) in bytes[..end].iter().enumerate().skip(from) {
        match byte {
            0x80.. => return at,
            9..=13 | 0x1C..=0x20 if ends_with_space(out) => {}
            9..=13 | 0x1C..=0x20 => out.push(b' '),
            _ => out.push(byte.to_ascii_lowercase()),
        }
    }
    end
}

/// Lowers one character that is not ASCII, or copies a run of those without case; returns
/// where it stopped.
fn lower_other(text: &str, from: usize, out: &mut Vec<u8>) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut at = from;
    while let Some(&[first, second, third]) = bytes.get(at..).and_then(<[u8]>::first_chunk)
        && is_caseless(first, second, third)
    {
        at += 3;
    }
    if at > from {
        out.extend_from_slice(&bytes[from..at]);
        return Some(at);
    }
    let char = text.get(at..)?.chars().next()?;
    if is_white_space(char) {
        if !ends_with_space(out) {
            out.push(b' ');
        }
    } else if char == 'Σ' {
        return None;
    } else {
        for lower in char.to_lowercase() {
            out.extend_from_slice(lower.encode_utf8(&mut [0; 4]).as_bytes());
        }
    }
    Some(at + char.len_utf8())
}

/// The three bytes of U+3001 to U+9FFF, kana and Han among them, or of full-width punctuation
/// up to U+FF20: no case, no white space.
#[inline]
fn is_caseless(first: u8, second: u8, third: u8) -> bool {
    match first {
        0xE4..=0xE9 => true,
        0xE3 => (second, third) != (0x80, 0x80),
        0xEF => second == 0xBC && third <= 0xA0,
        _ => false,
    }
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use unicode_normalization::UnicodeNormalization;

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
        // Behind them there is nothing but private use and marks without effect.
        for char in '\0'..='\u{2ffff}' {
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
