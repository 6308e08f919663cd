//! Names in a made record that none of its sources has.

use std::collections::HashSet;
use std::ops::Range;

use super::Lexicon;
use super::characters::{first_chars, leading_run};
use super::compare::Sources;
use super::words::{for_each_word, stem, words};

/// Least share of the longer of two stems that both begin with, where they are forms of one name.
const SAME_NAME: f64 = 0.55;
/// Characters that two forms of one name share at least.
const SHORTEST_SHARED: usize = 4;
const LONGEST_ACRONYM: usize = 6;
/// Characters behind a word that say whether it is the subject of a verb.
const BEHIND: usize = 40;
/// Marks after which a sentence, an item or a quotation begins.
const STARTS: [char; 16] =
    ['.', '!', '?', ':', ';', '\n', '…', '。', '！', '？', '"', '“', '‘', '*', '#', '|'];

/// Names of a text that stand in none of its sources, words side by side as one.
///
/// `new` has the stems of the text that no source has.
pub fn new_names(made: &str, new: &HashSet<String>, sources: &Sources<'_>) -> Vec<String> {
    let mut found: Vec<Range<usize>> = Vec::new();
    let mut end = 0;
    for_each_word(made, |place| {
        let is_start = end == 0 || made[end..place.start].contains(STARTS);
        end = place.end;
        let (word, behind) = (&made[place.clone()], first_chars(&made[place.end..], BEHIND));
        if !is_name(word, behind, is_start, sources.language) {
            return;
        }
        let root = stem(word, sources.language);
        if !new.contains(&root) || is_form_of_one(&root, sources) || is_acronym(word, sources) {
            return;
        }
        match found.last_mut() {
            Some(last) if is_join(&made[last.end..place.start]) => last.end = place.end,
            _ => found.push(place),
        }
    });
    let spelled = found.into_iter().map(|place| &made[place]);
    spelled.filter(|name| !is_spelled_out(name, sources)).map(str::to_owned).collect()
}

/// Whether a word is a name by its capitals and what is behind it.
fn is_name(word: &str, behind: &str, is_start: bool, language: &Lexicon) -> bool {
    let lower = word.to_lowercase();
    if word == lower || word.chars().nth(1).is_none() {
        return false;
    }
    if !is_start || !word.chars().skip(1).eq(lower.chars().skip(1)) {
        return true;
    }
    let is_common = language.no_names.contains(&lower)
        || language.common_endings.iter().any(|ending| lower.ends_with(ending));
    !is_common && is_subject(behind, language)
}

/// Whether a name that begins a sentence goes on in what is behind it, or a verb follows.
fn is_subject(behind: &str, language: &Lexicon) -> bool {
    if let Some(rest) = behind.strip_prefix(['\'', '’']) {
        return leading_run(rest) == "s";
    }
    let mut rest = behind.trim_start_matches([' ', '\t']);
    if rest.len() == behind.len() {
        return false;
    }
    if rest.starts_with(|first: char| first.is_ascii_uppercase()) {
        return true;
    }
    loop {
        let word = leading_run(rest);
        if !language.before_verbs.contains(word) {
            return language.subject_verbs.contains(word) || is_past(word);
        }
        rest = rest[word.len()..].trim_start_matches([' ', '\t']);
    }
}

fn is_past(word: &str) -> bool {
    word.len() >= 4 && word.ends_with("ed") && word.bytes().all(|one| one.is_ascii_lowercase())
}

/// Whether what is between two words makes one name of them: `'s`, a hyphen, blanks.
fn is_join(gap: &str) -> bool {
    let is_mark = |gap: &str| {
        let rest = gap.trim_start_matches([' ', '\t']);
        let rest = rest.strip_prefix(['-', '\'', '’']).unwrap_or(rest);
        rest.trim_start_matches([' ', '\t']).is_empty()
    };
    let rest = gap.strip_prefix(['\'', '’']).and_then(|rest| rest.strip_prefix('s'));
    is_mark(gap) || rest.is_some_and(is_mark)
}

fn is_form_of_one(root: &str, sources: &Sources<'_>) -> bool {
    let length = root.chars().count();
    sources.stems().iter().any(|other| {
        let shared =
            root.chars().zip(other.chars()).take_while(|(one, other)| one == other).count();
        let longer = length.max(other.chars().count());
        shared >= SHORTEST_SHARED && shared as f64 >= SAME_NAME * longer as f64
    })
}

/// Whether a word is the initials of words with capitals that follow each other.
fn is_acronym(word: &str, sources: &Sources<'_>) -> bool {
    let is_capital = |one: char| one.is_uppercase() || !(one.is_lowercase() || is_title(one));
    let is_upper = word.chars().all(is_capital) && word.contains(char::is_uppercase);
    is_upper
        && (2..=LONGEST_ACRONYM).contains(&word.chars().count())
        && sources.texts.iter().any(|source| initials(source, sources.language).contains(word))
}

/// Letters such as `ǅ`, whose capital is another one.
fn is_title(character: char) -> bool {
    !character.is_uppercase()
        && !character.is_lowercase()
        && character.to_lowercase().next() != Some(character)
}

/// First letters of words with capitals, a space where other words are between them.
fn initials(text: &str, language: &Lexicon) -> String {
    let firsts = words(text).into_iter().filter_map(|word| {
        let first = word.chars().next()?;
        match first.is_uppercase() {
            true => Some(first),
            false => (!language.function_words.contains(word)).then_some(' '),
        }
    });
    firsts.collect()
}

/// Whether a source has the initials of a name of several words as a word of its own.
fn is_spelled_out(name: &str, sources: &Sources<'_>) -> bool {
    let firsts = words(name).into_iter().filter_map(|word| word.chars().next());
    let initials: String = firsts.filter(|first| first.is_uppercase()).collect();
    initials.chars().nth(1).is_some()
        && sources.texts.iter().any(|source| words(source).contains(&initials.as_str()))
}
