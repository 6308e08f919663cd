//! Words of a text and their stems.

use std::ops::Range;

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::canonical_combining_class;
use xxhash_rust::xxh3::xxh3_64;

use super::Lexicon;
use super::characters::{digit, is_letter, is_unspaced};

/// A stem has so many characters at least.
const SHORTEST_STEM: usize = 3;
/// Words whose stems are remembered, as a power of two: 768 kB.
const REMEMBERED_BITS: u32 = 15;

/// Calls `take` with the place of each word of a text: a run of letters and digits, or one
/// character of a script without spaces.
pub fn for_each_word(text: &str, mut take: impl FnMut(Range<usize>)) {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let start = at;
        while at < bytes.len() && bytes[at].is_ascii_alphanumeric() {
            at += 1;
        }
        if at < bytes.len() && !bytes[at].is_ascii() {
            at = beyond_ascii(text, start, at, &mut take);
        } else {
            if start < at {
                take(start..at);
            }
            at += 1;
        }
    }
}

/// Ends a word that has reached a character beyond ASCII; where to go on.
fn beyond_ascii(
    text: &str,
    start: usize,
    from: usize,
    take: &mut impl FnMut(Range<usize>),
) -> usize {
    let mut end = from;
    let mut after = text.len();
    for (offset, character) in text[from..].char_indices() {
        if is_unspaced(character) || !is_letter(character) {
            after = from + offset;
            break;
        }
        end = from + offset + character.len_utf8();
    }
    if start < end {
        take(start..end);
    }
    let Some(next) = text[after..].chars().next() else { return text.len() };
    let behind = after + next.len_utf8();
    if is_unspaced(next) {
        take(after..behind);
    }
    behind
}

/// The words of a text.
pub fn words(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    for_each_word(text, |place| found.push(&text[place]));
    found
}

/// A word without case, accents and the endings of English inflection; empty for function words
/// and for numbers.
pub fn stem(word: &str, language: &Lexicon) -> String {
    let folded = fold(word);
    if number(&folded, language).any() || language.function_words.contains(&folded) {
        String::new()
    } else {
        without_ending(folded)
    }
}

fn number(folded: &str, language: &Lexicon) -> Written {
    Written {
        in_digits: folded.chars().any(|one| digit(one).is_some()),
        in_words: language.is_number_word(folded.chars()),
    }
}

fn fold(word: &str) -> String {
    if word.is_ascii() {
        return word.to_ascii_lowercase();
    }
    let mut folded = String::with_capacity(word.len());
    for character in word.to_lowercase().nfkd().filter(|&one| canonical_combining_class(one) == 0) {
        match character {
            'ß' => folded.push_str("ss"),
            'ς' => folded.push('σ'),
            _ => folded.push(character),
        }
    }
    folded
}

fn without_ending(word: String) -> String {
    let mut root = singular(word);
    for (ending, length) in [("ing", 3), ("ed", 3), ("ly", 4)] {
        let Some(short) = root.strip_suffix(ending) else { continue };
        if short.chars().count() < length || !short.contains(['a', 'e', 'i', 'o', 'u', 'y']) {
            continue;
        }
        let mut last = short.chars().rev();
        let (one, other) = (last.next(), last.next());
        let is_double = one == other && !matches!(one, Some('l' | 's' | 'z'));
        let doubled = if is_double { one.map_or(0, char::len_utf8) } else { 0 };
        root.truncate(root.len() - ending.len() - doubled);
        break;
    }
    if root.ends_with('e') && root.chars().count() > SHORTEST_STEM + 1 {
        root.pop();
    }
    if root.ends_with('y') && root.chars().count() > SHORTEST_STEM {
        root.pop();
        root.push('i');
    }
    root
}

fn singular(mut word: String) -> String {
    let length = word.chars().count();
    let ends = |endings: &[&str]| endings.iter().any(|ending| word.ends_with(ending));
    let is_long = length > SHORTEST_STEM + 1;
    if length <= SHORTEST_STEM || !word.ends_with('s') || ends(&["ss", "us", "is"]) {
        if is_long && word.ends_with("ied") {
            word.truncate(word.len() - 3);
            word.push('y');
        }
        return word;
    }
    if is_long && word.ends_with("ies") {
        word.truncate(word.len() - 3);
        word.push('y');
        return word;
    }
    let cut = if ends(&["sses", "ches", "shes", "xes", "zes"]) { 2 } else { 1 };
    word.truncate(word.len() - cut);
    word
}

/// How numbers may begin in a text; a scale may stand at digits without a gap: *5million*.
#[derive(Debug, Clone, Copy, Default)]
pub struct Written {
    /// In digits.
    pub in_digits: bool,
    /// In words.
    pub in_words: bool,
}

impl Written {
    /// Whether there may be a number at all.
    pub fn any(self) -> bool {
        self.in_digits || self.in_words
    }
}

/// What is remembered of a word.
#[derive(Debug, Clone, Copy, Default)]
pub struct Known {
    /// Hash of its stem; 0 where it has none.
    pub stem: u64,
    /// Which kind of number it is, or has in it.
    pub number: Written,
}

/// Stems of words that were met before. Each word has one place, and the last one that came keeps
/// it: what is remembered takes the same memory after a thousand words and after a billion.
#[derive(Debug)]
pub struct Stems(Box<[(u64, Known)]>);

impl Default for Stems {
    fn default() -> Self {
        Self(vec![(0, Known::default()); 1 << REMEMBERED_BITS].into())
    }
}

impl Stems {
    /// What is known of a word.
    #[inline]
    pub fn of(&mut self, word: &str, language: &Lexicon) -> Known {
        let key = stem_hash(word);
        let (last, known) = &mut self.0[(key >> (u64::BITS - REMEMBERED_BITS)) as usize];
        if *last != key {
            (*last, *known) = (key, known_of(word, language));
        }
        *known
    }
}

fn known_of(word: &str, language: &Lexicon) -> Known {
    let root = stem(word, language);
    Known {
        stem: if root.is_empty() { 0 } else { stem_hash(&root) },
        // In lower case `İ` is two characters, and another word begins behind them.
        number: match word.contains('İ') {
            true => Written { in_digits: true, in_words: true },
            false => number(&fold(word), language),
        },
    }
}

/// Hash of a word or stem; never 0.
pub fn stem_hash(stem: &str) -> u64 {
    xxh3_64(stem.as_bytes()).max(1)
}
