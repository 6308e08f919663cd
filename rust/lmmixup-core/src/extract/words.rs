//! Words of a text, to be compared.

use std::collections::HashSet;
use std::hash::BuildHasherDefault;

use xxhash_rust::xxh3::xxh3_64;

use crate::faithfulness::words::for_each_word;
use crate::text::{Identity, is_white_space};

/// A set of hashes.
pub type Set = HashSet<u64, BuildHasherDefault<Identity>>;

/// A text without white space at its ends.
pub fn strip(text: &str) -> &str {
    text.trim_matches(is_white_space)
}

/// The different words of a text, by hash.
pub fn different(text: &str) -> Set {
    let mut found = Set::default();
    let mut lower = String::new();
    for_each_word(text, |place| {
        lower.clear();
        push_lower(&text[place], &mut lower);
        found.insert(xxh3_64(lower.as_bytes()));
    });
    found
}

/// The words of a text in their order, as one hash, and how many they are.
pub fn in_order(text: &str, lower: &mut String) -> (u64, usize) {
    lower.clear();
    let mut number = 0;
    for_each_word(text, |place| {
        push_lower(&text[place], lower);
        lower.push('\n');
        number += 1;
    });
    (xxh3_64(lower.as_bytes()), number)
}

fn push_lower(word: &str, lower: &mut String) {
    if word.is_ascii() {
        let start = lower.len();
        lower.push_str(word);
        lower[start..].make_ascii_lowercase();
    } else {
        lower.push_str(&word.to_lowercase());
    }
}
