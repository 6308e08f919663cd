//! Numbers in a text by their value, however they are written.

use std::ops::Range;

use super::Lexicon;
use super::characters::{digit, is_word};
use super::spelled::word_numbers;
use super::values::{GROUP_SPACES, Plain, plain_values};
use super::words::Written;
use crate::text::is_white_space;

const SHORT_SCALES: [(&str, u32); 6] =
    [("k", 3), ("m", 6), ("mn", 6), ("bn", 9), ("b", 9), ("tn", 12)];
const LONGEST_SHORT_SCALE: usize = 2;
const DOZEN: u64 = 12;

/// One number of a text.
#[derive(Debug)]
pub struct Number {
    /// As it stands, in lower case.
    pub text: String,
    /// Hashes of what it may be worth; several where a comma or a dot may mean two things.
    pub values: Vec<u64>,
}

/// Where a number stands.
enum Place {
    Digits(Token),
    Words(Range<usize>),
}

/// A number in digits.
struct Token {
    digits: Range<usize>,
    /// A scale in letters behind it, such as `bn`: its power of ten, and whether it is one letter.
    short: Option<(u32, bool)>,
    /// A scale in words behind it.
    scale: Option<u64>,
    end: usize,
}

/// The numbers of a text; those that count the items of a list are left out.
///
/// `written` says what need not be looked for.
pub fn numbers(text: &str, written: Written, language: &Lexicon) -> Vec<Number> {
    if !written.any() {
        return Vec::new();
    }
    let text = unmarked(text);
    let mut found = Vec::new();
    for place in places(&text, written, language) {
        match place {
            Place::Digits(token) => digit_numbers(&text, &token, &mut found),
            Place::Words(run) => word_numbers(&text[run], language, &mut found),
        }
    }
    found
}

/// What the numbers of a text may be worth beside their values, for looking others up in it:
/// digits without what follows them, and both ends of ranges of years.
pub fn other_values(text: &str, language: &Lexicon) -> Vec<u64> {
    let mut values = ends_of_ranges(&text.chars().collect::<Vec<_>>());
    let text = unmarked(text);
    for place in places(&text, Written { in_digits: true, in_words: true }, language) {
        let Place::Digits(token) = place else { continue };
        let digits = &text[token.digits.clone()];
        let has_more = token.scale.is_some() || token.short.is_some();
        if has_more || digits.iter().any(|&one| !one.is_ascii() || one == ' ') {
            let groups = digits.split(|one| GROUP_SPACES.contains(one));
            values.extend(groups.flat_map(plain_values).flatten().map(|one| one.hash(0, 1)));
        }
    }
    values
}

/// 1945 in *1939-45*, and 1939.
fn ends_of_ranges(text: &[char]) -> Vec<u64> {
    let mut values = Vec::new();
    let is_digit = |at: usize| text.get(at).is_some_and(|&one| digit(one).is_some());
    let mut at = 0;
    while at < text.len() {
        let is_range = is_digit(at)
            && (at == 0 || !is_digit(at - 1))
            && (1..4).all(|more| is_digit(at + more))
            && text.get(at + 4).is_some_and(|one| matches!(one, '\u{2013}' | '/' | '-'))
            && is_digit(at + 5)
            && is_digit(at + 6)
            && !is_digit(at + 7);
        if !is_range {
            at += 1;
            continue;
        }
        let ends = [at + 2..at + 4, at + 5..at + 7];
        values.extend(ends.map(|end| {
            let year = [&text[at..at + 2], &text[end]].concat();
            Plain::new(&year, &[]).hash(0, 1)
        }));
        at += 7;
    }
    values
}

/// The text in lower case and without the numbers of lists.
fn unmarked(text: &str) -> Vec<char> {
    let lower: Vec<char> = if text.is_ascii() {
        text.chars().map(|one| one.to_ascii_lowercase()).collect()
    } else {
        text.to_lowercase().chars().collect()
    };
    let mut kept = Vec::with_capacity(lower.len());
    for line in lower.split_inclusive(|&one| one == '\n') {
        kept.extend_from_slice(&line[markers(line)..]);
    }
    kept
}

/// Length of the marks of a list that a line begins with: `1.`, `(2)`, `step 3`.
fn markers(line: &[char]) -> usize {
    let mut length = 0;
    while let Some(end) = marker(line, length) {
        length = end;
    }
    length
}

fn marker(line: &[char], from: usize) -> Option<usize> {
    let start = skip(line, from, is_blank);
    let end = match line.get(start)? {
        '(' => closed(line, few_digits(line, start + 1)?, &[')'])?,
        's' | 'p' => {
            let word = ["step", "part"].map(|word| begins(line, start, word));
            let gap = word.into_iter().flatten().next()?;
            let number = skip(line, gap, is_blank);
            few_digits(line, number).filter(|_| number > gap)?
        }
        _ => closed(line, few_digits(line, start)?, &['.', ')'])?,
    };
    line.get(end).filter(|&&next| next == ':' || is_white_space(next)).map(|_| end)
}

fn closed(line: &[char], at: usize, by: &[char]) -> Option<usize> {
    line.get(at).filter(|mark| by.contains(mark)).map(|_| at + 1)
}

/// The end of one to three digits.
fn few_digits(line: &[char], from: usize) -> Option<usize> {
    let end = skip(line, from, |one| digit(one).is_some());
    (1..=3).contains(&(end - from)).then_some(end)
}

fn is_blank(character: char) -> bool {
    matches!(character, ' ' | '\t')
}

fn begins(text: &[char], at: usize, word: &str) -> Option<usize> {
    let length = word.len();
    let here = text.get(at..at + length)?;
    here.iter().copied().eq(word.chars()).then_some(at + length)
}

fn skip(text: &[char], from: usize, is_skipped: impl Fn(char) -> bool) -> usize {
    from + text[from.min(text.len())..].iter().take_while(|&&one| is_skipped(one)).count()
}

/// Where the numbers of a text stand, in order.
fn places(text: &[char], written: Written, language: &Lexicon) -> Vec<Place> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let begins_word = |at: usize| at == 0 || !is_word(text[at - 1]);
        let place = if digit(text[at]).is_some() {
            Some(Place::Digits(digits_at(text, at, language)))
        } else if written.in_words && text[at].is_ascii_lowercase() && begins_word(at) {
            words_at(text, at, language).map(|end| Place::Words(at..end))
        } else {
            None
        };
        at = match &place {
            Some(Place::Digits(token)) => token.end,
            Some(Place::Words(run)) => run.end,
            None => at + 1,
        };
        found.extend(place);
    }
    found
}

fn digits_at(text: &[char], start: usize, language: &Lexicon) -> Token {
    let end = spaced_groups(text, start).unwrap_or_else(|| marked_groups(text, start));
    let mut token = Token { digits: start..end, short: None, scale: None, end };
    if let Some((letters, short)) = short_scale(text, end) {
        (token.short, token.end) = (Some(short), letters);
    } else {
        let word = run_at(text, skip(text, end, is_gap));
        if let Some(&scale) = language.scales.get(&text[word.clone()].iter().collect::<String>()) {
            (token.scale, token.end) = (Some(scale), word.end);
        }
    }
    token
}

/// The end of `10 000`: up to three digits, then groups of three behind spaces.
fn spaced_groups(text: &[char], start: usize) -> Option<usize> {
    let is_part = |one: char| digit(one).is_some() || matches!(one, '.' | ',');
    let first = skip(text, start, |one| digit(one).is_some());
    if first - start > 3 || (start > 0 && is_part(text[start - 1])) {
        return None;
    }
    let mut ends = Vec::new();
    let mut end = first;
    while text.get(end).is_some_and(|one| GROUP_SPACES.contains(one)) {
        let group = (end + 1..end + 4).all(|at| text.get(at).is_some_and(|&c| digit(c).is_some()));
        if !group {
            break;
        }
        end += 4;
        ends.push(end);
    }
    let goes_on = |end: usize| {
        let rest = end..skip(text, end, is_part);
        text[rest].iter().any(|&one| digit(one).is_some())
    };
    ends.into_iter().rev().find(|&end| !goes_on(end))
}

/// The end of `1,000.5`.
fn marked_groups(text: &[char], start: usize) -> usize {
    let mut end = skip(text, start, |one| digit(one).is_some());
    while text.get(end).is_some_and(|one| matches!(one, '.' | ',')) {
        let group = skip(text, end + 1, |one| digit(one).is_some());
        if group == end + 1 {
            break;
        }
        end = group;
    }
    end
}

fn short_scale(text: &[char], at: usize) -> Option<(usize, (u32, bool))> {
    let behind_space = text.get(at).is_some_and(|&one| is_white_space(one));
    let word = run_at(text, at + usize::from(behind_space));
    if word.is_empty() || word.len() > LONGEST_SHORT_SCALE {
        return None;
    }
    let letters: String = text[word.clone()].iter().collect();
    let (_, power) = SHORT_SCALES.into_iter().find(|(short, _)| *short == letters)?;
    let is_letter = letters.len() == 1;
    (!behind_space || !is_letter).then_some((word.end, (power, is_letter)))
}

/// The run of `\w` at a place.
fn run_at(text: &[char], at: usize) -> Range<usize> {
    let at = at.min(text.len());
    at..skip(text, at, is_word)
}

/// White space and hyphens.
pub fn is_gap(character: char) -> bool {
    character == '-' || is_white_space(character)
}

/// The end of a run of number words.
fn words_at(text: &[char], start: usize, language: &Lexicon) -> Option<usize> {
    let is_number = |run: &Range<usize>| language.is_number_word(text[run.clone()].iter().copied());
    let first = Some(run_at(text, start)).filter(is_number)?;
    let mut end = first.end;
    loop {
        let next = run_at(text, skip(text, end, is_gap));
        if next.start > end && is_number(&next) {
            end = next.end;
            continue;
        }
        let word = skip(text, end, is_white_space);
        let Some(gap) = begins(text, word, "and").filter(|_| word > end) else { break };
        let next = run_at(text, skip(text, gap, is_white_space));
        if next.start == gap || !is_number(&next) {
            break;
        }
        end = next.end;
    }
    Some(end)
}

fn digit_numbers(text: &[char], token: &Token, found: &mut Vec<Number>) {
    let shown: String = text[token.digits.start..token.end].iter().collect();
    let (power, is_letter) = token.short.unwrap_or((0, false));
    let (more, by) = match token.scale {
        Some(DOZEN) => (0, DOZEN),
        Some(scale) => (scale.ilog10(), 1),
        None => (0, 1),
    };
    for values in plain_values(&text[token.digits.clone()]) {
        let mut hashes = Vec::new();
        for value in values {
            hashes.push(value.hash(power + more, by));
            if is_letter {
                hashes.push(value.hash(0, 1)); // 5m may be metres as well as millions
            }
        }
        found.push(Number { text: shown.clone(), values: hashes });
    }
}
