//! Sentences of a text.

use crate::faithfulness::characters::{digit, is_word};
use crate::text::is_white_space;

/// What ends a sentence where white space follows.
const ENDS: [char; 4] = ['.', '!', '?', '\u{2026}'];
/// Quotes and brackets that may close behind it.
const CLOSES: [char; 6] = ['"', '\'', '\u{201d}', '\u{2019}', ')', ']'];
/// The same of Chinese and Japanese, where no white space follows.
const WIDE_ENDS: [char; 3] = ['\u{3002}', '\u{ff01}', '\u{ff1f}'];
const WIDE_CLOSES: [char; 4] = ['\u{201d}', '\u{2019}', '\u{300d}', '\u{300f}'];

/// The sentences of a text, each with the white space behind it; joined they are the text.
///
/// A number and a dot at the start of an item of a list end no sentence.
pub fn sentences(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut start = 0;
    while start < text.len() {
        let end = end_of_first(text, start);
        let behind = end + leading(&text[end..], is_white_space);
        found.push(&text[start..behind]);
        start = behind;
    }
    found
}

/// Where the sentence that begins at `start` ends; it has one character at least.
fn end_of_first(text: &str, start: usize) -> usize {
    for (offset, character) in text[start..].char_indices().skip(1) {
        let at = start + offset;
        if ENDS.contains(&character) && !is_item_number(&text[..at]) {
            let end = at + leading(&text[at..], |one| ENDS.contains(&one));
            let end = end + leading(&text[end..], |one| CLOSES.contains(&one));
            if text[end..].starts_with(is_white_space) {
                return end;
            }
        } else if WIDE_ENDS.contains(&character) {
            let end = at + leading(&text[at..], |one| WIDE_ENDS.contains(&one));
            return end + leading(&text[end..], |one| WIDE_CLOSES.contains(&one));
        } else if character == '\n' {
            return at + 1;
        }
    }
    text.len()
}

/// Whether a text ends in a number of one or two digits that is a word by itself.
fn is_item_number(text: &str) -> bool {
    let mut before = text.chars().rev();
    if !before.next().is_some_and(is_digit) {
        return false;
    }
    match before.next() {
        Some(one) if is_digit(one) => !before.next().is_some_and(is_word),
        other => !other.is_some_and(is_word),
    }
}

/// What an item of a list begins with is left out: in another list its number would be a wrong
/// one.
pub fn without_marker(sentence: &str) -> &str {
    let rest = if let Some(rest) = sentence.strip_prefix(['-', '*', '+', '\u{2022}']) {
        rest
    } else {
        let numbered = sentence.strip_prefix('(').unwrap_or(sentence);
        let behind = numbered.trim_start_matches(is_digit);
        let number = &numbered[..numbered.len() - behind.len()];
        match behind.strip_prefix(['.', ')']) {
            Some(rest) if (1..=3).contains(&number.chars().count()) => rest,
            _ => return sentence,
        }
    };
    let words = rest.trim_start_matches(is_white_space);
    if words.len() < rest.len() { words } else { sentence }
}

fn is_digit(character: char) -> bool {
    digit(character).is_some()
}

/// Bytes of the characters of one kind that a text begins with.
fn leading(text: &str, is_such: impl Fn(char) -> bool) -> usize {
    text.find(|one| !is_such(one)).unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_where_sentences_end() {
        let cases: [(&str, &[&str]); 6] = [
            ("One. Two!\n1. Three is 3.5 long.", &["One. ", "Two!\n", "1. Three is 3.5 long."]),
            ("He said \"no.\" Then 1999. 10. x", &["He said \"no.\" ", "Then 1999. ", "10. x"]),
            ("1.. x", &["1.. ", "x"]),
            (". a", &[". a"]),
            ("今天。明天！", &["今天。", "明天！"]),
            ("", &[]),
        ];
        for (text, expected) in cases {
            assert_eq!(sentences(text), expected);
        }
    }

    #[test]
    fn markers_of_items_go() {
        for (sentence, expected) in [
            ("1. Sleep", "Sleep"),
            ("(12) Walk", "Walk"),
            ("- Read", "Read"),
            ("1234. Year", "1234. Year"),
            ("-1 is less", "-1 is less"),
            ("3.5 is more", "3.5 is more"),
        ] {
            assert_eq!(without_marker(sentence), expected);
        }
    }
}
