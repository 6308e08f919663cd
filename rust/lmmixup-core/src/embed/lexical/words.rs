//! From a text to the words that count: lower-cased runs of letters and digits.
//!
//! Scripts that are written without spaces (Han, kana, Thai, …) give one word a character
//! and one for each pair of neighbours. Other visible characters are words of their own.

use super::hash::hash_within;
use super::windows::{WINDOW, Window};

/// Start of the hashes of words.
pub const SEED: u64 = 0x9e37_79b9_7f4a_7c15;
/// Bytes of a text that are split; lower case may make three of one.
const MAX_TEXT: usize = 1 << 30;

/// What a word is made of; only [`Kind::Letters`] has parts worth hashing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A run of ASCII letters and digits.
    Letters,
    /// A run of letters and digits with others than ASCII.
    Wide,
    /// A character of a script without spaces, or two in a row.
    Ideograph,
    /// Punctuation, a sign, an emoji.
    Sign,
}

/// A word: where its lower-cased bytes are in [`Words::bytes`], and their hash.
#[derive(Clone, Copy, Debug)]
pub struct Word {
    /// Hash of the lower-cased bytes.
    pub hash: u64,
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
    /// What it is made of.
    pub kind: Kind,
}

/// The words of one text, in order; reused from text to text.
#[derive(Debug, Default)]
pub struct Words {
    /// The text with its ASCII in lower case, where most words lie; after it a window of NUL,
    /// then the lower-cased words beyond ASCII, back to back.
    pub bytes: Vec<u8>,
    /// The words.
    pub list: Vec<Word>,
}

impl Words {
    /// Replaces the content by the words of `text`.
    ///
    /// Of a text beyond a gigabyte the rest is left out: places are 32-bit.
    pub fn split(&mut self, text: &str) {
        let text = first_bytes(text, MAX_TEXT);
        self.bytes.clear();
        self.list.clear();
        self.bytes.extend_from_slice(text.as_bytes());
        self.bytes.make_ascii_lowercase();
        self.bytes.resize(text.len() + WINDOW, 0);
        let mut at = 0;
        for base in (0..text.len()).step_by(WINDOW) {
            at = self.split_window(text, base, at.max(base));
        }
    }

    /// Takes the words that begin in `base..base + WINDOW`, not before `at`; returns the end of
    /// the last.
    fn split_window(&mut self, text: &str, base: usize, mut at: usize) -> usize {
        let Some(bytes) = self.bytes[base..].first_chunk() else { return at };
        let window = Window::new(bytes);
        while at < base + WINDOW {
            let ahead = window.visible >> (at - base);
            if ahead == 0 {
                break;
            }
            at += ahead.trailing_zeros() as usize;
            let run = (!(window.letters >> (at - base))).trailing_zeros() as usize;
            at = match run {
                0 if self.bytes[at].is_ascii() => self.take(at, at + 1, Kind::Sign),
                0 => self.beyond_ascii(text, at),
                _ if at + run < base + WINDOW => self.letters(text, at, at + run),
                _ => self.letters(text, at, self.end_of_run(at + run)),
            };
        }
        at
    }

    /// Where the run of ASCII letters ends that goes on at `at`.
    fn end_of_run(&self, at: usize) -> usize {
        let is_letter = |byte: &u8| byte.is_ascii_alphanumeric();
        at + self.bytes[at..].iter().take_while(|byte| is_letter(byte)).count()
    }

    /// A run that begins in ASCII.
    fn letters(&mut self, text: &str, from: usize, end: usize) -> usize {
        if !self.bytes[end].is_ascii() && first_char(text, end).is_some_and(|c| !ends_run(c)) {
            return self.wide(text, from);
        }
        self.take(from, end, Kind::Letters)
    }

    fn beyond_ascii(&mut self, text: &str, at: usize) -> usize {
        let Some(character) = first_char(text, at) else { return text.len() };
        let next = at + character.len_utf8();
        if is_unspaced(character) {
            self.take(at, next, Kind::Ideograph);
            if let Some(following) = first_char(text, next).filter(|&c| is_unspaced(c)) {
                self.take(at, next + following.len_utf8(), Kind::Ideograph);
            }
        } else if character.is_alphanumeric() {
            return self.wide(text, at);
        } else if !character.is_whitespace() && !character.is_control() {
            self.take(at, next, Kind::Sign);
        }
        next
    }

    fn wide(&mut self, text: &str, from: usize) -> usize {
        let start = self.bytes.len();
        let mut end = from;
        let mut buffer = [0; 4];
        for character in text[from..].chars().take_while(|&c| !ends_run(c)) {
            for lower in character.to_lowercase() {
                self.bytes.extend_from_slice(lower.encode_utf8(&mut buffer).as_bytes());
            }
            end += character.len_utf8();
        }
        self.take(start, self.bytes.len(), Kind::Wide);
        end
    }

    /// Adds `bytes[start..end]` as a word and returns `end`.
    #[inline]
    fn take(&mut self, start: usize, end: usize, kind: Kind) -> usize {
        let hash = hash_within(SEED, &self.bytes, start, end);
        self.list.push(Word { hash, start: start as u32, end: end as u32, kind });
        end
    }
}

fn first_bytes(text: &str, most: usize) -> &str {
    if text.len() <= most {
        return text;
    }
    let end = (0..=most).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
    &text[..end]
}

fn first_char(text: &str, at: usize) -> Option<char> {
    text[at..].chars().next()
}

/// Whether a character cannot stand inside a run of letters. Marks (accents as characters
/// of their own, Indic vowel signs) continue a run.
fn ends_run(character: char) -> bool {
    is_unspaced(character) || !(character.is_alphanumeric() || is_mark(character))
}

/// Combining marks, by block: enough to keep decomposed and Indic words whole.
fn is_mark(character: char) -> bool {
    matches!(u32::from(character),
        0x0300..=0x036F | 0x0483..=0x0489 | 0x0591..=0x05C7 | 0x0610..=0x061A | 0x064B..=0x065F
        | 0x0900..=0x0903 | 0x093A..=0x094F | 0x0981..=0x0983 | 0x09BC..=0x09CD | 0x0A01..=0x0A4D
        | 0x0A81..=0x0ACD | 0x0B01..=0x0B4D | 0x0BBE..=0x0BCD | 0x0C00..=0x0C4D | 0x0C81..=0x0CCD
        | 0x0D00..=0x0D4D | 0x200C..=0x200D | 0x20D0..=0x20FF)
}

/// Scripts written without spaces between words: Han, kana, bopomofo, Thai, Lao, Tibetan,
/// Myanmar, Khmer.
fn is_unspaced(character: char) -> bool {
    matches!(u32::from(character),
        0x0E00..=0x0EFF | 0x0F00..=0x0FFF | 0x1000..=0x109F | 0x1780..=0x17FF
        | 0x2E80..=0x2FDF | 0x3005..=0x3007 | 0x3040..=0x30FF | 0x3100..=0x312F
        | 0x31A0..=0x31BF | 0x31F0..=0x31FF | 0x3400..=0x4DBF | 0x4E00..=0x9FFF
        | 0xF900..=0xFAFF | 0xFF66..=0xFF9F | 0x20000..=0x3FFFF)
}

#[cfg(test)]
mod tests {
    use super::super::hash::hash;
    use super::*;

    fn words(text: &str) -> Vec<String> {
        let mut words = Words::default();
        words.split(text);
        words
            .list
            .iter()
            .map(|word| {
                let bytes = &words.bytes[word.start as usize..word.end as usize];
                assert_eq!(word.hash, hash(SEED, bytes));
                String::from_utf8_lossy(bytes).into_owned()
            })
            .collect()
    }

    #[test]
    fn splits_lowers_and_keeps_signs() {
        assert_eq!(words("Don't panic_42!\n"), ["don", "'", "t", "panic", "_", "42", "!"]);
        assert_eq!(words("  \t\n\u{0}\u{a0}"), Vec::<String>::new());
    }

    #[test]
    fn words_beyond_ascii_stay_whole() {
        assert_eq!(
            words("Éclair na\u{308}ive СССР ÅÄÖ9x"),
            ["éclair", "na\u{308}ive", "ссср", "åäö9x"]
        );
        assert_eq!(words("हिन्दी"), ["हिन्दी"]);
        assert_eq!(words("café, cafés"), ["café", ",", "cafés"]);
        assert_eq!(words("10€"), ["10", "€"]);
    }

    #[test]
    fn cuts_between_characters() {
        assert_eq!(first_bytes("aé", 2), "a");
        assert_eq!(first_bytes("aé", 3), "aé");
        assert_eq!(first_bytes("é", 0), "");
    }

    #[test]
    fn scripts_without_spaces_give_characters_and_pairs() {
        assert_eq!(words("我爱x你"), ["我", "我爱", "爱", "x", "你"]);
        assert_eq!(words("GPT模型"), ["gpt", "模", "模型", "型"]);
    }
}
