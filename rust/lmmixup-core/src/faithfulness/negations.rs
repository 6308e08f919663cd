//! Negations in a made record that none of its sources has.

use std::collections::HashSet;

use memchr::memmem;

use super::Lexicon;
use super::characters::{digit, first_chars, is_same_word, is_word, leading_run};
use super::compare::Sources;
use super::words::{stem, words};
use crate::text::is_white_space;

/// Least share of the words at a negation that also stand at one of a source.
const SAME_NEGATION: f64 = 0.6;
/// Content words before and after a negation of the record that say what it negates.
const AROUND: (usize, usize) = (1, 3);
/// The same in a source: one further on either side.
const WIDER: (usize, usize) = (2, 4);
/// Characters behind a negation that are copied where it is copied.
const VERBATIM: usize = 24;

/// Words that negate, and what may not follow them: *not only*, *no doubt*, *not least*.
const CUES: [(&str, &[&str]); 11] = [
    ("not", &["only", "just", "least", "merely", "simply", "to mention"]),
    ("no", &["doubt", "wonder", "less", "fewer", "matter"]),
    ("nothing", &["but", "short"]),
    ("without", &["doubt", "a doubt"]),
    ("none", &["other"]),
    ("cannot", &[]),
    ("never", &[]),
    ("nobody", &[]),
    ("nowhere", &[]),
    ("neither", &[]),
    ("nor", &[]),
];

/// Beginnings that negate a word, and characters that the word must have behind them.
const NEGATIVE: [(&str, usize); 6] =
    [("un", 4), ("non", 4), ("in", 5), ("im", 5), ("il", 5), ("ir", 5)];

/// One negation of a text: its words, and stems of content words before and after it.
struct Negation {
    text: String,
    before: Vec<String>,
    after: Vec<String>,
}

/// Negations of a text that none of its sources has, each to the word that it negates.
///
/// `new` has the stems of the text that no source has.
pub fn new_negations(made: &str, new: &HashSet<String>, sources: &Sources<'_>) -> Vec<String> {
    let is_said = |text: &str| {
        let finder = memmem::Finder::new(text);
        sources.texts.iter().any(|source| finder.find(source.as_bytes()).is_some())
    };
    let is_copied = |cue: &Cue| {
        is_said(&made[cue.start..cue.end + first_chars(&made[cue.end..], VERBATIM).len()])
    };
    let own: Vec<Negation> = cues(made)
        .into_iter()
        .filter(|cue| !is_copied(cue))
        .filter_map(|cue| negation(made, &cue, AROUND, sources.language))
        .filter(|one| !one.after.is_empty() && !is_said(&one.text))
        .collect();
    let mut prefixed: Vec<&String> =
        new.iter().filter(|root| positive(root).is_some_and(|rest| sources.has(rest))).collect();
    if own.is_empty() && prefixed.is_empty() {
        return Vec::new();
    }
    prefixed.sort_unstable();
    let theirs: Vec<Negation> = sources
        .texts
        .iter()
        .flat_map(|source| {
            let found = cues(source).into_iter();
            found.filter_map(|cue| negation(source, &cue, WIDER, sources.language))
        })
        .collect();
    let own = own.into_iter().filter(|one| !is_founded(one, &theirs, sources));
    let mut found: Vec<String> = own.map(|one| one.text).collect();
    for root in prefixed {
        let is_negated =
            |one: &Negation| one.after.iter().any(|word| Some(&**word) == positive(root));
        if !theirs.iter().any(is_negated) {
            let spelled =
                words(made).into_iter().find(|word| stem(word, sources.language) == *root);
            found.extend(spelled.map(str::to_owned));
        }
    }
    found
}

/// Where a word that negates stands.
struct Cue {
    start: usize,
    end: usize,
}

fn cues(text: &str) -> Vec<Cue> {
    let bytes = text.as_bytes();
    let mut found = Vec::new();
    let mut start = 0;
    while start < bytes.len() {
        let end = match bytes[start] | 0x20 {
            b'n' => cue_at(text, start).or_else(|| contraction_at(text, start)),
            b'c' | b'w' => cue_at(text, start),
            _ => None,
        };
        found.extend(end.map(|end| Cue { start, end }));
        start = end.unwrap_or(start + 1);
    }
    found
}

fn cue_at(text: &str, start: usize) -> Option<usize> {
    // The second letter tells most words that are none.
    let second = text.as_bytes().get(start + 1)?;
    if second.is_ascii() && !matches!(second | 0x20, b'a' | b'e' | b'i' | b'o') {
        return None;
    }
    if text[..start].chars().next_back().is_some_and(is_word) {
        return None;
    }
    let run = leading_run(&text[start..]);
    let (_, idioms) = CUES.iter().find(|(cue, _)| is_same_word(run, cue))?;
    let end = start + run.len();
    (!idioms.iter().any(|idiom| follows(&text[end..], idiom))).then_some(end)
}

/// Whether the words of an idiom follow, each behind white space.
fn follows(mut rest: &str, idiom: &str) -> bool {
    idiom.split(' ').all(|word| {
        let behind = rest.trim_start_matches(is_white_space);
        let run = leading_run(behind);
        let does = behind.len() < rest.len() && is_same_word(run, word);
        rest = &behind[run.len()..];
        does
    })
}

/// The end of `n't`.
fn contraction_at(text: &str, start: usize) -> Option<usize> {
    let rest = text[start + 1..].strip_prefix(['\'', '’'])?;
    let run = leading_run(rest);
    is_same_word(run, "t").then(|| text.len() - rest.len() + run.len())
}

fn negation(
    text: &str,
    cue: &Cue,
    (num_before, num_after): (usize, usize),
    language: &Lexicon,
) -> Option<Negation> {
    let behind = &text[cue.end..];
    if matches!(&text[cue.start..cue.end], "No" | "no") && is_numbered(behind) {
        return None;
    }
    let behind = &behind[..end_of_sentence(behind)];
    let content = words(behind).into_iter().map(|word| (word, stem(word, language)));
    let after: Vec<_> = content.filter(|(_, root)| !root.is_empty()).take(num_after).collect();
    let sentence = &text[start_of_sentence(text, cue.start)..cue.start];
    let stems = words(sentence).into_iter().map(|word| stem(word, language));
    let ahead: Vec<String> = stems.filter(|root| !root.is_empty()).collect();
    let end = after
        .first()
        .map_or(cue.end, |(word, _)| word.as_ptr() as usize - text.as_ptr() as usize + word.len());
    let shown = text[cue.start..end].split(is_white_space).filter(|word| !word.is_empty());
    Some(Negation {
        text: shown.collect::<Vec<_>>().join(" "),
        before: ahead[ahead.len().saturating_sub(num_before)..].to_vec(),
        after: after.into_iter().map(|(_, root)| root).collect(),
    })
}

/// *No. 7* negates nothing.
fn is_numbered(behind: &str) -> bool {
    let rest = behind.strip_prefix('.').unwrap_or(behind).trim_start_matches(is_white_space);
    rest.starts_with(|first| digit(first).is_some())
}

fn is_mark(character: char) -> bool {
    matches!(character, '.' | '!' | '?' | '…')
}

/// Whether a mark in front of this character ends a sentence.
fn ends_sentence(next: char) -> bool {
    is_white_space(next) || matches!(next, '"' | '\'' | '”' | '’' | ')' | ']')
}

/// Where the marks begin that end the first sentence of a text, or its end.
fn end_of_sentence(text: &str) -> usize {
    let mut start = None;
    for (at, character) in text.char_indices() {
        match start {
            Some(start) if !is_mark(character) && ends_sentence(character) => return start,
            _ if character == '\n' => return at,
            _ if !is_mark(character) => start = None,
            None => start = Some(at),
            Some(_) => {}
        }
    }
    start.unwrap_or(text.len())
}

/// Where the sentence begins that `at` is in.
fn start_of_sentence(text: &str, at: usize) -> usize {
    let mut next = None;
    for (place, character) in text[..at].char_indices().rev() {
        if character == '\n' || is_mark(character) && next.is_none_or(ends_sentence) {
            return place + character.len_utf8();
        }
        next = Some(character);
    }
    0
}

fn is_founded(one: &Negation, theirs: &[Negation], sources: &Sources<'_>) -> bool {
    let negated = &one.after[0];
    if NEGATIVE.iter().any(|(beginning, _)| sources.has(&format!("{beginning}{negated}"))) {
        return true;
    }
    if theirs.iter().any(|other| other.after.first() == Some(negated)) {
        return true;
    }
    let around: HashSet<&String> = one.before.iter().chain(&one.after).collect();
    let shared = theirs.iter().map(|other| {
        let there: HashSet<&String> = other.before.iter().chain(&other.after).collect();
        around.intersection(&there).count()
    });
    shared.max().unwrap_or(0) as f64 >= SAME_NEGATION * around.len() as f64
}

/// What is left of a stem without a negative beginning.
fn positive(root: &str) -> Option<&str> {
    NEGATIVE.iter().find_map(|(beginning, length)| {
        root.strip_prefix(beginning).filter(|rest| rest.chars().count() >= *length)
    })
}
