//! What a made record keeps of its sources, and what it says that none of them does.
//!
//! Content is stems of words and values of numbers. The coverage of a source is the share of its
//! content that the record has, where what several sources say weighs one through their number.
//! Unfounded are numbers, names and negations of the record that no source has.
//!
//! Stems and values are compared by 64-bit XXH3. Names and negations are looked for only in
//! records that have a new stem or a negation that was not copied: most have neither.

mod characters;
mod names;
mod negations;
mod numbers;
mod words;

use std::cell::OnceCell;
use std::collections::{HashMap, HashSet};
use std::ops::Deref;
use std::sync::{Mutex, PoisonError};

use rayon::prelude::*;

use crate::embed::Texts;
use crate::text::HashedMap;
use crate::threads::with_threads;
use crate::{Error, Progress, Result};
use numbers::Number;
use words::{Stems, Written};

/// Records that one task checks at a time.
const ROWS_A_TASK: usize = 32;

/// What is known of the language that records are written in.
#[derive(Debug, Default)]
pub struct Language {
    /// Words that carry structure and no content of their own.
    pub function_words: HashSet<String>,
    /// Words that begin a sentence with a capital and are no names.
    pub no_names: HashSet<String>,
    /// Endings of such words.
    pub common_endings: Vec<String>,
    /// Words between a name and the verb that it is the subject of.
    pub before_verbs: HashSet<String>,
    /// Verbs whose subject may be a name.
    pub subject_verbs: HashSet<String>,
    /// Number words below a hundred.
    pub units: HashMap<String, u64>,
    /// Number words that multiply what is before them: powers of ten, and the dozen.
    pub scales: HashMap<String, u64>,
    /// Number words that mostly are something else.
    pub weak_numbers: HashSet<String>,
}

/// A language with its number words by their letters, for looking up without a copy.
#[derive(Debug)]
struct Lexicon {
    language: Language,
    number_words: HashedMap<Vec<char>>,
}

impl Lexicon {
    fn new(language: Language) -> Self {
        let words = language.units.keys().chain(language.scales.keys());
        let by_letters = |word: &String| (letters_hash(word.chars()), word.chars().collect());
        let number_words = words.map(by_letters).collect();
        Self { language, number_words }
    }

    fn is_number_word(&self, word: impl Iterator<Item = char> + Clone) -> bool {
        let found = self.number_words.get(&letters_hash(word.clone()));
        found.is_some_and(|letters| letters.iter().copied().eq(word))
    }
}

impl Deref for Lexicon {
    type Target = Language;

    fn deref(&self) -> &Language {
        &self.language
    }
}

/// FNV-1a of the letters, mixed for a map that takes it as it is.
fn letters_hash(letters: impl Iterator<Item = char>) -> u64 {
    letters.fold(0xcbf2_9ce4_8422_2325, |hash, letter| {
        (hash ^ u64::from(letter)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// What is unfounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// A number that no source has, by its value.
    Number,
    /// A name that no source has in any form.
    Name,
    /// A negation of what no source negates.
    Negation,
}

/// How records stand to their sources.
#[derive(Debug, Default)]
pub struct Checked {
    /// For each source, the share of its content that the record has; 1 without content.
    pub coverage: Vec<f64>,
    /// Where the findings of each record begin, and one end more.
    pub indptr: Vec<i64>,
    /// Kind of each finding.
    pub kinds: Vec<u8>,
    /// Words of each finding, as in the record.
    pub texts: Vec<String>,
}

/// The sources of one record.
struct Sources<'a> {
    texts: &'a [&'a str],
    language: &'a Lexicon,
    seen: &'a HashedMap<Seen>,
    stems: OnceCell<HashSet<String>>,
}

impl Sources<'_> {
    /// Whether a source has this stem.
    fn has(&self, stem: &str) -> bool {
        self.seen.get(&words::stem_hash(stem)).is_some_and(|seen| seen.times > 0)
    }

    /// All stems of the sources.
    fn stems(&self) -> &HashSet<String> {
        self.stems.get_or_init(|| stems(self.texts, self.language))
    }
}

fn stems(texts: &[&str], language: &Lexicon) -> HashSet<String> {
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
struct Scratch {
    stems: Stems,
    seen: HashedMap<Seen>,
    contents: Vec<u64>,
    ends: Vec<usize>,
}

/// Compares records with their sources; remembers stems from call to call.
#[derive(Debug)]
pub struct Checker {
    language: Lexicon,
    scratches: Mutex<Vec<Scratch>>,
}

impl Checker {
    /// A checker for records of a language.
    ///
    /// # Errors
    /// [`Error::Argument`] where a scale is neither a power of ten nor twelve.
    pub fn new(language: Language) -> Result<Self> {
        let is_scale =
            |&scale: &u64| scale == 12 || scale > 1 && 10_u64.pow(scale.ilog10()) == scale;
        if let Some((word, scale)) = language.scales.iter().find(|(_, scale)| !is_scale(scale)) {
            return Err(Error::Argument(format!(
                "scales must be powers of ten or 12, got {scale} for {word:?}"
            )));
        }
        Ok(Self { language: Lexicon::new(language), scratches: Mutex::default() })
    }

    /// Checks records; linear in the texts, the same at any number of threads.
    ///
    /// The sources of record `i` are `sources[indptr[i]..indptr[i + 1]]`.
    ///
    /// # Errors
    /// [`Error::Argument`] where `indptr` does not cut `sources` into one run a record.
    pub fn check(
        &self,
        made: Texts<'_>,
        sources: Texts<'_>,
        indptr: &[i64],
        num_threads: usize,
        progress: &Progress,
    ) -> Result<Checked> {
        check_indptr(indptr, made.len(), sources.len())?;
        progress.start("check", made.len() as u64);
        let rows: Vec<usize> = (0..made.len()).collect();
        let parts: Vec<Checked> = with_threads(num_threads, || {
            rows.par_chunks(ROWS_A_TASK)
                .map(|rows| {
                    progress.advance(rows.len() as u64)?;
                    Ok(self.check_rows(made, sources, indptr, rows))
                })
                .collect()
        })?;
        let mut checked = Checked { indptr: vec![0], ..Checked::default() };
        for part in parts {
            let before = checked.texts.len() as i64;
            checked.coverage.extend(part.coverage);
            checked.indptr.extend(part.indptr.iter().map(|end| before + end));
            checked.kinds.extend(part.kinds);
            checked.texts.extend(part.texts);
        }
        Ok(checked)
    }

    /// Some records; `indptr` of the result has their ends only.
    fn check_rows(
        &self,
        made: Texts<'_>,
        sources: Texts<'_>,
        indptr: &[i64],
        rows: &[usize],
    ) -> Checked {
        let mut scratch = self.lock().pop().unwrap_or_default();
        let mut checked = Checked::default();
        for &row in rows {
            let theirs: Vec<&str> =
                (indptr[row]..indptr[row + 1]).map(|at| sources.get(at as usize)).collect();
            check_one(&self.language, &mut scratch, made.get(row), &theirs, &mut checked);
            checked.indptr.push(checked.texts.len() as i64);
        }
        self.lock().push(scratch);
        checked
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Scratch>> {
        self.scratches.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn check_indptr(indptr: &[i64], num_made: usize, num_sources: usize) -> Result<()> {
    let is_whole = indptr.len() == num_made + 1
        && indptr[0] == 0
        && indptr[num_made] == num_sources as i64
        && indptr.is_sorted();
    if is_whole {
        return Ok(());
    }
    Err(Error::Argument(format!(
        "indptr must have {} ascending numbers from 0 to {num_sources}, one more than records, \
         got {} from {:?} to {:?}",
        num_made + 1,
        indptr.len(),
        indptr.first(),
        indptr.last(),
    )))
}

fn check_one(
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
        new = self::stems(&[made], language);
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
