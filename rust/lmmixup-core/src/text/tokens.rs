//! From text to token hashes.

use xxhash_rust::xxh3::xxh3_64;

use super::compose::{compose, is_inert_text};
use super::{Normalization, ShingleOptions, ShingleUnit};

const SPACE: &[u8] = b" ";

/// ASCII bytes that end a word.
static ENDS_WORD: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 128 {
        table[byte] = matches!(byte, 0x09..=0x0d | 0x1c..=0x20);
        byte += 1;
    }
    table
};

/// Cuts texts into tokens and hashes them; owns the buffers that this takes.
#[derive(Debug)]
pub struct Tokenizer {
    options: ShingleOptions,
    lowered: Vec<u8>,
    composed: String,
}

impl Tokenizer {
    /// A tokenizer for these options.
    pub fn new(options: ShingleOptions) -> Self {
        Self { options, lowered: Vec::new(), composed: String::new() }
    }

    /// Appends the hashes of a record's tokens to `out`. Linear in the text.
    pub fn tokenize(&mut self, texts: [&str; 2], out: &mut Vec<u64>) {
        let start = out.len();
        for text in texts {
            if self.options.normalization == Normalization::Nfkc && !is_inert_text(text) {
                let mut composed = std::mem::take(&mut self.composed);
                composed.clear();
                compose(text, &mut composed);
                self.text(&composed, start, out);
                self.composed = composed;
            } else {
                self.text(text, start, out);
            }
        }
    }

    /// Cuts at ASCII white space; what holds other characters then goes the slow way.
    fn text(&mut self, text: &str, start: usize, out: &mut Vec<u64>) {
        if self.options.unit == ShingleUnit::Char {
            return self.unicode(text, start, out);
        }
        let mut lowered = std::mem::take(&mut self.lowered);
        lowered.clear();
        lowered.extend_from_slice(text.as_bytes());
        if self.options.normalization != Normalization::Raw {
            lowered.make_ascii_lowercase();
        }
        // An end for the last word, and room to load eight bytes from anywhere.
        lowered.extend_from_slice(b"         ");
        let (mut begin, mut seen) = (0, 0);
        for at in 0..=text.len() {
            let byte = lowered[at];
            if !ENDS_WORD[usize::from(byte)] {
                seen |= byte;
                continue;
            }
            if begin < at {
                if seen < 0x80 {
                    out.push(hash_within(&lowered, begin, at - begin));
                } else {
                    self.unicode(&text[begin..at], start, out);
                }
            }
            (begin, seen) = (at + 1, 0);
        }
        self.lowered = lowered;
    }

    fn unicode(&self, text: &str, start: usize, out: &mut Vec<u64>) {
        for word in text.split(is_white_space).filter(|word| !word.is_empty()) {
            if self.options.unit == ShingleUnit::Char && out.len() > start {
                out.push(hash_token(SPACE));
            }
            // White space ends every context that Unicode lower-casing looks at, so word by
            // word gives the same as the whole text at once.
            if self.options.normalization == Normalization::Raw {
                self.word(word, out);
            } else if word.is_ascii() {
                self.word(&word.to_ascii_lowercase(), out);
            } else {
                self.word(&word.to_lowercase(), out);
            }
        }
    }

    fn word(&self, word: &str, out: &mut Vec<u64>) {
        match self.options.unit {
            ShingleUnit::Word => out.push(hash_token(word.as_bytes())),
            ShingleUnit::Char => split_chars(word, |_| true, out),
            ShingleUnit::Auto => split_chars(word, is_unspaced, out),
        }
    }
}

/// Hash of a token: up to eight bytes are mixed as one number, without collisions among them;
/// longer ones by XXH3.
#[inline]
fn hash_token(token: &[u8]) -> u64 {
    if token.len() > 8 {
        return xxh3_64(token);
    }
    let mut bytes = [0; 8];
    bytes[..token.len()].copy_from_slice(token);
    mix(u64::from_le_bytes(bytes), token.len())
}

/// The same for a token inside of bytes that go on for eight more.
#[inline]
fn hash_within(bytes: &[u8], begin: usize, length: usize) -> u64 {
    match bytes[begin..].first_chunk::<8>() {
        Some(&eight) if length <= 8 => {
            mix(u64::from_le_bytes(eight) & u64::MAX >> (64 - 8 * length), length)
        }
        _ => hash_token(&bytes[begin..begin + length]),
    }
}

#[inline]
fn mix(packed: u64, length: usize) -> u64 {
    let mut hash = packed ^ (length as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    hash = (hash ^ (hash >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
    hash = (hash ^ (hash >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
    hash ^ (hash >> 32)
}

/// Pushes every character that is `alone` as a token, and each run of the others as one.
fn split_chars(word: &str, alone: impl Fn(char) -> bool, out: &mut Vec<u64>) {
    let mut run = 0;
    for (at, char) in word.char_indices() {
        if alone(char) {
            if run < at {
                out.push(hash_token(&word.as_bytes()[run..at]));
            }
            run = at + char.len_utf8();
            out.push(hash_token(&word.as_bytes()[at..run]));
        }
    }
    if run < word.len() {
        out.push(hash_token(&word.as_bytes()[run..]));
    }
}

/// White space as Python's `str.split` sees it.
#[inline]
pub fn is_white_space(char: char) -> bool {
    char.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&char)
}

/// Characters of scripts that are written without spaces between words, with their
/// punctuation and full-width forms.
#[inline]
pub fn is_unspaced(char: char) -> bool {
    matches!(char,
        '\u{0e00}'..='\u{0fff}'     // Thai, Lao, Tibetan
        | '\u{1000}'..='\u{109f}'   // Myanmar
        | '\u{1780}'..='\u{17ff}'   // Khmer
        | '\u{1950}'..='\u{19ff}'   // Tai Le, New Tai Lue, Khmer symbols
        | '\u{1a20}'..='\u{1aaf}'   // Tai Tham
        | '\u{2e80}'..='\u{312f}'   // CJK radicals, punctuation, kana, Bopomofo
        | '\u{3190}'..='\u{9fff}'   // CJK strokes, kana extensions, Han
        | '\u{a980}'..='\u{a9ff}'   // Javanese, Myanmar extended B
        | '\u{aa60}'..='\u{aadf}'   // Myanmar extended A, Tai Viet
        | '\u{f900}'..='\u{faff}'   // Han compatibility
        | '\u{fe30}'..='\u{fe4f}'   // CJK compatibility forms
        | '\u{ff00}'..='\u{ffef}'   // half-width and full-width forms
        | '\u{1aff0}'..='\u{1b16f}' // kana supplements
        | '\u{20000}'..='\u{3ffff}' // Han extensions
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(unit: ShingleUnit, prompt: &str, completion: &str) -> Vec<u64> {
        let options = ShingleOptions { unit, ..ShingleOptions::default() };
        let mut out = Vec::new();
        Tokenizer::new(options).tokenize([prompt, completion], &mut out);
        out
    }

    fn hashes(words: &[&str]) -> Vec<u64> {
        words.iter().map(|word| hash_token(word.as_bytes())).collect()
    }

    #[test]
    fn words_split_on_all_white_space_and_are_lowered() {
        let got = tokens(ShingleUnit::Word, " Ab\u{a0}CD\x1cΣΑΣ\u{2003}x\n", "\tY ");
        assert_eq!(got, hashes(&["ab", "cd", "σας", "x", "y"]));
        assert_eq!(tokens(ShingleUnit::Word, "A\x1fB", "c"), hashes(&["a", "b", "c"]));
    }

    #[test]
    fn auto_cuts_unspaced_scripts_only() {
        let got = tokens(ShingleUnit::Auto, "用Rust写", "한국어 text");
        assert_eq!(got, hashes(&["用", "rust", "写", "한국어", "text"]));
        let english = ("Some plain text, é", "more");
        assert_eq!(
            tokens(ShingleUnit::Auto, english.0, english.1),
            tokens(ShingleUnit::Word, english.0, english.1)
        );
    }

    #[test]
    fn characters_keep_one_space_between_words() {
        assert_eq!(
            tokens(ShingleUnit::Char, " aB  c", "d"),
            hashes(&["a", "b", " ", "c", " ", "d"])
        );
        assert!(tokens(ShingleUnit::Char, " ", "\n").is_empty());
    }

    #[test]
    fn nfkc_folds_compatibility_forms() {
        let options =
            ShingleOptions { normalization: Normalization::Nfkc, ..ShingleOptions::default() };
        let mut out = Vec::new();
        Tokenizer::new(options).tokenize(["ＡＢ", "ﬁ"], &mut out);
        assert_eq!(out, hashes(&["ab", "fi"]));
    }
}
