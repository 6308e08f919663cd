//! One record beside its sources.

use std::cell::OnceCell;
use std::collections::HashSet;

use super::numbers::Number;
use super::words::{Stems, Written};
use super::{Checked, Kind, Lexicon, names, negations, numbers, words};
use crate::text::HashedMap;

/// The sources of one record.
pub struct Sources<'a> {
    pub texts: &'a [&'a str],
    pub language: &'a Lexicon,
    seen: &'a HashedMap<Seen>,
    stems: OnceCell<HashSet<String>>,
}

impl Sources<'_> {
    /// Whether a source has this stem.
    pub fn has(&self, stem: &str) -> bool {
        self.seen.get(&words::stem_hash(stem)).is_some_and(|seen| seen.times > 0)
    }

    /// All stems of the sources.
    pub fn stems(&self) -> &HashSet<String> {
        self.stems.get_or_init(|| stems_of(self.texts, self.language))
    }
}

fn stems_of(texts: &[&str], language: &Lexicon) -> HashSet<String> {
    let all = texts.iter().flat_map(|text| words::words(text));
    all.map(|word| words::stem(word, language)).filter(|stem| !stem.is_empty()).collect()
}

/// Where one piece of content was met.
#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    /// How many sources have it.
    times: u32,
    /// The last of them, from 1.
    last: u32,
    /// Whether the record has it.
    is_made: bool,
}

/// What a thread uses again and again.
#[derive(Debug, Default)]
pub struct Scratch {
    stems: Stems,
    seen: HashedMap<Seen>,
    contents: Vec<u64>,
    ends: Vec<usize>,
}

/// Compares one record with its sources, and adds what is found.
pub fn check_one(
    language: &Lexicon,
    scratch: &mut Scratch,
    made: &str,
    sources: &[&str],
    checked: &mut Checked,
) {
    let Scratch { stems, seen, contents, ends } = scratch;
    seen.clear();
    contents.clear();
    ends.clear();
    for (number, source) in (1..).zip(sources) {
        let mut take = |hash: u64| {
            let seen = seen.entry(hash).or_default();
            if seen.last != number {
                (seen.last, seen.times) = (number, seen.times + 1);
                contents.push(hash);
            }
        };
        let written = read(source, language, stems, &mut take);
        let found = numbers::numbers(source, written, language);
        found.iter().flat_map(|one| &one.values).for_each(|&value| take(value));
        ends.push(contents.len());
    }
    let mut has_new = false;
    let mut take = |hash: u64| match seen.get_mut(&hash) {
        Some(seen) => seen.is_made = true,
        None => has_new = true,
    };
    let written = read(made, language, stems, &mut take);
    let mentioned = numbers::numbers(made, written, language);
    mentioned.iter().flat_map(|one| &one.values).for_each(|value| {
        if let Some(seen) = seen.get_mut(value) {
            seen.is_made = true;
        }
    });
    coverage(seen, contents, ends, &mut checked.coverage);
    let theirs = Sources { texts: sources, language, seen, stems: OnceCell::new() };
    let mut add = |kind: Kind, texts: Vec<String>| {
        checked.kinds.extend(std::iter::repeat_n(kind as u8, texts.len()));
        checked.texts.extend(texts);
    };
    add(Kind::Number, new_numbers(mentioned, &theirs));
    let mut new = HashSet::new();
    if has_new {
        new = stems_of(&[made], language);
        new.retain(|stem| !theirs.has(stem));
        add(Kind::Name, names::new_names(made, &new, &theirs));
    }
    add(Kind::Negation, negations::new_negations(made, &new, &theirs));
}

/// Gives the stems of a text; says how numbers may be written in it.
fn read(text: &str, language: &Lexicon, stems: &mut Stems, mut take: impl FnMut(u64)) -> Written {
    let mut written = Written::default();
    words::for_each_word(text, |place| {
        let known = stems.of(&text[place], language);
        written.in_digits |= known.number.in_digits;
        written.in_words |= known.number.in_words;
        if known.stem != 0 {
            take(known.stem);
        }
    });
    written
}

/// The weight of each source's content that the record has, by the weight of all of it.
fn coverage(seen: &HashedMap<Seen>, contents: &[u64], ends: &[usize], out: &mut Vec<f64>) {
    let mut all = vec![0_u32; ends.len() + 1];
    let mut kept = all.clone();
    let mut start = 0;
    for &end in ends {
        all.fill(0);
        kept.fill(0);
        for one in contents[start..end].iter().filter_map(|hash| seen.get(hash)) {
            all[one.times as usize] += 1;
            kept[one.times as usize] += u32::from(one.is_made);
        }
        out.push(if start == end { 1.0 } else { (weight(&kept) / weight(&all)).min(1.0) });
        start = end;
    }
}

/// Sum of what is there so many times: what n sources say weighs 1/n.
fn weight(times: &[u32]) -> f64 {
    let there = (0_u32..).zip(times).filter(|(_, count)| **count > 0);
    there.fold(0.0, |sum, (number, &count)| sum + f64::from(count) / f64::from(number))
}

fn new_numbers(mentioned: Vec<Number>, sources: &Sources<'_>) -> Vec<String> {
    let mut new = mentioned;
    new.retain(|number| {
        let is_known = |value| sources.seen.get(value).is_some_and(|seen| seen.times > 0);
        !number.values.iter().any(is_known) && !sources.language.weak_numbers.contains(&number.text)
    });
    if !new.is_empty() {
        let texts = sources.texts.iter();
        let others: HashSet<u64> =
            texts.flat_map(|text| numbers::other_values(text, sources.language)).collect();
        new.retain(|number| !number.values.iter().any(|value| others.contains(value)));
    }
    new.into_iter().map(|number| number.text).collect()
}
